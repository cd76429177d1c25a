//! Axes with a few round ticks: a logarithmic one, and an even one for what is no ratio.

use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::prelude::*;

/// A logarithmic axis: plotters' coordinate from data to units.
pub(super) struct Axis {
    coordinate: plotters::coord::combinators::LogCoord<f64>,
    from: i32,
    to: i32,
}

impl Axis {
    /// An axis that holds all values with some room at either end.
    pub(super) fn new(values: impl Iterator<Item = f64> + Clone, room: f64, from: i32, to: i32) -> Option<Self> {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(0.0, f64::max);
        let usable = low.is_finite() && low > 0.0 && high.is_finite();
        usable.then(|| Self { coordinate: (low / room..high * room).log_scale().into(), from, to })
    }

    pub(super) fn place(&self, value: f64) -> i32 {
        self.coordinate.map(&value, (self.from, self.to))
    }

    /// A few round values within the axis: powers of ten, with 2 and 5 between where there are too few.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let range = self.coordinate.range();
        let inside = |value: &f64| *value >= range.start && *value <= range.end;
        let decades =
            || (range.start.log10().floor() as i32..=range.end.log10().ceil() as i32).map(|power| 10f64.powi(power));
        let ticks = |steps: &[f64]| -> Vec<f64> {
            decades().flat_map(|decade| steps.iter().map(move |step| step * decade)).filter(inside).collect()
        };
        let few: [&[f64]; 3] = [&[1.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]];
        let mut found = few.iter().map(|steps| ticks(steps)).find(|found| found.len() >= 3).unwrap_or_default();
        if found.is_empty() {
            found = self.coordinate.key_points(BoldPoints(5)).into_iter().filter(inside).collect();
        }
        if found.len() < 2 {
            found = vec![range.start, (range.start * range.end).sqrt(), range.end];
        }
        // At most six, evenly thinned.
        let every = found.len().div_ceil(6);
        found.into_iter().step_by(every).collect()
    }
}

/// An even axis, for values that may be zero or below.
pub(super) struct Even {
    low: f64,
    high: f64,
    from: i32,
    to: i32,
}

impl Even {
    /// An axis that holds all finite values with some room at either end.
    pub(super) fn new(values: impl Iterator<Item = f64>, from: i32, to: i32) -> Option<Self> {
        let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let low = finite.iter().copied().reduce(f64::min)?;
        let high = finite.iter().copied().reduce(f64::max)?;
        // Equal values lie in the middle.
        let room = if high > low { 0.08 * (high - low) } else { 0.5 * high.abs().max(1.0) };
        Some(Self { low: low - room, high: high + room, from, to })
    }

    pub(super) fn place(&self, value: f64) -> i32 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }

    /// Round values within the axis, three to six of them.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let range = self.high - self.low;
        let decade = 10f64.powf((range / 5.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * decade).into_iter().find(|step| range / step <= 5.0);
        let step = step.unwrap_or(range);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|place| place as f64 * step).take_while(|tick| *tick <= self.high).take(6).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_axis_holds_its_values_and_has_round_ticks() {
        for values in [vec![70.0, 99.5], vec![-12.0, 3.0], vec![0.0, 0.0], vec![5.0], vec![0.91, 0.912]] {
            let axis = Even::new(values.iter().copied(), 200, 20).unwrap();
            assert!(values.iter().all(|value| (20..=200).contains(&axis.place(*value))), "{values:?}");
            let ticks = axis.ticks();
            assert!((2..=6).contains(&ticks.len()), "{values:?}: {ticks:?}");
        }
        let axis = Even::new([0.0, 10.0].into_iter(), 200, 20).unwrap();
        assert!(axis.place(10.0) < axis.place(0.0), "more is higher up");
        assert!(Even::new([f64::INFINITY].into_iter(), 0, 1).is_none());
    }
}
