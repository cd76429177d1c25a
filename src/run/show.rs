//! What a run shows: the plan before it starts, the report when it is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use ditbench_record::Cell;
use ditbench_record::store::RunStore;

use super::Settings;
use super::resolve::Resolved;
use crate::host::Host;
use crate::plan::{Estimate, estimate};
use crate::text::{bytes, count, seconds, table};

/// Prints the plan with estimates and gives them.
pub fn plan(settings: &Settings, cells: &[Resolved], host: &dyn Host) -> Vec<Estimate> {
    let peak = host.quick_peak();
    let estimates: Vec<Estimate> =
        cells.iter().map(|cell| estimate(&cell.cell, &cell.pipeline, peak * cell.cell.threads.get() as f64)).collect();
    if settings.judging.is_none() {
        crate::text::show(&format!(
            "Plan: {} cells, \"{}\", seed {}, up to {} launches of up to {} images each.\n\n",
            cells.len(),
            settings.prompt,
            settings.seed,
            settings.launches,
            settings.images
        ));
    }
    let rows = cells.iter().zip(&estimates).map(|(cell, estimate)| {
        let refusal = cell.refusal.as_ref().map(|(status, _)| status.name().to_owned());
        vec![
            cell.cell.choice.to_string(),
            cell.cell.backend.name.clone(),
            cell.key.variant.clone(),
            cell.cell.device.clone(),
            cell.cell.scheme.name().to_owned(),
            cell.cell.threads.to_string(),
            count(estimate.flops_per_image),
            refusal.clone().unwrap_or_else(|| seconds(estimate.image_s)),
            refusal.unwrap_or_else(|| bytes(estimate.memory_bytes)),
        ]
    });
    crate::text::show(&table(
        &["workload", "backend", "variant", "device", "precision", "threads", "FLOPs/image", "≈ image", "≈ memory"],
        rows,
    ));
    let first_round: f64 = cells
        .iter()
        .zip(&estimates)
        .filter(|(cell, _)| cell.refusal.is_none())
        .map(|(_, estimate)| estimate.image_s)
        .sum();
    let memory = host.memory_available().map_or_else(|| "an unknown amount".to_owned(), bytes);
    let time = match settings.judging {
        _ if cells.iter().all(|cell| cell.refusal.is_some()) => "None of this can run here.".to_owned(),
        Some(_) => format!("One picture of every cell takes about {}.", seconds(first_round)),
        None => format!(
            "The first image of every cell takes about {}; the budget of {} goes to more images and launches.",
            seconds(first_round),
            seconds(settings.budget_s.get())
        ),
    };
    crate::text::show(&format!(
        "\n{time} The machine has {} threads and {memory} of memory free. (≈: estimates.)\n\n",
        host.cores()
    ));
    estimates
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
    let too_big = cells
        .iter()
        .zip(estimates)
        .find(|(cell, estimate)| cell.refusal.is_none() && estimate.memory_bytes > available);
    match too_big {
        Some((cell, estimate)) if !force => bail!(
            "{} needs about {} of memory, and this machine has {} free: choose a smaller model, size or precision, or try it with --force",
            cell.cell.key(),
            bytes(estimate.memory_bytes),
            bytes(available)
        ),
        _ => Ok(()),
    }
}

/// Writes the report beside the record, prints the table, and gives the page.
///
/// # Errors
/// The report cannot be written.
pub fn report(store: &RunStore) -> Result<PathBuf> {
    let loaded = ditbench_record::store::read(store.dir())?;
    let cells = loaded.run.cells.clone();
    let page = super::print::write(&[loaded], &[], store.dir())?;
    profiles(&cells);
    Ok(page)
}

/// A line for each profiled cell: its kinds of operation by their share of an image.
fn profiles(cells: &[Cell]) {
    let profiled = cells.iter().filter_map(|cell| Some((cell, cell.profile.value()?)));
    let lines: Vec<Vec<String>> = profiled
        .map(|(cell, rows)| {
            let passes = |stage: &str| if stage == "denoiser" { f64::from(cell.key.steps) } else { 1.0 };
            let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
            for row in rows {
                *shares.entry(&row.op).or_default() += passes(&row.stage) * row.seconds;
            }
            let total: f64 = shares.values().sum();
            let mut shares: Vec<_> = shares.into_iter().collect();
            shares.sort_by(|a, b| b.1.total_cmp(&a.1));
            let parts = shares.iter().take(5).map(|(op, time)| format!("{op} {:.0} %", 100.0 * time / total));
            vec![
                format!("{} {} {}", cell.key.backend, cell.key.variant, cell.key.precision),
                cell.key.model.clone(),
                parts.collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    if !lines.is_empty() {
        crate::text::show(&table(&["profile", "model", "time under the profiler"], lines));
        crate::text::show("\n");
    }
}
