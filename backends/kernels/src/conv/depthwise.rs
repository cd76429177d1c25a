//! A convolution of each channel alone.
//!
//! Bound by memory: every input is read from there once, and each of its rows serves all rows of the window while it is in the
//! first-level cache. A task is a band of output rows of one plane. With stride 1 and a square window of 3, 5 or 7 it goes down strips
//! two vectors wide with one accumulator for each row of the window, so that a row of input is loaded once for all of them.
//! Strips that touch the left or right edge read a copy with the padding written out; the others read x itself, and a row of zeros above
//! and below the image. Any other window or stride reads a padded copy of the band whose columns are sorted by phase: column c of the
//! output finds its tap v at column c + v/stride of phase v mod stride, which are runs again.

use rayon::prelude::*;

use super::{Call, ConvSpec, copy_padded, store, taps};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Shared, accumulate, with_scratch};

/// Floats of input that a band of rows may take: what two bands (this, and the output) leave of a first-level cache of 32 KiB.
const BAND_FLOATS: usize = 4096;

/// Most rows of a band.
const BAND_ROWS: usize = 64;

/// Floats behind the last column that a strip of two vectors of the widest instruction set may read.
const SLACK: usize = 2 * 16;

pub(super) fn run(call: &Call<'_>, y: &mut [f32]) {
    let Call { isa, x, image: [h, w], weight, bias, relu, output: [oh, ow] } = *call;
    let ConvSpec { in_channels: channels, kernel: [kh, kw], stride, padding, .. } = weight.spec;
    let (plane, window) = (oh * ow, kh * kw);
    let rows = (BAND_FLOATS / (w * stride)).clamp(8, BAND_ROWS).min(oh);
    let bands = oh.div_ceil(rows);
    let planes = y.len() / plane;
    let way = Way::of(&weight.spec);
    // Columns of one phase of a padded row: those of the output, and what the last window and vector read beyond.
    let line = ow + kw.div_ceil(stride) + SLACK;
    let scratch = match way {
        // A row of each edge strip and one of zeros.
        Way::Strips3 | Way::Strips5 | Way::Strips7 => (rows + kh) * (SLACK + kw),
        // The padded band.
        Way::Padded => ((rows - 1) * stride + kh) * stride * line,
    };
    let taps = taps([kh, kw], stride, line);
    let target = Shared::new(y);
    let work = rows * ow * window;
    (0..planes * bands).into_par_iter().with_min_len((1 << 17) / work + 1).for_each(|task| {
        let (at, first) = (task / bands, task % bands * rows);
        let channel = at % channels;
        with_scratch(scratch, |scratch| {
            let band = Band {
                x: &x[at * h * w..][..h * w],
                image: [h, w],
                weight: &weight.data[channel * window..][..window],
                bias: bias.map_or(0.0, |bias| bias[channel]),
                way,
                window: kh,
                stride,
                padding,
                relu,
                first,
                rows: rows.min(oh - first),
                columns: ow,
                taps: &taps,
                line,
                scratch,
                out: target,
                at: at * plane + first * ow,
            };
            // SAFETY: `isa` was checked; tasks write disjoint bands of y.
            unsafe { dispatch(isa, band) };
        });
    });
}

/// How a band is computed.
#[derive(Clone, Copy)]
enum Way {
    /// In strips, for a window of 3 by 3 and stride 1.
    Strips3,
    /// The same for 5 by 5.
    Strips5,
    /// The same for 7 by 7.
    Strips7,
    /// From a padded copy.
    Padded,
}

impl Way {
    fn of(spec: &ConvSpec) -> Self {
        match (spec.stride, spec.kernel) {
            (1, [3, 3]) => Self::Strips3,
            (1, [5, 5]) => Self::Strips5,
            (1, [7, 7]) => Self::Strips7,
            _ => Self::Padded,
        }
    }
}

/// Some rows of one plane of the output.
struct Band<'a> {
    /// The plane of the input, `[h, w]`.
    x: &'a [f32],
    image: [usize; 2],
    weight: &'a [f32],
    bias: f32,
    way: Way,
    /// Rows of the window.
    window: usize,
    stride: usize,
    padding: usize,
    relu: bool,
    /// First row of the output.
    first: usize,
    rows: usize,
    /// All columns of the output.
    columns: usize,
    /// Where each tap is read, from the start of an output row's first padded row.
    taps: &'a [usize],
    /// Floats of a phase of a padded row.
    line: usize,
    scratch: &'a mut [f32],
    out: Shared,
    /// The band's first pixel in y.
    at: usize,
}

impl Kernel for Band<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the caller's.
        unsafe {
            match self.way {
                Way::Strips3 => self.strips::<S, 3>(),
                Way::Strips5 => self.strips::<S, 5>(),
                Way::Strips7 => self.strips::<S, 7>(),
                Way::Padded => self.padded::<S>(),
            }
        }
    }
}

impl Band<'_> {
    /// The row of the input that row `i` of the padded band is, if the image has it.
    fn row(&self, i: usize) -> Option<&[f32]> {
        let [h, w] = self.image;
        let row = (self.first * self.stride + i).checked_sub(self.padding).filter(|row| *row < h)?;
        Some(&self.x[row * w..][..w])
    }

    /// # Safety
    /// As [`Kernel::run`]; the window is K × K, the stride 1.
    #[inline(always)]
    unsafe fn strips<S: Simd, const K: usize>(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        let lines = self.rows + K - 1;
        // What a strip reads of each row.
        let patch = 2 * S::W + K - 1;
        let (patches, zeros) = scratch.split_at_mut(lines * patch);
        let zeros = &mut zeros[..patch];
        zeros.fill(0.0);
        let width = self.image[1];
        for c in (0..self.columns).step_by(2 * S::W) {
            let left = (self.columns - c).min(2 * S::W);
            // Columns c − padding .. c − padding + patch of x.
            let inside = c >= self.padding && c + patch <= width + self.padding;
            if !inside {
                for (i, out) in patches.chunks_exact_mut(patch).enumerate() {
                    copy_padded(self.row(i), c, self.padding, 1, out);
                }
            }
            let source = |i: usize| match self.row(i) {
                _ if !inside => patches[i * patch..].as_ptr(),
                Some(row) => row[c - self.padding..].as_ptr(),
                None => zeros.as_ptr(),
            };
            // SAFETY: each source is readable for `patch` floats; the strip writes `left` columns from c on of the band's rows.
            unsafe {
                if left > S::W {
                    self.strip::<S, K, 2>(source, c, left);
                } else {
                    self.strip::<S, K, 1>(source, c, left);
                }
            }
        }
    }

    /// `left` columns from c on, all rows.
    ///
    /// # Safety
    /// As [`Kernel::run`]; source(i) is readable for NV·W + K − 1 floats, left ≤ NV·W.
    #[inline(always)]
    unsafe fn strip<S: Simd, const K: usize, const NV: usize>(
        &self,
        source: impl Fn(usize) -> *const f32,
        c: usize,
        left: usize,
    ) {
        // SAFETY: the caller's; the weight holds K·K floats.
        unsafe {
            let mut weight = [[S::splat(0.0); K]; K];
            for (row, given) in weight.iter_mut().zip(self.weight.chunks_exact(K)) {
                for (weight, given) in row.iter_mut().zip(given) {
                    *weight = S::splat(*given);
                }
            }
            let bias = [S::splat(self.bias); NV];
            // The accumulator u is of the output row whose window has this input row as its row u.
            let mut acc = [bias; K];
            for i in 0..self.rows + K - 1 {
                let x = source(i);
                for v in 0..K {
                    for n in 0..NV {
                        let x = S::load(x.add(v + n * S::W));
                        for (acc, weight) in acc.iter_mut().zip(&weight) {
                            acc[n] = S::fma(weight[v], x, acc[n]);
                        }
                    }
                }
                if i + 1 >= K {
                    let to = self.out.ptr().add(self.at + (i + 1 - K) * self.columns + c);
                    store::<S, NV>(acc[K - 1], self.relu, to, left);
                }
                for u in (1..K).rev() {
                    acc[u] = acc[u - 1];
                }
                acc[0] = bias;
            }
        }
    }

    /// Any window and stride, from a padded copy.
    ///
    /// # Safety
    /// As [`Kernel::run`].
    #[inline(always)]
    unsafe fn padded<S: Simd>(&mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        let (stride, line) = (self.stride, self.line);
        let lines = (self.rows - 1) * stride + self.window;
        for (i, out) in scratch.chunks_exact_mut(stride * line).take(lines).enumerate() {
            for (phase, out) in out.chunks_exact_mut(line).enumerate() {
                copy_padded(self.row(i), phase, self.padding, stride, out);
            }
        }
        for r in 0..self.rows {
            let row = scratch[r * stride * stride * line..].as_ptr();
            for c in (0..self.columns).step_by(2 * S::W) {
                let left = (self.columns - c).min(2 * S::W);
                // SAFETY: a tap reads at most two vectors from a column that the output has: `line` has room for them.
                unsafe {
                    let mut acc = [[S::splat(self.bias); 2]];
                    accumulate::<S, 1, 2>(
                        &mut acc,
                        self.taps.len(),
                        |t, _| self.weight.as_ptr().wrapping_add(t),
                        |t, v| row.wrapping_add(self.taps[t] + c + v * S::W),
                    );
                    let to = self.out.ptr().add(self.at + r * self.columns + c);
                    store::<S, 2>(acc[0], self.relu, to, left);
                }
            }
        }
    }
}
