//! The blocked f32 product behind every linear with f32 activations.
//!
//! Weights are in panels of [`PANEL`] columns. A task owns a block of rows and a run of panels. For each block of K it
//! packs its rows of x (so that a tile's operands are contiguous, whatever the stride of x), then for each panel asks
//! the weight for `[k][PANEL]` floats (in place for f32, unpacked into scratch for 4 and 8 bits) and runs the register
//! tiles over them. Each output is summed by one task in order of K.

use rayon::prelude::*;

use super::Epilogue;
use crate::Isa;
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::tile::{Shared, accumulate, heights, with_height, with_scratch};

/// Columns of a panel.
pub(super) const PANEL: usize = 32;

/// Depth of a block of K: a panel's block is 64 KiB and a tile's operands 24 KiB, together less than half of a second-level cache.
pub(super) const KC: usize = 512;

/// Rows of a task at most: with KC, 480 KiB of packed x, under the second-level cache of the processors meant.
const MC: usize = 192;

/// A weight that can give its panels as f32.
pub(super) trait Panels: Sync {
    fn n(&self) -> usize;
    fn k(&self) -> usize;
    /// Floats of scratch that `panel` wants.
    fn scratch(&self) -> usize;
    /// `[k1 − k0][PANEL]` floats of panel `p`, in place or written to `scratch`.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the panel exists and k0 ≤ k1 ≤ k are multiples of 32 or equal to k.
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32;
}

/// y = epilogue(x·Wᵀ + bias); lengths were checked.
pub(super) fn product<P: Panels>(
    isa: Isa,
    x: &[f32],
    m: usize,
    weight: &P,
    bias: Option<&[f32]>,
    epilogue: Epilogue,
    y: &mut [f32],
) {
    let (n, k) = (weight.n(), weight.k());
    if m == 0 || n == 0 {
        return;
    }
    let (row_block, col_block) = blocks(m, n);
    let panels = n.div_ceil(PANEL);
    let (row_tasks, col_tasks) = (m.div_ceil(row_block), panels.div_ceil(col_block));
    let out = Shared::new(y);
    (0..row_tasks * col_tasks).into_par_iter().with_max_len(1).for_each(|task| {
        let (r, c) = (task / col_tasks * row_block, task % col_tasks * col_block);
        let rows = row_block.min(m - r);
        with_scratch(rows * KC.min(k) + weight.scratch(), |scratch| {
            let kernel = Task {
                x: &x[r * k..(r + rows) * k],
                weight,
                bias,
                epilogue,
                out,
                first_row: r,
                rows,
                panels: c..(c + col_block).min(panels),
                scratch,
            };
            // SAFETY: `isa` was checked; tasks write disjoint rows and columns of y.
            unsafe { dispatch(isa, kernel) };
        });
    });
}

/// Rows and panels of a task: enough tasks for the threads, and rows first, since each task packs its rows of x.
pub(super) fn blocks(m: usize, n: usize) -> (usize, usize) {
    let threads = rayon::current_num_threads();
    let panels = n.div_ceil(PANEL);
    let rows = m.div_ceil(m.div_ceil(MC)).next_multiple_of(12).min(m);
    let wanted = if threads == 1 { 1 } else { (4 * threads).div_ceil(m.div_ceil(rows)) };
    // A task of fewer than 4 panels would spend its time packing rows.
    (rows, panels.div_ceil(wanted).max(if m > 1 { 4 } else { 1 }))
}

struct Task<'a, P> {
    /// The task's rows.
    x: &'a [f32],
    weight: &'a P,
    bias: Option<&'a [f32]>,
    epilogue: Epilogue,
    out: Shared,
    first_row: usize,
    rows: usize,
    panels: std::ops::Range<usize>,
    scratch: &'a mut [f32],
}

impl<P: Panels> Kernel for Task<'_, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (n, k) = (self.weight.n(), self.weight.k());
        let (packed, unpacked) = self.scratch.split_at_mut(self.rows * KC.min(k));
        let mut k0 = 0;
        loop {
            let k1 = (k0 + KC).min(k);
            let kc = k1 - k0;
            pack_rows::<S>(self.x, k, k0, k1, self.rows, packed);
            for p in self.panels.clone() {
                // SAFETY: the panel exists; KC is a multiple of 32.
                let panel = unsafe { self.weight.panel::<S>(p, k0, k1, unpacked.as_mut_ptr()) };
                for first in (0..PANEL.min(n - p * PANEL)).step_by(2 * S::W) {
                    let column = p * PANEL + first;
                    for (row, h) in heights(self.rows, S::MR) {
                        let end = End {
                            columns: (2 * S::W).min(n - column),
                            bias: self.bias.map(|b| &b[column..]),
                            first: k0 == 0,
                            epilogue: if k1 == k { self.epilogue } else { Epilogue::None },
                        };
                        // SAFETY: the tile's rows and columns are inside this task's part of y; the packed rows hold
                        // kc·rows elements, the panel kc·PANEL.
                        unsafe {
                            let a = packed.as_ptr().add(row * kc);
                            let c = self.out.ptr().add((self.first_row + row) * n + column);
                            with_height!(h, S::MR, S, tile; kc, a, panel.add(first), c, n, &end);
                        }
                    }
                }
            }
            k0 = k1;
            if k0 >= k {
                break;
            }
        }
    }
}

/// Columns k0..k1 of x's rows, tile by tile: `[k][rows of the tile]`.
#[inline(always)]
fn pack_rows<S: Simd>(x: &[f32], k: usize, k0: usize, k1: usize, rows: usize, packed: &mut [f32]) {
    let kc = k1 - k0;
    for (row, h) in heights(rows, S::MR) {
        let tile = &mut packed[row * kc..][..h * kc];
        for r in 0..h {
            for (i, v) in x[(row + r) * k + k0..][..kc].iter().enumerate() {
                tile[i * h + r] = *v;
            }
        }
    }
}

/// What happens at the edges of a tile.
pub(super) struct End<'a> {
    /// Columns that exist, at most 2·W.
    pub(super) columns: usize,
    /// From the tile's first column.
    pub(super) bias: Option<&'a [f32]>,
    /// Whether y holds nothing yet.
    pub(super) first: bool,
    pub(super) epilogue: Epilogue,
}

/// One register tile: H rows by two vectors of columns.
///
/// # Safety
/// a holds k·H elements, b k rows of 2·W at a stride of PANEL, c H rows of `end.columns` at a stride of ldc.
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize>(
    k: usize,
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    ldc: usize,
    end: &End<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[S::splat(0.0); 2]; H];
        accumulate::<S, H, 2>(&mut acc, k, |kk, r| a.wrapping_add(kk * H + r), |kk| b.wrapping_add(kk * PANEL));
        for (r, acc) in acc.iter().enumerate() {
            finish::<S>(acc, c.add(r * ldc), end);
        }
    }
}

/// Writes two vectors of one row.
///
/// # Safety
/// As [`finish_one`].
#[inline(always)]
unsafe fn finish<S: Simd>(acc: &[S::V; 2], c: *mut f32, end: &End<'_>) {
    // SAFETY: the caller's.
    unsafe {
        finish_one::<S>(acc[0], c, 0, end);
        if end.columns > S::W {
            finish_one::<S>(acc[1], c, S::W, end);
        }
    }
}

/// Adds what y or the bias holds, applies the epilogue and writes one vector of a row, from column `at` on.
///
/// # Safety
/// c is writable for `end.columns` > at elements, and readable unless `end.first`.
#[inline(always)]
pub(super) unsafe fn finish_one<S: Simd>(acc: S::V, c: *mut f32, at: usize, end: &End<'_>) {
    // SAFETY: the caller's; load_n and store_n touch no more than the columns left.
    unsafe {
        let left = (end.columns - at).min(S::W);
        let start = if end.first { end.bias.map(|b| b[at..].as_ptr()) } else { Some(c.add(at).cast_const()) };
        let mut s = acc;
        if let Some(p) = start {
            s = S::add(s, if left == S::W { S::load(p) } else { S::load_n(p, left) });
        }
        if end.epilogue == Epilogue::GeluTanh {
            s = math::gelu_tanh::<S>(s);
        }
        if left == S::W { S::store(c.add(at), s) } else { S::store_n(c.add(at), s, left) }
    }
}
