//! What a cost grows as: with the size of an image, with threads, and from rung to rung of a paper's ladder.
//!
//! Contract: made from records alone. `gather` reads them; `law`, `threads` and `ratio` know no record; `series` and `ladder` put
//! them together; `words` and [`faces`] say it. Two machines are never in one curve. What is foretold is marked, and never becomes a measurement;
//! beside it stands whether the same law foretold the largest measured point. docs/SCALE.md has the rules.

pub mod axis;
pub mod faces;
mod gather;
pub mod ladder;
pub mod law;
mod papers;
pub mod ratio;
pub mod series;
pub mod threads;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

pub use axis::{Axis, Place};
pub use ladder::Ladder;
pub use series::{Curve, Series};

use crate::published;
use crate::record::{CellKey, Run};
use crate::table;
use gather::Measured;

/// Everything that is said of how costs grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scale {
    /// One for each set of cells that differ in one axis alone.
    pub series: Vec<Series>,
    /// One for each ladder or family of which several rungs were measured.
    pub ladders: Vec<Ladder>,
    /// Cells that belong to a series and are not in it.
    pub left_out: Vec<LeftOut>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A cell that is not in its series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Which.
    pub cell: String,
    /// Why.
    pub why: String,
}

impl Scale {
    /// Whether nothing can be said.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.ladders.is_empty()
    }
}

/// What the runs say, with what is to be foretold.
pub fn of_runs(runs: &[&Run], predict: &[Place]) -> Scale {
    let (groups, notes) = gather::groups(runs);
    let mut scale = Scale { notes, ..Scale::default() };
    for group in &groups {
        let cells = gather::cells(group);
        let mut measured: Vec<(&CellKey, &Measured)> = Vec::new();
        for (key, found) in &cells {
            match found {
                Ok(found) => measured.push((key, found)),
                Err(why) if belongs(key, cells.iter().map(|(other, _)| other)) => {
                    let cell = format!("{}, {}", table::workload(key), table::label(group.runs[0], key));
                    scale.left_out.push(LeftOut { cell, why: why.clone() });
                }
                Err(_) => {}
            }
        }
        for axis in Axis::ALL {
            let mut sets: BTreeMap<CellKey, Vec<(Place, &Measured)>> = BTreeMap::new();
            for (key, found) in &measured {
                if let Some(place) = axis.place(key) {
                    sets.entry(axis.without(key)).or_default().push((place, found));
                }
            }
            for mut cells in sets.into_values() {
                cells.sort_by(|a, b| a.0.x.total_cmp(&b.0.x));
                scale.series.extend(series::of(axis, &cells, &group.machine, predict));
            }
        }
        let all: Vec<&Measured> = measured.iter().map(|(_, found)| *found).collect();
        scale.ladders.extend(ladder::of(&group.machine, &all, &published::of_runs(&group.runs)));
    }
    for place in predict.iter().filter(|place| scale.series.iter().all(|series| series.axis != place.axis)) {
        let (axis, says) = (place.axis.name(), &place.says);
        scale.notes.push(format!("{says} is not predicted: no two measured cells differ in {axis} alone"));
    }
    scale
}

/// Whether a cell would be in a series with another.
fn belongs<'a>(key: &CellKey, others: impl Iterator<Item = &'a CellKey> + Clone) -> bool {
    let with = |axis: Axis| {
        let rest = axis.without(key);
        others.clone().any(|other| other != key && axis.without(other) == rest)
    };
    Axis::ALL.into_iter().any(with)
}
