//! How fast images come minute by minute, from a cool machine to a settled one.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Ink, PlotError, SMALL, WIDTH, draw, spread};
use super::{Entry, Figure};
use crate::metric::Metric;
use crate::record::{Launch, Run};
use crate::stats::median;
use crate::{sustained, text};

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
    /// When something first held it back, if anything did.
    cap_s: Option<f64>,
}

fn curve(run: &Run, launch: &Launch) -> Option<Curve> {
    let images: Vec<(f64, f64)> =
        sustained::images(launch).into_iter().filter_map(|sample| Some((sample.ended_s?, sample.total_s))).collect();
    let end = images.last()?.0;
    let of = |images: &[(f64, f64)]| median(&images.iter().map(|image| image.1).collect::<Vec<_>>());
    let stretch = end / STRETCHES as f64;
    let points = (0..STRETCHES).filter_map(|index| {
        let (from, to) = (stretch * index as f64, stretch * (index + 1) as f64);
        let inside: Vec<(f64, f64)> = images.iter().copied().filter(|(at, _)| *at > from && *at <= to).collect();
        Some(((from + to) / 2.0, of(&inside)?))
    });
    Some(Curve { points: points.collect(), cap_s: sustained::first_cap_s(run, launch) })
}

impl Curve {
    /// The level of the line at some moment.
    fn at(&self, moment: f64) -> Option<f64> {
        let near = |point: &&(f64, f64)| (point.0 - moment).abs();
        self.points.iter().min_by(|a, b| near(a).total_cmp(&near(b))).map(|point| point.1)
    }
}

/// Seconds an image against minutes: a line for each good launch of a sustained run's cells.
pub(super) fn curves(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let of_cell = |entry: &Entry| -> Vec<Curve> {
        entry.cell.good_launches().filter_map(|launch| curve(entry.run, launch)).collect()
    };
    let curves: Vec<(&Entry, Vec<Curve>)> = entries
        .iter()
        .filter(|entry| entry.run.is_sustained())
        .map(|entry| (entry, of_cell(entry)))
        .filter(|(_, curves)| !curves.is_empty())
        .collect();
    let points = || curves.iter().flat_map(|(_, curves)| curves).flat_map(|curve| curve.points.iter().copied());
    let longest = points().map(|point| point.0).fold(0.0, f64::max);
    let all: Vec<f64> = points().map(|point| point.1).collect();
    let Some(down) = Axis::new(all.iter().copied(), 1.15, BOTTOM, TOP) else { return Ok(None) };
    if longest <= 0.0 {
        return Ok(None);
    }
    let across = |seconds: f64| LEFT + (f64::from(RIGHT - LEFT) * seconds / longest).round() as i32;
    let place = |&(at, seconds): &(f64, f64)| (across(at), down.place(seconds));
    let end = |curves: &[Curve]| curves.first().and_then(|curve| curve.points.last()).map_or((RIGHT, TOP), place);
    let ends: Vec<(i32, i32)> = curves.iter().map(|(_, curves)| end(curves)).map(|(x, y)| (x + 16, y)).collect();
    let badges = spread(&ends, ((RIGHT - 4, TOP), (WIDTH, BOTTOM)));
    let alt = format!(
        "Seconds an image over {}, {workload}. {}.",
        text::seconds(longest),
        text::list(&curves.iter().map(|(entry, _)| said(entry)).collect::<Vec<_>>())
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
        for (entry, curves) in &curves {
            let ink = Ink::backend(&entry.row.key.backend);
            for (index, curve) in curves.iter().enumerate() {
                let (width, alpha) = if index == 0 { (2, 1.0) } else { (1, 0.7) };
                canvas.path(curve.points.iter().map(place).collect(), width, ink, alpha)?;
                if let Some((cap, level)) = curve.cap_s.and_then(|cap| Some((cap, curve.at(cap)?))) {
                    let spot = place(&(cap.min(longest), level));
                    canvas.dot(spot, 5, ink, 1.0)?;
                    canvas.dot(spot, 3, Ink::Paper, 1.0)?;
                }
            }
        }
        for (number, ((entry, _), badge)) in (1..).zip(curves.iter().zip(&badges)) {
            canvas.badge(*badge, number, Ink::backend(&entry.row.key.backend))?;
        }
        Ok(())
    })?;
    let capped = curves.iter().flat_map(|(_, curves)| curves).any(|curve| curve.cap_s.is_some());
    let ring = if capped { " A ring: the machine is held back for the first time." } else { "" };
    Ok(Some(Figure {
        id: "sustained",
        title: "From the first minute to the last".into(),
        svg,
        caption: format!(
            "Each point is the median of the images made around then, by one process that went on without a pause; a \
             cell's first launch is the thick line. \"At first\" is the first tenth of the images, \"settled\" the \
             last third, both the median of the cell's launches. A rising line means heat, or a leak; which backend is \
             fastest can change over time.{ring}"
        ),
        key: (1..)
            .zip(&curves)
            .map(|(n, one)| (n, Ink::backend(&one.0.row.key.backend).class(), said(one.0)))
            .collect(),
    }))
}

/// Both levels of a cell in words: `candle tuned · q4 · 4 threads: 73 ms at first, 256 ms settled (+251 %)`.
fn said(entry: &Entry) -> String {
    let row = entry.row;
    let (Some(first), Some(settled)) = (row.value(Metric::AT_FIRST), row.value(Metric::SETTLED)) else {
        return row.label();
    };
    format!(
        "{}: {} at first, {} settled ({})",
        row.label(),
        text::seconds(first),
        text::seconds(settled),
        Metric::SETTLED.show_change(settled / first - 1.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Sample;

    fn launch(times: impl Iterator<Item = (f64, Option<f64>)>) -> Launch {
        let sample = |(image, (total_s, ended_s))| Sample { image, total_s, ended_s, ..Sample::default() };
        Launch { samples: (0..).zip(times).map(sample).collect(), ..Launch::default() }
    }

    #[test]
    fn a_line_goes_from_the_second_image_to_the_last() {
        let seconds = (0..120).map(|image| if image == 0 { 9.0 } else { 1.0 });
        let times = seconds.scan(0.0, |at, seconds| {
            *at += seconds;
            Some((seconds, Some(*at)))
        });
        let curve = curve(&Run::default(), &launch(times)).unwrap();
        assert!(curve.points.len() > 30 && curve.points.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(curve.points.iter().all(|point| point.1 == 1.0), "the process's first image is none of it");
        assert_eq!((curve.at(60.0), curve.cap_s), (Some(1.0), None));
    }

    #[test]
    fn without_times_there_is_no_curve() {
        assert!(curve(&Run::default(), &launch([(1.0, None); 9].into_iter())).is_none());
    }
}
