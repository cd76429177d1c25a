//! Files that a folder holds, which nobody named.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Opens a file for reading. What is no regular file (a pipe, a device) is refused before it is opened: that could wait for
/// ever, and so could reading it.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidInput`] for something else than a file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    File::open(path)
}
