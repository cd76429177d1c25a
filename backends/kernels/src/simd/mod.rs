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
    /// Lanes.
    const W: usize;
    /// Rows of a linear's register tile; its width is two vectors.
    const MR: usize;
    /// Vectors of a register tile of attention and convolution, at most 3.
    const TV: usize;
    /// Rows of such a tile in attention.
    const TR: usize;
    /// Rows of such a tile in a convolution; divides 8, the tile of its packed weight.
    const CR: usize;
    /// Rows of an integer tile.
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

    /// Adds to each 32-bit lane of `acc` the dot product of its four bytes of `w` (as `q4_unpack` gives them) and of `a`
    /// (signed). What the integer products are made of, alone for [`crate::peak`].
    unsafe fn dot4(acc: Self::D, w: Self::D, a: Self::D) -> Self::D;
    /// Reads 4·W bytes: 4 bytes of each of W columns.
    unsafe fn load_d(p: *const u8) -> Self::D;
    /// (q − 8) of nibble t of each lane: t = 0..4 the low nibbles of bytes 0..4, t = 4..8 the high ones.
    unsafe fn q4_at(d: Self::D, t: usize) -> Self::V;
    /// Signed byte t = 0..4 of each lane.
    unsafe fn q8_at(d: Self::D, t: usize) -> Self::V;
    /// The 32 4-bit values of W columns as 8 vectors of bytes (4 values along K each), in the form that `q4_dot` wants.
    /// Reads four vectors of 4·W bytes, 64 bytes apart.
    unsafe fn q4_unpack(p: *const u8) -> [Self::D; 8];
    /// The same for 32 bytes of each column: eight vectors, 64 bytes apart.
    unsafe fn q8_unpack(p: *const u8) -> [Self::D; 8];
    /// Σ (q − 8)·a over a group: 32 activations at `a`, whose sum is `sum`.
    unsafe fn q4_dot(w: &[Self::D; 8], a: *const i8, sum: i32) -> Self::V;
    /// Σ q·a over a group: 32 activations at `a`, whose sum is `sum`.
    unsafe fn q8_dot(w: &[Self::D; 8], a: *const i8, sum: i32) -> Self::V;
}

/// A computation that is generic over the instruction set. Implementations mark `run` `inline(always)`.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;
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
        unsafe { kernel.run::<avx512::Avx512>() }
    }
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon")]
    unsafe fn with_neon<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<neon::Neon<false>>() }
    }
    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon,dotprod")]
    unsafe fn with_neon_dotprod<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the features are on; the rest is the caller's.
        unsafe { kernel.run::<neon::Neon<true>>() }
    }
    // SAFETY: the caller checked that the machine has `isa`.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => with_avx2(kernel),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => with_avx512(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => with_neon(kernel),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod => with_neon_dotprod(kernel),
            _ => kernel.run::<scalar::Scalar>(),
        }
    }
}
