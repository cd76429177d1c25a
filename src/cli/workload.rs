//! Flags that name one workload, for the commands that take just one.

use ditbench_workloads::models::{Rung, Variant};

use crate::plan::{LayoutChoice, Sampler, Size, TextTokens, Width, Workload, parse_name, parse_rung};

/// One workload.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkloadArgs {
    /// Model: nano, tiny, small, full
    #[arg(long, default_value = "nano", value_parser = parse_name::<Variant>)]
    pub model: Variant,
    /// Image size in pixels: 512, or WIDTHxHEIGHT [default: 64 for nano, 512 for the others]
    #[arg(long)]
    pub size: Option<Size>,
    /// Denoiser steps
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub steps: u16,
    /// Text tokens: 77 (the text encoder alone, as on the phone) or 333 (with a language model's 256); nano has 16 in
    /// place of the 77
    #[arg(long, default_value = "77")]
    pub text_tokens: TextTokens,
    /// Architecture, from the paper's baseline to its last step: pixart-mqa, three-stage, assa, final; final-dense is
    /// final with dense attention
    #[arg(long, default_value = "final", value_parser = parse_rung)]
    pub rung: Rung,
    /// Block layout, Down-Middle-Up: 8-10-10 or 6-20-10 [default: the model's own]
    #[arg(long)]
    pub layout: Option<LayoutChoice>,
    /// Width of the elastic super-network, as a share of the model's: 1, 0.5, 0.375
    #[arg(long, default_value = "1")]
    pub width: Width,
    /// Sampler: euler, renoise (DMD2's), and with classifier-free guidance its scale behind: euler+cfg4
    #[arg(long, default_value = "euler")]
    pub sampler: Sampler,
}

impl WorkloadArgs {
    /// The workload that the flags name.
    pub fn workload(&self) -> Workload {
        Workload {
            model: self.model,
            size: self.size.unwrap_or_else(|| crate::plan::default_size(self.model)).0,
            steps: usize::from(self.steps),
            text_tokens: self.text_tokens,
            rung: self.rung,
            layout: self.layout,
            width: self.width,
            sampler: self.sampler,
        }
    }
}
