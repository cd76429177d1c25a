//! The verdict for GitHub Actions: annotations on standard output, and the job's summary.
//!
//! Contract: one line for each annotation, escaped as the runner wants it (`%`, line ends; in properties `:` and `,` too).
//! GitHub shows the first ten of each kind for a step, so the gravest come first and the summary holds everything.

use std::fmt::Write as _;

use super::{headline, markdown, sight};
use crate::verdict::{Outcome, Verdict};

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
    for (cell, metric) in verdict.regressions() {
        let message = format!(
            "{}: {} (threshold {}), a {} change; {}",
            metric.metric.title(),
            metric.show_change(),
            metric.metric.show_change(metric.threshold).trim_start_matches('+'),
            metric.magnitude.name(),
            metric.why
        );
        line("error", &format!("regressed: {}", cell.id), &message);
    }
    for (cell, metric) in verdict.undecided() {
        let message = format!("{}: {}; {}. {}", metric.metric.title(), metric.show_change(), metric.why, sight(metric));
        line("warning", &format!("inconclusive: {}", cell.id), message.trim());
    }
    for (cell, metric) in verdict.improvements() {
        let message = format!("{}: {}", metric.metric.title(), metric.show_change());
        line("notice", &format!("improved: {}", cell.id), &message);
    }
    let kind = match verdict.outcome {
        Outcome::Ok => "notice",
        Outcome::Inconclusive => "warning",
        Outcome::Regressed => "error",
    };
    line(kind, "ditbench", &headline(verdict));
    lines.replace('\u{a0}', " ")
}

/// What to append to the file that `GITHUB_STEP_SUMMARY` names.
pub fn summary(verdict: &Verdict) -> String {
    markdown::of_verdict(verdict)
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
