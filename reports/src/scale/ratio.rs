//! How many times as large one set of launches is as another.

use serde::Serialize;

use super::law::CONFIDENCE;
use crate::stats::{Interval, shift};

/// A ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The typical one of all pairs of launches (Hodges-Lehmann, of logarithms).
    pub value: f64,
    /// Where it lies with 95 %; `None` where there are too few launches.
    pub interval: Option<Interval>,
}

/// How many times as large `head` is as `base`; `None` if one of them has nothing above zero.
pub fn ratio(base: &[f64], head: &[f64]) -> Option<Ratio> {
    let found = shift::independent(&shift::logs(base)?, &shift::logs(head)?, CONFIDENCE)?;
    let interval = found.interval.map(|Interval { low, high }| Interval { low: low.exp(), high: high.exp() });
    Some(Ratio { value: found.estimate.exp(), interval })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_launches_on_either_side_are_the_fewest_with_an_interval() {
        let seconds = [1.0, 1.01, 1.02, 1.03];
        let twice = seconds.map(|second| 2.0 * second);
        let of = |count: usize| ratio(&seconds[..count], &twice[..count]).unwrap();
        assert!((of(4).value - 2.0).abs() < 1e-9 && of(4).interval.is_some_and(|ends| ends.holds(2.0)));
        assert_eq!(of(3).interval, None);
        assert_eq!(ratio(&[0.0], &seconds), None);
    }
}
