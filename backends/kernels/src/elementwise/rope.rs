//! Rotary position embedding.

use rayon::prelude::*;

use super::{Pointwise, batches, pointwise, rows_of};
use crate::error::{check, check_len};
use crate::simd::{Kernel, Simd, dispatch};
use crate::{Isa, KernelError};

/// a·cos − b·sin of (a, b, cos, sin).
#[derive(Clone, Copy)]
struct Real;

impl Pointwise<4> for Real {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [a, b, cos, sin]: [S::V; 4]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::sub(S::mul(a, cos), S::mul(b, sin)) }
    }
}

/// b·cos + a·sin of (a, b, cos, sin).
#[derive(Clone, Copy)]
struct Imaginary;

impl Pointwise<4> for Imaginary {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [a, b, cos, sin]: [S::V; 4]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::fma(b, cos, S::mul(a, sin)) }
    }
}

struct Rotate<'a> {
    x: &'a [f32],
    /// Index of the first (batch, token).
    first: usize,
    tokens: usize,
    heads: usize,
    half: usize,
    cos: &'a [f32],
    sin: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Rotate<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let half = self.half;
        let heads = self.x.chunks_exact(2 * half).zip(self.y.chunks_exact_mut(2 * half));
        for (i, (x, y)) in heads.enumerate() {
            let at = (self.first + i / self.heads) % self.tokens * half;
            let (cos, sin) = (&self.cos[at..][..half], &self.sin[at..][..half]);
            let (a, b) = x.split_at(half);
            let (re, im) = y.split_at_mut(half);
            // SAFETY: the caller's.
            unsafe {
                pointwise::<S, Real, 4>(Real, [a, b, cos, sin], re);
                pointwise::<S, Imaginary, 4>(Imaginary, [a, b, cos, sin], im);
            }
        }
    }
}

/// Rotates the pairs (i, i + hd/2) of each head: y\[i\] = x\[i\]·cos − x\[i + hd/2\]·sin,
/// y\[i + hd/2\] = x\[i + hd/2\]·cos + x\[i\]·sin. x and y `[B, T, H, hd]`, cos and sin `[T, hd/2]`. B is what is left of x.
///
/// # Errors
/// If hd is odd, a length does not fit, or this machine lacks `isa`.
#[allow(clippy::too_many_arguments)]
pub fn rope(
    isa: Isa,
    x: &[f32],
    tokens: usize,
    heads: usize,
    head_dim: usize,
    cos: &[f32],
    sin: &[f32],
    y: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "rope";
    isa.require()?;
    check(NAME, head_dim.is_multiple_of(2), || format!("{head_dim} channels of a head do not make pairs"))?;
    batches(NAME, x, tokens, heads * head_dim)?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "cos", cos.len(), tokens * head_dim / 2)?;
    check_len(NAME, "sin", sin.len(), tokens * head_dim / 2)?;
    let dim = heads * head_dim;
    let rows = rows_of(dim);
    y.par_chunks_mut(rows * dim).zip(x.par_chunks(rows * dim)).enumerate().for_each(|(i, (y, x))| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Rotate { x, first: i * rows, tokens, heads, half: head_dim / 2, cos, sin, y }) }
    });
    Ok(())
}
