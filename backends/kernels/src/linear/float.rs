//! The product with f32 activations: what weights must give, and the register tile.

use super::Weight;
use super::blocks::PANEL;
use super::driver::{End, Product, Vectors, finish};
use crate::simd::Simd;
use crate::tile::{accumulate, with_height};

/// Depth of a block of K: 16 KiB of a panel and, of a tile's rows, 12 KiB at most.
pub(super) const DEPTH: usize = 256;

/// A weight that can give its panels as f32.
pub(super) trait Panels: Weight {
    /// Floats of scratch that a panel takes.
    fn scratch() -> usize;
    /// `[k1 − k0][PANEL]` floats of panel `p`, in place or written to `scratch`.
    ///
    /// # Safety
    /// As [`Product::panel`].
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32;
}

/// A weight with f32 activations. Rows are packed tile by tile: `[k][rows of the tile]`.
pub(super) struct Float<'a, P>(pub(super) &'a P);

impl<P: Panels> Product for Float<'_, P> {
    const DEPTH: usize = DEPTH;
    const PACKING: usize = 24;

    fn n(&self) -> usize {
        self.0.n()
    }
    fn k(&self) -> usize {
        self.0.k()
    }
    fn height<S: Simd>() -> usize {
        S::MR
    }
    fn row_floats(depth: usize) -> usize {
        depth
    }
    fn panel_floats() -> usize {
        P::scratch()
    }
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8] {
        self.0.source(p, k0, k1)
    }
    #[inline(always)]
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32 {
        // SAFETY: the caller's.
        unsafe { self.0.panel::<S>(p, k0, k1, scratch) }
    }

    #[inline(always)]
    unsafe fn pack<S: Simd>(x: *const f32, k: usize, depth: usize, h: usize, out: *mut f32) {
        // SAFETY: the caller's; four rows by four columns at a time; then the last columns one by one.
        unsafe {
            let whole = if h < 4 { 0 } else { depth - depth % 4 };
            for r in (0..h).step_by(4) {
                // The last four rows where h is no multiple of 4: some of them again, which is less work than one float at a time.
                let r = r.min(h.saturating_sub(4));
                let x = x.add(r * k);
                for i in (0..whole).step_by(4) {
                    let at = [0, 1, 2, 3];
                    S::transpose4(at.map(|row| x.add(row * k + i)), at.map(|step| out.add((i + step) * h + r)));
                }
                for i in whole..depth {
                    for row in 0..h.min(4) {
                        *out.add(i * h + r + row) = *x.add(row * k + i);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const NV: usize>(
        h: usize,
        depth: usize,
        a: *const f32,
        b: Vectors,
        c: *mut f32,
        ldc: usize,
        end: &End<'_>,
    ) {
        // SAFETY: the caller's.
        unsafe { with_height!(h, S::MR, S, tile, NV; depth, a, b, c, ldc, end) }
    }
}

/// One register tile: H rows by NV vectors of columns.
///
/// # Safety
/// As [`Product::tile`].
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const NV: usize>(
    depth: usize,
    a: *const f32,
    b: Vectors,
    c: *mut f32,
    ldc: usize,
    end: &End<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let b = b.map(|(panel, column)| panel.wrapping_add(column));
        let mut acc = [[S::splat(0.0); NV]; H];
        let row = |kk: usize, r: usize| a.wrapping_add(kk * H + r);
        accumulate::<S, H, NV>(&mut acc, depth, row, |kk, v| b[v].wrapping_add(kk * PANEL));
        finish::<S, H, NV>(acc, c, ldc, end);
    }
}
