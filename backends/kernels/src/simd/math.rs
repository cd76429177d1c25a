//! Vector transcendental functions, generic over the instruction set.
//!
//! The polynomials of eˣ and 2ˣ are least-maximum fits of degree 6 on one octave (relative error 1.9e-9, below f32's
//! rounding). Where an argument is clamped it is the second operand: there `max` and `min` let a NaN through, so that a
//! NaN in is a NaN out. tanh near 0 is Cephes' `tanhf`, erf the rational function that Eigen and XLA use.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use super::Simd;

/// Σ c\[i\]·xⁱ, Horner.
#[inline(always)]
unsafe fn poly<S: Simd, const N: usize>(x: S::V, c: [f32; N]) -> S::V {
    let mut s = S::splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        s = S::fma(s, x, S::splat(c[i]));
    }
    s
}

/// 2ˣ for x ≤ 0, for weights beside one of 1: below −126 it stays at 2⁻¹²⁶.
#[inline(always)]
pub(crate) unsafe fn exp2<S: Simd>(x: S::V) -> S::V {
    // Adding 1.5·2²³ leaves no bits for a fraction: the sum is rounded to an integer, in its lowest bits. 127 more, and they
    // are the exponent of a float.
    let magic = S::splat(12_582_912.0 + 127.0);
    let x = S::max(S::splat(-126.0), x);
    let t = S::add(x, magic);
    let p = poly::<S, 7>(
        S::sub(x, S::sub(t, magic)),
        [1.0, std::f32::consts::LN_2, 0.240_226_46, 0.055_503_286, 0.009_618_489, 0.001_339_993_1, 0.000_153_458_02],
    );
    S::exponent(p, t)
}

/// eˣ, x clamped to −87.33 ..= 88.37 (the smallest normal result, and just below the largest).
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    let x = S::min(S::splat(88.37), S::max(S::splat(-87.33), x));
    let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, the first with few enough bits for n·hi to be exact (Cody and Waite).
    let r = S::fma(n, S::splat(-0.693_359_4), x);
    let r = S::fma(n, S::splat(2.121_944_4e-4), r);
    let p = poly::<S, 7>(r, [1.0, 1.0, 0.499_999_9, 0.166_664_2, 0.041_668_225, 0.008_374_816, 0.001_383_683_8]);
    S::scale2(p, n)
}

/// x / (1 + e^(−y)): x·sigmoid(y); 0 for y < −88, where the exponential is clamped and a huge x would show it.
#[inline(always)]
unsafe fn x_sigmoid<S: Simd>(x: S::V, y: S::V) -> S::V {
    let zero = S::splat(0.0);
    let s = S::div(x, S::add(S::splat(1.0), exp::<S>(S::sub(zero, y))));
    S::select_lt(y, S::splat(-88.0), zero, s)
}

/// 0.5·x·(1 + tanh u) = x·sigmoid(2u), u = √(2/π)·(x + 0.044715·x³).
#[inline(always)]
pub(crate) unsafe fn gelu_tanh<S: Simd>(x: S::V) -> S::V {
    // 2·√(2/π) and that times 0.044715.
    let two_u = S::mul(x, S::fma(S::mul(x, x), S::splat(0.071_354_814), S::splat(1.595_769)));
    x_sigmoid::<S>(x, two_u)
}

/// x·sigmoid(1.702·x).
#[inline(always)]
pub(crate) unsafe fn quick_gelu<S: Simd>(x: S::V) -> S::V {
    x_sigmoid::<S>(x, S::mul(x, S::splat(1.702)))
}

/// x·sigmoid(x).
#[inline(always)]
pub(crate) unsafe fn silu<S: Simd>(x: S::V) -> S::V {
    x_sigmoid::<S>(x, x)
}

/// max(x, 0).
#[inline(always)]
pub(crate) unsafe fn relu<S: Simd>(x: S::V) -> S::V {
    S::max(S::splat(0.0), x)
}

/// min(max(x, 0), 6).
#[inline(always)]
pub(crate) unsafe fn relu6<S: Simd>(x: S::V) -> S::V {
    S::min(S::splat(6.0), S::max(S::splat(0.0), x))
}

/// 1/(1 + e^(−x)).
#[inline(always)]
pub(crate) unsafe fn sigmoid<S: Simd>(x: S::V) -> S::V {
    x_sigmoid::<S>(S::splat(1.0), x)
}

/// tanh x.
#[inline(always)]
pub(crate) unsafe fn tanh<S: Simd>(x: S::V) -> S::V {
    let zero = S::splat(0.0);
    let a = S::max(x, S::sub(zero, x));
    let z = S::mul(x, x);
    let p = poly::<S, 5>(z, [-0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_08, -0.005_704_988_7]);
    let small = S::fma(S::mul(p, z), x, x);
    let e = exp::<S>(S::add(a, a));
    let big = S::sub(S::splat(1.0), S::div(S::splat(2.0), S::add(e, S::splat(1.0))));
    let big = S::select_lt(x, zero, S::sub(zero, big), big);
    S::select_lt(a, S::splat(0.625), small, big)
}

/// erf x.
#[inline(always)]
unsafe fn erf<S: Simd>(x: S::V) -> S::V {
    // From 4 on erf is 1 to f32's precision, and has to be exactly 1 for x·(1 + erf x) to vanish.
    let (low, high) = (S::splat(-4.0), S::splat(4.0));
    let z = S::min(S::mul(x, x), S::splat(16.0));
    let p = poly::<S, 7>(
        z,
        [
            -1.609_603_3e-2,
            -2.954_6e-3,
            -7.349_906_3e-4,
            -5.692_506_4e-5,
            -2.101_024e-6,
            2.770_681_4e-8,
            -2.726_142_3e-10,
        ],
    );
    let q = poly::<S, 5>(z, [-1.426_473_9e-2, -7.373_329e-3, -1.682_827e-3, -2.133_740_6e-4, -1.456_607e-5]);
    let inside = S::div(S::mul(x, p), q);
    S::select_lt(x, low, S::splat(-1.0), S::select_lt(x, high, inside, S::splat(1.0)))
}

/// 0.5·x·(1 + erf(x/√2)).
#[inline(always)]
pub(crate) unsafe fn gelu_erf<S: Simd>(x: S::V) -> S::V {
    let half = S::mul(x, S::splat(0.5));
    S::fma(half, erf::<S>(S::mul(x, S::splat(std::f32::consts::FRAC_1_SQRT_2))), half)
}
