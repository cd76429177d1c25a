//! One vocabulary of vector operations, one implementation per instruction set, and the dispatch between them.
//!
//! A kernel is a value with a generic `run::<S>()`; [`dispatch`] runs it inside a function compiled with the features of
//! the instruction set, into which everything marked `inline(always)` is inlined. Kernels are therefore written once.
//!
//! SAFETY of the whole module, stated once: every method needs (1) a processor with the instruction set, which
//! [`dispatch`] guarantees because [`Isa::require`] was checked by the public function, and (2) pointers valid for
//! the number of elements in the method's comment. Nothing needs alignment.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod emulated;
#[cfg(target_arch = "aarch64")]
mod fp16;
pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

use crate::Isa;

/// Vector operations of one instruction set.
pub(crate) trait Simd: Copy + 'static {
    /// W lanes of f32.
    type V: Copy;
    /// W lanes of 4 bytes.
    type D: Copy;
    /// 4·W weights, unpacked for [`step`](Self::step).
    type I: Copy;
    /// Lanes.
    const W: usize;
    /// Rows of a linear's register tile and output channels of a convolution's (at most 6, or 12: its weights are packed so); its width is two
    /// vectors.
    const MR: usize;
    /// Vectors of a register tile of attention, at most 4.
    const TV: usize;
    /// Rows of such a tile in attention.
    const TR: usize;
    /// Rows of an integer tile; its width is two vectors.
    const IR: usize;

    unsafe fn splat(x: f32) -> Self::V;
    /// Reads W elements.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Writes W elements.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Reads n ≤ W elements; the other lanes are 0.
    #[inline(always)]
    unsafe fn load_n(p: *const f32, n: usize) -> Self::V {
        let mut t = [0.0f32; 16];
        // SAFETY: n ≤ W ≤ 16.
        unsafe {
            std::ptr::copy_nonoverlapping(p, t.as_mut_ptr(), n);
            Self::load(t.as_ptr())
        }
    }
    /// Writes the first n ≤ W lanes.
    #[inline(always)]
    unsafe fn store_n(p: *mut f32, v: Self::V, n: usize) {
        let mut t = [0.0f32; 16];
        // SAFETY: n ≤ W ≤ 16.
        unsafe {
            Self::store(t.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(t.as_ptr(), p, n);
        }
    }
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// a·b + c.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; b where b is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; b where b is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// v·2ⁿ for integral n in −126..=127.
    unsafe fn scale2(v: Self::V, n: Self::V) -> Self::V;
    /// a < b ? x : y, lane by lane.
    unsafe fn select_lt(a: Self::V, b: Self::V, x: Self::V, y: Self::V) -> Self::V;
    /// p·2ⁿ for integral n in −126..=127, where `t` is n + 127 + 1.5·2²³: the bits of 2ⁿ's exponent are its low ones. A NaN in p
    /// stays one.
    unsafe fn exponent(p: Self::V, t: Self::V) -> Self::V;
    /// Column i of four rows of 4 elements, each at its pointer, to `to[i]`.
    #[inline(always)]
    unsafe fn transpose4(rows: [*const f32; 4], to: [*mut f32; 4]) {
        for (r, row) in rows.into_iter().enumerate() {
            for (i, to) in to.into_iter().enumerate() {
                // SAFETY: the caller's.
                unsafe { *to.add(r) = *row.add(i) };
            }
        }
    }
    /// Asks for the cache line at `p`, which may be any address, to be brought into the second-level cache.
    #[inline(always)]
    fn prefetch(_p: *const u8) {}
    /// Sum of the lanes.
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        let mut t = [0.0f32; 16];
        // SAFETY: W ≤ 16.
        unsafe { Self::store(t.as_mut_ptr(), v) };
        let mut n = Self::W;
        while n > 1 {
            n /= 2;
            for i in 0..n {
                t[i] += t[i + n];
            }
        }
        t[0]
    }
    /// W f16 values, as their bits, to f32.
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self::V {
        let mut t = [0.0f32; 16];
        for (i, t) in t.iter_mut().enumerate().take(Self::W) {
            // SAFETY: p is valid for W elements.
            *t = half::f16::from_bits(unsafe { *p.add(i) }).to_f32();
        }
        // SAFETY: W ≤ 16.
        unsafe { Self::load(t.as_ptr()) }
    }
    /// Rounds W numbers to f16, to nearest, ties to even, and writes their bits.
    #[inline(always)]
    unsafe fn store_f16(p: *mut u16, v: Self::V) {
        let mut t = [0.0f32; 16];
        // SAFETY: W ≤ 16; p is valid for W elements.
        unsafe {
            Self::store(t.as_mut_ptr(), v);
            for (i, t) in t.into_iter().enumerate().take(Self::W) {
                *p.add(i) = half::f16::from_f32(t).to_bits();
            }
        }
    }
    /// Σ over `steps` of row·column in f16, for H rows and NV vectors of W columns: one sum for each, to which every product is
    /// added in order, in one rounding. Reads the rows' H f16 of a step from `a`, steps side by side, and a vector's W from its
    /// `b`, steps `stride` apart. The second vector lies behind the first; where NV is 1 those elements may be read too.
    #[inline(always)]
    unsafe fn sums_f16<const H: usize, const NV: usize>(
        steps: usize,
        a: *const u16,
        b: [*const u16; NV],
        stride: usize,
    ) -> [[Self::V; NV]; H] {
        // SAFETY: the caller's.
        unsafe { emulated::sums::<Self, H, NV>(steps, a, b, stride) }
    }

    /// Adds to each 32-bit lane of `acc` the dot product of its four bytes of `w` (0..128) and of `a` (signed). What the integer products are made of, alone for [`crate::peak`].
    unsafe fn dot4(acc: Self::D, w: Self::D, a: Self::D) -> Self::D;
    /// Reads 4·W bytes: 4 bytes of each of W columns.
    unsafe fn load_d(p: *const u8) -> Self::D;
    /// (q − 8) of nibble t of each lane: t = 0..4 the low nibbles of bytes 0..4, t = 4..8 the high ones.
    unsafe fn q4_at(d: Self::D, t: usize) -> Self::V;
    /// Signed byte t = 0..4 of each lane.
    unsafe fn q8_at(d: Self::D, t: usize) -> Self::V;
    /// Four bytes at `p`, in every lane.
    unsafe fn splat_d(p: *const i8) -> Self::D;

    // The integer product of a group of 32 along K, for W columns and one row: `begin`, eight `step`s of 4 along K, `end`.

    /// Bytes that 4·W unpacked weights take.
    fn unpacked<F: Format>() -> usize {
        4 * Self::W
    }
    /// What Σa of a group is multiplied by to be the `offset` of `begin` and `end`: less than 0 where weights are unpacked to
    /// unsigned bytes.
    fn offset_factor<F: Format>() -> i32;
    /// Unpacks a group of W columns. Reads the vectors of its packed form, 4·W bytes each, 64 bytes apart; writes eight of
    /// `unpacked` bytes, `stride` bytes apart, and W integers to `start`, a part of the sum that depends on weights alone,
    /// where `begin` reads it.
    unsafe fn unpack<F: Format>(p: *const u8, out: *mut u8, stride: usize, start: *mut i32);
    /// Reads what `unpack` wrote.
    unsafe fn load_i<F: Format>(p: *const u8) -> Self::I;
    /// A sum of nothing yet.
    unsafe fn begin<F: Format>(offset: *const i32, start: *const i32) -> Self::D;
    /// Adds the products of four weights with four activations (signed, at least −127) in each lane. Eight steps never overflow.
    unsafe fn step<F: Format>(sum: Self::D, w: Self::I, a: Self::D) -> Self::D;
    /// Σ weight·activation.
    unsafe fn end<F: Format>(sum: Self::D, offset: *const i32) -> Self::V;
    /// The largest |x| of 32 numbers; NaN if one is.
    unsafe fn max_abs(x: *const f32) -> f32;
    /// Rounds 32 numbers to integers, to nearest, ties to even, after a multiplication with `inverse` that brings them into
    /// ±127; gives their sum. For NaN anything.
    unsafe fn round_group(x: *const f32, inverse: f32, out: *mut i8) -> i32;
}

/// How a group of 32 weights is packed; see [`crate::linear`].
pub(crate) trait Format: Copy + 'static {
    /// 8 bits a weight, or 4.
    const EIGHT: bool;
    /// Bytes of a group of one column.
    const BYTES: usize = if Self::EIGHT { 32 } else { 16 };
}

/// 4 bits: q − 8.
#[derive(Clone, Copy)]
pub(crate) struct Four;

/// 8 bits, signed.
#[derive(Clone, Copy)]
pub(crate) struct Eight;

impl Format for Four {
    const EIGHT: bool = false;
}

impl Format for Eight {
    const EIGHT: bool = true;
}

/// A computation that is generic over the instruction set. Implementations mark `run` `inline(always)`.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;
    /// Whether it computes in f16. If not, it is not compiled again for instruction sets that differ in that alone.
    const F16: bool = false;
    /// Runs it. SAFETY: the processor has S; anything else is the kernel's own contract.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Runs a kernel compiled for `isa`.
///
/// # Safety
/// `isa.require()` was checked; the kernel's own contract.
#[inline]
pub(crate) unsafe fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<avx2::Avx2>() }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<avx512::Avx512<false>>() }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512fp16")]
    unsafe fn with_avx512_fp16<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<avx512::Avx512<true>>() }
    }
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon")]
    unsafe fn with_neon<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<neon::Neon<false, false>>() }
    }
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn with_neon_dotprod<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<neon::Neon<true, false>>() }
    }
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon,dotprod,fp16")]
    unsafe fn with_neon_fp16<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<neon::Neon<true, true>>() }
    }
    // SAFETY: the caller checked that the machine has `isa`.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => with_avx2(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Fp16 if K::F16 => with_avx512_fp16(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Fp16 => with_avx512(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => with_neon(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonFp16 if K::F16 => with_neon_fp16(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod | Isa::NeonFp16 => with_neon_dotprod(kernel),
            _ => kernel.run::<scalar::Scalar>(),
        }
    }
}
