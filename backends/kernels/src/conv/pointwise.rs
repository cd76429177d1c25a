//! A 1 × 1 convolution: the product W·X of a weight `[O, I]` and an image as a matrix `[I, pixels]`.
//!
//! A task owns a block of pixels, whatever rows they are of. It copies them to panels as wide as a register tile, `[panel][i][columns]`, which
//! the loop over i then reads from end to end, and runs all output channels over them: a tile of the weight stays in the first-level
//! cache for all panels of the block.

use rayon::prelude::*;

use super::{Call, ConvSpec, TILE, store};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Shared, accumulate, heights, with_height, with_scratch};

/// Columns of a panel at most: three vectors of the widest instruction set.
const PANEL: usize = 48;

/// Floats of a block of panels: 256 KiB, a part of a second-level cache.
const BLOCK_FLOATS: usize = 64 * 1024;

/// Most panels of a block.
const PANELS: usize = 8;

pub(super) fn run(call: &Call<'_>, y: &mut [f32]) {
    let Call { isa, x, image: [h, w], weight, bias, relu, .. } = *call;
    let ConvSpec { in_channels, out_channels, .. } = weight.spec;
    let pixels = h * w;
    let columns = (BLOCK_FLOATS / in_channels / PANEL).clamp(1, PANELS) * PANEL;
    let blocks = pixels.div_ceil(columns);
    let batch = x.len() / (in_channels * pixels);
    let target = Shared::new(y);
    let work = in_channels * out_channels * columns;
    (0..batch * blocks).into_par_iter().with_min_len((1 << 16) / work + 1).for_each(|task| {
        let (b, first) = (task / blocks, task % blocks * columns);
        with_scratch(in_channels * columns, |scratch| {
            let block = Block {
                x: &x[b * in_channels * pixels..][..in_channels * pixels],
                weight: &weight.data,
                bias,
                relu,
                channels: [in_channels, out_channels],
                pixels,
                first,
                columns: columns.min(pixels - first),
                scratch,
                out: target,
                at: b * out_channels * pixels + first,
            };
            // SAFETY: `isa` was checked; tasks write disjoint columns of y.
            unsafe { dispatch(isa, block) };
        });
    });
}

/// Some pixels of an image.
struct Block<'a> {
    /// `[I, pixels]`.
    x: &'a [f32],
    /// `[tile][i][TILE]`.
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    /// I, O.
    channels: [usize; 2],
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
        let [depth, channels] = self.channels;
        let panel = S::TV * S::W;
        for (p, out) in scratch.chunks_exact_mut(depth * panel).take(self.columns.div_ceil(panel)).enumerate() {
            let from = self.first + p * panel;
            let count = panel.min(self.first + self.columns - from);
            for (x, out) in self.x.chunks_exact(self.pixels).zip(out.chunks_exact_mut(panel)) {
                out[..count].copy_from_slice(&x[from..from + count]);
                out[count..].fill(0.0);
            }
        }
        for (channel, h) in heights(channels, S::CR) {
            // Tiles of the packed weight are 8 wide; smaller register tiles take parts of one, never across two.
            let weight = self.weight[channel / TILE * TILE * depth + channel % TILE..].as_ptr();
            let bias = self.bias.map(|bias| &bias[channel..channel + h]);
            for c in (0..self.columns).step_by(panel) {
                let (left, operands) = ((self.columns - c).min(panel), scratch[c * depth..].as_ptr());
                // SAFETY: the panel holds `depth` rows of TV·W floats, the weight as many of TILE; the tile writes its own columns.
                unsafe {
                    let to = self.out.ptr().add(self.at + channel * self.pixels + c);
                    match left.div_ceil(S::W) {
                        1 => with_height!(h, S::CR, S, tile, 1; &self, weight, operands, bias, to, left),
                        3 if S::TV == 3 => with_height!(h, S::CR, S, tile, 3; &self, weight, operands, bias, to, left),
                        _ => with_height!(h, S::CR, S, tile, 2; &self, weight, operands, bias, to, left),
                    }
                }
            }
        }
    }
}

/// H channels by `left` ≤ NV·W pixels of a panel.
///
/// # Safety
/// As [`Kernel::run`]; weight holds a row of TILE for each input channel, the first H of each are used; operands a row of TV·W;
/// `to` is writable for H planes of `left`.
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const NV: usize>(
    block: &Block<'_>,
    weight: *const f32,
    operands: *const f32,
    bias: Option<&[f32]>,
    to: *mut f32,
    left: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[S::splat(0.0); NV]; H];
        if let Some(bias) = bias {
            for (acc, b) in acc.iter_mut().zip(bias) {
                *acc = [S::splat(*b); NV];
            }
        }
        accumulate::<S, H, NV>(
            &mut acc,
            block.channels[0],
            |i, r| weight.wrapping_add(i * TILE + r),
            |i| operands.wrapping_add(i * S::TV * S::W),
        );
        for (r, acc) in acc.into_iter().enumerate() {
            store::<S, NV>(acc, block.relu, to.add(r * block.pixels), left);
        }
    }
}
