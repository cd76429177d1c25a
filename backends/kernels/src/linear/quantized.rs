//! 4-bit and 8-bit weights: their layout, and how their panels become f32.
//!
//! Layout, the same for every instruction set: panels of 16 outputs (the last one filled with zeros); in a panel, group
//! after group along K; in a group, vectors of 64 bytes that hold 4 bytes of each of the 16 outputs. A 4-bit group is four
//! vectors, byte i of an output's ggml block in vector i/4 (low nibble k = i, high nibble k = 16 + i); an 8-bit group is
//! eight, byte k in vector k/4. The scales, as f16, lie apart: `[panel][group][16]`. Hence 4.5 and 8.5 bits a weight.

use super::blocks::PANEL;
use super::float::{self, Float, Panels};
use super::int8::{Groups, Integer};
use super::{GROUP, Weight};
use crate::KernelError;
use crate::error::{check, check_len};
use crate::simd::{Eight, Format, Four, Simd};

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
        let panels = n.div_ceil(PANEL);
        // Outputs that do not exist have scale 0: whatever their values, they count for nothing.
        let mut values = vec![0u8; panels * groups * PANEL * value_bytes];
        let mut scales = vec![0u16; panels * groups * PANEL];
        for (at, b) in blocks.chunks_exact(block).enumerate() {
            let (j, g) = (at / groups, at % groups);
            let (at, c) = (j / PANEL * groups + g, j % PANEL);
            scales[at * PANEL + c] = u16::from_le_bytes([b[0], b[1]]);
            let out = &mut values[at * PANEL * value_bytes..][..PANEL * value_bytes];
            for (vector, bytes) in out.chunks_exact_mut(4 * PANEL).zip(b[2..].chunks_exact(4)) {
                vector[4 * c..4 * c + 4].copy_from_slice(bytes);
            }
        }
        Ok(Self { n, k, values, scales })
    }

    /// The values of groups of a panel.
    fn values(&self, panel: usize, groups: std::ops::Range<usize>, value_bytes: usize) -> &[u8] {
        let (first, size) = (panel * (self.k / GROUP), PANEL * value_bytes);
        &self.values[(first + groups.start) * size..(first + groups.end) * size]
    }

    /// The values and scales of groups of a panel.
    fn groups<F: Format>(&self, panel: usize, groups: std::ops::Range<usize>) -> (*const u8, *const u16) {
        let first = panel * (self.k / GROUP);
        let scales = &self.scales[(first + groups.start) * PANEL..(first + groups.end) * PANEL];
        (self.values(panel, groups, F::BYTES).as_ptr(), scales.as_ptr())
    }
}

macro_rules! packed {
    ($(#[$doc:meta])* $name:ident, $format:ident, $at:ident, $per_vector:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(Packed);

        impl $name {
            /// Bytes of one block of the canonical storage.
            pub const BLOCK_BYTES: usize = $format::BYTES + 2;

            /// Packs W `[n, k]` given as n rows of k/32 blocks.
            ///
            /// # Errors
            /// If k is not a multiple of 32, or `blocks` does not have n·k/32 blocks.
            pub fn pack(blocks: &[u8], n: usize, k: usize) -> Result<Self, KernelError> {
                Ok(Self(Packed::new(concat!(stringify!($name), "::pack"), blocks, n, k, $format::BYTES)?))
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

        impl Weight for $name {
            fn n(&self) -> usize {
                self.0.n
            }
            fn k(&self) -> usize {
                self.0.k
            }
            fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8] {
                self.0.values(p, k0 / GROUP..k1 / GROUP, $format::BYTES)
            }
        }

        impl Panels for $name {
            fn scratch() -> usize {
                float::DEPTH * PANEL
            }
            #[inline(always)]
            unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32 {
                let (values, scales) = self.0.groups::<$format>(p, k0 / GROUP..k1 / GROUP);
                for g in 0..(k1 - k0) / GROUP {
                    for first in (0..PANEL).step_by(S::W) {
                        // SAFETY: `groups` gave these groups' vectors; scratch holds DEPTH rows of PANEL.
                        unsafe {
                            let d = S::load_f16(scales.add(g * PANEL + first));
                            let out = scratch.add(g * GROUP * PANEL + first);
                            for j in 0..$format::BYTES / 4 {
                                let vector = S::load_d(values.add((g * $format::BYTES + 4 * j) * PANEL + 4 * first));
                                for t in 0..$per_vector {
                                    let kk = 4 * j + t % 4 + t / 4 * 16;
                                    S::store(out.add(kk * PANEL), S::mul(S::$at(vector, t), d));
                                }
                            }
                        }
                    }
                }
                scratch
            }
        }

        impl Groups for $name {
            type Format = $format;
            fn groups(&self, panel: usize, groups: std::ops::Range<usize>) -> (*const u8, *const u16) {
                self.0.groups::<$format>(panel, groups)
            }
        }
    };
}

packed!(
    /// A 4-bit weight `[N, K]`: value = (q − 8)·d, q in 0..=15, d an f16 for each 32 values along K. 4.5 bits a weight.
    ///
    /// Canonical storage: ggml's Q4_0 blocks of 18 bytes: d (little endian), then 16 bytes, low nibbles k = 0..15, high
    /// nibbles k = 16..31.
    PackedQ4, Four, q4_at, 8
);
packed!(
    /// An 8-bit weight `[N, K]`: value = q·d, q an int8, d an f16 for each 32 values along K. 8.5 bits a weight.
    ///
    /// Canonical storage: ggml's Q8_0 blocks of 34 bytes: d (little endian), then 32 bytes.
    PackedQ8, Eight, q8_at, 4
);

linear!(
    /// y = epilogue(x·Wᵀ + bias) with W unpacked to f32 in cache, panel by panel; never the whole of it.
    /// x `[M, K]`, bias `[N]`, y `[M, N]`.
    ///
    /// # Errors
    /// If a length does not fit, or this machine lacks `isa`.
    linear_q4_f32, PackedQ4, Float, require
);
linear!(
    /// y = epilogue(x·Wᵀ + bias) with x rounded to int8 in groups of 32 along K (scale = max|x|/127, f32) and
    /// integer dot products within a group: the numerics of ONNX Runtime's accuracy level 4.
    /// x `[M, K]`, bias `[N]`, y `[M, N]`.
    ///
    /// # Errors
    /// If a length does not fit, or this machine lacks `isa`.
    linear_q4_int8, PackedQ4, Integer, require
);
linear!(
    /// As [`linear_q4_f32`], for 8 bits.
    ///
    /// # Errors
    /// As [`linear_q4_f32`].
    linear_q8_f32, PackedQ8, Float, require
);
linear!(
    /// As [`linear_q4_int8`], for 8 bits.
    ///
    /// # Errors
    /// As [`linear_q4_int8`].
    linear_q8_int8, PackedQ8, Integer, require
);
