//! High percentiles, where there are samples enough to say them.
//!
//! Contract: p90 takes 64 samples and p99 takes 662, the counts from which MLPerf's load generator lets a server stop early
//! (`early_stopping.cc` in mlcommons/inference: the fewest queries that bound the percentile with 99 % confidence). With
//! fewer the answer is how many it takes, not a number.

use super::{interval::TooFew, sorted};

/// The fewest samples for a percentile: 64 up to p90, 662 above.
pub fn needed(percent: u32) -> usize {
    if percent > 90 { 662 } else { 64 }
}

/// The nearest-rank percentile: the smallest sample that `percent` of all samples do not exceed.
///
/// # Errors
/// [`TooFew`]: less than [`needed`].
pub fn percentile(samples: &[f64], percent: u32) -> Result<f64, TooFew> {
    let (have, needed) = (samples.len(), needed(percent));
    if have < needed {
        return Err(TooFew { have, needed });
    }
    let rank = (f64::from(percent) / 100.0 * have as f64).ceil() as usize;
    Ok(sorted(samples)[rank.clamp(1, have) - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_with_enough() {
        assert_eq!(percentile(&[1.0; 63], 90), Err(TooFew { have: 63, needed: 64 }));
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 90), Ok(90.0));
        assert_eq!(percentile(&values, 99), Err(TooFew { have: 100, needed: 662 }));
        let many: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(percentile(&many, 99), Ok(990.0));
    }
}
