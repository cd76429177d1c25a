//! From the records of two builds to one verdict.
//!
//! Contract: cells are matched by key; every launch that ended well is a sample, whichever of a side's records it is in.
//! Records that must not be compared are refused, unless the difference is allowed by name, and then the verdict names it.

use std::collections::BTreeSet;

use crate::metric::{Basis, Enforce, Metric};
use crate::record::{Cell, CellKey, Run};
use crate::stats::{fdr, power};
use crate::{table, text};

use super::counted::{self, Look};
use super::design::Design;
use super::fit::{self, Difference};
use super::judge::{self, Measured, Samples, Terms, Threshold};
use super::samples::{self, Taken};
use super::sides::{CompareError, Options, Side};
use super::{
    CellState, CellVerdict, Fault, Finding, Method, Outcome, RunRef, SCHEMA_VERSION, SideInfo, Verdict, drift, findings,
};

/// A cell on its way to a verdict.
struct Open {
    verdict: CellVerdict,
    measured: Vec<Measured>,
}

/// The verdict on head against base.
///
/// # Errors
/// [`CompareError`]: an empty side, records that differ in what is not allowed, a damaged record, nothing in common.
pub fn compare(base: &Side, head: &Side, options: &Options) -> Result<Verdict, CompareError> {
    for (side, name) in [(base, "base"), (head, "head")] {
        if side.runs.is_empty() && side.benches.is_empty() {
            return Err(CompareError::Empty { side: name });
        }
    }
    let allowed = check(base, head, options)?;
    let mut options = options.clone();
    let mut cautions = named(base, head);
    if let Some(noise) = options.noise.take_if(|noise| base.runs.first().is_some_and(|run| !noise.is_of(run))) {
        cautions.push(format!(
            "the stored noise of {} belongs to another machine or other conditions ({}), and was not used; `ditbench \
             aa` measures this one's",
            noise.made_from,
            match noise.conditions.as_deref() {
                None => "not recorded",
                Some("") => "the usual",
                Some(unusual) => unusual,
            }
        ));
    }
    let options = &options;
    let terms = Terms { level: options.level.unwrap_or(options.gate.level), power: power::USUAL_POWER };
    let mut open = cells(base, head, options, terms, &mut cautions);
    open.extend(benches(base, head, options, terms));
    let ours = base.ids(|_| true);
    // What is left of a benchmark that head did not run is something only if base has it.
    let theirs = head.ids(|bench| bench.not_run.is_none() || ours.contains(&bench.id));
    if !theirs.is_empty() && ours.is_disjoint(&theirs) {
        let names = |ids: BTreeSet<String>| match ids.len() {
            0 => "none".to_owned(),
            _ => ids.into_iter().collect::<Vec<_>>().join(", "),
        };
        return Err(CompareError::NothingInCommon { base: names(ours), head: names(theirs) });
    }
    let p: Vec<f64> = open.iter().flat_map(|cell| &cell.measured).filter_map(|one| one.verdict.p).collect();
    let mut q = fdr::benjamini_hochberg(&p).into_iter();
    let tests = p.len();
    let mut verdict = Verdict {
        schema_version: SCHEMA_VERSION,
        outcome: Outcome::Inconclusive,
        base: info(base),
        head: info(head),
        method: Method {
            design: options.design,
            level: terms.level,
            tests,
            power: terms.power,
            noise_from: options.noise.as_ref().map(|noise| noise.made_from.clone()),
        },
        allowed,
        cautions,
        cells: Vec::new(),
        gate: options.gate.clone(),
    };
    for mut cell in open {
        let decided = cell.measured.into_iter().map(|one| {
            let q = one.verdict.p.and_then(|_| q.next());
            judge::decide(one, q, tests, terms)
        });
        cell.verdict.metrics = decided.collect();
        counted::settle(&mut cell.verdict.metrics);
        verdict.cells.push(cell.verdict);
    }
    verdict.settle();
    Ok(verdict)
}

/// Every record against the first of base.
fn check(base: &Side, head: &Side, options: &Options) -> Result<Vec<String>, CompareError> {
    let mut found: Vec<(Difference, String)> = Vec::new();
    let mut all = base.runs.iter().chain(&head.runs);
    if let Some(first) = all.next() {
        for other in all {
            for one in fit::differences(first, other) {
                if !found.contains(&one) {
                    found.push(one);
                }
            }
        }
    }
    for run in base.runs.iter().chain(&head.runs) {
        for (place, cell) in run.cells.iter().enumerate() {
            if run.cells[..place].iter().any(|other| other.key == cell.key) {
                return Err(CompareError::Twice { run: run.run.id.clone(), cell: cell.key.id() });
            }
        }
    }
    let (allowed, forbidden): (Vec<_>, Vec<_>) = found.into_iter().partition(|(kind, _)| options.allow.contains(kind));
    if forbidden.is_empty() {
        Ok(allowed.into_iter().map(|(_, says)| says).collect())
    } else {
        Err(CompareError::Differ { found: forbidden })
    }
}

/// What differs from the first of base and forbids nothing.
fn named(base: &Side, head: &Side) -> Vec<String> {
    let mut found = Vec::new();
    let mut all = base.runs.iter().chain(&head.runs);
    if let Some(first) = all.next() {
        for says in all.flat_map(|other| fit::named(first, other)) {
            if !found.contains(&says) {
                found.push(says);
            }
        }
    }
    found
}

fn info(side: &Side) -> SideInfo {
    let of_run = |run: &&Run| RunRef {
        id: run.run.id.clone(),
        created: run.run.created.clone(),
        revision: run.run.git.value().map(|git| git.revision.clone()),
        dirty: run.run.git.value().map(|git| git.dirty),
        tool_version: run.run.tool_version.clone(),
    };
    let mut runs: Vec<RunRef> = side.runs.iter().map(of_run).collect();
    let mut places: Vec<&str> = side.benches.iter().map(|bench| bench.from.as_str()).collect();
    places.dedup();
    runs.extend(places.into_iter().map(|place| RunRef { id: place.to_owned(), ..RunRef::default() }));
    SideInfo { label: side.label.clone(), runs }
}

/// The cell's label: `tiny 512×512 · ort int8 · q4 · cpu · 2 threads`.
fn label(key: &CellKey) -> String {
    let threads = if key.threads == 1 { "thread" } else { "threads" };
    let cpus = if key.cpus.is_empty() { String::new() } else { format!(" on CPUs {}", key.cpus) };
    let memory = if key.memory == "fast" { String::new() } else { format!(" · {} memory", key.memory) };
    let company = key.in_company().map(|company| format!(" · {company}")).unwrap_or_default();
    format!(
        "{}{} · {} {} · {} · {} · {} {threads}{cpus}{memory}{company}",
        key.name(),
        text::pixels(key.width, key.height),
        key.backend,
        key.variant,
        key.precision,
        key.device,
        key.threads
    )
}

fn cells(base: &Side, head: &Side, options: &Options, terms: Terms, cautions: &mut Vec<String>) -> Vec<Open> {
    let mut keys: Vec<&CellKey> = Vec::new();
    for run in base.runs.iter().chain(&head.runs) {
        for cell in &run.cells {
            if !keys.contains(&&cell.key) {
                keys.push(&cell.key);
            }
        }
    }
    let later = first_created(head) >= first_created(base);
    let (mut open, mut nowhere) = (Vec::new(), Vec::new());
    for key in keys {
        let in_base = in_side(base, key);
        let in_head = in_side(head, key);
        if in_base.is_empty() && in_head.is_empty() {
            nowhere.push(key.id());
            continue;
        }
        open.push(cell(key, (base, &in_base), (head, &in_head), options, terms, later));
    }
    let failed = open.iter().filter(|cell| cell.verdict.state == CellState::FailedOnBoth).count();
    if failed > 0 {
        let cells = if failed == 1 { "cell" } else { "cells" };
        cautions.push(format!("{failed} {cells} failed on both sides and were not compared"));
    }
    if !nowhere.is_empty() {
        cautions.push(format!("not measured on either side, and so not compared: {}", nowhere.join(", ")));
    }
    // Records of pairs are judged while they are still being made.
    if options.design == Design::Independent {
        for (side, name) in [(base, "base"), (head, "head")] {
            cautions.extend(side.runs.iter().filter(|run| run.run.finished.is_none()).map(|run| {
                format!(
                    "{name}'s run {} is incomplete, so cells or launches may be missing; continue it with `ditbench \
                     run --resume`",
                    run.run.id
                )
            }));
        }
    }
    open
}

/// When the first of a side's records was begun: RFC 3339 in UTC, which sorts as text.
fn first_created<'a>(side: &Side<'a>) -> Option<&'a str> {
    side.runs.iter().map(|run| run.run.created.as_str()).min()
}

/// The cell in those records of a side that have a result of it, or a failure.
fn in_side<'a>(side: &Side<'a>, key: &CellKey) -> Vec<(usize, &'a Cell)> {
    let cells = side.runs.iter().enumerate().filter_map(|(n, run)| Some((n, run.cell(key)?)));
    cells.filter(|(_, cell)| !cell.is_cut_short()).collect()
}

/// Why a side has nothing of a cell, where that says nothing of the build: its runs ended before.
fn left_out(side: &Side, key: &CellKey, design: Design) -> Option<String> {
    let not_reached = || "the run was stopped before it got to this cell".to_owned();
    if let Some(row) = side.runs.iter().find_map(|run| run.cell(key).filter(|cell| cell.is_cut_short())) {
        return Some(row.reason.clone().unwrap_or_else(not_reached));
    }
    // Records of pairs are judged while they are still being made.
    let is_stopped = |run: &&Run| design == Design::Independent && run.run.finished.is_none();
    side.runs.iter().copied().any(|run| is_stopped(&run)).then(not_reached)
}

/// A side, and a cell in those of its records that have it.
type InSide<'a> = (&'a Side<'a>, &'a [(usize, &'a Cell)]);

fn cell(
    key: &CellKey,
    (base_side, base): InSide,
    (head_side, head): InSide,
    options: &Options,
    terms: Terms,
    later: bool,
) -> Open {
    let good = |cells: &[(usize, &Cell)]| cells.iter().any(|(_, cell)| cell.is_good());
    // Some launches of base failed, others did not: nothing can be called mended before those are compared.
    let unsteady = !good(base) && base.iter().any(|(_, cell)| cell.good_launches().next().is_some());
    // One record in which it failed is enough: a cell that works sometimes does not work.
    let broken = head.is_empty() || head.iter().any(|(_, cell)| !cell.is_good());
    // A row that a run never reached says nothing for or against the build.
    let left_out =
        |side: &Side, cells: &[(usize, &Cell)]| cells.is_empty().then(|| left_out(side, key, options.design)).flatten();
    let (out_of_base, out_of_head) = (left_out(base_side, base), left_out(head_side, head));
    let state = match (good(base), base.is_empty()) {
        _ if out_of_base.is_some() || out_of_head.is_some() => CellState::LeftOut,
        (true, _) if broken => CellState::Broken,
        (true, _) => CellState::Compared,
        (false, true) => CellState::New,
        (false, false) if !broken && unsteady => CellState::Compared,
        (false, false) if good(head) => CellState::Fixed,
        (false, false) => CellState::FailedOnBoth,
    };
    let mut verdict = CellVerdict {
        id: key.id(),
        label: label(key),
        key: Some(key.clone()),
        state,
        outcome: None,
        findings: Vec::new(),
        unchecked: Vec::new(),
        notes: Vec::new(),
        metrics: Vec::new(),
    };
    let (found, unchecked) = findings::of_cell(head, options.apart.get(&verdict.id), &options.gate);
    verdict.findings = found;
    if state == CellState::Broken {
        verdict.findings.insert(0, findings::broken(head));
    }
    match state {
        CellState::Compared | CellState::New | CellState::Fixed => verdict.unchecked = unchecked,
        CellState::Broken | CellState::FailedOnBoth | CellState::LeftOut => {}
    }
    for (side, why) in [("base", out_of_base), ("head", out_of_head)] {
        verdict.unchecked.extend(why.map(|why| format!("it was not measured in {side}: {why}")));
    }
    if state == CellState::Compared {
        verdict.notes.extend(fit::other_versions(base, head));
    }
    if state == CellState::Compared && unsteady {
        verdict.notes.push("some launches of base failed; the others are compared".into());
    }
    let measured = if state == CellState::Compared {
        measure(&verdict.id, (base_side, base), (head_side, head), options, terms, later, &mut verdict.notes)
    } else {
        Vec::new()
    };
    Open { verdict, measured }
}

fn measure(
    id: &str,
    (base_side, base): InSide,
    (head_side, head): InSide,
    options: &Options,
    terms: Terms,
    later: bool,
    notes: &mut Vec<String>,
) -> Vec<Measured> {
    let steps = samples::steps(base).max(samples::steps(head));
    let mut metrics: Vec<Metric> = Vec::new();
    for metric in Metric::judged() {
        metrics.push(metric);
        if metric.has_steps() && steps > 1 {
            metrics.extend((0..steps).map(|step| metric.step(step)));
        }
    }
    // Pairs are neighbours in time: what the machine does falls out of their difference.
    let independent = options.design == Design::Independent && !options.allow.contains(&Difference::Machine);
    let machine = independent.then(|| drift::machine(base, head, &options.gate)).flatten();
    let foreign = independent.then(|| drift::foreign(base, head)).flatten();
    notes.extend(machine.iter().chain(&foreign).map(|doubt| doubt.says.clone()));
    notes.extend(independent.then(|| drift::unknown(base, head)).flatten());
    let counts = counted::look(base, head);
    let (said, comparable) = match &counts {
        Look::None => (&[][..], false),
        Look::Incomparable(said) => (&said[..], false),
        Look::Comparable(said) => (&said[..], true),
    };
    notes.extend_from_slice(said);
    // Counts that decide need no time beside them.
    let are_enough = comparable && options.gate.rule(Metric::COUNTED, id).enforce != Enforce::Show;
    let mut measured: Vec<Measured> = Vec::new();
    let mut unpaired = 0;
    for metric in metrics {
        let is_missing = metric == Metric::COUNTED && matches!(counts, Look::Incomparable(_));
        if metric.basis() == Basis::Counted && !comparable && !is_missing {
            continue;
        }
        let of =
            |side: &Side, cells| if is_missing { Vec::new() } else { samples::of_cells(metric, &side.runs, cells) };
        let (base, head) = (of(base_side, base), of(head_side, head));
        // Where images are so long that each launch made only one, the first image is the one to judge.
        let stands_in = metric == Metric::FIRST_IMAGE && measured.iter().all(|one| one.verdict.metric != Metric::IMAGE);
        let nothing = base.is_empty() && head.is_empty();
        let stands_in = stands_in && !(are_enough && nothing);
        // A cell without any launch has a time all the same, and one that was to be counted a count: one that is missing, so that it
        // cannot be well.
        if nothing && !stands_in && !is_missing {
            continue;
        }
        let mut threshold = Threshold {
            rule: options.gate.rule(metric, id),
            noise: options.noise.as_ref().and_then(|noise| noise.threshold_for(id, metric, base.len().min(head.len()))),
        };
        if stands_in && threshold.rule.enforce == Enforce::Alarm {
            threshold.rule.enforce = options.gate.rule(Metric::IMAGE, id).enforce;
            notes.push("no launch made a steady image: the first image is judged instead".into());
        }
        let paired = options.design == Design::Paired && metric.basis() == Basis::Launches;
        let pairs = paired.then(|| pairs(&base, &head));
        let values = |taken: &[Taken]| taken.iter().map(|sample| sample.value).collect::<Vec<_>>();
        let of_pairs = |from: u32| -> Vec<(f64, f64)> {
            pairs.iter().flatten().filter(|pair| pair.0.launch >= from).map(|(a, b)| (a.value, b.value)).collect()
        };
        let samples = match &pairs {
            Some(pairs) => {
                unpaired = unpaired.max(base.len() + head.len() - 2 * pairs.len());
                Samples {
                    metric,
                    base: pairs.iter().map(|pair| pair.0.value).collect(),
                    head: pairs.iter().map(|pair| pair.1.value).collect(),
                    pairs: Some(of_pairs(0)),
                    confirming: options.confirming.get(id).map(|from| of_pairs(*from)),
                }
            }
            None => Samples { metric, base: values(&base), head: values(&head), pairs: None, confirming: None },
        };
        let mut one = judge::measure(&samples, &threshold, terms);
        if is_missing {
            "the two sides have no counts that can be compared".clone_into(&mut one.verdict.why);
        }
        if independent && metric.moves_with_the_machine() {
            one.doubts.extend(machine.iter().chain(&foreign).cloned());
            one.doubts.extend(drift::of_launches(&base, &head, later));
        }
        measured.push(one);
    }
    if unpaired > 0 {
        notes.push(format!("{unpaired} launches have no counterpart on the other side and are left out"));
    }
    measured
}

/// Launches of the same record's place and the same index.
fn pairs(base: &[Taken], head: &[Taken]) -> Vec<(Taken, Taken)> {
    let partner = |one: &Taken| head.iter().find(|other| (other.record, other.launch) == (one.record, one.launch));
    base.iter().filter_map(|one| Some((*one, *partner(one)?))).collect()
}

fn benches(base: &Side, head: &Side, options: &Options, terms: Terms) -> Vec<Open> {
    let mut ids: Vec<&str> = Vec::new();
    // What is left of a benchmark that neither side ran is nobody's.
    for bench in base.benches.iter().chain(head.benches.iter().filter(|bench| bench.not_run.is_none())) {
        if !ids.contains(&bench.id.as_str()) {
            ids.push(&bench.id);
        }
    }
    let of = |side: &Side, id: &str| {
        side.benches
            .iter()
            .filter(|bench| bench.id == id)
            .flat_map(|bench| bench.samples_s.clone())
            .collect::<Vec<f64>>()
    };
    ids.into_iter()
        .map(|id| {
            let samples = Samples {
                metric: Metric::ITERATION,
                base: of(base, id),
                head: of(head, id),
                pairs: None,
                confirming: None,
            };
            let not_run = head.benches.iter().find_map(|bench| bench.not_run.as_ref().filter(|_| bench.id == id));
            let state = match (samples.base.is_empty(), samples.head.is_empty() || not_run.is_some()) {
                (false, false) => CellState::Compared,
                (false, true) => CellState::Broken,
                (true, _) => CellState::New,
            };
            let mut verdict = CellVerdict {
                id: id.to_owned(),
                label: id.to_owned(),
                key: None,
                state,
                outcome: None,
                findings: Vec::new(),
                unchecked: Vec::new(),
                notes: Vec::new(),
                metrics: Vec::new(),
            };
            if state == CellState::Broken {
                verdict.findings.push(match not_run {
                    Some(why) => Finding { fault: Fault::Missing, says: why.clone() },
                    None => findings::broken(&[]),
                });
            }
            let threshold = Threshold {
                rule: options.gate.rule(Metric::ITERATION, id),
                noise: options.noise.as_ref().and_then(|noise| {
                    noise.threshold_for(id, Metric::ITERATION, samples.base.len().min(samples.head.len()))
                }),
            };
            let measured = match state {
                CellState::Compared => vec![judge::measure(&samples, &threshold, terms)],
                _ => Vec::new(),
            };
            if state == CellState::Compared {
                verdict.notes.push(
                    "samples are iterations of one process per side: the interval does not cover variation between \
                     processes"
                        .into(),
                );
            }
            Open { verdict, measured }
        })
        .collect()
}

/// The workload of a cell, for faces that group by it.
pub(super) fn workload(cell: &CellVerdict) -> String {
    cell.key.as_ref().map_or_else(|| "criterion benchmarks".to_owned(), table::workload)
}
