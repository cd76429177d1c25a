//! A convolution over several input channels.
//!
//! Direct: a register tile is a few output channels by up to three vectors of
//! pixels, and its operands for input channel i and tap (u, v) are a broadcast weight and an (unaligned) run of row y + u
//! from column x + v on. A task owns a block of output pixels of one group; it first copies the input that the block
//! needs to scratch, with the padding written out, so that the inner loop has no edges. With a stride, the copy holds
//! one plane for each tap instead (im2col of the block), and the same loop runs over them as a 1 × 1 convolution.

use rayon::prelude::*;

use super::{Call, ConvSpec, TILE, Tile, tile};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Shared, heights, with_height, with_scratch};

/// Columns of a block of output pixels: two times three vectors of the widest instruction set.
const BLOCK_COLUMNS: usize = 96;

/// Floats of scratch that a block of several rows may take: 192 KiB, which leaves room for the weights in a second-level cache.
const BLOCK_FLOATS: usize = 48 * 1024;

pub(super) fn run(call: &Call<'_>, y: &mut [f32]) {
    let Call { isa, x, image, weight, bias, relu, output: [oh, ow] } = *call;
    let ConvSpec { in_channels: ic, out_channels: oc, kernel: [kh, kw], stride, groups, .. } = weight.spec;
    let [h, w] = image;
    let batch = x.len() / (ic * h * w);
    let (icg, ocg) = (ic / groups, oc / groups);
    let direct = stride == 1;
    let columns = BLOCK_COLUMNS.min(ow);
    // Scratch: `planes` planes of `lines` rows of `line` floats; a tile may read two vectors beyond the last column.
    let planes = if direct { icg } else { icg * kh * kw };
    let line = columns + if direct { kw - 1 } else { 0 } + 2 * 16;
    let halo = if direct { kh - 1 } else { 0 };
    let rows = (BLOCK_FLOATS / (planes * line)).saturating_sub(halo).clamp(1, 8).min(oh);
    let lines = rows + halo;
    // Where the operand of (i, u, v) starts, from the one of the first.
    let offsets: Vec<usize> = if direct {
        (0..icg * kh * kw).map(|t| (t / (kh * kw) * lines + t / kw % kh) * line + t % kw).collect()
    } else {
        (0..planes).map(|t| t * lines * line).collect()
    };
    let (row_blocks, col_blocks) = (oh.div_ceil(rows), ow.div_ceil(columns));
    let target = Shared::new(y);
    // Small tasks (a few channels a group) are taken several at a time.
    let work = planes * rows * columns * ocg.max(8);
    (0..batch * groups * row_blocks * col_blocks).into_par_iter().with_min_len((1 << 16) / work + 1).for_each(|task| {
        let (at, block) = (task / (row_blocks * col_blocks), task % (row_blocks * col_blocks));
        let (b, g) = (at / groups, at % groups);
        let (oy, ox) = (block / col_blocks * rows, block % col_blocks * columns);
        with_scratch(planes * lines * line, |scratch| {
            let source = &x[(b * ic + g * icg) * h * w..][..icg * h * w];
            let block = Block { oy, ox, rows: rows.min(oh - oy), columns: columns.min(ow - ox), lines, line };
            if direct {
                copy_block(source, image, &weight.spec, &block, scratch);
            } else {
                copy_taps(source, image, &weight.spec, &block, scratch);
            }
            let first = b * oc + g * ocg;
            let task = Task {
                operands: scratch,
                offsets: &offsets,
                weight: &weight.data[g * ocg.div_ceil(TILE) * TILE * offsets.len()..],
                bias: bias.map(|b| &b[g * ocg..(g + 1) * ocg]),
                relu,
                channels: ocg,
                block,
                out: target,
                at: (first * oh + oy) * ow + ox,
                plane: oh * ow,
                width: ow,
            };
            // SAFETY: `isa` was checked; tasks write disjoint blocks of disjoint planes of y.
            unsafe { dispatch(isa, task) };
        });
    });
}

/// A block of output pixels and its scratch.
struct Block {
    oy: usize,
    ox: usize,
    rows: usize,
    columns: usize,
    /// Rows of a plane of scratch.
    lines: usize,
    /// Floats of such a row.
    line: usize,
}

/// The padded input of a block, for stride 1: `[i][lines][line]`.
fn copy_block(x: &[f32], [h, w]: [usize; 2], spec: &ConvSpec, block: &Block, scratch: &mut [f32]) {
    let lines = block.rows + spec.kernel[0] - 1;
    let needed = block.columns + spec.kernel[1] - 1;
    for (x, plane) in x.chunks_exact(h * w).zip(scratch.chunks_exact_mut(block.lines * block.line)) {
        for (r, out) in plane.chunks_exact_mut(block.line).take(lines).enumerate() {
            let Some(row) = (block.oy + r).checked_sub(spec.padding).filter(|y| *y < h) else {
                out.fill(0.0);
                continue;
            };
            // Columns ox − padding .. ox − padding + needed of the row, zeros outside it.
            let left = spec.padding.saturating_sub(block.ox).min(needed);
            let from = (block.ox + left - spec.padding.min(block.ox + left)).min(w);
            let count = (w - from).min(needed - left);
            out[..left].fill(0.0);
            out[left..left + count].copy_from_slice(&x[row * w + from..][..count]);
            out[left + count..].fill(0.0);
        }
    }
}

/// One plane for each input channel and tap, for any stride: `[i][u][v][lines][line]`.
fn copy_taps(x: &[f32], [h, w]: [usize; 2], spec: &ConvSpec, block: &Block, scratch: &mut [f32]) {
    let [kh, kw] = spec.kernel;
    for (t, plane) in scratch.chunks_exact_mut(block.lines * block.line).enumerate() {
        let (x, u, v) = (&x[t / (kh * kw) * h * w..][..h * w], t / kw % kh, t % kw);
        for (r, out) in plane.chunks_exact_mut(block.line).take(block.rows).enumerate() {
            out.fill(0.0);
            let Some(row) = ((block.oy + r) * spec.stride + u).checked_sub(spec.padding).filter(|y| *y < h) else {
                continue;
            };
            let row = &x[row * w..][..w];
            for (c, out) in out[..block.columns].iter_mut().enumerate() {
                let column = ((block.ox + c) * spec.stride + v).checked_sub(spec.padding);
                if let Some(x) = column.and_then(|c| row.get(c)) {
                    *out = *x;
                }
            }
        }
    }
}

struct Task<'a> {
    operands: &'a [f32],
    offsets: &'a [usize],
    /// From this group's first tile on.
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    channels: usize,
    block: Block,
    out: Shared,
    /// The block's first pixel in the group's first plane of y.
    at: usize,
    plane: usize,
    width: usize,
}

impl Kernel for Task<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for r in 0..self.block.rows {
            for c in (0..self.block.columns).step_by(S::TV * S::W) {
                let left = (self.block.columns - c).min(S::TV * S::W);
                // SAFETY: rows and columns are inside the block; a vector reads less than 16 floats beyond the last.
                unsafe {
                    match left.div_ceil(S::W) {
                        1 => self.pixels::<S, 1>(r, c, left),
                        3 if S::TV == 3 => self.pixels::<S, 3>(r, c, left),
                        _ => self.pixels::<S, 2>(r, c, left),
                    }
                }
            }
        }
    }
}

impl Task<'_> {
    /// All channels of `left` pixels.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the pixels are inside the block.
    #[inline(always)]
    unsafe fn pixels<S: Simd, const NV: usize>(&self, r: usize, c: usize, left: usize) {
        let (operands, offsets) = (self.operands[r * self.block.line + c..].as_ptr(), self.offsets.as_ptr());
        let depth = self.offsets.len();
        // SAFETY: t is below `depth`.
        let operand = |t: usize| operands.wrapping_add(unsafe { *offsets.add(t) });
        for (channel, h) in heights(self.channels, S::CR) {
            // Tiles of the packed weight are 8 wide; smaller register tiles take parts of one, never across two.
            let weight = self.weight[channel / TILE * TILE * depth + channel % TILE..].as_ptr();
            let place = Tile {
                depth,
                weight,
                bias: self.bias.map(|bias| &bias[channel..]),
                relu: self.relu,
                to: self.out.ptr().wrapping_add(self.at + channel * self.plane + r * self.width + c),
                plane: self.plane,
                left,
            };
            // SAFETY: the offsets stay inside scratch; the weight holds depth rows of TILE.
            unsafe { with_height!(h, S::CR, S, tile, NV; &place, operand) };
        }
    }
}
