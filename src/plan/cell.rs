//! One cell: one workload on one backend, device, precision and thread count.

use std::fmt;

use ditbench_backend_api::MemoryMode;
use ditbench_graph::GraphError;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::models::{ImageSize, ModelConfig, Rung, TextSource, Variant};
use serde::{Deserialize, Serialize};

use super::Axes;
use super::axes::{BackendChoice, LayoutChoice, Sampler, Size, TextTokens, Width};

/// What is generated: a model at a size, and how many steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// The model.
    pub model: Variant,
    /// The image's size.
    pub size: ImageSize,
    /// Denoiser steps.
    pub steps: usize,
    /// Text tokens.
    pub text_tokens: TextTokens,
    /// Architecture.
    pub rung: Rung,
    /// Blocks by stage; `None` for the model's own.
    pub layout: Option<LayoutChoice>,
    /// Width, as a share of the model's.
    pub width: Width,
    /// How steps move the latent.
    pub sampler: Sampler,
}

impl Workload {
    /// The model's config.
    ///
    /// # Errors
    /// A width that leaves no whole number of heads.
    pub fn config(&self) -> Result<ModelConfig, GraphError> {
        let mut config = self.model.config(self.size);
        self.rung.apply(&mut config);
        if let Some(layout) = self.layout {
            config.denoiser.layout = layout.0;
        }
        if self.text_tokens == TextTokens::ClipAndGemma {
            config.denoiser.text.gemma = Some(TextSource { tokens: 256, width: 2560 });
        }
        if self.width == Width::FULL { Ok(config) } else { config.narrowed(self.width.share()) }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}×{}", self.model.name(), self.size.width, self.size.height)?;
        if self.rung != Rung::Final {
            write!(f, " {}", self.rung.name())?;
        }
        if let Some(layout) = self.layout {
            write!(f, " {layout}")?;
        }
        if self.width != Width::FULL {
            write!(f, " width {}", self.width)?;
        }
        if self.text_tokens == TextTokens::ClipAndGemma {
            f.write_str(" T=333")?;
        }
        if self.steps != 4 {
            write!(f, " {} steps", self.steps)?;
        }
        if self.sampler != Sampler::default() {
            write!(f, " {}", self.sampler)?;
        }
        Ok(())
    }
}

/// One row of the table to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is generated.
    pub workload: Workload,
    /// What runs it.
    pub backend: BackendChoice,
    /// Where.
    pub device: String,
    /// How the weights are stored.
    pub scheme: Scheme,
    /// Threads that computing may use.
    pub threads: usize,
    /// What memory is spent on.
    pub memory: MemoryMode,
}

impl Cell {
    /// Axes that name this cell alone, run in the way `variant`.
    pub fn axes(&self, variant: &str) -> Axes {
        let Workload { model, size, steps, text_tokens, rung, layout, width, sampler } = self.workload.clone();
        Axes {
            model: Some(vec![model]),
            size: Some(vec![Size(size)]),
            backend: Some(vec![BackendChoice { name: self.backend.name.clone(), variant: Some(variant.to_owned()) }]),
            precision: Some(vec![self.scheme]),
            device: Some(vec![self.device.clone()]),
            threads: Some(vec![self.threads]),
            steps: Some(vec![steps]),
            text_tokens: Some(vec![text_tokens]),
            rung: Some(vec![rung]),
            layout: layout.map(|layout| vec![layout]),
            width: Some(vec![width]),
            sampler: Some(vec![sampler]),
            memory: Some(vec![self.memory]),
        }
    }

    /// A text that tells it from every other cell of a plan.
    pub fn key(&self) -> String {
        let memory = if self.memory == MemoryMode::Small { " small memory" } else { "" };
        let Self { workload, backend, device, scheme, threads, .. } = self;
        format!("{workload} {backend} {device} {} {threads}th{memory}", scheme.name())
    }
}
