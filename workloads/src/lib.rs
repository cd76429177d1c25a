//! What ditbench runs: SnapGen++, written once in the graph language of `ditbench-graph`.
//!
//! * [`models`] builds graphs from a config: the denoiser, its text encoder and its decoder.
//! * [`elastic`] cuts narrower nets from one file of weights; [`published`] has the checkpoint that the program carries.
//! * [`pipeline`] is the way from a prompt to an image: tokenizer, text encoder, denoiser steps, decoder.
//!
//! This crate knows no backend and no harness.

pub mod elastic;
pub mod models;
pub mod pipeline;
pub mod prompts;
pub mod published;
