//! What a backend says of itself and of what it did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Versions, recorded beside every result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionReport {
    /// The runtime's version: `1.31.1`.
    pub runtime: String,
    /// What else matters: the binding's version, the library's path, features, the kernels' instruction set.
    pub details: Vec<String>,
}

/// How long a session took to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompileReport {
    /// Seconds spent writing files that the runtime reads (0 if found in the cache: see `export_cached`).
    pub export_s: f64,
    /// Whether those files were found rather than written; `None` where there are none.
    pub export_cached: Option<bool>,
    /// Seconds that the runtime itself took to load, optimise and prepare.
    pub load_s: f64,
    /// Bytes of weights on disk that the session reads, where it reads files.
    pub weight_file_bytes: Option<u64>,
    /// Bytes of weights as the session holds them, where the backend knows.
    pub weight_resident_bytes: Option<u64>,
}

/// The precision in which a session really computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numerics {
    /// 64-bit floats: the reference.
    F64,
    /// 32-bit floats throughout.
    F32,
    /// Weights in few bits, activations and sums in 32-bit float.
    WeightOnly,
    /// Activations rounded to 8 bits before integer products.
    Int8Activations,
    /// 16-bit floats.
    F16,
}

impl Numerics {
    /// The largest relative L2 distance from the f64 reference *with the same weights* that is right for one operation
    /// or component at a small size. f32: 1e-5; weight-only: 1e-4; 8-bit activations: 3e-2; 16-bit floats: 1e-2.
    pub fn tolerance(self) -> f64 {
        match self {
            Self::F64 => 1e-12,
            Self::F32 => 1e-5,
            Self::WeightOnly => 1e-4,
            Self::Int8Activations => 3e-2,
            Self::F16 => 1e-2,
        }
    }

    /// The one of two that rounds more.
    pub fn coarser(self, other: Self) -> Self {
        if other.tolerance() > self.tolerance() { other } else { self }
    }
}

/// Where nodes really ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The device that was asked for.
    pub asked: String,
    /// One entry for each device or execution provider that took nodes.
    pub entries: Vec<PlacementEntry>,
    /// How this is known: `measured by the runtime's profiler`, `the backend has one device`.
    pub source: String,
}

/// Nodes by their operations, in words: `2 of 70 nodes: Cast (1: x), Det (1: odd/det)`; `None` if there is none. Each comes as its operation and
/// its name, which may be empty.
pub fn nodes_in_words<'a>(nodes: impl Iterator<Item = (&'a str, &'a str)>, of: usize) -> Option<String> {
    /// How many nodes of one operation are named.
    const NAMED: usize = 2;
    let mut by_op: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (op, name) in nodes {
        by_op.entry(op).or_default().push(name);
    }
    let count: usize = by_op.values().map(Vec::len).sum();
    if count == 0 {
        return None;
    }
    let words = by_op.into_iter().map(|(op, names)| {
        let named: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).take(NAMED).collect();
        let more = if names.len() > named.len() && !named.is_empty() { ", …" } else { "" };
        let named = if named.is_empty() { String::new() } else { format!(": {}{more}", named.join(", ")) };
        format!("{op} ({}{named})", names.len())
    });
    Some(format!("{count} of {of} nodes: {}", words.collect::<Vec<_>>().join(", ")))
}

/// The nodes that one device took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacementEntry {
    /// Device or execution provider.
    pub device: String,
    /// Nodes of the runtime's own graph that ran there.
    pub nodes: usize,
    /// Share of the time, 0..1, where known.
    pub time_share: Option<f64>,
}

impl Placement {
    /// All `nodes` on the one device that the backend has.
    pub fn all_on(device: &str, nodes: usize, source: &str) -> Self {
        let entry = PlacementEntry { device: device.to_owned(), nodes, time_share: Some(1.0) };
        Self { asked: device.to_owned(), entries: vec![entry], source: source.to_owned() }
    }

    /// Share of nodes, 0..1, on the device asked for; `None` if nothing is known.
    pub fn share_on_asked(&self) -> Option<f64> {
        let total: usize = self.entries.iter().map(|entry| entry.nodes).sum();
        let asked: usize =
            self.entries.iter().filter(|entry| entry.device == self.asked).map(|entry| entry.nodes).sum();
        (total > 0).then(|| asked as f64 / total as f64)
    }
}

/// What of a graph a device takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// Nodes of the graph as the runtime reads it.
    pub nodes: usize,
    /// Operations that the device does not take.
    pub refused: Vec<Refused>,
}

/// An operation that a device does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The runtime's name of it.
    pub op: String,
    /// The nodes, by name.
    pub nodes: Vec<String>,
    /// Why, in the provider's words; `None` where it does not say.
    pub why: Option<String>,
}

/// Memory that a runtime accounts for by itself. What it does not know is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryReport {
    /// Bytes in use now.
    pub in_use: Option<u64>,
    /// The most bytes in use at once.
    pub peak: Option<u64>,
    /// Bytes reserved from the system: an arena's size.
    pub reserved: Option<u64>,
}

/// The times of one forward pass.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Nodes in the order in which they started.
    pub nodes: Vec<NodeTime>,
    /// Seconds of the whole pass, under the profiler.
    pub total_s: f64,
}

/// One node's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeTime {
    /// The graph's node name, or `None` for what the runtime added or fused beyond recognition.
    pub scope: Option<String>,
    /// The runtime's own name of the operation.
    pub op: String,
    /// Device or execution provider.
    pub device: String,
    /// Seconds after the start of the pass.
    pub start_s: f64,
    /// Seconds that it took.
    pub duration_s: f64,
}
