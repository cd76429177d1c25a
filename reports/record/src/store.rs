//! A run's directory: `record.json`, `samples.csv`, images, the report.
//!
//! Contract: `record.json` is rewritten whole at each change (a run makes one after each launch), through a temporary
//! file that is flushed to the disk and then renamed, so at every moment there is one whole record: killing the program
//! loses the launch in flight and nothing else, and a full disk leaves the last good record in place. One process at a
//! time writes a run (a lock held through the operating system, which a crash releases).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Cell, CellKey, Home, RecordError, Run, SCHEMA_VERSION, Status, csv, open_regular, parse};

/// The record's file name.
pub const RECORD_FILE: &str = "record.json";
/// The samples' file name.
pub const SAMPLES_FILE: &str = "samples.csv";
const LOCK_FILE: &str = ".lock";

/// Where a run's directory keeps the latents of a cell: under its name, or under the one that older programs gave it.
pub fn latents_of(dir: &Path, key: &CellKey) -> PathBuf {
    kept(dir, key, |id| format!("latents/{id}.safetensors"))
}

/// A file of a cell: by its name, else by its old name if that is there.
pub fn kept(dir: &Path, key: &CellKey, file: impl Fn(&str) -> String) -> PathBuf {
    let [now, old] = [key.id(), key.old_id()].map(|id| dir.join(file(&id)));
    if !now.exists() && old.exists() { old } else { now }
}

/// Why a run's directory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is a run already.
    #[error("{} already holds a run. Give another directory, or continue this one with --resume", dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// There is no run.
    #[error("{} holds no {RECORD_FILE}. Give the directory of a run, or its {RECORD_FILE}", dir.display())]
    NoRecord {
        /// The directory or file that was given.
        dir: PathBuf,
    },
    /// Somebody else is writing it.
    #[error("{} is being written by another ditbench. Wait for it, or give another directory", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// The record cannot be understood.
    #[error("{}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RecordError,
    },
    /// What was to be saved could not be read back: a number that is infinite or none at all, which JSON cannot hold.
    #[error(
        "not saved, because the record could not be read back: {source}. This is a fault of ditbench; the last good record is kept"
    )]
    Unreadable {
        /// Where, and what.
        source: RecordError,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}: {source}. {}", path.display(), cure(source))]
    Io {
        /// `write`, `read`, `create`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What to do about a refusal.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "The disk is full: free some space, then continue with --resume; what was recorded before is kept"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Give a directory that you may write with --out"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "Give a path at which a directory can be made",
        _ => "Check the path and the disk",
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { doing, path: path.to_owned(), source }
}

/// Replaces a file by what `fill` writes: all of it, or nothing. The old content stays until the new is on the disk.
///
/// # Errors
/// [`StoreError::Io`]; the temporary file is removed.
pub fn replace_file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = (|| {
        let mut file = BufWriter::new(File::create(&temporary)?);
        fill(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, path)?;
        // The rename itself is on the disk only when the directory is.
        #[cfg(unix)]
        File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    })();
    written.map_err(|source| {
        // Best effort: it may never have been made, and the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        io_error("write", path)(source)
    })
}

/// A run being written.
#[derive(Debug)]
pub struct RunStore {
    dir: PathBuf,
    run: Run,
    /// Whose name no record is to tell.
    home: Home,
    /// Held for as long as this lives; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl RunStore {
    /// Starts a run in a directory, which is made if need be, and writes its first record.
    ///
    /// # Errors
    /// The directory holds a run already, is being written by another process, or cannot be written.
    pub fn create(dir: &Path, run: Run) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let lock = lock(dir)?;
        if dir.join(RECORD_FILE).exists() {
            return Err(StoreError::Exists { dir: dir.to_owned() });
        }
        let mut store = Self { dir: dir.to_owned(), run, home: Home::of_user(), _lock: lock };
        store.save()?;
        Ok(store)
    }

    /// Opens a run to go on with it.
    ///
    /// # Errors
    /// There is none, it is damaged or newer, or another process is writing it.
    pub fn resume(dir: &Path) -> Result<Self, StoreError> {
        let dir = if dir.ends_with(RECORD_FILE) { dir.parent().unwrap_or(Path::new(".")) } else { dir };
        // There must be a run before a lock is put beside it; what counts is the record as it stands under the lock.
        let LoadedRun { dir, .. } = read(dir)?;
        let lock = lock(&dir)?;
        let LoadedRun { dir, run } = read(&dir)?;
        let mut store = Self { dir, run, home: Home::of_user(), _lock: lock };
        store.run.run.resumed = store.run.run.resumed.saturating_add(1);
        store.run.run.finished = None;
        store.run.schema_version = SCHEMA_VERSION;
        Ok(store)
    }

    /// The run as it stands: what was saved last, unless a save failed.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a cell needs no more work: it ended, well or not. Interrupted cells are run again, and so are those that
    /// failed before their first launch: what was in the way (a full disk, a missing library) may be gone.
    pub fn is_done(&self, key: &CellKey) -> bool {
        self.run.cell(key).is_some_and(|cell| match cell.status {
            Status::Interrupted => false,
            Status::Error => !cell.launches.is_empty(),
            Status::Ok | Status::Oom | Status::Timeout | Status::Unsupported => true,
        })
    }

    /// Puts a cell in its place and saves.
    ///
    /// # Errors
    /// The record cannot be written; the one before is still there, and so is this cell in memory.
    pub fn put_cell(&mut self, cell: Cell) -> Result<(), StoreError> {
        self.update(|run| run.put_cell(cell))
    }

    /// Changes anything else (models, inputs, warnings, the end) and saves.
    ///
    /// # Errors
    /// As [`RunStore::put_cell`].
    pub fn update(&mut self, change: impl FnOnce(&mut Run)) -> Result<(), StoreError> {
        change(&mut self.run);
        self.save()
    }

    /// Writes a file of the run, such as an image: all of it, or nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_file(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        replace_file(&self.dir.join(name), |file| file.write_all(bytes))
    }

    /// What is kept in memory is afterwards what is on the disk.
    fn save(&mut self) -> Result<(), StoreError> {
        let not_json = |error: serde_json::Error| StoreError::Unreadable {
            source: RecordError::NotARun { why: error.to_string() },
        };
        let mut value = serde_json::to_value(&self.run).map_err(not_json)?;
        self.home.hide_in(&mut value);
        let text = serde_json::to_string_pretty(&value).map_err(not_json)?;
        let written = parse(&text).map_err(|source| StoreError::Unreadable { source })?;
        replace_file(&self.dir.join(RECORD_FILE), |file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")
        })?;
        self.run = written;
        replace_file(&self.dir.join(SAMPLES_FILE), |file| csv::write_samples(&self.run, file))
    }
}

/// Takes the lock of a directory, or says who has it.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io_error("write", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// A run read from the disk, and where its images are.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedRun {
    /// The run's directory.
    pub dir: PathBuf,
    /// The record.
    pub run: Run,
}

/// Reads a run, given its directory or its `record.json`.
///
/// # Errors
/// There is none, it cannot be read, is damaged, or was written by a newer program.
pub fn read(path: &Path) -> Result<LoadedRun, StoreError> {
    let file = if path.is_dir() { path.join(RECORD_FILE) } else { path.to_owned() };
    // What a directory holds was named by nobody.
    let opened = if path.is_dir() { open_regular(&file) } else { File::open(&file) };
    let mut text = String::new();
    let text = match opened.and_then(|mut file| file.read_to_string(&mut text)).map(|_| text) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NoRecord { dir: path.to_owned() });
        }
        // Bytes that are no text: a damaged record, not a fault of the system.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(StoreError::Record { path: file, source: RecordError::Corrupt { why: error.to_string() } });
        }
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    let run = parse(&text).map_err(|source| StoreError::Record { path: file.clone(), source })?;
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(LoadedRun { dir: dir.to_owned(), run })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_record_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        replace_file(&path, |file| file.write_all(b"old")).unwrap();
        let error = replace_file(&path, |file| {
            file.write_all(b"new, but only ha")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(error.to_string().contains("disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
