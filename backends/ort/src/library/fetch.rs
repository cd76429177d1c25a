//! Fetching the library through the Python package registry's own client.
//!
//! Contract: one process at a time fetches into a cache, the others wait and take what it made. Everything happens in a
//! folder of its own beside the place; the library is renamed into it last. Whatever fails, nothing is left there.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use super::{LibraryError, VERSION, Wheel};

/// What fetching is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another process may be fetching: waits for it.
    Waiting,
    /// The client downloads the wheel.
    Downloading,
    /// Hashes are compared, the library is taken out of the wheel.
    Unpacking,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => write!(f, "waiting for another process that fetches ONNX Runtime"),
            Self::Downloading => write!(f, "fetching ONNX Runtime {VERSION} (about 24 MB) with pip"),
            Self::Unpacking => write!(f, "checking and unpacking ONNX Runtime {VERSION}"),
        }
    }
}

/// Fetches the library into `cache` with `python3 -m pip download`, unless it is there already; gives its path.
///
/// # Errors
/// No wheel for this machine; no Python, pip or network; a hash that is wrong; a cache that cannot be written. Each in
/// one line, with the cure.
pub fn fetch(cache: &Path, progress: impl FnMut(Step)) -> Result<PathBuf, LibraryError> {
    let wheel =
        Wheel::here().ok_or(LibraryError::Platform { os: std::env::consts::OS, arch: std::env::consts::ARCH })?;
    fetch_with(OsStr::new("python3"), &wheel, cache, progress)
}

pub(super) fn fetch_with(
    python: &OsStr,
    wheel: &Wheel,
    cache: &Path,
    mut progress: impl FnMut(Step),
) -> Result<PathBuf, LibraryError> {
    let place = wheel.place(cache);
    if wheel.is_whole(&place) {
        return Ok(place);
    }
    let folder = place.parent().unwrap_or(cache);
    std::fs::create_dir_all(folder).map_err(LibraryError::io(folder))?;
    let lock_path = folder.join(".lock");
    let lock = File::create(&lock_path).map_err(LibraryError::io(&lock_path))?;
    if lock.try_lock().is_err() {
        progress(Step::Waiting);
        lock.lock().map_err(LibraryError::io(&lock_path))?;
    }
    // The lock is let go when `lock` is dropped, also by a process that dies.
    if wheel.is_whole(&place) {
        return Ok(place);
    }
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(folder).map_err(LibraryError::io(folder))?;
    progress(Step::Downloading);
    let archive = download(python, wheel, work.path())?;
    progress(Step::Unpacking);
    expect_hash(&archive, "the wheel", wheel.sha256)?;
    let library = unpack(&archive, wheel.member, work.path())?;
    expect_hash(&library, wheel.member, wheel.library_sha256)?;
    std::fs::rename(&library, &place).map_err(LibraryError::io(&place))?;
    Ok(place)
}

/// Runs the client; gives the one wheel that it left in `folder`.
fn download(python: &OsStr, wheel: &Wheel, folder: &Path) -> Result<PathBuf, LibraryError> {
    let failed = |why: String, cure| LibraryError::Fetch { why, cure };
    let requirement = format!("onnxruntime=={VERSION}");
    let output = Command::new(python)
        .args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
        .args(["--platform", wheel.platform, "--python-version", "3.11", &requirement, "-d"])
        .arg(folder)
        .output()
        .map_err(|error| {
            let why = format!("{} cannot be run ({error})", python.to_string_lossy());
            failed(why, "Install Python 3 with pip, or name a library with --ort-lib FILE")
        })?;
    if !output.status.success() {
        let (why, cure) = explain(&output);
        return Err(failed(why, cure));
    }
    let wheels = std::fs::read_dir(folder).map_err(LibraryError::io(folder))?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    wheels.flatten().map(|entry| entry.path()).find(is_wheel).ok_or_else(|| {
        failed("pip said that all is well but left no wheel".to_owned(), "Name a library with --ort-lib FILE")
    })
}

/// One line of what the client said, and what to do about it.
fn explain(output: &Output) -> (String, &'static str) {
    let text = String::from_utf8_lossy(&output.stderr);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains("ERROR"))
        .or_else(|| text.lines().rev().find(|line| !line.trim().is_empty()))
        .unwrap_or("pip failed and said nothing")
        .trim()
        .to_owned();
    let cure = if has(&["No module named pip", "No module named 'pip'"]) {
        "Install pip (`python3 -m ensurepip`, or your system's python3-pip), or name a library with --ort-lib FILE"
    } else if has(&[
        "NewConnectionError",
        "Temporary failure",
        "timed out",
        "Network is unreachable",
        "ProxyError",
        "SSLError",
    ]) {
        "Check the network and pip's index settings and try again, or name a library with --ort-lib FILE"
    } else {
        "Check that pip works (`python3 -m pip download onnxruntime`), or name a library with --ort-lib FILE"
    };
    (line, cure)
}

fn unpack(archive: &Path, member: &str, folder: &Path) -> Result<PathBuf, LibraryError> {
    let broken = |why: String| LibraryError::Fetch {
        why: format!("the wheel cannot be unpacked: {why}"),
        cure: "Try again, or name a library with --ort-lib FILE",
    };
    let file = File::open(archive).map_err(LibraryError::io(archive))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
    let mut source = archive.by_name(member).map_err(|error| broken(format!("{member}: {error}")))?;
    let path = folder.join("library");
    let mut target = File::create(&path).map_err(LibraryError::io(&path))?;
    std::io::copy(&mut source, &mut target).map_err(|error| broken(error.to_string()))?;
    target.sync_all().map_err(LibraryError::io(&path))?;
    Ok(path)
}

fn expect_hash(path: &Path, what: &str, wanted: &'static str) -> Result<(), LibraryError> {
    let mut file = File::open(path).map_err(LibraryError::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(LibraryError::io(path))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == wanted { Ok(()) } else { Err(LibraryError::Hash { what: what.to_owned(), found, wanted }) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const LIBRARY: &[u8] = b"not really a library";

    /// A folder with a `python3` that runs `script`, with the target folder as `$TO`.
    fn python(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("python3");
        std::fs::write(&path, format!("#!/bin/sh\nfor TO; do :; done\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    /// A wheel that holds [`LIBRARY`], on disk and as it is pinned.
    fn wheel(folder: &Path) -> (PathBuf, Wheel) {
        let path = folder.join("made.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("capi/lib.so", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(LIBRARY).unwrap();
        archive.finish().unwrap();
        let hash = |bytes: &[u8]| -> &'static str {
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().leak()
        };
        let pinned = Wheel {
            platform: "test",
            sha256: hash(&std::fs::read(&path).unwrap()),
            member: "capi/lib.so",
            library_sha256: hash(LIBRARY),
            library_bytes: LIBRARY.len() as u64,
        };
        (path, pinned)
    }

    /// What is in the cache besides the lock.
    fn left(cache: &Path, wheel: &Wheel) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(wheel.place(cache).parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(".lock")).collect()
    }

    #[test]
    fn what_is_fetched_is_checked_and_found_again() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        let (_keep, python) = python(&format!("cp {} \"$TO\"", file.display()));
        let mut steps = Vec::new();
        let path = fetch_with(python.as_os_str(), &wheel, cache.path(), |step| steps.push(step)).unwrap();
        assert_eq!(steps, [Step::Downloading, Step::Unpacking]);
        assert_eq!(std::fs::read(&path).unwrap(), LIBRARY);
        assert_eq!(left(cache.path(), &wheel), std::slice::from_ref(&path));
        // No client is needed any more.
        assert_eq!(fetch_with(OsStr::new("/no/python"), &wheel, cache.path(), |_| ()).unwrap(), path);
    }

    #[test]
    fn a_wrong_or_half_written_wheel_is_thrown_away() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        for script in
            ["echo other > \"$TO\"/a.whl".to_owned(), format!("head -c 40 {} > \"$TO\"/a.whl", file.display())]
        {
            let (_keep, python) = python(&script);
            let error = fetch_with(python.as_os_str(), &wheel, cache.path(), |_| ()).unwrap_err();
            assert!(matches!(error, LibraryError::Hash { .. }), "{error}");
            assert!(left(cache.path(), &wheel).is_empty());
        }
        // The wheel is right, what is in it is not.
        let other = Wheel { library_sha256: "00", ..wheel };
        let (_keep, python) = python(&format!("cp {} \"$TO\"", file.display()));
        let error = fetch_with(python.as_os_str(), &other, cache.path(), |_| ()).unwrap_err();
        assert!(matches!(error, LibraryError::Hash { .. }), "{error}");
        assert!(left(cache.path(), &wheel).is_empty());
    }

    #[test]
    fn each_way_to_fail_is_one_line_with_a_cure() {
        let cache = tempfile::tempdir().unwrap();
        let (_, wheel) = wheel(cache.path());
        let fails = |python: &Path| {
            let error = fetch_with(python.as_os_str(), &wheel, cache.path(), |_| ()).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.contains("--ort-lib FILE"), "{error}");
            assert!(left(cache.path(), &wheel).is_empty());
            error
        };
        assert!(fails(Path::new("/no/python3")).contains("Install Python 3"));
        for (script, words) in [
            ("echo 'python3: No module named pip' >&2; exit 1", "python3-pip"),
            (
                "echo 'x NewConnectionError y' >&2; echo 'ERROR: No matching distribution' >&2; exit 1",
                "Check the network",
            ),
            ("exit 3", "said nothing"),
            ("exit 0", "left no wheel"),
        ] {
            let (_keep, python) = python(script);
            let error = fails(&python);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn of_two_that_fetch_at_once_one_downloads() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        let log = home.path().join("log");
        // The first to come holds the lock while the other waits for it.
        let (_keep, python) = python(&format!("echo run >> {}; cp {} \"$TO\"", log.display(), file.display()));
        let paths: Vec<PathBuf> = std::thread::scope(|scope| {
            let fetch = || fetch_with(python.as_os_str(), &wheel, cache.path(), |_| ()).unwrap();
            let threads = [scope.spawn(fetch), scope.spawn(fetch)];
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(paths[0], paths[1]);
        assert_eq!(std::fs::read_to_string(log).unwrap(), "run\n");
    }
}
