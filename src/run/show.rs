//! What a run shows: the plan before it starts, the report when it is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use ditbench_record::Cell;
use ditbench_record::disturbed::several;
use ditbench_record::store::RunStore;
use ditbench_reports::advice::Question;

use super::resolve::Resolved;
use super::schedule::{CellState, Schedule, Terms};
use super::{Settings, budget};
use crate::host::Host;
use crate::plan::{Basis, Estimate};
use crate::text::{bytes, count, seconds, table};
use ditbench_worker::probe::memory::Available;

/// Prints the plan with its estimates, and what each is taken from.
pub fn plan(settings: &Settings, cells: &[Resolved], estimates: &[Estimate], host: &dyn Host) {
    if settings.judging.is_none() {
        crate::text::show(&format!(
            "Plan: {}, \"{}\", seed {}, up to {} of up to {} each.\n\n",
            several(cells.len(), "cell"),
            settings.prompt,
            settings.seed,
            several(settings.launches, "launch"),
            several(settings.images, "image")
        ));
    }
    let rows = cells.iter().zip(estimates).map(|(cell, estimate)| {
        let refusal = cell.refusal.as_ref().map(|(status, _)| status.name().to_owned());
        let unknown = || "?".to_owned();
        let memory = estimate.memory_bytes.as_ref().map(|guess| guess.value);
        vec![
            cell.cell.choice.to_string(),
            cell.cell.backend.name.clone(),
            cell.key.variant.clone(),
            cell.cell.device.clone(),
            cell.key.precision.clone(),
            match cell.key.company {
                0 => cell.cell.threads.to_string(),
                company => format!("{}, company {company}", cell.cell.threads),
            },
            if cell.is_own() { unknown() } else { count(estimate.flops_per_image) },
            refusal.clone().unwrap_or_else(|| estimate.image_s().map_or_else(unknown, seconds)),
            refusal.clone().unwrap_or_else(|| memory.map_or_else(unknown, bytes)),
            refusal.map_or_else(|| basis(estimate), |_| String::new()),
        ]
    });
    crate::text::show(&table(
        &[
            "workload",
            "backend",
            "variant",
            "device",
            "precision",
            "threads",
            "FLOPs/image",
            "≈ image",
            "≈ memory",
            "from",
        ],
        rows,
    ));
    let time = if cells.iter().all(|cell| cell.refusal.is_some()) {
        "None of this can run here.".to_owned()
    } else {
        totals(settings, cells, estimates)
    };
    let memory = free(host.memory_available());
    crate::text::show(&format!("\n{time} The machine has {} threads and {memory}. (≈: estimates.)\n\n", host.cores()));
    if let Some(warning) = too_many_threads(cells, host.cores()) {
        crate::text::show(&format!("{warning}\n\n"));
    }
}

/// What an estimate is taken from, in the words of the table.
fn basis(estimate: &Estimate) -> String {
    let time = estimate.times.as_ref().map(|guess| &guess.basis);
    let memory = estimate.memory_bytes.as_ref().map(|guess| &guess.basis);
    match (time, memory) {
        (Some(time), Some(memory)) if memory != time && *memory == Basis::Assumed => format!("{time}; memory assumed"),
        (Some(time), _) => time.to_string(),
        (None, Some(Basis::Assumed)) => "memory assumed".to_owned(),
        (None, Some(memory)) => format!("memory {memory}"),
        (None, None) => String::new(),
    }
}

/// How long the plan takes, what that is taken from, and what the budget has no room for.
fn totals(settings: &Settings, cells: &[Resolved], estimates: &[Estimate]) -> String {
    let runs: Vec<&Estimate> =
        cells.iter().zip(estimates).filter(|(cell, _)| cell.refusal.is_none()).map(|(_, estimate)| estimate).collect();
    let known: Vec<&Basis> = runs.iter().filter_map(|estimate| Some(&estimate.times.as_ref()?.basis)).collect();
    let unknown = if known.len() == runs.len() {
        ""
    } else {
        ", cells marked ? aside (what their device can do, or what a model of your own computes, is not known)"
    };
    let budget = seconds(settings.budget_s.get());
    if known.is_empty() {
        let budget = if settings.judging.is_some() { String::new() } else { format!("; the budget is {budget}") };
        return format!("Nothing is known yet about how long these cells take{budget}.");
    }
    if settings.judging.is_some() {
        let picture: f64 = runs.iter().filter_map(|estimate| estimate.image_s()).sum();
        return format!("One picture of every cell takes about {}{unknown}; {}.", seconds(picture), bases(&known));
    }
    let states = states(cells, estimates);
    let schedule = Schedule::new(&states, Terms::of(settings, settings.budget_s.duration(), &[]));
    let missing = |state: &CellState| state.missing(settings.launches.get());
    let open = states.iter().enumerate().filter(|(_, state)| missing(state) > 0);
    let launches: Vec<(f64, usize)> =
        open.filter_map(|(place, state)| Some((schedule.launch_s(place)?, missing(state)))).collect();
    let once: f64 = launches.iter().map(|(launch_s, _)| launch_s).sum();
    let whole: f64 = launches.iter().map(|(launch_s, count)| launch_s * *count as f64).sum();
    // A search decides by what it finds.
    let room = settings.tune.is_none().then(|| budget::foresees(&schedule, &states, cells, settings)).flatten();
    let room = room.map(|words| format!("\n{words}")).unwrap_or_default();
    format!(
        "One launch of every cell takes about {}, the whole plan about {}{unknown}; the budget is {budget}. Times: {}.{room}",
        seconds(once),
        seconds(whole),
        bases(&known)
    )
}

/// `3 cells measured here, 1 cell assumed`.
fn bases(known: &[&Basis]) -> String {
    let count = |is: fn(&Basis) -> bool| known.iter().filter(|basis| is(basis)).count();
    let counts = [
        ("measured here", count(|basis| matches!(basis, Basis::Measured { .. }))),
        ("scaled from another model or size measured here", count(|basis| matches!(basis, Basis::Scaled { .. }))),
        ("assumed", count(|basis| matches!(basis, Basis::Assumed))),
    ];
    let said = counts.into_iter().filter(|(_, count)| *count > 0);
    said.map(|(words, count)| format!("{} {words}", several(count, "cell"))).collect::<Vec<_>>().join(", ")
}

/// The cells before anything is measured.
fn states(cells: &[Resolved], estimates: &[Estimate]) -> Vec<CellState> {
    let state = |cell: &Resolved| CellState {
        failed: cell.refusal.is_some(),
        once: cell.cell.is_yardstick,
        ..CellState::default()
    };
    let mut states: Vec<CellState> = cells.iter().map(state).collect();
    budget::prepare(&mut states, cells, estimates);
    states
}

/// `20.4 GB of memory free`, and by what where that is less than the machine has.
fn free(available: Option<Available>) -> String {
    match available {
        None => "an unknown amount of memory free".to_owned(),
        Some(Available { bytes: free, group_limit: None }) => format!("{} of memory free", bytes(free)),
        Some(Available { bytes: free, group_limit: Some(limit) }) => {
            format!("{} of memory free, because its control group is limited to {}", bytes(free), bytes(limit))
        }
    }
}

/// What to know of cells with more threads than CPUs, if there are any.
fn too_many_threads(cells: &[Resolved], cpus: usize) -> Option<String> {
    let over = |cell: &&Resolved| cell.refusal.is_none() && cell.cell.threads.get() > cpus;
    let most = cells.iter().filter(over).map(|cell| cell.cell.threads.get()).max()?;
    let count = cells.iter().filter(over).count();
    let (cells, ask) = if count == 1 { ("cell", "asks") } else { ("cells", "ask") };
    let cpus = if cpus == 1 { "1 CPU".to_owned() } else { format!("{cpus} CPUs") };
    Some(format!(
        "Warning: {count} {cells} {ask} for up to {most} threads, and only {cpus} may be used here: threads will take \
         turns and wait for each other, which can make times several times as long. Leave out --threads, or give \
         fewer."
    ))
}

/// Refuses a plan of which a cell does not seem to fit in memory.
///
/// # Errors
/// Names the cell, what it needs and what there is.
pub fn refuse_what_does_not_fit(
    cells: &[Resolved],
    estimates: &[Estimate],
    force: bool,
    host: &dyn Host,
) -> Result<()> {
    let Some(available) = host.memory_available() else { return Ok(()) };
    let needs = |(cell, estimate): (_, &Estimate)| Some((cell, estimate.memory_bytes.as_ref()?.value));
    let runs = cells.iter().zip(estimates).filter(|(cell, _)| cell.refusal.is_none()).filter_map(needs);
    let too_big = runs.into_iter().find(|(_, needed)| *needed > available.bytes);
    match too_big {
        Some((cell, needed)) if !force => bail!(
            "{} needs about {} of memory, and this machine has {}: choose a smaller model, size or precision, or try it with --force",
            cell.cell.key(),
            bytes(needed),
            free(Some(available))
        ),
        _ => Ok(()),
    }
}

/// Writes the report beside the record, prints the table, and gives the page.
///
/// # Errors
/// The report cannot be written.
pub fn report(store: &RunStore, question: &Question) -> Result<PathBuf> {
    let loaded = ditbench_record::store::read(store.dir())?;
    let cells = loaded.run.cells.clone();
    let page = super::print::write(question, &[loaded], &[], store.dir())?;
    profiles(&cells);
    Ok(page)
}

/// A line for each profiled cell: its kinds of operation by their share of an image.
fn profiles(cells: &[Cell]) {
    let profiled = cells.iter().filter_map(|cell| Some((cell, cell.profile.value()?)));
    let lines: Vec<Vec<String>> = profiled
        .map(|(cell, rows)| {
            let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
            for row in rows {
                *shares.entry(&row.op).or_default() += cell.passes_of(&row.stage) * row.seconds;
            }
            let total: f64 = shares.values().sum();
            let mut shares: Vec<_> = shares.into_iter().collect();
            shares.sort_by(|a, b| b.1.total_cmp(&a.1));
            let parts = shares.iter().take(5).map(|(op, time)| format!("{op} {:.0} %", 100.0 * time / total));
            vec![
                format!("{} {} {}", cell.key.backend, cell.key.variant, cell.key.precision),
                cell.key.name(),
                parts.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    if !lines.is_empty() {
        crate::text::show(&table(&["profile", "model", "time under the profiler"], lines));
        crate::text::show("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Images, Launches, PlanFile, Seconds, Subject};
    use crate::run::Usual;
    use crate::run::judging::Wanted;

    #[test]
    fn of_what_nothing_is_known_no_time_is_told() {
        let plan = PlanFile::parse("[[group]]\nmodel = 'nano'\nbackend = 'ort'\ndevice = 'cuda'", "t").unwrap();
        let cells: Vec<Resolved> = plan.cells(2).unwrap().into_iter().map(Resolved::of).collect();
        let usual = Usual { launches: Launches::fixed(3), images: Images::fixed(30), budget: Seconds::fixed(150.0) };
        let mut settings = Settings::of(plan, usual);
        let (of, flops_per_image) = (Subject::default(), 0.0);
        let unknown =
            Estimate { of, flops_per_image, times: None, guessed: None, memory_bytes: None, assumed_bytes: None };
        let estimates = vec![unknown; cells.len()];
        let says = "Nothing is known yet about how long these cells take";
        assert_eq!(totals(&settings, &cells, &estimates), format!("{says}; the budget is 2 min 30 s."));
        settings.judging = Some(Wanted { prompts: None, judge: None });
        assert_eq!(totals(&settings, &cells, &estimates), format!("{says}."));
    }
}
