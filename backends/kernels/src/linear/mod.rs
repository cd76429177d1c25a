//! y = x·Wᵀ + b, then an activation. x `[M, K]`, W `[N, K]`, b `[N]`, y `[M, N]`.
//!
//! W is packed once. M is what is left of x: `x.len() / K`, so any leading axes (batch, tokens) count as rows.
//!
//! | function | weight | activations | error against f64 on the dequantized weight |
//! |---|---|---|---|
//! | [`linear_f32`] | f32 | f32 | rounding of f32 |
//! | [`linear_q4_f32`], [`linear_q8_f32`] | 4/8 bits, unpacked to f32 in cache, panel by panel | f32 | rounding of f32 |
//! | [`linear_f16`] | f16 | rounded to f16; sums over 32 along K in f16, the rest in f32 | about 0.1 % of the result |
//! | [`linear_q4_f16`], [`linear_q8_f16`] | 4/8 bits, as f16 | the same | the same |
//! | [`linear_q4_int8`], [`linear_q8_int8`] | 4/8 bits, used as integers | rounded to int8 in groups of 32 | about 0.5 % of the range: the rounding of the activations |

/// A function `(isa, x, weight, bias, epilogue, y)` that checks its arguments and computes a [`driver::Product`] of a packed weight.
macro_rules! linear {
    ($(#[$doc:meta])* $name:ident, $packed:ty, $product:ident, $require:ident) => {
        $(#[$doc])*
        pub fn $name(
            isa: $crate::Isa,
            x: &[f32],
            weight: &$packed,
            bias: Option<&[f32]>,
            epilogue: $crate::linear::Epilogue,
            y: &mut [f32],
        ) -> Result<(), $crate::KernelError> {
            isa.$require()?;
            let m = $crate::linear::rows(stringify!($name), x, weight.n(), weight.k(), bias, y)?;
            $crate::linear::driver::product(isa, x, m, &$product(weight), bias, epilogue, y);
            Ok(())
        }
    };
}

mod blocks;
mod driver;
mod f32;
mod float;
mod half;
mod int8;
mod matrix;
mod quantized;

pub use self::f32::{PackedF32, linear_f32};
pub use self::half::{PackedF16, linear_f16, linear_q4_f16, linear_q8_f16};
pub(crate) use int8::{DEPTH, Groups, tiles_alone};
pub use matrix::Matrix;
pub use quantized::{PackedQ4, PackedQ8, linear_q4_f32, linear_q4_int8, linear_q8_f32, linear_q8_int8};

use crate::error::check_len;
use crate::{Isa, KernelError};

/// Number of values along K that share one scale in the quantized formats (ggml's Q4_0 and Q8_0).
pub const GROUP: usize = 32;

/// What is applied to each output of a linear after the bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// Nothing.
    #[default]
    None,
    /// 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), as [`crate::elementwise::gelu_tanh`].
    GeluTanh,
}

/// What the products of a linear are computed in where its weight has fewer than 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// f32: the weight is unpacked.
    F32,
    /// 8-bit integers, to which activations are rounded.
    Int8,
    /// f16, to which activations are rounded, on these instructions.
    F16(Isa),
}

impl Products {
    /// f16, where this machine has it.
    pub fn half() -> Option<Self> {
        Some(Isa::best()).filter(|isa| isa.computes_f16()).map(Self::F16)
    }
}

/// A packed matrix `[N, K]`.
pub(crate) trait Weight: Sync {
    /// N.
    fn n(&self) -> usize;
    /// K.
    fn k(&self) -> usize;
    /// Where K from k0 to k1 of panel `p` lies, for a prefetch; k0 is a multiple of 32, k1 one too or K.
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8];
}

/// Checks the lengths of a linear's arguments; gives M.
fn rows(
    kernel: &'static str,
    x: &[f32],
    n: usize,
    k: usize,
    bias: Option<&[f32]>,
    y: &[f32],
) -> Result<usize, KernelError> {
    let m = x.len().checked_div(k).unwrap_or_else(|| y.len().checked_div(n).unwrap_or(0));
    check_len(kernel, "x", x.len(), m * k)?;
    check_len(kernel, "y", y.len(), m * n)?;
    if let Some(b) = bias {
        check_len(kernel, "bias", b.len(), n)?;
    }
    Ok(m)
}
