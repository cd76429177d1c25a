//! What a run shows: the plan before it starts, the report when it is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use ditbench_record::Cell;
use ditbench_record::disturbed::several;
use ditbench_record::store::RunStore;
use ditbench_reports::advice::Question;

use super::Settings;
use super::resolve::Resolved;
use crate::host::Host;
use crate::plan::{Estimate, estimate};
use crate::text::{bytes, count, seconds, table};
use ditbench_worker::probe::memory::Available;

/// Prints the plan with estimates and gives them.
pub fn plan(settings: &Settings, cells: &[Resolved], host: &dyn Host) -> Vec<Estimate> {
    let peak = host.quick_peak();
    let of = |cell: &Resolved| estimate(&cell.cell, &cell.pipeline, cell.costs, peak * cell.cell.threads.get() as f64);
    let estimates: Vec<Estimate> = cells.iter().map(of).collect();
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
    let rows = cells.iter().zip(&estimates).map(|(cell, estimate)| {
        let refusal = cell.refusal.as_ref().map(|(status, _)| status.name().to_owned());
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
            if cell.is_own() { "?".to_owned() } else { count(estimate.flops_per_image) },
            refusal.clone().unwrap_or_else(|| estimate.image_s.map_or_else(|| "?".to_owned(), seconds)),
            refusal.unwrap_or_else(|| estimate.memory_bytes.map_or_else(|| "?".to_owned(), bytes)),
        ]
    });
    crate::text::show(&table(
        &["workload", "backend", "variant", "device", "precision", "threads", "FLOPs/image", "≈ image", "≈ memory"],
        rows,
    ));
    let runs = cells.iter().zip(&estimates).filter(|(cell, _)| cell.refusal.is_none());
    let estimated: Vec<f64> = runs.filter_map(|(_, estimate)| estimate.image_s).collect();
    let first_round: f64 = estimated.iter().sum();
    let memory = free(host.memory_available());
    let known =
        cells.iter().zip(&estimates).all(|(cell, estimate)| cell.refusal.is_some() || estimate.image_s.is_some());
    let unknown = if known {
        ""
    } else {
        ", cells marked ? aside (what their device can do, or what a model of your own computes, is not known)"
    };
    let time = match settings.judging {
        _ if cells.iter().all(|cell| cell.refusal.is_some()) => "None of this can run here.".to_owned(),
        None if estimated.is_empty() => format!(
            "How long an image takes is not known of any of these; the budget is {}.",
            seconds(settings.budget_s.get())
        ),
        Some(_) => format!("One picture of every cell takes about {}{unknown}.", seconds(first_round)),
        None => format!(
            "The first image of every cell takes about {}{unknown}; the budget of {} goes to more images and launches.",
            seconds(first_round),
            seconds(settings.budget_s.get())
        ),
    };
    crate::text::show(&format!("\n{time} The machine has {} threads and {memory}. (≈: estimates.)\n\n", host.cores()));
    if let Some(warning) = too_many_threads(cells, host.cores()) {
        crate::text::show(&format!("{warning}\n\n"));
    }
    estimates
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
    let needs = |(cell, estimate): (_, &Estimate)| Some((cell, estimate.memory_bytes?));
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
