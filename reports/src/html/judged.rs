//! Pictures of many prompts, judged: the figures of each cell, and what one thing costs.

use super::Page;
use crate::judged::{JudgedRow, difference, distance, names, share, what};
use crate::record::{Bounded, CellKey, Difference, Judged, Judging, Reading, Run};
use crate::table::{Row, Table};
use crate::text::escape;

/// A run's figures.
pub(super) fn section(page: &mut Page, run: &Run, judging: &Judging, table: &Table) {
    let rows: Vec<&Row> = table.rows.iter().filter(|row| row.run == run.run.id).collect();
    page.line(&format!(
        "<p>Of the pictures of {}, made by each cell from the same noise. <b>Retrieval</b>: is the data picture of that name the nearest of all \
         {} (@1), or among the five nearest (@5)? <b>Kernel distance</b> ×1000: how unlike made and data pictures are as sets; near 0 or below is alike. \
         Both by the features of {} of pictures of {} pixels enlarged to {}, computed by {}: figures of this network, to be compared \
         with nothing else. In small print, 95 % intervals.</p>",
        names(judging.names.len()),
        judging.data_pictures,
        escape(&judging.network),
        judging.picture,
        judging.enlarged_to,
        escape(&judging.backend),
    ));
    start(
        page,
        &[
            "Cell",
            "Retrieval@1",
            "Retrieval@5",
            "Kernel distance",
            "PSNR to the data",
            "PSNR to the reference",
            "SSIM to the reference",
        ],
    );
    beside(page, "The data", "what can be reached", &judging.ceiling);
    for row in &rows {
        match &row.judged {
            Some(judged) => figures(page, &what(&row.key), &who(&row.key), judged),
            None => failed(page, row),
        }
    }
    beside(page, "Random weights", "what costs nothing", &judging.floor);
    page.raw("</tbody>\n</table>\n");
    differences(page, run);
}

fn who(key: &CellKey) -> String {
    let threads = if key.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", key.threads) };
    format!("{} {}, {threads}", key.backend, key.variant)
}

fn start(page: &mut Page, columns: &[&str]) {
    page.raw("<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in columns {
        page.raw(&format!("<th role=\"columnheader\" scope=\"col\">{column}</th>"));
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
}

fn name(page: &mut Page, name: &str, small: &str) {
    page.raw(&format!(
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}<small>{}</small></th>",
        escape(name),
        escape(small)
    ));
}

fn value(page: &mut Page, label: &str, value: &str, small: &str) {
    page.raw(&format!(
        "<td role=\"cell\" data-label=\"{label}\"><b class=\"value\">{}</b><small>{}</small></td>",
        escape(value),
        escape(small)
    ));
}

fn bounded(page: &mut Page, label: &str, figure: &Reading<Bounded>, say: fn(&Bounded) -> (String, String)) {
    match figure {
        Reading::Ok(figure) => {
            let (figure, interval) = say(figure);
            value(page, label, &figure, &interval);
        }
        Reading::Denied { why } | Reading::Absent { why } => value(page, label, "–", why),
    }
}

fn figures(page: &mut Page, what: &str, who: &str, judged: &JudgedRow) {
    name(page, what, who);
    bounded(page, "Retrieval@1", &Reading::Ok(judged.retrieval_at_1), share);
    bounded(page, "Retrieval@5", &Reading::Ok(judged.retrieval_at_5), share);
    bounded(page, "Kernel distance", &judged.kernel_distance_x1000, distance);
    let to_data = judged.psnr_to_data_db.map_or_else(|| "–".to_owned(), |db| format!("{db:.1} dB"));
    value(page, "PSNR to the data", &to_data, "");
    match &judged.fidelity {
        Reading::Ok(fidelity) => {
            let psnr = fidelity.psnr_db.map_or_else(|| "identical".to_owned(), |db| format!("{db:.1} dB"));
            let small = match (fidelity.low_psnr_db, fidelity.identical) {
                (Some(low), 0) => format!("a tenth below {low:.1}"),
                (_, identical) => format!("{identical} of {} identical", fidelity.prompts),
            };
            value(page, "PSNR to the reference", &psnr, &small);
            let ssim = fidelity.ssim.map_or_else(|| "–".to_owned(), |ssim| format!("{ssim:.4}"));
            value(page, "SSIM to the reference", &ssim, "");
        }
        Reading::Denied { why } | Reading::Absent { why } => {
            let short = if why.contains("this is the reference") { "reference" } else { "–" };
            value(page, "PSNR to the reference", short, if short == "–" { why } else { "" });
            value(page, "SSIM to the reference", short, "");
        }
    }
    page.raw("</tr>\n");
}

/// The data or random weights, in a row like a cell's.
fn beside(page: &mut Page, what: &str, why: &str, judged: &Reading<Judged>) {
    match judged {
        Reading::Ok(judged) => {
            let mut row = JudgedRow::of(judged);
            row.fidelity = Reading::absent("");
            figures(page, what, why, &row);
        }
        Reading::Denied { why } | Reading::Absent { why } => {
            name(page, what, "");
            page.raw(&format!("<td role=\"cell\" class=\"words\" colspan=\"6\">{}</td></tr>\n", escape(why)));
        }
    }
}

fn failed(page: &mut Page, row: &Row) {
    name(page, &what(&row.key), &who(&row.key));
    page.raw(&format!(
        "<td role=\"cell\" class=\"words\" colspan=\"6\"><span class=\"chip bad\">{}</span> {}</td></tr>\n",
        row.status.name(),
        escape(row.reason.as_deref().unwrap_or("no reason was recorded"))
    ));
}

/// What precision, width and steps cost: cells that differ in one thing.
fn differences(page: &mut Page, run: &Run) {
    let judged = run.cells.iter().filter_map(|cell| Some((cell, cell.judged.as_ref()?)));
    let found: Vec<(&CellKey, &Difference)> =
        judged.flat_map(|(cell, judged)| judged.differences.iter().map(move |found| (&cell.key, found))).collect();
    if found.is_empty() {
        return;
    }
    page.raw("<h3>What one thing costs</h3>\n<p>Each cell less the one that differs from it in that thing alone, on the same prompts with the same \
              noise; the intervals are of the difference, prompt by prompt. One that holds 0 may be chance.</p>\n");
    start(page, &["Cell", "Against", "Retrieval@1", "Retrieval@5", "Kernel distance"]);
    for (key, found) in found {
        name(page, &what(key), &who(key));
        let other = run.cells.iter().find(|cell| cell.key.id() == found.from);
        let (against, small) = match other {
            Some(other) => (what(&other.key), found.in_what.as_str()),
            None => (found.from.clone(), "not in this record"),
        };
        page.raw(&format!(
            "<td role=\"cell\" data-label=\"Against\">{}<small>{}</small></td>",
            escape(&against),
            escape(small)
        ));
        bounded(page, "Retrieval@1", &Reading::Ok(found.retrieval_at_1), |figure| difference(figure, 3));
        bounded(page, "Retrieval@5", &Reading::Ok(found.retrieval_at_5), |figure| difference(figure, 3));
        bounded(page, "Kernel distance", &found.kernel_distance_x1000, |figure| difference(figure, 1));
        page.raw("</tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
}
