//! Whether a checkpoint is still the file that was opened.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use super::WeightsError;

/// By what it is seen that a file was changed or replaced: its length, its time of change and, where there is one, its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    bytes: u64,
    modified: Option<SystemTime>,
    inode: Option<u64>,
}

impl State {
    pub(super) fn of(meta: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = Some(std::os::unix::fs::MetadataExt::ino(meta));
        #[cfg(not(unix))]
        let inode = None;
        Self { bytes: meta.len(), modified: meta.modified().ok(), inode }
    }

    /// Checks that the file under `path` is the one of this state.
    pub(super) fn check(&self, path: &Path) -> Result<(), WeightsError> {
        if std::fs::metadata(path).is_ok_and(|meta| Self::of(&meta) == *self) {
            return Ok(());
        }
        let why = "the checkpoint changed while it was read; try again when nothing writes to it".to_owned();
        Err(WeightsError::File { path: path.to_owned(), why })
    }
}
