//! The operations. Each variant's doc is its definition; the f64 reference interpreter is its executable form.

use serde::{Deserialize, Serialize};

use super::WeightId;

/// Which keys a query attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionPattern {
    /// Every key.
    Full,
    /// Keys at the query's position and before it.
    Causal,
    /// Tokens are cut into `blocks` contiguous blocks of equal size; block b attends to blocks b−radius ..= b+radius,
    /// truncated at the ends.
    Blockwise {
        /// Number of blocks; divides the number of tokens.
        blocks: usize,
        /// How many neighbour blocks on each side.
        radius: usize,
    },
}

impl AttentionPattern {
    /// Number of (query, key) pairs that are computed, per head and batch row.
    pub fn pairs(self, queries: usize, keys: usize) -> usize {
        match self {
            Self::Full => queries * keys,
            Self::Causal => queries * (queries + 1) / 2,
            Self::Blockwise { blocks, radius } => {
                let size = queries / blocks;
                (0..blocks).map(|b| size * size * neighbours(b, blocks, radius).len()).sum()
            }
        }
    }

    /// The range of keys that the query at position `query` attends to, out of `tokens` queries and `keys` keys.
    pub fn keys_of(self, query: usize, tokens: usize, keys: usize) -> std::ops::Range<usize> {
        match self {
            Self::Full => 0..keys,
            Self::Causal => 0..query + 1,
            Self::Blockwise { blocks, radius } => {
                let size = tokens / blocks;
                let near = neighbours(query / size, blocks, radius);
                near.start * size..near.end * size
            }
        }
    }
}

/// The blocks that block `b` attends to.
fn neighbours(b: usize, blocks: usize, radius: usize) -> std::ops::Range<usize> {
    b.saturating_sub(radius)..(b + radius + 1).min(blocks)
}

/// Element-wise functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    GeluTanh,
    /// 0.5·x·(1 + erf(x/√2)).
    GeluErf,
    /// x·sigmoid(1.702·x): CLIP's.
    QuickGelu,
    /// x·sigmoid(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6): the mobile vision networks'.
    Relu6,
    /// 1/(1 + e^−x).
    Sigmoid,
    /// tanh x.
    Tanh,
}

/// What a node computes. B batch, T tokens, D channels, H query heads, K key/value heads, C channels of an image, h and w its rows and columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// `[.., K] → [.., N]`: x·Wᵀ + b with W `[N, K]`, b `[N]`.
    Linear {
        /// `[N, K]`.
        weight: WeightId,
        /// `[N]`.
        bias: Option<WeightId>,
    },
    /// `[B, I, h, w] → [B, O, h', w']`: cross-correlation, zero padding on all four sides.
    Conv2d {
        /// `[O, I/groups, kh, kw]`.
        weight: WeightId,
        /// `[O]`.
        bias: Option<WeightId>,
        /// Step, the same along rows and columns.
        stride: usize,
        /// Rows and columns of zeros added on each side.
        padding: usize,
        /// Channels are cut into this many independent groups.
        groups: usize,
    },
    /// Token ids `[B, T]` → `[B, T, D]`: the rows of W `[V, D]`.
    Embedding {
        /// `[V, D]`.
        weight: WeightId,
    },
    /// No input: a weight used as a value.
    Parameter {
        /// The weight.
        weight: WeightId,
    },
    /// Over the last axis: (x − mean)/√(variance + eps), variance divided by D, then ·weight + bias where given.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
        /// `[D]`.
        weight: Option<WeightId>,
        /// `[D]`.
        bias: Option<WeightId>,
    },
    /// `[B, C, h, w]`, channels cut into groups of neighbours: (x − mean)/√(variance + eps) over each group of an image, variance
    /// divided by its elements, then ·weight + bias of each channel.
    GroupNorm {
        /// Number of groups; divides C.
        groups: usize,
        /// Added to the variance.
        eps: f32,
        /// `[C]`.
        weight: WeightId,
        /// `[C]`.
        bias: WeightId,
    },
    /// Over the last axis: x/√(mean of x² + eps)·weight.
    RmsNorm {
        /// Added to the mean of squares.
        eps: f32,
        /// `[D]`.
        weight: WeightId,
    },
    /// (x `[B, T, D]`, shift `[B, 1, D]`, scale `[B, 1, D]`) → x·(1 + scale) + shift.
    Modulate,
    /// (x `[B, T, D]`, y `[B, T, D]`, gate `[B, 1, D]`) → x + gate·y.
    GatedAdd,
    /// (a, b, w) → a + w·(b − a). a and b have one shape; w broadcasts to it (`[B, T, H, 1]` against `[B, T, H, hd]`, or `[1]`).
    Lerp,
    /// (a, b) → a + b with NumPy's broadcasting.
    Add,
    /// (a, b) → a·b with NumPy's broadcasting.
    Mul,
    /// x → factor·x.
    Scale {
        /// The factor.
        factor: f32,
    },
    /// Element-wise.
    Activation(Activation),
    /// x `[B, T, H, hd]`, T = rows·cols in raster order. Rotates the pairs (i, i + hd/2): the first hd/4 pairs by the
    /// row, the others by the column; angles from [`super::rope::tables`].
    Rope {
        /// Rows of the token grid.
        rows: usize,
        /// Columns of the token grid.
        cols: usize,
        /// Base of the frequencies.
        theta: f32,
    },
    /// (q `[B, Tq, H, hd]`, k `[B, Tk, K, hd]`, v `[B, Tk, K, hd]`) → `[B, Tq, H, hd]`: softmax(scale·q·kᵀ)·v per query
    /// head; query head i reads key/value head i / (H/K).
    Attention {
        /// Which keys a query attends to.
        pattern: AttentionPattern,
        /// Factor on the scores, usually 1/√hd.
        scale: f32,
    },
    /// The same elements in another shape.
    Reshape {
        /// The new shape, all axes given.
        shape: Vec<usize>,
    },
    /// Output axis i is input axis perm\[i\].
    Transpose {
        /// A permutation of the axes.
        perm: Vec<usize>,
    },
    /// Two or more inputs joined along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Elements start..end along an axis.
    Slice {
        /// The axis.
        axis: usize,
        /// First index.
        start: usize,
        /// One past the last index.
        end: usize,
    },
    /// `[B, C, h, w] → [B, C, 2h, 2w]`, nearest neighbour.
    Upsample2x,
    /// `[B, C, 2h, 2w] → [B, C, h, w]`: the mean of each square of four pixels.
    AveragePool2x,
}

impl Op {
    /// The kind of operation, as profiles and tables name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "Linear",
            Self::Conv2d { .. } => "Conv2d",
            Self::Embedding { .. } => "Embedding",
            Self::Parameter { .. } => "Parameter",
            Self::LayerNorm { .. } => "LayerNorm",
            Self::GroupNorm { .. } => "GroupNorm",
            Self::RmsNorm { .. } => "RmsNorm",
            Self::Modulate => "Modulate",
            Self::GatedAdd => "GatedAdd",
            Self::Lerp => "Lerp",
            Self::Add => "Add",
            Self::Mul => "Mul",
            Self::Scale { .. } => "Scale",
            Self::Activation(Activation::GeluTanh | Activation::GeluErf | Activation::QuickGelu) => "Gelu",
            Self::Activation(Activation::Silu) => "Silu",
            Self::Activation(Activation::Relu) => "Relu",
            Self::Activation(Activation::Relu6) => "Relu6",
            Self::Activation(Activation::Sigmoid) => "Sigmoid",
            Self::Activation(Activation::Tanh) => "Tanh",
            Self::Rope { .. } => "Rope",
            Self::Attention { .. } => "Attention",
            Self::Reshape { .. } => "Reshape",
            Self::Transpose { .. } => "Transpose",
            Self::Concat { .. } => "Concat",
            Self::Slice { .. } => "Slice",
            Self::Upsample2x => "Upsample",
            Self::AveragePool2x => "AveragePool",
        }
    }

    /// The weights that the operation names, the main one first.
    pub fn weights(&self) -> Vec<WeightId> {
        match self {
            Self::Linear { weight, bias } | Self::Conv2d { weight, bias, .. } => {
                [Some(*weight), *bias].into_iter().flatten().collect()
            }
            Self::Embedding { weight } | Self::Parameter { weight } | Self::RmsNorm { weight, .. } => vec![*weight],
            Self::GroupNorm { weight, bias, .. } => vec![*weight, *bias],
            Self::LayerNorm { weight, bias, .. } => [*weight, *bias].into_iter().flatten().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blockwise_pairs_are_the_papers() {
        // SnapGen++ at 1024²: 4096 tokens, 16 blocks, radius 1. 14 inner blocks see 768 keys, the two ends 512.
        let local = AttentionPattern::Blockwise { blocks: 16, radius: 1 };
        let pairs = local.pairs(4096, 4096);
        assert_eq!(pairs, 256 * (14 * 768 + 2 * 512));
        assert!((pairs as f64 / (4096.0 * 4096.0) - 0.180).abs() < 0.0005);
    }

    #[test]
    fn keys_of_a_query_add_up_to_the_pairs() {
        for pattern in
            [AttentionPattern::Full, AttentionPattern::Causal, AttentionPattern::Blockwise { blocks: 4, radius: 1 }]
        {
            let sum: usize = (0..32).map(|q| pattern.keys_of(q, 32, 32).len()).sum();
            assert_eq!(sum, pattern.pairs(32, 32), "{pattern:?}");
        }
    }
}
