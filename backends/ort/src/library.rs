//! ONNX Runtime's shared library: finding it, and fetching it into the user's cache.
//!
//! Contract: a library that was named and is not there is an error, never passed over. Nothing is fetched unless
//! [`fetch()`] is called, and what it puts into the cache has been checked against a SHA-256 in this source and appears
//! under its name only when it is complete.

mod wheel;

use std::path::{Path, PathBuf};

use ditbench_fetch::FetchError;
pub use ditbench_fetch::{Step, Wheel};
pub use wheel::VERSION;

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is nowhere.
    #[error("ONNX Runtime's library was not found (looked at {looked}). {}", CURE)]
    NotFound {
        /// Where it was looked for.
        looked: String,
    },
    /// A library was named that is not there.
    #[error(
        "{path} was named as ONNX Runtime's library, but there is no such file. Correct --ort-lib (or ORT_DYLIB_PATH), or leave it out"
    )]
    Named {
        /// The path named.
        path: PathBuf,
    },
    /// No wheel is known for this machine.
    #[error(
        "no prebuilt ONNX Runtime is known for {os} on {arch}. Build or install it, and name its library with --ort-lib FILE"
    )]
    Platform {
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// Fetching failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// How to get the library.
pub const CURE: &str = "Fetch it with `ditbench devices --fetch`, or name one with --ort-lib FILE";

/// Fetches the library into `cache`, unless it is there already; gives its path.
///
/// # Errors
/// No wheel for this machine; what [`ditbench_fetch::fetch`] says.
pub fn fetch(cache: &Path, stop: &dyn Fn() -> bool, progress: impl FnMut(Step)) -> Result<PathBuf, LibraryError> {
    let wheel =
        wheel::here().ok_or(LibraryError::Platform { os: std::env::consts::OS, arch: std::env::consts::ARCH })?;
    Ok(ditbench_fetch::fetch(&wheel, cache, stop, progress)?)
}

/// Finds the library: the file named by `explicit`, else the one in `cache`, else the system's.
///
/// # Errors
/// [`LibraryError::Named`] if the named file is not there, [`LibraryError::NotFound`] with the places looked at.
pub fn find(explicit: Option<&Path>, cache: &Path) -> Result<PathBuf, LibraryError> {
    find_among(explicit, cache, &system_folders())
}

fn find_among(explicit: Option<&Path>, cache: &Path, system: &[PathBuf]) -> Result<PathBuf, LibraryError> {
    if let Some(path) = explicit.filter(|path| !path.as_os_str().is_empty()) {
        let path = path.to_owned();
        return if path.is_file() { Ok(path) } else { Err(LibraryError::Named { path }) };
    }
    let mut looked = Vec::new();
    if let Some(wheel) = wheel::here() {
        let path = wheel.place(cache);
        if wheel.is_whole(&path) {
            return Ok(path);
        }
        looked.push(path.display().to_string());
    }
    let names = system_names();
    let found = system.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|path| path.is_file());
    looked.push(format!("{} in {} system folders", names[0], system.len()));
    found.ok_or_else(|| LibraryError::NotFound { looked: looked.join(", ") })
}

/// The user's cache: `$XDG_CACHE_HOME/ditbench`, else the system's usual place below the home folder.
pub(crate) fn default_cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("XDG_CACHE_HOME") {
        return Some(folder.join("ditbench"));
    }
    let below = if cfg!(target_os = "macos") { "Library/Caches/ditbench" } else { ".cache/ditbench" };
    variable("HOME").map(|home| home.join(below))
}

fn system_names() -> [String; 2] {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    [format!("{prefix}onnxruntime{suffix}"), format!("{prefix}onnxruntime{suffix}.1")]
}

/// Where a system keeps libraries, those that the user named first.
fn system_folders() -> Vec<PathBuf> {
    let named = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"]
        .into_iter()
        .filter_map(std::env::var_os)
        .flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>());
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned));
    let triplet = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let usual = ["/usr/local/lib", "/opt/homebrew/lib", &triplet, "/usr/lib64", "/usr/lib", "/system/lib64"];
    named.filter(|path| path.is_absolute()).chain(beside).chain(usual.into_iter().map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_library_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.so");
        let error = find_among(Some(&missing), folder.path(), &[]).unwrap_err();
        assert!(matches!(error, LibraryError::Named { .. }), "{error}");
        std::fs::write(&missing, b"x").unwrap();
        assert_eq!(find_among(Some(&missing), folder.path(), &[]).unwrap(), missing);
    }

    #[test]
    fn a_half_written_file_in_the_cache_is_not_taken_and_the_system_comes_last() {
        let (cache, system) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let wheel = wheel::here().expect("the tests run where a wheel is known");
        let place = wheel.place(cache.path());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, b"half").unwrap();
        let folders = [system.path().to_owned()];
        let error = find_among(None, cache.path(), &folders).unwrap_err().to_string();
        assert!(error.contains("ditbench devices --fetch") && !error.contains('\n'), "{error}");
        let installed = system.path().join(&system_names()[0]);
        std::fs::write(&installed, b"x").unwrap();
        assert_eq!(find_among(None, cache.path(), &folders).unwrap(), installed);
        std::fs::File::options().write(true).open(&place).unwrap().set_len(wheel.member_bytes).unwrap();
        assert_eq!(find_among(None, cache.path(), &folders).unwrap(), place, "the cache comes before the system");
    }
}
