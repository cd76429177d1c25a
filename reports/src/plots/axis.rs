//! A logarithmic axis with a few round ticks.

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
