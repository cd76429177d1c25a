//! A 1 × 1 convolution: the product W·X of a weight `[O, I]` and an image as a matrix `[I, pixels]`.
//!
//! A task owns a block of pixels, whatever rows they are of, and some or all output channels. It copies the pixels to panels as wide as a
//! register tile, `[panel][i][columns]`, which the loop over i then reads from end to end, and runs its channels over them: a tile of the
//! weight stays in the first-level cache for all panels of the block, where it has up to some 1,000 input channels; a deeper one comes from
//! the second-level cache.

use std::ops::Range;

use super::panel::WIDEST;
use super::{Call, ConvSpec, TILE, multiply, start, store, unit};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Shared, WORTH, spread, with_height, with_scratch};

/// Floats of a block of panels: 256 KiB, a part of a second-level cache.
const BLOCK_FLOATS: usize = 64 * 1024;

/// Most panels of a block.
const PANELS: usize = 12;

/// Output channels of a task at least, if there are as many: each task copies its pixels, which takes the time of about one channel.
const CHANNELS: usize = 64;

pub(super) fn run(call: &Call<'_>, y: &mut [f32]) {
    let Call { isa, x, image: [h, w], weight, bias, relu, .. } = *call;
    let ConvSpec { in_channels, out_channels, .. } = weight.spec;
    let pixels = h * w;
    let batch = x.len() / (in_channels * pixels);
    let work = x.len() * out_channels;
    let threads = rayon::current_num_threads().min(work / WORTH).max(1);
    let [columns, of_part] = cut(batch, pixels, [in_channels, out_channels], threads);
    let (blocks, parts) = (pixels.div_ceil(columns), out_channels.div_ceil(of_part));
    let target = Shared::new(y);
    spread(batch * blocks * parts, work, |task| {
        let (at, part) = (task / parts, task % parts * of_part);
        let (b, first) = (at / blocks, at % blocks * columns);
        with_scratch(in_channels * columns, |scratch| {
            let block = Block {
                x: &x[b * in_channels * pixels..][..in_channels * pixels],
                weight: &weight.data,
                bias,
                relu,
                depth: in_channels,
                channels: part..(part + of_part).min(out_channels),
                pixels,
                first,
                columns: columns.min(pixels - first),
                scratch,
                out: target,
                at: b * out_channels * pixels + first,
            };
            // SAFETY: `isa` was checked; tasks write disjoint columns or planes of y.
            unsafe { dispatch(isa, block) };
        });
    });
}

/// Pixels and output channels of a task: pixels as many as stay in cache, channels all; of an image that is too small to keep the threads
/// busy so, fewer pixels, then fewer channels.
fn cut(batch: usize, pixels: usize, [depth, channels]: [usize; 2], threads: usize) -> [usize; 2] {
    let fair = (batch * pixels.div_ceil(WIDEST) / threads).max(1);
    let columns = (BLOCK_FLOATS / depth / WIDEST).clamp(1, PANELS).min(fair) * WIDEST;
    let blocks = batch * pixels.div_ceil(columns);
    let parts = threads.div_ceil(blocks).clamp(1, channels.div_ceil(CHANNELS));
    [columns, channels.div_ceil(parts).next_multiple_of(TILE)]
}

/// Some pixels of an image.
struct Block<'a> {
    /// `[I, pixels]`.
    x: &'a [f32],
    /// `[half][i][HALF]`.
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    /// I.
    depth: usize,
    /// Of the output; the first is a multiple of TILE.
    channels: Range<usize>,
    pixels: usize,
    /// First pixel.
    first: usize,
    /// Pixels.
    columns: usize,
    scratch: &'a mut [f32],
    out: Shared,
    /// The block's first pixel in the first plane of y.
    at: usize,
}

impl Kernel for Block<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        let depth = self.depth;
        let panel = 2 * S::W;
        for (p, out) in scratch.chunks_exact_mut(depth * panel).take(self.columns.div_ceil(panel)).enumerate() {
            let from = self.first + p * panel;
            let count = panel.min(self.first + self.columns - from);
            for (x, out) in self.x.chunks_exact(self.pixels).zip(out.chunks_exact_mut(panel)) {
                out[..count].copy_from_slice(&x[from..from + count]);
                out[count..].fill(0.0);
            }
        }
        let (first, channels) = (self.channels.start, self.channels.len());
        let unit = unit::<S>();
        for channel in (0..channels).step_by(unit) {
            for r in (channel..channels.min(channel + unit)).step_by(S::MR) {
                // The packed weight is 0 in the rows of a tile that have no channel.
                let left = S::MR.min(channels - r).min(channel + unit - r);
                let height = left.next_power_of_two().min(S::MR);
                let weight = self.weight[(first + channel) * depth + r - channel..].as_ptr();
                for c in (0..self.columns).step_by(panel) {
                    let place =
                        Tile { weight, operands: scratch[c * depth..].as_ptr(), channel: first + r, left, column: c };
                    // SAFETY: the panel holds `depth` rows of 2·W floats, each half of the weight as many of HALF; the tile writes
                    // its own columns.
                    unsafe {
                        if self.columns - c > S::W {
                            with_height!(height, S::MR, S, tile, 2; &self, &place);
                        } else {
                            with_height!(height, S::MR, S, tile, 1; &self, &place);
                        }
                    }
                }
            }
        }
    }
}

/// A register tile.
struct Tile {
    /// Of the first channel.
    weight: *const f32,
    /// `[i][2·W]`.
    operands: *const f32,
    /// First channel.
    channel: usize,
    /// How many channels there are.
    left: usize,
    /// First column in the block.
    column: usize,
}

/// H channels, of which `left` exist, by the block's columns from the tile's first on, NV vectors of them at most.
///
/// # Safety
/// As [`Kernel::run`]; the channels and the column are the block's.
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const NV: usize>(block: &Block<'_>, tile: &Tile) {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = start::<S, H, NV>(block.bias, tile.channel, tile.left);
        multiply::<S, H, NV>(&mut acc, block.depth, tile.weight, block.depth, tile.operands);
        let to = block.at + tile.channel * block.pixels + tile.column;
        let left = (block.columns - tile.column).min(NV * S::W);
        for (r, acc) in acc.into_iter().enumerate() {
            if r < tile.left {
                store::<S, NV>(acc, block.relu, block.out.ptr().add(to + r * block.pixels), left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_images_are_shared_out_too_and_large_ones_are_cut_for_the_cache() {
        let tasks = |batch: usize, pixels: usize, channels: [usize; 2], threads: usize| {
            let [columns, of_part] = cut(batch, pixels, channels, threads);
            assert!(columns % WIDEST == 0 && of_part % TILE == 0);
            batch * pixels.div_ceil(columns) * channels[1].div_ceil(of_part)
        };
        for threads in [2, 3, 8] {
            assert!(tasks(1, 64, [1792, 896], threads) >= threads, "an image of 8 x 8");
            assert!(tasks(1, 256, [896, 1792], threads) >= threads, "an image of 16 x 16");
            assert!(tasks(1, 1024, [64, 64], threads) >= threads, "few channels");
        }
        assert_eq!(cut(1, 128 * 128, [512, 256], 2), [128, 264]);
        assert_eq!(cut(1, 16, [64, 32], 8), [32, 36], "too few channels to copy the pixels twice");
    }
}
