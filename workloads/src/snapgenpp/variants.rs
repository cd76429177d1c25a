//! The named sizes, and the rungs of the paper's architecture ladder.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    Architecture, AssaConfig, Compression, DecoderConfig, DenoiserConfig, ImageSize, Layout, ModelConfig,
    OuterAttention, Prediction, TextConfig, TextEncoderConfig, TextSource,
};

/// A size of SnapGen++.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Ours, for small machines and tests: 64×64 images, the same code path.
    Nano,
    /// The paper's 0.375× width: 0.3 B parameters as it prints them.
    Tiny,
    /// The paper's 0.5× width: 0.4 B parameters.
    Small,
    /// The paper's full width: 1.6 B parameters.
    Full,
}

/// No variant of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown model \"{0}\": choose one of nano, tiny, small, full")]
pub struct UnknownVariant(pub String);

impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(name: &str) -> Result<Self, UnknownVariant> {
        Self::ALL.into_iter().find(|variant| variant.name() == name).ok_or_else(|| UnknownVariant(name.to_owned()))
    }
}

impl Variant {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Nano, Self::Tiny, Self::Small, Self::Full];

    /// The name that commands and tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nano => "nano",
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Full => "full",
        }
    }

    /// What the paper prints of the denoiser's parameters, as it prints it; it prints no operations. `None` for nano, which is
    /// ours.
    pub fn published_parameters(self) -> Option<&'static str> {
        match self {
            Self::Nano => None,
            Self::Tiny => Some("0.3 B"),
            Self::Small => Some("0.4 B (429 M for the last rung of its ladder)"),
            Self::Full => Some("1.6 B"),
        }
    }

    /// What our formula gives for the denoiser at 1024² with 333 text tokens: parameters and multiply-accumulates of one forward
    /// pass. The formula was worked out by hand from the paper's text, apart from the graph, and what the paper leaves open was
    /// chosen so that the sums agree with what it prints. `None` for nano, whose sizes are ours.
    pub fn formula(self) -> Option<(u64, u64)> {
        match self {
            Self::Nano => None,
            Self::Tiny => Some((257_700_000, 920_000_000_000)),
            Self::Small => Some((428_500_000, 1_500_000_000_000)),
            Self::Full => Some((1_595_700_000, 5_280_000_000_000)),
        }
    }

    /// The side of the image that the variant is made for: 64 for nano, 1024 for the paper's.
    pub fn native_size(self) -> usize {
        if self == Self::Nano { 64 } else { 1024 }
    }

    /// The config at an image size. Text is CLIP's alone (T = 77; nano: 16), as on the phone.
    pub fn config(self, image: ImageSize) -> ModelConfig {
        let (width, head_dim, kv_heads) = match self {
            Self::Nano => (256, 16, 8),
            Self::Tiny => (768, 64, 6),
            Self::Small => (1024, 64, 8),
            Self::Full => (2048, 64, 16),
        };
        let nano = self == Self::Nano;
        let clip = if nano { TextSource { tokens: 16, width: 128 } } else { TextSource { tokens: 77, width: 512 } };
        ModelConfig {
            name: self.name().to_owned(),
            image,
            latent_channels: 16,
            text_encoder: TextEncoderConfig {
                vocabulary: if nano { 2048 } else { 49408 },
                layers: if nano { 2 } else { 6 },
                heads: if nano { 4 } else { 8 },
                eps: 1e-5,
            },
            denoiser: DenoiserConfig {
                width,
                head_dim,
                kv_heads,
                cross_kv_heads: if nano { 2 } else { 4 },
                layout: if nano {
                    Layout { down: 2, middle: 4, up: 2 }
                } else {
                    Layout { down: 8, middle: 10, up: 10 }
                },
                architecture: Architecture::ThreeStage,
                outer_attention: OuterAttention::Assa,
                assa: AssaConfig { block_rows: if nano { 2 } else { 4 }, radius: 1, compression: Compression::PerHead },
                long_skips: true,
                ffn_ratio_outer: 4,
                ffn_ratio_middle: 3,
                patch: if nano { 1 } else { 2 },
                time_features: 256,
                eps: 1e-6,
                rope_theta: 1e4,
                prediction: if nano { Prediction::X0 } else { Prediction::Velocity },
                // The shift makes up for the many pixels of a large image; nano's is small.
                time_shift: if nano { 1.0 } else { 3.0 },
                text: TextConfig { clip, gemma: None, width: if nano { 256 } else { 2048 } },
                batch: 1,
            },
            decoder: DecoderConfig { channels: if nano { 32 } else { 64 }, blocks: vec![3, 3, 3, 1] },
        }
    }
}

/// A rung of the paper's architecture ladder (2000 → 550 → 293 → 360 ms a forward pass on its phone).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// PixArt with multi-query attention: one stage, dense, one key/value head.
    PixartMqa,
    /// Three stages, dense, one key/value head.
    ThreeStage,
    /// Three stages, ASSA in Down and Up, one key/value head.
    Assa,
    /// The final model: ASSA and grouped key/value heads. The paper does not list what else it adds between the last two.
    Final,
    /// The final model with dense attention in place of ASSA: what the sparsity alone saves. Not a rung of the paper's.
    FinalDense,
}

impl Rung {
    /// All of them, from the baseline up.
    pub const ALL: [Self; 5] = [Self::PixartMqa, Self::ThreeStage, Self::Assa, Self::Final, Self::FinalDense];

    /// The name that commands and tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::PixartMqa => "pixart-mqa",
            Self::ThreeStage => "three-stage",
            Self::Assa => "assa",
            Self::Final => "final",
            Self::FinalDense => "final-dense",
        }
    }

    /// `config` turned into this rung.
    pub fn apply(self, config: &mut ModelConfig) {
        let d = &mut config.denoiser;
        if matches!(self, Self::PixartMqa | Self::ThreeStage | Self::Assa) {
            d.kv_heads = 1;
        }
        if matches!(self, Self::PixartMqa | Self::ThreeStage | Self::FinalDense) {
            d.outer_attention = OuterAttention::Dense;
        }
        if self == Self::PixartMqa {
            d.architecture = Architecture::SingleStage;
        }
    }
}
