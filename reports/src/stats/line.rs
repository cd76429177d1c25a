//! A straight line through points by least squares, with where its slope and a further point lie.
//!
//! Contract: the intervals take the distances from the line for independent, normal and as large everywhere. Two points have a line and no
//! interval; points that are all at one place have none. What lies off the line in a pattern (a bend) widens the intervals and is not
//! told from noise: whoever needs to know holds points out.

use super::{Interval, all_finite, student};

/// A line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Rise for each unit.
    pub slope: f64,
    /// Height at zero.
    pub intercept: f64,
    /// Points that it is of.
    pub points: usize,
    /// Standard deviation of the points from the line; `None` of two points, which lie on it.
    pub deviation: Option<f64>,
    mean_x: f64,
    /// Sum of the squared distances of places from their mean.
    spread_x: f64,
}

/// The line through (place, height). `None` with fewer than two places, or a number that is not finite.
pub fn fit(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    if points.len() < 2 || !points.iter().all(|(x, y)| all_finite(&[*x, *y])) {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let spread_x: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if spread_x <= f64::EPSILON * mean_x.abs().max(1.0) {
        return None;
    }
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread_x;
    let intercept = mean_y - slope * mean_x;
    let left: f64 = points.iter().map(|(x, y)| (y - intercept - slope * x).powi(2)).sum();
    let deviation = (points.len() > 2).then(|| (left / (n - 2.0)).sqrt());
    Some(Line { slope, intercept, points: points.len(), deviation, mean_x, spread_x })
}

impl Line {
    /// Its height at a place.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    fn half(&self, confidence: f64, variance: f64) -> Option<f64> {
        let t = student::quantile(0.5 + confidence / 2.0, self.points.checked_sub(2)?)?;
        Some(t * self.deviation? * variance.sqrt())
    }

    /// Where the slope lies with this confidence; `None` of two points.
    pub fn slope_interval(&self, confidence: f64) -> Option<Interval> {
        let half = self.half(confidence, 1.0 / self.spread_x)?;
        Some(Interval { low: self.slope - half, high: self.slope + half })
    }

    /// Where one further point at a place would lie with this confidence: wider than where the line does. `None` of two points.
    pub fn prediction(&self, x: f64, confidence: f64) -> Option<Interval> {
        let variance = 1.0 + 1.0 / self.points as f64 + (x - self.mean_x).powi(2) / self.spread_x;
        let (at, half) = (self.at(x), self.half(confidence, variance)?);
        Some(Interval { low: at - half, high: at + half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Random;

    #[test]
    fn a_textbook_line() {
        // Slope 0.6, intercept 2.2, residual variance 0.8: t(0.975, 3) = 3.18245.
        let points = [(1.0, 2.0), (2.0, 4.0), (3.0, 5.0), (4.0, 4.0), (5.0, 5.0)];
        let line = fit(&points).unwrap();
        assert!((line.slope - 0.6).abs() < 1e-12 && (line.intercept - 2.2).abs() < 1e-12);
        assert!((line.deviation.unwrap().powi(2) - 0.8).abs() < 1e-12);
        let slope = line.slope_interval(0.95).unwrap();
        assert!((slope.half_width() - 3.18245 * (0.8f64 / 10.0).sqrt()).abs() < 1e-4, "{slope:?}");
        let next = line.prediction(6.0, 0.95).unwrap();
        assert!((next.half_width() - 3.18245 * (0.8f64 * (1.0 + 0.2 + 0.9)).sqrt()).abs() < 1e-4, "{next:?}");
        assert!(next.holds(line.at(6.0)));
    }

    #[test]
    fn too_few_points_have_no_line_or_no_interval() {
        assert!(fit(&[]).is_none() && fit(&[(1.0, 1.0)]).is_none());
        assert!(fit(&[(1.0, 1.0), (1.0, 2.0)]).is_none(), "one place");
        assert!(fit(&[(1.0, 1.0), (2.0, f64::NAN)]).is_none());
        let two = fit(&[(0.0, 1.0), (2.0, 5.0)]).unwrap();
        assert_eq!(
            (two.slope, two.deviation, two.slope_interval(0.95), two.prediction(3.0, 0.95)),
            (2.0, None, None, None)
        );
    }

    #[test]
    fn intervals_hold_what_was_planted_as_often_as_they_say() {
        let places = [0.0, 0.8, 1.4, 2.2, 2.8];
        let (mut slopes, mut points) = (0, 0);
        for seed in 0..1000 {
            let mut random = Random::new(seed);
            let heights = places.map(|x| (x, 0.3 + 1.2 * x + 0.05 * random.normal()));
            let line = fit(&heights).unwrap();
            slopes += usize::from(line.slope_interval(0.95).unwrap().holds(1.2));
            let next = 0.3 + 1.2 * 4.0 + 0.05 * random.normal();
            points += usize::from(line.prediction(4.0, 0.95).unwrap().holds(next));
        }
        // 950 expected, with a standard deviation of 6.9.
        assert!((925..=975).contains(&slopes) && (925..=975).contains(&points), "{slopes} {points}");
    }
}
