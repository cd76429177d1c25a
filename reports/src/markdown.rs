//! Markdown of the table: for a terminal, an issue, a pull request.
//!
//! Contract: plain pipes, one table for each workload, reasons of failed rows below it; of several runs, a column says whose a
//! row is. Nothing in a record can break a row, start markup or speak to a terminal.

use std::fmt::Write as _;

use crate::headline;
use crate::judged;
use crate::metric::{Metric, Shown};
use crate::record::Status;
use crate::table::{Row, Table, columns, groups};
use crate::text::{self, markdown as plain};
use crate::urgent::urgent;

/// The whole table, with the headline above it.
pub fn of_table(table: &Table) -> String {
    let mut out = String::new();
    for point in headline::of_table(table) {
        let about = if point.about.is_empty() { String::new() } else { format!("**{}**: ", plain(&point.about)) };
        push(&mut out, &format!("- {about}{}", plain(&point.says)));
    }
    for absent in &table.absent {
        push(&mut out, &format!("- **{}**: no result: {}", plain(&absent.machine), plain(&absent.reason)));
    }
    let several = table.rows.iter().any(|row| row.run_number.is_some());
    judged_table(&mut out, table, several);
    for (name, rows) in groups(table) {
        let rows: Vec<&Row> = rows.into_iter().filter(|row| row.judged.is_none()).collect();
        if rows.is_empty() {
            continue;
        }
        push(&mut out, &format!("\n### {}\n", plain(&name)));
        main_table(&mut out, &rows, table, several);
        more(&mut out, &rows);
        for (words, cells) in urgent(&rows) {
            push(&mut out, &format!("\n- **{}**: {}", plain(&text::list(&cells)), plain(&words)));
        }
        for row in rows.iter().filter(|row| row.status != Status::Ok) {
            let reason = row.reason.as_deref().unwrap_or("no reason was recorded");
            let whose = row.whose().map(|whose| format!("{}, ", plain(&whose))).unwrap_or_default();
            push(
                &mut out,
                &format!("\n- **{}**, {whose}{}: {}", row.status.name(), plain(&row.label()), plain(reason)),
            );
        }
    }
    out
}

/// The main numbers of one workload, the paper's rows last.
fn main_table(out: &mut String, rows: &[&Row], table: &Table, several: bool) {
    // What stands before the median image in the list of numbers, settled times, does so here too.
    let numbers = columns(rows, Shown::Main);
    let (before, numbers): (Vec<Metric>, Vec<Metric>) =
        numbers.into_iter().filter(|metric| *metric != Metric::IMAGE).partition(|metric| *metric < Metric::IMAGE);
    let first = ["backend", "precision", "threads"].map(str::to_owned);
    let image = ["image, p50", "interval"].map(str::to_owned);
    let first = machine_heading(several).chain(first).chain(headings(&before)).chain(image);
    header(out, first.chain(headings(&numbers)).chain(["notes".to_owned()]), 2 + usize::from(several), true);
    for row in rows {
        let image =
            if row.has_figures() { or_dash(row.says(Metric::IMAGE)) } else { format!("**{}**", row.status.name()) };
        let notes: Vec<String> = row.cautions.iter().map(crate::caution::Caution::short).collect();
        let first = [plain(&row.who()), plain(&row.key.precision), row.threads_column()];
        let first = whose(row).chain(first).chain(values(row, &before)).chain([image, interval(row)]);
        line(out, first.chain(values(row, &numbers)).chain([plain(&notes.join(", "))]));
    }
    let model = rows[0].key.name();
    for paper in table.published.iter().filter(|paper| paper.model == model) {
        let (hardware, runtime, source) = (plain(&paper.hardware), plain(paper.runtime()), plain(&paper.source));
        let name = format!("*{hardware} ({runtime}), {}²: other hardware, {source}*", paper.size);
        let precision = paper.precision.unwrap_or("not published").to_owned();
        let shown = |metric: Metric| or_dash(paper.value(metric).map(|value| metric.show(value)));
        let of = |numbers: &[Metric]| numbers.iter().map(|metric| shown(*metric)).collect::<Vec<_>>();
        let nobody = several.then(|| or_dash(None)).into_iter();
        let first = nobody.chain([name, precision, or_dash(None)]).chain(of(&before));
        let image = [shown(Metric::IMAGE), or_dash(None)];
        line(out, first.chain(image).chain(of(&numbers)).chain(["from the paper".to_owned()]));
    }
}

/// What a row has to say of some numbers.
fn values<'a>(row: &'a Row, numbers: &'a [Metric]) -> impl Iterator<Item = String> + 'a {
    numbers.iter().map(|metric| match (row.says(*metric), row.beside(*metric)) {
        (Some(value), Some(beside)) => format!("{value} ({beside})"),
        (value, _) => or_dash(value),
    })
}

/// The heading of the column that says whose a row is, where a table is of several runs.
fn machine_heading(several: bool) -> impl Iterator<Item = String> {
    several.then(|| "machine".to_owned()).into_iter()
}

/// Whose a row is, where a table is of several runs.
fn whose(row: &Row) -> impl Iterator<Item = String> {
    row.whose().map(|whose| plain(&whose)).into_iter()
}

/// What stands around the median image, so that a range of few launches is not taken for an interval.
fn interval(row: &Row) -> String {
    let says = row.image_s.value().and_then(|estimate| {
        let (low, high) = estimate.low.zip(estimate.high)?;
        Some(estimate.spread.says(&Metric::IMAGE.show(low), &Metric::IMAGE.show(high)))
    });
    or_dash(says)
}

/// All other numbers that some row has, folded away.
fn more(out: &mut String, rows: &[&Row]) {
    let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.has_figures()).collect();
    let numbers = columns(&rows, Shown::More);
    if numbers.is_empty() {
        return;
    }
    push(out, "\n<details><summary>All other numbers</summary>\n");
    header(out, ["cell".to_owned()].into_iter().chain(headings(&numbers)), 1, false);
    for row in rows {
        line(out, [plain(&row.label())].into_iter().chain(values(row, &numbers)));
    }
    push(out, "\n</details>");
}

/// Figures of pictures that were judged, cell by cell.
fn judged_table(out: &mut String, table: &Table, several: bool) {
    let rows: Vec<&Row> = table.rows.iter().filter(|row| row.judged.is_some()).collect();
    if rows.is_empty() {
        return;
    }
    push(out, "\n### Pictures judged\n");
    let numbers = columns(&rows, Shown::Pictures);
    let first = machine_heading(several).chain(["cell", "backend"].map(str::to_owned));
    header(out, first.chain(headings(&numbers)), 2 + usize::from(several), false);
    for row in rows {
        let values = numbers.iter().map(|metric| {
            let (figure, small) =
                judged::says(row.numbers.get(*metric), *metric, row.judged.as_ref(), row.is_reference);
            if small.is_empty() { figure } else { format!("{figure} ({})", plain(&small)) }
        });
        line(out, whose(row).chain([plain(&judged::what(&row.key)), plain(&row.who())]).chain(values));
    }
}

/// A table's head: the first columns to the left, numbers to the right, and words at the end to the left where there are any.
fn header(out: &mut String, names: impl Iterator<Item = String>, left: usize, words: bool) {
    let names: Vec<String> = names.collect();
    let last = names.len() - 1;
    let rule = |(at, _): (usize, &String)| if at < left || (words && at == last) { "---" } else { "--:" };
    let rule: Vec<&str> = names.iter().enumerate().map(rule).collect();
    line(out, names.iter().cloned());
    push(out, &format!("|{}|", rule.join("|")));
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    push(out, &format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
}

fn or_dash(words: Option<String>) -> String {
    words.unwrap_or_else(|| "–".to_owned())
}

/// The heads of columns.
fn headings(numbers: &[Metric]) -> impl Iterator<Item = String> + '_ {
    numbers.iter().map(|metric| text::lowercase_first(metric.definition().heading))
}

fn push(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", line.replace('\u{a0}', " "));
}
