//! Models: functions from a config to graphs. Nothing here computes.

mod config;
mod decoder;
mod denoiser;
mod resample;
mod text_encoder;
mod variants;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use ditbench_graph::{Graph, GraphError};

pub use config::{
    Architecture, AssaConfig, Compression, DecoderConfig, DenoiserConfig, ImageSize, Layout, ModelConfig,
    OuterAttention, Prediction, TextConfig, TextEncoderConfig, TextSource,
};
pub use variants::{Rung, Variant};

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
            text_encoder: text_encoder::build(config)?,
            denoiser: denoiser::build(config)?,
            decoder: decoder::build(config)?,
            config: config.clone(),
        })
    }

    /// The components in the order in which an image passes through them.
    pub fn graphs(&self) -> [&Graph; 3] {
        [&self.text_encoder, &self.denoiser, &self.decoder]
    }
}
