//! Averages of squares of pixels: bound by memory, so the compiler's own vectors are as fast as ours would be.

use rayon::prelude::*;

use super::rows_of;
use crate::error::{check, check_len};
use crate::{Isa, KernelError};

/// Means of the squares of four pixels. x `[.., 2h, 2w]`, y `[.., h, w]` with `image` = \[h, w\].
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn average_pool2x(isa: Isa, x: &[f32], image: [usize; 2], y: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "average_pool2x";
    isa.require()?;
    let [h, w] = image;
    let size = h * w;
    check(NAME, size > 0 && y.len().is_multiple_of(size), || {
        format!("{} elements are not images of {h} x {w}", y.len())
    })?;
    check_len(NAME, "x", x.len(), 4 * y.len())?;
    let rows = rows_of(w);
    y.par_chunks_mut(rows * w).zip(x.par_chunks(rows * 4 * w)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(w).zip(x.chunks_exact(4 * w)) {
            let (top, bottom) = x.split_at(2 * w);
            for ((y, a), b) in y.iter_mut().zip(top.chunks_exact(2)).zip(bottom.chunks_exact(2)) {
                *y = 0.25 * (a[0] + a[1] + b[0] + b[1]);
            }
        }
    });
    Ok(())
}
