//! Averages over an image.

use crate::Array;

/// `[B, C, 2h, 2w] → [B, C, h, w]`: the mean of each square of four pixels.
pub(super) fn average_pool2x(x: &Array) -> Array {
    let [batch, channels, rows, cols] = x.four();
    let (h, w) = (rows / 2, cols / 2);
    let mut data = Vec::with_capacity(x.data.len() / 4);
    for plane in x.data.chunks_exact(rows * cols) {
        for r in 0..h {
            let at = |dr: usize, c: usize| plane[(2 * r + dr) * cols + c];
            data.extend((0..w).map(|c| (at(0, 2 * c) + at(0, 2 * c + 1) + at(1, 2 * c) + at(1, 2 * c + 1)) / 4.0));
        }
    }
    Array { shape: vec![batch, channels, h, w], data }
}
