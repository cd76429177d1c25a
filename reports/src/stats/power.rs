//! What a number of launches can see: the smallest change, and how many launches a change takes.
//!
//! Contract: a change is *seen* if the whole interval of its shift lies above the threshold. These are plans, not tests:
//! noise is taken as normal, and the efficiency of the Hodges-Lehmann estimate as 3/π (Hodges and Lehmann 1963). Changes,
//! thresholds and noise are all on the scale of the samples; for times that is the logarithm, where 0.05 is about 5 %.

use super::normal;

/// The chance with which a change is to be seen, by convention (Cohen 1988).
pub const USUAL_POWER: f64 = 0.8;
/// More launches than this are not worth planning.
pub const MOST: usize = 10_000;

/// The fewest launches on each side for which independent samples have an interval: 2 ÷ C(2n, n) ≤ 1 − confidence. 4 for
/// 95 %, 5 for 99 %.
pub fn fewest_independent(confidence: f64) -> usize {
    // C(2n, n) = C(2n−2, n−1) · 2(2n−1)/n.
    let (mut n, mut p) = (1, 1.0);
    while p > (1.0 - confidence) * (1.0 + 1e-12) && n < MOST {
        n += 1;
        p *= n as f64 / (2.0 * (2 * n - 1) as f64);
    }
    n
}

/// The fewest pairs for which paired samples have an interval: 2 ÷ 2ⁿ ≤ 1 − confidence. 6 for 95 %, 8 for 99 %.
pub fn fewest_paired(confidence: f64) -> usize {
    super::interval::fewest_for_median(confidence)
}

/// The standard error of a shift between `base` and `head` independent samples whose noise has this standard deviation.
pub fn standard_error(noise: f64, base: usize, head: usize) -> f64 {
    noise * (std::f64::consts::FRAC_PI_3 * (1.0 / base as f64 + 1.0 / head as f64)).sqrt()
}

/// How many standard errors an interval of small samples reaches: Student's quantile, by the first terms of its expansion
/// around the normal one (Abramowitz and Stegun 1964, 26.7.5). Rank intervals of few launches are as much wider.
fn reach(confidence: f64, degrees: usize) -> f64 {
    let (z, v) = (normal::quantile((1.0 + confidence) / 2.0), degrees.max(1) as f64);
    let (z3, z5) = (z.powi(3), z.powi(5));
    z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
}

/// The smallest change that `base` and `head` independent launches see with the given chance: the whole interval then lies
/// above the threshold. `None` where there is no interval at all.
pub fn smallest_detectable(
    noise: f64,
    base: usize,
    head: usize,
    threshold: f64,
    confidence: f64,
    power: f64,
) -> Option<f64> {
    // Exact: the smallest p of so many launches. C(m+n, m) as a product.
    let least_p = (1..=base.min(head)).fold(2.0, |p, k| p * k as f64 / (base.max(head) + k) as f64);
    if base.min(head) == 0 || least_p > (1.0 - confidence) * (1.0 + 1e-12) {
        return None;
    }
    let errors = reach(confidence, base + head - 2) + normal::quantile(power);
    Some(threshold + errors * standard_error(noise, base, head))
}

/// The same from an interval that there is: from its half width rather than from the noise, so that paired launches and
/// heavy tails are as sharp as they are.
pub fn detectable_from_interval(half_width: f64, threshold: f64, confidence: f64, power: f64) -> f64 {
    let error = half_width / normal::quantile((1.0 + confidence) / 2.0);
    threshold + half_width + normal::quantile(power) * error
}

/// Launches on each side that see a change with the given chance; `None` if the change is not above the threshold, or more
/// than [`MOST`] would be needed.
pub fn launches_for(noise: f64, change: f64, threshold: f64, confidence: f64, power: f64) -> Option<usize> {
    if change <= threshold {
        return None;
    }
    let sees = |n| smallest_detectable(noise, n, n, threshold, confidence, power).is_some_and(|seen| seen <= change);
    // The reach falls as n rises, so halving finds the first n that sees it.
    let (mut low, mut high) = (fewest_independent(confidence), MOST);
    if !sees(high) {
        return None;
    }
    while low < high {
        let middle = (low + high) / 2;
        if sees(middle) { high = middle } else { low = middle + 1 }
    }
    Some(low)
}

/// Launches on each side with which an interval of this half width, from `launches` on each side, would shrink to `wanted`:
/// it shrinks with the square root. `None` if nothing is wanted, or more than [`MOST`] would be needed.
pub fn launches_to_shrink(half_width: f64, launches: usize, wanted: f64) -> Option<usize> {
    let needed = launches as f64 * (half_width / wanted).powi(2);
    (wanted > 0.0 && needed.is_finite() && needed <= MOST as f64).then(|| (needed.ceil() as usize).max(launches))
}
