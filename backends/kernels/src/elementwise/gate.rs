//! Gated units: one half of a row times a function of the other.

use rayon::prelude::*;

use super::{Pointwise, pointwise, rows_of};
use crate::error::{check, check_len};
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::{Isa, KernelError};

/// value·GELU(gate) of (value, gate).
#[derive(Clone, Copy)]
struct Gelu;

impl Pointwise<2> for Gelu {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [value, gate]: [S::V; 2]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::mul(value, math::gelu_erf::<S>(gate)) }
    }
}

struct Rows<'a> {
    x: &'a [f32],
    dim: usize,
    y: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (x, y) in self.x.chunks_exact(2 * self.dim).zip(self.y.chunks_exact_mut(self.dim)) {
            let (value, gate) = x.split_at(self.dim);
            // SAFETY: the caller's.
            unsafe { pointwise::<S, Gelu, 2>(Gelu, [value, gate], y) }
        }
    }
}

/// y = value·GELU(gate), GELU in its erf form. x `[.., 2D]` with D = `dim`, the values before the gates; y `[.., D]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn geglu(isa: Isa, x: &[f32], dim: usize, y: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "geglu";
    isa.require()?;
    check(NAME, dim > 0 && y.len().is_multiple_of(dim), || format!("{} elements are not rows of {dim}", y.len()))?;
    check_len(NAME, "x", x.len(), 2 * y.len())?;
    let chunk = rows_of(dim) * dim;
    y.par_chunks_mut(chunk).zip(x.par_chunks(2 * chunk)).for_each(|(y, x)| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Rows { x, dim, y }) }
    });
    Ok(())
}
