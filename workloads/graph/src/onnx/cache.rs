//! Files kept by what they were made from, so that the next session finds them.
//!
//! Contract: the key covers graph, weights, dialect and version of the writer. A folder appears under its key only when
//! it is complete, by renaming, so that processes which race for the same key are safe: one wins, the others use its files.
//! A folder that is not complete any more is put aside for a new one.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{Dialect, Exported, OnnxError, WRITER_VERSION, unique, write, write_through};
use crate::weights::{WeightData, Weights};
use crate::{Graph, WeightId};

/// Name of the note that makes a folder complete.
const NOTE: &str = "export.json";
/// Name of the file that is locked while an incomplete folder is replaced.
const LOCK: &str = ".onnx.lock";

/// How long nothing was written into a part that a killed process left behind.
const ABANDONED: Duration = Duration::from_secs(3600);

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
    sweep(cache);
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
    // The note says that all is there, so it must not outlive a power cut that takes what it speaks of.
    write_through(&note, &json).map_err(OnnxError::io(&note))?;
    if let Err(error) = std::fs::rename(part, dir) {
        return match find(dir) {
            Some(exported) => Ok((exported, true)),
            None => replace(exported, part, dir, error),
        };
    }
    place(&mut exported, dir);
    Ok((exported, false))
}

/// Puts the part where something incomplete lies: files were removed or cut off by hand, or by a full or failing disk.
fn replace(
    mut exported: Exported,
    part: &Path,
    dir: &Path,
    refused: std::io::Error,
) -> Result<(Exported, bool), OnnxError> {
    // One at a time: a second process must see what the first one has put there, and not put it aside as well.
    let lock = dir.with_file_name(LOCK);
    let file = File::options().create(true).append(true).open(&lock).map_err(OnnxError::io(&lock))?;
    match file.lock() {
        // Where files cannot be locked, the other process may have to look for its files twice; they are the same.
        Err(error) if error.kind() != std::io::ErrorKind::Unsupported => return Err(OnnxError::io(&lock)(error)),
        _ => {}
    }
    if let Some(exported) = find(dir) {
        return Ok((exported, true));
    }
    let aside = dir.with_extension(unique());
    if std::fs::rename(dir, &aside).is_err() {
        // It was not what lies there that stood in the way.
        return Err(OnnxError::Io { path: dir.to_owned(), source: refused });
    }
    let renamed = std::fs::rename(part, dir);
    // Best effort: it costs space, not correctness.
    let _ = std::fs::remove_dir_all(&aside);
    match renamed {
        Ok(()) => {
            place(&mut exported, dir);
            Ok((exported, false))
        }
        // A process that found the place empty was faster.
        Err(error) => find(dir).map(|exported| (exported, true)).ok_or_else(|| OnnxError::io(dir)(error)),
    }
}

/// Removes what killed processes left half-written: parts whose process is gone and into which nothing was written for
/// long. Both, because a cache may be shared with a container or a machine whose processes are not seen from here.
fn sweep(cache: &Path) {
    for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(pid_of_part) else { continue };
        let is_running = Path::new("/proc").join(pid.to_string()).exists();
        if !is_running && untouched(&entry.path()) >= ABANDONED {
            // Best effort: it costs space, not correctness.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The process that makes a part: `onnx-NAME-KEY.PID-COUNT.part`.
fn pid_of_part(name: &str) -> Option<u32> {
    let (_, pid_and_count) = name.strip_prefix("onnx-")?.strip_suffix(".part")?.rsplit_once('.')?;
    pid_and_count.split_once('-')?.0.parse().ok()
}

/// Since when neither the folder nor a file in it was written.
fn untouched(part: &Path) -> Duration {
    let files = std::fs::read_dir(part).into_iter().flatten().flatten().map(|entry| entry.path());
    let times = files.chain([part.to_owned()]).filter_map(|path| path.metadata().ok()?.modified().ok());
    // What cannot be read, or is from the future, is as good as new.
    times.max().and_then(|last| last.elapsed().ok()).unwrap_or_default()
}

/// The files in a complete folder: both there, and of the size with which they were written.
fn find(dir: &Path) -> Option<Exported> {
    let mut exported: Exported = serde_json::from_slice(&std::fs::read(dir.join(NOTE)).ok()?).ok()?;
    place(&mut exported, dir);
    let bytes = |path: &Path| path.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len());
    (bytes(&exported.model)? + bytes(&exported.data)? == exported.bytes).then_some(exported)
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
