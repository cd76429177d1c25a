//! Counted instructions beside time: which of them judges a cell, what moved, and what no count can see.
//!
//! Contract: time is the judge wherever it is sure. Where it is not, or was not measured, instructions that were counted one by one
//! decide in its place. Those of the processor's own counters can only raise an alarm, and only where time is not sure.

use crate::metric::{Enforce, Metric};
use crate::record::{Cell, Counted, FunctionCount, Reading};
use crate::text;

use super::{MetricVerdict, Outcome};

/// Functions that a note names.
const NAMED: usize = 5;
/// The least change of a function that is named, as a share of the image.
const NOTABLE: f64 = 0.001;

/// Lets time or the counted instructions of a cell decide, every number being decided by itself.
pub(super) fn settle(metrics: &mut [MetricVerdict]) {
    let known = |metric: Metric| metrics.iter().find(|one| one.metric == metric).map(|one| (one.outcome, one.enforce));
    // Where no launch made a steady image, the first one stands for it.
    let time = known(Metric::IMAGE).or(known(Metric::FIRST_IMAGE).filter(|(_, enforce)| *enforce == Enforce::Strict));
    let counted = known(Metric::COUNTED).filter(|(_, enforce)| *enforce != Enforce::Show);
    match (time, counted) {
        (Some((Outcome::Ok | Outcome::Regressed, _)), _) => {
            for one in metrics.iter_mut().filter(|one| is_of_instructions(one.metric) && one.fails()) {
                one.enforce = Enforce::Show;
                one.why.push_str("; the time is decided, and decides");
            }
        }
        (Some((Outcome::Inconclusive, _)), Some((Outcome::Ok | Outcome::Regressed, _))) => {
            for one in metrics.iter_mut().filter(|one| is_time(one.metric) && one.undecided()) {
                one.enforce = Enforce::Show;
                one.why.push_str("; the counted instructions decide");
            }
        }
        (Some((Outcome::Inconclusive, _)) | None, _) => {}
    }
}

fn is_of_instructions(metric: Metric) -> bool {
    [Metric::COUNTED, Metric::INSTRUCTIONS].contains(&metric)
}

fn is_time(metric: Metric) -> bool {
    [Metric::IMAGE, Metric::FIRST_IMAGE].contains(&metric)
}

/// What there is to say of the counts of a cell; and whether they can be compared.
pub(super) struct Look {
    pub notes: Vec<String>,
    pub comparable: bool,
}

/// Looks at the counts of both sides, of the last record that has any.
pub(super) fn look(base: &[(usize, &Cell)], head: &[(usize, &Cell)]) -> Look {
    let of = |cells: &[(usize, &Cell)]| cells.iter().rev().find_map(|(_, cell)| cell.counted.clone());
    let (base, head) = match (of(base), of(head)) {
        (None, None) => return Look { notes: Vec::new(), comparable: false },
        (Some(Reading::Ok(base)), Some(Reading::Ok(head))) => (base, head),
        (base, head) => {
            let why = |side: &str, counted: Option<Reading<Counted>>| match counted {
                None => Some(format!("{side} was not counted")),
                Some(counted) => counted.why().map(|why| format!("{side} was not counted: {why}")),
            };
            let notes = [why("base", base), why("head", head)].into_iter().flatten().collect();
            return Look { notes, comparable: false };
        }
    };
    if (&base.by, &base.runtime) != (&head.by, &head.runtime) {
        let says = |counted: &Counted| format!("{} ({})", counted.by, counted.runtime.join(", "));
        let note = format!(
            "the counts are not compared: base's are of {}, head's of {}. Count both sides with the same `ditbench ab --count`",
            says(&base),
            says(&head)
        );
        return Look { notes: vec![note], comparable: false };
    }
    let kernels = head.runtime.iter().find(|detail| detail.contains("kernels")).map(|kernels| format!(" ({kernels})"));
    let mut notes = vec![format!(
        "counted by {} on one thread{}: it does not see what this machine's caches, memory and clocks cost, what threads wait, and \
         kernels for CPU features that the simulator lacks, such as AVX-512",
        head.by,
        kernels.unwrap_or_default()
    )];
    notes.extend(moved(&base, &head));
    Look { notes, comparable: true }
}

/// Which functions the difference is in.
fn moved(base: &Counted, head: &Counted) -> Option<String> {
    let all = base.instructions.max(1) as f64;
    let same = |a: &FunctionCount, b: &FunctionCount| (&a.stage, &a.function) == (&b.stage, &b.function);
    let count = |of: Option<&FunctionCount>| of.map_or(0.0, |of| of.instructions as f64);
    let only_in_head = head.functions.iter().filter(|one| !base.functions.iter().any(|other| same(other, one)));
    let mut changes: Vec<(&FunctionCount, f64)> = base
        .functions
        .iter()
        .map(|one| (one, count(head.functions.iter().find(|other| same(other, one))) - count(Some(one))))
        .chain(only_in_head.map(|one| (one, count(Some(one)))))
        .filter(|(_, change)| change.abs() >= NOTABLE * all)
        .collect();
    changes.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let says = |(one, change): &(&FunctionCount, f64)| {
        let place = if one.stage.is_empty() { "outside the stages" } else { &one.stage };
        let op = one.op.as_ref().map(|op| format!(" ({op})")).unwrap_or_default();
        let share = Metric::COUNTED.show_change(change / all);
        let sign = if *change < 0.0 { "−" } else { "+" };
        format!("{place}: {}{op} {sign}{} ({share} of the image)", one.function, text::count(change.abs()))
    };
    let named: Vec<String> = changes.iter().take(NAMED).map(says).collect();
    let more = match changes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    (!named.is_empty()).then(|| format!("instructions moved in {}{more}", named.join("; ")))
}
