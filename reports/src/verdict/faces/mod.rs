//! The faces of a verdict: text, Markdown, GitHub, JUnit, HTML, JSON. Each is made from the one object and from nothing else.

pub mod github;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod text;

use super::{Basis, CellState, CellVerdict, Enforce, Metric, MetricVerdict, Outcome, Verdict};

/// As JSON.
pub fn json(verdict: &Verdict) -> String {
    // Strings and numbers only; a number that is not finite becomes null, which reads back as missing.
    serde_json::to_string_pretty(verdict).unwrap_or_default() + "\n"
}

/// The answer in a sentence.
pub fn headline(verdict: &Verdict) -> String {
    let count = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let compared = verdict.cells.iter().filter(|cell| cell.state == CellState::Compared).count();
    let mut parts = Vec::new();
    let (findings, regressed) = (verdict.findings().count(), verdict.regressions().count());
    let (undecided, improved) = (verdict.undecided().count(), verdict.improvements().count());
    if findings > 0 {
        parts.push(count(findings, "fault", "faults"));
    }
    if regressed > 0 {
        parts.push(format!("{} worse than allowed", count(regressed, "number", "numbers")));
    }
    if undecided > 0 {
        parts.push(format!("{} undecided", count(undecided, "number", "numbers")));
    }
    let left_out = verdict.cells.iter().filter(|cell| cell.state == CellState::LeftOut).count();
    if left_out > 0 {
        parts.push(format!("{} not measured on one side", count(left_out, "cell", "cells")));
    }
    if improved > 0 {
        parts.push(format!("{} improved", count(improved, "number", "numbers")));
    }
    let word = match verdict.outcome {
        Outcome::Ok => "OK",
        Outcome::Inconclusive => "INCONCLUSIVE",
        Outcome::Regressed => "REGRESSED",
    };
    let what = if parts.is_empty() { "nothing is worse than allowed".to_owned() } else { parts.join(", ") };
    format!("{word}: {what}; {} compared.", count(compared, "cell", "cells"))
}

/// Which builds were compared, in a line.
pub(super) fn sides(verdict: &Verdict) -> String {
    let side = |info: &super::SideInfo| {
        let runs: Vec<&str> = info.runs.iter().map(|run| run.id.as_str()).collect();
        format!("{} ({})", info.label, runs.join(", "))
    };
    format!("base {}, head {}", side(&verdict.base), side(&verdict.head))
}

/// Numbers that deserve a line of their own: the strict ones that launches or counts decide, the time of an image where counts decided in
/// its place, and whatever fails or is undecided. Single denoiser steps only where the steps together do not say the same.
pub(super) fn notable(cell: &CellVerdict) -> Vec<&MetricVerdict> {
    let steps = cell.metric(Metric::DENOISER_STEP).is_some_and(MetricVerdict::fails);
    let wanted = |metric: &&MetricVerdict| {
        let decided_by_launches = metric.enforce == Enforce::Strict && metric.basis != Basis::Value;
        let beside_counts =
            cell.metric(Metric::COUNTED).is_some() && [Metric::IMAGE, Metric::COUNTED].contains(&metric.metric);
        let told = metric.metric.of_step().is_some() && steps;
        (decided_by_launches || beside_counts || metric.fails() || metric.undecided()) && !told
    };
    cell.metrics.iter().filter(wanted).collect()
}

/// What became of a cell, in a word or two.
pub(super) fn state(cell: &CellVerdict) -> &'static str {
    match (cell.state, cell.outcome) {
        (CellState::Broken, _) => "broken",
        (_, Some(Outcome::Regressed)) => "regressed",
        (CellState::New, _) => "new",
        (CellState::Fixed, _) => "works now",
        (CellState::FailedOnBoth, _) => "failed on both sides",
        (CellState::LeftOut, _) => "not measured on one side",
        (CellState::Compared, outcome) => outcome.map_or("not judged", Outcome::name),
    }
}

/// What the samples could see, and how many would be enough: `would detect +3.1 % or worse; about 24 launches on each side would be enough`.
fn sight(metric: &MetricVerdict) -> String {
    let sees = metric
        .detectable
        .filter(|_| metric.outcome != Outcome::Regressed)
        .map(|change| format!("would detect {} or worse", metric.metric.show_change(change)));
    let enough = metric
        .enough
        .filter(|_| metric.outcome == Outcome::Inconclusive)
        .map(|launches| format!("about {launches} launches on each side would be enough"));
    [sees, enough].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Why, and what the samples could see, in a sentence.
pub(super) fn explained(metric: &MetricVerdict) -> String {
    let sight = sight(metric);
    if sight.is_empty() { metric.why.clone() } else { format!("{} ({sight})", metric.why) }
}

/// A q-value with three decimals, which say all that a threshold of some percent asks; or a dash.
pub(super) fn q(metric: &MetricVerdict) -> String {
    match metric.q {
        None => "–".to_owned(),
        Some(q) if q < 0.001 => "< 0.001".to_owned(),
        Some(q) => format!("{q:.3}"),
    }
}

/// A number or a dash.
pub(super) fn value(metric: &MetricVerdict, value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| metric.metric.show(value))
}

/// How to read it, in a paragraph.
pub(super) fn method(verdict: &Verdict) -> String {
    let method = &verdict.method;
    let design = match method.design {
        super::Design::Independent => "independent launches: Mann-Whitney U",
        super::Design::Paired => "paired launches (A B B A): Wilcoxon signed rank",
    };
    let noise = method
        .noise_from
        .as_ref()
        .map(|from| format!(" Thresholds are at least three times the noise of {from}."))
        .unwrap_or_default();
    let trimmed = |share: f64| {
        let digits = format!("{:.4}", 100.0 * share);
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let (confidence, level, tests) = (trimmed(1.0 - method.level), trimmed(method.level), method.tests);
    let power = trimmed(method.power);
    let counts = |cell: &CellVerdict| cell.metric(Metric::COUNTED).is_some();
    let counted = if verdict.cells.iter().any(counts) {
        " Counted numbers are of one image in a simulator and are judged by their value: where the time of an image is decided, that decides; \
         else they do."
    } else {
        ""
    };
    format!(
        "Changes are Hodges-Lehmann shifts with {confidence} % intervals; {design}; q by Benjamini-Hochberg over \
         {tests} tests. Regressed: the whole interval is above the threshold and q is at most {level} %. Ok: the whole \
         interval is below it. The changes that launches could detect are detected with a probability of {power} \
         %.{noise}{counted}"
    )
}
