//! Weights in a safetensors file: mapped when read, streamed when written.
//!
//! Contract: f32, f16 and bf16 tensors are what safetensors says they are, so a file from a training program loads as it
//! is. Tensors of other types (its integers) hold no weights: they refuse nothing, unless a graph reads one. Few-bit tensors are `U8`, and the metadata entry `ditbench` says their format and unpacked shape. A file is written
//! under a temporary name and renamed when it is whole.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::scheme::BitChoice;
use super::state::State;
use super::{
    Format, GROUP, Net, Q4_GROUP_BYTES, Q8_GROUP_BYTES, WeightData, WeightStore, WeightTensor, Weights, WeightsError,
};
use crate::Graph;
use crate::hash::hex;

/// The metadata key of ours.
const KEY: &str = "ditbench";
/// Bytes of a palette's centroids, before its indices.
const CENTROIDS: usize = 16 * 4;

/// What the metadata says of a file that we wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Format and unpacked shape of each few-bit tensor.
    pub packed: BTreeMap<String, Packed>,
    /// Which tensors the mixed scheme gave 8 bits.
    #[serde(default)]
    pub choice: Option<BitChoice>,
    /// Where the numbers come from: `initialised from seed 7`, a checkpoint's file name and hash.
    #[serde(default)]
    pub origin: String,
}

/// A few-bit tensor's format and shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// How it is stored.
    pub format: Format,
    /// Extent of each axis, unpacked.
    pub shape: Vec<usize>,
}

/// Where one tensor is in the file.
struct Entry {
    dtype: Dtype,
    /// As stored: of the bytes for few-bit tensors.
    shape: Vec<usize>,
    packed: Option<Packed>,
    start: usize,
    end: usize,
}

/// A mapped file.
pub struct WeightFile {
    map: Mmap,
    state: State,
    entries: HashMap<String, Entry>,
    header: Header,
}

impl WeightFile {
    /// Maps a file and checks its header; reads no tensor.
    ///
    /// # Errors
    /// [`WeightsError::File`]: not there, cut off, not safetensors, or a packed tensor whose bytes do not fit its shape.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let fail = |why: String| WeightsError::File { path: path.to_owned(), why };
        let cannot_open = |error: std::io::Error| fail(format!("cannot open the weights: {error}"));
        let file = File::open(path).map_err(cannot_open)?;
        let state = State::of(&file.metadata().map_err(cannot_open)?);
        // SAFETY: the file is mapped read-only. Whoever changes a weight file while it is in use gets what the system
        // gives; ours are written once and renamed into place.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| fail(format!("cannot map the weights: {error}")))?;
        let damaged = |why: &dyn std::fmt::Display| {
            fail(format!("not a complete safetensors file ({why}); it may be truncated: fetch or make it again"))
        };
        let (_, metadata) = SafeTensors::read_metadata(&map).map_err(|error| damaged(&error))?;
        let tensors = SafeTensors::deserialize(&map).map_err(|error| damaged(&error))?;
        let header: Header = match metadata.metadata().as_ref().and_then(|entries| entries.get(KEY)) {
            Some(text) => serde_json::from_str(text).map_err(|error| damaged(&error))?,
            None => Header::default(),
        };
        let base = map.as_ptr() as usize;
        let mut entries = HashMap::new();
        for (name, view) in tensors.iter() {
            let start = view.data().as_ptr() as usize - base;
            let entry = Entry {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                packed: header.packed.get(name).cloned(),
                start,
                end: start + view.data().len(),
            };
            entry.check().map_err(|why| fail(format!("tensor \"{name}\": {why}")))?;
            entries.insert(name.to_owned(), entry);
        }
        Ok(Self { map, state, entries, header })
    }

    /// The tensors that a net does not read, each with its type: `text_model.embeddings.position_ids (I64)`.
    pub(super) fn unread_by(&self, net: &dyn Net) -> Vec<String> {
        let unread = self.entries.iter().filter(|(name, _)| !net.reads(name));
        let mut said: Vec<String> = unread.map(|(name, entry)| format!("{name} ({:?})", entry.dtype)).collect();
        said.sort();
        said
    }

    /// Size in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// SHA-256 of the bytes that tensors are read from, in hex. The path may lead to another file by now.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.map))
    }

    /// What the file was when it was mapped.
    pub(super) fn state(&self) -> State {
        self.state
    }

    /// What the metadata says.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

impl Entry {
    /// Whether a packed tensor's bytes are as many as its shape wants; of the others, safetensors has seen to it.
    fn check(&self) -> Result<(), String> {
        let Some(packed) = &self.packed else { return Ok(()) };
        if self.dtype != Dtype::U8 {
            return Err(format!("is packed, so U8, not {:?}", self.dtype));
        }
        let (bytes, wanted) = (self.end - self.start, packed_bytes(packed)?);
        if bytes == wanted { Ok(()) } else { Err(format!("has {bytes} bytes where its shape wants {wanted}")) }
    }

    /// Whether it can be read as weights.
    fn is_readable(&self) -> bool {
        self.packed.is_some() || matches!(self.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }
}

/// Bytes of a packed tensor, or why there is no such tensor.
fn packed_bytes(packed: &Packed) -> Result<usize, String> {
    let len = packed.shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let len = len.ok_or("its shape is too large")?;
    let group = match packed.format {
        Format::Q4 => Q4_GROUP_BYTES,
        Format::Q8 => Q8_GROUP_BYTES,
        Format::Palette4 => return Ok(CENTROIDS + len.div_ceil(2)),
        Format::F32 | Format::F16 => return Err("is not a packed format".to_owned()),
    };
    match packed.shape.as_slice() {
        [_, k] if k.is_multiple_of(GROUP) => Ok(len / GROUP * group),
        shape => Err(format!("a shape of {shape:?} has no rows that can be cut into groups of {GROUP}")),
    }
}

impl WeightStore for WeightFile {
    fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
        let entry = self.entries.get(name)?;
        let bytes = &self.map[entry.start..entry.end];
        if let Some(packed) = &entry.packed {
            let data = match packed.format {
                Format::Q4 => WeightData::Q4(Cow::Borrowed(bytes)),
                Format::Q8 => WeightData::Q8(Cow::Borrowed(bytes)),
                _ => {
                    let (centroids, indices) = bytes.split_at(CENTROIDS);
                    let centroids = std::array::from_fn(|i| {
                        f32::from_le_bytes(std::array::from_fn(|byte| centroids[4 * i + byte]))
                    });
                    WeightData::Palette4 { centroids, indices: Cow::Borrowed(indices) }
                }
            };
            return Some(WeightTensor { shape: packed.shape.clone(), data });
        }
        let data = match entry.dtype {
            Dtype::F32 => WeightData::F32(cast(bytes, f32::from_le_bytes)),
            Dtype::F16 => WeightData::F16(cast(bytes, f16::from_le_bytes)),
            Dtype::BF16 => {
                WeightData::F32(bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect())
            }
            _ => return None,
        };
        Some(WeightTensor { shape: entry.shape.clone(), data })
    }

    fn names(&self) -> Vec<String> {
        let readable = self.entries.iter().filter(|(_, entry)| entry.is_readable());
        let mut names: Vec<String> = readable.map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    fn unreadable(&self, name: &str) -> Option<String> {
        let entry = self.entries.get(name).filter(|entry| !entry.is_readable())?;
        Some(format!("{:?}", entry.dtype))
    }

    fn release(&self, name: &str) {
        #[cfg(unix)]
        if let Some(entry) = self.entries.get(name) {
            // SAFETY: the map is of a file and nobody writes to it, so what is read later comes from the file again, as it was.
            // A system that refuses leaves everything as it is.
            let _ = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    entry.start,
                    entry.end - entry.start,
                )
            };
        }
        #[cfg(not(unix))]
        let _ = name;
    }
}

/// Little-endian elements in place, or copied where the machine or the alignment does not allow that.
fn cast<T: bytemuck::AnyBitPattern + Clone, const N: usize>(bytes: &[u8], from: fn([u8; N]) -> T) -> Cow<'_, [T]> {
    if cfg!(target_endian = "little")
        && let Ok(values) = bytemuck::try_cast_slice(bytes)
    {
        return Cow::Borrowed(values);
    }
    bytes.chunks_exact(N).map(|chunk| from(std::array::from_fn(|i| chunk[i]))).collect()
}

impl Weights {
    /// Maps a safetensors file.
    ///
    /// # Errors
    /// As [`WeightFile::open`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Ok(Self::new(WeightFile::open(path)?))
    }

    /// Every weight of some graphs that is missing or of another shape, in the order of the graphs.
    pub fn faults(&self, graphs: &[&Graph]) -> Vec<WeightsError> {
        let wanted = graphs.iter().flat_map(|graph| (0..graph.weights.len()).map(move |index| (graph, index)));
        wanted.filter_map(|(graph, index)| self.tensor(graph, crate::WeightId(index)).err()).collect()
    }

    /// Checks that every weight of some graphs is there in the shape wanted.
    ///
    /// # Errors
    /// One line with the first three tensors that are missing or of another shape and how many more there are;
    /// [`Weights::faults`] lists them all.
    pub fn check(&self, graphs: &[&Graph], path: &Path) -> Result<(), WeightsError> {
        let faults = self.faults(graphs);
        match faults.len() {
            0 => Ok(()),
            count => {
                let shown = faults.iter().take(3).map(WeightsError::to_string).collect::<Vec<_>>().join("; ");
                let more = if count > 3 { format!("; and {} more", count - 3) } else { String::new() };
                Err(WeightsError::File {
                    path: path.to_owned(),
                    why: format!("these weights do not belong to this model: {shown}{more}"),
                })
            }
        }
    }
}

/// A tensor that is made when its turn to be written comes, so that only one is in memory at a time.
pub struct Lazy<'a> {
    /// Shape as the graph wants it.
    pub shape: Vec<usize>,
    /// How it is to be stored.
    pub format: Format,
    /// Makes it: its bytes as stored, or why it cannot be.
    pub make: Make<'a>,
}

/// Makes a tensor's bytes, or says why it cannot.
pub type Make<'a> = Box<dyn Fn() -> Result<Vec<u8>, String> + 'a>;

struct LazyView<'a> {
    name: &'a str,
    tensor: &'a Lazy<'a>,
    stored_shape: Vec<usize>,
    bytes: usize,
    /// The first tensor that could not be made; shared by all.
    failure: &'a RefCell<Option<String>>,
}

impl View for LazyView<'_> {
    fn dtype(&self) -> Dtype {
        match self.tensor.format {
            Format::F32 => Dtype::F32,
            Format::F16 => Dtype::F16,
            _ => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.stored_shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        // A view cannot fail, and the file's length is set beforehand: a short tensor would shift all that follow it.
        // So zeros are written in its place, and the file is thrown away at the end.
        let mut failure = self.failure.borrow_mut();
        if failure.is_none() {
            match (self.tensor.make)() {
                Ok(made) if made.len() == self.bytes => return Cow::Owned(made),
                Ok(made) => {
                    *failure = Some(format!("tensor \"{}\" has {} bytes, not {}", self.name, made.len(), self.bytes));
                }
                Err(why) => *failure = Some(format!("tensor \"{}\": {why}", self.name)),
            }
        }
        Cow::Owned(vec![0; self.bytes])
    }

    fn data_len(&self) -> usize {
        self.bytes
    }
}

/// Writes tensors under their names; nothing is left behind if that fails. `allowed` has the last word, when all is written
/// and has no name yet.
///
/// # Errors
/// [`WeightsError::File`]: the disk is full, the folder is read-only, a tensor cannot be made; what `allowed` says.
pub fn write(
    path: &Path,
    tensors: &BTreeMap<String, Lazy>,
    choice: Option<BitChoice>,
    origin: &str,
    allowed: impl FnOnce() -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    let mut header = Header { choice, origin: origin.to_owned(), ..Header::default() };
    let mut views = Vec::new();
    let failure = RefCell::new(None);
    for (name, tensor) in tensors {
        let len: usize = tensor.shape.iter().product();
        let (stored_shape, bytes) = match tensor.format {
            Format::F32 => (tensor.shape.clone(), 4 * len),
            Format::F16 => (tensor.shape.clone(), 2 * len),
            format => {
                let packed = Packed { format, shape: tensor.shape.clone() };
                let bytes = packed_bytes(&packed).map_err(|why| WeightsError::File {
                    path: path.to_owned(),
                    why: format!("tensor \"{name}\": {why}"),
                })?;
                header.packed.insert(name.clone(), packed);
                (vec![bytes], bytes)
            }
        };
        views.push((name.clone(), LazyView { name, tensor, stored_shape, bytes, failure: &failure }));
    }
    let fail = |why: &dyn std::fmt::Display| WeightsError::File {
        path: path.to_owned(),
        why: format!("cannot write the weights: {why}; free some space or choose another folder with --cache"),
    };
    let text = serde_json::to_string(&header).map_err(|error| fail(&error))?;
    let metadata = HashMap::from([(KEY.to_owned(), text)]);
    super::save::save(path, views, metadata, fail, |file| match failure.take() {
        Some(why) => Err(WeightsError::File { path: path.to_owned(), why }),
        None => allowed().and_then(|()| file.sync_all().map_err(|error| fail(&error))),
    })
}

#[cfg(test)]
mod tests;
