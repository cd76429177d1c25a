//! Every size and choice of the net after ElasticDiT as a named field. Source: ElasticDiT, arXiv 2605.15684, of which only the abstract could
//! be read: that one set of weights serves several numbers of tokens and of blocks, that attention is in shifted sparse blocks with 84.16 % of
//! the pairs left out, and that the decoder is tiny and ends in a wavelet, is stated; every size is our default.

use ditbench_graph::GraphError;
use serde::{Deserialize, Serialize};

use crate::ImageSize;
use crate::blocks::clip::{TextEncoderConfig, TextSource};

/// Shifted sparse block attention: tokens in raster order cut into blocks, each of which attends to itself and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseConfig {
    /// Blocks of tokens.
    pub blocks: usize,
    /// Neighbour blocks on each side.
    pub radius: usize,
    /// Every so many layers, from the first on, a block attends to itself alone. With 16 blocks and a radius of 1, every sixth makes the
    /// stated sparsity.
    pub alone_every: usize,
}

/// The denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenoiserConfig {
    /// Width of a token, d.
    pub width: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Key/value heads of the cross-attention.
    pub cross_kv_heads: usize,
    /// Blocks that the weights are of.
    pub blocks: usize,
    /// Sides of a patch, in latent pixels, that the weights are of: each has linear layers of its own into the tokens and out of them.
    pub patches: Vec<usize>,
    /// Side of a patch that is run: fewer tokens where it is larger.
    pub patch: usize,
    /// Every so many blocks, one is run: 1 for all.
    pub every: usize,
    /// The self-attention.
    pub sparse: SparseConfig,
    /// Width of the FFN over d.
    pub ffn_ratio: usize,
    /// Width of the time features.
    pub time_features: usize,
    /// Epsilon of all norms.
    pub eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// Shift of the noise levels towards noise.
    pub time_shift: f64,
    /// Text tokens as the text encoder gives them.
    pub text: TextSource,
    /// Width of the text that the cross-attention reads.
    pub context: usize,
}

/// The decoder: residual blocks, then one level of the Haar wavelet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecoderConfig {
    /// Channels at each resolution, the latent's first; between two of them an upsampling by 2.
    pub channels: Vec<usize>,
    /// Residual blocks at each resolution.
    pub blocks: Vec<usize>,
    /// Groups of the group norms.
    pub groups: usize,
    /// Epsilon of the group norms.
    pub eps: f32,
}

impl DecoderConfig {
    /// Image pixels per latent pixel along a side: the wavelet doubles once more.
    pub fn upscale(&self) -> usize {
        1 << self.channels.len()
    }
}

/// The whole pipeline's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name shown in tables: `elastic-lite`, …
    pub name: String,
    /// What the file of its weights, which other models share, is called by.
    pub family: String,
    /// Size of the image.
    pub image: ImageSize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Text encoder.
    pub text_encoder: TextEncoderConfig,
    /// Denoiser.
    pub denoiser: DenoiserConfig,
    /// Decoder.
    pub decoder: DecoderConfig,
}

impl ModelConfig {
    /// The config of a model by its name; `None` if there is no such model.
    pub fn of(name: &str, image: ImageSize) -> Option<Self> {
        let (nano, patch, every) = match name {
            "elastic-nano" => (true, 2, 1),
            "elastic-nano-lite-half" => (true, 4, 2),
            "elastic-full" => (false, 2, 1),
            "elastic-full-half" => (false, 2, 2),
            "elastic-lite" => (false, 4, 1),
            "elastic-lite-half" => (false, 4, 2),
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            family: if nano { "elastic-nano" } else { "elastic" }.to_owned(),
            image,
            latent_channels: if nano { 4 } else { 16 },
            text_encoder: TextEncoderConfig {
                vocabulary: if nano { 2048 } else { 49408 },
                layers: if nano { 2 } else { 6 },
                heads: if nano { 4 } else { 8 },
                eps: 1e-5,
            },
            denoiser: DenoiserConfig {
                width: if nano { 64 } else { 1792 },
                head_dim: if nano { 16 } else { 64 },
                cross_kv_heads: if nano { 2 } else { 4 },
                blocks: if nano { 4 } else { 28 },
                patches: vec![2, 4],
                patch,
                every,
                sparse: SparseConfig { blocks: if nano { 4 } else { 16 }, radius: 1, alone_every: 6 },
                ffn_ratio: 4,
                time_features: if nano { 32 } else { 256 },
                eps: 1e-6,
                rope_theta: 1e4,
                time_shift: 3.0,
                text: if nano { TextSource { tokens: 16, width: 128 } } else { TextSource { tokens: 77, width: 512 } },
                context: if nano { 128 } else { 2048 },
            },
            decoder: DecoderConfig {
                channels: if nano { vec![32, 32, 16] } else { vec![256, 256, 128] },
                blocks: if nano { vec![1, 1, 1] } else { vec![3, 2, 2] },
                groups: if nano { 8 } else { 32 },
                eps: 1e-5,
            },
        })
    }

    /// The same net with all blocks and a patch of this side, at a size that every such net takes: its weights do not depend on it.
    pub(super) fn whole(&self, patch: usize) -> Self {
        let mut whole = Self { image: ImageSize { height: 1024, width: 1024 }, ..self.clone() };
        (whole.denoiser.patch, whole.denoiser.every) = (patch, 1);
        whole
    }

    /// `[1, C, h, w]` of the latent.
    pub fn latent_shape(&self) -> [usize; 4] {
        let scale = self.decoder.upscale();
        [1, self.latent_channels, self.image.height / scale, self.image.width / scale]
    }

    /// Rows and columns of tokens.
    pub fn grid(&self) -> (usize, usize) {
        let [_, _, h, w] = self.latent_shape();
        (h / self.denoiser.patch, w / self.denoiser.patch)
    }

    /// Says what in the config cannot be built.
    ///
    /// # Errors
    /// [`GraphError::Config`] naming what is wrong and what it may be.
    pub fn check(&self) -> Result<(), GraphError> {
        let ImageSize { height, width } = self.image;
        let token = self.decoder.upscale() * self.denoiser.patch;
        // Half a block of tokens must be a whole number of them.
        let halves = 2 * self.denoiser.sparse.blocks;
        let (rows, cols) = self.grid();
        let fits = |side: usize| side > 0 && side.is_multiple_of(token);
        if fits(height) && fits(width) && (rows * cols).is_multiple_of(halves) {
            return Ok(());
        }
        // Sides of so many tokens always do.
        let side = token * (1..).find(|side: &usize| (side * side).is_multiple_of(halves)).unwrap_or(halves);
        let nearest = |x: usize| ((x + side / 2) / side).max(1) * side;
        Err(GraphError::Config(format!(
            "model {}: an image of {width}×{height} pixels cannot be cut into {} shifted blocks of tokens, each token {token} pixels wide; \
             try {}×{}",
            self.name,
            self.denoiser.sparse.blocks,
            nearest(width),
            nearest(height)
        )))
    }
}
