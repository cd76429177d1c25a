//! How fast images come minute by minute, from a cold machine to a settled one.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Ink, PlotError, SMALL, WIDTH, draw, spread};
use super::{Entry, Figure};
use crate::record::Launch;
use crate::stats::median;
use crate::text;

const LEFT: i32 = 58;
const RIGHT: i32 = WIDTH - 40;
const TOP: i32 = 24;
const BOTTOM: i32 = 240;
/// Stretches of time whose median is a point of the line.
const STRETCHES: usize = 40;

/// One launch over time.
struct Curve {
    /// Seconds since the launch began, and the median seconds of an image around then.
    points: Vec<(f64, f64)>,
    /// Median of the first tenth of its images, the very first left out.
    first: f64,
    /// Median of the last third.
    settled: f64,
}

fn curve(launch: &Launch) -> Option<Curve> {
    let images: Vec<(f64, f64)> = launch
        .samples
        .iter()
        .filter(|sample| sample.image > 0 && sample.removed.is_none())
        .filter_map(|sample| Some((sample.ended_s?, sample.total_s)))
        .collect();
    let (end, count) = (images.last()?.0, images.len());
    let of = |images: &[(f64, f64)]| median(&images.iter().map(|image| image.1).collect::<Vec<_>>());
    let stretch = end / STRETCHES as f64;
    let points = (0..STRETCHES).filter_map(|index| {
        let (from, to) = (stretch * index as f64, stretch * (index + 1) as f64);
        let inside: Vec<(f64, f64)> = images.iter().copied().filter(|(at, _)| *at > from && *at <= to).collect();
        Some(((from + to) / 2.0, of(&inside)?))
    });
    Some(Curve {
        points: points.collect(),
        first: of(&images[..count.div_ceil(10)])?,
        settled: of(&images[count - count.div_ceil(3)..])?,
    })
}

/// Seconds an image against minutes, a line for each cell's first good launch.
pub(super) fn curves(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let curves: Vec<(&Entry, Curve)> =
        entries.iter().filter_map(|entry| Some((entry, curve(entry.cell.good_launches().next()?)?))).collect();
    let longest = curves.iter().flat_map(|(_, curve)| &curve.points).map(|point| point.0).fold(0.0, f64::max);
    let values = curves.iter().flat_map(|(_, curve)| &curve.points).map(|point| point.1);
    let Some(down) = Axis::new(values, 1.15, BOTTOM, TOP) else { return Ok(None) };
    if longest <= 0.0 {
        return Ok(None);
    }
    let across = |seconds: f64| LEFT + (f64::from(RIGHT - LEFT) * seconds / longest).round() as i32;
    let lines: Vec<Vec<(i32, i32)>> = curves
        .iter()
        .map(|(_, curve)| curve.points.iter().map(|(at, seconds)| (across(*at), down.place(*seconds))).collect())
        .collect();
    let ends: Vec<(i32, i32)> =
        lines.iter().map(|line| line.last().map_or((RIGHT, TOP), |end| (end.0 + 16, end.1))).collect();
    let badges = spread(&ends, ((RIGHT - 4, TOP), (WIDTH, BOTTOM)));
    let said = |(entry, curve): &(&Entry, Curve)| {
        let change = curve.settled / curve.first - 1.0;
        let sign = if change < 0.0 { "−" } else { "+" };
        format!(
            "{}: {} at first, {} settled ({sign}{})",
            entry.row.label(),
            text::seconds(curve.first),
            text::seconds(curve.settled),
            text::percent(change.abs())
        )
    };
    let alt = format!(
        "Seconds an image over {}, {workload}. {}.",
        text::seconds(longest),
        text::list(&curves.iter().map(said).collect::<Vec<_>>())
    );
    let svg = draw("sustained", &alt, BOTTOM + 40, |canvas: &Canvas| {
        canvas.text("an image (log)", (0, 8), SMALL, Anchor::Start, Ink::Muted)?;
        for tick in down.ticks() {
            let y = down.place(tick);
            canvas.path(vec![(LEFT, y), (RIGHT, y)], 1, Ink::Grid, 1.0)?;
            canvas.text(&text::seconds(tick), (LEFT - 6, y), SMALL, Anchor::End, Ink::Muted)?;
        }
        for quarter in 0..=4 {
            let seconds = longest * f64::from(quarter) / 4.0;
            let anchor = if quarter == 4 { Anchor::End } else { Anchor::Middle };
            let words = if longest >= 120.0 { format!("{:.1}", seconds / 60.0) } else { format!("{seconds:.0}") };
            canvas.text(&words, (across(seconds), BOTTOM + 12), SMALL, anchor, Ink::Muted)?;
        }
        let unit = if longest >= 120.0 { "minutes since the launch began" } else { "seconds since the launch began" };
        canvas.text(unit, ((LEFT + RIGHT) / 2, BOTTOM + 29), SMALL, Anchor::Middle, Ink::Muted)?;
        for ((entry, _), line) in curves.iter().zip(&lines) {
            canvas.path(line.clone(), 2, Ink::backend(&entry.row.key.backend), 1.0)?;
        }
        for (number, ((entry, _), badge)) in (1..).zip(curves.iter().zip(&badges)) {
            canvas.badge(*badge, number, Ink::backend(&entry.row.key.backend))?;
        }
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "sustained",
        title: "From the first minute to the last".into(),
        svg,
        caption: "Each point is the median of the images made around then, by one process that went on without a pause. \"At first\" is \
                  the first tenth of the images, \"settled\" the last third. A line that climbs is heat, or a leak; which backend is \
                  fastest can change on the way."
            .into(),
        key: (1..).zip(&curves).map(|(n, one)| (n, Ink::backend(&one.0.row.key.backend).class(), said(one))).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Sample;

    #[test]
    fn the_first_and_the_settled_level_are_told_apart() {
        let sample =
            |image: u32, total_s, ended_s| Sample { image, total_s, ended_s: Some(ended_s), ..Sample::default() };
        let mut at = 0.0;
        let samples = (0..120)
            .map(|image| {
                let seconds = if image == 0 {
                    9.0
                } else if image < 40 {
                    1.0
                } else {
                    1.3
                };
                at += seconds;
                sample(image, seconds, at)
            })
            .collect();
        let curve = curve(&Launch { samples, ..Launch::default() }).unwrap();
        assert_eq!((curve.first, curve.settled), (1.0, 1.3));
        assert!(curve.points.len() > 30 && curve.points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn without_times_there_is_no_curve() {
        let samples = vec![Sample { image: 1, total_s: 1.0, ..Sample::default() }];
        assert!(curve(&Launch { samples, ..Launch::default() }).is_none());
    }
}
