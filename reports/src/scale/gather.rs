//! From records to measured cells: which launches count, and what must not be put into a curve.
//!
//! Contract: launches of one cell from several runs are put together where `compare` would accept the records ([`differences`]) and the
//! same program and libraries made them; two machines never are. A launch that a known cause spoiled does not count
//! ([`disturbed::sound`]). A cell without a usable time, or with a launch that failed, is left out with its reason.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::advice::same_machine;
use crate::estimate::{NO_LAUNCH, NO_STEADY_IMAGE};
use crate::merge::program_differs;
use crate::metric::Metric;
use crate::record::disturbed::{self, several};
use crate::record::{Cell, CellKey, Launch, ModelEntry, Run, Sample};
use crate::stats::{median, steps_of};
use crate::tolerance::{self, Suspicion};
use crate::verdict::differences;
use crate::{sustained, whose, withheld};

/// Runs of one machine that may be put together, the newest first.
pub(super) struct Group<'a> {
    /// The machine.
    pub machine: String,
    /// The runs.
    pub runs: Vec<&'a Run>,
}

/// A cell with its launches that count.
pub(super) struct Measured<'a> {
    /// The newest run that has it.
    pub run: &'a Run,
    /// The cell there.
    pub cell: &'a Cell,
    /// The launches, of all runs of the group.
    pub launches: Vec<Cow<'a, Launch>>,
    /// The same cell of every run of the group.
    pub cells: Vec<&'a Cell>,
}

/// What is timed of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    /// From prompt to pixels.
    Image,
    /// One pass of a stage.
    Stage(String),
}

impl Measured<'_> {
    /// Whether the model is one that the user brought, whatever it is called.
    pub(super) fn is_own(&self) -> bool {
        self.run.model(&self.cell.key).is_some_and(ModelEntry::is_own)
    }

    /// Seconds, one value for each launch that has it: the median over its timed images; of a stage with several passes, the median of
    /// those of its passes.
    pub(super) fn seconds(&self, of: &Timed) -> Vec<f64> {
        let launch = |launch: &Cow<Launch>| {
            let images: Vec<&Sample> = launch.timed();
            match of {
                Timed::Image => median(&images.iter().map(|image| image.total_s).collect::<Vec<_>>()),
                Timed::Stage(id) => {
                    let passes = images.iter().map(|image| image.of(id).to_vec()).collect::<Vec<_>>();
                    median(&steps_of(&passes))
                }
            }
        };
        self.launches.iter().filter_map(launch).filter(|seconds| seconds.is_finite() && *seconds > 0.0).collect()
    }
}

/// The groups, and why runs of one machine are in several.
pub(super) fn groups<'a>(runs: &[&'a Run]) -> (Vec<Group<'a>>, Vec<String>) {
    let mut machines: BTreeMap<(String, String), Vec<&'a Run>> = BTreeMap::new();
    // Where pictures are judged nothing is timed.
    for run in runs.iter().filter(|run| run.judging.is_none()) {
        machines.entry(same_machine(run)).or_default().push(run);
    }
    let (mut found, mut notes): (Vec<Vec<&Run>>, Vec<String>) = (Vec::new(), Vec::new());
    for mut runs in machines.into_values() {
        runs.sort_by(|a, b| (&b.run.created, &b.run.id).cmp(&(&a.run.created, &a.run.id)));
        runs.dedup_by(|a, b| a.run.id == b.run.id);
        let first = found.len();
        for run in runs {
            let differs = |group: &Vec<&Run>| group.iter().find_map(|other| apart(other, run));
            match found[first..].iter_mut().find(|group| differs(group).is_none()) {
                Some(group) => group.push(run),
                None => {
                    if let Some(says) = found.get(first).and_then(differs) {
                        notes.push(format!("run {} has curves of its own, because it differs: {says}", run.run.id));
                    }
                    found.push(vec![run]);
                }
            }
        }
    }
    let newest: Vec<&Run> = found.iter().map(|runs| runs[0]).collect();
    let named = whose::names(&newest).into_iter().zip(found);
    (named.map(|(machine, runs)| Group { machine, runs }).collect(), notes)
}

/// Why results of two runs do not belong into one curve.
fn apart(one: &Run, other: &Run) -> Option<String> {
    let differs = differences(one, other).into_iter().chain(program_differs(one, other)).next();
    differs.map(|(_, says)| says).or_else(|| libraries_differ(one, other))
}

/// A library that computed for a backend in another version in each of two runs.
fn libraries_differ(one: &Run, other: &Run) -> Option<String> {
    fn of(run: &Run) -> BTreeMap<[&str; 3], BTreeSet<&str>> {
        let mut found: BTreeMap<[&str; 3], BTreeSet<&str>> = BTreeMap::new();
        for cell in &run.cells {
            for version in &cell.versions {
                let library = [&*cell.key.backend, &*cell.key.device, &*version.name];
                found.entry(library).or_default().insert(&version.version);
            }
        }
        found
    }
    let (ours, theirs) = (of(one), of(other));
    let words = |versions: &BTreeSet<&str>| versions.iter().copied().collect::<Vec<_>>().join(", ");
    ours.iter().find_map(|(library, a)| {
        let b = theirs.get(library).filter(|b| *b != a)?;
        let [_, _, name] = library;
        Some(format!("{name}: {} in {}, {} in {}", words(a), one.run.id, words(b), other.run.id))
    })
}

/// The cells of a group, in the order of their keys: measured, or why not.
pub(super) fn cells<'a>(group: &Group<'a>) -> Vec<(CellKey, Result<Measured<'a>, String>)> {
    let keys: BTreeSet<&CellKey> = group.runs.iter().flat_map(|run| run.cells.iter().map(|cell| &cell.key)).collect();
    keys.into_iter().filter_map(|key| Some((key.clone(), measured(group, key)?))).collect()
}

/// `None` for what nobody would look for: the yardstick in 64 bits.
fn measured<'a>(group: &Group<'a>, key: &CellKey) -> Option<Result<Measured<'a>, String>> {
    let all: Vec<(&Run, &Cell)> = group.runs.iter().filter_map(|run| Some((*run, run.cell(key)?))).collect();
    let (run, cell) = *all.first()?;
    if all.iter().any(|(_, cell)| cell.is_in_64_bits()) {
        return None;
    }
    if let Some(why) = all.iter().find_map(|(_, cell)| withheld::why(Metric::IMAGE, cell)) {
        return Some(Err(why));
    }
    if let Some(part) = all.iter().flat_map(|(_, cell)| &cell.placement).find(|part| is_elsewhere(part)) {
        return Some(Err(format!("a part of {} did not run on {}", part.stage, part.asked)));
    }
    if let Some(why) = all.iter().find_map(|(_, cell)| cell.failure()) {
        return Some(Err(why));
    }
    if let Some(Suspicion::Wrong(why)) = all.iter().find_map(|(run, cell)| tolerance::suspect(run, cell)) {
        return Some(Err(format!("the result is wrong: {why}")));
    }
    let (mut launches, mut spoiled) = (Vec::new(), Vec::new());
    for (run, cell) in &all {
        let (sound, causes) = disturbed::sound(run, cell);
        launches.extend(sound.into_iter().map(|launch| sustained::settled_part(run, launch)));
        spoiled.extend(causes);
    }
    let found = Measured { run, cell, launches, cells: all.iter().map(|(_, cell)| *cell).collect() };
    if !found.seconds(&Timed::Image).is_empty() {
        return Some(Ok(found));
    }
    let stopped = all.iter().find_map(|(_, cell)| Some(format!("{}: {}", cell.status.name(), cell.reason.as_ref()?)));
    let why = match (spoiled.first(), found.launches.is_empty()) {
        (Some(cause), true) => {
            let count = several(spoiled.len(), "launch");
            format!("spoiled in {count}, which is all there is: {cause}. Measure it again when the machine is at rest")
        }
        (_, true) => stopped.unwrap_or_else(|| NO_LAUNCH.to_owned()),
        (_, false) => NO_STEADY_IMAGE.to_owned(),
    };
    Some(Err(why))
}

fn is_elsewhere(part: &crate::record::StagePlacement) -> bool {
    part.share_on_asked().is_some_and(|share| share < 1.0)
}
