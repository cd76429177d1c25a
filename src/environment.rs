//! What every command is told of its surroundings: the cache, and where ONNX Runtime is.

use std::path::PathBuf;

/// What all commands share.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Folder for prepared weights, exported models and the ONNX Runtime library [default: the user's cache folder]
    #[arg(long, global = true, env = "DITBENCH_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// The ONNX Runtime library to use, instead of fetching one
    #[arg(long, global = true, env = "ORT_DYLIB_PATH", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,
}
