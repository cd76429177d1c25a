//! Every size and choice of DiT and EdgeDiT as a named field. Sources: DiT, arXiv 2212.09748 and its public code; EdgeDiT, arXiv
//! 2603.28405. What the papers leave open is a field with our default.

use ditbench_graph::GraphError;
use serde::{Deserialize, Serialize};

use crate::ImageSize;
use crate::blocks::schedule::{Betas, Schedule};
use crate::blocks::taesd::DecoderConfig;

/// The denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenoiserConfig {
    /// Width of a token, d.
    pub width: usize,
    /// Blocks. EdgeDiT merges pairs of the teacher's 28; which ones is unpublished and costs the same.
    pub blocks: usize,
    /// Heads of the self-attention. Unpublished for the narrow attention of EdgeDiT-6, where 16 are assumed.
    pub heads: usize,
    /// Width of queries, keys and values together over all heads: d, or less in EdgeDiT-6. That the "512" of the paper is this width follows
    /// from its parameter and operation counts, which no other reading gives.
    pub attention_width: usize,
    /// Width of the MLP over d.
    pub mlp_ratio: usize,
    /// Side of a patch in latent pixels.
    pub patch: usize,
    /// Width of the time features.
    pub time_features: usize,
    /// Classes; one more row of the embedding stands for none.
    pub classes: usize,
    /// Epsilon of all norms.
    pub eps: f32,
    /// Channels that guidance moves: the public code's first three of four.
    pub guided_channels: usize,
    /// Latents per forward pass: two where guidance runs with and without the class in one batch.
    pub batch: usize,
}

/// The whole pipeline's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name shown in tables: `edgedit-1`, …
    pub name: String,
    /// Size of the image.
    pub image: ImageSize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Denoiser.
    pub denoiser: DenoiserConfig,
    /// Noise levels of the training.
    pub schedule: Schedule,
    /// Decoder: TAESD in the place of Stable Diffusion's own.
    pub decoder: DecoderConfig,
}

impl ModelConfig {
    /// The config of a model by its name; `None` if there is no such model.
    pub fn of(name: &str, image: ImageSize) -> Option<Self> {
        let (width, blocks, heads, attention_width, mlp_ratio) = match name {
            "edgedit-nano" => (64, 4, 4, 64, 4),
            "edgedit-1" => (1152, 25, 16, 1152, 2),
            "edgedit-6" => (1152, 25, 16, 512, 4),
            "dit-xl-2" => (1152, 28, 16, 1152, 4),
            _ => return None,
        };
        let nano = name == "edgedit-nano";
        Some(Self {
            name: name.to_owned(),
            image,
            latent_channels: 4,
            denoiser: DenoiserConfig {
                width,
                blocks,
                heads,
                attention_width,
                mlp_ratio,
                patch: 2,
                time_features: 256,
                classes: if nano { 10 } else { 1000 },
                eps: 1e-6,
                guided_channels: 3,
                batch: 1,
            },
            schedule: Schedule { timesteps: 1000, betas: Betas::LINEAR },
            decoder: DecoderConfig { channels: if nano { 32 } else { 64 }, blocks: vec![3, 3, 3, 1] },
        })
    }

    /// `[B, C, h, w]` of the latent.
    pub fn latent_shape(&self, batch: usize) -> [usize; 4] {
        let scale = self.decoder.upscale();
        [batch, self.latent_channels, self.image.height / scale, self.image.width / scale]
    }

    /// Rows and columns of tokens.
    pub fn grid(&self) -> (usize, usize) {
        let [_, _, h, w] = self.latent_shape(1);
        (h / self.denoiser.patch, w / self.denoiser.patch)
    }

    /// Says what in the config cannot be built.
    ///
    /// # Errors
    /// [`GraphError::Config`] naming what is wrong and what it may be.
    pub fn check(&self) -> Result<(), GraphError> {
        let ImageSize { height, width } = self.image;
        let token = self.decoder.upscale() * self.denoiser.patch;
        if height == 0 || width == 0 || !height.is_multiple_of(token) || !width.is_multiple_of(token) {
            let nearest = |x: usize| ((x + token / 2) / token).max(1) * token;
            return Err(GraphError::Config(format!(
                "model {}: an image of {width}×{height} pixels cannot be cut into tokens: width and height must be multiples of {token}; try \
                 {}×{}",
                self.name,
                nearest(width),
                nearest(height)
            )));
        }
        Ok(())
    }
}
