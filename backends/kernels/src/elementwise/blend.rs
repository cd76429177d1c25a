//! Combinations of tensors with a factor for each channel or for each row.

use rayon::prelude::*;

use super::{CHUNK, Pointwise, batches, pointwise, rows_of};
use crate::error::{check, check_len};
use crate::simd::{Kernel, Simd, dispatch};
use crate::{Isa, KernelError};

/// x·(1 + scale) + shift of (x, shift, scale).
#[derive(Clone, Copy)]
struct ShiftScale;

impl Pointwise<3> for ShiftScale {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [x, shift, scale]: [S::V; 3]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::fma(x, S::add(scale, S::splat(1.0)), shift) }
    }
}

/// x + gate·y of (x, y, gate).
#[derive(Clone, Copy)]
struct Gated;

impl Pointwise<3> for Gated {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [x, y, gate]: [S::V; 3]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::fma(gate, y, x) }
    }
}

/// a + w·(b − a) of (a, b).
#[derive(Clone, Copy)]
struct Mix(f32);

impl Pointwise<2> for Mix {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [a, b]: [S::V; 2]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::fma(S::splat(self.0), S::sub(b, a), a) }
    }
}

/// Rows of a three-argument function; `row` gives the inputs of row i.
struct Rows3<'a, F, R> {
    f: F,
    dim: usize,
    first: usize,
    row: R,
    y: &'a mut [f32],
}

impl<'x, F: Pointwise<3>, R: Fn(usize) -> [&'x [f32]; 3]> Kernel for Rows3<'_, F, R> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (i, y) in self.y.chunks_exact_mut(self.dim).enumerate() {
            // SAFETY: the caller's.
            unsafe { pointwise::<S, F, 3>(self.f, (self.row)(self.first + i), y) }
        }
    }
}

/// y = x·(1 + scale) + shift. x and y `[B, T, D]` with `[T, D]` = `tokens`, `dim`; shift and scale `[B, 1, D]`.
/// B is what is left of x.
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
    let row = |i: usize| {
        let b = i / tokens * dim;
        [&x[i * dim..][..dim], &shift[b..][..dim], &scale[b..][..dim]]
    };
    rows3(isa, ShiftScale, dim, row, y);
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
    let row = |i: usize| [&x[i * dim..][..dim], &y[i * dim..][..dim], &gate[i / tokens * dim..][..dim]];
    rows3(isa, Gated, dim, row, out);
    Ok(())
}

/// a + b.
#[derive(Clone, Copy)]
struct Sum;

impl Pointwise<2> for Sum {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [a, b]: [S::V; 2]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::add(a, b) }
    }
}

/// a·b.
#[derive(Clone, Copy)]
struct Product;

impl Pointwise<2> for Product {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [a, b]: [S::V; 2]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::mul(a, b) }
    }
}

struct Pairs<'a, F> {
    f: F,
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl<F: Pointwise<2>> Kernel for Pairs<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe { pointwise::<S, F, 2>(self.f, [self.a, self.b], self.out) }
    }
}

fn pairs<F: Pointwise<2>>(
    name: &'static str,
    isa: Isa,
    f: F,
    [a, b]: [&[f32]; 2],
    out: &mut [f32],
) -> Result<(), KernelError> {
    isa.require()?;
    check_len(name, "b", b.len(), a.len())?;
    check_len(name, "out", out.len(), a.len())?;
    out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK)).for_each(|((out, a), b)| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Pairs { f, a, b, out }) }
    });
    Ok(())
}

/// out = a + b, all of one length.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn add(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    pairs("add", isa, Sum, [a, b], out)
}

/// out = a·b, all of one length.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn mul(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
    pairs("mul", isa, Product, [a, b], out)
}

/// Shares rows out over tasks.
fn rows3<'x, F: Pointwise<3>>(
    isa: Isa,
    f: F,
    dim: usize,
    row: impl Fn(usize) -> [&'x [f32]; 3] + Copy + Send + Sync,
    y: &mut [f32],
) {
    let rows = rows_of(dim);
    y.par_chunks_mut(rows * dim).enumerate().for_each(|(i, y)| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Rows3 { f, dim, first: i * rows, row, y }) }
    });
}

/// x + r.
#[derive(Clone, Copy)]
struct Plus(f32);

impl Pointwise<1> for Plus {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [x]: [S::V; 1]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::add(x, S::splat(self.0)) }
    }
}

/// x·r.
#[derive(Clone, Copy)]
struct Times(f32);

impl Pointwise<1> for Times {
    #[inline(always)]
    unsafe fn apply<S: Simd>(self, [x]: [S::V; 1]) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::mul(x, S::splat(self.0)) }
    }
}

/// Rows of a function that each row's own number makes.
struct Rows1<'a, F> {
    f: fn(f32) -> F,
    x: &'a [f32],
    r: &'a [f32],
    dim: usize,
    y: &'a mut [f32],
}

impl<F: Pointwise<1>> Kernel for Rows1<'_, F> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for ((x, r), y) in self.x.chunks_exact(self.dim).zip(self.r).zip(self.y.chunks_exact_mut(self.dim)) {
            // SAFETY: the caller's.
            unsafe { pointwise::<S, F, 1>((self.f)(*r), [x], y) }
        }
    }
}

fn rows1<F: Pointwise<1>>(
    name: &'static str,
    isa: Isa,
    f: fn(f32) -> F,
    (x, r, dim): (&[f32], &[f32], usize),
    y: &mut [f32],
) -> Result<(), KernelError> {
    isa.require()?;
    check(name, dim > 0 && x.len().is_multiple_of(dim), || format!("{} elements are not rows of {dim}", x.len()))?;
    check_len(name, "y", y.len(), x.len())?;
    check_len(name, "r", r.len(), x.len() / dim)?;
    let rows = rows_of(dim);
    let chunk = rows * dim;
    y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).zip(r.par_chunks(rows)).for_each(|((y, x), r)| {
        // SAFETY: `isa` was checked.
        unsafe { dispatch(isa, Rows1 { f, x, r, dim, y }) }
    });
    Ok(())
}

/// y = x + r, one r for each row of `dim` elements (`[B, C, pixels]` and `[B, C]`). x and y `[.., D]` with D = `dim`, r `[..]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn add_rows(isa: Isa, x: &[f32], r: &[f32], dim: usize, y: &mut [f32]) -> Result<(), KernelError> {
    rows1("add_rows", isa, Plus, (x, r, dim), y)
}

/// y = x·r, one r for each row of `dim` elements (`[B, C, pixels]` and `[B, C]`). x and y `[.., D]` with D = `dim`, r `[..]`.
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn mul_rows(isa: Isa, x: &[f32], r: &[f32], dim: usize, y: &mut [f32]) -> Result<(), KernelError> {
    rows1("mul_rows", isa, Times, (x, r, dim), y)
}

struct Lerp<'a> {
    a: &'a [f32],
    b: &'a [f32],
    w: &'a [f32],
    dim: usize,
    out: &'a mut [f32],
}

impl Kernel for Lerp<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let rows = self.a.chunks_exact(self.dim).zip(self.b.chunks_exact(self.dim));
        for (((a, b), w), out) in rows.zip(self.w).zip(self.out.chunks_exact_mut(self.dim)) {
            // SAFETY: the caller's.
            unsafe { pointwise::<S, Mix, 2>(Mix(*w), [a, b], out) }
        }
    }
}

/// out = a + w·(b − a), one w for each row of `dim` elements. a, b and out `[.., D]` with D = `dim` (`[B, T, H, hd]`),
/// w `[.., 1]` (`[B, T, H, 1]`).
///
/// # Errors
/// If a length does not fit, or this machine lacks `isa`.
pub fn lerp(isa: Isa, a: &[f32], b: &[f32], w: &[f32], dim: usize, out: &mut [f32]) -> Result<(), KernelError> {
    const NAME: &str = "lerp";
    isa.require()?;
    check(NAME, dim > 0 && a.len().is_multiple_of(dim), || format!("{} elements are not rows of {dim}", a.len()))?;
    check_len(NAME, "b", b.len(), a.len())?;
    check_len(NAME, "out", out.len(), a.len())?;
    check_len(NAME, "w", w.len(), a.len() / dim)?;
    let rows = rows_of(dim);
    let chunk = rows * dim;
    out.par_chunks_mut(chunk).zip(a.par_chunks(chunk)).zip(b.par_chunks(chunk)).zip(w.par_chunks(rows)).for_each(
        |(((out, a), b), w)| {
            // SAFETY: `isa` was checked.
            unsafe { dispatch(isa, Lerp { a, b, w, dim, out }) }
        },
    );
    Ok(())
}
