//! What is known of one number of one configuration, and whether that keeps a bound.
//!
//! Contract: the interval counts, not the point. A bound is kept when the whole 95 % interval keeps it, missed when none of it
//! does, and otherwise not sure, with how many launches would settle it. Fewer than six launches have no such interval, and
//! so are never sure.

use serde::Serialize;

use super::question::Bound;
use crate::metric::Figure;
use crate::stats::{Interval, all_finite, interval, median, median_interval, power};

/// With which chance a bound must hold.
pub const CONFIDENCE: f64 = 0.95;

/// What is known of a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Known {
    /// A number of each launch: independent samples.
    Launches(Vec<f64>),
    /// The same whenever it is measured again; or with an interval of its own that no launch makes narrower.
    Value(Figure),
    /// Nothing, because.
    Unknown(String),
}

/// Whether a bound holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// With 95 %.
    Yes,
    /// It does not, with 95 %.
    No,
    /// Too little is known.
    Unsure,
}

/// How a configuration stands under a bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The bound.
    pub bound: Bound,
    /// Whether it holds.
    pub holds: Holds,
    /// The number: the median over launches.
    pub value: Option<f64>,
    /// Where it lies with 95 %.
    pub interval: Option<Interval>,
    /// Launches that it is of; `None` where it is of none.
    pub launches: Option<usize>,
    /// Further launches that would make it sure, roughly; `None` where it is sure, or launches do not help.
    pub more: Option<usize>,
    /// Why it is not sure.
    pub why: Option<String>,
}

impl Known {
    /// The number itself.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Launches(values) => median(values).filter(|_| all_finite(values)),
            Self::Value(figure) => Some(figure.value),
            Self::Unknown(_) => None,
        }
    }

    /// Where it lies with 95 %; a point where it is the same whenever it is measured.
    pub fn interval(&self) -> Option<Interval> {
        match self {
            Self::Launches(values) => median_interval(values, CONFIDENCE).filter(|_| all_finite(values)),
            Self::Value(Figure { value, low, high }) => {
                Some(Interval { low: low.unwrap_or(*value), high: high.unwrap_or(*value) })
            }
            Self::Unknown(_) => None,
        }
    }

    /// Launches that it is of.
    pub fn launches(&self) -> Option<usize> {
        match self {
            Self::Launches(values) => Some(values.len()),
            Self::Value(_) | Self::Unknown(_) => None,
        }
    }

    /// How it stands under a bound.
    pub fn under(&self, bound: &Bound) -> Standing {
        let interval = self.interval();
        let holds = match interval {
            Some(Interval { low, high }) if bound.keeps(low) && bound.keeps(high) => Holds::Yes,
            Some(Interval { low, high }) if !bound.keeps(low) && !bound.keeps(high) => Holds::No,
            Some(_) | None => Holds::Unsure,
        };
        let (more, why) = match (holds, self) {
            (Holds::Yes | Holds::No, _) => (None, None),
            (Holds::Unsure, Self::Launches(values)) => more(values, bound),
            (Holds::Unsure, Self::Value(_)) => {
                (None, Some("the limit lies within its interval, which launches do not make narrower".to_owned()))
            }
            (Holds::Unsure, Self::Unknown(why)) => (None, Some(why.clone())),
        };
        Standing { bound: *bound, holds, value: self.value(), interval, launches: self.launches(), more, why }
    }
}

/// How many further launches would settle it, and why it is not settled.
fn more(values: &[f64], bound: &Bound) -> (Option<usize>, Option<String>) {
    let (have, fewest) = (values.len(), interval::fewest_for_median(CONFIDENCE));
    let Some(median) = median(values).filter(|_| all_finite(values)) else {
        return (None, Some("a launch gave no number".to_owned()));
    };
    // Of too few launches for an interval the range stands in for it: with six it is the interval.
    let ends = median_interval(values, CONFIDENCE).or_else(|| {
        let low = values.iter().copied().reduce(f64::min)?;
        Some(Interval { low, high: values.iter().copied().reduce(f64::max)? })
    });
    let half = ends.map_or(0.0, |ends| (ends.high - median).max(median - ends.low));
    let needed = power::launches_to_shrink(half, have, (median - bound.limit).abs());
    if have < fewest {
        let why = format!("{have} of the {fewest} launches that an interval takes");
        return (Some(needed.unwrap_or(fewest).max(fewest) - have), Some(why));
    }
    let why = "its interval contains the limit".to_owned();
    match needed {
        Some(needed) => (Some(needed.max(have + 1) - have), Some(why)),
        None => {
            (None, Some(format!("{why}, and the median is too near the limit for any reasonable number of launches")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metric;

    fn under(values: &[f64]) -> Standing {
        Known::Launches(values.to_vec()).under(&Bound::at_most(Metric::IMAGE, 2.0))
    }

    #[test]
    fn the_interval_counts_and_not_the_point() {
        assert_eq!(under(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5]).holds, Holds::Yes);
        assert_eq!(under(&[2.1, 2.1, 2.2, 2.3, 2.4, 2.5]).holds, Holds::No);
        let near = under(&[1.0, 1.1, 1.2, 1.3, 1.4, 2.5]);
        assert_eq!((near.holds, near.value), (Holds::Unsure, Some(1.25)), "the median alone would keep it");
        assert!(near.more.is_some_and(|more| more > 0) && near.why.unwrap().contains("contains the limit"));
    }

    #[test]
    fn few_launches_are_never_sure_and_say_how_many_more() {
        for have in 1..6 {
            let few = under(&vec![0.1; have]);
            assert_eq!((few.holds, few.more), (Holds::Unsure, Some(6 - have)), "{have}");
        }
        let wide = under(&[1.0, 2.8]);
        assert!(wide.more.unwrap() > 4, "a wide range near the limit takes more than six: {:?}", wide.more);
        let none = under(&[]);
        assert_eq!((none.holds, none.more), (Holds::Unsure, None));
    }

    #[test]
    fn what_lies_on_the_limit_is_never_settled() {
        let on = under(&[1.9, 2.0, 2.0, 2.0, 2.0, 2.1]);
        assert_eq!((on.holds, on.more), (Holds::Unsure, None));
        assert!(on.why.unwrap().contains("too near"));
    }

    #[test]
    fn values_are_judged_as_they_are_and_nothing_is_no_number() {
        let quality = Bound::at_least(Metric::SSIMULACRA2, 70.0);
        let of = |value: f64| Known::Value(value.into()).under(&quality).holds;
        assert_eq!(
            (of(70.0), of(69.9), of(f64::INFINITY), of(f64::NAN)),
            (Holds::Yes, Holds::No, Holds::Yes, Holds::No)
        );
        let wide = Known::Value(Figure { value: 0.9, low: Some(0.8), high: Some(0.95) });
        let standing = wide.under(&Bound::at_least(Metric::RETRIEVAL, 0.85));
        assert_eq!((standing.holds, standing.more), (Holds::Unsure, None));
        let unknown = Known::Unknown("no sensor".into()).under(&quality);
        assert_eq!((unknown.holds, unknown.why.as_deref()), (Holds::Unsure, Some("no sensor")));
        assert_eq!(under(&[f64::NAN; 8]).holds, Holds::Unsure, "a launch that gave no number proves nothing");
    }
}
