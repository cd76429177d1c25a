//! The report as files and as words: the table for a terminal.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ditbench_record::Status;
use ditbench_record::one_line;
use ditbench_record::store::LoadedRun;
use ditbench_reports::caution::urgent;
use ditbench_reports::table::{Absent, Row, Table, groups};
use ditbench_reports::{judged, report};

use crate::text::{self, seconds};

/// Writes page, tables and samples; prints the table, and machines that gave no record; gives the page's path.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(runs: &[LoadedRun], absent: &[Absent], out: &Path) -> Result<PathBuf> {
    let files = report::report(runs, absent, out)?;
    let records: Vec<_> = runs.iter().map(|loaded| &loaded.run).collect();
    text::show(&terminal(&ditbench_reports::table::of_runs(&records)));
    for Absent { machine, reason } in absent {
        text::show(&format!("  {}\n", one_line(&format!("{machine}: no result: {reason}"))));
    }
    Ok(std::path::absolute(&files.html).unwrap_or(files.html))
}

/// The table for a terminal: a block per workload, the fastest first, failed rows with their reasons below.
fn terminal(table: &Table) -> String {
    let mut out = judged_block(table);
    for (workload, rows) in groups(table) {
        let rows: Vec<&Row> = rows.into_iter().filter(|row| row.judged.is_none()).collect();
        if rows.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{}\n", one_line(&workload)));
        let mut header =
            vec!["", "threads", "image", "first image", "step", "compile", "memory", "of peak", "latent error", "PSNR"];
        if rows.iter().any(|row| row.run_number.is_some()) {
            header.insert(1, "machine");
        }
        let good: Vec<_> = rows.iter().filter(|row| row.has_figures()).map(|row| cells(row)).collect();
        if !good.is_empty() {
            out.push_str(&text::table(&header, good));
        }
        for (words, cells) in urgent(&rows) {
            out.push_str(&format!("  {}: {words}\n", cells.join(", ").replace('\u{a0}', " ")));
        }
        for row in rows.iter().filter(|row| row.status != Status::Ok) {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            let whose = row.whose().map(|whose| format!("{whose}: ")).unwrap_or_default();
            let says = format!("{whose}{} {}: {}: {reason}", row.who(), row.key.precision, row.status.name());
            out.push_str(&format!("  {}\n", one_line(&says)));
        }
    }
    out.push('\n');
    out
}

/// Cells whose pictures were judged.
fn judged_block(table: &Table) -> String {
    let several = table.rows.iter().any(|row| row.run_number.is_some());
    let mut header = vec![
        "pictures judged",
        "",
        "retrieval@1",
        "95 %",
        "retrieval@5",
        "kernel distance",
        "95 %",
        "PSNR to the reference",
    ];
    if several {
        header.insert(1, "machine");
    }
    let row = |row: &Row| {
        let judged = row.judged.as_ref()?;
        let (at_1, about_1) = judged::share(&judged.retrieval_at_1);
        let (distance, about) = judged.kernel_distance_x1000.value().map(judged::distance).unwrap_or_default();
        let at_5 = judged::share(&judged.retrieval_at_5).0;
        let psnr = judged.fidelity.value().map_or_else(|| "-".to_owned(), judged::FidelityRow::psnr);
        let mut cells = vec![judged::what(&row.key), row.who(), at_1, about_1, at_5, distance, about, psnr];
        row.whose().into_iter().for_each(|whose| cells.insert(1, whose));
        Some(cells)
    };
    let rows: Vec<Vec<String>> = table.rows.iter().filter_map(row).collect();
    if rows.is_empty() { String::new() } else { format!("\n{}", text::table(&header, rows)) }
}

fn cells(row: &Row) -> Vec<String> {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let image = row.image_s.value().map(|estimate| match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("{} [{}, {}]", seconds(estimate.p50), seconds(low), seconds(high)),
        _ => seconds(estimate.p50),
    });
    // Cells that had time for one image only: their steps are those of that image.
    let step = row.step_s().or_else(|| {
        let steps = &row.first_stages_s.as_ref()?.steps_s;
        (!steps.is_empty()).then(|| steps.iter().sum::<f64>() / steps.len() as f64)
    });
    let mut cells = vec![
        format!("{} {}", row.who(), row.key.precision),
        row.threads_column(),
        or_dash(image),
        or_dash(row.first_image_s.map(seconds)),
        or_dash(step.map(seconds)),
        or_dash(row.compile_s.map(seconds)),
        or_dash(row.peak_bytes.map(text::bytes)),
        match row.peak_share {
            Some(share) => format!("{:.0} %", 100.0 * share),
            None if row.has_doubtful_peak() => "doubtful".to_owned(),
            None => "-".to_owned(),
        },
        if row.is_reference() {
            "reference".to_owned()
        } else {
            or_dash(row.latent_relative_l2.map(|error| format!("{error:.1e}")))
        },
        match (row.image_identical, row.psnr_db) {
            (Some(true), _) => "identical".to_owned(),
            (_, psnr) => or_dash(psnr.map(|db| format!("{db:.1} dB"))),
        },
    ];
    row.whose().into_iter().for_each(|whose| cells.insert(1, whose));
    cells
}
