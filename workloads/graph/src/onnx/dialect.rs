//! Which of several ways to say the same thing in ONNX a file uses: one switch per choice that a runtime may care about.
//!
//! Here is what can be chosen, and the one choice that every runtime reads. What a runtime likes best is known where it is
//! called: each backend makes its own dialect.

use serde::{Deserialize, Serialize};

/// How linears with 4-bit or 8-bit weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantizedLinear {
    /// As f32: the weight is unpacked (and listed in [`super::Exported::unpacked`]).
    Unpacked,
    /// `com.microsoft::MatMulNBits`, block 32.
    MatMulNBits {
        /// Its `accuracy_level`: 0 unset, 1 f32 activations, 4 activations rounded to 8 bits.
        accuracy_level: i64,
    },
    /// `ditbench::DitLinear`, weights as stored, Gelu (tanh) taken in: for a runtime to which our kernel is given.
    DitLinear,
}

/// How linears with f32 weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinearForm {
    /// `MatMul`, then `Add` of the bias.
    MatMul,
    /// Leading axes folded into one, `Gemm` with the bias, unfolded again.
    Gemm,
}

/// How Gelu in its tanh form is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeluForm {
    /// The standard `Gelu` of opset 20.
    Standard,
    /// `com.microsoft::FastGelu`, which takes the bias of a linear before it where nothing else reads that linear.
    FastGelu,
}

/// How attention is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionForm {
    /// `MatMul`, `Softmax`, `MatMul`, in chunks of queries.
    Products {
        /// The most scores (elements, not bytes) that one chunk may hold at once.
        max_scores: usize,
    },
    /// `com.microsoft::MultiHeadAttention` wherever no mask is needed (not for causal attention).
    MultiHead,
}

/// A set of such choices.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dialect {
    /// 4-bit linears.
    pub q4: QuantizedLinear,
    /// 8-bit linears.
    pub q8: QuantizedLinear,
    /// Gives the bias to `MatMulNBits` as its sixth input instead of adding it afterwards.
    pub nbits_bias: bool,
    /// Puts `Max(x, −3·10³⁸)` between a change of shape and `MatMulNBits`, for readers that would fold the one into the other
    /// and then take the packed weight along the wrong axes.
    pub nbits_barrier: bool,
    /// f32 linears.
    pub linear: LinearForm,
    /// Gelu in its tanh form.
    pub gelu: GeluForm,
    /// `com.microsoft::QuickGelu` for CLIP's activation and for SiLU, instead of `Sigmoid` and `Mul`.
    pub quick_gelu: bool,
    /// `com.microsoft::RotaryEmbedding` instead of products with tables.
    pub rotary: bool,
    /// Attention.
    pub attention: AttentionForm,
    /// Operations of the domain `ditbench` for what our own kernels compute: nodes that one kernel computes at once are one node, and
    /// weights of linears with 4 or 8 bits stay as they are stored, all others are written in f32. Only ditbench reads such files.
    pub ditbench: bool,
    /// Weights of linears with 16 bits also stay as they are stored in such nodes.
    #[serde(default, skip_serializing_if = "is_off")]
    pub ditbench_f16: bool,
    /// Weights and activations in 16-bit floats, cast from and to 32 bits where values enter and leave the graph: for devices that
    /// compute so. Refused together with nodes of ours, which take and give 32 bits alone.
    #[serde(default, skip_serializing_if = "is_off")]
    pub half: bool,
}

/// Left out where it is off, so that files of older programs keep their keys.
fn is_off(switch: &bool) -> bool {
    !switch
}

impl Dialect {
    /// Standard operators only, but for `MatMulNBits` where weights have 4 bits. Every runtime that knows that one operator reads it right.
    pub fn standard() -> Self {
        Self {
            q4: QuantizedLinear::MatMulNBits { accuracy_level: 1 },
            q8: QuantizedLinear::Unpacked,
            nbits_bias: false,
            nbits_barrier: true,
            linear: LinearForm::MatMul,
            gelu: GeluForm::Standard,
            quick_gelu: false,
            rotary: false,
            attention: AttentionForm::Products { max_scores: 1 << 22 },
            ditbench: false,
            ditbench_f16: false,
            half: false,
        }
    }

    /// The same, with another accuracy level of `MatMulNBits`: 1 computes in f32, 4 rounds activations to 8 bits.
    pub fn with_accuracy_level(mut self, level: i64) -> Self {
        for q in [&mut self.q4, &mut self.q8] {
            if let QuantizedLinear::MatMulNBits { accuracy_level } = q {
                *accuracy_level = level;
            }
        }
        self
    }

    /// Whether a file may hold nodes of the domain `ditbench`.
    pub(super) fn has_own_nodes(&self) -> bool {
        self.ditbench || [self.q4, self.q8].contains(&QuantizedLinear::DitLinear)
    }
}
