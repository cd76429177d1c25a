//! What a dense convolution multiplies: some pixels' operands, side by side.
//!
//! A task copies the input of its block of pixels, for a few channels at a time, with the padding written out; with a stride, the
//! columns of each row are sorted by phase, so that a tap's columns are a run again: column c of the output finds its tap v at column
//! c + v/stride of phase v mod stride. From the copy, panels are packed: `[operand][pixels of a register tile]`.

use std::ops::Range;

use super::{ConvSpec, copy_padded, taps};
use crate::simd::Simd;
use crate::tile::LINE;

/// Most pixels of a panel: two vectors of the widest instruction set.
pub(super) const WIDEST: usize = 32;

/// Floats behind a copy, and behind a panel, that vectors may read and write.
pub(super) const SLACK: usize = 16;

/// Planes that are asked for before they are copied.
const AHEAD: usize = 6;

/// A block of output pixels of one plane.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// First row.
    pub(super) row: usize,
    /// First column.
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Where pixels find their operands in a copy of their input.
pub(super) struct Reads {
    spec: ConvSpec,
    image: [usize; 2],
    /// Floats of a phase of a row.
    phase: usize,
    /// Where each tap is, from the first row and column of a pixel's window.
    taps: Vec<usize>,
}

impl Reads {
    /// For blocks of at most so many columns.
    pub(super) fn new(spec: ConvSpec, image: [usize; 2], columns: usize) -> Self {
        let stride = spec.stride;
        let phase = columns + (spec.kernel[1] - 1) / stride;
        Self { spec, image, phase, taps: taps(spec.kernel, stride, phase) }
    }

    /// Operands of a pixel in one channel.
    pub(super) fn window(&self) -> usize {
        self.taps.len()
    }

    /// Floats of a row of the copy.
    fn line(&self) -> usize {
        self.spec.stride * self.phase
    }

    /// Floats of a channel of the copy, for a block of so many rows.
    pub(super) fn plane(&self, rows: usize) -> usize {
        ((rows - 1) * self.spec.stride + self.spec.kernel[0]) * self.line()
    }

    /// Where operands k are, from the plane of the first one's channel on, in planes of `plane` floats.
    pub(super) fn offsets(&self, k: Range<usize>, plane: usize, out: &mut Vec<usize>) {
        let window = self.taps.len();
        let first = k.start / window;
        out.clear();
        out.extend(k.map(|k| (k / window - first) * plane + self.taps[k % window]));
    }

    /// Copies what a block needs of some planes of x, and writes [`SLACK`] zeros behind it.
    #[inline(always)]
    pub(super) fn copy<S: Simd>(&self, x: &[f32], block: &Block, out: &mut [f32]) {
        let (ConvSpec { stride, padding, .. }, [h, w]) = (self.spec, self.image);
        let plane = self.plane(block.rows);
        let first = (block.column * stride).saturating_sub(padding);
        for (x, out) in x.chunks_exact(h * w).zip(out.chunks_exact_mut(plane)) {
            for (r, out) in out.chunks_exact_mut(self.line()).enumerate() {
                let row = (block.row * stride + r).checked_sub(padding).filter(|row| *row < h);
                let row = row.map(|row| &x[row * w..][..w]);
                if let Some(row) = row {
                    prefetch_later_plane::<S>(row.as_ptr().wrapping_add(first), h * w, self.line());
                }
                for (phase, out) in out.chunks_exact_mut(self.phase).enumerate() {
                    copy_padded(row, block.column * stride + phase, padding, stride, out);
                }
            }
        }
        out[x.len() / (h * w) * plane..][..SLACK].fill(0.0);
    }
}

/// Asks for what will be copied of a later plane: rows are short, and far from one plane to the next. Not of many planes, which may all
/// have the same few places in a cache.
#[inline(always)]
fn prefetch_later_plane<S: Simd>(row: *const f32, plane: usize, count: usize) {
    for at in (0..count).step_by(LINE / size_of::<f32>()) {
        S::prefetch(row.wrapping_add(AHEAD * plane + at).cast());
    }
}

/// Pixels of a panel that lie side by side in a row: a vector's at most.
#[derive(Clone, Copy, Default)]
pub(super) struct Chunk {
    /// From the first pixel of the copy.
    from: usize,
    /// First lane in the panel.
    pub(super) lane: usize,
    /// From the first pixel of the plane of y.
    pub(super) to: usize,
    /// How many.
    pub(super) pixels: usize,
}

/// The pixels of a panel.
pub(super) struct Panel {
    chunks: [Chunk; WIDEST],
    count: usize,
    /// How many.
    pub(super) pixels: usize,
    /// Whether each vector is one chunk.
    pub(super) whole: bool,
}

impl Panel {
    /// Pixels from `first` on of a block, in the order of rows; y has rows of `width`.
    #[inline(always)]
    pub(super) fn new<S: Simd>(reads: &Reads, block: &Block, first: usize, width: usize) -> Self {
        let pixels = (block.rows * block.columns - first).min(2 * S::W);
        let mut panel = Self { chunks: [Chunk::default(); WIDEST], count: 0, pixels, whole: true };
        let (mut row, mut column, mut lane) = (first / block.columns, first % block.columns, 0);
        while lane < pixels {
            let count = S::W.min(block.columns - column).min(pixels - lane);
            panel.whole &= lane % S::W == 0;
            panel.chunks[panel.count] = Chunk {
                from: row * reads.spec.stride * reads.line() + column,
                lane,
                to: (block.row + row) * width + block.column + column,
                pixels: count,
            };
            panel.count += 1;
            (lane, column) = (lane + count, column + count);
            if column == block.columns {
                (row, column) = (row + 1, 0);
            }
        }
        panel
    }

    pub(super) fn chunks(&self) -> &[Chunk] {
        &self.chunks[..self.count]
    }

    /// Packs operands of all pixels, `[offset][2·W]`: those at these offsets from each pixel's place in `source`.
    ///
    /// # Safety
    /// As [`crate::simd::Kernel::run`]; `source` is readable there for a vector of each chunk; `out` has room for the operands and
    /// [`SLACK`] floats behind them.
    #[inline(always)]
    pub(super) unsafe fn pack<S: Simd>(&self, source: *const f32, offsets: &[usize], out: *mut f32) {
        // SAFETY: the caller's.
        unsafe {
            match self.count {
                1 => self.pack_chunks::<S, 1>(source, offsets, out),
                2 => self.pack_chunks::<S, 2>(source, offsets, out),
                3 => self.pack_chunks::<S, 3>(source, offsets, out),
                _ => self.pack_chunks::<S, 0>(source, offsets, out),
            }
        }
    }

    /// The same, of N chunks; 0 for any number.
    ///
    /// # Safety
    /// As [`pack`](Self::pack).
    #[inline(always)]
    unsafe fn pack_chunks<S: Simd, const N: usize>(&self, source: *const f32, offsets: &[usize], mut out: *mut f32) {
        let known: [Chunk; N] = std::array::from_fn(|i| self.chunks[i]);
        let chunks = if N == 0 { self.chunks() } else { &known };
        for offset in offsets {
            let source = source.wrapping_add(*offset);
            for chunk in chunks {
                // SAFETY: the caller's. A chunk that is less than a vector spills into the lanes of the next chunk, or of the next
                // operand, which are written after it.
                unsafe { S::store(out.add(chunk.lane), S::load(source.add(chunk.from))) };
            }
            out = out.wrapping_add(2 * S::W);
        }
    }
}
