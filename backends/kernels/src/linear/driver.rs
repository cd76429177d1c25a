//! The blocked product behind every linear.
//!
//! Weights are in panels of [`PANEL`] columns. A task owns a block of rows and a run of panels. It packs its rows of x, a [`chunk`] of K
//! (so that a tile's operands are contiguous, whatever the stride of x), then for each panel and each block of K asks the [`Product`]
//! for its operands (in place, or unpacked into scratch) and runs the register tiles over them. So x is read once for all panels, and
//! a panel's outputs are still in the cache when its next block of K is added. Each output is
//! summed by one task in order of K, whatever the blocks, so that the number of threads does not change a bit.

use std::ops::Range;

use super::Epilogue;
use super::blocks::{Blocks, PANEL, blocks, chunk};
use crate::Isa;
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::tile::{LINE, Shared, heights, spread, with_scratch};

/// The two vectors of columns of a tile: a panel's operands, and the vector's first column in it.
pub(super) type Vectors = [(*const f32, usize); 2];

/// What a linear multiplies and how. Rows of x and panels of the weight are packed as it likes, in floats of scratch.
pub(super) trait Product: Sync {
    /// Depth of a block of K, a multiple of 32 that divides every [`chunk`]. A tile's rows and panels, as deep, should stay in a first-level cache together.
    const DEPTH: usize;
    /// Columns that could be multiplied in the time in which a row is packed.
    const PACKING: usize;
    /// As [`Kernel::F16`].
    const F16: bool = false;
    fn n(&self) -> usize;
    fn k(&self) -> usize;
    /// Rows of a tile.
    fn height<S: Simd>() -> usize;
    /// Floats that a row of x takes, `depth` of it, a block at most.
    fn row_floats(depth: usize) -> usize;
    /// Floats of scratch that a panel takes.
    fn panel_floats() -> usize;
    /// Packs `depth` of h rows, the rows of one tile, that lie k apart.
    ///
    /// # Safety
    /// As [`Kernel::run`]; x is readable for these, `out` writable for h times [`row_floats`](Self::row_floats).
    unsafe fn pack<S: Simd>(x: *const f32, k: usize, depth: usize, h: usize, out: *mut f32);
    /// As [`Weight::source`](super::Weight::source).
    fn source(&self, p: usize, k0: usize, k1: usize) -> &[u8];
    /// The operands of K from k0 to k1 of panel `p`, in place or written to `scratch`.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the panel exists, k0 is a multiple of DEPTH, k1 − k0 at most that, and `scratch` has
    /// [`panel_floats`](Self::panel_floats).
    unsafe fn panel<S: Simd>(&self, p: usize, k0: usize, k1: usize, scratch: *mut f32) -> *const f32;
    /// Multiplies h packed rows with NV vectors of columns, and ends each row as `end` says.
    ///
    /// # Safety
    /// As [`Kernel::run`]; `a` and `b` are what `pack` and `panel` gave for this depth, c has h rows of `end.columns` at a
    /// stride of ldc.
    unsafe fn tile<S: Simd, const NV: usize>(
        h: usize,
        depth: usize,
        a: *const f32,
        b: Vectors,
        c: *mut f32,
        ldc: usize,
        end: &End<'_>,
    );
}

/// y = epilogue(x·Wᵀ + bias); lengths were checked.
pub(super) fn product<P: Product>(
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
    let Blocks { rows: row_block, panels: col_block } = blocks([m, n, k], P::PACKING);
    let panels = n.div_ceil(PANEL);
    let (row_tasks, col_tasks) = (m.div_ceil(row_block), panels.div_ceil(col_block));
    let out = Shared::new(y);
    let run = |task: usize| {
        let (r, c) = (task / col_tasks * row_block, task % col_tasks * col_block);
        let rows = row_block.min(m - r);
        let packed = rows * chunk_floats::<P>(chunk(k).min(k));
        with_scratch(packed + 2 * P::panel_floats(), |scratch| {
            let kernel = Task {
                x: &x[r * k..(r + rows) * k],
                weight,
                bias,
                epilogue,
                out,
                first_row: r,
                rows,
                panels: c..(c + col_block).min(panels),
                packed,
                scratch,
            };
            // SAFETY: `isa` was checked; tasks write disjoint rows and columns of y.
            unsafe { dispatch(isa, kernel) };
        });
    };
    spread(row_tasks * col_tasks, m * n * k, run);
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
    panels: Range<usize>,
    /// Floats of scratch for the packed rows; the rest is for two panels.
    packed: usize,
    scratch: &'a mut [f32],
}

impl<P: Product> Kernel for Task<'_, P> {
    type Output = ();
    const F16: bool = P::F16;

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let k = self.weight.k();
        let scratch = std::mem::take(&mut self.scratch);
        let (packed, unpacked) = scratch.split_at_mut(self.packed);
        let (packed, unpacked) = (packed.as_mut_ptr(), unpacked.as_mut_ptr());
        // Panels that a tile spans.
        let span = (2 * S::W).div_ceil(PANEL);
        for chunk in cut(0..k, chunk(k)) {
            let rows_of = |block: &Range<usize>| {
                let before = (block.start - chunk.start) / P::DEPTH;
                packed.wrapping_add(self.rows * before * P::row_floats(P::DEPTH))
            };
            for block in cut(chunk.clone(), P::DEPTH) {
                // SAFETY: scratch has these rows' floats.
                unsafe { self.pack::<S>(&block, rows_of(&block)) };
            }
            for p in self.panels.clone().step_by(span) {
                for block in cut(chunk.clone(), P::DEPTH) {
                    let (p_next, k_next) = if block.end < chunk.end { (p, block.end) } else { (p + span, chunk.start) };
                    let k_end = (k_next + P::DEPTH).min(chunk.end);
                    let next =
                        (p_next..(p_next + span).min(self.panels.end)).map(|p| self.weight.source(p, k_next, k_end));
                    let ahead = Ahead::new(next, self.rows.div_ceil(P::height::<S>()));
                    let panels = p..(p + span).min(self.panels.end);
                    // SAFETY: the panels exist, the rows of the block are packed, and scratch has room for two panels.
                    unsafe { self.multiply::<S>(panels, &block, rows_of(&block), unpacked, ahead) };
                }
            }
        }
    }
}

/// Floats that a row of x takes, packed in blocks of K.
fn chunk_floats<P: Product>(depth: usize) -> usize {
    depth / P::DEPTH * P::row_floats(P::DEPTH) + P::row_floats(depth % P::DEPTH)
}

/// A range in pieces of `step`, the last one shorter; one empty piece if it is empty.
fn cut(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let pieces = range.len().div_ceil(step).max(1);
    (0..pieces).map(move |i| range.start + i * step..(range.start + (i + 1) * step).min(range.end))
}

impl<P: Product> Task<'_, P> {
    /// Packs the task's rows, a block of K.
    ///
    /// # Safety
    /// As [`Kernel::run`]; `packed` is writable for the rows' floats.
    #[inline(always)]
    unsafe fn pack<S: Simd>(&self, block: &Range<usize>, packed: *mut f32) {
        let (k, depth) = (self.weight.k(), block.len());
        for (row, h) in heights(self.rows, P::height::<S>()) {
            // SAFETY: the rows exist; the rest is the caller's.
            unsafe {
                let x = self.x.as_ptr().add(row * k + block.start);
                P::pack::<S>(x, k, depth, h, packed.add(row * P::row_floats(depth)));
            }
        }
    }

    /// Multiplies the task's rows with the panels of a tile's width, a block of K.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the panels exist; `packed` is what [`pack`](Self::pack) gave for this block, `unpacked` has room for two
    /// panels.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(
        &self,
        panels: Range<usize>,
        block: &Range<usize>,
        packed: *const f32,
        unpacked: *mut f32,
        mut ahead: Ahead<'_>,
    ) {
        let (n, depth, p) = (self.weight.n(), block.len(), panels.start);
        let mut b = [std::ptr::null(); 2];
        for (i, b) in b.iter_mut().enumerate().take(panels.len()) {
            // SAFETY: the caller's.
            *b = unsafe { self.weight.panel::<S>(p + i, block.start, block.end, unpacked.add(i * P::panel_floats())) };
        }
        // Columns of these panels alone: no tile sees the null that stands for a panel which is another task's.
        let wide = (panels.len() * PANEL).min(n - p * PANEL);
        for first in (0..wide).step_by(2 * S::W) {
            let column = p * PANEL + first;
            let columns = (2 * S::W).min(wide - first);
            let at = |c: usize| (b[c / PANEL], c % PANEL);
            let vectors = [at(first), if columns > S::W { at(first + S::W) } else { at(first) }];
            let end = End {
                columns,
                bias: self.bias.map(|b| &b[column..]),
                first: block.start == 0,
                epilogue: if block.end == self.weight.k() { self.epilogue } else { Epilogue::None },
            };
            for (row, h) in heights(self.rows, P::height::<S>()) {
                ahead.step::<S>();
                // SAFETY: the tile's rows and columns are inside this task's part of y; the rest is the caller's.
                unsafe {
                    let a = packed.add(row * P::row_floats(depth));
                    let c = self.out.ptr().add((self.first_row + row) * n + column);
                    // The products take long enough for y to arrive, if it has left the cache since its last block of K.
                    for r in 0..h {
                        for line in (0..columns).step_by(LINE / 4) {
                            S::prefetch(c.wrapping_add(r * n + line).cast());
                        }
                    }
                    if columns > S::W {
                        P::tile::<S, 2>(h, depth, a, vectors, c, n, &end);
                    } else {
                        P::tile::<S, 1>(h, depth, a, vectors, c, n, &end);
                    }
                }
            }
        }
    }
}

/// The next panels, asked for a few lines at a time while this one is multiplied: they come from memory or from a shared
/// cache, and nothing else would have asked for them before they are needed.
struct Ahead<'a> {
    sources: [&'a [u8]; 2],
    at: usize,
    step: usize,
}

impl<'a> Ahead<'a> {
    fn new(mut next: impl Iterator<Item = &'a [u8]>, tiles: usize) -> Self {
        let sources = [next.next().unwrap_or_default(), next.next().unwrap_or_default()];
        // With few tiles the processor's own prefetching does better.
        let step = if tiles < 4 { 0 } else { sources[0].len().div_ceil(tiles).next_multiple_of(LINE) };
        Self { sources, at: 0, step }
    }

    #[inline(always)]
    fn step<S: Simd>(&mut self) {
        for source in self.sources {
            let end = (self.at + self.step).min(source.len());
            for line in (self.at..end).step_by(LINE) {
                S::prefetch(source.as_ptr().wrapping_add(line));
            }
        }
        self.at += self.step;
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

/// Writes the vectors of a tile's rows: adds what y or the bias holds and applies the epilogue.
///
/// # Safety
/// As [`Kernel::run`]; c has H rows of `end.columns` > (NV − 1)·W at a stride of ldc, readable unless `end.first`.
#[inline(always)]
pub(super) unsafe fn finish<S: Simd, const H: usize, const NV: usize>(
    acc: [[S::V; NV]; H],
    c: *mut f32,
    ldc: usize,
    end: &End<'_>,
) {
    // Most tiles have all their columns and nothing to apply: no question for each vector.
    let plain = end.epilogue == Epilogue::None && (end.bias.is_none() || !end.first);
    if plain && end.columns == NV * S::W {
        for (r, acc) in acc.into_iter().enumerate() {
            for (v, acc) in acc.into_iter().enumerate() {
                // SAFETY: the caller's.
                unsafe {
                    let c = c.add(r * ldc + v * S::W);
                    S::store(c, if end.first { acc } else { S::add(acc, S::load(c)) });
                }
            }
        }
        return;
    }
    for (r, acc) in acc.into_iter().enumerate() {
        for (v, acc) in acc.into_iter().enumerate() {
            // SAFETY: the caller's; load_n and store_n touch no more than the columns left.
            unsafe {
                let (at, left) = (v * S::W, (end.columns - v * S::W).min(S::W));
                let c = c.add(r * ldc + at);
                let start = if end.first { end.bias.map(|b| b[at..].as_ptr()) } else { Some(c.cast_const()) };
                let mut s = acc;
                if let Some(p) = start {
                    s = S::add(s, if left == S::W { S::load(p) } else { S::load_n(p, left) });
                }
                if end.epilogue == Epilogue::GeluTanh {
                    s = math::gelu_tanh::<S>(s);
                }
                if left == S::W { S::store(c, s) } else { S::store_n(c, s, left) }
            }
        }
    }
}
