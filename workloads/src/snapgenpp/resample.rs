//! Between token grids: 2×2 merge and 2×2 split, within rank 5.

use ditbench_graph::{GraphBuilder, ValueId};

/// `[B, rows·cols, D] → [B, rows/2·cols/2, 4·D]`: each 2×2 of tokens side by side (row by row).
pub(super) fn merge2x2(b: &mut GraphBuilder, x: ValueId, (rows, cols): (usize, usize)) -> ValueId {
    let (batch, width) = (b.shape(x)[0], b.shape(x)[2]);
    let x = b.reshape("pairs", x, &[batch * rows / 2, 2, cols / 2, 2 * width]);
    let x = b.transpose("gather", x, &[0, 2, 1, 3]);
    b.reshape("quads", x, &[batch, rows / 2 * (cols / 2), 4 * width])
}

/// `[B, rows·cols, 4·D] → [B, 2·rows·2·cols, D]`: the inverse of [`merge2x2`].
pub(super) fn split2x2(b: &mut GraphBuilder, x: ValueId, (rows, cols): (usize, usize)) -> ValueId {
    let (batch, width) = (b.shape(x)[0], b.shape(x)[2] / 4);
    let x = b.reshape("quads", x, &[batch * rows, cols, 2, 2 * width]);
    let x = b.transpose("scatter", x, &[0, 2, 1, 3]);
    b.reshape("tokens", x, &[batch, 4 * rows * cols, width])
}
