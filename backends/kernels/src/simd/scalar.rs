//! Portable vectors: arrays of 4, which the compiler maps to the target's baseline (SSE2 on x86-64).
//! The reference that the other instruction sets are tested against.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use super::Simd;

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
    const W: usize = 4;
    const MR: usize = 4;
    const TV: usize = 2;
    const TR: usize = 2;
    const CR: usize = 2;
    const IR: usize = 4;

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
    unsafe fn q4_unpack(p: *const u8) -> [Self::D; 8] {
        std::array::from_fn(|j| {
            Self::load_d(p.add(j % 4 * 64)).map(|c| c.map(|b| ((b >> (j / 4 * 4) & 15) as i8 - 8) as u8))
        })
    }
    #[inline(always)]
    unsafe fn q8_unpack(p: *const u8) -> [Self::D; 8] {
        std::array::from_fn(|j| Self::load_d(p.add(j * 64)))
    }
    #[inline(always)]
    unsafe fn q4_dot(w: &[Self::D; 8], a: *const i8, sum: i32) -> V {
        Self::q8_dot(w, a, sum)
    }
    #[inline(always)]
    unsafe fn q8_dot(w: &[Self::D; 8], a: *const i8, _sum: i32) -> V {
        let mut s = [0i32; 4];
        for (j, w) in w.iter().enumerate() {
            for (s, w) in s.iter_mut().zip(w) {
                for (t, w) in w.iter().enumerate() {
                    *s += i32::from(*w as i8) * i32::from(*a.add(4 * j + t));
                }
            }
        }
        s.map(|s| s as f32)
    }
}
