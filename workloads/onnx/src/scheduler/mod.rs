//! The schedulers of diffusers: which noise levels a pipeline visits, and how a prediction moves the latent.
//!
//! Contract: the same numbers as diffusers to a few millionths, from `scheduler_config.json` alone. A field whose value no
//! rule here covers is an error that names it; nothing is ignored that diffusers would obey. Arithmetic is in f64; noise
//! levels are rounded to f32 where diffusers does.

mod config;
mod schedule;
#[cfg(test)]
mod tests;

pub use config::{SCHEDULERS, SchedulerError};
pub use schedule::{Plan, Schedule};

/// What a denoiser predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity, √ᾱ·ε − √(1−ᾱ)·x₀.
    Velocity,
    /// The clean latent.
    Sample,
}

/// How the steps are spread over the levels of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    Linspace,
    Leading,
    Trailing,
}

/// Noise added in training, cumulated: ᾱ of each timestep.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diffusion {
    pub(crate) alphas: Vec<f64>,
    pub(crate) prediction: Prediction,
}

/// How far a clean latent may go.
pub(crate) type Clip = Option<f64>;

/// A scheduler with its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduler {
    pub(crate) rule: Rule,
    /// Fields of the file that belong to other schedulers. diffusers ignores them too.
    pub ignored: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    Euler { diffusion: Diffusion, spacing: Spacing, offset: usize, ancestral: bool, last_is_lowest: bool },
    Lcm { diffusion: Diffusion, original_steps: usize, scaling: f64, clip: Clip },
    Ddim { diffusion: Diffusion, spacing: Spacing, offset: usize, clip: Clip, last_is_one: bool },
    Flow { train_steps: usize, shift: Shift },
}

/// How the levels of flow matching are moved towards noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shift {
    /// σ ← s·σ/(1 + (s − 1)·σ).
    Fixed(f64),
    /// By the number of latent tokens, along a line through two points.
    ByTokens { base: (f64, f64), most: (f64, f64), exponential: bool },
}

impl Scheduler {
    /// The class as diffusers calls it.
    pub fn class(&self) -> &'static str {
        match self.rule {
            Rule::Euler { ancestral: false, .. } => "EulerDiscreteScheduler",
            Rule::Euler { ancestral: true, .. } => "EulerAncestralDiscreteScheduler",
            Rule::Lcm { .. } => "LCMScheduler",
            Rule::Ddim { .. } => "DDIMScheduler",
            Rule::Flow { .. } => "FlowMatchEulerDiscreteScheduler",
        }
    }

    /// Whether it moves along straight lines from noise to data (flow matching).
    pub fn is_flow(&self) -> bool {
        matches!(self.rule, Rule::Flow { .. })
    }
}
