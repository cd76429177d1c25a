//! The 4-bit and 8-bit linears.

use half::f16;
use rayon::prelude::*;

use super::{Epilogue, GROUP};
use crate::error::{check, check_len};
use crate::{Isa, KernelError};

macro_rules! packed {
    ($name:ident, $bits:literal, $block:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug)]
        pub struct $name {
            n: usize,
            k: usize,
            data: Vec<u8>,
        }

        impl $name {
            /// Bytes of one block of the canonical storage: an f16 scale (little endian), then 32 values.
            pub const BLOCK_BYTES: usize = $block;

            /// Packs W `[n, k]` given as n rows of k/32 blocks.
            ///
            /// # Errors
            /// If k is not a multiple of 32, or `blocks` does not have n·k/32 blocks.
            pub fn pack(blocks: &[u8], n: usize, k: usize) -> Result<Self, KernelError> {
                let name = concat!(stringify!($name), "::pack");
                check(name, k % GROUP == 0, || format!("k = {k} is not a multiple of {GROUP}"))?;
                check_len(name, "blocks", blocks.len(), n * k / GROUP * $block)?;
                Ok(Self { n, k, data: blocks.to_vec() })
            }

            /// Number of outputs N.
            pub fn n(&self) -> usize {
                self.n
            }

            /// Number of inputs K.
            pub fn k(&self) -> usize {
                self.k
            }

            /// Bytes held.
            pub fn bytes(&self) -> usize {
                self.data.len()
            }
        }
    };
}

packed!(
    PackedQ4,
    4,
    18,
    "A 4-bit weight `[N, K]`: value = (q − 8)·d, q in 0..=15, d an f16 for each 32 values along K.\n\nCanonical storage: ggml's Q4_0 blocks, d then 16 bytes, low nibbles k = 0..15, high nibbles k = 16..31."
);
packed!(
    PackedQ8,
    8,
    34,
    "An 8-bit weight `[N, K]`: value = q·d, q an int8, d an f16 for each 32 values along K.\n\nCanonical storage: ggml's Q8_0 blocks, d then 32 bytes."
);

impl PackedQ4 {
    fn row(&self, j: usize) -> Vec<f32> {
        let bytes = self.k / GROUP * 18;
        let mut out = Vec::with_capacity(self.k);
        for b in self.data[j * bytes..][..bytes].chunks_exact(18) {
            let d = f16::from_le_bytes([b[0], b[1]]).to_f32();
            out.extend(b[2..].iter().map(|q| f32::from((q & 15) as i8 - 8) * d));
            out.extend(b[2..].iter().map(|q| f32::from((q >> 4) as i8 - 8) * d));
        }
        out
    }
}

impl PackedQ8 {
    fn row(&self, j: usize) -> Vec<f32> {
        let bytes = self.k / GROUP * 34;
        let mut out = Vec::with_capacity(self.k);
        for b in self.data[j * bytes..][..bytes].chunks_exact(34) {
            let d = f16::from_le_bytes([b[0], b[1]]).to_f32();
            out.extend(b[2..].iter().map(|q| f32::from(*q as i8) * d));
        }
        out
    }
}

/// Checks the lengths of a linear's arguments; gives M.
pub(super) fn rows(
    kernel: &'static str,
    x: &[f32],
    n: usize,
    k: usize,
    bias: Option<&[f32]>,
    y: &[f32],
) -> Result<usize, KernelError> {
    let m = if k == 0 { y.len() / n.max(1) } else { x.len() / k };
    check_len(kernel, "x", x.len(), m * k)?;
    check_len(kernel, "y", y.len(), m * n)?;
    if let Some(b) = bias {
        check_len(kernel, "bias", b.len(), n)?;
    }
    Ok(m)
}

/// Straightforward product; `row(j)` is row j of W.
#[allow(clippy::too_many_arguments)]
pub(super) fn naive(
    x: &[f32],
    m: usize,
    n: usize,
    k: usize,
    bias: Option<&[f32]>,
    epilogue: Epilogue,
    y: &mut [f32],
    row: impl Fn(usize) -> Vec<f32> + Sync,
) {
    if m == 0 || n == 0 {
        return;
    }
    let mut t = vec![0.0; m * n];
    t.par_chunks_mut(m).enumerate().for_each(|(j, col)| {
        let w = row(j);
        for (i, o) in col.iter_mut().enumerate() {
            let s: f32 = x[i * k..][..k].iter().zip(&w).map(|(a, b)| a * b).sum();
            let s = s + bias.map_or(0.0, |b| b[j]);
            *o = match epilogue {
                Epilogue::None => s,
                Epilogue::GeluTanh => crate::elementwise::gelu_tanh_one(s),
            };
        }
    });
    y.par_chunks_mut(n).enumerate().for_each(|(i, yr)| {
        for (j, o) in yr.iter_mut().enumerate() {
            *o = t[j * m + i];
        }
    });
}

/// Rounds activations to int8 in groups of 32, and back.
fn round_int8(x: &[f32]) -> Vec<f32> {
    x.chunks(GROUP)
        .flat_map(|g| {
            let max = g.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let (d, r) = (max / 127.0, if max > 0.0 { 127.0 / max } else { 0.0 });
            g.iter().map(move |v| (v * r).round_ties_even() * d)
        })
        .collect()
}

macro_rules! linear {
    ($f32:ident, $int8:ident, $packed:ident) => {
        /// y = epilogue(x·Wᵀ + bias) with W unpacked to f32 in cache, panel by panel. x `[M, K]`, bias `[N]`, y `[M, N]`.
        ///
        /// # Errors
        /// If a length does not fit, or this machine lacks `isa`.
        pub fn $f32(
            isa: Isa,
            x: &[f32],
            weight: &$packed,
            bias: Option<&[f32]>,
            epilogue: Epilogue,
            y: &mut [f32],
        ) -> Result<(), KernelError> {
            isa.require()?;
            let m = rows(stringify!($f32), x, weight.n, weight.k, bias, y)?;
            naive(x, m, weight.n, weight.k, bias, epilogue, y, |j| weight.row(j));
            Ok(())
        }

        /// y = epilogue(x·Wᵀ + bias) with x rounded to int8 in groups of 32 along K (scale = max|x|/127, f32) and integer
        /// dot products within a group: the numerics of ONNX Runtime's accuracy level 4. x `[M, K]`, bias `[N]`, y `[M, N]`.
        ///
        /// # Errors
        /// If a length does not fit, or this machine lacks `isa`.
        pub fn $int8(
            isa: Isa,
            x: &[f32],
            weight: &$packed,
            bias: Option<&[f32]>,
            epilogue: Epilogue,
            y: &mut [f32],
        ) -> Result<(), KernelError> {
            isa.require()?;
            let m = rows(stringify!($int8), x, weight.n, weight.k, bias, y)?;
            naive(&round_int8(x), m, weight.n, weight.k, bias, epilogue, y, |j| weight.row(j));
            Ok(())
        }
    };
}

linear!(linear_q4_f32, linear_q4_int8, PackedQ4);
linear!(linear_q8_f32, linear_q8_int8, PackedQ8);
