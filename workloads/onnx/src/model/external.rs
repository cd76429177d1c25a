//! Weights in files of their own: which, how much of each, and whether they are there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use super::error::Fault;
use super::message;

/// How git-lfs pointers begin.
pub(crate) const LFS: &[u8] = b"version https://git-lfs";

/// A data file that a graph reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its name, relative to the graph's folder.
    pub location: String,
    /// Number of tensors in it.
    pub tensors: usize,
    /// Bytes that it must have.
    pub needed: u64,
}

/// What a data file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataState {
    /// There, with at least as many bytes as are needed.
    Present,
    /// Not there.
    Missing,
    /// Shorter than the tensors in it.
    Short {
        /// Bytes that it has.
        bytes: u64,
    },
    /// A git-lfs pointer in its place.
    LfsPointer,
    /// There, but not to be read.
    Unreadable(String),
}

impl DataFile {
    /// Looks at the file below the graph's folder. Links are followed; nothing but the beginning is read.
    pub fn state(&self, folder: &Path) -> DataState {
        let path = folder.join(&self.location);
        let unreadable = |error: std::io::Error| DataState::Unreadable(error.to_string());
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return DataState::Missing,
            Err(error) => return unreadable(error),
        };
        if !metadata.is_file() {
            return DataState::Unreadable("it is not a file".to_owned());
        }
        let mut start = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LFS.len() as u64).read_to_end(&mut start));
        match read {
            Err(error) => unreadable(error),
            Ok(_) if start == LFS => DataState::LfsPointer,
            Ok(_) if metadata.len() < self.needed => DataState::Short { bytes: metadata.len() },
            Ok(_) => DataState::Present,
        }
    }

    /// The file, whole.
    ///
    /// # Errors
    /// [`Fault::Data`] if it is missing, short or a git-lfs pointer.
    pub fn check(&self, folder: &Path) -> Result<(), Fault> {
        let state = match self.state(folder) {
            DataState::Present => return Ok(()),
            DataState::Missing => "which is not there: copy it beside the model".to_owned(),
            DataState::Short { bytes } => format!("which has only {bytes}: copy or fetch it again"),
            DataState::LfsPointer => "which is a git-lfs pointer: run `git lfs pull` where it came from".to_owned(),
            DataState::Unreadable(why) => format!("which cannot be read: {why}"),
        };
        Err(Fault::Data { path: folder.join(&self.location), needed: self.needed, state })
    }
}

/// Adds one tensor's place to the files; `bytes` are those that its shape needs, where that is known.
pub(crate) fn add(
    files: &mut BTreeMap<String, DataFile>,
    tensor: &message::Tensor,
    bytes: Option<u64>,
) -> Result<(), Fault> {
    let invalid = |why: String| Fault::Invalid { place: format!("tensor \"{}\"", tensor.name), why };
    let entry =
        |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key: &str| {
        entry(key)
            .map(|text| {
                text.trim().parse::<u64>().map_err(|_| invalid(format!("its {key} is \"{text}\", not a number")))
            })
            .transpose()
    };
    let location = entry("location").filter(|location| !location.is_empty());
    let location = location.ok_or_else(|| invalid("it is in a file of its own, but which is not said".to_owned()))?;
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    // A backslash or a drive means the same on one system and nothing on another: neither is portable, neither is needed.
    if !Path::new(location).components().all(inside) || location.contains(['\\', ':', '\0']) {
        return Err(Fault::Location { tensor: tensor.name.clone(), location: location.to_owned() });
    }
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if let (Some(length), Some(bytes)) = (length, bytes)
        && length != bytes
    {
        return Err(invalid(format!("it has {length} bytes of data, but its shape needs {bytes}")));
    }
    let end = offset.checked_add(length.or(bytes).unwrap_or(0));
    let end = end.ok_or_else(|| invalid(format!("its offset of {offset} is beyond any file")))?;
    let file = files.entry(location.to_owned()).or_insert_with(|| DataFile {
        location: location.to_owned(),
        tensors: 0,
        needed: 0,
    });
    file.tensors += 1;
    file.needed = file.needed.max(end);
    Ok(())
}
