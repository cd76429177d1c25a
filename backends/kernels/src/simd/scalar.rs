//! Portable vectors: arrays of 4, which the compiler maps to the target's baseline (SSE2 on x86-64).
//! The reference that the other instruction sets are tested against.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use super::{Format, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type V = [f32; 4];

#[inline(always)]
fn zip(a: V, b: V, f: impl Fn(f32, f32) -> f32) -> V {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl Simd for Scalar {
    type V = V;
    type D = [[u8; 4]; 4];
    /// Signed bytes.
    type I = [[u8; 4]; 4];
    const W: usize = 4;
    const MR: usize = 4;
    const TV: usize = 2;
    const TR: usize = 2;
    const IR: usize = 2;

    #[inline(always)]
    unsafe fn splat(x: f32) -> V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> V {
        p.cast::<V>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: V) {
        p.cast::<V>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn add(a: V, b: V) -> V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(a: V, b: V) -> V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(a: V, b: V) -> V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(a: V, b: V) -> V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn fma(a: V, b: V, c: V) -> V {
        // Two roundings: a library call for a fused one would be a hundred times slower on a baseline x86-64.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(a: V, b: V) -> V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(a: V, b: V) -> V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn round(a: V) -> V {
        a.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn scale2(v: V, n: V) -> V {
        zip(v, n, |v, n| v * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn exponent(p: V, t: V) -> V {
        zip(p, t, |p, t| p * f32::from_bits(t.to_bits() << 23))
    }
    #[inline(always)]
    unsafe fn select_lt(a: V, b: V, x: V, y: V) -> V {
        std::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    unsafe fn dot4(acc: Self::D, w: Self::D, a: Self::D) -> Self::D {
        std::array::from_fn(|c| {
            let sum: i32 = (0..4).map(|t| i32::from(w[c][t] as i8) * i32::from(a[c][t] as i8)).sum();
            i32::from_ne_bytes(acc[c]).wrapping_add(sum).to_ne_bytes()
        })
    }
    #[inline(always)]
    unsafe fn load_d(p: *const u8) -> Self::D {
        p.cast::<Self::D>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn q4_at(d: Self::D, t: usize) -> V {
        std::array::from_fn(|c| f32::from((d[c][t % 4] >> (t / 4 * 4) & 15) as i8 - 8))
    }
    #[inline(always)]
    unsafe fn q8_at(d: Self::D, t: usize) -> V {
        std::array::from_fn(|c| f32::from(d[c][t] as i8))
    }
    #[inline(always)]
    unsafe fn splat_d(p: *const i8) -> Self::D {
        [p.cast::<[u8; 4]>().read(); 4]
    }
    #[inline(always)]
    fn offset_factor<F: Format>() -> i32 {
        0
    }
    #[inline(always)]
    unsafe fn unpack<F: Format>(p: *const u8, out: *mut u8, stride: usize, _start: *mut i32) {
        for j in 0..8 {
            let d = if F::EIGHT {
                Self::load_d(p.add(j * 64))
            } else {
                let nibble = |b: u8| ((b >> (j / 4 * 4) & 15) as i8 - 8) as u8;
                Self::load_d(p.add(j % 4 * 64)).map(|c| c.map(nibble))
            };
            out.add(j * stride).cast::<Self::D>().write(d);
        }
    }
    #[inline(always)]
    unsafe fn load_i<F: Format>(p: *const u8) -> Self::I {
        Self::load_d(p)
    }
    #[inline(always)]
    unsafe fn begin<F: Format>(_offset: *const i32, _start: *const i32) -> Self::D {
        [[0; 4]; 4]
    }
    #[inline(always)]
    unsafe fn step<F: Format>(sum: Self::D, w: Self::I, a: Self::D) -> Self::D {
        Self::dot4(sum, w, a)
    }
    #[inline(always)]
    unsafe fn end<F: Format>(sum: Self::D, _offset: *const i32) -> V {
        sum.map(|s| i32::from_ne_bytes(s) as f32)
    }
    #[inline(always)]
    unsafe fn max_abs(x: *const f32) -> f32 {
        // As integers, positive floats have the same order, and NaN are above infinity.
        f32::from_bits((0..32).fold(0, |max, i| (*x.add(i)).abs().to_bits().max(max)))
    }
    #[inline(always)]
    unsafe fn round_group(x: *const f32, inverse: f32, out: *mut i8) -> i32 {
        (0..32)
            .map(|i| {
                let q = (*x.add(i) * inverse).round_ties_even() as i32;
                *out.add(i) = q as i8;
                q
            })
            .sum()
    }
}
