//! The numbers of a model, by name, in one of a few storage formats that every backend shares bit for bit.
//!
//! Contract: a [`Weights`] gives, for each name of a graph, one [`WeightTensor`]; the same integers and scales reach every
//! backend. Linear weights are `[N, K]`, groups run along K.

pub mod cache;
pub mod file;
pub mod init;
pub mod prepare;
pub mod quantize;
pub mod save;
pub mod scheme;
mod state;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use half::f16;
use serde::{Deserialize, Serialize};

pub use scheme::format_of;

/// Elements along K that share one scale in `q4` and `q8`.
pub const GROUP: usize = 32;
/// Bytes of a group in `q4`: an f16 scale, then 16 bytes; byte i holds element i in its low and element i + 16 in its high half (ggml's Q4_0).
pub const Q4_GROUP_BYTES: usize = 18;
/// Bytes of a group in `q8`: an f16 scale, then 32 signed bytes (ggml's Q8_0).
pub const Q8_GROUP_BYTES: usize = 34;

/// How one tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// Symmetric 4-bit, groups of 32 along K: value = (q − 8)·scale. 4.5 bits a weight.
    Q4,
    /// Symmetric 8-bit, groups of 32 along K: value = q·scale. 8.5 bits a weight.
    Q8,
    /// 16 centroids per tensor, 4-bit indices (the paper's).
    Palette4,
}

/// How a whole model is stored: which format each kind of weight gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Everything in 32-bit float.
    F32,
    /// Everything in 16-bit float; backends that have no f16 path say so.
    F16,
    /// Linear weights of the bulk in [`Format::Q4`], the rest in 32-bit float.
    Q4,
    /// Linear weights of the bulk in [`Format::Q8`], the rest in 32-bit float.
    Q8,
    /// Each linear weight of the bulk in 4 or 8 bits, by its sensitivity, to a budget of average bits (the paper's 4.3).
    /// The paper measures the sensitivity; without measurements a stand-in is used, and [`scheme::BitChoice::measured`] says
    /// which it was.
    Mixed,
    /// Linear weights and convolutions in [`Format::Palette4`], the rest in 32-bit float.
    Palette4,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::F32, Self::F16, Self::Q4, Self::Q8, Self::Mixed, Self::Palette4];

    /// The name that commands and tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q4 => "q4",
            Self::Q8 => "q8",
            Self::Mixed => "mixed",
            Self::Palette4 => "palette4",
        }
    }
}

/// One weight as stored. Borrowed from a mapped file where possible.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor<'a> {
    /// Extent of each axis, unpacked. Linear: `[N, K]`.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: WeightData<'a>,
}

/// The elements of a [`WeightTensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightData<'a> {
    /// 32-bit floats.
    F32(Cow<'a, [f32]>),
    /// 16-bit floats.
    F16(Cow<'a, [f16]>),
    /// Groups of [`Q4_GROUP_BYTES`], N rows of K/32.
    Q4(Cow<'a, [u8]>),
    /// Groups of [`Q8_GROUP_BYTES`], N rows of K/32.
    Q8(Cow<'a, [u8]>),
    /// 16 centroids; then indices, two in a byte, the earlier element in the low half.
    Palette4 {
        /// The values that the indices stand for.
        centroids: [f32; 16],
        /// ⌈len/2⌉ bytes.
        indices: Cow<'a, [u8]>,
    },
}

impl WeightTensor<'_> {
    /// How it is stored.
    pub fn format(&self) -> Format {
        match self.data {
            WeightData::F32(_) => Format::F32,
            WeightData::F16(_) => Format::F16,
            WeightData::Q4(_) => Format::Q4,
            WeightData::Q8(_) => Format::Q8,
            WeightData::Palette4 { .. } => Format::Palette4,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in 32-bit float: exact for every format.
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match &self.data {
            WeightData::F32(values) => Cow::Borrowed(values),
            WeightData::F16(values) => values.iter().map(|v| v.to_f32()).collect(),
            WeightData::Q4(groups) => groups.chunks_exact(Q4_GROUP_BYTES).flat_map(unpack_q4_group).collect(),
            WeightData::Q8(groups) => groups
                .chunks_exact(Q8_GROUP_BYTES)
                .flat_map(|group| {
                    let scale = f16::from_le_bytes([group[0], group[1]]).to_f32();
                    group[2..].iter().map(move |&q| f32::from(q as i8) * scale)
                })
                .collect(),
            WeightData::Palette4 { centroids, indices } => {
                (0..self.len()).map(|i| centroids[usize::from(indices[i / 2] >> (4 * (i % 2)) & 15)]).collect()
            }
        }
    }
}

/// The 32 values of one `q4` group.
fn unpack_q4_group(group: &[u8]) -> [f32; GROUP] {
    let scale = f16::from_le_bytes([group[0], group[1]]).to_f32();
    std::array::from_fn(|i| {
        let byte = group[2 + i % 16];
        let q = if i < 16 { byte & 15 } else { byte >> 4 };
        (f32::from(q) - 8.0) * scale
    })
}

/// What went wrong with weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A graph names a weight that the file does not have.
    #[error("the weights have no tensor \"{name}\", which {graph} wants with shape {shape:?}")]
    Missing {
        /// The graph's name.
        graph: String,
        /// The tensor's name.
        name: String,
        /// The shape wanted.
        shape: Vec<usize>,
    },
    /// A tensor that a graph reads is of a type that holds no weights.
    #[error("tensor \"{name}\", which {graph} reads, is of type {found}; only F32, F16 and BF16 can be read")]
    Type {
        /// The graph's name.
        graph: String,
        /// The tensor's name.
        name: String,
        /// Its type in the file.
        found: String,
    },
    /// A tensor has another shape than the graph wants.
    #[error("tensor \"{name}\": the model wants shape {wanted:?}, the weights have {found:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The shape wanted.
        wanted: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A file that cannot be read as weights.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
}

/// Something that gives tensors by name: a mapped file, or memory.
pub trait WeightStore: Send + Sync {
    /// The tensor of that name, if there is one.
    fn get(&self, name: &str) -> Option<WeightTensor<'_>>;

    /// All names.
    fn names(&self) -> Vec<String>;

    /// The type of a tensor that is there and cannot be read as weights: integers, say.
    fn unreadable(&self, _name: &str) -> Option<String> {
        None
    }

    /// Gives back the memory of a tensor that is not needed for now, if the store can get it again.
    fn release(&self, _name: &str) {}
}

impl WeightStore for BTreeMap<String, WeightTensor<'static>> {
    fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
        self.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// What weights are for: graphs that share one file, and how a file is fitted to them.
pub trait Net {
    /// What files made for it are called by: nets of one family share weights where their shapes allow it.
    fn family(&self) -> &str;

    /// Its graphs, in the order in which their weights are checked.
    fn graphs(&self) -> Vec<&crate::Graph>;

    /// Whether a file's tensor of that name is for it, or for another net that is cut from the same file.
    fn reads(&self, tensor: &str) -> bool {
        self.graphs().into_iter().flat_map(|graph| &graph.weights).any(|spec| spec.name == tensor)
    }

    /// Its weights in a file that is mapped already; every name and shape is checked. A net that can be cut from a
    /// larger one overrides this.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    fn fit(&self, file: file::WeightFile, path: &std::path::Path) -> Result<Weights, WeightsError> {
        let weights = Weights::new(file);
        weights.check(&self.graphs(), path)?;
        Ok(weights)
    }
}

/// The weights of a model; cheap to clone.
#[derive(Clone)]
pub struct Weights {
    store: Arc<dyn WeightStore>,
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} tensors)", self.store.names().len())
    }
}

impl WeightStore for Weights {
    fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
        self.store.get(name)
    }

    fn names(&self) -> Vec<String> {
        self.store.names()
    }

    fn unreadable(&self, name: &str) -> Option<String> {
        self.store.unreadable(name)
    }

    fn release(&self, name: &str) {
        self.store.release(name);
    }
}

impl Weights {
    /// Weights from a store.
    pub fn new(store: impl WeightStore + 'static) -> Self {
        Self { store: Arc::new(store) }
    }

    /// Looks a file over: whether it has all weights of a net; gives the tensors that the net does not read, each with its
    /// type.
    ///
    /// # Errors
    /// As [`Weights::open_for`].
    pub fn look_over(path: &std::path::Path, net: &dyn Net) -> Result<Vec<String>, WeightsError> {
        let file = file::WeightFile::open(path)?;
        let unread = file.unread_by(net);
        net.fit(file, path).map(|_| unread)
    }

    /// The weights of a net in a file; every name and shape is checked.
    ///
    /// # Errors
    /// As [`Weights::open`]; tensors that are missing or of another shape.
    pub fn open_for(path: &std::path::Path, net: &dyn Net) -> Result<Self, WeightsError> {
        net.fit(file::WeightFile::open(path)?, path)
    }

    /// The tensor that a graph wants, its shape checked.
    ///
    /// # Errors
    /// [`WeightsError::Missing`], [`WeightsError::Type`] and [`WeightsError::Shape`].
    pub fn tensor(&self, graph: &crate::Graph, id: crate::WeightId) -> Result<WeightTensor<'_>, WeightsError> {
        let spec = graph.weight(id);
        let tensor = self.store.get(&spec.name).ok_or_else(|| {
            let (graph, name) = (graph.name.clone(), spec.name.clone());
            match self.store.unreadable(&name) {
                Some(found) => WeightsError::Type { graph, name, found },
                None => WeightsError::Missing { graph, name, shape: spec.shape.clone() },
            }
        })?;
        if tensor.shape != spec.shape {
            return Err(WeightsError::Shape {
                name: spec.name.clone(),
                wanted: spec.shape.clone(),
                found: tensor.shape,
            });
        }
        Ok(tensor)
    }

    /// Says that a graph's tensor has been copied and is not needed for now: of a mapped file, its pages stop counting as this
    /// process's memory. Without this, a copy of every weight and the whole file are resident at once while a model is loaded.
    pub fn release(&self, graph: &crate::Graph, id: crate::WeightId) {
        self.store.release(&graph.weight(id).name);
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.store.names()
    }
}
