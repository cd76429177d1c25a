//! Statistics of benchmark samples: what can be said of a few noisy numbers, and what cannot.
//!
//! Contract: plain functions of slices; nothing here knows a record. Values must be finite: a function that is given one
//! that is not answers `None` (or an empty list). Nothing assumes a normal distribution unless its documentation says so.
//! Random numbers are seeded, so the same input gives the same answer on every machine.

pub mod changepoints;
pub mod fdr;
pub mod interval;
pub mod line;
pub mod modes;
pub mod normal;
mod null;
pub mod outliers;
pub mod percentile;
pub mod power;
pub mod random;
pub mod ranks;
pub mod sequence;
pub mod shift;
pub mod steady;
mod steps;
pub mod student;
pub mod trend;

pub use interval::{Interval, median, median_interval};
pub use steps::{step_of, steps_of};

/// The values in ascending order.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Whether every value can be ranked and summed.
pub(crate) fn all_finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// The quantile of sorted values by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, the
/// default of R and NumPy). `None` of nothing.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    Some(sorted[low] + part * (sorted[(low + 1).min(last)] - sorted[low]))
}
