//! The integer product: activations rounded to int8 in groups of 32, dot products in integers within a group, groups added
//! in f32 with both scales.
//!
//! x is rounded once, in parallel, into tiles of rows: for each tile and group, rows × 32 int8, then their scales and
//! their sums (the unsigned forms of the weights need Σa). A task then owns a block of tiles and a run of panels; a
//! group's weights are unpacked once for all rows of a tile.

use rayon::prelude::*;

use super::driver::{End, finish_one};
use super::{COLUMNS, Epilogue, GROUP};
use crate::Isa;
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Shared, heights, with_height};

/// A weight whose groups can be multiplied as integers.
pub(super) trait IntWeight: Sync {
    fn n(&self) -> usize;
    fn k(&self) -> usize;
    /// Group `g` of columns `first..first + W` of a panel, and its scales.
    ///
    /// # Safety
    /// As [`Kernel::run`].
    unsafe fn group<S: Simd>(&self, panel: usize, g: usize, first: usize) -> ([S::D; 8], S::V);
    /// Σ of weight·activation over a group.
    ///
    /// # Safety
    /// As [`Kernel::run`]; a is readable for 32 elements.
    unsafe fn dot<S: Simd>(w: &[S::D; 8], a: *const i8, sum: i32) -> S::V;
}

/// One group of one row. The layout of a tile is `[group][row]`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Rounded {
    a: [i8; GROUP],
    scale: f32,
    sum: i32,
}

const EMPTY: Rounded = Rounded { a: [0; GROUP], scale: 0.0, sum: 0 };

/// Rows of a task at most.
const ROWS: usize = 64;

/// y = epilogue(round(x)·Wᵀ + bias); lengths were checked.
pub(super) fn product_int8<P: IntWeight>(
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
    let groups = k / GROUP;
    // SAFETY: `isa` was checked.
    let max_height = unsafe { dispatch(isa, TileHeight) };
    let mut rounded = vec![EMPTY; m * groups];
    if groups > 0 {
        rounded.par_chunks_mut(ROWS * groups).zip(x.par_chunks(ROWS * k)).for_each(|(out, x)| {
            // SAFETY: `isa` was checked.
            unsafe { dispatch(isa, Round { x, k, max_height, out }) };
        });
    }
    let panels = n.div_ceil(COLUMNS);
    let row_tasks = m.div_ceil(ROWS);
    let threads = rayon::current_num_threads();
    let wanted = if threads == 1 { 1 } else { (4 * threads).div_ceil(row_tasks) };
    let col_block = panels.div_ceil(wanted).max(4);
    let col_tasks = panels.div_ceil(col_block);
    let out = Shared::new(y);
    (0..row_tasks * col_tasks).into_par_iter().with_max_len(1).for_each(|task| {
        let (r, c) = (task / col_tasks * ROWS, task % col_tasks * col_block);
        let rows = ROWS.min(m - r);
        let kernel = Task {
            x: &rounded[r * groups..(r + rows) * groups],
            weight,
            bias,
            epilogue,
            out,
            first_row: r,
            rows,
            panels: c..(c + col_block).min(panels),
        };
        // SAFETY: `isa` was checked; tasks write disjoint rows and columns of y.
        unsafe { dispatch(isa, kernel) };
    });
}

struct TileHeight;

impl Kernel for TileHeight {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        S::IR
    }
}

/// Rounds rows of x.
struct Round<'a> {
    x: &'a [f32],
    k: usize,
    max_height: usize,
    out: &'a mut [Rounded],
}

impl Kernel for Round<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let groups = self.k / GROUP;
        for (row, h) in heights(self.x.len() / self.k, self.max_height) {
            for r in 0..h {
                for (g, x) in self.x[(row + r) * self.k..][..self.k].chunks_exact(GROUP).enumerate() {
                    let (mut max, mut poison) = ([0.0f32; 16], [0.0f32; 16]);
                    for x in x.chunks_exact(16) {
                        for ((max, poison), x) in max.iter_mut().zip(&mut poison).zip(x) {
                            *max = if x.abs() > *max { x.abs() } else { *max };
                            *poison += x * 0.0;
                        }
                    }
                    // 0 unless there is a NaN or an infinity, which integers cannot carry: the scale does.
                    let poison: f32 = poison.iter().sum();
                    let max = max.iter().fold(0.0f32, |a, b| a.max(*b));
                    // Of zero and of the smallest maxima, below 127/f32::MAX, this is infinite: such a group is zero.
                    let inverse = 127.0 / max;
                    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
                    let out = &mut self.out[row * groups + g * h + r];
                    out.scale = max / 127.0 + poison;
                    out.sum = 0;
                    for (a, x) in out.a.iter_mut().zip(x) {
                        // |x·inverse| ≤ 127 up to one rounding: no saturation is needed, and none is spent.
                        let q = (x * inverse).round_ties_even() as i32;
                        *a = q as i8;
                        out.sum += q;
                    }
                }
            }
        }
    }
}

struct Task<'a, P> {
    x: &'a [Rounded],
    weight: &'a P,
    bias: Option<&'a [f32]>,
    epilogue: Epilogue,
    out: Shared,
    first_row: usize,
    rows: usize,
    panels: std::ops::Range<usize>,
}

impl<P: IntWeight> Kernel for Task<'_, P> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let n = self.weight.n();
        let groups = self.weight.k() / GROUP;
        for p in self.panels.clone() {
            for first in (0..COLUMNS.min(n - p * COLUMNS)).step_by(S::W) {
                let column = p * COLUMNS + first;
                let end = End {
                    columns: S::W.min(n - column),
                    bias: self.bias.map(|b| &b[column..]),
                    first: true,
                    epilogue: self.epilogue,
                };
                for (row, h) in heights(self.rows, S::IR) {
                    let x = &self.x[row * groups..][..h * groups];
                    // SAFETY: the tile's rows and columns are inside this task's part of y.
                    unsafe {
                        let c = self.out.ptr().add((self.first_row + row) * n + column);
                        let at = At { panel: p, first, c, ldc: n };
                        with_height!(h, S::IR, S, tile_of; self.weight, x, at, &end);
                    }
                }
            }
        }
    }
}

/// Where a tile is.
struct At {
    panel: usize,
    first: usize,
    c: *mut f32,
    ldc: usize,
}

/// H rows by one vector of columns.
///
/// # Safety
/// x holds H rows of every group; `at.c` is writable for H rows of `end.columns`.
#[inline(always)]
unsafe fn tile_of<S: Simd, const H: usize>(weight: &impl IntWeight, x: &[Rounded], at: At, end: &End<'_>) {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [S::splat(0.0); H];
        for (g, x) in x.chunks_exact(H).enumerate() {
            let (w, d) = weight.group::<S>(at.panel, g, at.first);
            for (acc, x) in acc.iter_mut().zip(x) {
                let s = dot_of::<S, _>(weight, &w, x);
                *acc = S::fma(s, S::mul(d, S::splat(x.scale)), *acc);
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            finish_one::<S>(acc, at.c.add(r * at.ldc), 0, end);
        }
    }
}

/// The dot product of one group; names P, which `impl Trait` above cannot.
///
/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn dot_of<S: Simd, P: IntWeight>(_weight: &P, w: &[S::D; 8], x: &Rounded) -> S::V {
    // SAFETY: x.a has 32 elements.
    unsafe { P::dot::<S>(w, x.a.as_ptr(), x.sum) }
}
