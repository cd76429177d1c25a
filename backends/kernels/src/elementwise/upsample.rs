//! Nearest-neighbour upsampling. Only moves data: the compiler's own vectors are as fast as ours would be.

use rayon::prelude::*;

use super::rows_of;
use crate::error::{check, check_len};
use crate::{Isa, KernelError};

/// Nearest-neighbour upsampling by 2. x `[.., h, w]` with `image` = \[h, w\], y `[.., 2h, 2w]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn upsample_nearest2x(isa: Isa, x: &[f32], image: [usize; 2], y: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "upsample_nearest2x";
    isa.require()?;
    let [h, w] = image;
    let size = h * w;
    check(NAME, size > 0 && x.len().is_multiple_of(size), || {
        format!("{} elements are not images of {h} x {w}", x.len())
    })?;
    check_len(NAME, "y", y.len(), 4 * x.len())?;
    let rows = rows_of(w);
    y.par_chunks_mut(rows * 4 * w).zip(x.par_chunks(rows * w)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(4 * w).zip(x.chunks_exact(w)) {
            let (top, bottom) = y.split_at_mut(2 * w);
            for (pair, x) in top.chunks_exact_mut(2).zip(x) {
                pair.fill(*x);
            }
            bottom.copy_from_slice(top);
        }
    });
    Ok(())
}
