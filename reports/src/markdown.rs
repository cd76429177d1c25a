//! Markdown of the table: for a terminal, an issue, a pull request.
//!
//! Contract: plain pipes, one table for each workload, reasons of failed rows below it. A bar in a name cannot break a row.

use std::fmt::Write as _;

use crate::record::Status;
use crate::table::{Row, Table, groups};
use crate::{headline, text};

/// The whole table, with the headline above it.
pub fn of_table(table: &Table) -> String {
    let mut out = String::new();
    for point in headline::of_table(table) {
        let about = if point.about.is_empty() { String::new() } else { format!("**{}**: ", plain(&point.about)) };
        push(&mut out, &format!("- {about}{}", plain(&point.says)));
    }
    for (name, rows) in groups(table) {
        push(&mut out, &format!("\n### {}\n", plain(&name)));
        push(
            &mut out,
            "| backend | precision | threads | image, p50 | interval | first image | step | peak memory | latent error | SSIMULACRA2 | of peak | notes |",
        );
        push(&mut out, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
        for row in &rows {
            push(&mut out, &line(row));
        }
        let model = &rows[0].key.model;
        for paper in table.published.iter().filter(|paper| paper.model == model) {
            push(
                &mut out,
                &format!(
                    "| *{} ({}), {}²: other hardware, {}* | {} | – | {} | – | – | {} | – | – | – | – | from the paper |",
                    paper.hardware,
                    paper.runtime,
                    paper.size,
                    paper.source,
                    paper.precision.unwrap_or("not published"),
                    text::seconds(paper.image_s),
                    text::seconds(paper.step_s)
                ),
            );
        }
        for row in rows.iter().filter(|row| row.status != Status::Ok) {
            let reason = row.reason.as_deref().unwrap_or("no reason was recorded");
            push(&mut out, &format!("\n- **{}**, {}: {}", row.status.name(), plain(&row.label()), plain(reason)));
        }
    }
    out
}

fn push(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", line.replace('\u{a0}', " "));
}

fn line(row: &Row) -> String {
    let time = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), text::seconds);
    let image = if row.status == Status::Ok { time(row.p50_s()) } else { format!("**{}**", row.status.name()) };
    let interval = row.image_s.value().and_then(|e| e.low.zip(e.high));
    let notes: Vec<String> = row.cautions.iter().map(crate::caution::Caution::short).collect();
    let cells = [
        plain(&row.who()),
        plain(&row.key.precision),
        row.key.threads.to_string(),
        image,
        interval
            .map_or_else(|| "–".to_owned(), |(low, high)| format!("{} – {}", text::seconds(low), text::seconds(high))),
        time(row.first_image_s),
        time(row.step_s()),
        row.peak_bytes.map_or_else(|| "–".to_owned(), text::bytes),
        if row.is_reference() {
            "reference".into()
        } else {
            row.latent_relative_l2.map_or_else(|| "–".to_owned(), text::scientific)
        },
        row.ssimulacra2.map_or_else(|| "–".to_owned(), |score| format!("{score:.1}")),
        row.peak_share.map_or_else(|| "–".to_owned(), text::percent),
        notes.join(", "),
    ];
    format!("| {} |", cells.join(" | "))
}

/// Text that cannot break a table or start markup: bars, line ends and HTML.
fn plain(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}
