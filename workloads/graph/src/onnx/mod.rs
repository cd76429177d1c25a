//! Writing a graph as ONNX: `model.onnx`, and its weights beside it in `model.onnx.data`.
//!
//! Contract: the file computes what the graph says, in opset 20, with every tensor of rank 5 or less. Weights are
//! streamed one tensor at a time to 4 KiB boundaries, so models larger than memory and than protobuf's 2 GiB can be
//! written. Names of nodes are those of the graph; where one node becomes several, the last keeps the name and the
//! others append `/…`. Files appear under their final names only when they are complete. What a runtime does best
//! differs, so a [`Dialect`] holds the choices.

mod cache;
mod data;
mod dialect;
mod lower;
mod nbits;
mod proto;
mod writer;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::Graph;
use crate::weights::{Format, Weights, WeightsError};

pub use cache::{Cached, write_cached};
pub use dialect::{AttentionForm, Dialect, GeluForm, LinearForm, QuantizedLinear};

/// Changes whenever the same graph would be written differently: part of the key of cached files.
pub const WRITER_VERSION: u32 = 3;
/// The first version of ONNX Runtime whose `MatMulNBits` runs 8-bit weights on a processor; tried with 1.22.1, which refuses them.
pub const EIGHT_BITS_SINCE: &str = "1.23";
/// ONNX's file format.
const IR_VERSION: i64 = 9;
/// Version of the standard operators: the first with `Gelu`.
const OPSET: i64 = 20;
/// Name of the graph's file.
const MODEL_FILE: &str = "model.onnx";
/// Name of the weights' file.
const DATA_FILE: &str = "model.onnx.data";

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The graph: `model.onnx`.
    pub model: PathBuf,
    /// The weights: `model.onnx.data`, in the same folder, where the graph's file expects it.
    pub data: PathBuf,
    /// Bytes of both files.
    pub bytes: u64,
    /// Number of ONNX nodes.
    pub nodes: usize,
    /// Names of the outputs in the file, in the graph's order. An output that is called as an input is gets `_out` after it.
    pub outputs: Vec<String>,
    /// Weights that are stored in fewer bits but written as 32-bit floats, in order of their names.
    pub unpacked: Vec<Unpacked>,
    /// Whether `MatMulNBits` takes 8-bit weights, for which ONNX Runtime must be at least of [`EIGHT_BITS_SINCE`].
    pub has_eight_bits: bool,
}

/// A weight that is wider in the file than in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Name of the weight.
    pub name: String,
    /// How it is stored.
    pub stored: Format,
}

/// Why a graph could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The weights do not fit the graph.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The graph itself is at fault.
    #[error("graph {graph} cannot be written as ONNX: {why}")]
    Graph {
        /// Name of the graph.
        graph: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or folder could not be made.
    #[error("cannot write {path}: {source}; is the disk full, or the folder read-only?")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl OnnxError {
    fn data(source: std::io::Error) -> Self {
        Self::Io { path: DATA_FILE.into(), source }
    }

    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Writes `model.onnx` and `model.onnx.data` into the folder `dir`, which must exist. Files of those names are replaced.
///
/// # Errors
/// Weights that are missing or of another shape; a dialect that contradicts itself; a disk that is full. Nothing is left behind then.
pub fn write(graph: &Graph, weights: &Weights, dialect: &Dialect, dir: &Path) -> Result<Exported, OnnxError> {
    let (model, data) = (dir.join(MODEL_FILE), dir.join(DATA_FILE));
    let part = unique();
    let parts = [dir.join(format!("{MODEL_FILE}.{part}")), dir.join(format!("{DATA_FILE}.{part}"))];
    let written = write_parts(graph, weights, dialect, &parts).and_then(|written| {
        // The weights first: a graph that is there must find them.
        std::fs::rename(&parts[1], &data).map_err(OnnxError::io(&data))?;
        std::fs::rename(&parts[0], &model).map_err(OnnxError::io(&model))?;
        Ok(written)
    });
    if written.is_err() {
        for part in &parts {
            // Whatever went wrong is told already; a part that was never made cannot be removed.
            let _ = std::fs::remove_file(part);
        }
    }
    Ok(Exported { model, data, ..written? })
}

/// All of [`Exported`] but where the files are.
fn write_parts(
    graph: &Graph,
    weights: &Weights,
    dialect: &Dialect,
    [model, data]: &[PathBuf; 2],
) -> Result<Exported, OnnxError> {
    if dialect.half && dialect.has_own_nodes() {
        let why = "nodes of ditbench's own compute in 32-bit floats, and the dialect asks for 16".to_owned();
        return Err(OnnxError::Graph { graph: graph.name.clone(), why });
    }
    let file = data::DataFile::create(data).map_err(OnnxError::io(data))?;
    let mut writer = writer::Writer::new(graph, weights, dialect, file, DATA_FILE);
    lower::lower(&mut writer)?;
    let unpacked = std::mem::take(&mut writer.unpacked).into_values().collect();
    let (outputs, has_eight_bits) = (writer.output_names.clone(), writer.has_eight_bits);
    let (bytes, nodes, data_bytes) = writer.finish()?;
    write_through(model, &bytes).map_err(OnnxError::io(model))?;
    Ok(Exported {
        model: model.clone(),
        data: data.clone(),
        bytes: bytes.len() as u64 + data_bytes,
        nodes,
        outputs,
        unpacked,
        has_eight_bits,
    })
}

/// Writes a file and waits until it is on the disk.
fn write_through(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A suffix that no other writer uses at the same time.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
