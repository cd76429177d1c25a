//! The denoiser: (latent, time features, text) → prediction, all for a fixed image size.
//!
//! Inputs: `latent [B, C, h, w]`; `time_features [B, F]` (sinusoids of the timestep, made by the host in f64, because in
//! f32 their arguments of up to 1000 would cost three digits); `text [B, T, D]` from the text encoder; `text_gemma` where
//! the config has it. Output: `prediction [B, C, h, w]`.

use super::{Architecture, Compression, DenoiserConfig, ModelConfig, OuterAttention, TextSource, resample};
use crate::blocks::{patch, pixart};
use ditbench_graph::{
    Activation, AttentionPattern, DType, Graph, GraphBuilder, GraphError, Init, Op, ValueId, WeightRole,
};

/// Builds the denoiser of a config.
pub(super) fn build(config: &ModelConfig) -> Result<Graph, GraphError> {
    let d = &config.denoiser;
    let (h, w) = config.latent();
    let mut b = GraphBuilder::new("denoiser");
    let latent = b.input("latent", &[d.batch, config.latent_channels, h, w], DType::F32);
    let time = b.input("time_features", &[d.batch, d.time_features], DType::F32);
    let text = text(&mut b, d);
    let modulation = pixart::time_modulation(&mut b, time, d.width);
    let grid = config.grid();
    let stage = Stage { d, text, modulation: modulation.blocks, grid, outer: true };

    let x = b.scope("patch", |b| {
        let patches = patch::patchify(b, latent, d.patch);
        b.linear_as("embed", patches, d.width, WeightRole::SensitiveLinear, 1.0)
    });
    let x = match d.architecture {
        Architecture::SingleStage => {
            let blocks = d.layout.down + d.layout.middle + d.layout.up;
            b.scope("single", |b| (0..blocks).fold(x, |x, i| b.scope(i.to_string(), |b| stage.block(b, x))))
        }
        Architecture::ThreeStage => three_stages(&mut b, &stage, x),
    };
    let prediction = pixart::end(&mut b, x, &modulation, "out", (grid, d.patch, config.latent_channels), d.eps);
    b.output("prediction", prediction);
    b.finish()
}

fn three_stages(b: &mut GraphBuilder, outer: &Stage, x: ValueId) -> ValueId {
    let d = outer.d;
    let down = b.scope("down", |b| (0..d.layout.down).fold(x, |x, i| b.scope(i.to_string(), |b| outer.block(b, x))));
    let merged = b.scope("merge", |b| {
        let quads = resample::merge2x2(b, down, outer.grid);
        b.linear("project", quads, d.width)
    });
    let (rows, cols) = outer.grid;
    let inner = Stage { grid: (rows / 2, cols / 2), outer: false, ..*outer };
    let mut skips = Vec::new();
    let mut x = merged;
    for i in 0..d.layout.middle {
        x = b.scope("middle", |b| {
            b.scope(i.to_string(), |b| {
                // U-ViT: the output of block i meets the input of block M−1−i.
                let skip = if d.long_skips && 2 * i >= d.layout.middle { skips.pop() } else { None };
                if let Some(skip) = skip {
                    let both = b.node("skip_concat", Op::Concat { axis: 2 }, &[x, skip]);
                    x = b.linear("skip", both, d.width);
                }
                inner.block(b, x)
            })
        });
        if 2 * (i + 1) <= d.layout.middle {
            skips.push(x);
        }
    }
    let x = b.scope("split", |b| {
        let quads = b.linear("project", x, 4 * d.width);
        let split = resample::split2x2(b, quads, inner.grid);
        let weight = b.weight("lerp", &[1], Init::NormalAround { mean: 0.5, std: 0.05 }, WeightRole::Small);
        let weight = b.node("lerp_weight", Op::Parameter { weight }, &[]);
        b.node("join", Op::Lerp, &[split, down, weight])
    });
    b.scope("up", |b| (0..d.layout.up).fold(x, |x, i| b.scope(i.to_string(), |b| outer.block(b, x))))
}

/// The text tokens that cross-attention reads, `[B, T, text width]`.
fn text(b: &mut GraphBuilder, d: &DenoiserConfig) -> ValueId {
    let mut source = |name: &str, leaf: &str, TextSource { tokens, width }: TextSource| {
        let x = b.input(name, &[d.batch, tokens, width], DType::F32);
        pixart::text_in(b, leaf, x, d.text.width, d.eps)
    };
    let clip = source("text", "clip", d.text.clip);
    match d.text.gemma {
        None => clip,
        Some(gemma) => {
            let gemma = source("text_gemma", "gemma", gemma);
            b.scope("text_in", |b| b.node("join", Op::Concat { axis: 1 }, &[clip, gemma]))
        }
    }
}

/// What the blocks of one stage share.
struct Stage<'a> {
    d: &'a DenoiserConfig,
    text: ValueId,
    modulation: ValueId,
    grid: (usize, usize),
    /// Down and Up, as opposed to Middle.
    outer: bool,
}

impl Stage<'_> {
    /// x += g1·SA(mod(LN x)); x += CA(x, text); x += g2·FFN(mod(LN x)).
    fn block(&self, b: &mut GraphBuilder, x: ValueId) -> ValueId {
        let d = self.d;
        let rows = pixart::rows(b, self.modulation);
        let x = pixart::self_attention(b, x, &rows, d.eps, |b, h| self.self_attention(b, h));
        let x = b.scope("cross", |b| pixart::cross_attention(b, x, self.text, d.head_dim, d.cross_kv_heads));
        let ratio = if self.outer { d.ffn_ratio_outer } else { d.ffn_ratio_middle };
        pixart::ffn(b, x, &rows, ratio, d.eps)
    }

    fn self_attention(&self, b: &mut GraphBuilder, h: ValueId) -> ValueId {
        let d = self.d;
        let &[batch, tokens, width] = b.shape(h) else { return h };
        let (rows, cols) = self.grid;
        let mut heads = |name: &str, count: usize, turn: bool| {
            let y = pixart::heads(b, name, h, (count, d.head_dim), d.eps);
            if turn { b.node(&format!("{name}_rope"), Op::Rope { rows, cols, theta: d.rope_theta }, &[y]) } else { y }
        };
        let q = heads("q", d.heads(), true);
        let k = heads("k", d.kv_heads, true);
        let v = heads("v", d.kv_heads, false);
        let y = if self.outer && d.outer_attention == OuterAttention::Assa {
            self.adaptive_sparse(b, h, [q, k, v])
        } else {
            b.attention("attend", q, k, v, AttentionPattern::Full)
        };
        let y = b.reshape("join_heads", y, &[batch, tokens, width]);
        b.linear("out", y, width)
    }

    /// O = g·local + (1 − g)·global, with g = sigmoid(Linear h) per token and query head.
    fn adaptive_sparse(&self, b: &mut GraphBuilder, h: ValueId, [q, k, v]: [ValueId; 3]) -> ValueId {
        let d = self.d;
        let &[batch, tokens, heads, _] = b.shape(q) else { return q };
        b.scope("assa", |b| {
            let global = b.scope("global", |b| {
                let k = self.compress(b, "k", k);
                let v = self.compress(b, "v", v);
                b.attention("attend", q, k, v, AttentionPattern::Full)
            });
            let blocks = self.grid.0 / d.assa.block_rows;
            let pattern = AttentionPattern::Blockwise { blocks, radius: d.assa.radius };
            let local = b.scope("local", |b| b.attention("attend", q, k, v, pattern));
            b.scope("gate", |b| {
                let g = b.linear("project", h, heads);
                let g = b.activation("sigmoid", g, Activation::Sigmoid);
                let g = b.reshape("per_head", g, &[batch, tokens, heads, 1]);
                b.node("join", Op::Lerp, &[global, local, g])
            })
        })
    }

    /// `[B, T, K, hd] → [B, T/4, K, hd]`: a 2×2 convolution of stride 2 over the token grid.
    fn compress(&self, b: &mut GraphBuilder, leaf: &str, x: ValueId) -> ValueId {
        let &[batch, _, heads, head_dim] = b.shape(x) else { return x };
        let (rows, cols) = self.grid;
        let channels = heads * head_dim;
        let groups = match self.d.assa.compression {
            Compression::PerHead => heads,
            Compression::Depthwise => channels,
        };
        b.scope(leaf, |b| {
            let weight = b.weight("weight", &[channels, channels / groups, 2, 2], Init::Average, WeightRole::Conv);
            let x = b.reshape("grid", x, &[batch, rows, cols, channels]);
            let x = b.transpose("channels_first", x, &[0, 3, 1, 2]);
            let x = b.node("conv", Op::Conv2d { weight, bias: None, stride: 2, padding: 0, groups }, &[x]);
            let x = b.transpose("channels_last", x, &[0, 2, 3, 1]);
            b.reshape("heads", x, &[batch, rows / 2 * (cols / 2), heads, head_dim])
        })
    }
}
