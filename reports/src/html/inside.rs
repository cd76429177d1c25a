//! Looking inside: models against each other in the same setting, and where the time of an image goes.

use super::Page;
use crate::metric::Metric;
use crate::plots::{self, PlotError};
use crate::published::{Published, SNAPGENPP};
use crate::record::{CellKey, ProfileRow, Run};
use crate::table::{Row, Table};
use crate::text::{self, escape};

/// Where a setting (backend, precision, size, threads) ran several models: their denoiser steps, and their ratios. Ratios carry
/// over from machine to machine better than seconds do, so the paper's stand below.
pub(super) fn models(page: &mut Page, table: &Table) {
    let mut settings: Vec<(CellKey, Vec<(&Row, f64)>)> = Vec::new();
    for row in table.rows.iter().filter(|row| row.has_figures()) {
        let step = Metric::DENOISER_STEP;
        let found = row.value(step).or_else(|| row.of_first_image(step));
        let Some(step) = found.filter(|step| *step > 0.0) else { continue };
        let setting = row.key.without_model();
        match settings.iter_mut().find(|(known, rows)| *known == setting && rows[0].0.run == row.run) {
            Some((_, rows)) => rows.push((row, step)),
            None => settings.push((setting, vec![(row, step)])),
        }
    }
    settings.retain(|(_, rows)| rows.len() > 1);
    if settings.is_empty() {
        return;
    }
    page.raw(
        "<h2 id=\"models\">Models against each other</h2>\n<p>One denoiser step of each model in the same \
              setting, and how many times as long it takes as the fastest model's. Ratios carry over from machine to \
              machine better than seconds.</p>\n<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\"><th \
              role=\"columnheader\" scope=\"col\">Setting</th><th role=\"columnheader\" scope=\"col\" \
              class=\"words\">Denoiser step of each model</th></tr></thead>\n<tbody role=\"rowgroup\">\n",
    );
    for (key, mut rows) in settings {
        rows.sort_by(|a, b| a.1.total_cmp(&b.1));
        let quickest = rows[0].1;
        let steps: Vec<String> = rows
            .iter()
            .map(|(row, step)| {
                format!("{} {} ({}×)", row.key.name(), text::seconds(*step), text::significant(step / quickest, 3))
            })
            .collect();
        page.line(&format!(
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}<small>{}{}</small></th><td role=\"cell\" class=\"words\">{}</td></tr>",
            escape(&rows[0].0.label()),
            text::pixels(key.width, key.height).trim_start(),
            key.text_tokens().map(|tokens| format!(", {tokens} text tokens")).unwrap_or_default(),
            escape(&steps.join(", "))
        ));
    }
    for (of, rows) in papers(&table.published) {
        let quickest = rows.iter().map(|row| row.step_s).fold(f64::INFINITY, f64::min);
        let ratio = |row: &&Published| {
            let times = text::significant(row.step_s / quickest, 3);
            format!("{} {} ({times}×)", row.model, text::seconds(row.step_s))
        };
        let ladder = if of.source == SNAPGENPP {
            "; its ladder of architectures: dense attention with MQA 2.00 s, three stages 550 ms, with ASSA 293 ms, final 360 ms"
        } else {
            ""
        };
        page.line(&format!(
            "<tr role=\"row\" class=\"published\"><th role=\"rowheader\" scope=\"row\">{}, {} <span class=\"chip\">other hardware</span>\
             <small>{}×{}</small></th><td role=\"cell\" class=\"words\">{}{ladder}</td></tr>",
            escape(&of.source),
            escape(&of.hardware),
            of.size,
            of.size,
            escape(&rows.iter().map(ratio).collect::<Vec<_>>().join(", "))
        ));
    }
    page.raw("</tbody>\n</table>\n");
}

/// Rows of one paper on one machine at one size, where there are several to be compared: the first stands for them.
fn papers(published: &[Published]) -> Vec<(&Published, Vec<&Published>)> {
    let mut groups: Vec<(&Published, Vec<&Published>)> = Vec::new();
    for row in published {
        let alike = |of: &Published| (&of.source, &of.hardware, of.size) == (&row.source, &row.hardware, row.size);
        match groups.iter_mut().find(|(of, _)| alike(of)) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((row, vec![row])),
        }
    }
    groups.retain(|(_, rows)| rows.len() > 1);
    groups
}

/// The rows of a profile that are shown: the largest, until this many.
const SHOWN: usize = 12;

/// Time by block and operation, for cells that were profiled.
///
/// # Errors
/// A plot cannot be drawn: a fault of this program.
pub(super) fn profiles(page: &mut Page, runs: &[&Run], table: &Table) -> Result<(), PlotError> {
    let cells = runs.iter().flat_map(|run| run.cells.iter().map(move |cell| (*run, cell))).zip(&table.rows);
    let profiled: Vec<_> = cells
        .filter_map(|((run, cell), row)| Some((run, cell, row, cell.profile.value().filter(|rows| !rows.is_empty())?)))
        .collect();
    if profiled.is_empty() {
        return Ok(());
    }
    page.raw(
        "<h2 id=\"profiles\">Inside a forward pass</h2>\n<p>Time by block and operation, from separate passes \
              under the runtime's profiler, which slows them down: look at the shares, not the seconds.</p>\n",
    );
    let open = if profiled.len() <= 3 { " open" } else { "" };
    for (run, cell, row, nodes) in profiled {
        page.line(&format!(
            "<details{open}>\n<summary>{}{} · {}</summary>\n<div class=\"figures\">",
            escape(&row.key.name()),
            text::pixels(row.key.width, row.key.height),
            escape(&row.label())
        ));
        let figures = [plots::profile::flame(cell, nodes)?, plots::profile::roofline(cell, nodes, &run.machine)?];
        for figure in figures.iter().flatten() {
            super::figure(page, figure, &figure.caption);
        }
        page.raw("</div>\n");
        if let Some(trace) = &cell.trace {
            page.line(&format!("<p class=\"small\">Every node (open it at ui.perfetto.dev): {}</p>", escape(trace)));
        }
        largest(page, nodes);
        page.raw("</details>\n");
    }
    Ok(())
}

/// The rows that take most time, over all stages of a pass.
fn largest(page: &mut Page, nodes: &[ProfileRow]) {
    page.raw("<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in ["Part of a pass", "Share", "Time", "Nodes", "GFLOP/s"] {
        page.raw(&format!("<th role=\"columnheader\" scope=\"col\">{column}</th>"));
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    let mut sorted: Vec<&ProfileRow> = nodes.iter().collect();
    sorted.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let total: f64 = nodes.iter().map(|node| node.seconds).sum();
    let share = |seconds: f64| if total > 0.0 { text::percent(seconds / total) } else { "–".to_owned() };
    let mut line = |name: &str, small: &str, seconds: f64, count: u64, rate: Option<f64>| {
        page.line(&format!(
            "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}<small>{}</small></th><td role=\"cell\" data-label=\"Share\">{}</td>\
             <td role=\"cell\" data-label=\"Time\">{}</td><td role=\"cell\" data-label=\"Nodes\">{count}</td><td role=\"cell\" data-label=\"GFLOP/s\">{}</td></tr>",
            escape(name), escape(small), share(seconds), text::seconds(seconds),
            rate.map_or_else(|| "–".to_owned(), |rate| text::significant(rate, 3))
        ));
    };
    for node in sorted.iter().take(SHOWN) {
        let name = node.scope.as_deref().unwrap_or("added by the runtime");
        let rate = node.flops.filter(|_| node.seconds > 0.0).map(|flops| flops as f64 / node.seconds / 1e9);
        line(name, &format!("{} · {}", node.stage.replace('_', " "), node.op), node.seconds, node.nodes, rate);
    }
    if let Some(rest) = sorted.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        let (seconds, count) = (rest.iter().map(|node| node.seconds).sum(), rest.iter().map(|node| node.nodes).sum());
        line(&format!("{} more", rest.len()), "", seconds, count, None);
    }
    page.raw("</tbody>\n</table>\n");
}
