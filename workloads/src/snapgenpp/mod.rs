//! SnapGen++: a three-stage diffusion transformer with adaptive sparse attention, its text encoder and its small decoder.
//! Source: arXiv 2601.08303 v2.
//!
//! The config says everything; graphs are functions of it; the pipeline goes from a prompt to an image. What the paper leaves
//! open is a named field of the config with our default.

mod axes;
mod config;
mod denoiser;
mod drive;
pub mod elastic;
pub mod pipeline;
pub mod prompts;
mod resample;
mod variants;

#[cfg(test)]
mod tests;

use ditbench_graph::{Graph, GraphError};
use serde::{Deserialize, Serialize};

pub use axes::{LayoutChoice, Sampler, TextTokens, Width, parse_rung};
pub use config::{
    Architecture, AssaConfig, Compression, DenoiserConfig, Layout, ModelConfig, OuterAttention, Prediction, TextConfig,
};
pub use drive::{NAME, SnapGenPp, config_of};
pub use variants::{Rung, Variant};

pub use crate::ImageSize;
pub use crate::blocks::clip::{TextEncoderConfig, TextSource};
pub use crate::blocks::taesd::DecoderConfig;
use crate::blocks::{clip, taesd};

/// The stage that turns token ids into embeddings.
pub const TEXT_ENCODER: &str = "text_encoder";
/// The stage that runs in every step.
pub const DENOISER: &str = "denoiser";
/// The stage that turns the last latent into an image.
pub const DECODER: &str = "decoder";

/// The three components of one pipeline, as graphs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The config that they were built from.
    pub config: ModelConfig,
    /// Token ids `[B, T]` → embeddings `[B, T, D]`.
    pub text_encoder: Graph,
    /// (latent `[B, C, h, w]`, time_features `[B, F]`, text embeddings) → prediction `[B, C, h, w]`.
    pub denoiser: Graph,
    /// Latent `[1, C, h, w]` → image `[1, 3, 8h, 8w]` in 0..1.
    pub decoder: Graph,
}

impl Model {
    /// Builds the graphs of a config.
    ///
    /// # Errors
    /// What in the config cannot be built: a size that is no multiple, heads that do not divide.
    pub fn build(config: &ModelConfig) -> Result<Self, GraphError> {
        config.check()?;
        Ok(Self {
            text_encoder: clip::build(&config.text_encoder, config.denoiser.text.clip, config.denoiser.batch)?,
            denoiser: denoiser::build(config)?,
            decoder: taesd::build(&config.decoder, &config.latent_shape(1))?,
            config: config.clone(),
        })
    }

    /// The components in the order in which an image passes through them.
    pub fn graphs(&self) -> [&Graph; 3] {
        [&self.text_encoder, &self.denoiser, &self.decoder]
    }
}
