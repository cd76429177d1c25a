//! The library that the tests of this crate run on.

use std::path::PathBuf;

use ditbench_ort::{LIBRARY_VARIABLE, OrtBackend, library};

/// The backend with a library that is there.
///
/// # Panics
/// As [`library`].
#[allow(dead_code, reason = "each test file is a program of its own")]
pub fn backend() -> OrtBackend {
    OrtBackend::with_library(library())
}

/// A library that is there: the one named, else found, else fetched into the user's cache.
///
/// # Panics
/// With the cure, if there is none to be had: a test that needs the library must not pass without it.
pub fn library() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("ditbench");
    let named = std::env::var_os(LIBRARY_VARIABLE).map(PathBuf::from);
    let found = library::find(named.as_deref(), &cache).or_else(|error| match error {
        library::LibraryError::Named { .. } => Err(error),
        _ => library::fetch(&cache, &|| false, |_| ()),
    });
    found.unwrap_or_else(|error| panic!("{error}"))
}
