//! From records to samples: what each launch, or each record, has to say of a metric.
//!
//! Contract: what is taken is what [`crate::metric`] says, so a verdict and a table agree. What a launch or a record lacks gives
//! no sample, never a zero.

use crate::metric::{self, Basis, Metric, Unit};
use crate::record::{Cell, Launch, Reading, Role, Run};
use crate::withheld;

use super::counted;

/// Decibels beyond which 8-bit images look the same and a difference is a handful of pixels.
const PSNR_CAP_DB: f64 = 60.0;

/// A sample and where it is from: which record of its side, which launch of the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taken {
    pub record: usize,
    pub launch: u32,
    /// [`Launch::order`]: when, within its record.
    pub order: u32,
    pub value: f64,
}

/// Every sample of a metric in the cells of one side, one cell for each record of `runs` that has it.
pub(super) fn of_cells(metric: Metric, runs: &[&Run], cells: &[(usize, &Cell)]) -> Vec<Taken> {
    let mut taken = Vec::new();
    for &(record, cell) in cells.iter().filter(|(_, cell)| withheld::why(metric, cell).is_none()) {
        match metric.basis() {
            Basis::Launches => taken.extend(cell.good_launches().filter_map(|launch| {
                let value = metric::of_launch(metric, runs.get(record)?, cell, launch)?;
                Some(Taken { record, launch: launch.index, order: launch.order, value })
            })),
            // One record's: what is said of it is of no other.
            Basis::Counted if counted::last(cells).is_some_and(|(last, _)| last != record) => {}
            Basis::Value | Basis::Counted => {
                let value = metric::of_cell(metric, cell);
                taken.extend(value.map(|value| Taken { record, launch: 0, order: 0, value }));
            }
            // Criterion's: no cell has it.
            Basis::Iterations => {}
        }
    }
    if metric.unit() == Unit::Decibels {
        taken.iter_mut().for_each(|sample| sample.value = sample.value.min(PSNR_CAP_DB));
    }
    taken.retain(|sample| sample.value.is_finite());
    taken
}

/// The fixed piece of work around each launch: mean of before and after, or the one that there is.
pub(super) fn calibrations(cells: &[(usize, &Cell)]) -> Vec<f64> {
    let of_launch = |launch: &Launch| {
        let readings = [&launch.calibration.before_s, &launch.calibration.after_s];
        let values: Vec<f64> = readings.into_iter().filter_map(Reading::value).copied().collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    cells.iter().flat_map(|(_, cell)| cell.good_launches()).filter_map(of_launch).collect()
}

/// How many steps the timed images have.
pub(super) fn steps(cells: &[(usize, &Cell)]) -> u32 {
    let of_cell = |cell: &Cell| {
        let images = cell.good_launches().flat_map(|launch| &launch.samples);
        images.map(|image| image.by_role(&cell.stages, Role::Denoiser).len()).max()
    };
    let most = cells.iter().filter_map(|(_, cell)| of_cell(cell)).max();
    u32::try_from(most.unwrap_or(0)).unwrap_or(u32::MAX)
}
