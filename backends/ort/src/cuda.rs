//! ONNX Runtime with CUDA, as `ditbench setup cuda` puts it into the cache: a library of its own, and NVIDIA's libraries that its
//! provider needs.
//!
//! Contract: it is used in the place of the ordinary library only where there is a driver. Not run yet: there was no GPU to try it on.

use std::path::{Path, PathBuf};

use crate::provider::{self, CUDA};
use crate::words;

/// The library in a cache, where it was set up and a driver is here.
pub(crate) fn library(cache: &Path) -> Option<PathBuf> {
    let package = provider::packages(CUDA).ok()?.into_iter().next()?;
    (package.is_in(cache) && ditbench_nvidia::present(0, words::NO_DRIVER).is_ok()).then(|| package.library(cache))
}

/// Loads what the provider of that library needs, so that it finds it already there: its own folder knows nothing of the others.
///
/// # Errors
/// The first that cannot be loaded. A system that has CUDA installed may do without.
pub(crate) fn load_needed(library: &Path) -> Result<(), String> {
    let Ok(all) = provider::packages(CUDA) else { return Ok(()) };
    let Some((own, others)) = all.split_first() else { return Ok(()) };
    // The library lies in the cache at a fixed depth.
    let depth = own.library(Path::new("")).components().count();
    let Some(cache) = library.ancestors().nth(depth).filter(|cache| own.library(cache) == library) else {
        return Ok(());
    };
    for package in others.iter().filter(|package| package.is_in(cache)) {
        open(&package.library(cache))?;
    }
    Ok(())
}

/// Loads a library for the whole process, for good.
#[cfg(unix)]
fn open(path: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library's hash was checked when it was put into the cache; loading it runs what it does at its start.
    let loaded = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    std::mem::forget(loaded.map_err(|error| format!("{}: {}", path.display(), words::one_line(&error.to_string())))?);
    Ok(())
}

/// Its packages are for Linux.
#[cfg(not(unix))]
fn open(_: &Path) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_library_than_the_one_that_was_set_up_needs_nothing() {
        assert_eq!(load_needed(Path::new("/usr/lib/libonnxruntime.so")), Ok(()));
        assert_eq!(load_needed(Path::new("")), Ok(()));
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn what_was_set_up_is_found_from_the_library_alone() {
        let cache = tempfile::tempdir().unwrap();
        let all = provider::packages(CUDA).unwrap();
        // A file of the right size that is no library.
        let broken = all[1].library(cache.path());
        std::fs::create_dir_all(broken.parent().unwrap()).unwrap();
        std::fs::File::create(&broken).unwrap().set_len(all[1].wheel.member_bytes).unwrap();
        let why = load_needed(&all[0].library(cache.path())).unwrap_err();
        assert!(why.contains("libcudart.so.13"), "{why}");
    }
}
