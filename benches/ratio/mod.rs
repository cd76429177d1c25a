//! Ratios of things measured in turns, for benches whose claim is a ratio.
#![allow(dead_code)] // each bench uses a part

use std::time::Instant;

use ditbench_backend_api::Profile;

/// A median with the range of its distribution-free interval.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// The median of some values, and the interval between two of them that covers it with at least 95 % where there are
    /// six values or more; else from the least to the greatest.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        // The most that can be cut off at each end: Σ over i ≤ cut of C(n, i)/2ⁿ ≤ 2.5 %.
        let (mut cut, mut term, mut below) = (0, 0.5f64.powi(n as i32), 0.0);
        while below + term <= 0.025 {
            below += term;
            term *= (n - cut) as f64 / (cut + 1) as f64;
            cut += 1;
        }
        let cut = cut.saturating_sub(1);
        Self { median: (values[(n - 1) / 2] + values[n / 2]) / 2.0, low: values[cut], high: values[n - 1 - cut] }
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Of what a profile does not tell of; see `seconds_of`.
        if self.median.is_nan() {
            return f.write_str("unknown: not in the profile");
        }
        write!(f, "{:.3} ({:.3} to {:.3})", self.median, self.low, self.high)
    }
}

/// Seconds that something took.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// Seconds of a profile's nodes, each `times(scope)` times, or NaN if none counts: what is not told of did not take 0.
pub fn seconds_of(profile: &Profile, times: impl Fn(&str) -> Option<usize>) -> f64 {
    let counted = profile.nodes.iter().filter_map(|node| Some(times(node.scope.as_deref()?)? as f64 * node.duration_s));
    counted.reduce(|a, b| a + b).unwrap_or(f64::NAN)
}

/// b's time over a's, `pairs` times in the order a b b a, after one run of each that does not count: whatever drifts
/// touches both alike.
pub fn ratio(pairs: usize, mut a: impl FnMut() -> f64, mut b: impl FnMut() -> f64) -> Estimate {
    a();
    b();
    Estimate::of((0..pairs).map(|_| {
        let (a1, b1, b2, a2) = (a(), b(), b(), a());
        (b1 + b2) / (a1 + a2)
    }))
}

/// One line of a result: what, the ratio, what it should be.
pub fn line(what: &str, estimate: Estimate, wanted: &str) {
    println!("{what:58} {estimate:28} {wanted}", estimate = estimate.to_string());
}
