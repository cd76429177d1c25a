//! Panels under each other on one axis of time, at the width of a phone and again at that of a desk's screen.
//!
//! Contract: both drawings show the same; the page shows the one that fits.

use std::collections::BTreeSet;

use super::canvas::{Anchor, Canvas, Ink, PlotError, SMALL, WIDE, WIDTH, draw_at, estimate};
use crate::text;

/// From the left edge to the plots: the longest word on an axis fits there.
const LEFT: i32 = 64;
/// From the plots to the right edge.
const RIGHT: i32 = 12;
/// The least distance of two texts above each other.
const LINE: i32 = 13;
/// Below the panels: ticks of the axis of time, and what it counts.
const FOOT: i32 = 34;

/// A panel of the figure.
pub(super) struct Panel {
    /// What it shows, with the unit.
    pub title: &'static str,
    /// How its values are written.
    pub written: fn(f64) -> String,
    /// What is drawn, the last on top.
    pub lines: Vec<Line>,
    /// Values to be told at the left, each with its name; empty: the lowest and the highest that were seen.
    pub scale: Vec<Level>,
    /// Lines across, each with its name at the right.
    pub levels: Vec<Level>,
}

impl Default for Panel {
    fn default() -> Self {
        let written = |value| text::significant(value, 3);
        Self { title: "", written, lines: Vec::new(), scale: Vec::new(), levels: Vec::new() }
    }
}

/// A value that has a name.
pub(super) struct Level {
    /// The value.
    pub at: f64,
    /// Its name.
    pub name: String,
}

/// One sensor over time.
pub(super) struct Line {
    /// For the legend; empty: not told there.
    pub label: String,
    /// Its colour.
    pub ink: Ink,
    /// Seconds since the launch began, and values.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub way: Way,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From point to point.
    Curve,
    /// As it is until the next point.
    Steps,
    /// The same, thin: what another line is held against.
    Limit,
    /// Points that are single things rather than one thing over time.
    Dots,
}

/// How much room there is.
struct Room {
    width: i32,
    /// Height of a panel's plot.
    panel: i32,
    /// Ticks of the axis of time, at most.
    ticks: usize,
}

/// Both drawings; `None` where there is nothing to draw. Shaded are the spans from when to when.
pub(super) fn draw(label: &str, panels: &[Panel], shaded: &[(f64, f64)]) -> Result<Option<String>, PlotError> {
    let points = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let end = points.map(|point| point.0).fold(0.0, f64::max);
    if !(end.is_finite() && end > 0.0) {
        return Ok(None);
    }
    let alt = alt(label, panels, end);
    let mut both = String::new();
    for (class, room) in
        [("narrow", Room { width: WIDTH, panel: 64, ticks: 4 }), ("wide", Room { width: WIDE, panel: 96, ticks: 12 })]
    {
        let height = panels.iter().map(|panel| room.height(panel)).sum::<i32>() + FOOT;
        let svg = draw_at("timeline", &alt, (room.width, height), |canvas| room.paint(canvas, panels, shaded, end))?;
        both += &format!("<div class=\"{class}\">{}</div>\n", svg.trim_end());
    }
    Ok(Some(both))
}

impl Room {
    /// Height of a panel's title and legend.
    fn head(&self, panel: &Panel) -> i32 {
        // As the legend breaks its lines.
        let (mut x, mut rows) = (0, 0);
        for line in panel.lines.iter().filter(|line| !line.label.is_empty()) {
            let width = 16 + estimate(&line.label, SMALL) + 12;
            if rows == 0 || x + width - 12 > self.width {
                rows += 1;
                x = 0;
            }
            x += width;
        }
        22 + 18 * rows
    }

    /// Height of a panel's plot: named values need room for their names.
    fn plot(&self, panel: &Panel) -> i32 {
        match panel.scale.len() as i32 {
            0 => self.panel,
            names => (LINE + 2) * (names - 1),
        }
    }

    fn height(&self, panel: &Panel) -> i32 {
        self.head(panel) + self.plot(panel) + 14
    }

    fn paint(&self, canvas: &Canvas, panels: &[Panel], shaded: &[(f64, f64)], end: f64) -> Result<(), PlotError> {
        let (left, right) = (LEFT, self.width - RIGHT);
        let across = |at: f64| left + (at / end * f64::from(right - left)).round() as i32;
        let ticks = ticks(end, self.ticks);
        let mut y = 0;
        for panel in panels {
            canvas.text(panel.title, (0, y + 8), SMALL, Anchor::Start, Ink::Text)?;
            let named = panel.lines.iter().filter(|line| !line.label.is_empty());
            let entries: Vec<(String, Ink, f64)> = named.map(|line| (line.label.clone(), line.ink, 1.0)).collect();
            if !entries.is_empty() {
                canvas.legend(y + 18, &entries)?;
            }
            let (top, height) = (y + self.head(panel), self.plot(panel));
            for tick in &ticks {
                canvas.path(vec![(across(*tick), top), (across(*tick), top + height)], 1, Ink::Grid, 0.6)?;
            }
            for &(from, to) in shaded {
                canvas.rect((across(from), top), ((across(to) - across(from)).max(2), height), Ink::Muted, 0.2)?;
            }
            let (bottom, ceiling) = panel.range();
            let share = |value: f64| (value - bottom) / (ceiling - bottom);
            let down = |value: f64| top + height - (share(value) * f64::from(height)).round() as i32;
            for (at, name) in panel.told() {
                canvas.path(vec![(left, down(at)), (right, down(at))], 1, Ink::Grid, 1.0)?;
                canvas.text(&name, (left - 5, down(at)), SMALL, Anchor::End, Ink::Muted)?;
            }
            for level in &panel.levels {
                let at = down(level.at);
                canvas.path(vec![(left, at), (right, at)], 1, Ink::Muted, 0.9)?;
                // Names that would lie over one another are left out: the nearer to the top says more.
                if !panel.levels.iter().any(|other| other.at > level.at && at - down(other.at) < LINE) {
                    canvas.text(&level.name, (right, at - 7), SMALL, Anchor::End, Ink::Muted)?;
                }
            }
            for line in &panel.lines {
                let points = line.points.iter().map(|&(at, value)| (across(at), down(value))).collect();
                line.paint(canvas, points, right)?;
            }
            y += self.height(panel);
        }
        for tick in &ticks {
            let (words, x) = (time(*tick, end), across(*tick));
            let fits = x + estimate(&words, SMALL) / 2 <= self.width;
            let (x, anchor) = if fits { (x, Anchor::Middle) } else { (self.width, Anchor::End) };
            canvas.text(&words, (x, y + 6), SMALL, anchor, Ink::Muted)?;
        }
        canvas.text("since the launch began", ((left + right) / 2, y + 22), SMALL, Anchor::Middle, Ink::Muted)
    }
}

impl Panel {
    /// The lowest and the highest value that is seen, of lines and names.
    fn seen(&self) -> (f64, f64) {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    }

    /// From where to where its axis goes. Level lines keep room, and the axis of what cannot be negative stays above zero.
    fn range(&self) -> (f64, f64) {
        let ends = |levels: &[Level], (low, high): (f64, f64)| {
            levels.iter().fold((low, high), |(low, high), level| (low.min(level.at), high.max(level.at)))
        };
        if let [first, .., last] = self.scale.as_slice() {
            return (first.at, last.at);
        }
        let (low, high) = ends(&self.levels, self.seen());
        let room = ((high - low) * 0.1).max(high.abs() * 0.04).max(f64::MIN_POSITIVE);
        // A name stands above its line.
        let above = if self.levels.is_empty() { room } else { 2.0 * room };
        (low - room, high + above)
    }

    /// What is told at the left.
    fn told(&self) -> Vec<(f64, String)> {
        if !self.scale.is_empty() {
            return self.scale.iter().map(|level| (level.at, level.name.clone())).collect();
        }
        let (low, high) = self.seen();
        let (bottom, ceiling) = self.range();
        let told = |value: f64| (value, (self.written)(value));
        // Two that nearly agree would lie over one another.
        if (high - low) / (ceiling - bottom) < 0.25 { vec![told(low)] } else { vec![told(low), told(high)] }
    }
}

impl Line {
    fn paint(&self, canvas: &Canvas, points: Vec<(i32, i32)>, right: i32) -> Result<(), PlotError> {
        let (width, alpha) = if self.way == Way::Limit { (1, 0.7) } else { (2, 1.0) };
        match self.way {
            Way::Steps | Way::Limit => canvas.path(steps(&points, right), width, self.ink, alpha),
            Way::Curve if points.len() > 1 => canvas.path(points, width, self.ink, alpha),
            // Of thousands of images many lie on the same spot.
            Way::Dots | Way::Curve => {
                let spots: BTreeSet<(i32, i32)> = points.into_iter().collect();
                spots.into_iter().try_for_each(|spot| canvas.dot(spot, 2, self.ink, 0.8))
            }
        }
    }
}

/// A line that stays where it is until the next point, the last until the end.
fn steps(points: &[(i32, i32)], right: i32) -> Vec<(i32, i32)> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    for &(x, y) in points {
        match line.last() {
            Some(&(_, before)) if before == y => {}
            Some(&(_, before)) => line.extend([(x, before), (x, y)]),
            None => line.push((x, y)),
        }
    }
    line.extend(line.last().map(|&(_, y)| (right, y)));
    line
}

/// Round seconds or minutes from 0 on, at most so many.
fn ticks(end: f64, most: usize) -> Vec<f64> {
    let round = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0];
    let steps = round.iter().map(|step| step / 1000.0 * 10.0).chain([0.5]).chain(round);
    let minutes = round.into_iter().chain([60.0, 120.0, 300.0, 600.0]).map(|minutes| 60.0 * minutes);
    let fits = |step: &f64| (end / step) as usize <= most;
    let step = steps.chain(minutes).find(fits).unwrap_or(end);
    (0..=(end / step) as usize).map(|count| count as f64 * step).collect()
}

/// A tick in words: minutes where a launch takes minutes.
fn time(tick: f64, end: f64) -> String {
    if end >= 120.0 { format!("{}\u{a0}min", text::significant(tick / 60.0, 2)) } else { text::seconds(tick) }
}

fn alt(label: &str, panels: &[Panel], end: f64) -> String {
    let ranges = panels.iter().map(|panel| {
        let (low, high) = panel.seen();
        format!("{} {} to {}", panel.title, (panel.written)(low), (panel.written)(high))
    });
    format!("{label} over {}: {}.", text::seconds(end), ranges.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(600.0, 12), [0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 420.0, 480.0, 540.0, 600.0]);
        assert_eq!(ticks(600.0, 4), [0.0, 300.0, 600.0]);
        assert_eq!((time(300.0, 600.0), time(5.0, 20.0)), ("5.0\u{a0}min".to_owned(), "5.00\u{a0}s".to_owned()));
        for end in [0.02, 0.3, 1.0, 7.3, 59.0, 130.0, 3601.0, 1e6, 1e9] {
            for most in [4, 12] {
                let ticks = ticks(end, most);
                assert!(
                    ticks.len() <= most + 1 && ticks[0] == 0.0 && ticks.iter().all(|at| *at <= end),
                    "{end}: {ticks:?}"
                );
            }
        }
    }

    #[test]
    fn a_level_holds_until_the_next() {
        assert_eq!(steps(&[(0, 5), (3, 5), (6, 1)], 10), [(0, 5), (6, 5), (6, 1), (10, 1)]);
        assert_eq!(steps(&[(4, 2)], 10), [(4, 2), (10, 2)]);
        assert_eq!(steps(&[], 10), []);
    }

    #[test]
    fn both_drawings_name_levels_and_the_wide_one_has_more_room() {
        let line =
            Line { label: String::new(), ink: Ink::Text, points: vec![(0.0, 31.0), (600.0, 40.0)], way: Way::Curve };
        let levels = [36.0, 39.0, 43.0].map(|at| Level { at, name: format!("from {at}") });
        let panel = Panel { title: "Skin", lines: vec![line], levels: levels.into(), ..Panel::default() };
        let svg = draw("x", &[panel], &[(300.0, 600.0)]).unwrap().unwrap();
        assert_eq!(svg.matches("<svg").count(), 2);
        assert!(svg.contains("viewBox=\"0 0 1180 ") && svg.contains("viewBox=\"0 0 360 "));
        let (narrow, wide) = svg.split_once("class=\"wide\"").unwrap();
        let of = |svg: &str| svg.matches(">\nfrom ").count() + svg.matches(">from ").count();
        assert!(of(narrow) >= 2 && of(wide) == 3, "{svg}");
        assert!(draw("x", &[], &[]).unwrap().is_none());
    }
}
