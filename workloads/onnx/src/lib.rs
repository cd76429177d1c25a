//! A user's own model, as ONNX: what is in it, how its inputs get sizes, and the way from a prompt to an image through an
//! exported pipeline.
//!
//! * [`model`] reads a file's interface, operators and precision without its weights, and writes sizes into it.
//! * [`axes`] fixes the sizes of inputs; [`arrays`] reads inputs and expected outputs ([`npz`] is numpy's formats).
//! * [`folder`] reads the exporters' folder layout: components, scheduler, tokenizers, defaults.
//! * [`scheduler`] has the schedulers of diffusers.
//! * [`pipeline`] drives the components through one image.
//!
//! This crate knows no runtime and no harness: whoever has one implements [`pipeline::Run`].

pub mod arrays;
pub mod axes;
mod dtype;
pub mod folder;
pub mod model;
pub mod npz;
pub mod pipeline;
pub mod scheduler;
mod value;

pub use dtype::{DType, UnknownDType};
pub use value::{Data, ShapeMismatch, Unfit, Value};
