//! The median, and an interval that holds it whatever the distribution.
//!
//! Contract: the interval is a pair of order statistics, as in the sign test. It exists only where there are enough values
//! (six for 95 %); below, the answer says how many it takes.

use serde::{Deserialize, Serialize};

use super::sorted;

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Half of its width.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether the value lies in it, ends included.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Why there is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} samples are needed, there {}", if *.have == 1 { "is 1".to_owned() } else { format!("are {have}") })]
pub struct TooFew {
    /// Samples that there are.
    pub have: usize,
    /// Samples that it takes.
    pub needed: usize,
}

/// The middle value, or the mean of the two middle ones. `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The fewest values that have an interval of the median: 2·(1/2)ⁿ ≤ 1 − confidence. 6 for 95 %, 8 for 99 %.
pub fn fewest_for_median(confidence: f64) -> usize {
    let miss = (1.0 - confidence).max(f64::MIN_POSITIVE);
    // A little slack, so that a confidence of exactly 1 − 2^(1−n) counts.
    (1.0 - miss.log2() - 1e-9).ceil().max(1.0) as usize
}

/// The narrowest symmetric pair of order statistics that holds the median with at least this confidence (0..1).
///
/// # Errors
/// [`TooFew`]: below [`fewest_for_median`] even the smallest and the largest value together do not reach it.
pub fn of_median(values: &[f64], confidence: f64) -> Result<Interval, TooFew> {
    let sorted = sorted(values);
    let n = sorted.len();
    // Cumulative binomial(n, 1/2), in logarithms so that large n does not underflow to a wrong answer.
    let (mut term, mut below, mut depth) = (-(n as f64) * std::f64::consts::LN_2, 0.0, 0);
    for k in 0..n / 2 {
        below += term.exp();
        if 2.0 * below > (1.0 - confidence) * (1.0 + 1e-12) {
            break;
        }
        depth = k + 1;
        term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    if depth == 0 {
        return Err(TooFew { have: n, needed: fewest_for_median(confidence) });
    }
    Ok(Interval { low: sorted[depth - 1], high: sorted[n - depth] })
}

/// As [`of_median`], for callers that need no reason.
pub fn median_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    of_median(values, confidence).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(of_median(&values[..6], 0.95), Ok(Interval { low: 1.0, high: 6.0 }));
        // Tables of the sign test: n = 10 gives the second and the ninth (97.9 %).
        assert_eq!(of_median(&values, 0.95), Ok(Interval { low: 2.0, high: 9.0 }));
    }

    #[test]
    fn too_few_is_said() {
        let error = of_median(&[1.0; 5], 0.95).unwrap_err();
        assert_eq!(error, TooFew { have: 5, needed: 6 });
        assert_eq!(error.to_string(), "6 samples are needed, there are 5");
        assert_eq!(of_median(&[1.0], 0.99).unwrap_err().to_string(), "8 samples are needed, there is 1");
        for confidence in [0.5, 0.9, 0.95, 0.99, 0.999] {
            let fewest = fewest_for_median(confidence);
            assert!(of_median(&vec![1.0; fewest], confidence).is_ok(), "{confidence}");
            assert!(fewest < 2 || of_median(&vec![1.0; fewest - 1], confidence).is_err(), "{confidence}");
        }
    }
}
