//! The standard normal distribution, for approximations beyond the reach of exact ones.

/// P(Z ≤ z), by the complementary error function.
pub fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// P(Z > z), without the loss of digits of `1 − cdf`.
pub fn upper(z: f64) -> f64 {
    cdf(-z)
}

/// The z below which a share of the distribution lies: minus infinity at 0, infinity at 1.
///
/// A start value good to three digits (Abramowitz and Stegun 1964, 26.2.23), then Newton's steps on [`cdf`].
pub fn quantile(share: f64) -> f64 {
    if share <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if share >= 1.0 {
        return f64::INFINITY;
    }
    if share > 0.5 {
        return -quantile(1.0 - share);
    }
    let t = (-2.0 * share.ln()).sqrt();
    let over = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let under = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = over / under - t;
    for _ in 0..4 {
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        if density < f64::MIN_POSITIVE {
            break;
        }
        let step = (cdf(z) - share) / density;
        // Halley's correction: Newton's alone is slow far out.
        z -= step / (1.0 + 0.5 * z * step);
    }
    z
}
