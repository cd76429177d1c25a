//! What ditbench runs: workloads, each written in the graph language of `ditbench-graph`, all behind one trait.
//!
//! A [`Workload`] turns a [`Choice`] into a [`Pipeline`]: stages that a backend runs, and a [`Drive`] that goes from a prompt
//! to an image on whatever runs them. A new one is a folder here and a line in [`workload::ALL`]. Models that users bring are
//! [`own`].
//!
//! This crate knows no backend and no harness.

mod blocks;
pub mod cascaded;
pub mod choice;
pub mod edgedit;
pub mod elasticdit;
pub mod image;
pub mod inputs;
pub mod own;
pub mod paper;
pub mod pipeline;
pub mod published;
pub mod snapgen;
pub mod snapgenpp;
mod spec;
pub mod trace;
pub mod workload;

pub use choice::{Axis, Choice};
pub use image::ImageSize;
pub use inputs::{Inputs, InputsError};
pub use paper::Paper;
pub use pipeline::{Drive, OnnxFile, Pipeline, Role, RunError, Source, Stage, StageRunner, run_stage, timed};
pub use spec::{ModelInfo, Workload, WorkloadError};
pub use trace::{StageTimes, Times, Trace};
