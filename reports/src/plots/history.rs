//! A series over its runs: a dot for each run with its interval, the level between changes, and the changes, numbered.
//!
//! Contract: runs stand at even distances in their order, since a plot by date would crowd a day's runs into one dot. The axis
//! holds all values and does not begin at zero; the caption says so.

use super::Figure;
use super::canvas::{Anchor, BADGE, Ink, PlotError, SMALL, WIDTH, draw};
use crate::history::page::SeriesPoints;
use crate::metric::{Better, Detail, Followed, Metric};
use crate::text;

const LEFT: i32 = 62;
const RIGHT: i32 = WIDTH - 10;
const TOP: i32 = 24;
const BOTTOM: i32 = 150;
const HEIGHT: i32 = 188;
/// Points from which on dots are drawn smaller.
const MANY: usize = 60;

/// The plot of a series of at least one point; `changes_sought` is whether anything looked for changes.
pub(crate) fn series(series: &SeriesPoints, changes_sought: bool) -> Result<Figure, PlotError> {
    let (metric, points) = (series.summary.key.metric, &series.points);
    let ends = points.iter().flat_map(|point| [Some(point.value), point.low, point.high]).flatten();
    let low = ends.clone().fold(f64::INFINITY, f64::min);
    let high = ends.fold(f64::NEG_INFINITY, f64::max);
    // A flat series gets an axis of ±5 %, or of anything where it is at zero.
    let room = ((high - low) * 0.08).max(high.abs() * 0.05).max(f64::MIN_POSITIVE);
    let (bottom, top) = (low - room, high + room);
    let down = |value: f64| BOTTOM - ((value - bottom) / (top - bottom) * f64::from(BOTTOM - TOP)).round() as i32;
    let last = points.len().saturating_sub(1).max(1);
    let across = |index: usize| LEFT + 6 + (index as f64 / last as f64 * f64::from(RIGHT - LEFT - 12)).round() as i32;
    let ink = Ink::backend(&series.summary.key.cell.backend);
    let radius = if points.len() > MANY { 2 } else { 3 };
    let latest = points.last().map_or(String::new(), |point| metric.show(point.value));
    let changes: Vec<String> = series.changes.iter().map(|change| change.says(series)).collect();
    let alt = format!(
        "{} over {} runs, between {} and {}, the latest {latest}. {}",
        text::uppercase_first(&metric.title()),
        points.len(),
        metric.show(low),
        metric.show(high),
        match changes.as_slice() {
            [] if changes_sought => "No level change was found.".to_owned(),
            [] => "Level changes were not searched for.".to_owned(),
            changes => format!("Changes: {}.", changes.join("; ")),
        }
    );
    let svg = draw("history", &alt, HEIGHT, |canvas| {
        for part in 0..=2 {
            let value = low + (high - low) * f64::from(part) / 2.0;
            // One line is enough for a flat series.
            if part > 0 && high - low <= 1e-9 * high.abs() {
                break;
            }
            canvas.path(vec![(LEFT, down(value)), (RIGHT, down(value))], 1, Ink::Grid, 1.0)?;
            canvas.text(&metric.show(value), (LEFT - 6, down(value)), SMALL, Anchor::End, Ink::Muted)?;
        }
        for change in &series.changes {
            let x = (across(change.at.saturating_sub(1)) + across(change.at)) / 2;
            canvas.path(vec![(x, TOP), (x, BOTTOM)], 1, Ink::Text, 0.6)?;
        }
        let line: Vec<(i32, i32)> =
            points.iter().enumerate().map(|(index, point)| (across(index), down(point.value))).collect();
        canvas.path(line.clone(), 1, ink, 0.45)?;
        for (index, point) in points.iter().enumerate() {
            if let (Some(low), Some(high)) = (point.low, point.high) {
                canvas.path(vec![(across(index), down(low)), (across(index), down(high))], 1, ink, 0.6)?;
            }
        }
        for level in series.levels() {
            let (from, to) = (across(level.from), across(level.to - 1));
            canvas.path(vec![(from - 4, down(level.median)), (to + 4, down(level.median))], 2, Ink::Front, 1.0)?;
        }
        for at in line {
            canvas.dot(at, radius, ink, 1.0)?;
        }
        for (number, change) in (1..).zip(&series.changes) {
            let x = (across(change.at.saturating_sub(1)) + across(change.at)) / 2;
            canvas.badge((x, TOP - BADGE - 4), number, ink)?;
        }
        let day = |index: usize| points.get(index).and_then(|point| point.created.get(..10)).unwrap_or_default();
        let (first, last) = (day(0), day(points.len().saturating_sub(1)));
        canvas.text(first, (LEFT, BOTTOM + 14), SMALL, Anchor::Start, Ink::Muted)?;
        if first != last {
            canvas.text(last, (RIGHT, BOTTOM + 14), SMALL, Anchor::End, Ink::Muted)?;
        }
        let runs = format!("{} {}, evenly spaced", points.len(), if points.len() == 1 { "run" } else { "runs" });
        canvas.text(&runs, ((LEFT + RIGHT) / 2, BOTTOM + 30), SMALL, Anchor::Middle, Ink::Muted)
    })?;
    let key = (1..).zip(changes).map(|(number, says)| (number, ink.class(), says)).collect();
    Ok(Figure { id: "history", title: text::uppercase_first(&metric.title()), svg, caption: caption(series), key })
}

/// The latest value, how far it can be trusted, and whether all points were measured alike.
fn caption(series: &SeriesPoints) -> String {
    let Some(latest) = series.points.last() else { return String::new() };
    let metric = series.summary.key.metric;
    let mut words = format!("Latest: {}", metric.show(latest.value));
    if let (Some(low), Some(high)) = (latest.low, latest.high) {
        words += &format!(" ({} to {})", metric.show(low), metric.show(high));
    }
    if !latest.detail.is_empty() {
        words += &format!("; {}", latest.detail);
    }
    words += match metric.better() {
        Better::Lower => "; lower is better",
        Better::Higher => "; higher is better",
    };
    words += &format!("; run {}", latest.run);
    if let Some(revision) = &latest.revision {
        let short: String = revision.chars().take(10).collect();
        words += &format!(" of {short}{}", if latest.dirty == Some(true) { " and changes" } else { "" });
    }
    words += ".";
    let mut ways: Vec<String> = Vec::new();
    for point in series.points.iter().filter(|_| may_differ(metric)) {
        if !ways.contains(&point.detail) {
            ways.push(point.detail.clone());
        }
    }
    if ways.len() > 1 {
        words += &format!(" Not all runs were measured alike: {}.", text::list(&ways));
    }
    words
}

/// Whether a point's detail says in which of several ways it was measured.
fn may_differ(metric: Metric) -> bool {
    match metric.definition().history {
        Followed::As { detail, .. } => match detail {
            Detail::Source | Detail::Reference => true,
            Detail::Nothing | Detail::Interval => false,
        },
        Followed::Not { .. } => false,
    }
}
