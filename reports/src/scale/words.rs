//! What curves say, in sentences. Numbers that were not measured are called predicted, wherever they stand.

use super::axis::Axis;
use super::law::{Check, FEWEST, HeldOut, Law, Predicted, Reach};
use super::series::{Curve, Growth, Series, Work};
use crate::record::disturbed::several;
use crate::stats::Interval;
use crate::text::{percent, seconds};

/// Exponents of counts that differ by less over an axis are told as one.
const BENT: f64 = 0.05;
/// Kinds of work with a smaller share at both ends are not told.
const SMALL: f64 = 0.005;

/// `1.21 [1.10, 1.32]`; what stands in its place.
pub fn exponent(law: Option<&Law>) -> String {
    let Some(law) = law else { return "-".to_owned() };
    match law.interval {
        Some(Interval { low, high }) => format!("{} [{}, {}]", two(law.exponent), two(low), two(high)),
        None => format!("{} (2 points)", two(law.exponent)),
    }
}

/// Two decimals, and no minus before nothing.
fn two(value: f64) -> String {
    let text = format!("{value:.2}");
    if text == "-0.00" { "0.00".to_owned() } else { text }
}

/// `1.18`; `1.18 (1.02 to 1.35)` where it is not the same at both ends.
pub fn growth(growth: Growth) -> String {
    let Growth { exponent, first, last } = growth;
    if (last - first).abs() < BENT {
        return two(exponent);
    }
    format!("{} ({} to {})", two(exponent), two(first), two(last))
}

fn time(value: f64, interval: Option<Interval>) -> String {
    let ends = interval.map(|ends| format!(" [{}, {}]", seconds(ends.low), seconds(ends.high)));
    format!("{}{}", seconds(value), ends.unwrap_or_default())
}

/// The sentences of a series, the most important first.
pub(super) fn of_series(series: &Series) -> Vec<String> {
    let mut says = Vec::new();
    let unit = series.axis.counts();
    if series.axis != Axis::Threads {
        says.extend(series.curves.first().and_then(|curve| against_operations(curve, unit)));
        let curves: Vec<&Curve> = series.curves.iter().filter(|curve| curve.grows()).collect();
        says.extend(held_out(&curves));
    }
    if let Some(threads) = &series.threads {
        says.push(match &threads.serial {
            crate::record::Reading::Ok(serial) => {
                let points = if serial.points > 2 {
                    format!("{} points, the farthest {} off", serial.points, percent(serial.off))
                } else {
                    "2 points, so nothing checks it".to_owned()
                };
                format!(
                    "By Amdahl's law {} of the time of one thread is not shared by more ({points}).",
                    percent(serial.share)
                )
            }
            reading => format!("No serial share by Amdahl's law: {}.", reading.why().unwrap_or_default()),
        });
    }
    says.extend(work(&series.work, unit));
    for curve in series.curves.iter().filter(|curve| curve.grows()) {
        says.extend(curve.predicted.iter().map(|predicted| prediction(curve, predicted)));
    }
    says
}

/// Whether time grows as operations do.
fn against_operations(curve: &Curve, unit: &str) -> Option<String> {
    let (law, counted) = (curve.law.value()?, curve.operations?);
    let Interval { low, high } = law.interval?;
    let both = format!("time grows as {unit}^{}, operations as ^{}", exponent(Some(law)), growth(counted));
    Some(if low > counted.exponent {
        format!("The {}'s {both}: each operation takes longer where there are more.", curve.of)
    } else if high < counted.exponent {
        format!("The {}'s {both}: each operation takes less time where there are more.", curve.of)
    } else {
        format!("The {}'s {both}: no difference can be told.", curve.of)
    })
}

/// What came of holding points out: the largest of each curve, and how many of the others.
fn held_out(curves: &[&Curve]) -> Vec<String> {
    let mut says = Vec::new();
    let largest: Vec<(&Curve, &HeldOut)> =
        curves.iter().filter_map(|curve| Some((*curve, curve.held_out.last()?))).collect();
    let Some((_, first)) = largest.first() else {
        return vec![format!(
            "The law is unchecked: it takes 3 points to hold one out, and {} for an interval.",
            FEWEST + 1
        )];
    };
    let of = |(curve, held): &(&Curve, &HeldOut)| {
        let verdict = match held.check {
            Check::Held => "within",
            Check::Missed => "OUTSIDE",
            Check::Vague => "within an interval that is too wide to check it",
            Check::Unknown => "no interval of so few points",
        };
        format!(
            "{} predicted {}, measured {} ({}: {verdict})",
            curve.of,
            time(held.predicted, held.interval),
            seconds(held.measured),
            off(held)
        )
    };
    let told: Vec<String> = largest.iter().map(of).collect();
    says.push(format!("Held out, {}: {}.", first.at.words(), told.join("; ")));
    let inner: Vec<&HeldOut> =
        curves.iter().flat_map(|curve| &curve.held_out[..curve.held_out.len().saturating_sub(1)]).collect();
    let count = |check: Check| inner.iter().filter(|held| held.check == check).count();
    let (kept, missed, vague) = (count(Check::Held), count(Check::Missed), count(Check::Vague));
    let judged = (kept + missed > 0).then(|| format!("{kept} of {} lie in their intervals", kept + missed));
    let wide = (vague > 0).then(|| format!("{} too wide to check", is_or_are(vague, "interval")));
    if judged.is_some() || wide.is_some() {
        let farthest = inner.iter().map(|held| held.off().abs()).fold(0.0, f64::max);
        let told = judged.into_iter().chain(wide).collect::<Vec<_>>().join("; ");
        says.push(format!("Each other point held out in turn: {told}; the farthest is {} off.", percent(farthest)));
    }
    let missed: Vec<String> =
        curves.iter().filter(|curve| curve.check == Check::Missed).map(|curve| curve.of.clone()).collect();
    if !missed.is_empty() {
        says.push(format!(
            "One power law does not hold to the end for: {}. Its exponent is an average over a bend.",
            missed.join(", ")
        ));
    }
    says
}

/// What the graphs' counts grow as, a sentence for each stage.
fn work(all: &[Work], unit: &str) -> Vec<String> {
    let mut stages: Vec<&str> = Vec::new();
    for work in all {
        if !stages.contains(&work.stage.as_str()) {
            stages.push(&work.stage);
        }
    }
    let of = |stage: &&str| {
        let own = all.iter().filter(|work| work.stage == **stage);
        let mut own: Vec<&Work> = own.filter(|work| work.share_first.max(work.share_last) >= SMALL).collect();
        own.retain(|_| all.iter().any(|work| work.stage == **stage && !work.growth.is_flat()));
        own.sort_by(|a, b| b.growth.exponent.total_cmp(&a.growth.exponent));
        let one = |work: &&Work| {
            let (first, last) = (percent(work.share_first), percent(work.share_last));
            let share = if first == last { first } else { format!("{first} to {last}") };
            format!("{} {} ({share})", work.work, growth(work.growth))
        };
        let stage = stage.replace('_', " ");
        let told = own.iter().map(one).collect::<Vec<_>>().join(", ");
        (!own.is_empty()).then(|| format!("Operations of the {stage} by exponent of {unit} (share of all): {told}."))
    };
    stages.iter().filter_map(of).collect()
}

/// A prediction, never without what came of the check.
fn prediction(curve: &Curve, predicted: &Predicted) -> String {
    let interval = match predicted.interval {
        Some(_) => time(predicted.predicted, predicted.interval),
        None => format!("{}, without an interval", time(predicted.predicted, None)),
    };
    let reach = match predicted.reach {
        Reach::Within => "within what was measured".to_owned(),
        Reach::Above(times) => format!("{times:.1} times the largest measured"),
        Reach::Below(times) => format!("the smallest measured is {times:.1} times as large"),
    };
    let trust = match curve.held_out.last() {
        None => format!("unchecked: {} are too few to hold one out", several(curve.points.len(), "point")),
        Some(held) => {
            let (at, off) = (held.at.words(), off(held));
            match held.check {
                Check::Held => format!("the same law predicted {at} within its interval: measured {off}"),
                Check::Missed => format!("do not rely on it: the same law missed {at}: measured {off}"),
                Check::Vague => {
                    format!("unchecked: the same law's interval for {at} is too wide to tell (measured {off})")
                }
                Check::Unknown => {
                    let points = several(curve.points.len(), "point");
                    format!("unchecked: {points} are too few for an interval (of {at}, measured {off})")
                }
            }
        }
    };
    format!("PREDICTED, not measured: {}, {}: {interval}, {reach}; {trust}.", predicted.at.words(), curve.of)
}

/// `1 interval is`, `9 intervals are`.
fn is_or_are(count: usize, what: &str) -> String {
    format!("{} {}", several(count, what), if count == 1 { "is" } else { "are" })
}

/// How far the measured value is off what was foretold: `12 % more`.
fn off(held: &HeldOut) -> String {
    format!("{} {}", percent(held.off().abs()), if held.off() < 0.0 { "less" } else { "more" })
}
