//! f16 arithmetic, one number at a time: what the instructions compute, bit for bit, on any processor. For tests: it is slow.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)] // see the contract in mod.rs

use half::f16;

use super::Simd;

/// As [`Simd::sums_f16`].
pub(super) unsafe fn sums<S: Simd, const H: usize, const NV: usize>(
    steps: usize,
    a: *const u16,
    b: [*const u16; NV],
    stride: usize,
) -> [[S::V; NV]; H] {
    let mut out = [[S::splat(0.0); NV]; H];
    for (r, out) in out.iter_mut().enumerate() {
        for (out, b) in out.iter_mut().zip(b) {
            let mut sums = [f16::ZERO; 16];
            for step in 0..steps {
                let x = f16::from_bits(*a.add(step * H + r));
                for (c, sum) in sums.iter_mut().enumerate().take(S::W) {
                    *sum = fused(x, f16::from_bits(*b.add(step * stride + c)), *sum);
                }
            }
            *out = S::load(sums.map(f16::to_f32).as_ptr());
        }
    }
    out
}

/// a·b + c in one rounding. In f64 the product is exact, and so is the sum wherever both parts can decide the rounding: f16 have
/// 11 bits and products 22, and where these are further apart than the 53 of f64, the smaller part is far below half a unit.
fn fused(a: f16, b: f16, c: f16) -> f16 {
    round(a.to_f64() * b.to_f64() + c.to_f64())
}

/// The nearest f16, ties to even. By way of the f32 rounded to odd, which keeps what the second rounding must know; the
/// conversions of `half` from f64 round twice, or cut first.
fn round(x: f64) -> f16 {
    let near = x as f32;
    let off = f64::from(near);
    let mut bits = near.to_bits();
    if off != x && !x.is_nan() {
        bits -= u32::from(off.abs() > x.abs());
        bits |= 1;
    }
    f16::from_f32(f32::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_added_in_one_rounding() {
        let f = f16::from_f32;
        // 1 + 2⁻¹⁰ squared is 1 + 2⁻⁹ + 2⁻²⁰: the last bit is lost alone, and counts once the rest is taken away.
        let x = f(1.0 + 2f32.powi(-10));
        assert_eq!(fused(x, x, f16::ZERO), f(1.0 + 2f32.powi(-9)));
        assert_eq!(fused(x, x, f(-1.0 - 2f32.powi(-9))), f(2f32.powi(-20)));
        // 2049 lies between two f16: even wins, unless something is above it, however small.
        assert_eq!(fused(f(1.0), f(1.0), f(2048.0)), f(2048.0));
        assert_eq!(fused(x, f(1.0), f(2048.0)), f(2050.0));
        assert_eq!(round(2049.0 + 2f64.powi(-40)), f(2050.0));
        assert_eq!(round(2051.0 - 2f64.powi(-40)), f(2050.0));
        assert_eq!(round(-2049.0 - 2f64.powi(-40)), f(-2050.0));
    }

    #[test]
    fn edges_of_the_range() {
        let f = f16::from_f32;
        assert_eq!(fused(f16::MAX, f(1.0), f(15.0)), f16::MAX);
        assert_eq!(fused(f16::MAX, f(1.0), f(16.0)), f16::INFINITY);
        assert_eq!(fused(f16::MAX, f16::MAX, f16::NEG_INFINITY), f16::NEG_INFINITY);
        let least = f16::from_bits(1);
        assert_eq!(fused(least, f(0.5), f16::ZERO), f16::ZERO, "half of the least number, and 0 is even");
        assert_eq!(fused(least, f(0.5), least), f16::from_bits(2), "as far from 1 as from 2, and 2 is even");
        assert_eq!(fused(least, least, f(1.0)), f(1.0));
        assert!(fused(f16::INFINITY, f16::ZERO, f(1.0)).is_nan());
    }
}
