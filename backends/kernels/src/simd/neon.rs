//! NEON: 4 lanes, 32 registers; with `DOT`, the dot-product instructions as well; with `FP16`, f16 arithmetic.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use std::arch::aarch64::*;

use super::{Format, Simd, emulated, fp16};

#[derive(Clone, Copy)]
pub(crate) struct Neon<const DOT: bool, const FP16: bool>;

impl<const DOT: bool, const FP16: bool> Simd for Neon<DOT, FP16> {
    type V = float32x4_t;
    type D = int8x16_t;
    /// Signed bytes.
    type I = int8x16_t;
    const W: usize = 4;
    const MR: usize = 12;
    const TV: usize = 3;
    const TR: usize = 8;
    const IR: usize = 6;

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
    unsafe fn exponent(p: float32x4_t, t: float32x4_t) -> float32x4_t {
        let e = vshlq_n_s32::<23>(vreinterpretq_s32_f32(t));
        vmulq_f32(p, vreinterpretq_f32_s32(e))
    }
    #[inline(always)]
    unsafe fn transpose4(rows: [*const f32; 4], to: [*mut f32; 4]) {
        let [a, b, c, d] = rows.map(|row| vld1q_f32(row));
        // Pairs of pairs: a0 b0 a2 b2 | a1 b1 a3 b3, and the same of c and d.
        let (ab0, ab1) = (vtrn1q_f32(a, b), vtrn2q_f32(a, b));
        let (cd0, cd1) = (vtrn1q_f32(c, d), vtrn2q_f32(c, d));
        vst1q_f32(to[0], vcombine_f32(vget_low_f32(ab0), vget_low_f32(cd0)));
        vst1q_f32(to[1], vcombine_f32(vget_low_f32(ab1), vget_low_f32(cd1)));
        vst1q_f32(to[2], vcombine_f32(vget_high_f32(ab0), vget_high_f32(cd0)));
        vst1q_f32(to[3], vcombine_f32(vget_high_f32(ab1), vget_high_f32(cd1)));
    }
    #[inline(always)]
    fn prefetch(p: *const u8) {
        // SAFETY: a prefetch never faults. Written as assembly because the intrinsic is unstable.
        unsafe {
            std::arch::asm!("prfm pldl2keep, [{p}]", p = in(reg) p, options(nostack, preserves_flags, readonly));
        }
    }
    #[inline(always)]
    unsafe fn sum(v: float32x4_t) -> f32 {
        vaddvq_f32(v)
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> float32x4_t {
        fp16::widen(vld1_u16(p))
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, v: float32x4_t) {
        vst1_u16(p, fp16::narrow(v));
    }
    #[inline(always)]
    unsafe fn sums_f16<const H: usize, const NV: usize>(
        steps: usize,
        a: *const u16,
        b: [*const u16; NV],
        stride: usize,
    ) -> [[float32x4_t; NV]; H] {
        if !FP16 {
            return emulated::sums::<Self, H, NV>(steps, a, b, stride);
        }
        // One vector of eight columns, which are two of W, of which the caller may want the first alone.
        let sums = fp16::sums::<H>(steps, a, b[0], stride);
        std::array::from_fn(|r| {
            let both = [fp16::widen(vget_low_u16(sums[r])), fp16::widen_high(sums[r])];
            std::array::from_fn(|v| both[v])
        })
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
    unsafe fn splat_d(p: *const i8) -> int8x16_t {
        vreinterpretq_s8_s32(vdupq_n_s32(p.cast::<i32>().read_unaligned()))
    }
    #[inline(always)]
    fn offset_factor<F: Format>() -> i32 {
        0
    }
    #[inline(always)]
    unsafe fn unpack<F: Format>(p: *const u8, out: *mut u8, stride: usize, _start: *mut i32) {
        if F::EIGHT {
            for j in 0..8 {
                vst1q_s8(out.add(j * stride).cast(), Self::load_d(p.add(j * 64)));
            }
        } else {
            let (low, eight) = (vdupq_n_u8(15), vdupq_n_s8(8));
            for j in 0..4 {
                let (v, out) = (vreinterpretq_u8_s8(Self::load_d(p.add(j * 64))), out.add(j * stride));
                vst1q_s8(out.cast(), vsubq_s8(vreinterpretq_s8_u8(vandq_u8(v, low)), eight));
                let high = vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8::<4>(v)), eight);
                vst1q_s8(out.add(4 * stride).cast(), high);
            }
        }
    }
    #[inline(always)]
    unsafe fn load_i<F: Format>(p: *const u8) -> int8x16_t {
        Self::load_d(p)
    }
    #[inline(always)]
    unsafe fn begin<F: Format>(_offset: *const i32, _start: *const i32) -> int8x16_t {
        vdupq_n_s8(0)
    }
    #[inline(always)]
    unsafe fn step<F: Format>(sum: int8x16_t, w: int8x16_t, a: int8x16_t) -> int8x16_t {
        Self::dot4(sum, w, a)
    }
    #[inline(always)]
    unsafe fn end<F: Format>(sum: int8x16_t, _offset: *const i32) -> float32x4_t {
        vcvtq_f32_s32(vreinterpretq_s32_s8(sum))
    }
    #[inline(always)]
    unsafe fn max_abs(x: *const f32) -> f32 {
        let mut max = vdupq_n_f32(0.0);
        for i in 0..8 {
            max = vmaxq_f32(max, vabsq_f32(vld1q_f32(x.add(4 * i))));
        }
        vmaxvq_f32(max)
    }
    #[inline(always)]
    unsafe fn round_group(x: *const f32, inverse: f32, out: *mut i8) -> i32 {
        let mut sums = vdupq_n_s32(0);
        for half in 0..2 {
            let q: [int32x4_t; 4] =
                std::array::from_fn(|i| vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x.add(16 * half + 4 * i)), inverse)));
            let low = vcombine_s16(vmovn_s32(q[0]), vmovn_s32(q[1]));
            let high = vcombine_s16(vmovn_s32(q[2]), vmovn_s32(q[3]));
            vst1q_s8(out.add(16 * half), vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
            sums = vaddq_s32(sums, vaddq_s32(vaddq_s32(q[0], q[1]), vaddq_s32(q[2], q[3])));
        }
        vaddvq_s32(sums)
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
