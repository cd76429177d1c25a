//! 4-bit and 8-bit weights: their layout, and how their panels become f32.
//!
//! Layout, the same for every instruction set: panels of 16 outputs (the last one filled with zeros); in a panel, group
//! after group along K; in a group, vectors of 64 bytes that hold 4 bytes of each of the 16 outputs. A 4-bit group is four
//! vectors, byte i of an output's ggml block in vector i/4 (low nibble k = i, high nibble k = 16 + i); an 8-bit group is
//! eight, byte k in vector k/4. The scales, as f16, lie apart: `[panel][group][16]`. Hence 4.5 and 8.5 bits a weight.

use super::driver::{PANEL, Panels, product};
use super::int8::{IntWeight, product_int8};
use super::{COLUMNS, Epilogue, GROUP};
use crate::error::{check, check_len};
use crate::simd::Simd;
use crate::{Isa, KernelError};

/// Re-laid blocks and their scales.
#[derive(Clone, Debug)]
struct Packed {
    n: usize,
    k: usize,
    /// `[panel][group][value byte / 4][16][4]`.
    values: Vec<u8>,
    /// `[panel][group][16]`, bits of f16.
    scales: Vec<u16>,
}

impl Packed {
    /// Re-lays n rows of k/32 blocks, each 2 bytes of scale and `value_bytes` of values. `zero` is the byte that stands for zero values.
    fn new(name: &'static str, blocks: &[u8], n: usize, k: usize, value_bytes: usize) -> Result<Self, KernelError> {
        check(name, k.is_multiple_of(GROUP), || format!("k = {k} is not a multiple of {GROUP}"))?;
        let (groups, block) = (k / GROUP, value_bytes + 2);
        check_len(name, "blocks", blocks.len(), n * groups * block)?;
        let panels = n.div_ceil(COLUMNS);
        // Outputs that do not exist have scale 0: whatever their values, they count for nothing.
        let mut values = vec![0u8; panels * groups * COLUMNS * value_bytes];
        let mut scales = vec![0u16; panels * groups * COLUMNS];
        for (at, b) in blocks.chunks_exact(block).enumerate() {
            let (j, g) = (at / groups, at % groups);
            let (at, c) = (j / COLUMNS * groups + g, j % COLUMNS);
            scales[at * COLUMNS + c] = u16::from_le_bytes([b[0], b[1]]);
            let out = &mut values[at * COLUMNS * value_bytes..][..COLUMNS * value_bytes];
            for (vector, bytes) in out.chunks_exact_mut(4 * COLUMNS).zip(b[2..].chunks_exact(4)) {
                vector[4 * c..4 * c + 4].copy_from_slice(bytes);
            }
        }
        Ok(Self { n, k, values, scales })
    }

    /// Values and scales of a group of a panel, from column `first` on.
    #[inline(always)]
    fn group(&self, panel: usize, g: usize, first: usize, value_bytes: usize) -> (*const u8, *const u16) {
        let at = panel * (self.k / GROUP) + g;
        let values = self.values[at * COLUMNS * value_bytes..][..COLUMNS * value_bytes].as_ptr();
        (values.wrapping_add(4 * first), self.scales[at * COLUMNS..][first..COLUMNS].as_ptr())
    }
}

macro_rules! packed {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $at:ident, $per_vector:literal, $unpack:ident, $dot:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Packed);

        impl $name {
            /// Bytes of one block of the canonical storage.
            pub const BLOCK_BYTES: usize = $bytes + 2;

            /// Packs W `[n, k]` given as n rows of k/32 blocks.
            ///
            /// # Errors
            /// If k is not a multiple of 32, or `blocks` does not have n·k/32 blocks.
            pub fn pack(blocks: &[u8], n: usize, k: usize) -> Result<Self, KernelError> {
                Ok(Self(Packed::new(concat!(stringify!($name), "::pack"), blocks, n, k, $bytes)?))
            }

            /// Number of outputs N.
            pub fn n(&self) -> usize {
                self.0.n
            }

            /// Number of inputs K.
            pub fn k(&self) -> usize {
                self.0.k
            }

            /// Bytes held.
            pub fn bytes(&self) -> usize {
                size_of_val(self.0.values.as_slice()) + size_of_val(self.0.scales.as_slice())
            }
        }

        impl Panels for $name {
            fn n(&self) -> usize {
                self.0.n
            }
            fn k(&self) -> usize {
                self.0.k
            }
            fn scratch(&self) -> usize {
                super::driver::KC * PANEL
            }
            #[inline(always)]
            unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32 {
                for half in 0..(PANEL / COLUMNS).min(self.0.n.div_ceil(COLUMNS) - p * PANEL / COLUMNS) {
                    for g in k0 / GROUP..k1 / GROUP {
                        for first in (0..COLUMNS).step_by(S::W) {
                            let (values, scales) = self.0.group(p * PANEL / COLUMNS + half, g, first, $bytes);
                            // SAFETY: `group` gave this group's vectors; scratch holds KC rows of PANEL.
                            unsafe {
                                let d = S::load_f16(scales);
                                let out = scratch.add((g * GROUP - k0) * PANEL + half * COLUMNS + first);
                                for j in 0..$bytes / 4 {
                                    let vector = S::load_d(values.add(j * 64));
                                    for t in 0..$per_vector {
                                        let kk = 4 * j + t % 4 + t / 4 * 16;
                                        S::store(out.add(kk * PANEL), S::mul(S::$at(vector, t), d));
                                    }
                                }
                            }
                        }
                    }
                }
                scratch
            }
        }

        impl IntWeight for $name {
            fn n(&self) -> usize {
                self.0.n
            }
            fn k(&self) -> usize {
                self.0.k
            }
            #[inline(always)]
            unsafe fn group<S: Simd>(&self, panel: usize, g: usize, first: usize) -> ([S::D; 8], S::V) {
                let (values, scales) = self.0.group(panel, g, first, $bytes);
                // SAFETY: `group` gave this group's vectors and scales.
                unsafe { (S::$unpack(values), S::load_f16(scales)) }
            }
            #[inline(always)]
            unsafe fn dot<S: Simd>(w: &[S::D; 8], a: *const i8, sum: i32) -> S::V {
                // SAFETY: the caller's.
                unsafe { S::$dot(w, a, sum) }
            }
        }
    };
}

packed!(
    /// A 4-bit weight `[N, K]`: value = (q − 8)·d, q in 0..=15, d an f16 for each 32 values along K. 4.5 bits a weight.
    ///
    /// Canonical storage: ggml's Q4_0 blocks of 18 bytes: d (little endian), then 16 bytes, low nibbles k = 0..15, high
    /// nibbles k = 16..31.
    PackedQ4, 16, q4_at, 8, q4_unpack, q4_dot
);
packed!(
    /// An 8-bit weight `[N, K]`: value = q·d, q an int8, d an f16 for each 32 values along K. 8.5 bits a weight.
    ///
    /// Canonical storage: ggml's Q8_0 blocks of 34 bytes: d (little endian), then 32 bytes.
    PackedQ8, 32, q8_at, 4, q8_unpack, q8_dot
);

macro_rules! linear {
    ($f32:ident, $int8:ident, $packed:ident) => {
        /// y = epilogue(x·Wᵀ + bias) with W unpacked to f32 in cache, panel by panel; never the whole of it.
        /// x `[M, K]`, bias `[N]`, y `[M, N]`.
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
            let m = super::rows(stringify!($f32), x, weight.n(), weight.k(), bias, y)?;
            product(isa, x, m, weight, bias, epilogue, y);
            Ok(())
        }

        /// y = epilogue(x·Wᵀ + bias) with x rounded to int8 in groups of 32 along K (scale = max|x|/127, f32) and
        /// integer dot products within a group: the numerics of ONNX Runtime's accuracy level 4.
        /// x `[M, K]`, bias `[N]`, y `[M, N]`.
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
            let m = super::rows(stringify!($int8), x, weight.n(), weight.k(), bias, y)?;
            product_int8(isa, x, m, weight, bias, epilogue, y);
            Ok(())
        }
    };
}

linear!(linear_q4_f32, linear_q4_int8, PackedQ4);
linear!(linear_q8_f32, linear_q8_int8, PackedQ8);
