//! One self-contained HTML page of series: a plot for each, its changes of level marked, no script, no network.
//!
//! Contract: made from a store alone; every text from a record is escaped. The page says whether changes were looked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{HistoryError, HistoryStore, Point, RunSummary, SeriesKey, SeriesSummary};
use crate::plots::{self, Figure, PlotError};
use crate::record::CellKey;
use crate::stats::median;
use crate::text::{self, escape};

const STYLE: &str = include_str!("../html/style.css");

/// Finds changes of level: given a series' values in the order of its runs, the positions of the first value of each new level,
/// ascending, none of them 0.
pub type Detector<'a> = &'a dyn Fn(&[f64]) -> Vec<usize>;

/// A series with its points.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPoints {
    /// What it is of.
    pub summary: SeriesSummary,
    /// The oldest run first.
    pub points: Vec<Point>,
    /// Where its level changed, ascending.
    pub changes: Vec<Change>,
}

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Position of the first point of the new level.
    pub at: usize,
    /// Median of the level before.
    pub before: f64,
    /// Median of the level after.
    pub after: f64,
}

/// Points between two changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Level {
    /// The first point.
    pub from: usize,
    /// One after the last.
    pub to: usize,
    /// Median of their values.
    pub median: f64,
}

impl Change {
    /// The change in words: `3.25 s → 3.58 s (+10.2 %) at run-00020 of 8b82be9c5e, 2026-11-20`.
    pub fn says(&self, series: &SeriesPoints) -> String {
        let metric = series.summary.key.metric;
        let mut words = format!("{} → {}", metric.show(self.before), metric.show(self.after));
        if self.before > 0.0 {
            let part = self.after / self.before - 1.0;
            let _ = write!(words, " ({}{})", if part < 0.0 { "−" } else { "+" }, text::percent(part.abs()));
        }
        if let Some(point) = series.points.get(self.at) {
            let _ = write!(words, " at {}", point.run);
            if let Some(revision) = &point.revision {
                let _ = write!(words, " of {}", revision.chars().take(10).collect::<String>());
            }
            let _ = write!(words, ", {}", point.created.get(..10).unwrap_or(&point.created));
        }
        let before = self.at.checked_sub(1).and_then(|before| series.points.get(before));
        let toolchain = |point: Option<&Point>| point.and_then(|point| point.toolchain.clone());
        if let (Some(old), Some(new)) = (toolchain(before), toolchain(series.points.get(self.at)))
            && old != new
        {
            let _ = write!(words, "; the compiler changed here too, from {old} to {new}");
        }
        words
    }
}

impl SeriesPoints {
    /// A series whose changes are where `detector` sees them; without one it has none.
    pub fn new(summary: SeriesSummary, points: Vec<Point>, detector: Option<Detector>) -> Self {
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        let mut starts = detector.map(|detect| detect(&values)).unwrap_or_default();
        starts.retain(|at| (1..values.len()).contains(at));
        starts.dedup();
        let bounds: Vec<usize> = [0].into_iter().chain(starts.iter().copied()).chain([values.len()]).collect();
        let medians: Vec<f64> = bounds.windows(2).filter_map(|level| median(&values[level[0]..level[1]])).collect();
        let changes = starts
            .iter()
            .zip(medians.windows(2))
            .map(|(at, pair)| Change { at: *at, before: pair[0], after: pair[1] })
            .collect();
        Self { summary, points, changes }
    }

    /// The levels between changes.
    pub(crate) fn levels(&self) -> Vec<Level> {
        let starts = self.changes.iter().map(|change| change.at);
        let bounds: Vec<usize> = [0].into_iter().chain(starts).chain([self.points.len()]).collect();
        bounds
            .windows(2)
            .filter_map(|level| {
                let values: Vec<f64> = self.points[level[0]..level[1]].iter().map(|point| point.value).collect();
                Some(Level { from: level[0], to: level[1], median: median(&values)? })
            })
            .collect()
    }
}

/// Everything that a page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Where the store is.
    pub location: String,
    /// Its runs, the oldest first.
    pub runs: Vec<RunSummary>,
    /// Its series, with their points, in the order of their keys.
    pub series: Vec<SeriesPoints>,
    /// Whether changes of level were looked for.
    pub changes_sought: bool,
}

/// Reads what a page shows: the series that `wanted` wants, with changes where `detector` sees them.
///
/// # Errors
/// The store cannot be read.
pub fn collect(
    store: &mut dyn HistoryStore,
    wanted: &dyn Fn(&SeriesSummary) -> bool,
    detector: Option<Detector>,
) -> Result<Contents, HistoryError> {
    let runs = store.runs()?;
    let mut series = Vec::new();
    for summary in store.series()?.into_iter().filter(wanted) {
        let points = store.points(&summary.key)?;
        series.push(SeriesPoints::new(summary, points, detector));
    }
    Ok(Contents { location: store.location().to_owned(), runs, series, changes_sought: detector.is_some() })
}

/// What a series is of in words: `tiny 512×512 · ort int8 · q4 · cpu · 2 threads · 4 steps`, and what else differs from most.
fn label(key: &SeriesKey) -> String {
    let cell = &key.cell;
    let mut words = format!(
        "{}{} · {} {} · {} · {} · {} {} · {} {}",
        cell.name(),
        text::pixels(cell.width, cell.height),
        cell.backend,
        cell.variant,
        cell.precision,
        cell.device,
        cell.threads,
        if cell.threads == 1 { "thread" } else { "threads" },
        cell.steps,
        if cell.steps == 1 { "step" } else { "steps" },
    );
    if cell.batch != 1 {
        let _ = write!(words, " · batch {}", cell.batch);
    }
    if cell.memory != "fast" {
        let _ = write!(words, " · {} memory", cell.memory);
    }
    if let Some(sampler) = cell.unusual_sampler() {
        let _ = write!(words, " · {sampler}");
    }
    if !cell.cpus.is_empty() {
        let _ = write!(words, " · CPUs {}", cell.cpus);
    }
    if let Some(company) = cell.in_company() {
        let _ = write!(words, " · {company}");
    }
    if let Some(tokens) = cell.text_tokens() {
        let _ = write!(words, " · {tokens} text tokens");
    }
    if !key.conditions.is_empty() {
        let _ = write!(words, " · {}", key.conditions);
    }
    words
}

/// The page.
///
/// # Errors
/// A plot cannot be drawn: a fault of this program.
pub fn html(contents: &Contents) -> Result<String, PlotError> {
    let Contents { location, runs, series, changes_sought } = contents;
    let mut page = String::new();
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n");
    // No request may leave the page, whatever a record holds.
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    let title =
        format!("ditbench history: {}, {}", count(runs.len(), "run", "runs"), count(series.len(), "series", "series"));
    line(
        &mut page,
        &format!("<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>"),
    );
    let span = match (runs.first(), runs.last()) {
        (Some(first), Some(last)) => format!(" From {} to {}.", day(&first.created), day(&last.created)),
        _ => " It is empty.".into(),
    };
    line(&mut page, &format!("<p class=\"lead\">{}.{}</p>\n</header>\n<main>", escape(location), escape(&span)));
    changes(&mut page, series, *changes_sought);
    let mut machines: BTreeMap<&str, BTreeMap<(&CellKey, &str), Vec<&SeriesPoints>>> = BTreeMap::new();
    for one in series {
        let cells = machines.entry(&one.summary.key.machine).or_default();
        cells.entry((&one.summary.key.cell, &one.summary.key.conditions)).or_default().push(one);
    }
    for (machine, cells) in machines {
        let description = cells.values().flatten().next().map_or("", |one| one.summary.description.as_str());
        line(
            &mut page,
            &format!(
                "<h2 id=\"m-{0}\">{1}</h2>\n<p class=\"lead\">Machine {0}.</p>",
                escape(machine),
                escape(description)
            ),
        );
        let mut alone = Vec::new();
        for of_cell in cells.into_values() {
            let label = of_cell.first().map_or_else(String::new, |one| label(&one.summary.key));
            if of_cell.iter().all(|one| one.points.len() < 2) {
                alone.push(label);
                continue;
            }
            line(&mut page, &format!("<h3>{}</h3>\n<div class=\"figures\">", escape(&label)));
            for one in of_cell.into_iter().filter(|one| one.points.len() > 1) {
                figure(&mut page, &plots::history::series(one, *changes_sought)?);
            }
            page.push_str("</div>\n");
        }
        if !alone.is_empty() {
            line(&mut page, "<details>\n<summary>Measured once so far</summary>\n<ul>");
            for label in alone {
                line(&mut page, &format!("<li>{}</li>", escape(&label)));
            }
            line(&mut page, "</ul>\n</details>");
        }
    }
    run_table(&mut page, runs);
    page.push_str(
        "<h2 id=\"reading\">How to read this</h2>\n<p>Each plot follows one number of one cell on one machine. Cells \
         that differ in anything (threads, batch, text tokens), conditions that differ (the CPUs allowed, heat, \
         governor, limits, compiler flags) and machines that differ in processor, cores, memory or operating system \
         have separate plots. Below each, it says which way is better. The axis does not begin at zero. A thin \
         vertical line at a dot is that run's interval, if it has one: it shows how steady that run was, not how much \
         runs differ. A thick horizontal line is the median between two changes. A failed run has no \
         dot.</p>\n</main>\n</body>\n</html>\n",
    );
    Ok(page)
}

fn line(page: &mut String, markup: &str) {
    page.push_str(markup);
    page.push('\n');
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn day(created: &str) -> &str {
    created.get(..10).unwrap_or(created)
}

/// Every change of level, the latest first.
fn changes(page: &mut String, series: &[SeriesPoints], sought: bool) {
    page.push_str("<section aria-label=\"Changes of level\">\n");
    let mut found: Vec<(&str, String, String)> = Vec::new();
    for one in series {
        for change in &one.changes {
            let created = one.points.get(change.at).map_or("", |point| point.created.as_str());
            let about = format!("{}, {}", label(&one.summary.key), one.summary.key.metric.title());
            found.push((created, about, change.says(one)));
        }
    }
    found.sort_by(|a, b| b.0.cmp(a.0));
    match (found.is_empty(), sought) {
        (true, true) => line(page, "<p>No level change was found in any series.</p>"),
        (true, false) => line(page, "<p>Level changes were not searched for.</p>"),
        _ => {
            line(page, "<ul class=\"headline\">");
            for (_, about, says) in &found {
                line(page, &format!("<li><b>{}:</b> {}</li>", escape(about), escape(says)));
            }
            line(page, "</ul>");
        }
    }
    page.push_str("</section>\n");
}

fn figure(page: &mut String, figure: &Figure) {
    line(
        page,
        &format!(
            "<figure class=\"plot-{}\">\n<h4>{}</h4>\n{}",
            figure.id,
            escape(&figure.title),
            figure.svg.trim_end()
        ),
    );
    line(page, &format!("<figcaption>{}", escape(&figure.caption)));
    if !figure.key.is_empty() {
        line(page, "<ol class=\"key\">");
        for (number, class, label) in &figure.key {
            line(page, &format!("<li><b class=\"b-{class}\">{number}</b> <span>{}</span></li>", escape(label)));
        }
        line(page, "</ol>");
    }
    line(page, "</figcaption>\n</figure>");
}

/// The runs, the latest first.
fn run_table(page: &mut String, runs: &[RunSummary]) {
    page.push_str("<h2 id=\"runs\">Runs</h2>\n");
    if runs.is_empty() {
        return line(page, "<p>None.</p>");
    }
    line(page, "<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in ["Run", "Began", "Revision", "Cells", "Failed", "Machine"] {
        line(page, &format!("<th role=\"columnheader\" scope=\"col\">{column}</th>"));
    }
    line(page, "</tr></thead>\n<tbody role=\"rowgroup\">");
    for run in runs.iter().rev() {
        let revision = run.revision.as_ref().map_or("–".to_owned(), |revision| revision.chars().take(10).collect());
        let unfinished = if run.finished.is_none() { " <span class=\"chip\">not finished</span>" } else { "" };
        line(
            page,
            &format!(
                "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}{unfinished}</th><td role=\"cell\" data-label=\"Began\">{}</td>\
                 <td role=\"cell\" data-label=\"Revision\">{}</td><td role=\"cell\" data-label=\"Cells\">{}</td>\
                 <td role=\"cell\" data-label=\"Failed\">{}</td><td role=\"cell\" data-label=\"Machine\"><a href=\"#m-{5}\">{5}</a></td></tr>",
                escape(&run.id),
                escape(&run.created),
                escape(&revision),
                run.cells_ok,
                run.cells_failed,
                escape(&run.machine)
            ),
        );
    }
    line(page, "</tbody>\n</table>");
}
