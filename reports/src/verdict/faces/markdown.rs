//! The verdict as a comment of a pull request: Markdown with tables.
//!
//! Contract: it fits where it is meant to go. What is grave comes first; what does not fit is counted and left out, with the
//! place where everything is. GitHub refuses what is too long as a whole, so a gate over many cells would stay unseen.

use std::fmt::Write as _;

use super::{explained, headline, method, notable, q, sides, state, value};
use crate::text::markdown as cell;
use crate::verdict::{Basis, CellVerdict, MetricVerdict, Outcome, Verdict};

/// Where the text goes, which says how much of it there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A comment of a pull request: 65,536 characters.
    Comment,
    /// The summary of a job's step: 1 MiB.
    Summary,
}

impl Room {
    /// In bytes, of which a text never has fewer than characters.
    const fn bytes(self) -> usize {
        match self {
            Self::Comment => 65_536,
            Self::Summary => 1 << 20,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Comment => "a comment (65,536 characters)",
            Self::Summary => "the summary of a step (1 MiB)",
        }
    }
}

/// What the parts are put together with, and the sentence that says what was left out.
const FRAME: usize = 4000;
/// Characters of a text from elsewhere that stands above everything.
const LONG: usize = 1000;

/// A part that can be left out.
struct Part {
    kind: Kind,
    /// The lowest come first where there is not room for all.
    rank: u8,
    text: String,
    kept: bool,
}

/// Parts of a kind stand together, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Allowed,
    Finding,
    Row,
    State,
    Details,
    Caution,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Allowed, Self::Finding, Self::Row, Self::State, Self::Details, Self::Caution];

    /// One of them, and several.
    const fn names(self) -> [&'static str; 2] {
        match self {
            Self::Allowed => ["allowed difference", "allowed differences"],
            Self::Finding => ["fault", "faults"],
            Self::Row => ["row of the table", "rows of the table"],
            Self::State => ["cell without numbers", "cells without numbers"],
            Self::Details => ["cell's details", "cells' details"],
            Self::Caution => ["note", "notes"],
        }
    }
}

/// The verdict: what matters on top, every number in folds. `whole` says where everything is, should it not fit.
pub fn of_verdict(verdict: &Verdict, room: Room, whole: &str) -> String {
    let sign = match verdict.outcome {
        Outcome::Ok => "✅",
        Outcome::Inconclusive => "❔",
        Outcome::Regressed => "❌",
    };
    let mut page = format!("### {sign} ditbench: {}\n\n{}\n\n", cell(&headline(verdict)), cell(&cut(&sides(verdict))));
    let foot = format!("<sub>{}</sub>\n", cell(&cut(&method(verdict))));
    let mut parts = parts(verdict);
    keep(&mut parts, room.bytes().saturating_sub(page.len() + foot.len() + FRAME));
    let left: Vec<String> = Kind::ALL.into_iter().filter_map(|kind| left_out(&parts, kind)).collect();
    if !left.is_empty() {
        let left = left.join(", ");
        let _ =
            writeln!(page, "> Shortened to fit into {}: left out are {left}; {}.\n", room.name(), cell(&cut(whole)));
    }
    for kind in Kind::ALL {
        let kept: Vec<&str> =
            parts.iter().filter(|part| part.kept && part.kind == kind).map(|part| part.text.as_str()).collect();
        if kept.is_empty() {
            continue;
        }
        if kind == Kind::Row {
            page.push_str(&head(true));
        }
        page.extend(kept);
        if matches!(kind, Kind::Finding | Kind::Row | Kind::State) {
            page.push('\n');
        }
    }
    page + &foot
}

/// Everything that there is to say, the grave rows first.
fn parts(verdict: &Verdict) -> Vec<Part> {
    let part = |kind, rank, text| Part { kind, rank, text, kept: true };
    let mut parts = Vec::new();
    for allowed in &verdict.allowed {
        parts.push(part(Kind::Allowed, 0, format!("> Allowed difference: {}\n\n", cell(allowed))));
    }
    for (of, finding) in verdict.findings() {
        let text = format!("- **{}**, {}: {}\n", cell(&of.label), finding.fault.name(), cell(&finding.says));
        parts.push(part(Kind::Finding, 1, text));
    }
    let mut rows: Vec<(u8, &CellVerdict, &MetricVerdict)> = verdict
        .cells
        .iter()
        .flat_map(|of| notable(of).into_iter().map(move |metric| (gravity(metric), of, metric)))
        .collect();
    rows.sort_by_key(|(gravity, ..)| *gravity);
    for (gravity, of, metric) in rows {
        parts.push(part(Kind::Row, 2 + gravity, row(Some(&of.label), metric)));
    }
    for of in verdict.cells.iter().filter(|of| of.metrics.is_empty()) {
        parts.push(part(Kind::State, 6, format!("- {}: {}\n", cell(&of.label), state(of))));
    }
    for of in verdict.cells.iter().filter(|of| !of.metrics.is_empty()) {
        let rank = if of.outcome == Some(Outcome::Regressed) { 7 } else { 8 };
        parts.push(part(Kind::Details, rank, details(of)));
    }
    for caution in &verdict.cautions {
        parts.push(part(Kind::Caution, 5, format!("> {}\n\n", cell(caution))));
    }
    parts
}

/// 0 for what fails, 1 for what is undecided, 2 for the rest.
fn gravity(metric: &MetricVerdict) -> u8 {
    match metric {
        metric if metric.fails() => 0,
        metric if metric.undecided() => 1,
        _ => 2,
    }
}

/// Keeps as many parts as there is room for, by rank.
fn keep(parts: &mut [Part], room: usize) {
    if parts.iter().map(|part| part.text.len()).sum::<usize>() <= room {
        return;
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&index| parts[index].rank);
    let mut left = room;
    for index in order {
        let part = &mut parts[index];
        part.kept = part.text.len() <= left;
        left -= if part.kept { part.text.len() } else { 0 };
    }
}

/// `120 of 140 rows of the table`, if there are any that were left out.
fn left_out(parts: &[Part], kind: Kind) -> Option<String> {
    let all = parts.iter().filter(|part| part.kind == kind);
    let (left, all) = (all.clone().filter(|part| !part.kept).count(), all.count());
    let [one, several] = kind.names();
    (left > 0).then(|| format!("{left} of {all} {}", if all == 1 { one } else { several }))
}

/// A cell's every number, folded away.
fn details(of: &CellVerdict) -> String {
    let mut text = format!("<details><summary>{}: {}</summary>\n\n{}", cell(&of.label), state(of), head(false));
    for metric in &of.metrics {
        text.push_str(&row(None, metric));
    }
    text.push('\n');
    for note in of.remarks() {
        let _ = writeln!(text, "- {}", cell(note));
    }
    text.push_str("\n</details>\n\n");
    text
}

/// The head of a table, whose rows begin with their cell or do not.
fn head(named: bool) -> String {
    let (name, rule) = if named { ("| cell ", "|---") } else { ("", "") };
    format!(
        "{name}| number | outcome | base | head | change | threshold | q | samples | |\n{rule}|---|---|--:|--:|--:|--:|--:|--:|---|\n"
    )
}

fn row(name: Option<&str>, metric: &MetricVerdict) -> String {
    let name = name.map_or_else(String::new, |name| format!("| {} ", cell(name)));
    let word = if metric.fails() { format!("**{}**", metric.word()) } else { metric.word().to_owned() };
    let size = match metric.outcome {
        Outcome::Regressed => format!(", {}", metric.magnitude.name()),
        _ => String::new(),
    };
    let samples = match metric.basis {
        Basis::Value => "by value".to_owned(),
        Basis::Counted => "counted".to_owned(),
        Basis::Launches | Basis::Iterations => format!("{}+{}", metric.base_samples, metric.head_samples),
    };
    format!(
        "{name}| {} | {word}{size} | {} | {} | {} | {} | {} | {samples} | {} |\n",
        metric.metric.title(),
        value(metric, metric.base),
        value(metric, metric.head),
        metric.show_change(),
        metric.show_threshold(),
        q(metric),
        cell(&if metric.basis == Basis::Value { String::new() } else { explained(metric) })
    )
}

/// The beginning of a text that may be of any length.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
