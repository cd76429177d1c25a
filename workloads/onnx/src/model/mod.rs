//! An ONNX file's interface and what it is made of, read without its weights.
//!
//! Contract: the file is mapped and walked field by field; names, shapes and nodes are decoded, elements are not. However
//! the bytes are made, reading ends with a [`Model`] or a [`ReadError`], and what is kept of the file stays below
//! [`MEMORY`] bytes.

mod error;
mod external;
mod fields;
mod message;
mod node;
mod parse;
mod precision;
mod prepare;
mod scopes;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;

pub use error::{Fault, ReadError};
pub use external::{DataFile, DataState};
pub use precision::{Arithmetic, Precision, Share, Storage, Way};
pub use prepare::{Prepared, prepare, prepare_into};
pub use scopes::Scopes;

use crate::DType;

/// Most bytes of names, shapes and nodes that are kept of one file. The largest graphs known take a twentieth of it.
pub const MEMORY: usize = 256 << 20;

/// An ONNX file, without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Version of the file format.
    pub ir_version: i64,
    /// The exporter and its version, as the file says.
    pub producer: String,
    /// Version of each operator set; `""` is ONNX's own.
    pub opsets: BTreeMap<String, i64>,
    /// What must be fed, in the file's order. Initializers that are also listed as inputs are left out.
    pub inputs: Vec<Port>,
    /// What comes out, in the file's order.
    pub outputs: Vec<Port>,
    /// How often each operator occurs, in branches, loops and functions too.
    pub operators: BTreeMap<Operator, usize>,
    /// Bytes of initializers and constants by element type.
    pub stored: BTreeMap<DType, u64>,
    /// The files that hold weights besides this one.
    pub data: Vec<DataFile>,
    /// How the weights are stored that matrix products, convolutions and look-ups read.
    pub precision: Precision,
    /// Bytes of the file itself.
    pub bytes: u64,
}

/// An operator and the set that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operator {
    /// `""` is ONNX's own set; a file's `ai.onnx` is the same.
    pub domain: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.domain.as_str() {
            "" => f.write_str(&self.name),
            domain => write!(f, "{domain}:{}", self.name),
        }
    }
}

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The element type; `None` if it is no tensor.
    pub dtype: Option<DType>,
    /// Extent of each axis; `None` if not even their number is said.
    pub dims: Option<Vec<Dim>>,
}

impl Port {
    /// Number of axes, if it is said.
    pub fn rank(&self) -> Option<usize> {
        self.dims.as_ref().map(Vec::len)
    }
}

/// `sample [batch_size, 4, height, width] f32`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(dims) = &self.dims {
            let dims: Vec<String> = dims.iter().map(Dim::to_string).collect();
            write!(f, " [{}]", dims.join(", "))?;
        }
        match self.dtype {
            Some(dtype) => write!(f, " {dtype}"),
            None => f.write_str(" (not a tensor)"),
        }
    }
}

/// Extent of one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A number in the file.
    Fixed(usize),
    /// A name, or an expression of names.
    Named(String),
    /// Neither.
    Open,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(extent) => extent.fmt(f),
            Self::Named(name) => f.write_str(name),
            Self::Open => f.write_str("?"),
        }
    }
}

impl Model {
    /// Reads a file. Data files are not looked at: [`Model::check_data`] does that.
    ///
    /// # Errors
    /// [`ReadError`] says what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        with_bytes(path, Self::parse)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Fault`] says what is wrong with them.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        recognise(bytes)?;
        parse::Parser::new(MEMORY).model(bytes)
    }

    /// Number of nodes, in branches, loops and functions too.
    pub fn nodes(&self) -> usize {
        self.operators.values().sum()
    }

    /// An input by name.
    pub fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// All data files are there and whole.
    ///
    /// # Errors
    /// [`Fault::Data`] of the first that is not.
    pub fn check_data(&self, folder: &Path) -> Result<(), Fault> {
        self.data.iter().try_for_each(|file| file.check(folder))
    }
}

/// Maps a file and hands its bytes on.
fn with_bytes<T>(path: &Path, read: impl FnOnce(&[u8]) -> Result<T, Fault>) -> Result<T, ReadError> {
    let fail = |fault| ReadError { path: path.to_owned(), fault };
    let map = || {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(std::io::Error::other("it is not a file").into());
        }
        if metadata.len() == 0 {
            return Err(Fault::Empty);
        }
        // SAFETY: mapped read-only, and unmapped before this function ends. Whoever changes the file meanwhile gets what
        // the system gives; every byte is checked before it is believed.
        Ok::<_, Fault>(unsafe { memmap2::Mmap::map(&file) }?)
    };
    map().and_then(|map| read(&map)).map_err(fail)
}

/// Refuses what is plainly something else, by name.
fn recognise(bytes: &[u8]) -> Result<(), Fault> {
    let json_after_length = bytes.get(8) == Some(&b'{') && bytes.get(4..8) == Some(&[0; 4]);
    match bytes {
        [] => Err(Fault::Empty),
        _ if bytes.starts_with(external::LFS) => Err(Fault::LfsPointer),
        _ if bytes.starts_with(b"PK\x03\x04") => {
            Err(Fault::OtherFormat("a zip archive (an .npz or a PyTorch checkpoint)"))
        }
        _ if bytes.starts_with(b"GGUF") => Err(Fault::OtherFormat("a GGUF file")),
        _ if bytes.get(4..8) == Some(b"TFL3") => Err(Fault::OtherFormat("a LiteRT model")),
        _ if json_after_length => Err(Fault::OtherFormat("a safetensors file")),
        _ if bytes.starts_with(b"<") || bytes.starts_with(b"{") => Err(Fault::OtherFormat("a text file")),
        _ => Ok(()),
    }
}
