//! Several records of one plan, measured in parts, as one record.
//!
//! Contract: only what can be compared is merged: the same schema, work, build and kind of machine, unless a difference is
//! allowed, and then the record names it. Nothing is lost: a cell that is in several records keeps the launches of all.

use std::collections::BTreeSet;

use crate::record::{Cell, Counted, Kind, ModelEntry, Reading, Run, Status, Warning};
use crate::verdict::{Difference, differences, named};

/// Why records cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// None was given.
    #[error("no record was given; name the runs of all shards")]
    Empty,
    /// The same run twice.
    #[error("{0} was given twice, and its launches would count twice")]
    Twice(String),
    /// They differ in what matters.
    #[error("these runs are not parts of one: they differ in {}. To merge them anyway, allow {}; the record will say \
             so",
        .0.iter().map(|(_, says)| says.as_str()).collect::<Vec<_>>().join("; "),
        .0.iter().map(|(kind, _)| kind.name()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", "))]
    Differ(Vec<(Difference, String)>),
}

/// One record of all; `id` names it.
///
/// # Errors
/// [`MergeError`].
pub fn merge(runs: &[&Run], id: &str, allow: &BTreeSet<Difference>) -> Result<Run, MergeError> {
    let (first, rest) = runs.split_first().ok_or(MergeError::Empty)?;
    let mut found: Vec<(Difference, String)> = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        if runs[..place].iter().any(|other| other.run.id == run.run.id) {
            return Err(MergeError::Twice(run.run.id.clone()));
        }
    }
    for run in rest {
        for one in differences(first, run).into_iter().chain(program_differs(first, run)) {
            if !found.contains(&one) {
                found.push(one);
            }
        }
    }
    let (allowed, forbidden): (Vec<_>, Vec<_>) = found.into_iter().partition(|(kind, _)| allow.contains(kind));
    if !forbidden.is_empty() {
        return Err(MergeError::Differ(forbidden));
    }
    let mut merged = (*first).clone();
    merged.warnings.push(Kind::MergedFrom { runs: runs.iter().map(|run| run.run.id.clone()).collect() }.into());
    merged.warnings.extend(
        allowed.into_iter().map(|(kind, differs)| {
            Warning::from(Kind::MergedAlthough { kind_of_difference: kind.to_string(), differs })
        }),
    );
    for run in rest {
        // What forbids nothing is kept too: of the machines only the first part's stays in the record.
        for differs in named(first, run) {
            merged.warnings.push(Kind::MergedParts { differs }.into());
        }
        let (head, other) = (&mut merged.run, &run.run);
        // As in a run of one part: what cells differ in stands in their keys.
        if head.steps != other.steps {
            head.steps = 0;
        }
        if head.sampler != other.sampler {
            head.sampler.clear();
        }
        if head.sigmas != other.sigmas {
            head.sigmas.clear();
        }
        run.models.iter().for_each(|model| add_model(&mut merged, model));
        for inputs in &run.inputs {
            if !merged.inputs.contains(inputs) {
                merged.inputs.push(inputs.clone());
            }
        }
        run.cells.iter().for_each(|cell| add_cell(&mut merged, cell));
        merged.warnings.extend(run.warnings.iter().cloned());
    }
    id.clone_into(&mut merged.run.id);
    merged.run.created = runs.iter().map(|run| run.run.created.clone()).min().unwrap_or_default();
    let finished: Option<Vec<String>> = runs.iter().map(|run| run.run.finished.clone()).collect();
    merged.run.finished = finished.and_then(|all| all.into_iter().max());
    Ok(merged)
}

/// Parts measured by different sources of the program are not parts of one run.
pub fn program_differs(one: &Run, other: &Run) -> Option<(Difference, String)> {
    let of = |run: &Run| match &run.run.git {
        Reading::Ok(git) => format!("{}{}", git.revision, if git.dirty { " with changes" } else { "" }),
        _ => run.run.tool_version.clone(),
    };
    let (a, b) = (of(one), of(other));
    let says = || format!("program: {a} in {}, {b} in {}", one.run.id, other.run.id);
    (a != b).then(|| (Difference::Build, says()))
}

fn add_model(merged: &mut Run, model: &ModelEntry) {
    let same = |known: &&mut ModelEntry| {
        (&known.name, known.height, known.width, known.text_tokens)
            == (&model.name, model.height, model.width, model.text_tokens)
    };
    match merged.models.iter_mut().find(same) {
        None => merged.models.push(model.clone()),
        Some(known) => {
            for file in &model.weights {
                if !known.weights.iter().any(|other| other.scheme == file.scheme) {
                    known.weights.push(file.clone());
                }
            }
        }
    }
}

/// Launches are numbered anew, those of the first record first; a failure in any part is the cell's.
fn add_cell(merged: &mut Run, cell: &Cell) {
    let Some(known) = merged.cells.iter_mut().find(|known| known.key == cell.key) else {
        merged.cells.push(cell.clone());
        return;
    };
    fill(known, cell);
    let (had_none, has_none) = (known.is_cut_short(), cell.is_cut_short());
    let short = fewer(known).or_else(|| fewer(cell));
    let from = known.launches.len() as u32;
    let more = cell.launches.iter().zip(from..).map(|(launch, index)| {
        let mut launch = launch.clone();
        launch.index = index;
        launch
    });
    known.launches.extend(more);
    // What one part had no room for, another may have had.
    let is_of_budget = |warning: &Warning| matches!(warning.kind(), Some(Kind::FewerLaunches { .. }));
    known.warnings.retain(|warning| !is_of_budget(warning));
    known.discarded.extend(cell.discarded.iter().cloned());
    for warning in cell.warnings.iter().filter(|warning| !is_of_budget(warning)) {
        let mut warning = warning.clone();
        if let Warning::Of(Kind::SpoiledLaunch { launch, .. }) = &mut warning
            && let Some((_, now)) = cell.launches.iter().zip(from..).find(|(then, _)| then.index == *launch)
        {
            *launch = now;
        }
        if !known.warnings.contains(&warning) {
            known.warnings.push(warning);
        }
    }
    let made = u32::try_from(known.good_launches().count()).unwrap_or(u32::MAX);
    if let Some((wanted, budget)) = short.filter(|(wanted, _)| made < *wanted) {
        known.warnings.push(Kind::FewerLaunches { made, wanted, budget, enough: None }.into());
    }
    // A part that was stopped before it had a result says nothing of the cell.
    if had_none || (known.status == Status::Ok && cell.status != Status::Ok && !has_none) {
        (known.status, known.reason) = (cell.status, cell.reason.clone());
    }
}

/// Launches that a budget had no room for: how many were wanted, and the budget.
fn fewer(cell: &Cell) -> Option<(u32, String)> {
    cell.warnings.iter().find_map(|warning| match warning.kind() {
        Some(Kind::FewerLaunches { wanted, budget, .. }) => Some((*wanted, budget.clone())),
        _ => None,
    })
}

/// Takes from another part what the first does not know of a cell: it failed early, or was brief.
fn fill(known: &mut Cell, other: &Cell) {
    fn list<T: Clone>(known: &mut Vec<T>, other: &[T]) {
        if known.is_empty() {
            known.extend_from_slice(other);
        }
    }
    list(&mut known.stages, &other.stages);
    list(&mut known.sigmas, &other.sigmas);
    list(&mut known.versions, &other.versions);
    list(&mut known.placement, &other.placement);
    if known.variant_about.is_empty() {
        known.variant_about.clone_from(&other.variant_about);
    }
    if known.numerics.value().is_none() && other.numerics.value().is_some() {
        known.numerics.clone_from(&other.numerics);
    }
    if known.memory_pass.value().is_none() && other.memory_pass.value().is_some() {
        known.memory_pass.clone_from(&other.memory_pass);
    }
    let is_known =
        |counted: &Option<Reading<Counted>>| counted.as_ref().is_some_and(|counted| counted.value().is_some());
    if known.counted.is_none() || (!is_known(&known.counted) && is_known(&other.counted)) {
        known.counted.clone_from(&other.counted);
    }
    if known.profile.value().is_none() && other.profile.value().is_some() {
        known.profile.clone_from(&other.profile);
    }
    known.image = known.image.take().or_else(|| other.image.clone());
    known.trace = known.trace.take().or_else(|| other.trace.clone());
    known.system_trace = known.system_trace.take().or_else(|| other.system_trace.clone());
    known.weights = known.weights.take().or_else(|| other.weights.clone());
    known.device = known.device.take().or_else(|| other.device.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CellKey, Kept, Launch, Machine, RunInfo};

    fn run(id: &str, models: &[&str]) -> Run {
        let mut run = Run::new(
            RunInfo { id: id.into(), created: format!("2026-11-23T00:00:0{}Z", id.len()), ..RunInfo::default() },
            Machine { cpu_model: Reading::Ok("a processor".into()), ..Machine::default() },
        );
        run.run.finished = Some("2026-11-23T01:00:00Z".into());
        run.cells = models
            .iter()
            .map(|model| Cell {
                key: CellKey { model: (*model).into(), ..CellKey::default() },
                status: Status::Ok,
                launches: vec![Launch { status: Status::Ok, ..Launch::default() }],
                ..Cell::default()
            })
            .collect();
        run
    }

    #[test]
    fn cells_come_together_and_launches_of_one_cell_add_up() {
        let (a, b) = (run("a", &["nano", "tiny"]), run("bb", &["tiny", "small"]));
        let merged = merge(&[&a, &b], "both", &BTreeSet::new()).unwrap();
        let names: Vec<&str> = merged.cells.iter().map(|cell| cell.key.model.as_str()).collect();
        assert_eq!(names, ["nano", "tiny", "small"]);
        let indices: Vec<u32> = merged.cells[1].launches.iter().map(|launch| launch.index).collect();
        assert_eq!(indices, [0, 1]);
        assert_eq!((merged.run.id.as_str(), merged.run.created.as_str()), ("both", "2026-11-23T00:00:01Z"));
        assert!(merged.run.finished.is_some() && merged.warnings[0].to_string().contains("a, bb"));
    }

    #[test]
    fn a_launch_that_counts_although_it_was_spoiled_is_told_under_its_number_in_the_whole() {
        let spoiled = |id: &str| {
            let mut run = run(id, &["nano"]);
            let (why, kept) = ("it was hot".to_owned(), Kept::NoTime);
            run.cells[0].warnings.push(Kind::SpoiledLaunch { launch: 0, why, kept }.into());
            run
        };
        let merged = merge(&[&spoiled("a"), &spoiled("bb")], "both", &BTreeSet::new()).unwrap();
        let told: Vec<String> = merged.cells[0].warnings.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("launch 0 counts") && told[1].starts_with("launch 1 counts"), "{told:?}");
    }

    #[test]
    fn what_one_part_does_not_know_of_a_cell_is_the_others() {
        let (mut a, mut b) = (run("a", &["nano"]), run("bb", &["nano"]));
        a.cells[0] = Cell::failed(a.cells[0].key.clone(), Status::Interrupted, "left out");
        b.cells[0].numerics = Reading::Ok("f32".into());
        b.cells[0].image = Some("nano.png".into());
        b.cells[0].placement = vec![crate::record::StagePlacement::default()];
        a.cells[0].counted = Some(Reading::absent("no valgrind"));
        b.cells[0].counted = Some(Reading::Ok(Counted { instructions: 7, ..Counted::default() }));
        for parts in [[&a, &b], [&b, &a]] {
            let merged = merge(&parts, "both", &BTreeSet::new()).unwrap();
            let cell = &merged.cells[0];
            assert_eq!((cell.status, cell.reason.as_deref(), cell.launches.len()), (Status::Ok, None, 1));
            assert_eq!((cell.numerics.value().map(String::as_str), cell.placement.len()), (Some("f32"), 1));
            assert_eq!((&cell.counted, &cell.image), (&b.cells[0].counted, &b.cells[0].image));
        }
    }

    #[test]
    fn launches_that_all_parts_together_lack_are_told_and_a_stopped_part_says_nothing() {
        let part = |id: &str, wanted| {
            let mut run = run(id, &["nano"]);
            let fewer = Kind::FewerLaunches { made: 1, wanted, budget: "1m".into(), enough: None };
            run.cells[0].warnings.push(fewer.into());
            run
        };
        let told = |wanted| -> Vec<String> {
            let (a, b) = (part("a", wanted), part("bb", wanted));
            let merged = merge(&[&a, &b], "both", &BTreeSet::new()).unwrap();
            merged.cells[0].warnings.iter().map(ToString::to_string).collect()
        };
        assert!(told(2).is_empty());
        assert_eq!(told(3), ["2 of 3 launches: the budget of 1m had no room for more"]);
        let (mut stopped, whole) = (run("a", &["nano"]), run("bb", &["nano"]));
        stopped.cells[0].status = Status::Interrupted;
        stopped.cells[0].launches[0].status = Status::Interrupted;
        for parts in [[&stopped, &whole], [&whole, &stopped]] {
            assert_eq!(merge(&parts, "both", &BTreeSet::new()).unwrap().cells[0].status, Status::Ok);
        }
    }

    #[test]
    fn parts_of_other_steps_are_parts_and_the_same_cell_at_other_noise_levels_is_not() {
        let part = |id: &str, steps: u32, sigmas: &[f64]| {
            let mut run = run(id, &["nano"]);
            (run.run.steps, run.run.sigmas) = (steps, sigmas.to_vec());
            (run.cells[0].key.steps, run.cells[0].sigmas) = (steps, sigmas.to_vec());
            run
        };
        let (a, b) = (part("a", 2, &[1.0, 0.5, 0.0]), part("bb", 1, &[1.0, 0.0]));
        let merged = merge(&[&a, &b], "both", &BTreeSet::new()).unwrap();
        assert_eq!((merged.cells.len(), merged.run.steps, merged.run.sigmas.len()), (2, 0, 0));
        let shifted = part("ccc", 2, &[1.0, 0.75, 0.0]);
        let error = merge(&[&a, &shifted], "both", &BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains("noise levels"), "{error}");
    }

    #[test]
    fn a_failed_part_fails_the_cell_and_an_unfinished_part_the_run() {
        let (a, mut b) = (run("a", &["nano"]), run("bb", &["nano"]));
        (b.cells[0].status, b.cells[0].reason) = (Status::Oom, Some("killed".into()));
        b.run.finished = None;
        let merged = merge(&[&a, &b], "both", &BTreeSet::new()).unwrap();
        assert_eq!((merged.cells[0].status, merged.cells[0].reason.as_deref()), (Status::Oom, Some("killed")));
        assert_eq!(merged.run.finished, None);
    }

    #[test]
    fn what_cannot_be_compared_is_refused_unless_it_is_allowed_and_then_named() {
        let (a, mut b) = (run("a", &["nano"]), run("bb", &["tiny"]));
        b.machine.cpu_model = Reading::Ok("another".into());
        let error = merge(&[&a, &b], "both", &BTreeSet::new()).unwrap_err();
        assert!(error.to_string().contains("machine") && error.to_string().contains("another"), "{error}");
        let merged = merge(&[&a, &b], "both", &BTreeSet::from([Difference::Machine])).unwrap();
        assert!(merged.warnings.iter().any(|warning| warning.to_string().contains("although the machine differs")));
        b = run("bb", &["tiny"]);
        b.run.tool_version = "9".into();
        assert!(matches!(merge(&[&a, &b], "both", &BTreeSet::new()), Err(MergeError::Differ(_))));
        assert_eq!(merge(&[&a, &a], "both", &BTreeSet::new()), Err(MergeError::Twice("a".into())));
    }
}
