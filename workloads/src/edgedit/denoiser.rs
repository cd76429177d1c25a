//! The denoiser: (latent, time features, class) → predicted noise, for a fixed image size.
//!
//! Inputs: `latent [B, C, h, w]`; `time_features [B, F]` (sinusoids of the timestep, made by the host in f64); `class [B, 1]`, the row of the
//! class embedding. Output: `prediction [B, C, h, w]`; the variance that the net predicts beside the noise is computed and cut off.

use ditbench_graph::{
    Activation, AttentionPattern, DType, Graph, GraphBuilder, GraphError, Init, Op, ValueId, WeightRole,
};

use super::config::{DenoiserConfig, ModelConfig};
use crate::blocks::patch;

/// Builds the denoiser of a config.
pub(super) fn build(config: &ModelConfig) -> Result<Graph, GraphError> {
    let d = &config.denoiser;
    let channels = config.latent_channels;
    let (rows, cols) = config.grid();
    let mut b = GraphBuilder::new("denoiser");
    let latent = b.input("latent", &config.latent_shape(d.batch), DType::F32);
    let time = b.input("time_features", &[d.batch, d.time_features], DType::F32);
    let class = b.input("class", &[d.batch, 1], DType::I64);
    let mut x = b.scope("patch", |b| {
        let patches = patch::patchify(b, latent, d.patch);
        let x = b.linear_as("embed", patches, d.width, WeightRole::SensitiveLinear, 1.0);
        // A fixed table of sines and cosines in the paper, stored with the weights; seeded where no checkpoint gives it.
        let table = b.weight("positions", &[1, rows * cols, d.width], Init::Normal(0.7), WeightRole::Small);
        let table = b.node("positions", Op::Parameter { weight: table }, &[]);
        b.node("add_positions", Op::Add, &[x, table])
    });
    let condition = condition(&mut b, d, time, class);
    for i in 0..d.blocks {
        x = b.scope("blocks", |b| b.scope(i.to_string(), |b| block(b, d, x, condition)));
    }
    let prediction = b.scope("final", |b| {
        let rows_of = modulation(b, d, condition, WeightRole::SensitiveLinear, &["shift", "scale"]);
        let h = b.norm("norm", x, d.eps);
        let h = b.node("modulate", Op::Modulate, &[h, rows_of[0], rows_of[1]]);
        // Noise and its variance.
        let out = b.linear_as("out", h, 2 * channels * d.patch * d.patch, WeightRole::SensitiveLinear, 1.0);
        let both = patch::unpatchify(b, out, (rows, cols), d.patch);
        b.slice("noise", both, 1, 0, channels)
    });
    b.output("prediction", prediction);
    b.finish()
}

/// SiLU of time and class together, `[B, 1, d]`: what every block makes its modulation from.
fn condition(b: &mut GraphBuilder, d: &DenoiserConfig, time: ValueId, class: ValueId) -> ValueId {
    b.scope("condition", |b| {
        let x = b.linear_as("time_up", time, d.width, WeightRole::SensitiveLinear, 1.0);
        let x = b.activation("time_silu", x, Activation::Silu);
        let x = b.linear_as("time_down", x, d.width, WeightRole::SensitiveLinear, 1.0);
        let time = b.reshape("time_row", x, &[d.batch, 1, d.width]);
        let table = b.weight("class_embedding", &[d.classes + 1, d.width], Init::Normal(0.5), WeightRole::Embedding);
        let class = b.node("class_row", Op::Embedding { weight: table }, &[class]);
        let sum = b.node("add", Op::Add, &[time, class]);
        b.activation("silu", sum, Activation::Silu)
    })
}

/// adaLN: rows `[B, 1, d]` of these names, by a linear layer of the block's own.
fn modulation(
    b: &mut GraphBuilder,
    d: &DenoiserConfig,
    condition: ValueId,
    role: WeightRole,
    names: &[&str],
) -> Vec<ValueId> {
    b.scope("modulation", |b| {
        let all = b.linear_as("adaln", condition, names.len() * d.width, role, 0.5);
        let all = b.reshape("rows", all, &[d.batch, names.len(), d.width]);
        names.iter().enumerate().map(|(i, name)| b.slice(name, all, 1, i, i + 1)).collect()
    })
}

/// x += g1·SA(mod(LN x)); x += g2·MLP(mod(LN x)).
fn block(b: &mut GraphBuilder, d: &DenoiserConfig, x: ValueId, condition: ValueId) -> ValueId {
    let names = ["shift_attn", "scale_attn", "gate_attn", "shift_ffn", "scale_ffn", "gate_ffn"];
    // The bulk's role, unlike a modulation that blocks share: a third of the parameters is here.
    let rows = modulation(b, d, condition, WeightRole::Linear, &names);
    let &[batch, tokens, width] = b.shape(x) else { return x };
    let x = b.scope("attn", |b| {
        let h = b.norm("norm", x, d.eps);
        let h = b.node("modulate", Op::Modulate, &[h, rows[0], rows[1]]);
        let [q, k, v] = ["q", "k", "v"].map(|name| {
            let y = b.linear(name, h, d.attention_width);
            b.reshape(&format!("{name}_heads"), y, &[batch, tokens, d.heads, d.attention_width / d.heads])
        });
        let y = b.attention("attend", q, k, v, AttentionPattern::Full);
        let y = b.reshape("join_heads", y, &[batch, tokens, d.attention_width]);
        let y = b.linear("out", y, width);
        b.node("add", Op::GatedAdd, &[x, y, rows[2]])
    });
    b.scope("ffn", |b| {
        let h = b.norm("norm", x, d.eps);
        let h = b.node("modulate", Op::Modulate, &[h, rows[3], rows[4]]);
        let h = b.linear("up", h, d.mlp_ratio * width);
        let h = b.activation("gelu", h, Activation::GeluTanh);
        let h = b.linear("down", h, width);
        b.node("add", Op::GatedAdd, &[x, h, rows[5]])
    })
}
