//! By how much do two sets of samples differ? The Hodges-Lehmann estimate with its exact interval.
//!
//! Contract: estimate and interval are the ones that belong to the rank tests: a value is in the interval exactly if the
//! test, with that value taken off, would not reject it (ties make it wider, never narrower). Given logarithms of times, a
//! shift is the logarithm of a ratio: [`ratio`] undoes it. Beyond the exact distributions' reach, the order of the interval's
//! ends is by the normal approximation (Hollander and Wolfe, *Nonparametric Statistical Methods*, 1999, sections 3.3 and
//! 4.3), rounded to the wider side.

use serde::{Deserialize, Serialize};

use super::{Interval, all_finite, normal, null};

/// As in [`super::ranks`]: 50 against 50, and 100 differences.
const EXACT_PRODUCT: usize = 2500;
const EXACT_SIGNED: usize = 100;

/// A shift: head less base.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The median of all differences between a head and a base sample; paired, of all means of two differences.
    pub estimate: f64,
    /// Its interval; `None` if there are too few samples for the confidence asked for.
    pub interval: Option<Interval>,
    /// The interval's ends are exact, not by the normal approximation.
    pub exact: bool,
}

/// Logarithms of positive values. `None` if one is not positive or not finite: there is no ratio to a time of zero.
pub fn logs(values: &[f64]) -> Option<Vec<f64>> {
    values.iter().map(|value| (value.is_finite() && *value > 0.0).then(|| value.ln())).collect()
}

/// A shift of logarithms as a relative change: 0.05 is 5 % more.
pub fn ratio(log_shift: f64) -> f64 {
    log_shift.exp_m1()
}

/// The shift between independent samples. Takes m·n numbers of memory. `None` if a side is empty or a value not finite.
pub fn independent(base: &[f64], head: &[f64], confidence: f64) -> Option<Shift> {
    let (m, n) = (base.len(), head.len());
    if !all_finite(base) || !all_finite(head) {
        return None;
    }
    let differences: Vec<f64> = head.iter().flat_map(|h| base.iter().map(move |b| h - b)).collect();
    let pairs = m * n;
    let exact = pairs <= EXACT_PRODUCT;
    let miss = (1.0 - confidence) / 2.0;
    let depth = if exact {
        null::depth(&null::mann_whitney(m, n), miss)
    } else {
        let pairs = pairs as f64;
        let spread = (pairs * (m + n + 1) as f64 / 12.0).sqrt();
        (pairs / 2.0 + normal::quantile(miss) * spread).floor().max(0.0) as usize
    };
    of_differences(differences, depth, exact)
}

/// The shift of paired samples, given their differences (head less base of each pair). `None` if there is none or one is not finite.
pub fn paired(differences: &[f64], confidence: f64) -> Option<Shift> {
    if !all_finite(differences) {
        return None;
    }
    let n = differences.len();
    // Walsh averages: means of all pairs of differences, each with itself too.
    let walsh: Vec<f64> =
        (0..n).flat_map(|i| differences[i..].iter().map(move |other| (differences[i] + other) / 2.0)).collect();
    let exact = n <= EXACT_SIGNED;
    let miss = (1.0 - confidence) / 2.0;
    let depth = if exact {
        let ranks: Vec<usize> = (1..=n).collect();
        null::depth(&null::signed_sums(&ranks), miss)
    } else {
        let (n, count) = (n as f64, walsh.len() as f64);
        let spread = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        (count / 2.0 + normal::quantile(miss) * spread).floor().max(0.0) as usize
    };
    of_differences(walsh, depth, exact)
}

/// The median, and the `depth`-th values from either end. A depth of 0: no interval.
fn of_differences(mut differences: Vec<f64>, depth: usize, exact: bool) -> Option<Shift> {
    let count = differences.len();
    if count == 0 {
        return None;
    }
    differences.sort_unstable_by(f64::total_cmp);
    let estimate = (differences[(count - 1) / 2] + differences[count / 2]) / 2.0;
    let interval = (depth > 0 && depth <= count.div_ceil(2))
        .then(|| Interval { low: differences[depth - 1], high: differences[count - depth] });
    Some(Shift { estimate, interval, exact })
}
