//! The folder in which prepared weights are kept: one maker at a time, whole files only, hashes beside them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::WeightsError;
use super::file::WeightFile;
use crate::hash::hex;

/// Whether a cached file can be used: a cut or damaged one is made again.
pub(super) fn is_whole(path: &Path) -> bool {
    path.is_file() && WeightFile::open(path).is_ok()
}

/// Waits until no other process makes weights in this cache; the lock ends with the value.
///
/// # Errors
/// A folder in which no file can be made.
pub fn lock(folder: &Path) -> Result<File, WeightsError> {
    let path = folder.join(".lock");
    let fail = |error: std::io::Error| WeightsError::File {
        path: path.clone(),
        why: format!("cannot lock the cache: {error}; choose another with --cache"),
    };
    let file = File::options().create(true).append(true).open(&path).map_err(fail)?;
    match file.lock() {
        // Where files cannot be locked, two processes may make the same bytes; the last rename wins, and nothing is lost.
        Err(error) if error.kind() != std::io::ErrorKind::Unsupported => Err(fail(error)),
        _ => Ok(file),
    }
}

/// Removes what a killed process left half-written. Only called under the lock, so nobody is writing.
pub(super) fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".tmp") || (name.starts_with('.') && name.ends_with(".part")) {
            // Best effort: it costs space, not correctness.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The hash of a file of ours: kept beside it, because hashing a gigabyte takes longer than a run of nano. It is taken
/// again when the file's length or time of change is another one.
pub(super) fn stored_hash(path: &Path) -> Result<String, WeightsError> {
    let beside = path.with_extension("sha256");
    let state = std::fs::metadata(path).ok().and_then(|meta| {
        let changed = meta.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{} {}", meta.len(), changed.as_nanos()))
    });
    if let Ok(text) = std::fs::read_to_string(&beside)
        && let Some((hash, known)) = text.trim().split_once(' ')
        && hash.len() == 64
        && state.as_deref() == Some(known)
    {
        return Ok(hash.to_owned());
    }
    let hash = sha256_of(path)?;
    if let Some(state) = state {
        // Best effort: without it the next run hashes again.
        let _ = std::fs::write(&beside, format!("{hash} {state}\n"));
    }
    Ok(hash)
}

/// SHA-256 of a file, in hex.
pub(super) fn sha256_of(path: &Path) -> Result<String, WeightsError> {
    let fail =
        |error: std::io::Error| WeightsError::File { path: path.to_owned(), why: format!("cannot read: {error}") };
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(fail)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}
