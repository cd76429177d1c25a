//! What costs grow as, where a report's runs have cells that differ in size, threads and the like alone.

use super::{Page, figure};
use crate::plots::{self, PlotError};
use crate::record::Run;
use crate::scale::faces::{self, Rows};
use crate::scale::{self, Scale, Series};
use crate::text::escape;

/// What the runs say of it; series with fewer than three points say too little for a page.
pub(super) fn of(runs: &[&Run]) -> Scale {
    let mut scale = scale::of_runs(runs, &[]);
    scale.series.retain(|series| series.curves.first().is_some_and(|curve| curve.points.len() > 2));
    scale
}

/// Tables, sentences and plots.
///
/// # Errors
/// A plot cannot be drawn: a fault of this program.
pub(super) fn section(page: &mut Page, scale: &Scale) -> Result<(), PlotError> {
    if scale.is_empty() {
        return Ok(());
    }
    page.raw("<h2 id=\"scaling\">Scaling</h2>\n");
    let mut captioned = false;
    for series in &scale.series {
        heading(page, scale, &faces::title(series), &series.machine);
        captioned |= one(page, series, captioned)?;
    }
    for ladder in &scale.ladders {
        heading(page, scale, &format!("{}: {}", ladder.title, ladder.setting), &ladder.machine);
        table(page, &faces::rungs(ladder));
        page.line(&format!("<p class=\"small\">{}</p>", escape(&faces::about(ladder))));
    }
    if !scale.left_out.is_empty() {
        page.line(&format!("<details><summary>Left out of the curves ({})</summary>\n<ul>", scale.left_out.len()));
        for left in &scale.left_out {
            page.line(&format!("<li><b>{}</b>: {}</li>", escape(&left.cell), escape(&left.why)));
        }
        page.raw("</ul></details>\n");
    }
    for note in &scale.notes {
        page.line(&format!("<p class=\"small\">{}</p>", escape(note)));
    }
    Ok(())
}

/// A heading, with the machine where there are several.
fn heading(page: &mut Page, scale: &Scale, words: &str, machine: &str) {
    let mut machines = scale.series.iter().map(|s| &s.machine).chain(scale.ladders.iter().map(|l| &l.machine));
    let several = machines.any(|other| other != machine);
    let whose = if several { format!(" · {}", escape(machine)) } else { String::new() };
    page.line(&format!("<h3>{}{whose}</h3>", escape(words)));
}

/// One series; whether a plot was drawn.
fn one(page: &mut Page, series: &Series, captioned: bool) -> Result<bool, PlotError> {
    table(page, &faces::times(series));
    if let Some(parts) = faces::profiled(series) {
        page.raw(
            "<details><summary>By block and operation, under the runtime's profiler, which slows it down</summary>\n",
        );
        table(page, &parts);
        page.raw("</details>\n");
    }
    page.raw("<ul>\n");
    for says in faces::sentences(series) {
        page.line(&format!("<li>{}</li>", escape(&says)));
    }
    page.raw("</ul>\n");
    let Some(plot) = plots::scale::of_series(series)? else { return Ok(false) };
    page.raw("<div class=\"figures\">\n");
    figure(page, &plot, if captioned { "Read as above." } else { &plot.caption });
    page.raw("</div>\n");
    Ok(true)
}

fn table(page: &mut Page, rows: &Rows) {
    let Some((head, rows)) = rows.split_first() else { return };
    page.raw("<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for cell in head {
        page.raw(&format!("<th role=\"columnheader\" scope=\"col\">{}</th>", escape(cell)));
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for row in rows {
        let [name, cells @ ..] = row.as_slice() else { continue };
        page.raw(&format!("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>", escape(name)));
        for (cell, head) in cells.iter().zip(&head[1..]) {
            page.raw(&format!("<td role=\"cell\" data-label=\"{}\">{}</td>", escape(head), escape(cell)));
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
}
