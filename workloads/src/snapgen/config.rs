//! Every size and choice of SnapGen and its sibling as a named field. Sources: SnapGen, arXiv 2412.09619; DreamLite's public code, which has
//! the same recipe and widths. What neither says is a field with our default.

use ditbench_graph::GraphError;
use serde::{Deserialize, Serialize};

use crate::ImageSize;
use crate::blocks::clip::{TextEncoderConfig, TextSource};
use crate::blocks::taesd;

/// How the residual blocks convolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convolution {
    /// 3×3 over all channels, with bias.
    Dense,
    /// 3×3 of each channel, then 1×1 over all, without bias; the block is wider inside.
    Separable {
        /// Width inside a block over its outputs.
        expansion: usize,
    },
}

/// The U-Net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenoiserConfig {
    /// Channels of each level, the latent's resolution first.
    pub channels: Vec<usize>,
    /// Transformer blocks after each residual block on the way down, by level.
    pub down_blocks: Vec<usize>,
    /// Transformer blocks in the middle.
    pub middle_blocks: usize,
    /// Transformer blocks after each residual block on the way up, by level, the deepest first.
    pub up_blocks: Vec<usize>,
    /// Residual blocks in the middle: DreamLite's code has two, SnapGen's published counts fit one.
    pub middle_residuals: usize,
    /// Convolutions of the residual blocks.
    pub convolution: Convolution,
    /// First level whose transformer blocks have self-attention.
    pub self_attention_from: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// One key/value head for all queries, or one each.
    pub multi_query: bool,
    /// Whether queries and keys are normed.
    pub qk_norm: bool,
    /// Whether positions turn queries and keys of the self-attention (stated; DreamLite's code has none).
    pub rope: bool,
    /// Base of the rotary frequencies (1e4 assumed).
    pub rope_theta: f32,
    /// Width of the gated FFN over the block's.
    pub ffn_ratio: usize,
    /// Groups of the group norms.
    pub groups: usize,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Epsilon of the group norm before transformer blocks.
    pub stack_eps: f32,
    /// Width of the time features.
    pub time_features: usize,
    /// Width of the time embedding.
    pub time_width: usize,
    /// Width of the features of the image's size, where the net reads them.
    pub size_features: Option<usize>,
    /// Text tokens as they come.
    pub text: TextSource,
    /// Width of the text that the cross-attention reads.
    pub context: usize,
    /// Shift of the noise levels towards noise (3 assumed for SnapGen).
    pub time_shift: f64,
}

/// The decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderConfig {
    /// SnapGen's kind, 1.38 M parameters; its layout is unpublished, ours has that size.
    Separable {
        /// Channels at each resolution, the latent's first; between two of them an upsampling by 2.
        channels: Vec<usize>,
        /// Residual blocks at each resolution.
        blocks: Vec<usize>,
    },
    /// TAESD.
    Taesd(taesd::DecoderConfig),
}

/// The whole pipeline's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name shown in tables: `snapgen`, …
    pub name: String,
    /// Size of the image.
    pub image: ImageSize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// The text encoder; `None` where seeded noise stands for a language model's features, which cannot be carried.
    pub text_encoder: Option<TextEncoderConfig>,
    /// Denoiser.
    pub denoiser: DenoiserConfig,
    /// Decoder.
    pub decoder: DecoderConfig,
}

/// A rung of the paper's ladder, each with what those before it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rung {
    Thin,
    NoHighSelfAttention,
    Separable,
    Expanded,
    NarrowFfn,
    MultiQuery,
    Final,
}

impl Rung {
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Thin, "thin"),
        (Self::NoHighSelfAttention, "no-high-sa"),
        (Self::Separable, "sep1"),
        (Self::Expanded, "sep2"),
        (Self::NarrowFfn, "ffn3"),
        (Self::MultiQuery, "mqa"),
        (Self::Final, "final"),
    ];

    pub(super) fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name).map(|(rung, _)| *rung);
        found.ok_or_else(|| {
            let names = Self::ALL.map(|(_, name)| name).join(", ");
            format!("unknown rung \"{name}\" of the ladder: choose from {names}")
        })
    }

    /// The final model as it was on this rung.
    pub(super) fn apply(self, d: &mut DenoiserConfig) {
        let at = Self::ALL.iter().position(|(rung, _)| *rung == self).unwrap_or_default();
        let levels = d.channels.len();
        if at < 6 {
            d.down_blocks[0] = 0;
            (d.qk_norm, d.rope) = (false, false);
        }
        if at < 5 {
            d.multi_query = false;
        }
        if at < 4 {
            d.ffn_ratio = 4;
        }
        d.convolution = match at {
            0 | 1 => Convolution::Dense,
            2 => Convolution::Separable { expansion: 1 },
            _ => Convolution::Separable { expansion: 2 },
        };
        if at < 1 {
            d.self_attention_from = levels.saturating_sub(2);
        }
    }
}

impl ModelConfig {
    /// The config of a model by its name; `None` if there is no such model.
    pub fn of(name: &str, image: ImageSize) -> Option<Self> {
        let nano = name == "snapgen-nano";
        let dreamlite = name == "dreamlite";
        if !nano && !dreamlite && name != "snapgen" && name != "snapgen-imagenet" {
            return None;
        }
        let (tokens, width) = match () {
            () if nano => (16, 128),
            () if dreamlite => (128, 2048),
            () => (77, 512),
        };
        let encoder = TextEncoderConfig {
            vocabulary: if nano { 2048 } else { 49408 },
            layers: if nano { 2 } else { 6 },
            heads: if nano { 4 } else { 8 },
            eps: 1e-5,
        };
        Some(Self {
            name: name.to_owned(),
            image,
            latent_channels: if dreamlite { 4 } else { 16 },
            text_encoder: (!dreamlite).then_some(encoder),
            denoiser: DenoiserConfig {
                channels: if nano { vec![32, 64, 96] } else { vec![256, 512, 896] },
                down_blocks: if nano { vec![1, 1, 2] } else { vec![1, 2, 4] },
                middle_blocks: if nano { 2 } else { 4 },
                up_blocks: if nano { vec![2, 1, 0] } else { vec![4, 2, 0] },
                middle_residuals: if dreamlite { 2 } else { 1 },
                convolution: Convolution::Separable { expansion: 2 },
                self_attention_from: 2,
                head_dim: if nano { 16 } else { 64 },
                multi_query: true,
                qk_norm: true,
                rope: !dreamlite,
                rope_theta: 1e4,
                ffn_ratio: 3,
                groups: 32,
                eps: 1e-5,
                stack_eps: 1e-6,
                time_features: if nano { 32 } else { 256 },
                time_width: if nano { 128 } else { 1024 },
                size_features: dreamlite.then_some(512),
                text: TextSource { tokens, width },
                context: match name {
                    "snapgen-nano" => 128,
                    "snapgen-imagenet" => 768,
                    _ => 2304,
                },
                time_shift: if dreamlite { 1.15f64.exp() } else { 3.0 },
            },
            decoder: match () {
                () if nano => DecoderConfig::Separable { channels: vec![32, 24, 16, 8], blocks: vec![1, 1, 1, 1] },
                () if dreamlite => {
                    DecoderConfig::Taesd(taesd::DecoderConfig { channels: 64, blocks: vec![3, 3, 3, 1] })
                }
                () => DecoderConfig::Separable { channels: vec![256, 192, 128, 64], blocks: vec![6, 4, 3, 1] },
            },
        })
    }

    /// Image pixels per latent pixel along a side.
    pub fn downscale(&self) -> usize {
        match &self.decoder {
            DecoderConfig::Separable { blocks, .. } => 1 << blocks.len().saturating_sub(1),
            DecoderConfig::Taesd(taesd) => taesd.upscale(),
        }
    }

    /// `[1, C, h, w]` of the latent.
    pub fn latent_shape(&self) -> [usize; 4] {
        let scale = self.downscale();
        [1, self.latent_channels, self.image.height / scale, self.image.width / scale]
    }

    /// Says what in the config cannot be built.
    ///
    /// # Errors
    /// [`GraphError::Config`] naming what is wrong and what it may be.
    pub fn check(&self) -> Result<(), GraphError> {
        let ImageSize { height, width } = self.image;
        let multiple = self.downscale() << self.denoiser.channels.len().saturating_sub(1);
        if height == 0 || width == 0 || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
            let nearest = |x: usize| ((x + multiple / 2) / multiple).max(1) * multiple;
            return Err(GraphError::Config(format!(
                "model {}: an image of {width}×{height} pixels cannot be halved often enough: width and height must be \
                 multiples of {multiple}; try {}×{}",
                self.name,
                nearest(width),
                nearest(height)
            )));
        }
        Ok(())
    }
}
