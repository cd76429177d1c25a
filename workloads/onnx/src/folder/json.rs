//! JSON files of a folder.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Most bytes of a JSON file. The largest tokenizers have 40 MB.
const MOST: u64 = 128 << 20;

/// A JSON file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct JsonError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Reads a file that holds one object.
pub(crate) fn object(path: &Path) -> Result<Map<String, Value>, JsonError> {
    let fail = |why: String| JsonError { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| fail(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MOST {
        return Err(fail(format!("is larger than {} MiB", MOST >> 20)));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(fail("is a git-lfs pointer: run `git lfs pull` where it came from".to_owned()));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(fail("is JSON, but not an object".to_owned())),
        Err(error) => Err(fail(format!("is not JSON: {error}"))),
    }
}
