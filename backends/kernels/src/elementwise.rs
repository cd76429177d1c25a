//! Element-wise kernels and normalisation.

use rayon::prelude::*;

use crate::error::{check, check_len};
use crate::{Isa, KernelError};

pub(crate) fn gelu_tanh_one(x: f32) -> f32 {
    let u = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    x / (1.0 + (-2.0 * u).exp())
}

fn erf_one(x: f32) -> f32 {
    // Abramowitz and Stegun 7.1.26.
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
    (1.0 - p * (-x * x).exp()).copysign(x)
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = $f:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// If x and y differ in length, or this machine lacks `isa`.
        pub fn $name(isa: Isa, x: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
            isa.require()?;
            check_len(stringify!($name), "y", y.len(), x.len())?;
            let f: fn(f32) -> f32 = $f;
            y.par_chunks_mut(4096).zip(x.par_chunks(4096)).for_each(|(y, x)| y.iter_mut().zip(x).for_each(|(y, x)| *y = f(*x)));
            Ok(())
        }
    )*};
}

unary! {
    /// y = 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))). x and y of one shape.
    gelu_tanh = gelu_tanh_one;
    /// y = 0.5·x·(1 + erf(x/√2)). x and y of one shape.
    gelu_erf = |x| 0.5 * x * (1.0 + erf_one(x * std::f32::consts::FRAC_1_SQRT_2));
    /// y = x·sigmoid(1.702·x), CLIP's approximation of GELU. x and y of one shape.
    quick_gelu = |x| x / (1.0 + (-1.702 * x).exp());
    /// y = x·sigmoid(x). x and y of one shape.
    silu = |x| x / (1.0 + (-x).exp());
    /// y = max(x, 0). x and y of one shape.
    relu = |x| x.max(0.0);
    /// y = 1/(1 + e^−x). x and y of one shape.
    sigmoid = |x| 1.0 / (1.0 + (-x).exp());
    /// y = tanh x. x and y of one shape.
    tanh = f32::tanh;
}

fn normalise(x: &[f32], eps: f32, y: &mut [f32]) {
    let d = x.len() as f32;
    let mean = x.iter().sum::<f32>() / d;
    let var = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / d;
    let r = 1.0 / (var + eps).sqrt();
    y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * r);
}

/// y = (x − mean)/√(variance + eps)·weight + bias over the last axis of D elements; the variance is divided by D.
/// x and y `[.., D]` with D = `dim`, weight and bias `[D]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn layer_norm(
    isa: Isa,
    x: &[f32],
    dim: usize,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    eps: f32,
    y: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "layer_norm";
    isa.require()?;
    check(NAME, dim > 0 && x.len() % dim == 0, || format!("{} elements are not rows of {dim}", x.len()))?;
    check_len(NAME, "y", y.len(), x.len())?;
    for (argument, given) in [("weight", weight), ("bias", bias)] {
        if let Some(given) = given {
            check_len(NAME, argument, given.len(), dim)?;
        }
    }
    y.par_chunks_mut(dim).zip(x.par_chunks(dim)).for_each(|(y, x)| {
        normalise(x, eps, y);
        if let Some(w) = weight {
            y.iter_mut().zip(w).for_each(|(y, w)| *y *= w);
        }
        if let Some(b) = bias {
            y.iter_mut().zip(b).for_each(|(y, b)| *y += b);
        }
    });
    Ok(())
}

/// y = x̂·(1 + scale) + shift with x̂ = (x − mean)/√(variance + eps) over the last axis: adaptive layer norm in one pass.
/// x and y `[B, T, D]` with `[T, D]` = `tokens`, `dim`; shift and scale `[B, 1, D]`. B is what is left of x.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
#[allow(clippy::too_many_arguments)]
pub fn layer_norm_modulate(
    isa: Isa,
    x: &[f32],
    tokens: usize,
    dim: usize,
    shift: &[f32],
    scale: &[f32],
    eps: f32,
    y: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "layer_norm_modulate";
    isa.require()?;
    let batch = batches(NAME, x, tokens, dim)?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "shift", shift.len(), batch * dim)?;
    check_len(NAME, "scale", scale.len(), batch * dim)?;
    y.par_chunks_mut(dim).zip(x.par_chunks(dim)).enumerate().for_each(|(row, (y, x))| {
        let at = row / tokens * dim;
        normalise(x, eps, y);
        for ((y, scale), shift) in y.iter_mut().zip(&scale[at..]).zip(&shift[at..]) {
            *y = *y * (1.0 + scale) + shift;
        }
    });
    Ok(())
}

/// y = x·(1 + scale) + shift. x and y `[B, T, D]` with `[T, D]` = `tokens`, `dim`; shift and scale `[B, 1, D]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn modulate(
    isa: Isa,
    x: &[f32],
    tokens: usize,
    dim: usize,
    shift: &[f32],
    scale: &[f32],
    y: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "modulate";
    isa.require()?;
    let batch = batches(NAME, x, tokens, dim)?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "shift", shift.len(), batch * dim)?;
    check_len(NAME, "scale", scale.len(), batch * dim)?;
    y.par_chunks_mut(dim).zip(x.par_chunks(dim)).enumerate().for_each(|(row, (y, x))| {
        let at = row / tokens * dim;
        for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(&scale[at..]).zip(&shift[at..]) {
            *y = x * (1.0 + scale) + shift;
        }
    });
    Ok(())
}

/// out = x + gate·y. x, y and out `[B, T, D]` with `[T, D]` = `tokens`, `dim`; gate `[B, 1, D]`. B is what is left of x.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn gated_add(
    isa: Isa,
    x: &[f32],
    y: &[f32],
    gate: &[f32],
    tokens: usize,
    dim: usize,
    out: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "gated_add";
    isa.require()?;
    let batch = batches(NAME, x, tokens, dim)?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "out", out.len(), x.len())?;
    check_len(NAME, "gate", gate.len(), batch * dim)?;
    out.par_chunks_mut(dim).zip(x.par_chunks(dim)).zip(y.par_chunks(dim)).enumerate().for_each(
        |(row, ((out, x), y))| {
            let at = row / tokens * dim;
            for (((out, x), y), g) in out.iter_mut().zip(x).zip(y).zip(&gate[at..]) {
                *out = x + g * y;
            }
        },
    );
    Ok(())
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
    check(NAME, head_dim % 2 == 0, || format!("{head_dim} channels of a head do not make pairs"))?;
    batches(NAME, x, tokens, heads * head_dim)?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "cos", cos.len(), tokens * head_dim / 2)?;
    check_len(NAME, "sin", sin.len(), tokens * head_dim / 2)?;
    let half = head_dim / 2;
    y.par_chunks_mut(head_dim).zip(x.par_chunks(head_dim)).enumerate().for_each(|(row, (y, x))| {
        let at = row / heads % tokens * half;
        for i in 0..half {
            let (c, s) = (cos[at + i], sin[at + i]);
            y[i] = x[i] * c - x[i + half] * s;
            y[i + half] = x[i + half] * c + x[i] * s;
        }
    });
    Ok(())
}

/// Nearest-neighbour upsampling by 2. x `[.., h, w]` with `image` = \[h, w\], y `[.., 2h, 2w]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn upsample_nearest2x(isa: Isa, x: &[f32], image: [usize; 2], y: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "upsample_nearest2x";
    isa.require()?;
    let [h, w] = image;
    check(NAME, h * w > 0 && x.len() % (h * w) == 0, || format!("{} elements are not images of {h} x {w}", x.len()))?;
    check_len(NAME, "y", y.len(), 4 * x.len())?;
    y.par_chunks_mut(4 * w).zip(x.par_chunks(w)).for_each(|(y, x)| {
        let (top, bottom) = y.split_at_mut(2 * w);
        for (i, x) in x.iter().enumerate() {
            top[2 * i] = *x;
            top[2 * i + 1] = *x;
        }
        bottom.copy_from_slice(top);
    });
    Ok(())
}

/// out = a + w·(b − a), one w for each row of `dim` elements. a, b and out `[.., D]` with D = `dim` (`[B, T, H, hd]`),
/// w `[.., 1]` (`[B, T, H, 1]`).
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn lerp(isa: Isa, a: &[f32], b: &[f32], w: &[f32], dim: usize, out: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "lerp";
    isa.require()?;
    check(NAME, dim > 0 && a.len() % dim == 0, || format!("{} elements are not rows of {dim}", a.len()))?;
    check_len(NAME, "b", b.len(), a.len())?;
    check_len(NAME, "out", out.len(), a.len())?;
    check_len(NAME, "w", w.len(), a.len() / dim)?;
    out.par_chunks_mut(dim).zip(a.par_chunks(dim)).zip(b.par_chunks(dim)).zip(w).for_each(|(((o, a), b), w)| {
        for ((o, a), b) in o.iter_mut().zip(a).zip(b) {
            *o = a + w * (b - a);
        }
    });
    Ok(())
}

/// Checks that x is `[B, tokens, dim]`; gives B.
fn batches(kernel: &'static str, x: &[f32], tokens: usize, dim: usize) -> Result<usize, KernelError> {
    let size = tokens * dim;
    check(kernel, size > 0 && x.len() % size == 0, || {
        format!("{} elements are not [B, T, D] with T = {tokens}, D = {dim}", x.len())
    })?;
    Ok(x.len() / size)
}
