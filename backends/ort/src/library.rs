//! ONNX Runtime's shared library: finding it, and fetching it into the user's cache.
//!
//! Contract: what is there is not yet what can be used. A library is found only if this program can load it and it is new enough
//! ([`version()`], the one place that decides); a system's other libraries are passed over and named. One that the user named
//! and that cannot be used is an error, never passed over. Nothing is fetched unless
//! [`fetch()`] is called, and what it puts into the cache has been checked against a SHA-256 in this source and appears
//! under its name only when it is complete.

mod wheel;

use std::path::{Path, PathBuf};

use ditbench_fetch::FetchError;
pub use ditbench_fetch::{Step, Wheel};
pub use wheel::VERSION;

use crate::cuda;
use crate::words::one_line;

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is nowhere.
    #[error("ONNX Runtime's library was not found (looked at {looked}). {}", CURE)]
    NotFound {
        /// Where it was looked for, and what is there that cannot be used.
        looked: String,
    },
    /// A library was named that cannot be used.
    #[error("{path} was named as ONNX Runtime's library, but {why}. {}", CURE_OF_NAMED)]
    Unusable {
        /// The path named.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
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

/// What to do about a named one that cannot be used.
pub(crate) const CURE_OF_NAMED: &str =
    "Name another with --ort-lib FILE (or ORT_DYLIB_PATH), or name none and fetch it with `ditbench devices --fetch`";

/// The version that a library gives of itself, `1.31.1`, if this program can use it.
///
/// # Errors
/// Why it cannot, in a few words: no library for this machine, not ONNX Runtime's, too old.
pub fn version(path: &Path) -> Result<String, String> {
    // SAFETY: loading a library runs what it does at its start; this one was named by the user, or lies where the system keeps
    // its own. `OrtGetApiBase` has had this signature since ONNX Runtime's first release; what it gives is never freed while
    // the library is loaded, which it is until the text has been copied.
    let version = unsafe {
        let library = libloading::Library::new(path)
            .map_err(|error| format!("it cannot be loaded ({})", one_line(&error.to_string())))?;
        let base = library
            .get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase")
            .map_err(|_| "it is another library".to_owned())?();
        let base = base.as_ref().ok_or("it is another library")?;
        std::ffi::CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned()
    };
    let minor = version.strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor >= ort::MINOR_VERSION => Ok(version),
        Some(_) => Err(format!("it is of version {version}, and 1.{} or newer is needed", ort::MINOR_VERSION)),
        None => Err(format!("it says that it is of version \"{version}\", which ditbench does not know")),
    }
}

/// Fetches the library into `cache`, unless it is there already; gives its path.
///
/// # Errors
/// No wheel for this machine; what [`ditbench_fetch::fetch`] says.
pub fn fetch(cache: &Path, stop: &dyn Fn() -> bool, progress: impl FnMut(Step)) -> Result<PathBuf, LibraryError> {
    let wheel =
        wheel::here().ok_or(LibraryError::Platform { os: std::env::consts::OS, arch: std::env::consts::ARCH })?;
    Ok(ditbench_fetch::fetch(&wheel, cache, stop, progress)?)
}

/// Finds the library: the file named by `explicit`, else the one with CUDA if that was set up and there is a driver, else the one in
/// `cache`, else the system's.
///
/// # Errors
/// [`LibraryError::Named`] if the named file is not there, [`LibraryError::Unusable`] if it cannot be used,
/// [`LibraryError::NotFound`] with the places looked at.
pub fn find(explicit: Option<&Path>, cache: &Path) -> Result<PathBuf, LibraryError> {
    find_among(explicit, cache, &system_folders())
}

fn find_among(explicit: Option<&Path>, cache: &Path, system: &[PathBuf]) -> Result<PathBuf, LibraryError> {
    if let Some(path) = explicit.filter(|path| !path.as_os_str().is_empty()) {
        let path = path.to_owned();
        return match (path.is_file(), version(&path)) {
            (false, _) => Err(LibraryError::Named { path }),
            (true, Ok(_)) => Ok(path),
            (true, Err(why)) => Err(LibraryError::Unusable { path, why }),
        };
    }
    if let Some(path) = cuda::library(cache) {
        return Ok(path);
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
    looked.push(format!("{} in {} system folders", names[0], system.len()));
    for path in
        system.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).filter(|path| path.is_file())
    {
        match version(&path) {
            Ok(_) => return Ok(path),
            Err(why) => looked.push(format!("{}, but {why}", path.display())),
        }
    }
    Err(LibraryError::NotFound { looked: looked.join(", ") })
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

    /// A library that says it is ONNX Runtime of this version, and can nothing else.
    fn library(path: &Path, version: &str) {
        let source = path.with_extension("rs");
        let text = r#"
            #[repr(C)] pub struct Base(extern "C" fn(u32) -> usize, extern "C" fn() -> *const u8);
            extern "C" fn api(_: u32) -> usize { 0 }
            extern "C" fn version() -> *const u8 { concat!("VERSION", "\0").as_ptr() }
            static BASE: Base = Base(api, version);
            #[no_mangle] pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
        "#;
        std::fs::write(&source, text.replace("VERSION", version)).unwrap();
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut command = std::process::Command::new(rustc);
        command.args(["--crate-type", "cdylib", "--crate-name", "made", "-o"]).args([path, &source]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_library_that_is_too_old_hides_no_other_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let [cache, older, other, newer] = ["cache", "older", "other", "newer"].map(|name| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        });
        let name = &system_names()[0];
        library(&older.join(name), "1.22.1");
        std::fs::write(other.join(name), b"not a library").unwrap();
        let error = find_among(None, &cache, &[older.clone(), other.clone()]).unwrap_err().to_string();
        for words in ["of version 1.22.1, and 1.", "cannot be loaded", "ditbench devices --fetch"] {
            assert!(error.contains(words) && !error.contains('\n'), "{words}: {error}");
        }
        library(&newer.join(name), "1.999.0");
        let found = find_among(None, &cache, &[older.clone(), other, newer.clone()]).unwrap();
        assert_eq!(found, newer.join(name));
        // The user's own is never passed over.
        let error = find_among(Some(&older.join(name)), &cache, &[newer]).unwrap_err();
        assert!(matches!(&error, LibraryError::Unusable { why, .. } if why.contains("1.22.1")), "{error}");
    }

    #[test]
    fn a_named_library_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.so");
        let error = find_among(Some(&missing), folder.path(), &[]).unwrap_err();
        assert!(matches!(error, LibraryError::Named { .. }), "{error}");
        library(&missing, "1.999.0");
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
        library(&installed, "1.999.0");
        assert_eq!(find_among(None, cache.path(), &folders).unwrap(), installed);
        std::fs::File::options().write(true).open(&place).unwrap().set_len(wheel.member_bytes).unwrap();
        assert_eq!(find_among(None, cache.path(), &folders).unwrap(), place, "the cache comes before the system");
    }
}
