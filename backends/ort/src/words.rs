//! ONNX Runtime's names and words.

/// The provider of NVIDIA's GPUs, built in or a plugin.
pub(crate) const CUDA_PROVIDER: &str = "CUDAExecutionProvider";

/// The runtime's words without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
