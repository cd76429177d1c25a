//! A power law t = a·xᵇ through measured points: fitted, tried on points that were held out, and used to foretell.
//!
//! Contract: a straight line through logarithms, by least squares; the intervals are those of [`crate::stats::line`], so they take
//! what lies off the law for noise. A bend (a cache that is outgrown, a part that grows faster) is no noise: whether the law holds is
//! judged by the largest point alone, foretold from the others, and an interval too wide to tell a bend judges nothing. What is
//! foretold is marked as such and never becomes a measurement.

use serde::Serialize;

use super::axis::Place;
use crate::record::Reading;
use crate::stats::Interval;
use crate::stats::line::{self, Line};

/// With which chance an interval holds.
pub const CONFIDENCE: f64 = 0.95;
/// Points from which on what is foretold of one more has an interval.
pub const FEWEST: usize = 3;
/// Ends of an interval that are further apart than this factor do not check a law: nearly everything would lie in it.
pub const WIDEST: f64 = 1.5;

/// A power law.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Law {
    /// b of a·xᵇ.
    pub exponent: f64,
    /// Where it lies with 95 %; `None` of two points, which every law goes through.
    pub interval: Option<Interval>,
    /// By which factor the points typically lie off the law, as a share (0.05 is 5 %); `None` of two points.
    pub deviation: Option<f64>,
    /// Points that it is of.
    pub points: usize,
    #[serde(skip)]
    line: Line,
}

impl Law {
    /// The law through (x, value).
    pub fn fit(points: &[(f64, f64)]) -> Reading<Self> {
        let mut places: Vec<f64> = points.iter().map(|point| point.0).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        if places.len() < 2 {
            return Reading::absent("one point has no exponent");
        }
        let log = |(x, value): &(f64, f64)| (x.ln(), value.ln());
        let Some(line) = line::fit(&points.iter().map(log).collect::<Vec<_>>()) else {
            return Reading::absent("a point is not above zero, and has no logarithm");
        };
        Reading::Ok(Self {
            exponent: line.slope,
            interval: line.slope_interval(CONFIDENCE),
            deviation: line.deviation.map(f64::exp_m1),
            points: line.points,
            line,
        })
    }

    /// What it says of a place.
    pub fn at(&self, x: f64) -> f64 {
        self.line.at(x.ln()).exp()
    }

    /// Where one more measured point would lie with 95 %: wider than where the law itself does.
    pub fn prediction(&self, x: f64) -> Option<Interval> {
        let found = self.line.prediction(x.ln(), CONFIDENCE)?;
        Some(Interval { low: found.low.exp(), high: found.high.exp() })
    }
}

/// A measured point that was left out and foretold from the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// The point.
    pub at: Place,
    /// Where it lies.
    pub x: f64,
    /// Its measured value.
    pub measured: f64,
    /// What the others say of it.
    pub predicted: f64,
    /// Where the others say that it lies with 95 %; `None` of two others.
    pub interval: Option<Interval>,
    /// What that says of the law.
    pub check: Check,
    /// The law of the others.
    #[serde(skip)]
    pub law: Law,
}

impl HeldOut {
    /// How far the measured value is off what was foretold: 0.1 is 10 % more.
    pub fn off(&self) -> f64 {
        self.measured / self.predicted - 1.0
    }
}

/// Leaves out each place in turn, the largest last. A place that is the only other one leaves no law.
pub fn hold_out(points: &[(Place, f64)]) -> Vec<HeldOut> {
    let mut held: Vec<HeldOut> = Vec::new();
    for (place, measured) in points {
        let others: Vec<(f64, f64)> =
            points.iter().filter(|(other, _)| other.x != place.x).map(|(other, value)| (other.x, *value)).collect();
        let Reading::Ok(law) = Law::fit(&others) else { continue };
        let interval = law.prediction(place.x);
        held.push(HeldOut {
            at: place.clone(),
            x: place.x,
            measured: *measured,
            predicted: law.at(place.x),
            interval,
            check: Check::of(interval, *measured),
            law,
        });
    }
    held.sort_by(|a, b| a.x.total_cmp(&b.x));
    held
}

/// What a point that was held out says of a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// It lies where the others foretold, within an interval whose ends are at most a factor of [`WIDEST`] apart.
    Held,
    /// It does not lie in its interval, however wide that is.
    Missed,
    /// It lies in an interval that is wider: it could have lain nearly anywhere.
    Vague,
    /// There are too few points to foretell it with an interval.
    Unknown,
}

impl Check {
    fn of(interval: Option<Interval>, measured: f64) -> Self {
        match interval {
            None => Self::Unknown,
            Some(interval) if !interval.holds(measured) => Self::Missed,
            Some(Interval { low, high }) if high / low > WIDEST => Self::Vague,
            Some(_) => Self::Held,
        }
    }
}

/// Whether a law holds to the end of what was measured, by the largest point: with every point judged, one in twenty would miss by
/// chance alone.
pub fn check(held: &[HeldOut]) -> Check {
    held.last().map_or(Check::Unknown, |largest| largest.check)
}

/// What a law foretells of a place that was not measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predicted {
    /// The place.
    pub at: Place,
    /// The value.
    pub predicted: f64,
    /// Where a measurement would lie with 95 %, if the law holds there; `None` of two points.
    pub interval: Option<Interval>,
    /// Where it lies against what was measured.
    pub reach: Reach,
    /// Always `false`: what is foretold is not measured.
    pub measured: bool,
}

/// Where a place lies against the measured ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Between the smallest and the largest.
    Within,
    /// It is so many times as large as the largest.
    Above(f64),
    /// The smallest is so many times as large as it.
    Below(f64),
}

/// Foretells; `smallest` and `largest` are of the measured places.
pub fn predict(law: &Law, at: &Place, (smallest, largest): (f64, f64)) -> Predicted {
    let reach = if at.x > largest {
        Reach::Above(at.x / largest)
    } else if at.x < smallest {
        Reach::Below(smallest / at.x)
    } else {
        Reach::Within
    };
    Predicted { at: at.clone(), predicted: law.at(at.x), interval: law.prediction(at.x), reach, measured: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::axis::{self, Axis};
    use crate::stats::random::Random;

    fn places(sides: &[u32]) -> Vec<Place> {
        sides.iter().map(|side| axis::read(&side.to_string()).unwrap()).collect()
    }

    /// Sizes with times of a law with a noise of 2 %.
    fn planted(sides: &[u32], exponent: f64, seed: u64) -> Vec<(Place, f64)> {
        let mut random = Random::new(seed);
        let mut of = |place: Place| {
            let value = 1e-6 * place.x.powf(exponent) * (0.02 * random.normal()).exp();
            (place, value)
        };
        places(sides).into_iter().map(&mut of).collect()
    }

    fn xy(points: &[(Place, f64)]) -> Vec<(f64, f64)> {
        points.iter().map(|(place, value)| (place.x, *value)).collect()
    }

    #[test]
    fn planted_exponents_and_points_lie_in_their_intervals_as_often_as_these_say() {
        let sides = [256, 384, 512, 768, 1024];
        for exponent in [1.0, 1.4, 2.0] {
            let (mut exponents, mut foretold, mut held) = (0, 0, 0);
            for seed in 0..400 {
                let points = planted(&[256, 384, 512, 768, 1024, 2048], exponent, seed);
                let (known, further) = points.split_at(sides.len());
                let law = Law::fit(&xy(known)).value().cloned().unwrap();
                exponents += usize::from(law.interval.unwrap().holds(exponent));
                foretold += usize::from(law.prediction(further[0].0.x).unwrap().holds(further[0].1));
                held += usize::from(check(&hold_out(known)) != Check::Missed);
            }
            // 380 expected, with a standard deviation of 4.4.
            for found in [exponents, foretold, held] {
                assert!((362..=396).contains(&found), "{exponent}: {exponents} {foretold} {held}");
            }
        }
    }

    #[test]
    fn a_bend_is_noticed_by_the_largest_point_held_out() {
        let mut missed = 0;
        for seed in 0..100 {
            let mut points = planted(&[256, 384, 512, 640, 768, 1024], 1.1, seed);
            // A cache is outgrown: the largest takes 1.5 times as long.
            points.last_mut().unwrap().1 *= 1.5;
            missed += usize::from(check(&hold_out(&points)) == Check::Missed);
        }
        assert!(missed >= 95, "{missed}");
    }

    #[test]
    fn an_interval_that_holds_nearly_everything_checks_nothing() {
        // Of four points with 5 % of noise, the largest twice as long as the law has it: it lies in most of the intervals.
        let (mut held, mut vague) = (0, 0);
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let mut points: Vec<(Place, f64)> = places(&[256, 384, 512, 768])
                .into_iter()
                .map(|place| (place.clone(), place.x.powf(1.1) * (0.05 * random.normal()).exp()))
                .collect();
            points[3].1 *= 2.0;
            let check = check(&hold_out(&points));
            held += usize::from(check == Check::Held);
            vague += usize::from(check == Check::Vague);
        }
        assert_eq!(held, 0);
        assert!(vague > 200, "{vague}");
    }

    #[test]
    fn two_points_have_a_law_without_an_interval_and_one_has_none() {
        let points = planted(&[64, 128, 256, 512], 1.0, 1);
        assert_eq!(Law::fit(&xy(&points[..1])).why(), Some("one point has no exponent"));
        assert_eq!(Law::fit(&[(4.0, 1.0), (4.0, 2.0)]).why(), Some("one point has no exponent"));
        assert!(Law::fit(&[(4.0, 1.0), (8.0, 0.0)]).why().unwrap().contains("no logarithm"));
        let two = Law::fit(&[(4.0, 1.0), (8.0, 2.0)]).value().cloned().unwrap();
        assert!((two.exponent - 1.0).abs() < 1e-12 && two.interval.is_none() && two.prediction(16.0).is_none());
        assert!((two.at(16.0) - 4.0).abs() < 1e-9);
        assert!(hold_out(&points[..2]).is_empty(), "one other point has no law");
        let three = hold_out(&points[..3]);
        assert_eq!((three.len(), three[2].interval, check(&three)), (3, None, Check::Unknown));
        let four = hold_out(&points);
        assert!(four[3].interval.is_some() && four[3].at.says == "512×512");
        let foretold = predict(&two, &axis::read("4").unwrap(), (4.0, 8.0));
        assert!(!foretold.measured && foretold.at.axis == Axis::Size);
        assert_eq!(foretold.reach, Reach::Above(2.0));
        let reach = |side: &str| predict(&two, &axis::read(side).unwrap(), (4.0, 16.0)).reach;
        assert_eq!([reach("1"), reach("3"), reach("4")], [Reach::Below(4.0), Reach::Within, Reach::Within]);
    }
}
