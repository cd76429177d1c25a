//! What a workload is to the harness.

use crate::pipeline::Pipeline;
use crate::{Axis, Choice, ImageSize, Paper};

/// A model of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name that commands and tables use.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// The image that it is run at where nobody says.
    pub usual_size: ImageSize,
    /// Denoiser steps that it is run with where nobody says.
    pub usual_steps: usize,
}

/// Why a pipeline cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// There is no such workload, model or value.
    #[error("{0}")]
    Choice(String),
    /// The graphs cannot be built as asked: a size that is no multiple, heads that do not divide.
    #[error(transparent)]
    Graph(#[from] ditbench_graph::GraphError),
}

/// Something that ditbench can run on every backend.
pub trait Workload: Sync {
    /// The name that commands and tables use.
    fn name(&self) -> &'static str;

    /// What it is, in a sentence, with its source.
    fn about(&self) -> &'static str;

    /// Its models, the smallest first.
    fn models(&self) -> &'static [ModelInfo];

    /// What a plan may vary beyond what every workload has.
    fn axes(&self) -> &'static [Axis];

    /// Builds the stages of a choice. Nothing computes.
    ///
    /// # Errors
    /// No such model or value; sizes that cannot be built.
    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError>;

    /// What its paper says of one of its models; `None` where there is nothing to set beside ours.
    fn paper(&self, _model: &str) -> Option<Paper> {
        None
    }
}
