//! Curves: cells that differ in one axis alone, and what their times and operations grow as.

use serde::Serialize;

use super::axis::{Axis, Place};
use super::gather::{Measured, Timed};
use super::law::{self, Check, HeldOut, Law, Predicted};
use super::threads::{self, Threads};
use crate::record::disturbed::{cores_of, several};
use crate::record::{CellKey, ModelEntry, ProfileRow, Reading, Role, Steady};
use crate::stats::{Interval, median, median_interval};
use crate::table;
use crate::tolerance::{self, Suspicion};

/// Parts of a profiled pass that are shown: those that take most at the largest place.
const PARTS: usize = 8;
/// Counts with a smaller exponent do not grow.
const FLAT: f64 = 0.01;

/// Cells of one machine that differ in one axis alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// The machine.
    pub machine: String,
    /// What they differ in.
    pub axis: Axis,
    /// What is run, without the axis, and in which company: `small, 4 steps, 77 text tokens`.
    pub workload: String,
    /// What runs it, without the axis: `ort stock · f32 · 2 threads`.
    pub label: String,
    /// Their backend, by which plots colour.
    pub backend: String,
    /// The whole image, then one pass of each stage.
    pub curves: Vec<Curve>,
    /// Parts of a pass under the runtime's profiler, where the cells were profiled.
    pub profiled: Vec<Curve>,
    /// What the graphs' counts grow as, by stage and kind of work; of sizes and lengths of text alone, where the record has them.
    pub work: Vec<Work>,
    /// What more threads bring, where that is the axis.
    pub threads: Option<Threads>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// One time along the axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Of what: `image`, `denoiser, a pass`, `denoiser: Attention in up`.
    pub of: String,
    /// The stage's; `None` for the whole image and for parts.
    pub role: Option<Role>,
    /// Measured, in the order of the axis.
    pub points: Vec<Point>,
    /// The power law through them.
    pub law: Reading<Law>,
    /// What its operations grow as; `None` where the record does not count them.
    pub operations: Option<Growth>,
    /// Each point foretold from the others, the largest last.
    pub held_out: Vec<HeldOut>,
    /// Whether the law holds to the largest.
    pub check: Check,
    /// What was asked for and not measured.
    pub predicted: Vec<Predicted>,
}

/// A measured point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Where.
    pub at: Place,
    /// The number of it: pixels, threads, …
    pub x: f64,
    /// Median over launches.
    pub seconds: f64,
    /// Where that lies with 95 %; of fewer than six launches their range.
    pub ends: Option<Interval>,
    /// Launches that count.
    pub launches: usize,
    /// Operations by the graph's definitions.
    pub flops: Option<u64>,
}

/// What a count grows as.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Growth {
    /// Over all points.
    pub exponent: f64,
    /// Between the two smallest.
    pub first: f64,
    /// Between the two largest.
    pub last: f64,
}

/// A kind of work in one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    /// The stage's id.
    pub stage: String,
    /// `dense attention`, `linear`, …
    pub work: String,
    /// What its operations grow as.
    pub growth: Growth,
    /// Its share of the stage's operations at the smallest place, 0..1.
    pub share_first: f64,
    /// The same at the largest.
    pub share_last: f64,
}

impl Curve {
    /// Whether its work grows along the axis, as far as it is counted: a text encoder's does not with the size of the image.
    pub fn grows(&self) -> bool {
        self.operations.is_none_or(|growth| !growth.is_flat())
    }
}

impl Growth {
    /// Whether it is the same everywhere.
    pub fn is_flat(self) -> bool {
        self.exponent.abs() < FLAT
    }

    fn of(points: &[(f64, f64)]) -> Option<Self> {
        let exponent = |points: &[(f64, f64)]| Law::fit(points).value().map(|law| law.exponent);
        let last = exponent(&points[points.len().checked_sub(2)?..]);
        let all = exponent(points)?;
        Some(Self { exponent: all, first: exponent(&points[..2]).unwrap_or(all), last: last.unwrap_or(all) })
    }
}

/// The series of cells on an axis that share all else, sorted by it, of at least two places; `None` if all are at one.
pub(super) fn of(
    (axis, shared): (Axis, &CellKey),
    cells: &[(Place, &Measured)],
    machine: &str,
    predict: &[Place],
) -> Option<Series> {
    let (first, last) = (cells.first()?, cells.last()?);
    if first.0.x == last.0.x {
        return None;
    }
    let timed = |what: Timed| -> Vec<Vec<f64>> { cells.iter().map(|(_, cell)| cell.seconds(&what)).collect() };
    let (known, wanted): (Vec<Place>, Vec<Place>) = predict
        .iter()
        .filter(|place| place.axis == axis)
        .cloned()
        .partition(|place| cells.iter().any(|(measured, _)| measured == place));
    let mut curves = Vec::new();
    let images = timed(Timed::Image);
    curves.extend(curve(axis, "image".to_owned(), None, cells, &images, &wanted, |model, cell| {
        model.flops_per_image(cell.cell)
    }));
    for stage in &last.1.cell.stages {
        let values = timed(Timed::Stage(stage.id.clone()));
        let name = stage.id.replace('_', " ");
        let name = if stage.passes > 1 { format!("{name}, a pass") } else { name };
        curves.extend(curve(axis, name, Some(stage.role), cells, &values, &wanted, |model, _| {
            Some(model.stage(&stage.id)?.flops)
        }));
    }
    let threads = (axis == Axis::Threads).then(|| {
        let points: Vec<(Place, Vec<f64>)> = cells.iter().map(|(place, _)| place.clone()).zip(images).collect();
        threads::of(&points, cores_of(&shared.cpus, last.1.run.machine.usable_cores.value().copied()))
    });
    let grows = matches!(axis, Axis::Size | Axis::TextTokens);
    let (workload, label) = table::setting(last.1.run, shared);
    let measured = |place: Place| format!("{} is not predicted, because it was measured", place.words());
    Some(Series {
        machine: machine.to_owned(),
        axis,
        workload,
        label,
        backend: shared.backend.clone(),
        curves,
        profiled: profiled(axis, cells),
        work: if grows { work(cells) } else { Vec::new() },
        threads: threads.flatten(),
        notes: known.into_iter().map(measured).chain(notes(cells)).collect(),
    })
}

fn curve(
    axis: Axis,
    of: String,
    role: Option<Role>,
    cells: &[(Place, &Measured)],
    values: &[Vec<f64>],
    wanted: &[Place],
    flops: impl Fn(&ModelEntry, &Measured) -> Option<u64>,
) -> Option<Curve> {
    let point = |((place, cell), values): (&(Place, &Measured), &Vec<f64>)| {
        let seconds = median(values)?;
        let range = || {
            let low = values.iter().copied().reduce(f64::min)?;
            Some(Interval { low, high: values.iter().copied().reduce(f64::max)? }).filter(|_| values.len() > 1)
        };
        let counted = cell.run.model(&cell.cell.key).and_then(|model| flops(model, cell));
        let flops = counted.and_then(|flops| flops.checked_mul(u64::from(cell.cell.key.batch.max(1))));
        let ends = median_interval(values, law::CONFIDENCE).or_else(range);
        Some(Point { at: place.clone(), x: place.x, seconds, ends, launches: values.len(), flops })
    };
    let points: Vec<Point> = cells.iter().zip(values).filter_map(point).collect();
    finished(axis, of, role, points, wanted)
}

/// The law through points in the order of the axis, and what follows from it.
fn finished(axis: Axis, of: String, role: Option<Role>, points: Vec<Point>, wanted: &[Place]) -> Option<Curve> {
    if points.len() < 2 {
        return None;
    }
    let law = Law::fit(&points.iter().map(|point| (point.x, point.seconds)).collect::<Vec<_>>());
    let counted: Option<Vec<(f64, f64)>> =
        points.iter().map(|point| Some((point.x, point.flops.filter(|flops| *flops > 0)? as f64))).collect();
    // Beyond the cores there are, more threads are another thing.
    let held_out = match axis {
        Axis::Threads => Vec::new(),
        _ => law::hold_out(&points.iter().map(|point| (point.at.clone(), point.seconds)).collect::<Vec<_>>()),
    };
    let (first, last) = (points.first()?.x, points.last()?.x);
    let predicted = wanted.iter().filter_map(|place| Some(law::predict(law.value()?, place, (first, last)))).collect();
    let operations = counted.and_then(|counted| Growth::of(&counted));
    Some(Curve { of, role, check: law::check(&held_out), points, operations, held_out, law, predicted })
}

/// Parts of a pass under the profiler, by stage, kind of block and operation. Nothing is predicted of them: the profiler slows them
/// down by shares that nobody knows.
fn profiled(axis: Axis, cells: &[(Place, &Measured)]) -> Vec<Curve> {
    let rows: Vec<(&Place, &Vec<ProfileRow>)> = cells
        .iter()
        .filter_map(|(place, cell)| Some((place, cell.cells.iter().find_map(|cell| cell.profile.value())?)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let Some((_, largest)) = rows.last() else { return Vec::new() };
    let sum = |rows: &[ProfileRow], part: &(String, String, String)| {
        let of: Vec<&ProfileRow> = rows.iter().filter(|row| part_of(row).as_ref() == Some(part)).collect();
        let counts: Option<Vec<u64>> = of.iter().map(|row| row.flops).collect();
        (of.iter().map(|row| row.seconds).sum::<f64>(), counts.map(|counts| counts.iter().sum()))
    };
    let mut parts: Vec<(String, String, String)> = Vec::new();
    for part in largest.iter().filter_map(part_of) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.sort_by(|a, b| sum(largest, b).0.total_cmp(&sum(largest, a).0));
    parts.truncate(PARTS);
    let of = |part: &(String, String, String)| {
        let point = |(place, rows): &(&Place, &Vec<ProfileRow>)| {
            let (seconds, flops) = sum(rows, part);
            let at = (*place).clone();
            (seconds > 0.0).then_some(Point { x: at.x, at, seconds, ends: None, launches: 1, flops })
        };
        let (stage, block, op) = part;
        let name = format!("{}: {op} in {block}", stage.replace('_', " "));
        finished(axis, name, None, rows.iter().filter_map(point).collect(), &[])
    };
    parts.iter().filter_map(of).collect()
}

/// Stage, kind of block (`up` of `up.3`) and operation; `None` for what the runtime added.
fn part_of(row: &ProfileRow) -> Option<(String, String, String)> {
    let block = row.scope.as_deref()?.split('.').next()?;
    Some((row.stage.clone(), block.to_owned(), row.op.clone()))
}

/// What each stage's kinds of work grow as, by the graphs' counts.
fn work(cells: &[(Place, &Measured)]) -> Vec<Work> {
    let models: Option<Vec<(f64, &ModelEntry)>> =
        cells.iter().map(|(place, cell)| Some((place.x, cell.run.model(&cell.cell.key)?))).collect();
    let Some(models) = models else { return Vec::new() };
    let (Some((_, first)), Some((_, last))) = (models.first(), models.last()) else { return Vec::new() };
    let mut found = Vec::new();
    for stage in &last.stages {
        let share = |model: &ModelEntry, kind: &str| {
            let stage = model.stage(&stage.name)?;
            Some(*stage.work.get(kind)? as f64 / stage.flops.max(1) as f64)
        };
        for kind in stage.work.keys() {
            let count = |(x, model): &(f64, &ModelEntry)| {
                let count = *model.stage(&stage.name)?.work.get(kind)?;
                (count > 0).then_some((*x, count as f64))
            };
            let counts: Option<Vec<(f64, f64)>> = models.iter().map(count).collect();
            let growth = counts.and_then(|counts| Growth::of(&counts));
            if let (Some(growth), Some(share_first), Some(share_last)) = (growth, share(first, kind), share(last, kind))
            {
                found.push(Work { stage: stage.name.clone(), work: kind.clone(), growth, share_first, share_last });
            }
        }
    }
    found
}

fn notes(cells: &[(Place, &Measured)]) -> Vec<String> {
    let mut notes = Vec::new();
    let moving = |state: Steady| matches!(state, Steady::Warming | Steady::Slowing | Steady::None);
    for (place, cell) in cells {
        if let Some(Suspicion::Disputed(why)) = tolerance::suspect(cell.run, cell.cell) {
            notes.push(format!("{}: the result or the reference's is wrong: {why}", place.words()));
        }
        let count = cell.launches.iter().filter(|launch| moving(launch.steady.state)).count();
        if count > 0 {
            notes.push(format!(
                "{}: times were not steady in {count} of {}",
                place.words(),
                several(cell.launches.len(), "launch")
            ));
        }
    }
    notes
}
