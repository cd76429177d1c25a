//! The text encoder: CLIP's text tower. Token ids `[B, T]` → embeddings `[B, T, D]`.

use ditbench_graph::{
    Activation, AttentionPattern, DType, Graph, GraphBuilder, GraphError, Init, Op, ValueId, WeightRole,
};
use serde::{Deserialize, Serialize};

/// One source of text tokens for the denoiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextSource {
    /// Number of tokens, padding included.
    pub tokens: usize,
    /// Width of each token's embedding.
    pub width: usize,
}

/// The text encoder: a CLIP text tower (pre-norm, causal).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextEncoderConfig {
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads.
    pub heads: usize,
    /// Epsilon of the norms (CLIP's: 1e-5).
    pub eps: f32,
}

/// Builds a text encoder that makes such tokens of so many prompts at once.
pub(crate) fn build(encoder: &TextEncoderConfig, source: TextSource, batch: usize) -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new("text_encoder");
    let ids = b.input("tokens", &[batch, source.tokens], DType::I64);
    let mut x = b.scope("text", |b| {
        let table =
            b.weight("token_embedding", &[encoder.vocabulary, source.width], Init::Normal(0.5), WeightRole::Embedding);
        let x = b.node("embed", Op::Embedding { weight: table }, &[ids]);
        let positions =
            b.weight("position_embedding", &[1, source.tokens, source.width], Init::Normal(0.1), WeightRole::Small);
        let positions = b.node("positions", Op::Parameter { weight: positions }, &[]);
        b.node("add_positions", Op::Add, &[x, positions])
    });
    for layer in 0..encoder.layers {
        x = b.scope("text", |b| b.scope(layer.to_string(), |b| block(b, encoder, x)));
    }
    let x = b.scope("text", |b| b.affine_norm("final_norm", x, encoder.eps));
    b.output("text", x);
    b.finish()
}

fn block(b: &mut GraphBuilder, encoder: &TextEncoderConfig, x: ValueId) -> ValueId {
    let &[batch, tokens, width] = b.shape(x) else { return x };
    let heads = encoder.heads;
    let eps = encoder.eps;
    let x = b.scope("attn", |b| {
        let h = b.affine_norm("norm", x, eps);
        let [q, k, v] = ["q", "k", "v"].map(|name| {
            let y = b.linear(name, h, width);
            b.reshape(&format!("{name}_heads"), y, &[batch, tokens, heads, width / heads])
        });
        let y = b.attention("attend", q, k, v, AttentionPattern::Causal);
        let y = b.reshape("join_heads", y, &[batch, tokens, width]);
        let y = b.linear("out", y, width);
        b.node("add", Op::Add, &[x, y])
    });
    b.scope("ffn", |b| {
        let h = b.affine_norm("norm", x, eps);
        let h = b.linear("up", h, 4 * width);
        let h = b.activation("gelu", h, Activation::GeluErf);
        let h = b.linear("down", h, width);
        b.node("add", Op::Add, &[x, h])
    })
}
