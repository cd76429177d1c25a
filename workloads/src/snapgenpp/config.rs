//! Every size and choice of SnapGen++ as a named field. What the paper leaves open is a field with our default, never a
//! constant in the code; the docs say which is which. Source: SnapGen++, arXiv 2601.08303 v2.

use serde::{Deserialize, Serialize};

use ditbench_graph::GraphError;

use crate::ImageSize;
use crate::blocks::clip::{TextEncoderConfig, TextSource};
use crate::blocks::taesd::DecoderConfig;

/// Number of blocks in the Down, Middle and Up stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layout {
    /// Blocks at full token resolution, before the merge.
    pub down: usize,
    /// Blocks at a quarter of the tokens.
    pub middle: usize,
    /// Blocks at full token resolution, after the split.
    pub up: usize,
}

/// The overall shape of the denoiser: the rungs of the paper's ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Down → merge → Middle → split → Up.
    ThreeStage,
    /// All blocks at full token resolution, as in PixArt.
    SingleStage,
}

/// Self-attention of the blocks at full token resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OuterAttention {
    /// Every token to every token.
    Dense,
    /// Adaptive sparse: a global branch over compressed keys and a local blockwise branch, joined by a learned gate.
    Assa,
}

/// How the global branch compresses keys and values 2×2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// A convolution per head, dense inside the head (stated).
    PerHead,
    /// A convolution per channel.
    Depthwise,
}

/// Adaptive sparse self-attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AssaConfig {
    /// Token rows in a local block. Stated as 16 blocks at 64 rows, so 4; the same for other sizes is our choice.
    pub block_rows: usize,
    /// Neighbour blocks on each side (stated: 1).
    pub radius: usize,
    /// Compression of the global branch.
    pub compression: Compression,
}

/// What the denoiser predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// v = ε − x0 (the paper).
    Velocity,
    /// The clean latent; v = (x_t − x̂0)/σ.
    X0,
}

/// What the denoiser's cross-attention reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextConfig {
    /// From the pipeline's own text encoder (stated: TinyCLIP, 77×512).
    pub clip: TextSource,
    /// From a large language model (stated: Gemma3-4b-it, 256×2560); absent on the phone path. No weights of it can be
    /// carried, so the pipeline feeds seeded noise in its place, and the record says so.
    pub gemma: Option<TextSource>,
    /// Common width after projection (stated: 2048); not sliced by the elastic width.
    pub width: usize,
}

impl TextConfig {
    /// Tokens that the cross-attention reads.
    pub fn tokens(&self) -> usize {
        self.clip.tokens + self.gemma.map_or(0, |gemma| gemma.tokens)
    }
}

/// The denoiser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DenoiserConfig {
    /// Width of a token, d. Query heads are width / head_dim.
    pub width: usize,
    /// Width of a head (stated: 64).
    pub head_dim: usize,
    /// Key/value heads of the self-attention.
    pub kv_heads: usize,
    /// Key/value heads of the cross-attention (stated: 4).
    pub cross_kv_heads: usize,
    /// Blocks by stage; for one stage, their sum counts.
    pub layout: Layout,
    /// Three stages or one.
    pub architecture: Architecture,
    /// Self-attention at full token resolution.
    pub outer_attention: OuterAttention,
    /// Its sparse form.
    pub assa: AssaConfig,
    /// Whether the Middle stage joins block i to block M−1−i (stated).
    pub long_skips: bool,
    /// FFN width over d in Down and Up (stated: 4).
    pub ffn_ratio_outer: usize,
    /// FFN width over d in Middle (stated: 3).
    pub ffn_ratio_middle: usize,
    /// Side of a patch in latent pixels (stated: 2).
    pub patch: usize,
    /// Width of the time features (PixArt's: 256).
    pub time_features: usize,
    /// Epsilon of all norms (read off a figure: 1e-6).
    pub eps: f32,
    /// Base of the rotary frequencies (1e4 assumed).
    pub rope_theta: f32,
    /// What it predicts.
    pub prediction: Prediction,
    /// Shift of the sampler's noise levels towards noise, s in σ = s·t/(1 + (s − 1)·t); 1 leaves them evenly spaced
    /// (stated for the distilled model: 3).
    #[serde(default = "papers_time_shift")]
    pub time_shift: f64,
    /// What its cross-attention reads.
    pub text: TextConfig,
    /// Images (or guided pairs) per forward pass.
    pub batch: usize,
}

/// What records hold that were written before the shift was a field.
fn papers_time_shift() -> f64 {
    3.0
}

impl DenoiserConfig {
    /// Query heads of self- and cross-attention.
    pub fn heads(&self) -> usize {
        self.width / self.head_dim
    }
}

/// The whole pipeline's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Name shown in tables: `tiny`, `small`, …
    pub name: String,
    /// Size of the image.
    pub image: ImageSize,
    /// Channels of the latent (stated: 16).
    pub latent_channels: usize,
    /// Text encoder; its token count and width are `denoiser.text.clip`'s.
    pub text_encoder: TextEncoderConfig,
    /// Denoiser.
    pub denoiser: DenoiserConfig,
    /// Decoder, after TAESD (the phone's own is unpublished); each upsampling doubles the size, so the latent is 2^(blocks − 1) times smaller than the image.
    pub decoder: DecoderConfig,
}

impl ModelConfig {
    /// Image pixels per latent pixel along a side: 8 for the paper's.
    pub fn downscale(&self) -> usize {
        self.decoder.upscale()
    }

    /// Rows and columns of the latent.
    pub fn latent(&self) -> (usize, usize) {
        (self.image.height / self.downscale(), self.image.width / self.downscale())
    }

    /// Shape of one latent, `[batch, C, h, w]`, at a batch size.
    pub fn latent_shape(&self, batch: usize) -> [usize; 4] {
        let (h, w) = self.latent();
        [batch, self.latent_channels, h, w]
    }

    /// Rows and columns of tokens at full token resolution.
    pub fn grid(&self) -> (usize, usize) {
        let (h, w) = self.latent();
        (h / self.denoiser.patch, w / self.denoiser.patch)
    }

    /// The image's sides must be multiples of this many pixels.
    pub fn multiple(&self) -> (usize, usize) {
        let token = self.downscale() * self.denoiser.patch;
        let merge = if self.denoiser.architecture == Architecture::ThreeStage
            || self.denoiser.outer_attention == OuterAttention::Assa
        {
            2
        } else {
            1
        };
        let rows = if self.denoiser.outer_attention == OuterAttention::Assa {
            lcm(self.denoiser.assa.block_rows, merge)
        } else {
            merge
        };
        (token * rows, token * merge)
    }

    /// The config of a narrower net of the same elastic super-network: `share` of the width and of the key/value heads
    /// of the self-attention (the paper's: 0.5 and 0.375). Depth and text stay.
    ///
    /// # Errors
    /// A share that leaves no whole number of heads.
    pub fn narrowed(&self, share: f64) -> Result<Self, GraphError> {
        let d = &self.denoiser;
        let of = |count: usize| {
            let part = count as f64 * share;
            (part >= 1.0 && part <= count as f64 && part.fract() == 0.0).then_some(part as usize)
        };
        let (Some(heads), Some(kv_heads)) = (of(d.heads()), of(d.kv_heads)) else {
            return Err(GraphError::Config(format!(
                "model {}: {share} of its {} query and {} key/value heads is not a whole number of heads",
                self.name,
                d.heads(),
                d.kv_heads
            )));
        };
        let mut narrower = self.clone();
        narrower.denoiser.width = heads * d.head_dim;
        narrower.denoiser.kv_heads = kv_heads;
        if heads != d.heads() {
            narrower.name = format!("{}@{share}", self.name);
        }
        narrower.check()?;
        Ok(narrower)
    }

    /// Says what in the config cannot be built.
    ///
    /// # Errors
    /// [`GraphError::Config`] naming the field and what it may be.
    pub fn check(&self) -> Result<(), GraphError> {
        let d = &self.denoiser;
        let fail = |why: String| Err(GraphError::Config(format!("model {}: {why}", self.name)));
        let fields = [
            ("width", d.width),
            ("head_dim", d.head_dim),
            ("kv_heads", d.kv_heads),
            ("cross_kv_heads", d.cross_kv_heads),
            ("patch", d.patch),
            ("batch", d.batch),
            ("block_rows", d.assa.block_rows),
            ("latent_channels", self.latent_channels),
            ("text_encoder.heads", self.text_encoder.heads),
            ("decoder.channels", self.decoder.channels),
            ("decoder.blocks", self.decoder.blocks.len()),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, value)| *value == 0) {
            return fail(format!("{name} must not be 0"));
        }
        if !(d.time_shift.is_finite() && d.time_shift > 0.0) {
            return fail(format!("time_shift = {} must be above 0 and finite", d.time_shift));
        }
        if !d.head_dim.is_multiple_of(4) || !d.width.is_multiple_of(d.head_dim) {
            return fail(format!(
                "width {} must be a multiple of head_dim {}, and that a multiple of 4",
                d.width, d.head_dim
            ));
        }
        for (name, kv) in [("kv_heads", d.kv_heads), ("cross_kv_heads", d.cross_kv_heads)] {
            if !d.heads().is_multiple_of(kv) {
                return fail(format!("{name} = {kv} must divide the {} query heads", d.heads()));
            }
        }
        if !d.text.clip.width.is_multiple_of(self.text_encoder.heads) {
            return fail(format!(
                "text width {} must be a multiple of its {} heads",
                d.text.clip.width, self.text_encoder.heads
            ));
        }
        let (rows, cols) = self.multiple();
        let ImageSize { height, width } = self.image;
        if height == 0 || width == 0 || !height.is_multiple_of(rows) || !width.is_multiple_of(cols) {
            let nearest = |x: usize, m: usize| ((x + m / 2) / m).max(1) * m;
            return fail(format!(
                "an image of {width}×{height} pixels cannot be cut into tokens: the width must be a multiple of {cols} and the height of {rows}; try {}×{}",
                nearest(width, cols),
                nearest(height, rows)
            ));
        }
        Ok(())
    }
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}
