//! The tables of the page. On a narrow screen each row becomes a card, by style alone; roles keep them tables.

use super::Page;
use crate::caution::Weight;
use crate::first_pass::FirstPass;
use crate::metric::{Metric, Shown};
use crate::published::Published;
use crate::record::Reading;
use crate::stages::{StageTime, StageTimes};
use crate::table::{Row, Table, columns};
use crate::text::{self, escape};

const NONE: &str = "–";

/// One table for each workload, fastest first, failed cells and the paper's rows last.
pub(super) fn main_tables(page: &mut Page, groups: &[(String, Vec<&Row>)], table: &Table, several: bool) {
    let sustained = groups.iter().flat_map(|(_, rows)| rows).any(|row| row.is_sustained());
    let first = if sustained {
        "Fastest first, by the settled image where a launch went on long enough"
    } else {
        "Fastest first"
    };
    page.line(&format!(
        "<h2 id=\"table\">Results</h2>\n<p>{first}. An image is the whole way from prompt to pixels, once the process \
         is warm; the first image of a process is shown separately. Every figure is explained in <a \
         href=\"#reading\">how to read this</a>.</p>"
    ));
    for (name, rows) in groups {
        page.line(&format!("<h3>{}</h3>", escape(name)));
        kept_up(page, rows, several);
        let mut numbers = columns(rows, Shown::Main);
        numbers.retain(|metric| !KEPT_UP.contains(metric));
        head(page, numbers.iter().map(|metric| metric.definition().heading).chain(["Notes"]));
        for row in rows {
            if row.has_figures() {
                good(page, row, &numbers, several)
            } else {
                failed(page, row, several, numbers.len() + 1)
            }
        }
        let model = rows.first().map(|row| row.key.name()).unwrap_or_default();
        let paper: Vec<&Published> = table.published.iter().filter(|paper| paper.model == model).collect();
        for row in &paper {
            published(page, row, &numbers);
        }
        page.raw("</tbody>\n</table>\n");
        page.line(&if paper.is_empty() {
            format!("<p class=\"small\">The paper publishes no row for {}.</p>", escape(&model))
        } else {
            let last = if paper.len() == 1 { "The last row is" } else { "The last rows are" };
            let scores = if paper.iter().any(|row| row.dpg.is_some()) {
                " Latency and scores are both for 4 steps; the paper's best-known scores are for 28."
            } else {
                ""
            };
            format!(
                "<p class=\"small\">{last} the paper's, on other hardware and at the size given there: for \
                 orientation, not for ranking.{scores}</p>"
            )
        });
    }
}

/// What stands in a table of its own, above the usual one: what a machine keeps up, and what it takes. One of all columns would be
/// wider than any screen.
const KEPT_UP: [Metric; 5] = [Metric::SETTLED, Metric::AT_FIRST, Metric::FIRST_CAP, Metric::ENERGY, Metric::BATTERY];

fn kept_up(page: &mut Page, rows: &[&Row], several: bool) {
    let told = |row: &&&Row| row.is_sustained() || row.value(Metric::ENERGY).is_some();
    let rows: Vec<&&Row> = rows.iter().filter(told).collect();
    let mut numbers = KEPT_UP.to_vec();
    // Where a launch went on long enough, that nothing tells its energy is an answer too.
    let sustained = rows.iter().any(|row| row.is_sustained());
    let needed = |metric: &Metric| sustained && *metric != Metric::BATTERY;
    numbers.retain(|metric| needed(metric) || rows.iter().any(|row| row.says(*metric).is_some()));
    if rows.is_empty() {
        return;
    }
    head(page, numbers.iter().map(|metric| metric.definition().heading));
    for row in rows {
        page.raw("<tr role=\"row\">");
        name(page, row, several);
        for metric in &numbers {
            value(page, metric.definition().heading, row.says(*metric), &small(row, *metric));
        }
        page.raw("</tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
}

/// The beginning of a table whose first column is the cell, up to its first row.
pub(super) fn head(page: &mut Page, headings: impl Iterator<Item = &'static str>) {
    page.raw("<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in ["Cell"].into_iter().chain(headings) {
        let class = if column == "Notes" { " class=\"words\"" } else { "" };
        page.raw(&format!("<th role=\"columnheader\" scope=\"col\"{class}>{column}</th>"));
    }
    page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
}

pub(super) fn name(page: &mut Page, row: &Row, several: bool) {
    let run =
        row.run_number.filter(|_| several).map(|number| format!("<small>run {number}</small>")).unwrap_or_default();
    page.raw(&format!(
        "<th role=\"rowheader\" scope=\"row\">{}<small>{} · {}</small>{run}</th>",
        escape(&row.who()),
        escape(&row.key.precision),
        escape(&row.threads())
    ));
}

/// A cell of the table: the value, and smaller what belongs to it.
pub(super) fn value(page: &mut Page, label: &str, value: Option<String>, small: &str) {
    let class = if value.is_none() && small.is_empty() { " class=\"none\"" } else { "" };
    let small = if small.is_empty() { String::new() } else { format!("<small>{}</small>", escape(small)) };
    page.raw(&format!(
        "<td role=\"cell\" data-label=\"{label}\"{class}><b class=\"value\">{}</b>{small}</td>",
        escape(value.as_deref().unwrap_or(NONE))
    ));
}

fn good(page: &mut Page, row: &Row, numbers: &[Metric], several: bool) {
    page.raw("<tr role=\"row\">");
    name(page, row, several);
    for metric in numbers {
        let (says, of_first) = figure(row, *metric);
        value(page, metric.definition().heading, says, &of_first.unwrap_or_else(|| small(row, *metric)));
    }
    let chips: Vec<String> = row
        .cautions
        .iter()
        .map(|caution| {
            let class = match caution.weight() {
                Weight::Grave => "chip bad",
                Weight::Uncertain => "chip warn",
                Weight::Note => "chip",
            };
            format!("<a class=\"{class}\" href=\"#cautions\">{}</a>", escape(&caution.short()))
        })
        .collect();
    let class = if chips.is_empty() { "words none" } else { "words" };
    page.raw(&format!("<td role=\"cell\" class=\"{class}\">{}</td></tr>\n", chips.concat()));
}

/// What the table has to say of a number. Apart, where it is the first image's for want of others, that it is.
fn figure(row: &Row, metric: Metric) -> (Option<String>, Option<String>) {
    match row.of_first_image(metric).filter(|_| row.shown(metric).is_none()) {
        Some(value) => (Some(metric.show(value)), Some("first image".to_owned())),
        None => (row.says(metric), None),
    }
}

/// What stands beside a number, smaller.
fn small(row: &Row, metric: Metric) -> String {
    let of = |metric: Metric| row.shown(metric);
    if metric == Metric::SETTLED {
        let change = row.value(metric).zip(row.value(Metric::AT_FIRST)).map(|(settled, first)| settled / first - 1.0);
        return change.map_or_else(String::new, |change| format!("{} against at first", metric.show_change(change)));
    }
    if metric == Metric::FIRST_CAP {
        return match &row.held_back {
            Reading::Ok(causes) => causes.join(", "),
            Reading::Denied { why } | Reading::Absent { why } => why.clone(),
        };
    }
    if metric == Metric::ENERGY {
        let beside = row.beside(metric).or_else(|| row.numbers.get(metric).why().map(str::to_owned));
        return beside.unwrap_or_default();
    }
    if metric == Metric::IMAGE && row.is_sustained() {
        return "over the whole launch".to_owned();
    }
    if metric == Metric::IMAGE {
        return match &row.image_s {
            Reading::Ok(estimate) => match estimate.low.zip(estimate.high) {
                Some((low, high)) => estimate.spread.says(&metric.show(low), &metric.show(high)),
                None => "no interval".to_owned(),
            },
            Reading::Denied { why } | Reading::Absent { why } => why.clone(),
        };
    }
    if metric == Metric::PEAK {
        return of(Metric::WEIGHTS_DISK).map(|bytes| format!("weights {bytes}")).unwrap_or_default();
    }
    if metric == Metric::PEAK_SHARE {
        return of(Metric::GIGAFLOPS).or_else(|| row.peak.why().map(str::to_owned)).unwrap_or_default();
    }
    if metric == Metric::LATENT && !row.is_reference {
        return row.reference.why().unwrap_or_default().to_owned();
    }
    String::new()
}

fn failed(page: &mut Page, row: &Row, several: bool, span: usize) {
    page.raw("<tr role=\"row\" class=\"failed\">");
    name(page, row, several);
    let reason = row.reason.as_deref().unwrap_or("no reason was recorded");
    page.raw(&format!(
        "<td role=\"cell\" class=\"words\" colspan=\"{span}\"><span class=\"chip bad\">{}</span> {}</td></tr>\n",
        row.status.name(),
        escape(reason)
    ));
}

fn published(page: &mut Page, row: &Published, numbers: &[Metric]) {
    page.raw(&format!(
        "<tr role=\"row\" class=\"published\"><th role=\"rowheader\" scope=\"row\">{} <span class=\"chip\">other hardware</span>\
         <small>{} · {}×{} · {}{}</small></th>",
        escape(&row.hardware),
        escape(row.runtime()),
        row.size,
        row.size,
        row.precision.unwrap_or("precision not published"),
        row.steps.map(|steps| format!(" · {steps} steps")).unwrap_or_default()
    ));
    for metric in numbers {
        let small = if *metric == Metric::IMAGE { "steps and decoder" } else { "" };
        value(page, metric.definition().heading, row.value(*metric).map(|value| metric.show(value)), small);
    }
    let scores: Vec<String> =
        [row.dpg.map(|score| format!("DPG {score}")), row.geneval.map(|score| format!("GenEval {score}"))]
            .into_iter()
            .flatten()
            .collect();
    page.raw(&format!(
        "<td role=\"cell\" class=\"words\">{}<small>{}</small></td></tr>\n",
        scores.join(", "),
        escape(&row.source)
    ));
}

/// Figures beside each other in one table of details: as many as a usual screen is wide for, with the reasons for absent ones.
const ACROSS: usize = 7;

/// A column of the tables of details.
enum Detail {
    Images,
    Stages,
    FirstPasses,
    Interval,
    ComputesIn,
    Number(Metric),
}

impl Detail {
    fn heading(&self) -> &'static str {
        match self {
            Self::Images => "Images",
            Self::Stages => "Stages",
            Self::FirstPasses => "First over steady, by stage",
            Self::Interval => "Interval",
            Self::ComputesIn => "Computes in",
            Self::Number(metric) => metric.definition().heading,
        }
    }

    /// What it says of a row, and smaller what belongs to it.
    fn of(&self, row: &Row) -> (Option<String>, String) {
        let estimate = row.image_s.value();
        match self {
            Self::Images => {
                let launches =
                    estimate.map(|e| format!("{} {}", e.launches, if e.launches == 1 { "launch" } else { "launches" }));
                (estimate.map(|e| e.images.to_string()), launches.unwrap_or_default())
            }
            Self::Stages => {
                let stage = |stage: &StageTime| {
                    let steps: Vec<String> = stage.seconds.iter().map(|seconds| text::seconds(*seconds)).collect();
                    format!("{}: {}", stage.stage.replace('_', " "), steps.join(", "))
                };
                let stages = row.stages_s.as_ref().or(row.first_stages_s.as_ref());
                (
                    None,
                    stages.map(|all| all.stages.iter().map(stage).collect::<Vec<_>>().join("; ")).unwrap_or_default(),
                )
            }
            Self::FirstPasses => {
                let stage = |one: &FirstPass| {
                    let seconds = text::minus(text::seconds(one.over_steady_s));
                    format!("{}: {seconds}", one.stage.replace('_', " "))
                };
                (None, row.first_passes.iter().map(stage).collect::<Vec<_>>().join("; "))
            }
            Self::Interval => (None, estimate.map_or_else(String::new, |e| e.interval.as_str().to_owned())),
            Self::ComputesIn => (
                row.numerics.value().map(|numerics| numerics.replace('_', " ")),
                row.numerics.why().unwrap_or_default().to_owned(),
            ),
            Self::Number(metric) => {
                let (says, of_first) = figure(row, *metric);
                (says, of_first.unwrap_or_else(|| row.numbers.get(*metric).why().unwrap_or_default().to_owned()))
            }
        }
    }
}

/// All other numbers: folded away, for those who want them. Several tables below each other, for one of all would be wider than any
/// screen.
pub(super) fn details_table(page: &mut Page, groups: &[(String, Vec<&Row>)]) {
    page.raw("<h2 id=\"more\">More figures</h2>\n<details>\n<summary>Percentiles, parts of an image, memory, all measures of quality</summary>\n");
    for (name_of_group, rows) in groups {
        // Where columns by role tell all of a cell's stages apart, they are not listed besides.
        let shared = |row: &&Row| row.first_stages_s.as_ref().is_some_and(StageTimes::share_a_role);
        let stages = rows.iter().any(shared).then_some(Detail::Stages);
        let first_passes = rows.iter().any(|row| !row.first_passes.is_empty()).then_some(Detail::FirstPasses);
        let all: Vec<Detail> = [Detail::Images, Detail::Interval, Detail::ComputesIn]
            .into_iter()
            .chain(stages)
            .chain(first_passes)
            .chain(Metric::shown(Shown::More).map(Detail::Number))
            .collect();
        let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.has_figures()).collect();
        if rows.is_empty() {
            continue;
        }
        page.line(&format!("<h3>{}</h3>", escape(name_of_group)));
        for across in all.chunks(ACROSS) {
            head(page, across.iter().map(Detail::heading));
            for row in &rows {
                page.raw("<tr role=\"row\">");
                name(page, row, true);
                for column in across {
                    let (says, small) = column.of(row);
                    value(page, column.heading(), says, &small);
                }
                page.raw("</tr>\n");
            }
            page.raw("</tbody>\n</table>\n");
        }
    }
    page.raw("</details>\n");
}
