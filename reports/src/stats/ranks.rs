//! Rank tests: do two sets of samples differ, and how clearly?
//!
//! Contract: exact where the exact distribution is affordable, with ties too; else the normal approximation with tie and
//! continuity corrections, and the result says which. Two-sided: 2·min(P(≤), P(≥)), at most 1, as SciPy has it.

use serde::{Deserialize, Serialize};

use super::{all_finite, normal, null};

/// Up to this product of sample sizes, the Mann-Whitney distribution without ties is exact (50 against 50).
const EXACT_PRODUCT: usize = 2500;
/// Up to this many values in all, it is exact with ties.
const EXACT_TIED: usize = 60;
/// Up to this many differences, the signed-rank distribution is exact.
const EXACT_SIGNED: usize = 100;

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankTest {
    /// U, or the signed-rank sum of positive differences.
    pub statistic: f64,
    /// The chance of a statistic at least this far from the middle if nothing has changed.
    pub p: f64,
    /// From the exact distribution, not the normal approximation.
    pub exact: bool,
}

/// The Mann-Whitney U test (1947) of two independent samples. The statistic counts the pairs in which `head` is larger than
/// `base`, ties as a half. `None` if a side is empty or a value not finite.
pub fn mann_whitney(base: &[f64], head: &[f64]) -> Option<RankTest> {
    let (m, n) = (base.len(), head.len());
    if m == 0 || n == 0 || !all_finite(base) || !all_finite(head) {
        return None;
    }
    let all: Vec<f64> = head.iter().chain(base).copied().collect();
    let (doubled, ties) = null::doubled_midranks(&all);
    let sum: usize = doubled[..n].iter().sum();
    let statistic = (sum as f64 - (n * (n + 1)) as f64) / 2.0;
    if ties == 0.0 && m * n <= EXACT_PRODUCT {
        let u = statistic as usize;
        return Some(RankTest { statistic, p: null::two_sided(&null::mann_whitney(m, n), u), exact: true });
    }
    if ties > 0.0 && m + n <= EXACT_TIED {
        let p = null::two_sided(&null::subset_sums(&doubled, n), sum);
        return Some(RankTest { statistic, p, exact: true });
    }
    let (pairs, all) = ((m * n) as f64, (m + n) as f64);
    let variance = pairs / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    Some(RankTest { statistic, p: approximate(statistic, pairs / 2.0, variance), exact: false })
}

/// Wilcoxon's signed-rank test (1945) of paired samples, given their differences. Differences of zero say nothing and are
/// left out, as Wilcoxon did; of zeros alone p is 1. `None` if there is none or one is not finite.
pub fn signed_rank(differences: &[f64]) -> Option<RankTest> {
    if differences.is_empty() || !all_finite(differences) {
        return None;
    }
    let kept: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if kept.is_empty() {
        return Some(RankTest { statistic: 0.0, p: 1.0, exact: true });
    }
    let sizes: Vec<f64> = kept.iter().map(|difference| difference.abs()).collect();
    let (doubled, ties) = null::doubled_midranks(&sizes);
    let plus: usize =
        doubled.iter().zip(&kept).filter(|(_, difference)| **difference > 0.0).map(|(rank, _)| rank).sum();
    let statistic = plus as f64 / 2.0;
    if kept.len() <= EXACT_SIGNED {
        return Some(RankTest { statistic, p: null::two_sided(&null::signed_sums(&doubled), plus), exact: true });
    }
    let n = kept.len() as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    Some(RankTest { statistic, p: approximate(statistic, n * (n + 1.0) / 4.0, variance), exact: false })
}

/// Two-sided p of the normal approximation with continuity correction.
fn approximate(statistic: f64, mean: f64, variance: f64) -> f64 {
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((statistic - mean).abs() - 0.5) / variance.sqrt();
    (2.0 * normal::upper(z)).min(1.0)
}

/// Cliff's delta (1993): of all pairs, the share in which `head` is larger less the share in which it is smaller. −1..1;
/// 0.147, 0.33 and 0.474 are the usual bounds of negligible, small and medium (Romano et al. 2006). `None` as [`mann_whitney`].
pub fn cliffs_delta(base: &[f64], head: &[f64]) -> Option<f64> {
    let (m, n) = (base.len(), head.len());
    if m == 0 || n == 0 || !all_finite(base) || !all_finite(head) {
        return None;
    }
    let all: Vec<f64> = head.iter().chain(base).copied().collect();
    let doubled: usize = null::doubled_midranks(&all).0[..n].iter().sum();
    // 2U ÷ mn − 1.
    Some((doubled as f64 - (n * (n + 1)) as f64) / (m * n) as f64 - 1.0)
}
