//! Do samples fall into two groups? Then the median of all describes neither.
//!
//! Contract: the test is for a gap, and exact for what it tests. Among samples of one flat group, the n − 1 spacings are
//! spread evenly over the range, and P(largest share > g) = Σₖ (−1)ᵏ⁺¹ C(n−1, k) (1 − k·g)ⁿ⁻² (Fisher, *Proc. R. Soc. A* 125,
//! 1929, "Tests of significance in harmonic analysis"; David and Nagaraja, *Order Statistics*, 2003, section 6.4). A flat
//! group has the widest inner gaps of all with one mode, so the test errs to the side of one group. The tenth of the values
//! at either end is set aside first, so that outliers do not stretch the range, and a group needs a fifth of the values and
//! two at least: one far value is an outlier. Groups that overlap are not seen.

use serde::{Deserialize, Serialize};

use super::{all_finite, median, sorted};

/// A gap smaller than this share of the lower group's median is of no interest, however clear.
pub const LEAST_GAP: f64 = 0.05;
/// The chance with which samples of one group may be taken for two.
pub const SIGNIFICANCE: f64 = 0.05;

/// Two groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// Median of the lower group.
    pub low: f64,
    /// Median of the upper group.
    pub high: f64,
    /// Values in the lower group.
    pub low_count: usize,
    /// Values in the upper group.
    pub high_count: usize,
    /// The chance of such a gap in samples of one flat group.
    pub p: f64,
}

/// The two groups of positive values, if there are two. At least 4 values, two in each.
pub fn two(values: &[f64]) -> Option<Modes> {
    let sorted = sorted(values);
    let n = sorted.len();
    if n < 4 || !all_finite(values) || sorted[0] <= 0.0 {
        return None;
    }
    let aside = n / 10;
    let kept = &sorted[aside..n - aside];
    let least = n.div_ceil(5).max(2);
    // A cut at `place`: the values below it are the lower group.
    let gap = |place: usize| sorted[place] - sorted[place - 1];
    let cut = (least..=n - least).max_by(|&a, &b| gap(a).total_cmp(&gap(b)))?;
    let range = kept[kept.len() - 1] - kept[0];
    if gap(cut) <= 0.0 || range <= 0.0 {
        return None;
    }
    let p = largest_spacing(kept.len(), (gap(cut) / range).min(1.0));
    let (lower, upper) = sorted.split_at(cut);
    let (low, high) = median(lower).zip(median(upper))?;
    (p <= SIGNIFICANCE && gap(cut) > LEAST_GAP * low).then_some(Modes {
        low,
        high,
        low_count: lower.len(),
        high_count: upper.len(),
        p,
    })
}

/// P(largest of the n − 1 spacings > share of the range) for n uniform values whose range is given: n − 2 of them lie
/// anywhere between the ends.
fn largest_spacing(n: usize, share: f64) -> f64 {
    let spacings = (n - 1) as f64;
    let (mut sum, mut choose, mut sign) = (0.0, 1.0, 1.0);
    for k in 1..n {
        let left = 1.0 - k as f64 * share;
        if left <= 0.0 {
            break;
        }
        choose *= (spacings - k as f64 + 1.0) / k as f64;
        let term = choose * left.powi(n as i32 - 2);
        sum += sign * term;
        sign = -sign;
        // Small shares of many values alternate between huge terms; there the answer is 1.
        if term > 1e6 {
            return 1.0;
        }
    }
    sum.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Random;

    #[test]
    fn largest_spacing_is_the_chance_it_says() {
        let mut random = Random::new(3);
        for (n, share) in [(4, 0.7), (6, 0.5), (20, 0.25)] {
            let rounds = 20_000;
            let hits = (0..rounds)
                .filter(|_| {
                    let inner: Vec<f64> = (0..n - 2).map(|_| random.uniform()).collect();
                    let all = sorted(&[&[0.0, 1.0], inner.as_slice()].concat());
                    all.windows(2).any(|pair| pair[1] - pair[0] > share)
                })
                .count();
            let (found, want) = (hits as f64 / f64::from(rounds), largest_spacing(n, share));
            assert!((found - want).abs() < 0.012, "{n} {share}: {found} against {want}");
        }
        // Three spacings, two free values: P(> g) = 3(1−g)² for g ≥ 1/2.
        assert!((largest_spacing(4, 0.6) - 3.0 * 0.16).abs() < 1e-12);
    }

    #[test]
    fn two_groups_are_seen_and_one_is_not() {
        let found = two(&[1.0, 1.2, 1.01, 1.21, 1.0, 1.2]).unwrap();
        assert_eq!((found.low, found.high, found.low_count, found.high_count), (1.0, 1.2, 3, 3));
        assert_eq!(two(&[1.0, 1.05, 1.1, 1.15, 1.2, 1.25]), None);
        // One far value is an outlier, not a group.
        assert_eq!(two(&[1.0, 1.01, 1.0, 1.01, 1.02, 3.0]), None);
        // A clear gap of half a percent is of no interest.
        assert_eq!(two(&[1.0, 1.0, 1.0, 1.005, 1.005, 1.005]), None);
        assert_eq!(two(&[1.0, 2.0, 1.0]), None);
        // Two groups beside an outlier.
        let mut values: Vec<f64> =
            (0..20).map(|i| if i % 2 == 0 { 1.0 } else { 1.15 } + 0.001 * f64::from(i)).collect();
        values.push(9.0);
        assert!(two(&values).is_some());
    }

    #[test]
    fn one_normal_group_is_seldom_taken_for_two() {
        let mut random = Random::new(11);
        for n in [6, 12, 30, 100] {
            let wrong = (0..500)
                .filter(|_| {
                    let values: Vec<f64> = (0..n).map(|_| 10.0 + 2.0 * random.normal()).collect();
                    two(&values).is_some()
                })
                .count();
            assert!(wrong <= 25, "{n}: {wrong} of 500");
        }
    }
}
