//! The judge of pictures: EfficientNet-Lite0, trained on photos (ImageNet), which has never seen a picture of ours. Its pooled
//! features say how alike two pictures are in content.
//!
//! Contract: a graph in this project's language, so that any backend runs it; one file of weights, known by its hash. Figures
//! made with it carry its name: they are not FID, LPIPS or CLIP score, which are made with other networks.

pub mod data;
pub mod network;
pub mod picture;
pub mod pth;
pub mod weights;

use std::path::PathBuf;

pub use network::graph;
pub use picture::to_input;
pub use weights::load;

use ditbench_graph::GraphError;
use ditbench_graph::weights::WeightsError;

/// What figures made with it are named by.
pub const NAME: &str = "EfficientNet-Lite0";
/// Pixels along each side of what it is fed.
pub const SIDE: usize = 224;
/// Numbers in a picture's features.
pub const FEATURES: usize = 1280;
/// ImageNet's classes, the network's own answer.
pub const CLASSES: usize = 1000;

/// The file of its weights, and the Python package that carries it (Apache-2.0).
pub const FILE: &str = "efficientnet-lite0-57934424.pth";
/// SHA-256 of the file, in hex.
pub const FILE_SHA256: &str = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db";
/// Bytes of the file.
pub const FILE_BYTES: u64 = 18_826_032;

/// Why there is no judge.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// Its file, or a file of features made with it.
    #[error("{path}: {why}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The weights do not fit the graph: a mistake of ours.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The graph cannot be built: a mistake of ours.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
