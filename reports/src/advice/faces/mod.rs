//! The faces of an advice: text and Markdown; JSON is the advice itself. Each is made from the one object and from nothing else.

pub mod markdown;
pub mod text;

use super::choose::{Choice, Outcome, Weighed};
use super::known::Holds;
use super::question::Question;
use super::{Advice, Decision};
use crate::metric::Metric;
use crate::text::lowercase_first;

/// As JSON.
pub fn json(advice: &Advice) -> String {
    // Strings and numbers only; what is not finite (the PSNR of identical pictures) becomes null.
    serde_json::to_string_pretty(advice).unwrap_or_default() + "\n"
}

/// The outcome in a word.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Met => "MET",
        Outcome::NotSure => "NOT SURE",
        Outcome::NotMet => "NOT MET",
    }
}

/// What was asked, in a line.
pub(crate) fn asked(question: &Question) -> String {
    let bounds =
        if question.bounds.is_empty() { "No bounds".to_owned() } else { format!("Under {}", question.words()) };
    format!("{bounds}; decided by {}", question.objective.title())
}

/// How a configuration stands, in a word or two.
pub(crate) fn standing(configuration: &Weighed) -> String {
    if !configuration.missed().is_empty() {
        return "misses".to_owned();
    }
    match (configuration.open().is_empty(), configuration.more) {
        (true, _) => "keeps".to_owned(),
        (false, Some(more)) => format!("not sure, +{more}"),
        (false, None) => "not sure".to_owned(),
    }
}

/// The numbers that some of these configurations have.
pub(crate) fn columns(question: &Question, choice: &Choice) -> Vec<Metric> {
    let known = |metric: &Metric| choice.weighed.iter().any(|one| one.value(*metric).is_some());
    question.numbers().into_iter().filter(known).collect()
}

/// The head of a table of configurations.
fn head(numbers: &[Metric], bounded: bool) -> Vec<String> {
    let first = ["configuration"].into_iter().chain(bounded.then_some("bounds")).map(str::to_owned);
    let heading = |metric: &Metric| match metric.of_step() {
        None => lowercase_first(metric.definition().heading),
        Some(_) => metric.title(),
    };
    first.chain(numbers.iter().map(heading)).collect()
}

/// A row of it: brackets are where a number lies with 95 %.
fn row(configuration: &Weighed, numbers: &[Metric], bounded: bool) -> Vec<String> {
    let value = |metric: &Metric| {
        let number = configuration.numbers.iter().find(|number| number.metric == *metric);
        let Some((number, value)) = number.and_then(|number| Some((number, number.value?))) else {
            return "-".to_owned();
        };
        let missed = configuration.standings.iter().any(|s| s.bound.metric == *metric && s.holds == Holds::No);
        let mark = if missed { " ✗" } else { "" };
        let ends = number.interval.filter(|ends| ends.low < ends.high);
        let ends = ends.map(|ends| format!(" [{}, {}]", metric.show(ends.low), metric.show(ends.high)));
        format!("{}{}{mark}", metric.show(value), ends.unwrap_or_default())
    };
    let first = [configuration.label.clone()].into_iter().chain(bounded.then(|| standing(configuration)));
    first.chain(numbers.iter().map(value)).collect()
}

/// What a decision is on, in a line.
fn about(decision: &Decision) -> String {
    if decision.workload.is_empty() {
        "All workloads, against each other".to_owned()
    } else {
        decision.workload.clone()
    }
}

/// What is never advised, reasons that several share once.
pub(crate) fn excluded(choice: &Choice) -> Vec<(String, Vec<String>)> {
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    for one in &choice.excluded {
        match said.iter_mut().find(|(why, _)| *why == one.why) {
            Some((_, labels)) => labels.push(one.label.clone()),
            None => said.push((one.why.clone(), vec![one.label.clone()])),
        }
    }
    said
}

/// What a reader should know of the advised configuration, and of how the decision was made.
pub(crate) fn notes<'a>(choice: &'a Choice, notes: &'a [String]) -> impl Iterator<Item = (Option<&'a str>, &'a str)> {
    let own = choice
        .best
        .iter()
        .flat_map(|best| best.caveats.iter().map(|caveat| (Some(best.label.as_str()), caveat.as_str())));
    own.chain(notes.iter().map(|note| (None, note.as_str())))
}
