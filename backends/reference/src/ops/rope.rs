//! Rotary position embedding over a grid of tokens.

use ditbench_graph::rope::tables;

use crate::Array;

/// x `[B, T, H, hd]`, T = rows·cols in raster order: the pair (x[i], x[i + hd/2]) turns by its angle a to
/// (x[i]·cos a − x[i + hd/2]·sin a, x[i]·sin a + x[i + hd/2]·cos a).
///
/// The tables are the f32 ones that every backend reads: their rounding is part of the definition.
pub(super) fn rope(x: &Array, rows: usize, cols: usize, theta: f32) -> Array {
    let [_, tokens, heads, width] = x.four();
    let half = width / 2;
    let (cos, sin) = tables(rows, cols, width, theta);
    let mut y = x.clone();
    for (position, head) in y.data.chunks_exact_mut(width).enumerate() {
        let token = position / heads % tokens;
        let (first, second) = head.split_at_mut(half);
        for (i, (a, b)) in first.iter_mut().zip(second).enumerate() {
            let (c, s) = (f64::from(cos[token * half + i]), f64::from(sin[token * half + i]));
            (*a, *b) = (*a * c - *b * s, *a * s + *b * c);
        }
    }
    y
}
