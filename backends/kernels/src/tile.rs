//! The register tile: the inner loop of every f32 product here, and small things that products share.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // each caller states why its pointers are valid

use std::cell::RefCell;

use rayon::prelude::*;

use crate::simd::Simd;

/// Bytes of a cache line, at least.
pub(crate) const LINE: usize = 64;

/// acc\[r\]\[v\] += Σ over kk < k of a(kk, r)·b(kk, v): H rows by NV vectors of columns.
///
/// Four steps in a turn of the loop, in the same order: the loop's own instructions are paid once for four steps. A step of 12 multiply-adds
/// is some 20 instructions, and it is likely the processor's front end that limits it where another thread shares the core.
///
/// # Safety
/// a(kk, r) is readable for one element, b(kk, v) for W.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, const H: usize, const NV: usize>(
    acc: &mut [[S::V; NV]; H],
    k: usize,
    a: impl Fn(usize, usize) -> *const f32,
    b: impl Fn(usize, usize) -> *const f32,
) {
    let whole = k - k % 4;
    for kk in (0..whole).step_by(4) {
        for i in 0..4 {
            step::<S, H, NV>(acc, kk + i, &a, &b);
        }
    }
    for kk in whole..k {
        step::<S, H, NV>(acc, kk, &a, &b);
    }
}

/// Step kk of [`accumulate`]. A function, not a closure: a closure is not compiled with the instruction set's features.
#[inline(always)]
unsafe fn step<S: Simd, const H: usize, const NV: usize>(
    acc: &mut [[S::V; NV]; H],
    kk: usize,
    a: &impl Fn(usize, usize) -> *const f32,
    b: &impl Fn(usize, usize) -> *const f32,
) {
    let mut bv = [S::splat(0.0); NV];
    for (v, bv) in bv.iter_mut().enumerate() {
        *bv = S::load(b(kk, v));
    }
    for (r, acc) in acc.iter_mut().enumerate() {
        let a = S::splat(*a(kk, r));
        for (acc, bv) in acc.iter_mut().zip(bv) {
            *acc = S::fma(a, bv, *acc);
        }
    }
}

/// How the rows of a product are cut into tiles of at most `max` rows: full tiles, then ever smaller ones. Gives
/// (first row, rows); rows is one of 12, 8, 6, 4, 3, 2, 1.
pub(crate) fn heights(rows: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = rows - at;
        let fits = |h: &usize| *h <= left && *h <= max && (!matches!(*h, 3 | 6) || *h == max);
        let h = [12, 8, 6, 4, 3, 2, 1].into_iter().find(fits)?;
        at += h;
        Some((at - h, h))
    })
}

/// Calls `$f::<S, H>(..)` for a height known only at run time. Arms above S's own tile are compiled away.
macro_rules! with_height {
    ($height:expr, $max:expr, $s:ty, $f:ident $(, $extra:tt)* ; $($arg:expr),* $(,)?) => {
        match $height {
            12 if $max >= 12 => $f::<$s, 12 $(, $extra)*>($($arg),*),
            8 if $max >= 8 => $f::<$s, 8 $(, $extra)*>($($arg),*),
            6 if $max == 6 => $f::<$s, 6 $(, $extra)*>($($arg),*),
            4 if $max >= 4 => $f::<$s, 4 $(, $extra)*>($($arg),*),
            3 if $max == 3 => $f::<$s, 3 $(, $extra)*>($($arg),*),
            2 => $f::<$s, 2 $(, $extra)*>($($arg),*),
            1 => $f::<$s, 1 $(, $extra)*>($($arg),*),
            // `heights` gives no other.
            _ => unreachable!(),
        }
    };
}
pub(crate) use with_height;

/// A pointer that tasks may share: each writes its own elements.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: the tasks of a kernel write disjoint elements and read none that another writes; each kernel says why.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(y: &mut [f32]) -> Self {
        Self(y.as_mut_ptr())
    }

    pub(crate) fn ptr(self) -> *mut f32 {
        self.0
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with a scratch buffer of `len` floats of unspecified content, 64-byte aligned and kept by the thread for the
/// next call. Not to be nested, and `f` must not wait for other tasks of the pool (one of them could run here).
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|v| {
        if v.len() < len + 16 {
            *v = vec![0.0; len + 16];
        }
        let skip = v.as_ptr().align_offset(64).min(15);
        f(&mut v[skip..skip + len])
    })
}

/// Multiplications that pay for waking a thread: some 10 µs of them.
pub(crate) const WORTH: usize = 1 << 19;

/// Runs tasks `0..tasks`, of about `work` multiplications in all: on the threads of rayon's current pool if there is enough to
/// do, and here otherwise, because to wake a thread and to wait for it would take longer.
pub(crate) fn spread(tasks: usize, work: usize, run: impl Fn(usize) + Send + Sync) {
    if tasks < 2 || work < 2 * WORTH {
        (0..tasks).for_each(run);
    } else {
        // Small tasks are taken several at a time; no thread gets more at once, because threads are not equally fast.
        let several = (1 << 16) * tasks / work + 1;
        (0..tasks).into_par_iter().with_min_len(several).with_max_len(several).for_each(run);
    }
}
