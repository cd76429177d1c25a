//! Kernels that are bound by memory: activations, normalisation, modulation, gates, gated units, rotary embedding, upsampling, pooling,
//! and turning matrices.
//!
//! Vectors along the last axis, tasks along the others. Each is one pass over its inputs; an activation may also be
//! asked of a linear as its [`Epilogue`](crate::linear::Epilogue), which saves the pass.

mod activation;
mod blend;
mod gate;
mod norm;
mod pool;
mod rope;
mod transpose;
mod upsample;

pub use activation::{gelu_erf, gelu_tanh, quick_gelu, relu, relu6, sigmoid, silu, tanh};
pub use blend::{add, add_rows, gated_add, lerp, modulate, mul, mul_rows};
pub use gate::geglu;
pub use norm::{group_norm, layer_norm, layer_norm_modulate, rms_norm};
pub use pool::average_pool2x;
pub use rope::rope;
pub use transpose::transpose;
pub use upsample::upsample_nearest2x;

use crate::KernelError;
use crate::error::check;
use crate::simd::Simd;

/// Elements of a task: enough to pay for its start, few enough to share out small tensors.
const CHUNK: usize = 8192;

/// Rows of `dim` elements that make a task.
fn rows_of(dim: usize) -> usize {
    (CHUNK / dim.max(1)).max(1)
}

/// Checks that x is `[B, tokens, dim]`; gives B.
fn batches(kernel: &'static str, x: &[f32], tokens: usize, dim: usize) -> Result<usize, KernelError> {
    let size = tokens * dim;
    check(kernel, size > 0 && x.len().is_multiple_of(size), || {
        format!("{} elements are not [B, T, D] with T = {tokens}, D = {dim}", x.len())
    })?;
    Ok(x.len() / size)
}

/// A function of one element of each of N inputs.
trait Pointwise<const N: usize>: Copy + Send + Sync {
    /// # Safety
    /// As [`crate::simd::Kernel::run`].
    unsafe fn apply<S: Simd>(self, x: [S::V; N]) -> S::V;
}

/// y\[i\] = f(x\[0\]\[i\], ..). All of one length.
///
/// # Safety
/// As [`crate::simd::Kernel::run`].
#[inline(always)]
unsafe fn pointwise<S: Simd, F: Pointwise<N>, const N: usize>(f: F, x: [&[f32]; N], y: &mut [f32]) {
    let len = y.len();
    assert!(x.iter().all(|x| x.len() == len));
    let mut i = 0;
    // SAFETY: i + W ≤ len in the first loop, and fewer than W elements are left after it.
    unsafe {
        while i + S::W <= len {
            let mut v = [S::splat(0.0); N];
            for (v, x) in v.iter_mut().zip(&x) {
                *v = S::load(x.as_ptr().add(i));
            }
            S::store(y.as_mut_ptr().add(i), f.apply::<S>(v));
            i += S::W;
        }
        if i < len {
            let mut v = [S::splat(0.0); N];
            for (v, x) in v.iter_mut().zip(&x) {
                *v = S::load_n(x.as_ptr().add(i), len - i);
            }
            S::store_n(y.as_mut_ptr().add(i), f.apply::<S>(v), len - i);
        }
    }
}
