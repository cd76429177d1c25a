//! NEON: 4 lanes, 32 registers; with `DOT`, the dot-product instructions as well.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use std::arch::aarch64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub(crate) struct Neon<const DOT: bool>;

impl<const DOT: bool> Simd for Neon<DOT> {
    type V = float32x4_t;
    type D = int8x16_t;
    const W: usize = 4;
    const MR: usize = 12;
    const TV: usize = 3;
    const TR: usize = 8;
    const CR: usize = 8;
    const IR: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        vdupq_n_f32(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        vld1q_f32(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        vst1q_f32(p, v);
    }
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vaddq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vsubq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vmulq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vdivq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        vfmaq_f32(c, a, b)
    }
    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vmaxq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vminq_f32(a, b)
    }
    #[inline(always)]
    unsafe fn round(a: float32x4_t) -> float32x4_t {
        vrndnq_f32(a)
    }
    #[inline(always)]
    unsafe fn scale2(v: float32x4_t, n: float32x4_t) -> float32x4_t {
        let e = vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)));
        vmulq_f32(v, vreinterpretq_f32_s32(e))
    }
    #[inline(always)]
    unsafe fn select_lt(a: float32x4_t, b: float32x4_t, x: float32x4_t, y: float32x4_t) -> float32x4_t {
        vbslq_f32(vcltq_f32(a, b), x, y)
    }
    #[inline(always)]
    unsafe fn sum(v: float32x4_t) -> f32 {
        vaddvq_f32(v)
    }

    #[inline(always)]
    unsafe fn dot4(acc: int8x16_t, w: int8x16_t, a: int8x16_t) -> int8x16_t {
        let acc = vreinterpretq_s32_s8(acc);
        vreinterpretq_s8_s32(if DOT { sdot(acc, w, a) } else { multiply(acc, w, a) })
    }
    #[inline(always)]
    unsafe fn load_d(p: *const u8) -> int8x16_t {
        vld1q_s8(p.cast())
    }
    #[inline(always)]
    unsafe fn q4_at(d: int8x16_t, t: usize) -> float32x4_t {
        let shift = vdupq_n_s32(-((t % 4 * 8 + t / 4 * 4) as i32));
        let q = vandq_u32(vshlq_u32(vreinterpretq_u32_s8(d), shift), vdupq_n_u32(15));
        vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(q), vdupq_n_s32(8)))
    }
    #[inline(always)]
    unsafe fn q8_at(d: int8x16_t, t: usize) -> float32x4_t {
        let up = vshlq_s32(vreinterpretq_s32_s8(d), vdupq_n_s32(24 - 8 * t as i32));
        vcvtq_f32_s32(vshrq_n_s32::<24>(up))
    }
    #[inline(always)]
    unsafe fn q4_unpack(p: *const u8) -> [int8x16_t; 8] {
        std::array::from_fn(|j| {
            let v = vreinterpretq_u8_s8(Self::load_d(p.add(j % 4 * 64)));
            let q = if j < 4 { vandq_u8(v, vdupq_n_u8(15)) } else { vshrq_n_u8::<4>(v) };
            vsubq_s8(vreinterpretq_s8_u8(q), vdupq_n_s8(8))
        })
    }
    #[inline(always)]
    unsafe fn q8_unpack(p: *const u8) -> [int8x16_t; 8] {
        std::array::from_fn(|j| Self::load_d(p.add(j * 64)))
    }
    #[inline(always)]
    unsafe fn q4_dot(w: &[int8x16_t; 8], a: *const i8, sum: i32) -> float32x4_t {
        Self::q8_dot(w, a, sum)
    }
    #[inline(always)]
    unsafe fn q8_dot(w: &[int8x16_t; 8], a: *const i8, _sum: i32) -> float32x4_t {
        let mut s = vdupq_n_s32(0);
        for (j, w) in w.iter().enumerate() {
            let a = vreinterpretq_s8_s32(vdupq_n_s32(a.add(4 * j).cast::<i32>().read_unaligned()));
            s = if DOT { sdot(s, *w, a) } else { multiply(s, *w, a) };
        }
        vcvtq_f32_s32(s)
    }
}

/// Adds to each lane the dot product of its four bytes. Written as assembly because the intrinsic is newer than the
/// oldest compiler that the workspace supports.
#[inline(always)]
unsafe fn sdot(mut s: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    std::arch::asm!(
        ".arch_extension dotprod",
        "sdot {s:v}.4s, {a:v}.16b, {b:v}.16b",
        s = inout(vreg) s, a = in(vreg) a, b = in(vreg) b,
        options(pure, nomem, nostack, preserves_flags)
    );
    s
}

/// The same without the instruction: products of 8 bits in 16 (at most 128·127, no overflow), then pairwise sums.
#[inline(always)]
unsafe fn multiply(s: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    let high = vpaddlq_s16(vmull_high_s8(a, b));
    vaddq_s32(s, vpaddq_s32(low, high))
}
