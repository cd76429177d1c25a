//! What a cost grows as: with the size of an image, with threads, and from rung to rung of a paper's ladder.
//!
//! Contract: made from records alone. `gather` reads them; `law`, `threads` and `ratio` know no record; `series` and `ladder` put
//! them together; `words` and [`faces`] say it. Two machines, and two programs, are never in one curve. What is foretold is marked, and never
//! becomes a measurement; beside it stands whether the same law foretold the largest measured point. docs/SCALE.md has the rules.

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

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use axis::{Axis, Place};
pub use ladder::Ladder;
pub use series::{Curve, Series};

use crate::published;
use crate::record::{CellKey, ModelEntry, Run};
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
        let is_own = |key: &CellKey| group.runs.iter().any(|run| run.model(key).is_some_and(ModelEntry::is_own));
        let tracks = Tracks::of(cells.iter().map(|(key, _)| (key, is_own(key))));
        for (key, found) in &cells {
            match found {
                Ok(found) => measured.push((key, found)),
                Err(why) if tracks.lead_from(key, is_own(key)) => {
                    let (workload, label) = table::setting(group.runs[0], key);
                    scale.left_out.push(LeftOut { cell: format!("{workload}, {label}"), why: why.clone() });
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
            for (shared, mut cells) in sets {
                cells.sort_by(|a, b| a.0.x.total_cmp(&b.0.x));
                scale.series.extend(series::of((axis, &shared), &cells, &group.machine, predict));
            }
        }
        let all: Vec<&Measured> = measured.iter().map(|(_, found)| *found).collect();
        scale.ladders.extend(ladder::of(&group.machine, &all, &published::of_runs(&group.runs)));
    }
    for place in predict.iter().filter(|place| scale.series.iter().all(|series| series.axis != place.axis)) {
        let (axis, says) = (place.axis.counts(), place.words());
        scale.notes.push(format!("{says} is not predicted: no two measured cells differ in {axis} alone"));
    }
    scale
}

/// The series and ladders in which cells are, once measured: the name of what is followed, what its cells share, and their places.
struct Tracks(BTreeMap<(&'static str, CellKey), BTreeSet<String>>);

impl Tracks {
    /// Those of these cells; with each, whether the model is of the user's own.
    fn of<'a>(cells: impl Iterator<Item = (&'a CellKey, bool)>) -> Self {
        let mut tracks: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for (track, place) in cells.flat_map(|(key, is_own)| tracks_of(key, is_own)) {
            tracks.entry(track).or_default().insert(place);
        }
        Self(tracks)
    }

    /// Whether a cell is in one with another.
    fn lead_from(&self, key: &CellKey, is_own: bool) -> bool {
        let is_followed = |places: &BTreeSet<String>| places.len() > 1;
        tracks_of(key, is_own).iter().any(|(track, _)| self.0.get(track).is_some_and(is_followed))
    }
}

/// Where a cell is, once measured. A model of the user's own is in no paper, whatever it is called.
fn tracks_of(key: &CellKey, is_own: bool) -> Vec<((&'static str, CellKey), String)> {
    let along = |axis: Axis| Some(((axis.name(), axis.without(key)), axis.place(key)?.x.to_string()));
    let ladders = if is_own { Vec::new() } else { ladder::settings(key) };
    let on_ladders = ladders.into_iter().map(|(title, shared, rung)| ((title, shared), rung.to_string()));
    Axis::ALL.into_iter().filter_map(along).chain(on_ladders).collect()
}

/// Whether cells of these keys, once measured, make a curve or a ladder; with each, whether the model is of the user's own.
pub fn can_follow<'a>(cells: impl Iterator<Item = (&'a CellKey, bool)>) -> bool {
    Tracks::of(cells).0.values().any(|places| places.len() > 1)
}
