//! Our kernels as operators of tract: the domain `ditbench` of the ONNX writer.
//!
//! Contract: an operator has one output, f32, and takes part in none of tract's rewriting (its axes are not mapped), so
//! what was written is what is computed. Constants are packed when the model is loaded, once.

mod import;
mod kernel;

pub(crate) use import::register;
