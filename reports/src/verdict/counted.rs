//! Counted instructions beside time: which of them judges a cell, what moved, and what no count can see.
//!
//! Contract: time is the judge wherever it is judged and sure. Where it is not, or was not measured, instructions that were counted one
//! by one decide in its place. Those of the processor's own counters can only raise an alarm, and only where time is not sure. Where
//! counting was asked for and gave nothing to compare, the count is undecided: a number that is missing is never well.

use crate::metric::{Enforce, Metric};
use crate::record::{Cell, Counted, FunctionCount, Reading};
use crate::text;

use super::gate::Gate;
use super::{CellVerdict, MetricVerdict, Outcome};

/// Functions that a note names.
const NAMED: usize = 5;
/// The least change of a function that is named, as a share of the image.
const NOTABLE: f64 = 0.001;

/// Lets time or the counted instructions of a cell decide, every number being decided by itself.
pub(super) fn settle(metrics: &mut [MetricVerdict]) {
    let known = |metric: Metric| metrics.iter().find(|one| one.metric == metric);
    // Where no launch made a steady image, the first one stands for it.
    let time = known(Metric::IMAGE)
        .filter(|one| one.enforce != Enforce::Show)
        .or(known(Metric::FIRST_IMAGE).filter(|one| one.enforce == Enforce::Strict))
        .map(|one| one.outcome);
    let counted = known(Metric::COUNTED).filter(|one| one.enforce != Enforce::Show).map(|one| one.outcome);
    match (time, counted) {
        (Some(Outcome::Ok | Outcome::Regressed), _) => {
            let settled = |one: &&mut MetricVerdict| is_of_instructions(one.metric) && (one.fails() || one.undecided());
            for one in metrics.iter_mut().filter(settled) {
                one.enforce = Enforce::Show;
                one.why.push_str("; the time is decided, and decides");
            }
        }
        (Some(Outcome::Inconclusive), Some(Outcome::Ok | Outcome::Regressed)) => {
            for one in metrics.iter_mut().filter(|one| is_time(one.metric) && one.undecided()) {
                one.enforce = Enforce::Show;
                one.why.push_str("; the counted instructions decide");
            }
        }
        (Some(Outcome::Inconclusive) | None, _) => {}
    }
}

/// Whether counts decide a cell only as long as its time, which this gate judges, is not sure: further launches can still decide it.
pub(super) fn stand_in(cell: &CellVerdict, gate: &Gate) -> bool {
    let time = cell.metric(Metric::IMAGE).or(cell.metric(Metric::FIRST_IMAGE));
    let decided = cell.metric(Metric::COUNTED).is_some_and(|one| one.outcome != Outcome::Inconclusive);
    decided
        && time.is_some_and(|one| one.outcome == Outcome::Inconclusive)
        && gate.rule(Metric::IMAGE, &cell.id).enforce == Enforce::Strict
}

fn is_of_instructions(metric: Metric) -> bool {
    [Metric::COUNTED, Metric::INSTRUCTIONS].contains(&metric)
}

fn is_time(metric: Metric) -> bool {
    [Metric::IMAGE, Metric::FIRST_IMAGE].contains(&metric)
}

/// What there is to say of the counts of a cell; and whether there are any that can be compared.
pub(super) enum Look {
    /// Nobody asked for them.
    None,
    /// They were asked for and cannot be compared; why, in sentences.
    Incomparable(Vec<String>),
    /// They can be; what is to be known of them.
    Comparable(Vec<String>),
}

/// The record of a side whose count is compared: the last that was to have one.
pub(super) fn last<'a>(cells: &[(usize, &'a Cell)]) -> Option<(usize, &'a Cell)> {
    cells.iter().rev().find(|(_, cell)| cell.counted.is_some()).copied()
}

/// Looks at the counts of both sides.
pub(super) fn look(base: &[(usize, &Cell)], head: &[(usize, &Cell)]) -> Look {
    let of = |cells: &[(usize, &Cell)]| last(cells).and_then(|(_, cell)| cell.counted.clone());
    let (base, head) = match (of(base), of(head)) {
        (None, None) => return Look::None,
        (Some(Reading::Ok(base)), Some(Reading::Ok(head))) => (base, head),
        (base, head) => {
            let why = |side: &str, counted: Option<Reading<Counted>>| match counted {
                None => Some(format!("{side} was not counted")),
                Some(counted) => counted.why().map(|why| format!("{side} was not counted: {why}")),
            };
            let notes = [why("base", base), why("head", head)].into_iter().flatten().collect();
            return Look::Incomparable(notes);
        }
    };
    // Of another simulator, or of kernels for another processor, they are counts of something else. That the builds' own versions differ
    // is what is compared.
    let other_kernels = base.kernels.as_ref().zip(head.kernels.as_ref()).is_some_and(|(base, head)| base != head);
    if base.by != head.by || other_kernels {
        let note = format!(
            "the counts are not compared: base's are by {}, head's by {}. Count both sides with the same `ditbench ab --count`",
            base.of_what(),
            head.of_what()
        );
        return Look::Incomparable(vec![note]);
    }
    let mut notes = vec![format!(
        "counted by {} on one thread: this does not see what caches, memory and clocks of this machine cost, how long threads wait for each \
         other, or kernels for CPU features that the simulator lacks, such as AVX-512",
        head.of_what()
    )];
    if base.at_random_addresses || head.at_random_addresses {
        notes.push(
            "the counted programs had random addresses (the system did not let that be switched off), so counts vary more than usual"
                .to_owned(),
        );
    }
    notes.extend(moved(&base, &head));
    Look::Comparable(notes)
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
