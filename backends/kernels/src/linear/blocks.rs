//! How a product is cut into tasks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::tile::WORTH;

/// Columns of a panel.
pub(super) const PANEL: usize = 16;

/// The sizes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Rows of x, at most [`ROWS`] and so many that a chunk of them has at most [`PACKED`] elements.
    pub(super) rows: usize,
    /// Panels of the weight, a multiple of 2 unless it is all of them.
    pub(super) panels: usize,
}

/// How much of K a task packs of its rows before it multiplies, a multiple of every block of K: all of it up to 1024, so that outputs are written
/// once; of more, less of more rows, so that weights come by less often.
pub(super) fn chunk(k: usize) -> usize {
    if k <= 1024 { 1024 } else { 512 }
}

/// Rows of a task at most.
const ROWS: usize = 192;

/// Elements of a task's rows at most, a chunk of K of each: 432 KiB of floats, which stay in the second-level cache while the panels pass.
/// With 108 rows, 1024 are an even number of tasks.
const PACKED: usize = 108 * 1024;

/// Outputs of a task at most where K is more than one chunk: 384 KiB, so that they wait in the second-level cache for the next.
const OUTPUTS: usize = 96 * 1024;

/// Every tile's height divides this.
const HEIGHT: usize = 12;

/// Rows that could be multiplied in the time in which a panel is unpacked.
const UNPACKING: usize = 6;

/// The sizes that promise the least time on the threads of rayon's current pool. In the time in which a row is packed, `packing` columns
/// could be multiplied.
pub(super) fn blocks([m, n, k]: [usize; 3], packing: usize) -> Blocks {
    // With many threads a search takes longer than a small product, and a model asks for the same few again and again.
    static FOUND: Mutex<BTreeMap<[usize; 6], Blocks>> = Mutex::new(BTreeMap::new());
    let most = (PACKED / k.clamp(1, chunk(k)) / HEIGHT * HEIGHT).min(ROWS);
    let (panels, outputs) = (n.div_ceil(PANEL), if k > chunk(k) { OUTPUTS } else { usize::MAX });
    let threads = rayon::current_num_threads().min(m * n * k / WORTH).max(1);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    *found
        .entry([m, most, panels, outputs, packing, threads])
        .or_insert_with(|| best([m, most], [panels, outputs], packing, threads))
}

/// The same for m rows, `most` and `outputs` to a task at most, on `threads` threads: packing and unpacking are work that small tasks repeat;
/// with few tasks a thread waits for the last one, half of one on average even if their number suits the threads, because threads are
/// not equally fast.
fn best([m, most]: [usize; 2], [panels, outputs]: [usize; 2], packing: usize, threads: usize) -> Blocks {
    let mut best = (f64::INFINITY, Blocks { rows: m, panels });
    for row_tasks in m.div_ceil(most)..=m.div_ceil(HEIGHT).min(m.div_ceil(most) + 4 * threads) {
        let rows = m.div_ceil(row_tasks).next_multiple_of(HEIGHT).min(most);
        // Columns are rounded up to pairs of panels.
        let widest = (outputs / rows / PANEL / 2 * 2).max(2);
        let fewest = panels.div_ceil(widest);
        for col_tasks in fewest..=(4 * threads).min(panels.div_ceil(2)).max(fewest) {
            let columns = panels.div_ceil(col_tasks).next_multiple_of(2).min(panels);
            let tasks = m.div_ceil(rows) * panels.div_ceil(columns);
            let one = ((rows.min(m) + UNPACKING) * (columns * PANEL + packing)) as f64;
            let waiting = if threads == 1 { 0.0 } else { one / 2.0 };
            let even = (tasks * one as usize) as f64 / threads as f64 + waiting;
            let time = even.max(tasks.div_ceil(threads) as f64 * one);
            if time < best.0 {
                best = (time, Blocks { rows: rows.min(m), panels: columns });
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_whole_tiles_whole_pairs_of_panels_and_outputs_that_stay_in_cache() {
        for m in [1, 5, 12, 156, 191, 193, 1024, 5000] {
            for panels in [1, 2, 3, 48, 192, 256] {
                for (threads, most, outputs) in [(1, ROWS, OUTPUTS), (2, ROWS, OUTPUTS), (7, PACKED / 1024, usize::MAX)]
                {
                    let found = best([m, most], [panels, outputs], 24, threads);
                    let Blocks { rows, panels: columns } = found;
                    let words = format!("{m} rows, {panels} panels, {threads} threads: {found:?}");
                    assert!((1..=most.min(m)).contains(&rows) && (rows % HEIGHT == 0 || rows == m), "{words}");
                    assert!((1..=panels).contains(&columns) && (columns % 2 == 0 || columns == panels), "{words}");
                    assert!(columns <= 2 || rows * columns * PANEL <= outputs, "{words}");
                }
            }
        }
    }

    #[test]
    fn large_products_keep_all_threads_busy_and_small_ones_stay_here() {
        for threads in [2, 7] {
            let Blocks { rows, panels } = best([1024, PACKED / 1024], [192, usize::MAX], 64, threads);
            let tasks = 1024usize.div_ceil(rows) * 192usize.div_ceil(panels);
            assert!(tasks.div_ceil(threads) * threads * 8 <= tasks * 9, "{tasks} tasks of {threads} threads");
        }
        assert_eq!(blocks([16, 64, 64], 24), Blocks { rows: 16, panels: 4 });
    }
}
