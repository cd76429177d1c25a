//! AVX-512 F/BW/DQ/VL and VNNI: 16 lanes, 32 registers; with FP16, 32 lanes of f16.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use std::arch::x86_64::*;

use super::{Format, Simd, avx2, emulated};

/// With or without f16 arithmetic.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const FP16: bool>;

/// The sums of [`Simd::sums_f16`] for 16 columns.
#[inline(always)]
unsafe fn sums16<const H: usize>(steps: usize, a: *const u16, b: *const u16, stride: usize) -> [__m256h; H] {
    let mut sums = [_mm256_setzero_ph(); H];
    for step in 0..steps {
        let w = _mm256_castsi256_ph(_mm256_loadu_si256(b.add(step * stride).cast()));
        for (r, sum) in sums.iter_mut().enumerate() {
            let x = _mm256_castsi256_ph(_mm256_set1_epi16(*a.add(step * H + r) as i16));
            *sum = _mm256_fmadd_ph(x, w, *sum);
        }
    }
    sums
}

/// The sums of [`Simd::sums_f16`] for 16 columns at each of `b`, which are one vector.
#[inline(always)]
unsafe fn sums32<const H: usize>(steps: usize, a: *const u16, b: [*const u16; 2], stride: usize) -> [__m512h; H] {
    let mut sums = [_mm512_setzero_ph(); H];
    for step in 0..steps {
        let half = |v: usize| _mm256_loadu_si256(b[v].add(step * stride).cast());
        let w = _mm512_castsi512_ph(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(half(0)), half(1)));
        for (r, sum) in sums.iter_mut().enumerate() {
            let x = _mm512_castsi512_ph(_mm512_set1_epi16(*a.add(step * H + r) as i16));
            *sum = _mm512_fmadd_ph(x, w, *sum);
        }
    }
    sums
}

impl<const FP16: bool> Simd for Avx512<FP16> {
    type V = __m512;
    type D = __m512i;
    /// Unsigned: q, of 8 bits q + 128.
    type I = __m512i;
    const W: usize = 16;
    const MR: usize = 12;
    const TV: usize = 4;
    const TR: usize = 6;
    const IR: usize = 6;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        _mm512_set1_ps(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        _mm512_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        _mm512_storeu_ps(p, v);
    }
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> __m512 {
        _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p)
    }
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: __m512, n: usize) {
        _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v);
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        _mm512_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        _mm512_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        _mm512_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        _mm512_div_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        _mm512_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        _mm512_min_ps(a, b)
    }
    #[inline(always)]
    unsafe fn round(a: __m512) -> __m512 {
        _mm512_roundscale_ps::<0>(a)
    }
    #[inline(always)]
    unsafe fn scale2(v: __m512, n: __m512) -> __m512 {
        _mm512_scalef_ps(v, n)
    }
    #[inline(always)]
    unsafe fn select_lt(a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x)
    }
    #[inline(always)]
    unsafe fn exponent(p: __m512, t: __m512) -> __m512 {
        let e = _mm512_slli_epi32::<23>(_mm512_castps_si512(t));
        _mm512_mul_ps(p, _mm512_castsi512_ps(e))
    }
    #[inline(always)]
    unsafe fn transpose4(rows: [*const f32; 4], to: [*mut f32; 4]) {
        avx2::transpose4(rows, to);
    }
    #[inline(always)]
    fn prefetch(p: *const u8) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }
    #[inline(always)]
    unsafe fn sum(v: __m512) -> f32 {
        _mm512_reduce_add_ps(v)
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> __m512 {
        _mm512_cvtph_ps(_mm256_loadu_si256(p.cast()))
    }
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, v: __m512) {
        _mm256_storeu_si256(p.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v));
    }
    #[inline(always)]
    unsafe fn sums_f16<const H: usize, const NV: usize>(
        steps: usize,
        a: *const u16,
        b: [*const u16; NV],
        stride: usize,
    ) -> [[__m512; NV]; H] {
        if !FP16 {
            return emulated::sums::<Self, H, NV>(steps, a, b, stride);
        }
        // Loops: closures of `map` are not inlined here.
        let mut out = [[_mm512_setzero_ps(); NV]; H];
        if NV == 1 {
            for (out, sum) in out.iter_mut().zip(sums16::<H>(steps, a, b[0], stride)) {
                out[0] = _mm512_cvtph_ps(_mm256_castph_si256(sum));
            }
        } else {
            for (out, sum) in out.iter_mut().zip(sums32::<H>(steps, a, [b[0], b[1]], stride)) {
                let sum = _mm512_castph_si512(sum);
                out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(sum));
                out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(sum));
            }
        }
        out
    }

    #[inline(always)]
    unsafe fn dot4(acc: __m512i, w: __m512i, a: __m512i) -> __m512i {
        _mm512_dpbusd_epi32(acc, w, a)
    }
    #[inline(always)]
    unsafe fn load_d(p: *const u8) -> __m512i {
        _mm512_loadu_si512(p.cast())
    }
    #[inline(always)]
    unsafe fn q4_at(d: __m512i, t: usize) -> __m512 {
        // The permute reads the low 4 bits of each lane: the table look-up masks and converts in one instruction.
        let table = _mm512_setr_ps(-8., -7., -6., -5., -4., -3., -2., -1., 0., 1., 2., 3., 4., 5., 6., 7.);
        let shift = (t % 4 * 8 + t / 4 * 4) as i32;
        _mm512_permutexvar_ps(_mm512_srlv_epi32(d, _mm512_set1_epi32(shift)), table)
    }
    #[inline(always)]
    unsafe fn q8_at(d: __m512i, t: usize) -> __m512 {
        let up = _mm512_sllv_epi32(d, _mm512_set1_epi32(24 - 8 * t as i32));
        _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(up))
    }
    #[inline(always)]
    unsafe fn splat_d(p: *const i8) -> __m512i {
        _mm512_set1_epi32(p.cast::<i32>().read_unaligned())
    }
    #[inline(always)]
    fn offset_factor<F: Format>() -> i32 {
        if F::EIGHT { -128 } else { -8 }
    }
    #[inline(always)]
    unsafe fn unpack<F: Format>(p: *const u8, out: *mut u8, stride: usize, _start: *mut i32) {
        if F::EIGHT {
            let flip = _mm512_set1_epi8(-128);
            for j in 0..8 {
                _mm512_storeu_si512(out.add(j * stride).cast(), _mm512_xor_si512(Self::load_d(p.add(j * 64)), flip));
            }
        } else {
            let low = _mm512_set1_epi8(15);
            for j in 0..4 {
                let (v, out) = (Self::load_d(p.add(j * 64)), out.add(j * stride));
                _mm512_storeu_si512(out.cast(), _mm512_and_si512(v, low));
                let high = _mm512_and_si512(_mm512_srli_epi16::<4>(v), low);
                _mm512_storeu_si512(out.add(4 * stride).cast(), high);
            }
        }
    }
    #[inline(always)]
    unsafe fn load_i<F: Format>(p: *const u8) -> __m512i {
        Self::load_d(p)
    }
    #[inline(always)]
    unsafe fn begin<F: Format>(offset: *const i32, _start: *const i32) -> __m512i {
        // |offset| + 32·255·127 < 2²¹: no overflow.
        _mm512_set1_epi32(*offset)
    }
    #[inline(always)]
    unsafe fn step<F: Format>(sum: __m512i, w: __m512i, a: __m512i) -> __m512i {
        Self::dot4(sum, w, a)
    }
    #[inline(always)]
    unsafe fn end<F: Format>(sum: __m512i, _offset: *const i32) -> __m512 {
        _mm512_cvtepi32_ps(sum)
    }
    #[inline(always)]
    unsafe fn max_abs(x: *const f32) -> f32 {
        avx2::Avx2::max_abs(x)
    }
    #[inline(always)]
    unsafe fn round_group(x: *const f32, inverse: f32, out: *mut i8) -> i32 {
        avx2::Avx2::round_group(x, inverse, out)
    }
}
