//! The f32 linear: panels of the weight are used in place.

use super::Weight;
use super::blocks::PANEL;
use super::float::{Float, Panels};
use crate::KernelError;
use crate::error::check_len;
use crate::simd::Simd;

/// An f32 weight `[N, K]` in the layout of [`linear_f32`]: panels of 16 outputs, `[panel][K][16]`, the last one filled
/// with zeros. The layout is the same for every instruction set.
#[derive(Clone, Debug)]
pub struct PackedF32 {
    n: usize,
    k: usize,
    data: Vec<Line>,
}

/// The outputs of a panel for one k. On a boundary of 64 bytes, so that no vector lies across two lines of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; PANEL]);

impl PackedF32 {
    /// Packs W `[n, k]`.
    ///
    /// # Errors
    /// If `weight` does not have n·k elements.
    pub fn pack(weight: &[f32], n: usize, k: usize) -> Result<Self, KernelError> {
        check_len("PackedF32::pack", "weight", weight.len(), n * k)?;
        let mut data = vec![Line([0.0; PANEL]); n.div_ceil(PANEL) * k];
        if k > 0 {
            for (j, row) in weight.chunks_exact(k).enumerate() {
                let panel = &mut data[j / PANEL * k..][..k];
                for (out, v) in panel.iter_mut().zip(row) {
                    out.0[j % PANEL] = *v;
                }
            }
        }
        Ok(Self { n, k, data })
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
        size_of_val(self.data.as_slice())
    }
}

impl Weight for PackedF32 {
    fn n(&self) -> usize {
        self.n
    }
    fn k(&self) -> usize {
        self.k
    }
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8] {
        let data = &self.data[p * self.k + k0..p * self.k + k1];
        // SAFETY: lines are floats without padding, and floats are bytes too.
        unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), size_of_val(data)) }
    }
}

impl Panels for PackedF32 {
    fn scratch() -> usize {
        0
    }
    #[inline(always)]
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, _scratch: *mut f32) -> *const f32 {
        self.data[p * self.k + k0..p * self.k + k1].as_ptr().cast()
    }
}

linear!(
    /// y = epilogue(x·Wᵀ + bias). x `[M, K]`, bias `[N]`, y `[M, N]`.
    ///
    /// # Errors
    /// If a length does not fit, or this machine lacks `isa`.
    linear_f32, PackedF32, Float, require
);
