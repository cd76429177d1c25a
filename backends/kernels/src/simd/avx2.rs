//! AVX2, FMA and F16C: 8 lanes, 16 registers.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use std::arch::x86_64::*;

use super::Simd;

#[derive(Clone, Copy)]
pub(crate) struct Avx2;

impl Simd for Avx2 {
    type V = __m256;
    type D = __m256i;
    const W: usize = 8;
    const MR: usize = 6;
    const TV: usize = 2;
    const TR: usize = 6;
    const CR: usize = 4;
    const IR: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        _mm256_set1_ps(x)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        _mm256_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        _mm256_storeu_ps(p, v);
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        _mm256_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        _mm256_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        _mm256_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn div(a: __m256, b: __m256) -> __m256 {
        _mm256_div_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        _mm256_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn min(a: __m256, b: __m256) -> __m256 {
        _mm256_min_ps(a, b)
    }
    #[inline(always)]
    unsafe fn round(a: __m256) -> __m256 {
        _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a)
    }
    #[inline(always)]
    unsafe fn scale2(v: __m256, n: __m256) -> __m256 {
        let e = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)));
        _mm256_mul_ps(v, _mm256_castsi256_ps(e))
    }
    #[inline(always)]
    unsafe fn select_lt(a: __m256, b: __m256, x: __m256, y: __m256) -> __m256 {
        _mm256_blendv_ps(y, x, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> __m256 {
        _mm256_cvtph_ps(_mm_loadu_si128(p.cast()))
    }

    #[inline(always)]
    unsafe fn dot4(acc: __m256i, w: __m256i, a: __m256i) -> __m256i {
        _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1)))
    }
    #[inline(always)]
    unsafe fn load_d(p: *const u8) -> __m256i {
        _mm256_loadu_si256(p.cast())
    }
    #[inline(always)]
    unsafe fn q4_at(d: __m256i, t: usize) -> __m256 {
        let shift = (t % 4 * 8 + t / 4 * 4) as i32;
        let q = _mm256_and_si256(_mm256_srlv_epi32(d, _mm256_set1_epi32(shift)), _mm256_set1_epi32(15));
        _mm256_cvtepi32_ps(_mm256_sub_epi32(q, _mm256_set1_epi32(8)))
    }
    #[inline(always)]
    unsafe fn q8_at(d: __m256i, t: usize) -> __m256 {
        let up = _mm256_sllv_epi32(d, _mm256_set1_epi32(24 - 8 * t as i32));
        _mm256_cvtepi32_ps(_mm256_srai_epi32::<24>(up))
    }
    #[inline(always)]
    unsafe fn q4_unpack(p: *const u8) -> [__m256i; 8] {
        let low = _mm256_set1_epi8(15);
        let v: [__m256i; 4] = std::array::from_fn(|j| Self::load_d(p.add(j * 64)));
        std::array::from_fn(|j| {
            let v = if j < 4 { v[j] } else { _mm256_srli_epi16::<4>(v[j - 4]) };
            _mm256_and_si256(v, low)
        })
    }
    #[inline(always)]
    unsafe fn q8_unpack(p: *const u8) -> [__m256i; 8] {
        std::array::from_fn(|j| Self::load_d(p.add(j * 64)))
    }
    #[inline(always)]
    unsafe fn q4_dot(w: &[__m256i; 8], a: *const i8, sum: i32) -> __m256 {
        // Eight products pairs of at most 2·15·127 fit in 16 bits: one widening for the whole group.
        let mut s = _mm256_setzero_si256();
        for (j, w) in w.iter().enumerate() {
            s = _mm256_add_epi16(s, _mm256_maddubs_epi16(*w, four(a, j)));
        }
        let s = _mm256_madd_epi16(s, _mm256_set1_epi16(1));
        _mm256_cvtepi32_ps(_mm256_add_epi32(s, _mm256_set1_epi32(-8 * sum)))
    }
    #[inline(always)]
    unsafe fn q8_dot(w: &[__m256i; 8], a: *const i8, _sum: i32) -> __m256 {
        // maddubs multiplies unsigned by signed: |q| by a·sign(q). 2·128·127 fits in 16 bits.
        let mut s = _mm256_setzero_si256();
        for (j, w) in w.iter().enumerate() {
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(*w), _mm256_sign_epi8(four(a, j), *w));
            s = _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
        _mm256_cvtepi32_ps(s)
    }
}

/// Activations 4j..4j+4 in every lane.
#[inline(always)]
unsafe fn four(a: *const i8, j: usize) -> __m256i {
    _mm256_set1_epi32(a.add(4 * j).cast::<i32>().read_unaligned())
}
