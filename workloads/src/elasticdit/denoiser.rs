//! The denoiser: (latent, time features, text) → velocity, with as many tokens and blocks as the config says, all from one set of weights.
//!
//! Inputs: `latent [1, C, h, w]`; `time_features [1, F]`; `text [1, T, D]`. Output: `prediction [1, C, h, w]`. A block keeps its name, and so
//! its weights, whatever others run.

use ditbench_graph::{AttentionPattern, DType, Graph, GraphBuilder, GraphError, Op, ValueId, WeightRole};

use super::config::{DenoiserConfig, ModelConfig};
use crate::blocks::{patch, pixart};

/// Builds the denoiser of a config.
pub(super) fn build(config: &ModelConfig) -> Result<Graph, GraphError> {
    let d = &config.denoiser;
    let grid = config.grid();
    let mut b = GraphBuilder::new("denoiser");
    let latent = b.input("latent", &config.latent_shape(), DType::F32);
    let time = b.input("time_features", &[1, d.time_features], DType::F32);
    let text = b.input("text", &[1, d.text.tokens, d.text.width], DType::F32);
    let text = pixart::text_in(&mut b, "project", text, d.context, d.eps);
    let modulation = pixart::time_modulation(&mut b, time, d.width);
    let mut x = b.scope("patch", |b| {
        let patches = patch::patchify(b, latent, d.patch);
        b.linear_as(&format!("embed{}", d.patch), patches, d.width, WeightRole::SensitiveLinear, 1.0)
    });
    for (layer, block) in (0..d.blocks).step_by(d.every).enumerate() {
        x = b.scope(format!("blocks.{block}"), |b| {
            let rows = pixart::rows(b, modulation.blocks);
            let x = pixart::self_attention(b, x, &rows, d.eps, |b, h| self_attention(b, d, h, grid, layer));
            let x = b.scope("cross", |b| pixart::cross_attention(b, x, text, d.head_dim, d.cross_kv_heads));
            pixart::ffn(b, x, &rows, d.ffn_ratio, d.eps)
        });
    }
    let out = format!("out{}", d.patch);
    let prediction = pixart::end(&mut b, x, &modulation, &out, (grid, d.patch, config.latent_channels), d.eps);
    b.output("prediction", prediction);
    b.finish()
}

/// Attention in blocks of tokens, in every other of the layers that run between blocks shifted by half: what a border parts in one layer, the
/// next brings together.
fn self_attention(
    b: &mut GraphBuilder,
    d: &DenoiserConfig,
    h: ValueId,
    (rows, cols): (usize, usize),
    layer: usize,
) -> ValueId {
    let &[batch, tokens, width] = b.shape(h) else { return h };
    let (blocks, shifted) = (d.sparse.blocks, layer % 2 == 1);
    let half = tokens / blocks / 2;
    let [q, k, v] = ["q", "k", "v"].map(|name| {
        let y = pixart::heads(b, name, h, (width / d.head_dim, d.head_dim), d.eps);
        let y = match name {
            "v" => y,
            _ => b.node(&format!("{name}_rope"), Op::Rope { rows, cols, theta: d.rope_theta }, &[y]),
        };
        if shifted { roll(b, &format!("{name}_shift"), y, half) } else { y }
    });
    let radius = if layer.is_multiple_of(d.sparse.alone_every) { 0 } else { d.sparse.radius };
    let y = b.attention("attend", q, k, v, AttentionPattern::Blockwise { blocks, radius });
    let y = if shifted { roll(b, "shift_back", y, tokens - half) } else { y };
    let y = b.reshape("join_heads", y, &[batch, tokens, width]);
    b.linear("out", y, width)
}

/// `[B, T, H, hd]`, its first `by` tokens put behind the others.
fn roll(b: &mut GraphBuilder, leaf: &str, x: ValueId, by: usize) -> ValueId {
    let &[_, tokens, _, _] = b.shape(x) else { return x };
    b.scope(leaf, |b| {
        let (first, rest) = (b.slice("first", x, 1, 0, by), b.slice("rest", x, 1, by, tokens));
        b.node("join", Op::Concat { axis: 1 }, &[rest, first])
    })
}
