//! The verdict as a comment of a pull request: Markdown with tables.

use std::fmt::Write as _;

use super::{explained, headline, method, notable, q, sides, state, value};
use crate::verdict::{Basis, MetricVerdict, Outcome, Verdict};

/// The verdict: what matters on top, every number in folds.
pub fn of_verdict(verdict: &Verdict) -> String {
    let mut page = String::new();
    let sign = match verdict.outcome {
        Outcome::Ok => "✅",
        Outcome::Inconclusive => "❔",
        Outcome::Regressed => "❌",
    };
    let _ = writeln!(page, "### {sign} ditbench: {}\n\n{}\n", cell(&headline(verdict)), cell(&sides(verdict)));
    for allowed in &verdict.allowed {
        let _ = writeln!(page, "> Allowed difference: {}\n", cell(allowed));
    }
    for (of, finding) in verdict.findings() {
        let _ = writeln!(page, "- **{}**, {}: {}", cell(&of.label), finding.fault.name(), cell(&finding.says));
    }
    if verdict.findings().next().is_some() {
        page.push('\n');
    }
    let all: Vec<(&str, &MetricVerdict)> =
        verdict.cells.iter().flat_map(|of| notable(of).into_iter().map(|metric| (of.label.as_str(), metric))).collect();
    table(&mut page, &all);
    let others: Vec<String> = verdict
        .cells
        .iter()
        .filter(|of| of.metrics.is_empty())
        .map(|of| format!("- {}: {}", cell(&of.label), state(of)))
        .collect();
    if !others.is_empty() {
        let _ = writeln!(page, "{}\n", others.join("\n"));
    }
    for of in verdict.cells.iter().filter(|of| !of.metrics.is_empty()) {
        let _ = writeln!(page, "<details><summary>{}: {}</summary>\n", cell(&of.label), state(of));
        let rows: Vec<(&str, &MetricVerdict)> = of.metrics.iter().map(|metric| ("", metric)).collect();
        table(&mut page, &rows);
        for note in &of.notes {
            let _ = writeln!(page, "- {}", cell(note));
        }
        page.push_str("\n</details>\n\n");
    }
    for caution in &verdict.cautions {
        let _ = writeln!(page, "> {}\n", cell(caution));
    }
    let _ = writeln!(page, "<sub>{}</sub>", cell(&method(verdict)));
    page
}

fn table(page: &mut String, rows: &[(&str, &MetricVerdict)]) {
    if rows.is_empty() {
        return;
    }
    let named = rows.iter().any(|(name, _)| !name.is_empty());
    let name = if named { "| cell " } else { "" };
    let rule = if named { "|---" } else { "" };
    let _ = writeln!(
        page,
        "{name}| number | outcome | base | head | change | threshold | q | samples | |\n{rule}|---|---|--:|--:|--:|--:|--:|--:|---|"
    );
    for (name, metric) in rows {
        let name = if named { format!("| {} ", cell(name)) } else { String::new() };
        let word = if metric.fails() { format!("**{}**", metric.word()) } else { metric.word().to_owned() };
        let size = match metric.outcome {
            Outcome::Regressed => format!(", {}", metric.magnitude.name()),
            _ => String::new(),
        };
        let samples = match metric.basis {
            Basis::Value => "by value".to_owned(),
            Basis::Launches | Basis::Iterations => format!("{}+{}", metric.base_samples, metric.head_samples),
        };
        let _ = writeln!(
            page,
            "{name}| {} | {word}{size} | {} | {} | {} | {} | {} | {samples} | {} |",
            metric.metric.title(),
            value(metric, metric.base),
            value(metric, metric.head),
            metric.show_change(),
            metric.show_threshold(),
            q(metric),
            cell(&if metric.basis == Basis::Value { String::new() } else { explained(metric) })
        );
    }
    page.push('\n');
}

/// Text inside a table or a paragraph: nothing in it may end a cell, open a tag or call somebody.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' => safe.push_str("\\|"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '@' => safe.push_str("&#64;"),
            '`' | '*' | '_' | '[' | ']' | '#' | '~' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe.trim().to_owned()
}
