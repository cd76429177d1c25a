//! What a caller asks of a backend.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A named way in which a backend runs a scheme of weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Name within the backend: `stock`, `tuned`, `int8`, `exact`, …
    pub name: String,
    /// What it does with weights and activations, in a sentence.
    pub about: String,
    /// Whether weights take more memory than they are stored in: unpacked or widened, all or some, before the first run.
    #[serde(default)]
    pub expands: bool,
}

impl Variant {
    /// A variant of that name, which runs weights as they are stored.
    pub fn new(name: &str, about: &str) -> Self {
        Self { name: name.to_owned(), about: about.to_owned(), expands: false }
    }

    /// The same, for a way of running that unpacks or widens weights.
    pub fn expanding(self) -> Self {
        Self { expands: true, ..self }
    }
}

/// What a stage may come as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A graph in our language.
    Graph,
    /// An ONNX file of a user's own.
    Onnx,
}

impl SourceKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Graph, Self::Onnx];
}

/// What to spend memory on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryMode {
    /// The runtime's default: weights may be re-laid for speed.
    #[default]
    Fast,
    /// As little resident memory as the runtime can do with, even if slower.
    Small,
}

/// How to compile a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileOptions {
    /// A device of [`crate::Backend::devices`]: `cpu`, …
    pub device: String,
    /// Threads that computing may use. The process was started with this count; backends that read it once per process
    /// refuse another.
    pub threads: usize,
    /// One of [`crate::Backend::variants`], by name.
    pub variant: String,
    /// Speed or memory.
    pub memory: MemoryMode,
    /// A folder in which files made from the model (ONNX, external weights) may be kept and found again.
    pub cache: PathBuf,
    /// Whether nodes that the device does not take may run on the processor. Where they run is told all the same.
    #[serde(default)]
    pub allow_fallback: bool,
}

impl CompileOptions {
    /// On the processor, as fast as memory allows: no other device, hence no fall-back.
    pub fn cpu(variant: &str, threads: usize, cache: impl Into<PathBuf>) -> Self {
        Self {
            device: "cpu".to_owned(),
            threads,
            variant: variant.to_owned(),
            memory: MemoryMode::Fast,
            cache: cache.into(),
            allow_fallback: false,
        }
    }
}
