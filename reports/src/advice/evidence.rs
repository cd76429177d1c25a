//! From records to candidates: what each machine and device measured, and which results must not be advised.
//!
//! Contract: results of one key on one machine are put together where the records may be compared ([`differences`]); otherwise
//! the newest counts, and what is left out is said. Sustained results, by their settled part, decide the times where there are
//! any. The order in which runs are given does not matter.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, Unfit};
use super::known::Known;
use super::question::Question;
use crate::caution::{self, Caution};
use crate::history::series::fingerprint;
use crate::metric::{self, Basis, Metric};
use crate::record::disturbed::{self, Cause};
use crate::record::{Cell, CellKey, Launch, Run, Status};
use crate::table::{self, workload};
use crate::verdict::{Fault, Gate, differences, faults};
use crate::{roof, sustained, text, whose, withheld};

/// The candidates of one machine's device, of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The machine.
    pub machine: String,
    /// The device, as keys name it.
    pub device: String,
    /// What is run, and in which company; of what competes, the company alone.
    pub workload: String,
    /// What could be shipped.
    pub candidates: Vec<Candidate>,
    /// What a reader should know of how they were put together.
    pub notes: Vec<String>,
}

/// How a run was measured, which says what its results decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// Hot or not: decides times where there are such.
    Sustained,
    /// Launches that end when enough is known.
    Burst,
    /// Pictures of many prompts; nothing is timed.
    Pictures,
}

impl Tier {
    fn of(run: &Run) -> Self {
        match run {
            Run { judging: Some(_), .. } => Self::Pictures,
            _ if run.is_sustained() => Self::Sustained,
            _ => Self::Burst,
        }
    }
}

/// Results of one key, put together.
struct Pooled<'a> {
    /// The newest run that has it.
    run: &'a Run,
    /// What all of them say of it.
    cell: Cell,
    /// Whether others are held against it.
    is_reference: bool,
    /// Each sound launch with the run that it is of.
    launches: Vec<(&'a Run, &'a Launch)>,
    /// What spoiled the others that ended well.
    spoiled: Vec<Cause>,
}

impl<'a> Pooled<'a> {
    /// Takes the launches of a run in.
    fn take(&mut self, run: &'a Run, cell: &'a Cell) {
        let (sound, spoiled) = disturbed::sound(run, cell);
        self.launches.extend(sound.into_iter().map(|launch| (run, launch)));
        self.spoiled.extend(spoiled);
    }
}

/// The workload that a cell's decision is on; where workloads compete, only the company that it is in. Cells that are alone and
/// cells in company never compete.
pub fn group_of(question: &Question, key: &CellKey) -> String {
    if question.across_workloads { key.in_company().unwrap_or_default() } else { workload(key) }
}

/// What the runs have, by machine, device and workload.
pub fn gather(runs: &[&Run], question: &Question) -> Vec<Evidence> {
    let mut machines: BTreeMap<(String, String), Vec<&Run>> = BTreeMap::new();
    for run in runs {
        machines.entry(same_machine(run)).or_default().push(run);
    }
    for runs in machines.values_mut() {
        runs.sort_by(|a, b| (&b.run.created, &b.run.id).cmp(&(&a.run.created, &a.run.id)));
        runs.dedup_by(|a, b| a.run.id == b.run.id);
    }
    let newest: Vec<&Run> = machines.values().map(|runs| runs[0]).collect();
    let names = whose::names(&newest);
    let mut found: Vec<Evidence> =
        machines.values().zip(&names).flat_map(|(runs, name)| of_machine(runs, name, question)).collect();
    found.sort_by(|a, b| (&a.workload, &a.machine, &a.device).cmp(&(&b.workload, &b.machine, &b.device)));
    found
}

/// What makes a machine the same one; phones of one model are told apart by their serials.
pub fn same_machine(run: &Run) -> (String, String) {
    let phone = run.run.on.as_deref().filter(|on| on.starts_with("adb:")).unwrap_or_default();
    (fingerprint(&run.machine), phone.to_owned())
}

/// Runs of one machine, the newest first.
fn of_machine(runs: &[&Run], name: &str, question: &Question) -> Vec<Evidence> {
    let keys: BTreeSet<&CellKey> = runs.iter().flat_map(|run| run.cells.iter().map(|cell| &cell.key)).collect();
    let mut found: Vec<Evidence> = Vec::new();
    for key in keys {
        let own = group_of(question, key);
        let place = found.iter().position(|evidence| evidence.device == key.device && evidence.workload == own);
        let place = place.unwrap_or_else(|| {
            let (machine, device) = (name.to_owned(), key.device.clone());
            found.push(Evidence { machine, device, workload: own, candidates: Vec::new(), notes: Vec::new() });
            found.len() - 1
        });
        let evidence = &mut found[place];
        evidence.candidates.extend(candidate(runs, key, question, &mut evidence.notes));
    }
    for evidence in &mut found {
        tell_apart(&mut evidence.candidates);
        compared_all_the_same(runs, evidence);
    }
    found
}

/// Two configurations with the same words get their names in the record besides.
fn tell_apart(candidates: &mut [Candidate]) {
    let labels: Vec<String> = candidates.iter().map(|candidate| candidate.label.clone()).collect();
    for candidate in candidates {
        if labels.iter().filter(|label| **label == candidate.label).count() > 1 {
            candidate.label = format!("{} ({})", candidate.label, candidate.key.id());
        }
    }
}

/// Says how runs that are weighed against each other differ.
fn compared_all_the_same(runs: &[&Run], evidence: &mut Evidence) {
    let has = |run: &&&Run| run.cells.iter().any(|cell| evidence.candidates.iter().any(|c| c.key == cell.key));
    let runs: Vec<&&Run> = runs.iter().filter(has).collect();
    for (place, one) in runs.iter().enumerate() {
        for other in runs[place + 1..].iter().filter(|other| Tier::of(other) == Tier::of(one)) {
            for (_, says) in differences(one, other) {
                let says = format!("runs are compared although they differ: {says}");
                if !evidence.notes.contains(&says) {
                    evidence.notes.push(says);
                }
            }
        }
    }
}

/// The results of a key in runs of one tier: the newest, and those that may be put together with it.
fn pool<'a>(runs: &[&'a Run], key: &CellKey, tier: Tier, notes: &mut Vec<String>) -> Option<Pooled<'a>> {
    let has = |run: &&'a Run| Some((*run, run.cell(key)?)).filter(|_| Tier::of(run) == tier);
    let mut parts = runs.iter().filter_map(has);
    let (run, cell) = parts.next()?;
    let mut pooled = Pooled {
        run,
        cell: cell.clone(),
        is_reference: table::is_reference(run, cell),
        launches: Vec::new(),
        spoiled: Vec::new(),
    };
    pooled.take(run, cell);
    for (other, twin) in parts {
        if let Some((_, differs)) = differences(run, other).first() {
            let said =
                format!("{} of run {} is left out, because a newer result exists ({differs})", key.id(), other.run.id);
            if !notes.contains(&said) {
                notes.push(said);
            }
            continue;
        }
        pooled.is_reference |= table::is_reference(other, twin);
        pooled.take(other, twin);
        add(&mut pooled.cell, twin);
    }
    Some(pooled)
}

/// Adds what another run says of the same cell.
fn add(cell: &mut Cell, other: &Cell) {
    cell.launches.extend(other.launches.iter().cloned());
    if cell.stages.is_empty() {
        cell.stages.clone_from(&other.stages);
    }
    if cell.memory_pass.value().is_none() {
        cell.memory_pass = other.memory_pass.clone();
    }
    if cell.quality.value().is_none() {
        cell.quality = other.quality.clone();
    }
    if cell.judged.is_none() {
        cell.judged.clone_from(&other.judged);
    }
    if cell.weights.is_none() {
        cell.weights.clone_from(&other.weights);
    }
    // Every fall-back and every failure counts, whoever saw it.
    cell.placement.extend(other.placement.iter().cloned());
    if other.status != Status::Ok && cell.status == Status::Ok {
        (cell.status, cell.reason) = (other.status, other.reason.clone());
    }
    for warning in &other.warnings {
        if !cell.warnings.contains(warning) {
            cell.warnings.push(warning.clone());
        }
    }
}

fn candidate(runs: &[&Run], key: &CellKey, question: &Question, notes: &mut Vec<String>) -> Option<Candidate> {
    let sustained = pool(runs, key, Tier::Sustained, notes);
    let burst = pool(runs, key, Tier::Burst, notes);
    let pictures = pool(runs, key, Tier::Pictures, notes);
    let timed: Vec<&Pooled> = sustained.iter().chain(&burst).collect();
    let newest = timed.first().copied().or(pictures.as_ref())?;
    let of = |metric: Metric| {
        // What judged pictures may say of weights and memory too comes last.
        let sources: Vec<&Pooled> = match metric.is_of_many_prompts() {
            true => pictures.iter().collect(),
            false => timed.iter().copied().chain(&pictures).collect(),
        };
        let mut why = None;
        for source in sources {
            match known(metric, source) {
                Known::Unknown(words) => why = why.or(Some(words)),
                known => return known,
            }
        }
        let absent = || "no pictures of many prompts were judged (`run --quality full`)".to_owned();
        Known::Unknown(why.unwrap_or_else(absent))
    };
    let known: BTreeMap<Metric, Known> = question.numbers().into_iter().map(|metric| (metric, of(metric))).collect();
    let needs_steady = question.asked();
    let needs_steady = needs_steady.into_iter().any(Metric::is_of_steady_images);
    let all: Vec<&Pooled> = timed.iter().copied().chain(&pictures).collect();
    let mut caveats = Vec::new();
    let unfit = unfit(newest, &all, needs_steady, &mut caveats);
    let label = table::label(newest.run, key);
    let label = if question.across_workloads { format!("{}: {label}", workload(key)) } else { label };
    let ships = table::ships(key);
    let ships = if question.across_workloads { format!("{}: {ships}", workload(key)) } else { ships };
    Some(Candidate { key: key.clone(), label, ships, known, unfit, caveats, sustained: sustained.is_some() })
}

/// What is known of a number.
fn known(metric: Metric, pooled: &Pooled) -> Known {
    let figure = || match metric::of(metric, pooled.run, &pooled.cell) {
        crate::record::Reading::Ok(figure) => Known::Value(figure),
        reading => Known::Unknown(reading.why().unwrap_or_default().to_owned()),
    };
    if let Some(why) = withheld::why(metric, &pooled.cell) {
        return Known::Unknown(why);
    }
    // A share of a peak that does not look like one says nothing.
    if metric == Metric::PEAK_SHARE
        && let Some(why) = roof::doubt_of(pooled.run, &pooled.cell)
    {
        return Known::Unknown(why);
    }
    let values: Vec<f64> = if metric.basis() == Basis::Launches {
        let of = |(run, launch): &(&Run, &Launch)| {
            // What tells the parts of a launch apart takes the whole of it.
            let whole = metric.is_of_sustained_launches();
            let part = if whole { Cow::Borrowed(*launch) } else { sustained::settled_part(run, launch) };
            metric::of_launch(metric, run, &pooled.cell, &part)
        };
        pooled.launches.iter().filter_map(of).collect()
    } else if metric.is_of_steady_images() {
        pooled.launches.iter().filter_map(|(run, launch)| alone(metric, run, &pooled.cell, launch)).collect()
    } else {
        return match (figure(), metric.of_the_reference()) {
            (Known::Unknown(_), Some(own)) if pooled.is_reference => Known::Value(own.into()),
            (known, _) => known,
        };
    };
    if values.is_empty() { unknown(figure()) } else { Known::Launches(values) }
}

/// Of a number that no launch has by itself: a figure of all together has no interval, and so is no answer.
fn unknown(figure: Known) -> Known {
    match figure {
        Known::Unknown(why) => Known::Unknown(why),
        Known::Value(_) | Known::Launches(_) => {
            Known::Unknown("no launch gives it alone, so there is no interval: allow more images per launch".to_owned())
        }
    }
}

/// A number of the cell as one of its launches alone has it.
fn alone(metric: Metric, run: &Run, cell: &Cell, launch: &Launch) -> Option<f64> {
    let one = Cell {
        key: cell.key.clone(),
        status: Status::Ok,
        stages: cell.stages.clone(),
        numerics: cell.numerics.clone(),
        weights: cell.weights.clone(),
        launches: vec![launch.clone()],
        ..Cell::default()
    };
    metric::of(metric, run, &one).value().map(|figure| figure.value)
}

/// Why a configuration is never advised. `newest` decides its times.
fn unfit(newest: &Pooled, all: &[&Pooled], needs_steady: bool, caveats: &mut Vec<String>) -> Option<Unfit> {
    let lasting = |why: String| Some(Unfit { why, curable: false });
    let curable = |why: String| Some(Unfit { why, curable: true });
    if newest.cell.is_in_64_bits() {
        return lasting("it is the yardstick that others are held against, not a runtime to ship".to_owned());
    }
    if let Some(device) = newest.cell.device.as_ref().filter(|device| !device.shows_speed()) {
        return lasting(withheld::reason(&newest.cell.key.device, device));
    }
    for cell in all.iter().map(|pooled| &pooled.cell) {
        if let Some(why) = cell.failure() {
            return lasting(why);
        }
        let (findings, unchecked) = faults(cell, &Gate::default());
        if let Some(finding) = findings.first() {
            let what = match finding.fault {
                Fault::FallBack => "it fell back",
                Fault::Latent | Fault::Image => "it computed wrong",
                Fault::Missing | Fault::Failed => finding.fault.name(),
            };
            return lasting(format!("{what}: {}", finding.says));
        }
        // The yardstick of a run without the 64-bit one is held against nothing by design.
        for what in unchecked.into_iter().filter(|_| !newest.is_reference) {
            if !caveats.contains(&what) {
                caveats.push(what);
            }
        }
    }
    let cell = &newest.cell;
    if !cell.has_result() {
        return curable(cell.reason.clone().unwrap_or_else(|| "it has not been measured".to_owned()));
    }
    if let Some(cause) = newest.spoiled.first() {
        let (spoiled, sound) = (newest.spoiled.len(), newest.launches.len());
        if sound == 0 {
            return curable(format!("it was spoiled in every launch: {cause}. Measure it again on a quiet machine"));
        }
        caveats.push(format!("{spoiled} of {} launches were spoiled and do not count here: {cause}", spoiled + sound));
    }
    let settles =
        newest.run.is_sustained() && newest.launches.iter().any(|(_, l)| sustained::levels(l).value().is_some());
    if settles && needs_steady {
        let moves = |(_, launch): &(&Run, &Launch)| sustained::still_moves(launch);
        let moving: Vec<f64> = newest.launches.iter().filter_map(moves).collect();
        if let Some(change) = moving.first().filter(|_| moving.len() == newest.launches.len()) {
            let (by, way) = (text::percent(change.abs()), if *change > 0.0 { "slower" } else { "faster" });
            return curable(format!(
                "it never settled: its images still became {by} {way} at the end. Give a longer --sustained"
            ));
        }
    }
    if newest.run.is_sustained() && needs_steady {
        let whole: Vec<String> = newest
            .launches
            .iter()
            .filter_map(|(_, launch)| sustained::levels(launch).why().map(str::to_owned))
            .collect();
        if let Some(why) = whole.first() {
            let (count, of) = (whole.len(), newest.launches.len());
            caveats
                .push(format!("in {count} of {of} sustained launches all images count, not only settled ones: {why}"));
        }
    }
    for caution in &caution::of_cell(newest.run, cell) {
        match caution {
            // Heat is what was measured; whether it settled is judged above.
            Caution::NotSteady { .. } if settles => {}
            Caution::NotSteady { launches, of, state } if needs_steady && launches == of => {
                return curable(format!("it was never steady: {state}. Allow more images per launch"));
            }
            Caution::NotSteady { .. } | Caution::Bimodal { .. } | Caution::MoreThreads { .. } => {
                caveats.push(caution.long());
            }
            Caution::NotSettled { .. } | Caution::ShortOfMemory { .. } | Caution::NotRepeatable => {
                caveats.push(caution.long());
            }
            _ => {}
        }
    }
    None
}
