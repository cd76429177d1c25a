//! What ditbench runs: one description of the model, read by everybody.
//!
//! * [`graph`] is the language of models: nodes in execution order with static shapes, their cost, and the ONNX writer.
//! * [`models`] builds graphs from a config: SnapGen++ and its text encoder and decoder.
//! * [`weights`] holds the numbers: safetensors files, seeded initialisation, quantizers.
//! * [`pipeline`] is the way from a prompt to an image: tokenizer, text encoder, denoiser steps, decoder.
//!
//! This crate knows no backend and no harness.

pub mod graph;
pub mod judge;
pub mod models;
pub mod pipeline;
pub mod prompts;
pub mod tensor;
pub mod weights;

pub use graph::Graph;
pub use tensor::{Tensor, TensorData};
