//! Folders of a published package, kept as they lie in it: a provider's library finds its own libraries beside itself.
//!
//! Contract: the wheel's SHA-256 is the one in the caller's source, so that what is in it is known too; the folder appears under
//! its name only when it is complete.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::{FetchError, Step, Wheel, expect_hash, put};

/// Where the folders lie below that of the wheel.
const FILES: &str = "files";

/// A published wheel and the folders of it that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The wheel; its one file is the library that programs load.
    pub wheel: Wheel,
    /// Folders and files of it that are kept.
    pub keep: &'static [&'static str],
}

impl Package {
    /// Where the folders lie in a cache.
    pub fn folder(&self, cache: &Path) -> PathBuf {
        let Wheel { package, version, platform, .. } = self.wheel;
        cache.join(package).join(version).join(platform).join(FILES)
    }

    /// The library in a cache.
    pub fn library(&self, cache: &Path) -> PathBuf {
        self.folder(cache).join(self.wheel.member)
    }

    /// Whether the package is in a cache.
    pub fn is_in(&self, cache: &Path) -> bool {
        self.wheel.is_whole(&self.library(cache))
    }

    /// Fetches the package into a cache, unless it is there already; gives its library. Once `stop` says so it ends, and leaves
    /// nothing behind.
    ///
    /// # Errors
    /// As [`crate::fetch()`].
    pub fn fetch(
        &self,
        cache: &Path,
        stop: &dyn Fn() -> bool,
        progress: impl FnMut(Step),
    ) -> Result<PathBuf, FetchError> {
        self.fetch_with(OsStr::new("python3"), cache, stop, progress)
    }

    fn fetch_with(
        &self,
        python: &OsStr,
        cache: &Path,
        stop: &dyn Fn() -> bool,
        progress: impl FnMut(Step),
    ) -> Result<PathBuf, FetchError> {
        let (wheel, folder) = (&self.wheel, self.folder(cache));
        let parent = folder.parent().unwrap_or(cache);
        put(python, wheel, parent, &|| self.is_in(cache), stop, progress, |archive, work| {
            let files = work.join(FILES);
            self.unpack(archive, &files, stop)?;
            expect_hash(wheel, &files.join(wheel.member), wheel.member, wheel.member_sha256)?;
            if folder.exists() {
                // Damaged, or it would have been found.
                std::fs::remove_dir_all(&folder).map_err(Wheel::io(&folder))?;
            }
            std::fs::rename(&files, &folder).map_err(Wheel::io(&folder))
        })?;
        Ok(self.library(cache))
    }

    fn unpack(&self, archive: &Path, folder: &Path, stop: &dyn Fn() -> bool) -> Result<(), FetchError> {
        let broken = |why: String| self.wheel.failed(format!("the wheel cannot be unpacked: {why}"), "Try again");
        let file = File::open(archive).map_err(Wheel::io(archive))?;
        let mut archive = zip::ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
        for index in 0..archive.len() {
            if stop() {
                return Err(FetchError::CalledOff { what: self.wheel.what });
            }
            let mut source = archive.by_index(index).map_err(|error| broken(error.to_string()))?;
            // `None` for a path that leads out of the folder.
            let Some(path) = source.enclosed_name().filter(|_| !source.is_dir()) else { continue };
            if !self.keep.iter().any(|keep| path.starts_with(keep)) {
                continue;
            }
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).map_err(Wheel::io(parent))?;
            }
            let mut target = File::create(&path).map_err(Wheel::io(&path))?;
            std::io::copy(&mut source, &mut target).map_err(|error| broken(error.to_string()))?;
            target.sync_all().map_err(Wheel::io(&path))?;
        }
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::tests::{never, python, wheel};

    #[test]
    fn folders_are_kept_as_they_lie_in_the_wheel_and_found_again() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        let package = Package { wheel, keep: &["capi", "own.libs/other.so"] };
        let (_keep, client) = python(&format!("cp {} \"$TO\"", file.display()));
        // What is damaged is made again.
        let damaged = package.folder(cache.path()).join("capi");
        std::fs::create_dir_all(&damaged).unwrap();
        std::fs::write(damaged.join("lib.so"), b"half").unwrap();
        assert!(!package.is_in(cache.path()));
        let library = package.fetch_with(client.as_os_str(), cache.path(), &never, |_| ()).unwrap();
        assert_eq!(library, package.library(cache.path()));
        let folder = package.folder(cache.path());
        assert!(library.starts_with(&folder) && library.ends_with("capi/lib.so") && package.is_in(cache.path()));
        assert!(folder.join("own.libs/other.so").is_file(), "beside it, where it looks for it");
        assert!(!folder.join("else").exists(), "nobody wanted it");
        assert!(!folder.parent().unwrap().join("out").exists() && !folder.join("../../out").exists());
        // No client is needed any more.
        assert_eq!(
            package.fetch_with(OsStr::new("/no/python"), cache.path(), &never, |_| ()).unwrap(),
            package.library(cache.path())
        );
    }

    #[test]
    fn nothing_is_left_of_a_package_that_is_not_the_one() {
        let (home, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, wheel) = wheel(home.path());
        let (_keep, client) = python(&format!("cp {} \"$TO\"", file.display()));
        for wheel in [Wheel { sha256: "00", ..wheel }, Wheel { member_sha256: "00", ..wheel }] {
            let package = Package { wheel, keep: &["capi"] };
            let error = package.fetch_with(client.as_os_str(), cache.path(), &never, |_| ()).unwrap_err();
            assert!(matches!(error, FetchError::Hash { .. }), "{error}");
            assert!(!package.folder(cache.path()).exists());
        }
        let package = Package { wheel, keep: &["capi"] };
        let error = package.fetch_with(client.as_os_str(), cache.path(), &|| true, |_| ()).unwrap_err();
        assert!(matches!(error, FetchError::CalledOff { .. }), "{error}");
        assert!(!package.folder(cache.path()).exists());
    }
}
