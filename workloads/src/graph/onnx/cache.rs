//! Files kept by what they were made from, so that the next session finds them.
//!
//! Contract: the key covers graph, weights, dialect and version of the writer. A folder appears under its key only when
//! it is complete, by renaming, so that processes which race for the same key are safe: one wins, the others use its files.

use std::path::Path;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::{Dialect, Exported, OnnxError, WRITER_VERSION, unique, write};
use crate::graph::{Graph, WeightId};
use crate::weights::{WeightData, Weights};

/// Name of the note that makes a folder complete.
const NOTE: &str = "export.json";

/// Files made or found.
#[derive(Clone, Debug, PartialEq)]
pub struct Cached {
    /// The files.
    pub exported: Exported,
    /// Whether they were there already.
    pub found: bool,
    /// Seconds spent, the key included.
    pub seconds: f64,
}

/// Writes the graph into a folder of its own below `cache`, or finds it there.
///
/// # Errors
/// As [`super::write()`]; also if `cache` cannot be made.
pub fn write_cached(graph: &Graph, weights: &Weights, dialect: &Dialect, cache: &Path) -> Result<Cached, OnnxError> {
    let start = Instant::now();
    let dir = cache.join(format!("onnx-{}-{}", graph.name.replace(['/', '\\'], "_"), key(graph, weights, dialect)?));
    if let Some(exported) = find(&dir) {
        return Ok(Cached { exported, found: true, seconds: start.elapsed().as_secs_f64() });
    }
    let part = dir.with_extension(unique());
    std::fs::create_dir_all(&part).map_err(OnnxError::io(&part))?;
    let made = make(graph, weights, dialect, &part, &dir);
    if part.exists() {
        // Lost the race, or failed: either way nobody needs the part.
        let _ = std::fs::remove_dir_all(&part);
    }
    let (exported, found) = made?;
    Ok(Cached { exported, found, seconds: start.elapsed().as_secs_f64() })
}

fn make(
    graph: &Graph,
    weights: &Weights,
    dialect: &Dialect,
    part: &Path,
    dir: &Path,
) -> Result<(Exported, bool), OnnxError> {
    let mut exported = write(graph, weights, dialect, part)?;
    let note = part.join(NOTE);
    let json = serde_json::to_vec_pretty(&exported).unwrap_or_default();
    std::fs::write(&note, json).map_err(OnnxError::io(&note))?;
    if let Err(error) = std::fs::rename(part, dir) {
        return find(dir).map(|exported| (exported, true)).ok_or(OnnxError::Io { path: dir.to_owned(), source: error });
    }
    place(&mut exported, dir);
    Ok((exported, false))
}

/// The files in a complete folder.
fn find(dir: &Path) -> Option<Exported> {
    let mut exported: Exported = serde_json::from_slice(&std::fs::read(dir.join(NOTE)).ok()?).ok()?;
    place(&mut exported, dir);
    (exported.model.is_file() && exported.data.is_file()).then_some(exported)
}

/// Paths are where the folder is now, not where it was made.
fn place(exported: &mut Exported, dir: &Path) {
    exported.model = dir.join(super::MODEL_FILE);
    exported.data = dir.join(super::DATA_FILE);
}

/// SHA-256 of everything that the files depend on, cut to 32 hex digits.
fn key(graph: &Graph, weights: &Weights, dialect: &Dialect) -> Result<String, OnnxError> {
    let mut hash = Sha256::new();
    hash.update(WRITER_VERSION.to_le_bytes());
    hash.update(graph.sha256());
    hash.update(serde_json::to_vec(dialect).unwrap_or_default());
    for index in 0..graph.weights.len() {
        hash_tensor(&mut hash, graph, weights, WeightId(index))?;
    }
    Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Names and shapes are in the graph's hash already; the format and the bytes are not.
fn hash_tensor(hash: &mut Sha256, graph: &Graph, weights: &Weights, id: WeightId) -> Result<(), OnnxError> {
    let tensor = weights.tensor(graph, id)?;
    hash.update([tensor.format() as u8]);
    match &tensor.data {
        WeightData::F32(values) => {
            let mut bytes = Vec::with_capacity(1 << 16);
            for values in values.chunks(1 << 14) {
                bytes.clear();
                bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
                hash.update(&bytes);
            }
        }
        WeightData::F16(values) => {
            for values in values.chunks(1 << 14) {
                hash.update(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
        WeightData::Q4(bytes) | WeightData::Q8(bytes) => hash.update(bytes),
        WeightData::Palette4 { centroids, indices } => {
            hash.update(centroids.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
            hash.update(indices);
        }
    }
    Ok(())
}
