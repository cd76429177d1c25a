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
