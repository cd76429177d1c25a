//! A 1 × 1 convolution: the product W·X of a weight `[O, I]` and an image as a matrix `[I, pixels]`.
//!
//! A task owns a block of pixels, whatever rows they are of, and some or all output channels. It copies the pixels to panels as wide as a
//! register tile, `[panel][i][columns]`, which the loop over i then reads from end to end, and runs its channels over them: a tile of the
//! weight stays in the first-level cache for all panels of the block.

use std::ops::Range;

use super::{Call, ConvSpec, TILE, Tile, tile};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Shared, WORTH, heights, spread, with_height, with_scratch};

/// Columns of a panel at most: three vectors of the widest instruction set.
const PANEL: usize = 48;

/// Floats of a block of panels: 256 KiB, a part of a second-level cache.
const BLOCK_FLOATS: usize = 64 * 1024;

/// Most panels of a block.
const PANELS: usize = 8;

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
    let fair = (batch * pixels.div_ceil(PANEL) / threads).max(1);
    let columns = (BLOCK_FLOATS / depth / PANEL).clamp(1, PANELS).min(fair) * PANEL;
    let blocks = batch * pixels.div_ceil(columns);
    let parts = threads.div_ceil(blocks).clamp(1, channels.div_ceil(CHANNELS));
    [columns, channels.div_ceil(parts).next_multiple_of(TILE)]
}

/// Some pixels of an image.
struct Block<'a> {
    /// `[I, pixels]`.
    x: &'a [f32],
    /// `[tile][i][TILE]`.
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
        let panel = S::TV * S::W;
        for (p, out) in scratch.chunks_exact_mut(depth * panel).take(self.columns.div_ceil(panel)).enumerate() {
            let from = self.first + p * panel;
            let count = panel.min(self.first + self.columns - from);
            for (x, out) in self.x.chunks_exact(self.pixels).zip(out.chunks_exact_mut(panel)) {
                out[..count].copy_from_slice(&x[from..from + count]);
                out[count..].fill(0.0);
            }
        }
        for (channel, h) in heights(self.channels.len(), S::CR) {
            let channel = self.channels.start + channel;
            // Tiles of the packed weight are 8 wide; smaller register tiles take parts of one, never across two.
            let weight = self.weight[channel / TILE * TILE * depth + channel % TILE..].as_ptr();
            for c in (0..self.columns).step_by(panel) {
                let (left, operands) = ((self.columns - c).min(panel), scratch[c * depth..].as_ptr());
                let operand = |i: usize| operands.wrapping_add(i * panel);
                let place = Tile {
                    depth,
                    weight,
                    bias: self.bias.map(|bias| &bias[channel..]),
                    relu: self.relu,
                    to: self.out.ptr().wrapping_add(self.at + channel * self.pixels + c),
                    plane: self.pixels,
                    left,
                };
                // SAFETY: the panel holds `depth` rows of TV·W floats, the weight as many of TILE; the tile writes its own columns.
                unsafe {
                    match left.div_ceil(S::W) {
                        1 => with_height!(h, S::CR, S, tile, 1; &place, operand),
                        3 if S::TV == 3 => with_height!(h, S::CR, S, tile, 3; &place, operand),
                        _ => with_height!(h, S::CR, S, tile, 2; &place, operand),
                    }
                }
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
            assert!(columns % PANEL == 0 && of_part % TILE == 0);
            batch * pixels.div_ceil(columns) * channels[1].div_ceil(of_part)
        };
        for threads in [2, 3, 8] {
            assert!(tasks(1, 64, [1792, 896], threads) >= threads, "an image of 8 x 8");
            assert!(tasks(1, 256, [896, 1792], threads) >= threads, "an image of 16 x 16");
            assert!(tasks(1, 1024, [64, 64], threads) >= threads, "few channels");
        }
        assert_eq!(cut(1, 128 * 128, [512, 256], 2), [96, 256]);
        assert_eq!(cut(1, 16, [64, 32], 8), [48, 32], "too few channels to copy the pixels twice");
    }
}
