//! The verdict for GitHub Actions: annotations on standard output, and the job's summary.
//!
//! Contract: one line for each annotation, escaped as the runner wants it (`%`, line ends; in properties `:` and `,` too).
//! GitHub shows the first ten of each kind for a step, so a cell has one of each kind, the gravest come first, and the
//! summary holds everything.

use std::fmt::Write as _;

use super::{explained, headline, markdown};
use crate::text::inert;
use crate::verdict::{CellVerdict, MetricVerdict, Outcome, Verdict};

/// Annotations: `::error` for each fault and regression, `::warning` for what is undecided, `::notice` for what improved.
pub fn annotations(verdict: &Verdict) -> String {
    let mut lines = String::new();
    let mut line = |kind: &str, title: &str, message: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "::{kind} title={}::{}", property(title), data(message));
    };
    for (cell, finding) in verdict.findings() {
        line("error", &format!("{}: {}", finding.fault.name(), cell.id), &finding.says);
    }
    let regressed = |metric: &MetricVerdict| {
        format!(
            "{} {}, a {} change (threshold {})",
            metric.metric.title(),
            metric.show_change(),
            metric.magnitude.name(),
            metric.show_threshold()
        )
    };
    let undecided =
        |metric: &MetricVerdict| format!("{} {}: {}", metric.metric.title(), metric.show_change(), explained(metric));
    let improved = |metric: &MetricVerdict| format!("{} {}", metric.metric.title(), metric.show_change());
    for (cell, words) in by_cell(verdict, MetricVerdict::fails, regressed) {
        line("error", &format!("regressed: {}", cell.id), &words);
    }
    for (cell, words) in by_cell(verdict, MetricVerdict::undecided, undecided) {
        line("warning", &format!("inconclusive: {}", cell.id), &words);
    }
    for (cell, words) in by_cell(verdict, |metric| metric.improved, improved) {
        line("notice", &format!("improved: {}", cell.id), &words);
    }
    let kind = match verdict.outcome {
        Outcome::Ok => "notice",
        Outcome::Inconclusive => "warning",
        Outcome::Regressed => "error",
    };
    line(kind, "ditbench", &headline(verdict));
    lines.replace('\u{a0}', " ")
}

/// What to append to the file that `GITHUB_STEP_SUMMARY` names; `whole` says where everything is, should it not fit.
pub fn summary(verdict: &Verdict, whole: &str) -> String {
    markdown::of_verdict(verdict, markdown::Room::Summary, whole)
}

/// Cells that have numbers of a kind, with what there is to say of them.
fn by_cell(
    verdict: &Verdict,
    wanted: impl Fn(&MetricVerdict) -> bool,
    says: impl Fn(&MetricVerdict) -> String,
) -> Vec<(&CellVerdict, String)> {
    let of = |cell: &CellVerdict| {
        cell.metrics.iter().filter(|metric| wanted(metric)).map(&says).collect::<Vec<_>>().join("; ")
    };
    verdict.cells.iter().map(|cell| (cell, of(cell))).filter(|(_, words)| !words.is_empty()).collect()
}

fn data(text: &str) -> String {
    let escaped = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    inert(&escaped).into_owned()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
