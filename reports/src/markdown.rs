//! Markdown of the table: for a terminal, an issue, a pull request.
//!
//! Contract: plain pipes, one table for each workload, reasons of failed rows below it; of several runs, a column says whose a
//! row is. Nothing in a record can break a row, start markup or speak to a terminal.

use std::fmt::Write as _;

use crate::caution::urgent;
use crate::headline;
use crate::judged::{self, JudgedRow};
use crate::record::{Reading, Status};
use crate::table::{Row, Table, groups};
use crate::text::{self, markdown as plain};

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
        let (column, line_below) = if several { ("| machine ", "|---") } else { ("", "") };
        push(
            &mut out,
            &format!(
                "{column}| backend | precision | threads | image, p50 | interval | first image | step | peak memory | latent error | SSIMULACRA2 | of peak | notes |"
            ),
        );
        push(&mut out, &format!("{line_below}|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"));
        for row in &rows {
            push(&mut out, &line(row));
        }
        let model = &rows[0].key.model;
        for paper in table.published.iter().filter(|paper| paper.model == model) {
            push(
                &mut out,
                &format!(
                    "{}| *{} ({}), {}²: other hardware, {}* | {} | – | {} | – | – | {} | – | – | – | – | from the paper |",
                    if several { "| – " } else { "" },
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

/// Figures of pictures that were judged, cell by cell.
fn judged_table(out: &mut String, table: &Table, several: bool) {
    let rows: Vec<(&Row, &JudgedRow)> = table.rows.iter().filter_map(|row| Some((row, row.judged.as_ref()?))).collect();
    if rows.is_empty() {
        return;
    }
    push(out, "\n### Pictures judged\n");
    let (column, line_below) = if several { ("| machine ", "|---") } else { ("", "") };
    push(
        out,
        &format!(
            "{column}| cell | backend | retrieval@1 | retrieval@5 | kernel distance ×1000 | PSNR to the data | PSNR to the reference |"
        ),
    );
    push(out, &format!("{line_below}|---|---|--:|--:|--:|--:|--:|"));
    let both = |(figure, interval): (String, String)| format!("{figure} ({interval})");
    for (row, judged) in rows {
        let cells = [
            plain(&judged::what(&row.key)),
            plain(&row.who()),
            both(judged::share(&judged.retrieval_at_1)),
            both(judged::share(&judged.retrieval_at_5)),
            judged.kernel_distance_x1000.value().map_or_else(|| "–".to_owned(), |d| both(judged::distance(d))),
            judged.psnr_to_data_db.map_or_else(|| "–".to_owned(), |db| format!("{db:.1} dB")),
            match &judged.fidelity {
                Reading::Ok(fidelity) => fidelity.psnr(),
                Reading::Denied { why } | Reading::Absent { why } if why.contains("is the reference") => {
                    "reference".into()
                }
                Reading::Denied { .. } | Reading::Absent { .. } => "–".into(),
            },
        ];
        let whose = row.whose().map(|whose| plain(&whose)).into_iter();
        push(out, &format!("| {} |", whose.chain(cells).collect::<Vec<_>>().join(" | ")));
    }
}

fn push(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", line.replace('\u{a0}', " "));
}

fn line(row: &Row) -> String {
    let time = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), text::seconds);
    let image = if row.has_figures() { time(row.p50_s()) } else { format!("**{}**", row.status.name()) };
    let interval = row.image_s.value().and_then(|e| e.low.zip(e.high));
    let notes: Vec<String> = row.cautions.iter().map(crate::caution::Caution::short).collect();
    let cells = [
        plain(&row.who()),
        plain(&row.key.precision),
        row.threads_column(),
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
        match row.peak_share {
            Some(share) => text::percent(share),
            None if row.has_doubtful_peak() => "doubtful".to_owned(),
            None => "–".to_owned(),
        },
        notes.join(", "),
    ];
    let whose = row.whose().map(|whose| plain(&whose)).into_iter();
    format!("| {} |", whose.chain(cells).collect::<Vec<_>>().join(" | "))
}
