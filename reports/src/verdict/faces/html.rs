//! The verdict as one self-contained HTML page in the style of the reports: no script, no network.

use std::fmt::Write as _;

use super::{explained, headline, method, q, sides, state, value};
use crate::metric::Better;
use crate::text::escape;
use crate::verdict::compare::workload;
use crate::verdict::{Basis, CellVerdict, Enforce, MetricVerdict, Outcome, Verdict};

const STYLE: &str = include_str!("../../html/style.css");
/// Beyond what the reports' style has: the little plot of an interval.
const OWN_STYLE: &str = "svg.interval { width: 11rem; height: 1.4rem; display: block; margin-left: auto; overflow: visible; }\n\
     svg.interval .limit { stroke: var(--bad); stroke-dasharray: 2 2; } svg.interval .zero { stroke: var(--muted); }\n\
     svg.interval .range { stroke: var(--text); stroke-width: 2; } svg.interval .dot { fill: var(--text); }\n\
     .chip.good { color: var(--good); border-color: currentColor; }\n";

/// The page.
pub fn of_verdict(verdict: &Verdict) -> String {
    let mut page = String::new();
    let title = headline(verdict);
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n");
    // No request may leave the page, whatever a record holds.
    page.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    );
    let _ = writeln!(
        page,
        "<title>ditbench verdict: {}</title>\n<style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n<body>",
        escape(&title)
    );
    let _ = writeln!(
        page,
        "<header>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n</header>\n<main>",
        escape(&title),
        escape(&sides(verdict))
    );
    page.push_str("<section aria-label=\"In short\">\n<ul class=\"headline\">\n");
    in_short(&mut page, verdict);
    page.push_str("</ul>\n</section>\n");
    let mut groups: Vec<(String, Vec<&CellVerdict>)> = Vec::new();
    for cell in &verdict.cells {
        let name = workload(cell);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((name, vec![cell])),
        }
    }
    for (name, cells) in groups {
        let _ = writeln!(page, "<h2>{}</h2>", escape(&name));
        for cell in cells {
            of_cell(&mut page, cell);
        }
    }
    let _ = writeln!(page, "<h2>How to read this</h2>\n<p>{}</p>", escape(&method(verdict)));
    page.push_str(
        "<p>The little plot shows the change and its interval; the grey line is no change, the dashed red one the threshold. Worse is to the right, \
         whichever way the number goes. Medians are of launches; each launch counts once.</p>\n",
    );
    let _ = writeln!(
        page,
        "<details>\n<summary>The gate as applied</summary>\n<pre>{}</pre>\n</details>\n</main>\n</body>\n</html>",
        escape(&verdict.gate.to_toml())
    );
    page
}

fn in_short(page: &mut String, verdict: &Verdict) {
    let mut items: Vec<String> = Vec::new();
    let mut item = |words: String| items.push(words);
    for (cell, finding) in verdict.findings() {
        item(format!("<b>{}:</b> {}, {}", escape(&cell.label), finding.fault.name(), escape(&finding.says)));
    }
    for (cell, metric) in verdict.regressions() {
        let words = format!("{} {}, a {} change", metric.metric.title(), metric.show_change(), metric.magnitude.name());
        item(format!("<b>{}:</b> {}", escape(&cell.label), escape(&words)));
    }
    for (cell, metric) in verdict.undecided() {
        item(format!("<b>{}:</b> {} undecided: {}", escape(&cell.label), metric.metric.title(), escape(&metric.why)));
    }
    for (cell, metric) in verdict.improvements().filter(|(_, metric)| metric.enforce == Enforce::Strict) {
        let words = format!("{} improved, {}", metric.metric.title(), metric.show_change());
        item(format!("<b>{}:</b> {}", escape(&cell.label), escape(&words)));
    }
    for words in verdict
        .allowed
        .iter()
        .map(|words| format!("Allowed difference: {words}"))
        .chain(verdict.cautions.iter().cloned())
    {
        item(escape(&words));
    }
    if items.is_empty() {
        items.push("Nothing is worse than allowed, and nothing improved by more than its threshold.".into());
    }
    for words in items {
        let _ = writeln!(page, "<li>{words}</li>");
    }
}

fn of_cell(page: &mut String, cell: &CellVerdict) {
    let class = match cell.outcome {
        Some(Outcome::Regressed) => "chip bad",
        Some(Outcome::Inconclusive) => "chip warn",
        Some(Outcome::Ok) => "chip good",
        None => "chip",
    };
    let _ = writeln!(
        page,
        "<h3 id=\"{0}\">{1} <span class=\"{class}\">{2}</span></h3>",
        escape(&cell.id),
        escape(&cell.label),
        state(cell)
    );
    for finding in &cell.findings {
        let _ =
            writeln!(page, "<p><span class=\"chip bad\">{}</span> {}</p>", finding.fault.name(), escape(&finding.says));
    }
    for note in cell.remarks() {
        let _ = writeln!(page, "<p class=\"small\">{}</p>", escape(note));
    }
    if cell.metrics.is_empty() {
        return;
    }
    page.push_str("<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in ["Number", "Outcome", "Base", "Head", "Change", "", "Threshold", "q", "Cliff’s delta", "Samples"] {
        let class = if column == "Outcome" { " class=\"words\"" } else { "" };
        let _ = write!(page, "<th role=\"columnheader\" scope=\"col\"{class}>{column}</th>");
    }
    page.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for metric in &cell.metrics {
        row(page, metric);
    }
    page.push_str("</tbody>\n</table>\n");
}

fn row(page: &mut String, metric: &MetricVerdict) {
    let class = match (metric.outcome, metric.improved) {
        (Outcome::Regressed, _) if metric.fails() => "chip bad",
        (Outcome::Regressed | Outcome::Inconclusive, _) => "chip warn",
        (Outcome::Ok, true) => "chip good",
        (Outcome::Ok, false) => "chip",
    };
    let size =
        if metric.outcome == Outcome::Regressed { format!(", {}", metric.magnitude.name()) } else { String::new() };
    let samples = match metric.basis {
        Basis::Value => "by value".to_owned(),
        Basis::Counted => "counted".to_owned(),
        Basis::Launches | Basis::Iterations => format!("{} + {}", metric.base_samples, metric.head_samples),
    };
    let _ = writeln!(
        page,
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th><td role=\"cell\" class=\"words\" data-label=\"Outcome\"><span class=\"{class}\">{}{size}</span> <small>{}</small></td>\
         <td role=\"cell\" data-label=\"Base\"><b class=\"value\">{}</b></td><td role=\"cell\" data-label=\"Head\"><b class=\"value\">{}</b></td><td role=\"cell\" data-label=\"Change\">{}</td>\
         <td role=\"cell\">{}</td><td role=\"cell\" data-label=\"Threshold\">{}<small>{}</small></td><td role=\"cell\" data-label=\"q\">{}</td><td role=\"cell\" data-label=\"Cliff’s delta\">{}</td>\
         <td role=\"cell\" data-label=\"Samples\">{samples}</td></tr>",
        escape(&metric.metric.title()),
        metric.word(),
        escape(&explained(metric)),
        value(metric, metric.base),
        value(metric, metric.head),
        escape(&metric.show_change()),
        plot(metric),
        escape(&metric.show_threshold()),
        escape(&metric.reason),
        escape(&q(metric)),
        metric.cliffs_delta.map_or_else(|| "–".to_owned(), |delta| format!("{delta:+.2}")),
    );
}

/// The interval around the change, worse to the right, three thresholds to either side (or what it takes).
fn plot(metric: &MetricVerdict) -> String {
    let worse = |value: f64| match metric.metric.better() {
        Better::Higher => -value,
        Better::Lower => value,
    };
    let Some((change, (low, high))) = metric.change.zip(metric.low.zip(metric.high)) else { return String::new() };
    let (change, low, high) = (worse(change), worse(low).min(worse(high)), worse(low).max(worse(high)));
    let reach = [3.0 * metric.threshold, low.abs(), high.abs()].into_iter().fold(0.0, f64::max);
    if reach <= 0.0 || !reach.is_finite() {
        return String::new();
    }
    let x = |value: f64| 100.0 + 95.0 * (value / reach).clamp(-1.0, 1.0);
    let line = |class: &str, x1: f64, x2: f64, y1: f64, y2: f64| {
        format!("<line class=\"{class}\" x1=\"{x1:.1}\" x2=\"{x2:.1}\" y1=\"{y1}\" y2=\"{y2}\"/>")
    };
    let limit = x(metric.threshold);
    format!(
        "<svg class=\"interval\" viewBox=\"0 0 200 20\" role=\"img\" aria-label=\"{}\">{}{}{}<circle class=\"dot\" cx=\"{:.1}\" cy=\"10\" r=\"3.5\"/></svg>",
        escape(&metric.show_change()),
        line("zero", 100.0, 100.0, 2.0, 18.0),
        line("limit", limit, limit, 0.0, 20.0),
        line("range", x(low), x(high), 10.0, 10.0),
        x(change)
    )
}
