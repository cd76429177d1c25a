//! Rows as columns: bound by memory, so the compiler's own code for a tile is as fast as ours would be.

use rayon::prelude::*;

use crate::error::{check, check_len};
use crate::{Isa, KernelError};

/// Sides of a tile: a line of the cache, on both sides.
const TILE: usize = 16;

/// Each matrix of x `[B, rows, columns]` turned: y `[B, columns, rows]`. B is what is left of x.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn transpose(isa: Isa, x: &[f32], rows: usize, columns: usize, y: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "transpose";
    isa.require()?;
    let size = rows * columns;
    check(NAME, size > 0 && x.len().is_multiple_of(size), || {
        format!("{} elements are not matrices of {rows} x {columns}", x.len())
    })?;
    check_len(NAME, "y", y.len(), x.len())?;
    for (x, y) in x.chunks_exact(size).zip(y.chunks_exact_mut(size)) {
        y.par_chunks_mut(TILE * rows).enumerate().for_each(|(i, y)| {
            // Some columns of x, which are rows of y; tile by tile along them.
            let (first, width) = (i * TILE, y.len() / rows);
            let mut tile = [[0.0f32; TILE]; TILE];
            for r in (0..rows).step_by(TILE) {
                let count = TILE.min(rows - r);
                for (k, line) in tile[..count].iter_mut().enumerate() {
                    line[..width].copy_from_slice(&x[(r + k) * columns + first..][..width]);
                }
                for (j, y) in y.chunks_exact_mut(rows).enumerate() {
                    for (y, line) in y[r..r + count].iter_mut().zip(&tile) {
                        *y = line[j];
                    }
                }
            }
        });
    }
    Ok(())
}
