//! The faces of a scaling analysis: text and Markdown; JSON is the analysis itself. Each is made from the one object.

pub mod markdown;
pub mod text;

use super::axis::Axis;
use super::ladder::{Ladder, PaperRatio, Rung};
use super::ratio::Ratio;
use super::series::{Curve, Series};
use super::{Scale, words};
use crate::record::disturbed::several;
use crate::stats::Interval;
use crate::text::{percent, seconds};

/// As JSON.
pub fn json(scale: &Scale) -> String {
    // Strings and finite numbers only: a law has no others.
    serde_json::to_string_pretty(scale).unwrap_or_default() + "\n"
}

/// What a series is of, in a line.
pub(crate) fn title(series: &Series) -> String {
    let by = match series.axis {
        Axis::Size => "by size (exponents are of pixels; latent tokens grow in proportion)",
        Axis::Threads => "by threads",
        Axis::Steps => "by denoiser steps",
        Axis::TextTokens => "by text tokens",
    };
    format!("{} · {}: {by}", series.workload, series.label)
}

/// The sentences of a series, and its notes.
pub(crate) fn sentences(series: &Series) -> Vec<String> {
    words::of_series(series).into_iter().chain(series.notes.iter().map(|note| format!("Note: {note}."))).collect()
}

/// A table with its head first.
pub(crate) type Rows = Vec<Vec<String>>;

/// Times along the axis, with exponents.
pub(crate) fn times(series: &Series) -> Rows {
    let mut rows = curves(&series.curves, series.axis);
    if let Some(threads) = &series.threads {
        let row = |name: &str, of: &dyn Fn(u32) -> Option<String>| {
            let cells =
                series.curves[0].points.iter().map(|point| of(point.x as u32).unwrap_or_else(|| "-".to_owned()));
            [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
        };
        let step = |n: u32| threads.steps.iter().find(|step| step.threads == n);
        let fewest = threads.steps.first().map_or(1, |step| step.threads);
        let against = format!("times as fast as {}", several(fewest, "thread"));
        rows.push(row(&against, &|n| step(n).map(|step| times_of(&step.speedup))));
        rows.push(row("share of the ideal", &|n| step(n).map(|step| percent(step.efficiency))));
    }
    rows
}

/// Parts of a pass under the profiler; nothing where no cell was profiled.
pub(crate) fn profiled(series: &Series) -> Option<Rows> {
    (!series.profiled.is_empty()).then(|| curves(&series.profiled, series.axis))
}

fn curves(curves: &[Curve], axis: Axis) -> Rows {
    let mut places: Vec<(f64, &str)> = Vec::new();
    for point in curves.iter().flat_map(|curve| &curve.points) {
        if !places.iter().any(|(x, says)| *x == point.x && *says == point.at.says) {
            places.push((point.x, &point.at.says));
        }
    }
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lawful = axis != Axis::Threads;
    let laws = ["exponent", "of operations"].map(str::to_owned);
    let laws = laws.into_iter().filter(|_| lawful);
    let head = [String::new()].into_iter().chain(places.iter().map(|(_, says)| (*says).to_owned())).chain(laws);
    let row = |curve: &Curve| {
        let at = |place: &(f64, &str)| {
            let point = curve.points.iter().find(|point| point.at.says == place.1);
            point.map_or_else(|| "-".to_owned(), |point| seconds(point.seconds))
        };
        let counted = curve.operations.map_or_else(|| "-".to_owned(), words::growth);
        let laws = [words::exponent(curve.law.value()), counted].into_iter().filter(|_| lawful);
        [curve.of.clone()].into_iter().chain(places.iter().map(at)).chain(laws).collect::<Vec<_>>()
    };
    [head.collect()].into_iter().chain(curves.iter().map(row)).collect()
}

/// `0.76 [0.74, 0.78]`.
fn times_of(ratio: &Ratio) -> String {
    let ends = ratio.interval.map(|Interval { low, high }| format!(" [{low:.2}, {high:.2}]"));
    format!("{:.2}{}", ratio.value, ends.unwrap_or_default())
}

/// The rungs of a ladder: here, then the paper.
pub(crate) fn rungs(ladder: &Ladder) -> Rows {
    let mut hardware: Vec<String> = Vec::new();
    for setting in ladder.rungs.iter().flat_map(|rung| &rung.paper).map(PaperRatio::setting) {
        if !hardware.contains(&setting) {
            hardware.push(setting);
        }
    }
    let head = ["rung", "a pass", "to the first", "against", "time", "parameters", "operations"].map(str::to_owned);
    let papers = hardware.iter().map(|hardware| format!("paper: time on {hardware}"));
    let counts = ["paper: parameters", "paper: operations"].map(str::to_owned);
    let counts = counts.into_iter().filter(|_| !hardware.is_empty());
    let plain = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let row = |rung: &Rung| {
        let of = |ratio: &Option<Ratio>| ratio.as_ref().map_or_else(|| "-".to_owned(), times_of);
        let own = [
            rung.rung.clone(),
            seconds(rung.seconds),
            of(&rung.to_first),
            rung.against.clone().unwrap_or_else(|| "-".to_owned()),
            of(&rung.time),
            plain(rung.parameters),
            plain(rung.operations),
        ];
        let on = |hardware: &String| {
            plain(rung.paper.iter().find(|paper| paper.setting() == *hardware).and_then(|p| p.time))
        };
        let first = rung.paper.first();
        let counts = [first.and_then(|paper| paper.parameters), first.and_then(|paper| paper.operations)];
        let counts = counts.map(plain).into_iter().filter(|_| !hardware.is_empty());
        own.into_iter().chain(hardware.iter().map(on)).chain(counts).collect::<Vec<_>>()
    };
    [head.into_iter().chain(papers).chain(counts).collect()].into_iter().chain(ladder.rungs.iter().map(row)).collect()
}

/// What a ladder's table says, and of what.
pub(crate) fn about(ladder: &Ladder) -> String {
    let source = ladder
        .source
        .as_ref()
        .map(|source| format!(" The paper's: {source}; other hardware, at the size given there."))
        .unwrap_or_default();
    format!("Ratios of one pass of the denoiser; below 1 is less.{source}")
}
