//! ONNX Runtime's names and words.

/// The provider of NVIDIA's GPUs, built in or a plugin.
pub(crate) const CUDA_PROVIDER: &str = "CUDAExecutionProvider";

/// What to do where NVIDIA's driver is missing.
pub(crate) const NO_DRIVER: &str = "Install the driver of an NVIDIA GPU, then run `ditbench setup cuda`";

/// The runtime's words without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
