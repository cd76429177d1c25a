//! The transformer block that several denoisers are made of, after PixArt-alpha (arXiv 2310.00426): self-attention and FFN modulated by
//! rows that all blocks share and a table of each block's own, cross-attention to the text between them.

use ditbench_graph::{Activation, AttentionPattern, GraphBuilder, Init, Op, ValueId, WeightRole};

/// Modulation from the timestep.
pub(crate) struct Modulation {
    /// `[B, 6, d]`, shared by all blocks: shift, scale, gate of attention, then of FFN.
    pub(crate) blocks: ValueId,
    /// `[B, 1, d]`.
    pub(crate) final_shift: ValueId,
    /// `[B, 1, d]`.
    pub(crate) final_scale: ValueId,
}

/// adaLN-single: one MLP on the time features `[B, F]`; each block adds a table of its own.
pub(crate) fn time_modulation(b: &mut GraphBuilder, features: ValueId, width: usize) -> Modulation {
    let batch = b.shape(features).first().copied().unwrap_or(1);
    b.scope("time", |b| {
        let x = b.linear_as("up", features, width, WeightRole::SensitiveLinear, 1.0);
        let x = b.activation("up_silu", x, Activation::Silu);
        let embedding = b.linear_as("down", x, width, WeightRole::SensitiveLinear, 1.0);
        let x = b.activation("head_silu", embedding, Activation::Silu);
        let head = b.linear_as("adaln", x, 6 * width, WeightRole::SensitiveLinear, 0.5);
        let blocks = b.reshape("adaln_rows", head, &[batch, 6, width]);
        let table = b.weight("final_table", &[1, 2, width], Init::Normal(0.1), WeightRole::Small);
        let table = b.node("final_table", Op::Parameter { weight: table }, &[]);
        let embedding = b.reshape("embedding_row", embedding, &[batch, 1, width]);
        let rows = b.node("final_add", Op::Add, &[embedding, table]);
        let final_shift = b.slice("final_shift", rows, 1, 0, 1);
        let final_scale = b.slice("final_scale", rows, 1, 1, 2);
        Modulation { blocks, final_shift, final_scale }
    })
}

/// A block's own rows `[B, 1, d]`: shift, scale, gate of attention, then of FFN.
pub(crate) fn rows(b: &mut GraphBuilder, shared: ValueId) -> Vec<ValueId> {
    let width = b.shape(shared).last().copied().unwrap_or(1);
    b.scope("modulation", |b| {
        let table = b.weight("table", &[1, 6, width], Init::Normal(0.3), WeightRole::Small);
        let table = b.node("table", Op::Parameter { weight: table }, &[]);
        let sum = b.node("add", Op::Add, &[shared, table]);
        ["shift_attn", "scale_attn", "gate_attn", "shift_ffn", "scale_ffn", "gate_ffn"]
            .into_iter()
            .enumerate()
            .map(|(i, name)| b.slice(name, sum, 1, i, i + 1))
            .collect()
    })
}

/// x + gate·attend(mod(LN x)), with the first three of a block's rows.
pub(crate) fn self_attention(
    b: &mut GraphBuilder,
    x: ValueId,
    rows: &[ValueId],
    eps: f32,
    attend: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId,
) -> ValueId {
    b.scope("attn", |b| {
        let h = b.norm("norm", x, eps);
        let h = b.node("modulate", Op::Modulate, &[h, rows[0], rows[1]]);
        let y = attend(b, h);
        b.node("add", Op::GatedAdd, &[x, y, rows[2]])
    })
}

/// `[B, T, D]` → `[B, T, heads, hd]`, each head normed.
pub(crate) fn heads(
    b: &mut GraphBuilder,
    name: &str,
    h: ValueId,
    (count, head_dim): (usize, usize),
    eps: f32,
) -> ValueId {
    let &[batch, tokens, _] = b.shape(h) else { return h };
    let y = b.linear(name, h, count * head_dim);
    let y = b.reshape(&format!("{name}_heads"), y, &[batch, tokens, count, head_dim]);
    b.affine_norm(&format!("{name}_norm"), y, eps)
}

/// x + CA(x, text): no norm and no modulation before it. Heads of the queries are of the keys' width; `kv_heads` of keys and values.
pub(crate) fn cross_attention(
    b: &mut GraphBuilder,
    x: ValueId,
    text: ValueId,
    head_dim: usize,
    kv_heads: usize,
) -> ValueId {
    let (&[batch, tokens, width], &[_, text_tokens, _]) = (b.shape(x), b.shape(text)) else { return x };
    let q = b.linear("q", x, width);
    let q = b.reshape("q_heads", q, &[batch, tokens, width / head_dim, head_dim]);
    let [k, v] = ["k", "v"].map(|name| {
        let y = b.linear(name, text, kv_heads * head_dim);
        b.reshape(&format!("{name}_heads"), y, &[batch, text_tokens, kv_heads, head_dim])
    });
    // Random queries on an unnormalised stream would saturate the softmax as the stream grows; norms on q and k
    // are not in the paper's figure for cross-attention, so the scale alone keeps it sane.
    let y = b.attention("attend", q, k, v, AttentionPattern::Full);
    let y = b.reshape("join_heads", y, &[batch, tokens, width]);
    let y = b.linear("out", y, width);
    b.node("add", Op::Add, &[x, y])
}

/// x + gate·FFN(mod(LN x)), with the last three of a block's rows.
pub(crate) fn ffn(b: &mut GraphBuilder, x: ValueId, rows: &[ValueId], ratio: usize, eps: f32) -> ValueId {
    let width = b.shape(x).last().copied().unwrap_or(1);
    b.scope("ffn", |b| {
        let h = b.norm("norm", x, eps);
        let h = b.node("modulate", Op::Modulate, &[h, rows[3], rows[4]]);
        let h = b.linear("up", h, ratio * width);
        let h = b.activation("gelu", h, Activation::GeluTanh);
        let h = b.linear("down", h, width);
        b.node("add", Op::GatedAdd, &[x, h, rows[5]])
    })
}

/// Embeddings `[B, T, D]` of a text encoder as the cross-attention reads them: projected, then normed.
pub(crate) fn text_in(b: &mut GraphBuilder, leaf: &str, text: ValueId, width: usize, eps: f32) -> ValueId {
    b.scope("text_in", |b| {
        let x = b.linear_as(leaf, text, width, WeightRole::SensitiveLinear, 1.0);
        b.affine_norm(&format!("{leaf}_norm"), x, eps)
    })
}

/// The prediction `[B, C, rows·p, cols·p]` from the last tokens, by a linear layer of that name.
pub(crate) fn end(
    b: &mut GraphBuilder,
    x: ValueId,
    modulation: &Modulation,
    leaf: &str,
    (grid, patch, channels): ((usize, usize), usize, usize),
    eps: f32,
) -> ValueId {
    b.scope("final", |b| {
        let x = b.norm("norm", x, eps);
        let x = b.node("modulate", Op::Modulate, &[x, modulation.final_shift, modulation.final_scale]);
        let x = b.linear_as(leaf, x, patch * patch * channels, WeightRole::SensitiveLinear, 1.0);
        super::patch::unpatchify(b, x, grid, patch)
    })
}
