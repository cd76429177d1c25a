//! How a dense convolution is cut into tasks: into blocks of pixels and of output channels.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::TILE;
use crate::tile::WORTH;

/// Floats of a packed panel of pixels and of a tile of weights, which a register tile reads side by side: 28 KiB, so that both stay in a
/// first-level cache.
const NEAR: usize = 7 * 1024;

/// Most pixels of a block.
const PIXELS: usize = 512;

/// Most columns of a block. A block of several short rows reads less beyond its edges than one long row.
const COLUMNS: usize = 64;

/// Columns are cut where vectors of every instruction set end.
const ALIGN: usize = 16;

/// Floats of weights that all pixels of a block are multiplied with before the next are needed: 256 KiB, half of a small second-level cache.
const WEIGHTS: usize = 64 * 1024;

/// Outputs of a task at most where their sums wait in scratch for more operands: 128 KiB.
const OUTPUTS: usize = 32 * 1024;

/// Output channels that could be computed in the time in which an operand is packed.
const PACKING: f64 = 4.0;

/// The same for the time in which a pixel of a channel is copied.
const COPYING: f64 = 3.0;

/// Pixels that could be computed in the time in which a channel's weights come from a shared cache.
const FETCHING: usize = 12;

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sizes {
    /// Images, times groups.
    pub(super) images: usize,
    /// Rows and columns of the output.
    pub(super) output: [usize; 2],
    /// Output channels of a group.
    pub(super) channels: usize,
    /// Operands of an output.
    pub(super) depth: usize,
    /// Of these, how many are multiplied at a time.
    pub(super) step: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
}

/// The sizes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Rows of the output.
    pub(super) rows: usize,
    /// Columns of the output.
    pub(super) columns: usize,
    /// Output channels, a multiple of TILE.
    pub(super) channels: usize,
}

/// How many of `depth` operands are multiplied at a time, with so many floats of pixels and weights for each: whole windows, unless a window alone is more.
pub(super) fn step(depth: usize, window: usize, floats: usize) -> usize {
    let most = NEAR / floats;
    let unit = if window > most { 1 } else { window };
    let blocks = depth.div_ceil(most / unit * unit);
    depth.div_ceil(blocks).next_multiple_of(unit)
}

/// The sizes that promise the least time on the threads of rayon's current pool.
pub(super) fn cut(sizes: Sizes) -> Cut {
    // With many threads a search takes longer than a small convolution, and a model asks for the same few again and again.
    static FOUND: Mutex<BTreeMap<(Sizes, usize), Cut>> = Mutex::new(BTreeMap::new());
    let work = sizes.images * sizes.output[0] * sizes.output[1] * sizes.channels * sizes.depth;
    let threads = rayon::current_num_threads().min(work / WORTH).max(1);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    *found.entry((sizes, threads)).or_insert_with(|| best(sizes, threads))
}

/// The same on `threads` threads: copying pixels and reading weights are work that small tasks repeat; with few tasks a thread
/// waits for the last one, half of one on average even if their number suits the threads, because threads are not equally fast.
fn best(sizes: Sizes, threads: usize) -> Cut {
    let Sizes { images, output: [oh, ow], channels, depth, step, kernel: [kh, kw], stride } = sizes;
    let most = (WEIGHTS / step / TILE * TILE).max(TILE);
    let outputs = if step < depth { OUTPUTS } else { usize::MAX };
    let mut best = (f64::INFINITY, Cut { rows: 1, columns: 1, channels });
    let column_blocks = ow.div_ceil(COLUMNS);
    let columns = if column_blocks == 1 { ow } else { ow.div_ceil(column_blocks).next_multiple_of(ALIGN) };
    for rows in 1..=(PIXELS / columns).clamp(1, oh) {
        let pixels = rows * columns;
        let most = most.min(outputs / pixels / TILE * TILE).max(TILE);
        let copied = ((rows - 1) * stride + kh) * ((columns - 1) * stride + kw);
        let spent = PACKING + COPYING * copied as f64 / (pixels * kh * kw) as f64;
        let fewest = channels.div_ceil(most);
        for parts in fewest..=channels.div_ceil(TILE).min(fewest + 4 * threads) {
            let part = channels.div_ceil(parts).next_multiple_of(TILE);
            let tasks = images * oh.div_ceil(rows) * ow.div_ceil(columns) * channels.div_ceil(part);
            let one = (part.min(channels) as f64 + spent) * (pixels + FETCHING) as f64;
            let waiting = if threads == 1 { 0.0 } else { one / 2.0 };
            let even = tasks as f64 * one / threads as f64 + waiting;
            let time = even.max(tasks.div_ceil(threads) as f64 * one);
            if time < best.0 {
                best = (time, Cut { rows, columns, channels: part });
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::super::HALF;
    use super::*;

    fn sizes(images: usize, output: [usize; 2], channels: usize, depth: usize) -> Sizes {
        Sizes { images, output, channels, depth, step: step(depth, 9, 16 + HALF), kernel: [3, 3], stride: 1 }
    }

    #[test]
    fn blocks_of_depth_are_whole_windows_that_stay_near() {
        for (depth, window, floats) in
            [(27, 9, 22), (576, 9, 22), (8064, 9, 44), (2304, 9, 20), (1792, 1, 22), (49, 49, 14)]
        {
            let step = step(depth, window, floats);
            assert!(
                step > 0 && step.is_multiple_of(window) && step <= depth && step * floats <= NEAR,
                "{depth}: {step}"
            );
        }
        // A window that is more than a block is cut like anything else.
        assert_eq!(step(3 * 1024, 1024, 30), 237);
    }

    #[test]
    fn tasks_are_blocks_that_stay_in_cache() {
        for output in [[1, 1], [1, 5000], [7, 5], [16, 16], [64, 64], [300, 1], [100, 999]] {
            for channels in [1, 3, 8, 64, 900] {
                for threads in [1, 2, 7] {
                    let sizes = sizes(1, output, channels, 2304);
                    let Cut { rows, columns, channels: part } = best(sizes, threads);
                    let words = format!("{sizes:?}: {rows} x {columns}, {part} channels");
                    assert!(
                        (1..=output[0]).contains(&rows)
                            && (1..=output[1].next_multiple_of(ALIGN).min(COLUMNS)).contains(&columns),
                        "{words}"
                    );
                    // Sums wait, because not all operands are multiplied at a time.
                    assert!(sizes.step < 2304 && rows * columns * part <= OUTPUTS, "{words}");
                    assert!(rows * columns <= PIXELS && part % TILE == 0 && part * sizes.step <= WEIGHTS, "{words}");
                }
            }
        }
    }

    #[test]
    fn all_threads_are_busy_with_large_images_and_with_small_ones() {
        for (output, channels) in [([16, 16], 896), ([8, 8], 512), ([64, 64], 256), ([512, 512], 64)] {
            for threads in [2, 4] {
                let Cut { rows, columns, channels: part } = best(sizes(1, output, channels, 576), threads);
                let tasks = output[0].div_ceil(rows) * output[1].div_ceil(columns) * channels.div_ceil(part);
                assert!(tasks.div_ceil(threads) * threads * 4 <= tasks * 5, "{tasks} tasks of {threads} threads");
            }
        }
    }
}
