//! Normalisation of rows: layer norm, plain and with the modulation of an adaptive block in the same pass; root-mean-square norm; and of
//! groups of channels.

use rayon::prelude::*;

use super::{Pointwise, batches, pointwise, rows_of};
use crate::error::{check, check_len};
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::{Isa, KernelError};

/// What follows the normalisation of a row: x̂·(one + factor) + offset.
#[derive(Clone, Copy)]
struct Affine<'a> {
    /// 0 for a weight, 1 for a scale of (1 + scale).
    one: f32,
    factor: Option<&'a [f32]>,
    offset: Option<&'a [f32]>,
}

struct Norm<'a> {
    x: &'a [f32],
    dim: usize,
    eps: f32,
    /// Index of the first row.
    first: usize,
    /// Whether the mean is taken away first.
    centred: bool,
    /// Rows that share a part of `factor` and `offset`: usize::MAX if all do.
    tokens: usize,
    affine: Affine<'a>,
    y: &'a mut [f32],
}

impl Kernel for Norm<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (i, (x, y)) in self.x.chunks_exact(self.dim).zip(self.y.chunks_exact_mut(self.dim)).enumerate() {
            let at = (self.first + i) / self.tokens * self.dim;
            let part = |p: Option<&'_ [f32]>| p.map_or(std::ptr::null(), |p| p[at..][..x.len()].as_ptr());
            let (factor, offset) = (part(self.affine.factor), part(self.affine.offset));
            // SAFETY: rows and parts have `dim` elements.
            unsafe { row::<S>(x, self.centred, self.eps, self.affine.one, factor, offset, y) }
        }
    }
}

/// Mean (0 unless `centred`) and 1/√(variance + eps). The mean first, then the variance of what is left: no cancellation when the mean
/// is large.
///
/// # Safety
/// As [`Kernel::run`].
#[inline(always)]
unsafe fn moments<S: Simd>(x: &[f32], centred: bool, eps: f32) -> (f32, f32) {
    let len = x.len();
    // Four sums for the sake of latency.
    let step = 4 * S::W;
    // SAFETY: full steps and vectors end at or before len, the last reads what is left.
    unsafe {
        let zero = S::splat(0.0);
        let mut sums = [zero; 4];
        let mut i = 0;
        while centred && i + step <= len {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = S::add(*sum, S::load(x.as_ptr().add(i + v * S::W)));
            }
            i += step;
        }
        while centred && i < len {
            sums[0] = S::add(sums[0], load::<S>(x.as_ptr().add(i), len - i));
            i += S::W;
        }
        let mean = S::sum(S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3]))) / len as f32;
        let mean_v = S::splat(mean);
        let mut squares = [zero; 4];
        i = 0;
        while i + step <= len {
            for (v, sum) in squares.iter_mut().enumerate() {
                let d = S::sub(S::load(x.as_ptr().add(i + v * S::W)), mean_v);
                *sum = S::fma(d, d, *sum);
            }
            i += step;
        }
        while i + S::W <= len {
            let d = S::sub(S::load(x.as_ptr().add(i)), mean_v);
            squares[0] = S::fma(d, d, squares[0]);
            i += S::W;
        }
        let mut square = S::sum(S::add(S::add(squares[0], squares[1]), S::add(squares[2], squares[3])));
        for x in &x[i..] {
            square += (x - mean) * (x - mean);
        }
        (mean, 1.0 / (square / len as f32 + eps).sqrt())
    }
}

/// One row.
///
/// # Safety
/// As [`Kernel::run`]; factor and offset are null or as long as x; y is as long as x.
#[inline(always)]
unsafe fn row<S: Simd>(
    x: &[f32],
    centred: bool,
    eps: f32,
    one: f32,
    factor: *const f32,
    offset: *const f32,
    y: &mut [f32],
) {
    let len = x.len();
    // SAFETY: full vectors end at or before len, the last reads and writes what is left.
    unsafe {
        let (mean, inverse) = moments::<S>(x, centred, eps);
        let (mean_v, inverse) = (S::splat(mean), S::splat(inverse));
        let mut i = 0;
        while i < len {
            let left = len - i;
            let mut v = S::mul(S::sub(load::<S>(x.as_ptr().add(i), left), mean_v), inverse);
            if !factor.is_null() {
                v = S::mul(v, S::add(load::<S>(factor.add(i), left), S::splat(one)));
            }
            if !offset.is_null() {
                v = S::add(v, load::<S>(offset.add(i), left));
            }
            if left >= S::W {
                S::store(y.as_mut_ptr().add(i), v)
            } else {
                S::store_n(y.as_mut_ptr().add(i), v, left)
            }
            i += S::W;
        }
    }
}

/// A vector, or the `left` < W elements that there are and zeros.
///
/// # Safety
/// p is readable for the smaller of W and `left`.
#[inline(always)]
unsafe fn load<S: Simd>(p: *const f32, left: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if left >= S::W { S::load(p) } else { S::load_n(p, left) } }
}

/// Shares rows out over tasks.
#[allow(clippy::too_many_arguments)]
fn norm(isa: Isa, x: &[f32], dim: usize, centred: bool, eps: f32, tokens: usize, affine: Affine<'_>, y: &mut [f32]) {
    let rows = rows_of(dim);
    y.par_chunks_mut(rows * dim).zip(x.par_chunks(rows * dim)).enumerate().for_each(|(i, (y, x))| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Norm { x, dim, eps, centred, first: i * rows, tokens, affine, y }) }
    });
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
    check(NAME, dim > 0 && x.len().is_multiple_of(dim), || format!("{} elements are not rows of {dim}", x.len()))?;
    check_len(NAME, "y", y.len(), x.len())?;
    for (argument, given) in [("weight", weight), ("bias", bias)] {
        if let Some(given) = given {
            check_len(NAME, argument, given.len(), dim)?;
        }
    }
    norm(isa, x, dim, true, eps, usize::MAX, Affine { one: 0.0, factor: weight, offset: bias }, y);
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
    norm(isa, x, dim, true, eps, tokens, Affine { one: 1.0, factor: Some(scale), offset: Some(shift) }, y);
    Ok(())
}

/// y = x/√(mean of x² + eps)·weight over the last axis. x and y `[.., D]` with D = `dim`, weight `[D]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn rms_norm(isa: Isa, x: &[f32], dim: usize, weight: &[f32], eps: f32, y: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "rms_norm";
    isa.require()?;
    check(NAME, dim > 0 && x.len().is_multiple_of(dim), || format!("{} elements are not rows of {dim}", x.len()))?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "weight", weight.len(), dim)?;
    norm(isa, x, dim, false, eps, usize::MAX, Affine { one: 0.0, factor: Some(weight), offset: None }, y);
    Ok(())
}

/// (x − mean)·factor + offset, then x·sigmoid(x) of that if `silu`.
#[derive(Clone, Copy)]
struct Channel {
    mean: f32,
    factor: f32,
    offset: f32,
    silu: bool,
}

impl Pointwise<1> for Channel {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [x]: [S::V; 1]) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            let x = S::fma(S::sub(x, S::splat(self.mean)), S::splat(self.factor), S::splat(self.offset));
            if self.silu { math::silu::<S>(x) } else { x }
        }
    }
}

/// One group of channels of an image.
struct Group<'a> {
    x: &'a [f32],
    pixels: usize,
    eps: f32,
    weight: &'a [f32],
    bias: &'a [f32],
    silu: bool,
    y: &'a mut [f32],
}

impl Kernel for Group<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        let (mean, inverse) = unsafe { moments::<S>(self.x, true, self.eps) };
        let channels = self.x.chunks_exact(self.pixels).zip(self.y.chunks_exact_mut(self.pixels));
        for ((x, y), (weight, offset)) in channels.zip(self.weight.iter().zip(self.bias)) {
            let channel = Channel { mean, factor: inverse * weight, offset: *offset, silu: self.silu };
            // SAFETY: the caller's.
            unsafe { pointwise::<S, Channel, 1>(channel, [x], y) }
        }
    }
}

/// y = (x − mean)/√(variance + eps) over each of `groups` groups of neighbouring channels of an image, then ·weight + bias of each channel, then
/// v·sigmoid(v) of that if `silu`. x and y `[B, C, pixels]` with C = weight's length, a multiple of `groups`. B is what is left of x.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
#[allow(clippy::too_many_arguments)]
pub fn group_norm(
    isa: Isa,
    x: &[f32],
    pixels: usize,
    groups: usize,
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    silu: bool,
    y: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "group_norm";
    isa.require()?;
    let channels = weight.len();
    check(NAME, groups > 0 && channels > 0 && channels.is_multiple_of(groups), || {
        format!("{groups} groups do not divide {channels} channels")
    })?;
    check(NAME, pixels > 0 && x.len().is_multiple_of(channels * pixels), || {
        format!("{} elements are not images of {channels} channels of {pixels} pixels", x.len())
    })?;
    check_len(NAME, "y", y.len(), x.len())?;
    check_len(NAME, "bias", bias.len(), channels)?;
    let of_group = channels / groups;
    let len = of_group * pixels;
    let least = ((1 << 14) / len).max(1);
    y.par_chunks_mut(len).zip(x.par_chunks(len)).enumerate().with_min_len(least).for_each(|(i, (y, x))| {
        let at = i % groups * of_group;
        let (weight, bias) = (&weight[at..at + of_group], &bias[at..at + of_group]);
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Group { x, pixels, eps, weight, bias, silu, y }) }
    });
    Ok(())
}
