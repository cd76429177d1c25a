//! AVX2, FMA and F16C: 8 lanes, 16 registers.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use std::arch::x86_64::*;

use super::{Format, Simd};

#[derive(Clone, Copy)]
pub(crate) struct Avx2;

impl Simd for Avx2 {
    type V = __m256;
    type D = __m256i;
    /// 4 bits: q, and nothing. 8 bits: |q|, and the bytes where q < 0.
    type I = [__m256i; 2];
    const W: usize = 8;
    const MR: usize = 6;
    const TV: usize = 2;
    const TR: usize = 6;
    const IR: usize = 3;

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
    unsafe fn exponent(p: __m256, t: __m256) -> __m256 {
        let e = _mm256_slli_epi32::<23>(_mm256_castps_si256(t));
        _mm256_mul_ps(p, _mm256_castsi256_ps(e))
    }
    #[inline(always)]
    unsafe fn transpose4(rows: [*const f32; 4], to: [*mut f32; 4]) {
        transpose4(rows, to);
    }
    #[inline(always)]
    fn prefetch(p: *const u8) {
        // SAFETY: a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
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
    unsafe fn splat_d(p: *const i8) -> __m256i {
        _mm256_set1_epi32(p.cast::<i32>().read_unaligned())
    }
    #[inline(always)]
    fn unpacked<F: Format>() -> usize {
        if F::EIGHT { 64 } else { 32 }
    }
    #[inline(always)]
    fn offset_factor<F: Format>() -> i32 {
        if F::EIGHT { 0 } else { -8 }
    }
    #[inline(always)]
    unsafe fn unpack<F: Format>(p: *const u8, out: *mut u8, stride: usize, start: *mut i32) {
        if F::EIGHT {
            let (zero, ones) = (_mm256_setzero_si256(), _mm256_set1_epi16(1));
            let mut negative = zero;
            for j in 0..8 {
                let (q, out) = (Self::load_d(p.add(j * 64)), out.add(j * stride).cast());
                let (size, below) = (_mm256_abs_epi8(q), _mm256_cmpgt_epi8(zero, q));
                _mm256_storeu_si256(out, size);
                _mm256_storeu_si256(out.add(1), below);
                // maddubs takes |q| as unsigned, so that −128 is 128; a mask is −1.
                let pairs = _mm256_maddubs_epi16(size, below);
                negative = _mm256_sub_epi32(negative, _mm256_madd_epi16(pairs, ones));
            }
            _mm256_storeu_si256(start.cast(), negative);
        } else {
            let low = _mm256_set1_epi8(15);
            for j in 0..4 {
                let (v, out) = (Self::load_d(p.add(j * 64)), out.add(j * stride));
                _mm256_storeu_si256(out.cast(), _mm256_and_si256(v, low));
                let high = _mm256_and_si256(_mm256_srli_epi16::<4>(v), low);
                _mm256_storeu_si256(out.add(4 * stride).cast(), high);
            }
        }
    }
    #[inline(always)]
    unsafe fn load_i<F: Format>(p: *const u8) -> [__m256i; 2] {
        let second = if F::EIGHT { Self::load_d(p.add(32)) } else { _mm256_setzero_si256() };
        [Self::load_d(p), second]
    }
    #[inline(always)]
    unsafe fn begin<F: Format>(_offset: *const i32, start: *const i32) -> __m256i {
        if F::EIGHT { _mm256_loadu_si256(start.cast()) } else { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn step<F: Format>(sum: __m256i, [w, below]: [__m256i; 2], a: __m256i) -> __m256i {
        if F::EIGHT {
            // maddubs multiplies unsigned by signed, so q·a is |q|·(±a). The negative of a number is the complement of its
            // bits plus 1; that 1 is |q| in the sum, which `start` holds. It leaves 16 bits for the pairs: 2·128·−128 at least.
            let pairs = _mm256_maddubs_epi16(w, _mm256_xor_si256(a, below));
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        } else {
            // Eight pairs of at most 2·15·127 fit in 16 bits: one widening for the whole group.
            _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, a))
        }
    }
    #[inline(always)]
    unsafe fn end<F: Format>(sum: __m256i, offset: *const i32) -> __m256 {
        if F::EIGHT {
            return _mm256_cvtepi32_ps(sum);
        }
        let sum = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
        _mm256_cvtepi32_ps(_mm256_add_epi32(sum, _mm256_set1_epi32(*offset)))
    }
    #[inline(always)]
    unsafe fn max_abs(x: *const f32) -> f32 {
        // As integers, positive floats have the same order, and NaN are above infinity.
        let size = |i: usize| _mm256_and_si256(Self::load_d(x.add(8 * i).cast()), _mm256_set1_epi32(i32::MAX));
        let low = _mm256_max_epi32(size(0), size(1));
        let max = _mm256_max_epi32(low, _mm256_max_epi32(size(2), size(3)));
        let max = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256::<1>(max));
        let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b0100_1110>(max));
        let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b1011_0001>(max));
        f32::from_bits(_mm_cvtsi128_si32(max) as u32)
    }
    #[inline(always)]
    unsafe fn round_group(x: *const f32, inverse: f32, out: *mut i8) -> i32 {
        let by = _mm256_set1_ps(inverse);
        let q: [__m256i; 4] =
            std::array::from_fn(|i| _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x.add(8 * i)), by)));
        // Packing works in halves of 16 bytes, and leaves the eights as 0 2 4 6 | 1 3 5 7 in fours.
        let bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256(out.cast(), bytes);
        let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
        let sum = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
        let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b0100_1110>(sum));
        _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<0b1011_0001>(sum)))
    }
}

/// [`Simd::transpose4`] on SSE registers.
#[inline(always)]
pub(super) unsafe fn transpose4(rows: [*const f32; 4], to: [*mut f32; 4]) {
    let [a, b, c, d] = rows.map(|row| _mm_loadu_ps(row));
    let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
    _mm_storeu_ps(to[0], _mm_movelh_ps(ab, cd));
    _mm_storeu_ps(to[1], _mm_movehl_ps(cd, ab));
    let (ab, cd) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
    _mm_storeu_ps(to[2], _mm_movelh_ps(ab, cd));
    _mm_storeu_ps(to[3], _mm_movehl_ps(cd, ab));
}
