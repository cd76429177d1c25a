//! A convolution over several input channels: a product of the weight `[O, I·kh·kw]` with the operands `[I·kh·kw, pixels]`, which are
//! never written out as a whole.
//!
//! A task owns a block of pixels and some output channels. It goes through the operands in blocks of so many that a panel of them, as
//! wide as a register tile, stays in the first-level cache while the block's weights come by from the second-level cache, where they
//! stay for the other panels. What is left for the next block are sums, one for each output, in scratch: y is written once, and each
//! output is summed in the order of its operands.

use std::ops::Range;

use super::cut::{Cut, Sizes, cut, step};
use super::panel::{Block, Panel, Reads, SLACK, WIDEST};
use super::{Call, ConvSpec, HALF, TILE, multiply, start, store, unit};
use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{LINE, Shared, spread, with_height, with_scratch};

/// Pixels of a register tile, and channels whose weights are read beside them.
struct Width;

impl Kernel for Width {
    type Output = [usize; 2];
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> [usize; 2] {
        [2 * S::W, unit::<S>()]
    }
}

pub(super) fn run(call: &Call<'_>, y: &mut [f32]) {
    let Call { isa, x, image, weight, bias, relu, output } = *call;
    let spec @ ConvSpec { in_channels, out_channels, kernel, stride, groups, .. } = weight.spec;
    let ([h, w], [oh, ow]) = (image, output);
    let batch = x.len() / (in_channels * h * w);
    let (icg, ocg, window) = (in_channels / groups, out_channels / groups, kernel[0] * kernel[1]);
    let depth = icg * window;
    // SAFETY: `isa` was checked.
    let [width, unit] = unsafe { dispatch(isa, Width) };
    let step = step(depth, window, width + unit);
    let Cut { rows, columns, channels } =
        cut(Sizes { images: batch * groups, output, channels: ocg, depth, step, kernel, stride });
    let reads = Reads::new(spec, image, columns);
    // Channels that some operands of one step are of.
    let copied = if step.is_multiple_of(window) { step / window } else { (step.div_ceil(window) + 1).min(icg) };
    let floats = Floats {
        // Vectors of what lies behind must not cross cache lines.
        copy: (copied * reads.plane(rows) + SLACK).next_multiple_of(LINE / size_of::<f32>()),
        panel: (step * width + SLACK).next_multiple_of(LINE / size_of::<f32>()),
        sums: if step < depth { (rows * columns).next_multiple_of(width) * channels } else { 0 },
    };
    let (row_blocks, column_blocks, parts) = (oh.div_ceil(rows), ow.div_ceil(columns), ocg.div_ceil(channels));
    let target = Shared::new(y);
    let tasks = batch * groups * parts * row_blocks * column_blocks;
    let work = tasks * channels.min(ocg).max(HALF) * depth * rows * columns;
    spread(tasks, work, |task| {
        let (at, block) = (task / (row_blocks * column_blocks), task % (row_blocks * column_blocks));
        let (at, part) = (at / parts, at % parts * channels);
        let (b, g) = (at / groups, at % groups);
        let (row, column) = (block / column_blocks * rows, block % column_blocks * columns);
        let first = g * ocg + part;
        with_scratch(floats.copy + floats.panel + floats.sums, |scratch| {
            let task = Task {
                x: &x[(b * in_channels + g * icg) * h * w..][..icg * h * w],
                reads: &reads,
                block: Block { row, column, rows: rows.min(oh - row), columns: columns.min(ow - column) },
                weight: &weight.data[(g * ocg.next_multiple_of(TILE) + part) * depth..],
                bias: bias.map(|b| &b[first..]),
                relu,
                channels: channels.min(ocg - part),
                depth,
                step,
                floats,
                scratch,
                out: target.ptr().wrapping_add((b * out_channels + first) * oh * ow),
                output,
            };
            // SAFETY: `isa` was checked; tasks write disjoint blocks of disjoint planes of y.
            unsafe { dispatch(isa, task) };
        });
    });
}

/// The parts of a task's scratch.
#[derive(Clone, Copy)]
struct Floats {
    copy: usize,
    panel: usize,
    sums: usize,
}

struct Task<'a> {
    /// All planes of the group.
    x: &'a [f32],
    reads: &'a Reads,
    block: Block,
    /// `[half][depth][HALF]`, from the task's first channel on.
    weight: &'a [f32],
    /// From the task's first channel on.
    bias: Option<&'a [f32]>,
    relu: bool,
    /// Of the output.
    channels: usize,
    depth: usize,
    /// Operands of a block.
    step: usize,
    floats: Floats,
    scratch: &'a mut [f32],
    /// The plane of the task's first channel.
    out: *mut f32,
    output: [usize; 2],
}

impl Kernel for Task<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let scratch = std::mem::take(&mut self.scratch);
        let (copy, scratch) = scratch.split_at_mut(self.floats.copy);
        let (operands, sums) = scratch.split_at_mut(self.floats.panel);
        // Lanes without a pixel are multiplied too: by what is there, which should be a number.
        operands.fill(0.0);
        let (window, width) = (self.reads.window(), 2 * S::W);
        let input_plane = self.x.len() / (self.depth / window);
        let plane = self.reads.plane(self.block.rows);
        let pixels = self.block.rows * self.block.columns;
        let panels = pixels.div_ceil(width);
        let mut offsets = Vec::with_capacity(self.step);
        for k0 in (0..self.depth).step_by(self.step) {
            let k1 = (k0 + self.step).min(self.depth);
            let channels = k0 / window..k1.div_ceil(window);
            let planes = &self.x[channels.start * input_plane..channels.end * input_plane];
            self.reads.offsets(k0..k1, plane, &mut offsets);
            self.reads.copy::<S>(planes, &self.block, copy);
            let next = self.step.min(self.depth - k1) * HALF * size_of::<f32>();
            // The last panels ask for the next step's weights. What the first ones would ask for would drive out this step's.
            let asking = panels.div_ceil(4);
            let share = next.div_ceil(asking).next_multiple_of(LINE);
            for p in 0..panels {
                let panel = Panel::new::<S>(self.reads, &self.block, p * width, self.output[1]);
                let sums = sums.as_mut_ptr().wrapping_add(p * self.channels.next_multiple_of(TILE) * width);
                let operands = operands.as_mut_ptr();
                // SAFETY: the copy holds these channels, and `operands` has room for a step and a vector.
                unsafe { panel.pack::<S>(copy.as_ptr(), &offsets, operands) };
                let ahead = match (p + asking).checked_sub(panels) {
                    Some(p) => p * share..((p + 1) * share).min(next),
                    None => 0..0,
                };
                let packed = PackedPanel { panel, operands, k0, k1, sums, ahead };
                // SAFETY: the caller's; scratch has a sum for each lane of a panel and channel if there is more than one step.
                unsafe {
                    match packed.panel.pixels.div_ceil(S::W) {
                        1 => self.all_channels::<S, 1>(&packed),
                        _ => self.all_channels::<S, 2>(&packed),
                    }
                }
            }
        }
    }
}

/// A packed panel.
struct PackedPanel {
    panel: Panel,
    /// `[k1 − k0][2·W]`.
    operands: *const f32,
    k0: usize,
    k1: usize,
    /// `[channel][2·W]`: what the operands before k0 gave, and these after them.
    sums: *mut f32,
    /// Bytes of each half's weights of the next step to ask for.
    ahead: Range<usize>,
}

impl Task<'_> {
    /// All channels of a panel.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the panel has at most NV·W pixels, of the task's block.
    #[inline(always)]
    unsafe fn all_channels<S: Simd, const NV: usize>(&self, packed: &PackedPanel) {
        let unit = unit::<S>();
        let weight = self.weight.as_ptr().wrapping_add(packed.k0 * HALF);
        for first in (0..self.channels).step_by(unit) {
            let channels = unit.min(self.channels - first);
            let half = weight.wrapping_add(first * self.depth);
            self.ahead::<S>(half.wrapping_add((packed.k1 - packed.k0) * HALF), unit, packed);
            for r in (0..channels).step_by(S::MR) {
                // The packed weight is 0 in the rows of a tile that have no channel.
                let left = S::MR.min(channels - r);
                let height = left.next_power_of_two().min(S::MR);
                let weight = half.wrapping_add(r);
                // SAFETY: the caller's.
                unsafe { with_height!(height, S::MR, S, tile, NV; self, weight, first + r, left, packed) };
            }
        }
    }

    /// Asks for a part of the weights of the next step: a tile's are a short run far from the last one's, which no processor would
    /// guess.
    #[inline(always)]
    fn ahead<S: Simd>(&self, next: *const f32, unit: usize, packed: &PackedPanel) {
        for half in (0..unit).step_by(HALF) {
            let from = next.wrapping_add(half * self.depth).cast::<u8>();
            for at in packed.ahead.clone().step_by(LINE) {
                S::prefetch(from.wrapping_add(at));
            }
        }
    }

    /// Writes a panel's pixels to a plane of y.
    ///
    /// # Safety
    /// As [`all_channels`](Self::all_channels).
    #[inline(always)]
    unsafe fn finish<S: Simd, const NV: usize>(&self, acc: [S::V; NV], panel: &Panel, plane: *mut f32) {
        // SAFETY: the caller's; chunks are pixels of the block.
        unsafe {
            if panel.whole {
                for (chunk, acc) in panel.chunks().iter().zip(acc) {
                    store::<S, 1>([acc], self.relu, plane.add(chunk.to), chunk.pixels);
                }
            } else {
                let mut lanes = [0.0; WIDEST];
                store::<S, NV>(acc, self.relu, lanes.as_mut_ptr(), NV * S::W);
                for chunk in panel.chunks() {
                    std::ptr::copy_nonoverlapping(lanes.as_ptr().add(chunk.lane), plane.add(chunk.to), chunk.pixels);
                }
            }
        }
    }
}

/// H channels, of which `left` exist, of a panel; `weight` is that of the first one for operand k0.
///
/// # Safety
/// As [`Task::all_channels`].
#[inline(always)]
unsafe fn tile<S: Simd, const H: usize, const NV: usize>(
    task: &Task<'_>,
    weight: *const f32,
    channel: usize,
    left: usize,
    packed: &PackedPanel,
) {
    let width = 2 * S::W;
    let sums = packed.sums.wrapping_add(channel * width);
    let plane = task.output[0] * task.output[1];
    // SAFETY: the caller's; the weight holds `depth` rows of HALF for each half of a tile.
    unsafe {
        let mut acc = start::<S, H, NV>(task.bias.filter(|_| packed.k0 == 0), channel, left);
        if packed.k0 > 0 {
            for (r, acc) in acc.iter_mut().enumerate() {
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = S::load(sums.add(r * width + v * S::W));
                }
            }
        }
        multiply::<S, H, NV>(&mut acc, packed.k1 - packed.k0, weight, task.depth, packed.operands);
        if packed.k1 < task.depth {
            for (r, acc) in acc.into_iter().enumerate() {
                for (v, acc) in acc.into_iter().enumerate() {
                    S::store(sums.add(r * width + v * S::W), acc);
                }
            }
            return;
        }
        for (r, acc) in acc.into_iter().enumerate() {
            if r < left {
                task.finish::<S, NV>(acc, &packed.panel, task.out.add((channel + r) * plane));
            }
        }
    }
}
