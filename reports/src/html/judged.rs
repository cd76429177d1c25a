//! Pictures of many prompts, judged: the figures of each cell, and what one thing costs.

use super::Page;
use crate::judged::{difference, names, says, what};
use crate::metric::{Figures, Metric, Shown};
use crate::pictures::JudgedRow;
use crate::record::{Bounded, CellKey, Difference, Judged, Judging, Reading, Run};
use crate::table::{Row, Table};
use crate::text::escape;

/// A run's figures.
pub(super) fn section(page: &mut Page, run: &Run, judging: &Judging, table: &Table) {
    let rows: Vec<&Row> = table.rows.iter().filter(|row| row.run == run.run.id).collect();
    page.line(&format!(
        "<p>For the pictures of {}, made by each cell from the same noise. <b>Retrieval</b>: is the data picture of \
         that name the nearest of all {} (@1), or among the five nearest (@5)? <b>Kernel distance</b> ×1000: how \
         different generated and data pictures are as sets; near 0 or below means alike. Both use the features of {} \
         for pictures of {} pixels enlarged to {}, computed by {}: they are figures of this network, and must not be \
         compared with any others. In small print, 95 % intervals.</p>",
        names(judging.names.len()),
        judging.data_pictures,
        escape(&judging.network),
        judging.picture,
        judging.enlarged_to,
        escape(&judging.backend),
    ));
    if judging.own_pairs {
        page.line(
            "<p>These kernel distances are from an older program, which counted each name's own pair: they are lower \
             by about 1/n, and must not be compared with those of other programs.</p>",
        );
    }
    let columns: Vec<&str> =
        ["Cell"].into_iter().chain(Metric::shown(Shown::Pictures).map(|metric| metric.definition().heading)).collect();
    start(page, &columns);
    beside(page, "The data", "what can be reached", &judging.ceiling);
    for row in &rows {
        match &row.judged {
            Some(judged) => {
                figures(page, (&what(&row.key), &who(&row.key)), &row.numbers, judged, row.is_reference);
            }
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

fn figures(page: &mut Page, (what, who): (&str, &str), numbers: &Figures, judged: &JudgedRow, is_reference: bool) {
    name(page, what, who);
    for metric in Metric::shown(Shown::Pictures) {
        let (figure, small) = says(numbers.get(metric), metric, Some(judged), is_reference);
        value(page, metric.definition().heading, &figure, &small);
    }
    page.raw("</tr>\n");
}

/// The data or random weights, in a row like a cell's.
fn beside(page: &mut Page, what: &str, why: &str, judged: &Reading<Judged>) {
    match judged {
        Reading::Ok(judged) => {
            let mut row = JudgedRow::of(judged);
            row.fidelity = Reading::absent("");
            let judged = Judged { fidelity: Reading::absent(""), ..judged.clone() };
            figures(page, (what, why), &Figures::of_pictures(&judged), &row, false);
        }
        Reading::Denied { why } | Reading::Absent { why } => {
            name(page, what, "");
            let span = Metric::shown(Shown::Pictures).count();
            page.raw(&format!("<td role=\"cell\" class=\"words\" colspan=\"{span}\">{}</td></tr>\n", escape(why)));
        }
    }
}

fn failed(page: &mut Page, row: &Row) {
    name(page, &what(&row.key), &who(&row.key));
    page.raw(&format!(
        "<td role=\"cell\" class=\"words\" colspan=\"{}\"><span class=\"chip bad\">{}</span> {}</td></tr>\n",
        Metric::shown(Shown::Pictures).count(),
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
    page.raw(
        "<h3>What one thing costs</h3>\n<p>Each cell minus the one that differs from it in that one thing, on the \
              same prompts with the same noise; the intervals are of the difference, prompt by prompt. One that \
              contains 0 may be chance.</p>\n",
    );
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
