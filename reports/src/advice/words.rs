//! The conclusion in sentences that somebody understands who has never seen a benchmark.
//!
//! Contract: made from the decision and from nothing else; what ships, why, and what the next best costs.

use super::choose::{Choice, Cost, Order, Outcome, Relax, Rival, Weighed};
use super::fleet::{Fleet, Shipped};
use super::known::{Holds, Standing};
use super::question::{Question, Side};
use crate::metric::{Better, Metric};
use crate::text;

/// What is best in a number, as the end of a sentence: `the fastest`.
fn superlative(metric: Metric) -> String {
    if metric == Metric::IMAGE {
        "the fastest".to_owned()
    } else if metric == Metric::PEAK {
        "the smallest in memory".to_owned()
    } else if metric == Metric::ENERGY {
        "the one that takes the least energy".to_owned()
    } else if metric.of_the_reference().is_some() {
        format!("the nearest to the reference ({})", metric.title())
    } else {
        let end = match metric.better() {
            Better::Lower => "the lowest",
            Better::Higher => "the highest",
        };
        format!("the one with {end} {}", metric.title())
    }
}

/// A value with what it is: `412 ms an image`, `655 MiB of memory`, `SSIMULACRA2 84.1`.
pub(super) fn said(metric: Metric, value: f64) -> String {
    let shown = metric.show(value);
    if metric == Metric::IMAGE || metric == Metric::ENERGY {
        format!("{shown} an image")
    } else if metric == Metric::PEAK {
        format!("{shown} of memory")
    } else {
        format!("{} {shown}", metric.title())
    }
}

/// All numbers of a configuration that are known; the objective's with its interval.
fn all(question: &Question, configuration: &Weighed) -> String {
    let one = |number: &super::choose::Number| {
        let value = number.value.filter(|value| !value.is_nan())?;
        let ends = number.interval.filter(|ends| ends.low < ends.high && number.metric == question.objective);
        let ends = ends.map(|ends| {
            format!(" ({} to {} with 95\u{a0}%)", number.metric.show(ends.low), number.metric.show(ends.high))
        });
        Some(format!("{}{}", said(number.metric, value), ends.unwrap_or_default()))
    };
    text::list(&configuration.numbers.iter().filter_map(one).collect::<Vec<_>>())
}

/// What taking another configuration means.
fn costs(rival: &Rival) -> String {
    let one = |cost: &Cost| {
        let change = match cost.change.is_finite() {
            true => cost.metric.show_change(cost.change),
            false => format!("instead of {}", cost.metric.show(cost.from)),
        };
        format!("{} ({change})", said(cost.metric, cost.to))
    };
    match rival.costs.as_slice() {
        [] => "the same in every number".to_owned(),
        costs => text::list(&costs.iter().map(one).collect::<Vec<_>>()),
    }
}

fn launches(count: usize) -> String {
    if count == 1 { "1 more launch".to_owned() } else { format!("{count} more launches") }
}

/// What would settle a configuration.
fn settles(configuration: &Weighed) -> String {
    match configuration.more {
        Some(more) => format!("{} of it would settle it", launches(more)),
        None => "more launches would not settle it".to_owned(),
    }
}

/// `steady image at most 2.00 s: 3 of the 6 launches that an interval takes`.
fn open(standing: &Standing) -> String {
    let why = standing.why.as_deref().unwrap_or("too little is known");
    format!("{}: {why}", standing.bound.words())
}

/// The conclusion for one device: what to ship, why, and the next best; what is not sure; or what to give up.
pub fn of_device(question: &Question, choice: &Choice) -> Vec<String> {
    let Some(best) = &choice.best else { return without(question, choice) };
    match choice.outcome {
        Outcome::Met if question.bounds.is_empty() => free(question, choice, best),
        Outcome::Met => bounded(question, choice, best),
        Outcome::NotSure => unsure(question, choice, best),
        Outcome::NotMet => missed(question, choice, best),
    }
}

/// Nothing could be weighed.
fn without(question: &Question, choice: &Choice) -> Vec<String> {
    let again: Vec<String> =
        choice.excluded.iter().filter(|excluded| excluded.curable).map(|excluded| excluded.label.clone()).collect();
    let says = match question.bounds.is_empty() {
        true => "No configuration has a result that can be advised.".to_owned(),
        false => format!("No configuration has a result that can be advised under {}.", question.words()),
    };
    let again = (!again.is_empty())
        .then(|| format!("Measuring again may change that for {}; the reasons are below.", text::list(&again)));
    [says].into_iter().chain(again).collect()
}

/// No bounds: what is best in each of the usual numbers, and what it costs.
fn free(question: &Question, choice: &Choice, best: &Weighed) -> Vec<String> {
    let mut told: Vec<(&Weighed, Vec<String>, Option<&Rival>)> =
        vec![(best, vec![superlative(question.objective)], None)];
    for extreme in &choice.extremes {
        let (other, what) = (&extreme.rival.configuration, superlative(extreme.metric));
        match told.iter_mut().find(|(known, ..)| known.cell == other.cell) {
            Some((_, whats, _)) if !whats.contains(&what) => whats.push(what),
            Some(_) => {}
            None => told.push((other, vec![what], Some(&extreme.rival))),
        }
    }
    if choice.weighed.len() == 1 {
        return vec![format!("{} is the only one with a sound result: {}.", best.label, all(question, best))];
    }
    let one = |(configuration, whats, rival): &(&Weighed, Vec<String>, Option<&Rival>)| {
        let is = format!("{} is {}", configuration.label, text::list(whats));
        match rival {
            None => format!("{is}: {}.{}", all(question, configuration), doubt(question, choice)),
            Some(rival) => format!("{is}; taking it instead means {}.", costs(rival)),
        }
    };
    told.iter().map(one).collect()
}

/// That the next best may be as good, if it may.
fn doubt(question: &Question, choice: &Choice) -> String {
    let Some(next) = &choice.runner_up else { return String::new() };
    let (label, objective) = (&next.configuration.label, question.objective);
    let value = next.configuration.value(objective).map(|value| format!(", at {},", objective.show(value)));
    let value = value.unwrap_or_default();
    match next.order {
        Order::Sure => String::new(),
        Order::Meets => format!(" {label}{value} may be as good: their intervals meet."),
        Order::TooFew => format!(" {label}{value} is next, with too few launches to be sure of the order."),
    }
}

fn bounded(question: &Question, choice: &Choice, best: &Weighed) -> Vec<String> {
    let ship = format!("Ship {}: {}.", best.label, all(question, best));
    let fit = choice.weighed.len() + choice.excluded.len();
    let reason = if choice.keep == 1 {
        format!("It is the only one of {fit} that keeps {} with 95\u{a0}%.", question.words())
    } else {
        let best = superlative(question.objective);
        format!("Of the {} of {fit} that keep {} with 95\u{a0}%, it is {best}.", choice.keep, question.words())
    };
    let next = choice.runner_up.as_ref().map(|next| {
        let doubt = match next.order {
            Order::Sure => "",
            Order::Meets => " Which of the two is better is not sure: their intervals meet.",
            Order::TooFew => " Which of the two is better is not sure: there are too few launches.",
        };
        format!("Next is {}; taking it instead means {}.{doubt}", next.configuration.label, costs(next))
    });
    let maybe = choice.may_be_better.first().map(|other| {
        let value = other.value(question.objective).map(|value| said(question.objective, value));
        let open: Vec<String> = other.open().into_iter().map(open).collect();
        format!(
            "{} may be better ({}), but is not sure ({}): {}.",
            other.label,
            value.unwrap_or_default(),
            open.join("; "),
            settles(other)
        )
    });
    [ship, reason].into_iter().chain(next).chain(maybe).collect()
}

fn unsure(question: &Question, choice: &Choice, best: &Weighed) -> Vec<String> {
    // What misses a bound is no promise; only what was spoiled is left, then.
    if best.standings.iter().any(|standing| standing.holds == Holds::No) {
        let mut says = without(question, choice);
        says[0] = format!("No sound measurement keeps {}.", question.words());
        says.push(format!("The nearest is {}: {}.", best.label, beyond(best)));
        return says;
    }
    let looks = if best.standings.iter().all(|standing| standing.value.is_none_or(|v| standing.bound.keeps(v))) {
        "looks best"
    } else {
        "is the nearest"
    };
    let numbers = all(question, best);
    let first = format!("Not sure yet: {} {looks}{}.", best.label, prefixed(": ", &numbers));
    let mut open: Vec<String> = best.open().into_iter().map(open).collect();
    if best.value(question.objective).is_none() {
        open.push(format!("{} is unknown", question.objective.title()));
    }
    let open = format!("Still open: {}.", open.join("; "));
    let more = format!("{}.", text::uppercase_first(&settles(best)));
    let others = choice.weighed.iter().skip(1).filter(|other| other.missed().is_empty()).count();
    let others = match others {
        0 => None,
        1 => Some("1 other is not sure either.".to_owned()),
        others => Some(format!("{others} others are not sure either.")),
    };
    [first, open, more].into_iter().chain(others).collect()
}

fn prefixed(before: &str, words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("{before}{words}") }
}

/// By how much a configuration misses what it misses.
fn beyond(configuration: &Weighed) -> String {
    let one = |standing: &&Standing| {
        let value = standing.value?;
        let metric = standing.bound.metric;
        let (limit, by) = (metric.show(standing.bound.limit), text::percent(standing.bound.excess(value)));
        let (beyond, allowed) = match standing.bound.side {
            Side::Max => ("beyond", "allowed"),
            Side::Min => ("short of", "wanted"),
        };
        Some(format!("{}, {by} {beyond} the {limit} {allowed}", said(metric, value)))
    };
    text::list(&configuration.missed().iter().filter_map(one).collect::<Vec<_>>())
}

fn missed(question: &Question, choice: &Choice, best: &Weighed) -> Vec<String> {
    let first = format!("Nothing keeps {}.", question.words());
    let nearest = format!("The nearest is {}: {}.", best.label, beyond(best));
    let way = |relax: &Relax| {
        let metric = relax.bound.metric;
        format!(
            "{} from {} to {} (by {})",
            metric.title(),
            metric.show(relax.bound.limit),
            metric.show(outward(relax)),
            text::percent(relax.by)
        )
    };
    let lets = choice.relax.first().map(|relax| relax.lets.clone());
    let relax = lets.map(|lets| {
        let ways: Vec<String> = choice.relax.iter().map(way).collect();
        format!("The smallest change that helps: relax {}. Then {lets} misses none of the bounds.", text::list(&ways))
    });
    [first, nearest].into_iter().chain(relax).collect()
}

/// A limit that still does when it is written with three digits.
fn outward(relax: &Relax) -> f64 {
    let margin = 0.005 * relax.to.abs();
    match relax.bound.side {
        Side::Max => relax.to + margin,
        Side::Min => relax.to - margin,
    }
}

/// The conclusion for all machines.
pub fn of_fleet(question: &Question, fleet: &Fleet) -> Vec<String> {
    let count = fleet.machines;
    let absent = (!fleet.absent.is_empty()).then(|| format!("{} gave no record.", text::list(&fleet.absent)));
    let Some(best) = &fleet.best else {
        let says = format!("No configuration can be advised on any of the {count} machines.");
        return [says].into_iter().chain(absent).collect();
    };
    let worst = |shipped: &Shipped| {
        let value = shipped.worst.value.map(|value| said(question.objective, value));
        format!("{}, on {}", value.unwrap_or_else(|| "not known".to_owned()), shipped.worst.machine)
    };
    let mut says = Vec::new();
    match fleet.outcome {
        Outcome::Met => {
            says.push(format!(
                "For all {count} machines, ship {}: its worst case is {}, the best among those that keep every bound everywhere.",
                best.label,
                worst(best)
            ));
            if let Some(next) = &fleet.runner_up {
                says.push(format!("Next is {}, at worst {}.", next.label, worst(next)));
            }
        }
        Outcome::NotSure => {
            says.push(format!("For all {count} machines: not sure yet; {} looks best.", best.label));
            if !best.unsure.is_empty() {
                says.push(format!("It is not sure on {}.", text::list(&best.unsure)));
            }
            if !best.unmeasured.is_empty() {
                says.push(format!("It has no sound measurement on {}: measure it there.", text::list(&best.unmeasured)));
            }
        }
        Outcome::NotMet => says.push(format!(
            "No configuration keeps every bound on all {count} machines. {} comes nearest; on {} it misses a bound or failed.",
            best.label,
            text::list(&best.lacks)
        )),
    }
    says.extend(absent);
    says
}
