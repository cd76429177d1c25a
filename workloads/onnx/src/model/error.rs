//! What can be wrong with an ONNX file.

use std::path::PathBuf;

/// A file that cannot be read as an ONNX model.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system's own words.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The system's own words about a file of ours.
    #[error("cannot be written: {0}")]
    Write(std::io::Error),
    /// The model's own folder as the place for its prepared copy.
    #[error("would be overwritten: prepare it into another folder")]
    Overwrite,
    /// No byte in it.
    #[error("is empty, not a model")]
    Empty,
    /// What git leaves in place of a large file.
    #[error("is a git-lfs pointer, not a model: run `git lfs pull` where it came from")]
    LfsPointer,
    /// Another format.
    #[error("is {0}, not an ONNX model")]
    OtherFormat(&'static str),
    /// The bytes end early, or are no protobuf.
    #[error("is not a whole ONNX model: it breaks off in {0}. Copy or export it again")]
    Broken(&'static str),
    /// A message whose parts are not what ONNX says.
    #[error("is not a valid ONNX model: {place}: {why}")]
    Invalid {
        /// Which message.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// Protobuf, but nothing to run.
    #[error("holds no graph: it is not an ONNX model, or only a part of one")]
    NoGraph,
    /// Larger or deeper than any model.
    #[error("is refused: {0}")]
    Limit(String),
    /// Weights outside the model's folder.
    #[error(
        "keeps tensor \"{tensor}\" in \"{location}\". Only a file in the model's own folder is accepted: export it again"
    )]
    Location {
        /// The tensor.
        tensor: String,
        /// Where the file says that it is.
        location: String,
    },
    /// A data file that is not there or not whole.
    #[error("needs {needed} bytes of weights from {}, {state}", path.display())]
    Data {
        /// The data file.
        path: PathBuf,
        /// Bytes that the graph reads of it.
        needed: u64,
        /// What is wrong with it.
        state: String,
    },
}
