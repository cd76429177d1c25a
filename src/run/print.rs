//! The report as files and as words: the table for a terminal.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ditbench_record::Status;
use ditbench_record::one_line;
use ditbench_record::store::LoadedRun;
use ditbench_reports::advice::Question;
use ditbench_reports::estimate::Spread;
use ditbench_reports::metric::{Metric, Shown};
use ditbench_reports::table::{Absent, Row, Table, columns, groups};
use ditbench_reports::text::lowercase_first;
use ditbench_reports::urgent::urgent;
use ditbench_reports::{company, judged, report};

use crate::text;

/// Writes page, tables and samples; prints the table, and machines that gave no record; gives the page's path.
///
/// # Errors
/// A folder that cannot be written.
pub fn write(question: &Question, runs: &[LoadedRun], absent: &[Absent], out: &Path) -> Result<PathBuf> {
    let files = report::answering(question, runs, absent, out)?;
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
        let good: Vec<&Row> = rows.iter().copied().filter(|row| row.has_figures()).collect();
        if !good.is_empty() {
            let numbers = columns(&good, Shown::Main);
            let headings = numbers.iter().map(|metric| lowercase_first(metric.definition().heading));
            let several = rows.iter().any(|row| row.run_number.is_some());
            let first = [""].into_iter().chain(several.then_some("machine")).chain(["threads"]).map(str::to_owned);
            let header: Vec<String> = first.chain(headings).collect();
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            out.push_str(&text::table(&header, good.iter().map(|row| cells(row, &numbers))));
        }
        for (words, cells) in urgent(&rows) {
            out.push_str(&format!("  {}\n", one_line(&format!("{}: {words}", plain(&cells.join(", "))))));
        }
        for row in rows.iter().filter(|row| row.status != Status::Ok) {
            let reason = row.reason.as_deref().unwrap_or("no reason recorded");
            let whose = row.whose().map(|whose| format!("{whose}: ")).unwrap_or_default();
            let says = format!("{whose}{} {}: {}: {reason}", row.who(), row.key.precision, row.status.name());
            out.push_str(&format!("  {}\n", one_line(&says)));
        }
    }
    for (about, says) in company::sentences(table) {
        out.push_str(&format!("\n{}\n  {}\n", one_line(&about), plain(&one_line(&says))));
    }
    out.push('\n');
    out
}

/// Cells whose pictures were judged.
fn judged_block(table: &Table) -> String {
    let rows: Vec<&Row> = table.rows.iter().filter(|row| row.judged.is_some()).collect();
    if rows.is_empty() {
        return String::new();
    }
    let numbers = columns(&rows, Shown::Pictures);
    let headings = numbers.iter().map(|metric| lowercase_first(metric.definition().heading));
    let several = rows.iter().any(|row| row.run_number.is_some());
    let first = ["pictures judged"].into_iter().chain(several.then_some("machine")).chain([""]).map(str::to_owned);
    let header: Vec<String> = first.chain(headings).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let cells = rows.iter().map(|row| {
        let figures = numbers.iter().map(|metric| {
            let figure = row.numbers.get(*metric);
            let (value, small) = judged::says(figure, *metric, row.judged.as_ref(), row.is_reference);
            // Why there is none stands in the report; here only what belongs to a value.
            if figure.value().is_none() || small.is_empty() { value } else { format!("{value} ({small})") }
        });
        let first = [judged::what(&row.key)].into_iter().chain(row.whose()).chain([row.who()]);
        first.chain(figures).map(|words| plain(&words)).collect()
    });
    format!("\n{}", text::table(&header, cells))
}

fn cells(row: &Row, numbers: &[Metric]) -> Vec<String> {
    let first = [format!("{} {}", row.who(), row.key.precision)].into_iter().chain(row.whose());
    let first = first.chain([row.threads_column()]);
    let values = numbers.iter().map(|metric| {
        let Some(value) = row.says(*metric) else { return "-".to_owned() };
        let beside = row.beside(*metric).map(|words| format!(" ({words})")).unwrap_or_default();
        if *metric == Metric::IMAGE { format!("{value}{}", around(row)) } else { format!("{value}{beside}") }
    });
    first.chain(values).map(|words| plain(&words)).collect()
}

/// What stands around the median image: brackets are an interval over launches, and nothing else is.
fn around(row: &Row) -> String {
    let Some(estimate) = row.image_s.value() else { return String::new() };
    let Some((low, high)) = estimate.low.zip(estimate.high) else { return String::new() };
    let (low, high) = (Metric::IMAGE.show(low), Metric::IMAGE.show(high));
    match estimate.spread {
        Spread::OfLaunches => format!(" [{low}, {high}]"),
        Spread::Range | Spread::OfImages | Spread::None => format!(" ({})", estimate.spread.says(&low, &high)),
    }
}

/// Spaces that do not break would not be counted as columns by every terminal.
fn plain(words: &str) -> String {
    words.replace('\u{a0}', " ")
}
