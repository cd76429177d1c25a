//! One self-contained HTML page: styles, plots and images inside it, no script, no network.
//!
//! Contract: made from records alone; every text from a record is escaped. Readable from 360 pixels on, in light and dark.

mod company;
mod decision;
mod facts;
mod gallery;
mod images;
mod inside;
mod judged;
mod phones;
mod rows;
mod scale;

use std::fmt::Write as _;

use crate::advice::{self, Advice, Outcome, Question};
use crate::headline;
use crate::plots::{self, Figure, PlotError};
use crate::record::{Cell, Run};
use crate::scale::Scale;
use crate::table::{self, Table};
use crate::text::{self, escape};
use ditbench_record::store::LoadedRun;

const STYLE: &str = include_str!("style.css");

/// The page, with the fastest, the smallest and the nearest to the reference as its conclusion.
///
/// # Errors
/// A plot cannot be drawn: a fault of this program.
pub fn of_runs(runs: &[LoadedRun], table: &Table) -> Result<String, PlotError> {
    of_question(runs, table, &Question::default())
}

/// The page, with the answer to a question as its conclusion.
///
/// # Errors
/// As [`of_runs`].
pub fn of_question(runs: &[LoadedRun], table: &Table, question: &Question) -> Result<String, PlotError> {
    let records: Vec<&Run> = runs.iter().map(|loaded| &loaded.run).collect();
    let mut page = Page::default();
    let title = title(table);
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n");
    // No request may leave the page, whatever a record holds.
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n");
    page.line(&format!("<title>ditbench: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>", escape(&title)));
    let (timed, timed_table) = timed(runs, table);
    let first = if timed.len() < runs.len() { "pictures" } else { "table" };
    page.line(&format!("<a class=\"skip\" href=\"#{first}\">Skip to the table</a>\n<header>"));
    page.line(&format!("<h1>{}</h1>", escape(&title)));
    for (number, run) in (1..).zip(&records) {
        let which = if records.len() > 1 { format!("<b>Run {number}:</b> ") } else { String::new() };
        page.line(&format!("<p class=\"lead\">{which}{}</p>", lead(run)));
    }
    page.raw("</header>\n<main>\n");
    let advice = advice::of_runs(&records, &table.absent, question);
    decision::conclusions(&mut page, &advice);
    in_short(&mut page, table, &advice);
    let scale = scale::of(&records);
    let there = There {
        judged: timed.len() < runs.len(),
        timed: !timed.is_empty(),
        advised: !decision::told(&advice).is_empty(),
        scaled: !scale.is_empty(),
        beside: !crate::company::pairs(&timed_table).is_empty(),
    };
    navigation(&mut page, &there);
    decision::maps(&mut page, &advice)?;
    judged_sections(&mut page, runs, table);
    if !timed.is_empty() {
        timed_sections(&mut page, &timed, &timed_table, &scale)?;
    }
    facts::cautions(&mut page, &records, table);
    facts::conditions(&mut page, &records);
    if !timed.is_empty() {
        facts::reading_section(&mut page);
    }
    page.raw("</main>\n</body>\n</html>\n");
    Ok(page.html)
}

/// What else there is to say in short: of workloads of which the conclusion says nothing, of pictures, of what failed.
fn in_short(page: &mut Page, table: &Table, advice: &Advice) {
    let is_concluded = |about: &str| {
        // What ran on another device than the processor is a table of its own, which names it behind the workload.
        let is =
            |workload: &str| about.strip_prefix(workload).is_some_and(|on| on.is_empty() || on.starts_with(", on "));
        let own = advice.decisions.iter().find(|decision| !decision.workload.is_empty() && is(&decision.workload));
        let answered = |device: &advice::Device| device.choice.outcome == Outcome::Met;
        own.is_some_and(|own| !advice.question.bounds.is_empty() || own.devices.iter().all(answered))
    };
    let points: Vec<headline::Point> =
        headline::of_table(table).into_iter().filter(|point| !is_concluded(&point.about)).collect();
    if points.is_empty() && table.absent.is_empty() {
        return;
    }
    page.raw("<section aria-label=\"In short\">\n<ul class=\"headline\">\n");
    for point in points {
        let about = if point.about.is_empty() { String::new() } else { format!("<b>{}:</b> ", escape(&point.about)) };
        page.line(&format!("<li>{about}{}</li>", escape(&point.says)));
    }
    for absent in &table.absent {
        page.line(&format!("<li><b>{}:</b> no result: {}</li>", escape(&absent.machine), escape(&absent.reason)));
    }
    page.raw("</ul>\n</section>\n");
}

/// The runs that timed something, and their rows.
fn timed(runs: &[LoadedRun], table: &Table) -> (Vec<LoadedRun>, Table) {
    let judged = |id: &str| runs.iter().any(|loaded| loaded.run.judging.is_some() && loaded.run.run.id == id);
    let timed = runs.iter().filter(|loaded| loaded.run.judging.is_none()).cloned().collect();
    let rows = table.rows.iter().filter(|row| !judged(&row.run)).cloned().collect();
    (timed, Table { rows, ..table.clone() })
}

/// The parts that a page has.
#[allow(clippy::struct_excessive_bools, reason = "each part is there or not, whatever the others are")]
struct There {
    judged: bool,
    timed: bool,
    advised: bool,
    scaled: bool,
    beside: bool,
}

fn navigation(page: &mut Page, there: &There) {
    let There { judged, timed, advised, scaled, beside } = *there;
    let sections = [
        (advised, "advice", "What to ship"),
        (advised, "map", "The map"),
        (judged, "pictures", "Pictures judged"),
        (timed, "table", "Table"),
        (beside, "company", "Alone and in company"),
        (timed, "images", "Images"),
        (timed, "plots", "Plots"),
        (scaled, "scaling", "Scaling"),
        (true, "cautions", "Cautions"),
        (true, "conditions", "Conditions"),
        (timed, "reading", "How to read this"),
    ];
    page.raw("<nav aria-label=\"Sections\"><ul>");
    for (_, id, name) in sections.into_iter().filter(|(there, ..)| *there) {
        page.raw(&format!("<li><a href=\"#{id}\">{name}</a></li>"));
    }
    page.raw("</ul></nav>\n");
}

/// What runs that judged pictures found, and the pictures.
fn judged_sections(page: &mut Page, runs: &[LoadedRun], table: &Table) {
    let judged = runs.iter().filter_map(|loaded| Some((loaded, loaded.run.judging.as_ref()?)));
    for (number, (loaded, judging)) in judged.enumerate() {
        let id = if number == 0 { " id=\"pictures\"" } else { "" };
        page.line(&format!("<h2{id}>Pictures judged</h2>"));
        judged::section(page, &loaded.run, judging, table);
        gallery::section(page, loaded, judging, number);
    }
}

/// Tables, images and plots of runs that timed something.
fn timed_sections(page: &mut Page, runs: &[LoadedRun], table: &Table, scale: &Scale) -> Result<(), PlotError> {
    let records: Vec<&Run> = runs.iter().map(|loaded| &loaded.run).collect();
    rows::main_tables(page, &table::groups(table), table, records.len() > 1);
    company::section(page, table, records.len() > 1);
    phones::side_by_side(page, &records, table);
    images::section(page, runs, table);
    page.raw("<h2 id=\"plots\">Plots</h2>\n");
    let mut told: Vec<&str> = Vec::new();
    for (name, figures) in plots::of_runs(&records, table)? {
        page.line(&format!("<h3>{}</h3>\n<div class=\"figures\">", escape(&name)));
        for plot in figures {
            // A caption is told once; the same plot of another workload is read the same way.
            let known = told.contains(&plot.id);
            figure(page, &plot, if known { "Read as above." } else { &plot.caption });
            told.push(plot.id);
        }
        page.raw("</div>\n");
    }
    scale::section(page, scale)?;
    phones::timelines(page, &records, table)?;
    inside::models(page, table);
    inside::profiles(page, &records, table)?;
    rows::details_table(page, &table::groups(table));
    Ok(())
}

/// A page being written.
#[derive(Default)]
pub(super) struct Page {
    html: String,
}

impl Page {
    /// Markup as it is.
    pub(super) fn raw(&mut self, markup: &str) {
        self.html.push_str(markup);
    }

    /// A line of markup.
    pub(super) fn line(&mut self, markup: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.html, "{markup}");
    }
}

/// Which models on which backends.
fn title(table: &Table) -> String {
    let distinct = |name: fn(&table::Row) -> String| text::list(&each_once(table.rows.iter().map(name)));
    if table.rows.is_empty() {
        return "A run without cells".into();
    }
    format!("{} on {}", distinct(|row| row.key.name()), distinct(|row| row.key.backend.clone()))
}

/// When, where, what, in a line.
fn lead(run: &Run) -> String {
    let machine = run.machine.cpu_model.value().map_or("an unnamed machine", String::as_str);
    let cores =
        run.machine.logical_cores.value().map(|cores| format!(", {cores} threads of execution")).unwrap_or_default();
    let memory = run.machine.memory_bytes.value().map(|bytes| format!(", {}", text::bytes(*bytes))).unwrap_or_default();
    let unfinished = if run.run.finished.is_none() { " Not finished." } else { "" };
    format!(
        "Run {} of {}, on {}{cores}{memory}. Prompt: <q>{}</q>, seed {}, {}.{unfinished} ditbench {}.",
        escape(&run.run.id),
        escape(&run.run.created),
        escape(machine),
        escape(&run.run.prompt),
        run.run.seed,
        escape(&sampling(run)),
        escape(&run.run.tool_version)
    )
}

/// Steps and samplers of all cells: `4 steps (euler)`, `4 steps (euler), 28 steps (euler)`.
fn sampling(run: &Run) -> String {
    let says = |cell: &Cell| {
        let steps = if cell.key.steps == 1 { "step" } else { "steps" };
        let sampler = cell.key.sampler().map(|sampler| format!(" ({sampler})")).unwrap_or_default();
        format!("{} {steps}{sampler}", cell.key.steps)
    };
    if run.cells.is_empty() { "no cells".to_owned() } else { each_once(run.cells.iter().map(says)).join(", ") }
}

/// Words in their order, each once.
fn each_once(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

fn figure(page: &mut Page, figure: &Figure, caption: &str) {
    page.line(&format!(
        "<figure class=\"plot-{}\">\n<h4>{}</h4>\n{}",
        figure.id,
        escape(&figure.title),
        figure.svg.trim_end()
    ));
    page.raw("<figcaption>");
    page.raw(&escape(caption));
    if !figure.key.is_empty() {
        page.raw("\n<ol class=\"key\">\n");
        for (number, class, label) in &figure.key {
            page.line(&format!("<li><b class=\"b-{class}\">{number}</b> <span>{}</span></li>", escape(label)));
        }
        page.raw("</ol>");
    }
    page.raw("</figcaption>\n</figure>\n");
}
