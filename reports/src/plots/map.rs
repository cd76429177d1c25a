//! The map of a decision: every configuration by its latency and one other number, what nothing beats, the bounds, and the one
//! that is advised.
//!
//! Contract: made from the decision alone. Left and up are better in every plot; shapes and numbers say what colours say.

use super::Figure;
use super::axis::{Axis, Even};
use super::canvas::{Anchor, BADGE, Canvas, Ink, PlotError, SMALL, WIDTH, draw, estimate, spread};
use crate::advice::choose::{Outcome, Weighed};
use crate::advice::{Bound, Choice, Holds, Question};
use crate::metric::{Better, Metric, Unit};
use crate::text;

/// The area inside the axes.
const LEFT: i32 = 62;
const RIGHT: i32 = WIDTH - 6;
const TOP: i32 = 40;
const BOTTOM: i32 = 262;
const HEIGHT: i32 = 300;
/// Where what is infinite (the PSNR of identical pictures) is put: above everything.
const INFINITE: i32 = TOP - 8;
/// Limits further away than this many times the values are not drawn: they would leave the values no room.
const FAR: f64 = 8.0;

/// An axis of whichever kind the unit asks for.
enum Scale {
    Log(Axis, Metric),
    Even(Even),
}

impl Scale {
    /// From the worst to the best end.
    fn new(metric: Metric, values: &[f64], worst: i32, best: i32) -> Option<Self> {
        let (from, to) = match metric.better() {
            Better::Lower => (best, worst),
            Better::Higher => (worst, best),
        };
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        if is_ratio(metric.unit()) && finite().all(|value| value > 0.0) {
            Axis::new(finite(), 1.12, from, to).map(|axis| Self::Log(axis, metric))
        } else {
            Even::new(finite(), from, to).map(Self::Even)
        }
    }

    fn place(&self, value: f64) -> i32 {
        match self {
            Self::Log(axis, _) => axis.place(value),
            Self::Even(axis) => axis.place(value),
        }
    }

    fn ticks(&self, ends: (f64, f64)) -> Vec<f64> {
        match self {
            Self::Log(_, metric) if metric.unit() == Unit::Bytes => {
                // Memory comes in powers of two.
                let (low, high) = (ends.0.log2().ceil() as i32, ends.1.log2().floor() as i32);
                let powers = (low - 1..=high).map(|power| 2f64.powi(power));
                // With the middles between them where there are few.
                let with = |middles: bool| {
                    let middle = |power: f64| middles.then_some(1.5 * power);
                    let all = powers.clone().flat_map(move |power| [Some(power), middle(power)].into_iter().flatten());
                    all.filter(|tick| (ends.0..=ends.1).contains(tick)).collect::<Vec<f64>>()
                };
                let ticks = [with(false), with(true)].into_iter().find(|ticks| ticks.len() >= 3);
                ticks.unwrap_or_else(|| vec![ends.0, ends.1]).into_iter().rev().take(6).collect()
            }
            Self::Log(axis, _) => axis.ticks(),
            Self::Even(axis) => axis.ticks(),
        }
    }
}

/// Whether twice as much means something. Minutes until a device is held back can be 0.
pub(super) fn is_ratio(unit: Unit) -> bool {
    match unit {
        Unit::Seconds | Unit::Bytes | Unit::Joules | Unit::Gigaflops | Unit::Relative | Unit::Events => true,
        Unit::Minutes
        | Unit::Share
        | Unit::Hits
        | Unit::Decibels
        | Unit::Similarity
        | Unit::Points
        | Unit::Thousandths
        | Unit::Count => false,
    }
}

/// A configuration on the map.
struct Point<'a> {
    configuration: &'a Weighed,
    across: f64,
    up: f64,
}

/// The maps of one device's decision: latency against each other number of the question that two configurations have.
///
/// # Errors
/// The drawing library fails: a fault of this program.
pub(crate) fn of_choice(question: &Question, choice: &Choice) -> Result<Vec<Figure>, PlotError> {
    let others = question.numbers().into_iter().filter(|metric| *metric != Metric::IMAGE);
    let mut figures = Vec::new();
    for metric in others {
        figures.extend(map(question, choice, metric)?);
    }
    Ok(figures)
}

/// Points that nothing beats in both numbers, the fastest first; of equal ones the first.
fn front<'a, 'b>(points: &'b [Point<'a>], metric: Metric) -> Vec<&'b Point<'a>> {
    let good = |point: &Point| if metric.better() == Better::Higher { -point.up } else { point.up };
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| a.across.total_cmp(&b.across).then(good(a).total_cmp(&good(b))));
    let mut front: Vec<&Point> = Vec::new();
    for point in sorted {
        if front.iter().all(|better| good(point) < good(better)) {
            front.push(point);
        }
    }
    front
}

/// How a configuration stands, as its key says it.
pub(super) fn stands(question: &Question, choice: &Choice, configuration: &Weighed) -> String {
    let is_best = choice.best.as_ref().is_some_and(|best| best.cell == configuration.cell);
    let state = || {
        if !configuration.missed().is_empty() {
            "misses a bound"
        } else if configuration.open().is_empty() {
            "keeps every bound"
        } else {
            "not sure"
        }
    };
    match (is_best, choice.outcome) {
        (true, Outcome::Met) if question.bounds.is_empty() => format!("best in {}", question.objective.title()),
        (true, Outcome::Met) => "advised".to_owned(),
        (true, Outcome::NotSure) => format!("looks best; {}", state()),
        (true, Outcome::NotMet) => format!("the nearest; {}", state()),
        (false, _) if question.bounds.is_empty() => String::new(),
        (false, _) => state().to_owned(),
    }
}

/// The bounds on a number that fit on its axis, given the values on it.
pub(super) fn drawn<'a>(question: &'a Question, metric: Metric, values: &'a [f64]) -> impl Iterator<Item = &'a Bound> {
    let ends = || values.iter().copied().filter(|value| value.is_finite() && *value > 0.0);
    let (low, high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(0.0, f64::max));
    let near = move |limit: f64| !is_ratio(metric.unit()) || (limit * FAR >= low && limit <= high * FAR);
    question.bounds.iter().filter(move |bound| bound.metric == metric && near(bound.limit))
}

fn map(question: &Question, choice: &Choice, metric: Metric) -> Result<Option<Figure>, PlotError> {
    let point = |configuration| -> Option<Point> {
        let weighed: &Weighed = configuration;
        let (across, up) = (weighed.value(Metric::IMAGE)?, weighed.value(metric)?);
        (across.is_finite() && !up.is_nan()).then_some(Point { configuration: weighed, across, up })
    };
    let points: Vec<Point> = choice.weighed.iter().filter_map(point).collect();
    if points.len() < 2 {
        return Ok(None);
    }
    let with_limits = |metric: Metric, of: fn(&Point) -> f64| {
        let mut values: Vec<f64> = points.iter().map(of).collect();
        let limits: Vec<f64> = drawn(question, metric, &values).map(|bound| bound.limit).collect();
        values.extend(limits);
        values
    };
    let (seconds, ups) = (with_limits(Metric::IMAGE, |point| point.across), with_limits(metric, |point| point.up));
    let Some(across) = Scale::new(Metric::IMAGE, &seconds, RIGHT - BADGE, LEFT + BADGE) else { return Ok(None) };
    let up = Scale::new(metric, &ups, BOTTOM - BADGE, TOP + BADGE);
    let height = |value: f64| up.as_ref().filter(|_| value.is_finite()).map_or(INFINITE, |up| up.place(value));
    let place = |point: &Point| (across.place(point.across), height(point.up));
    let front = front(&points, metric);
    let is = |configuration: &Weighed, other: Option<&Weighed>| other.is_some_and(|o| o.cell == configuration.cell);
    let (best, next) = (choice.best.as_ref(), choice.runner_up.as_ref().map(|next| &next.configuration));
    // All that a reader asks for by name; the others are dots.
    let is_named = |point: &&Point| {
        let on_front = front.iter().any(|other| other.configuration.cell == point.configuration.cell);
        on_front || is(point.configuration, best) || is(point.configuration, next)
    };
    let mut named: Vec<&Point> = points.iter().filter(is_named).collect();
    named.sort_by(|a, b| a.across.total_cmp(&b.across));
    let places: Vec<(i32, i32)> = named.iter().map(|point| place(point)).collect();
    let badges = spread(&places, ((LEFT, INFINITE - BADGE), (RIGHT, BOTTOM)));
    let keeps = |point: &Point| point.configuration.standings.iter().all(|standing| standing.holds == Holds::Yes);
    let label = |point: &Point| {
        let stands = stands(question, choice, point.configuration);
        let stands = if stands.is_empty() { stands } else { format!(": {stands}") };
        format!("{}{stands}", point.configuration.label)
    };
    let names: Vec<String> = named.iter().map(|point| label(point)).collect();
    let limits: Vec<String> = [Metric::IMAGE, metric]
        .iter()
        .flat_map(|of| question.bounds.iter().filter(move |bound| bound.metric == *of))
        .map(Bound::words)
        .collect();
    let alt = format!(
        "{} against seconds an image, {} configurations. Named from the fastest on: {}.{}",
        text::uppercase_first(&metric.title()),
        points.len(),
        names.join("; "),
        if limits.is_empty() { String::new() } else { format!(" Bounds: {}.", text::list(&limits)) }
    );
    let svg = draw("map", &alt, HEIGHT, |canvas| {
        let better = if metric.better() == Better::Lower { "less" } else { "more" };
        let words = format!("↑ {} ({better} is better)", metric.title());
        canvas.text(&words, (0, 7), SMALL, Anchor::Start, Ink::Muted)?;
        grid(canvas, (&across, &seconds), up.as_ref().map(|up| (up, ups.as_slice())), metric)?;
        if points.iter().any(|point| point.up.is_infinite()) {
            canvas.path(vec![(LEFT, INFINITE), (RIGHT, INFINITE)], 1, Ink::Grid, 1.0)?;
            canvas.text(&metric.show(f64::INFINITY), (LEFT - 6, INFINITE), SMALL, Anchor::End, Ink::Muted)?;
        }
        let words = "steady image → slower";
        canvas.text(words, (RIGHT, BOTTOM + 29), SMALL, Anchor::End, Ink::Muted)?;
        for bound in drawn(question, Metric::IMAGE, &seconds) {
            let x = across.place(bound.limit);
            if bound.is_usual() {
                canvas.rect((x, TOP), (RIGHT - x, BOTTOM - TOP), Ink::Muted, 0.12)?;
            }
            canvas.dashed((x, TOP), (x, BOTTOM), 2, Ink::Text)?;
        }
        for bound in drawn(question, metric, &ups) {
            let y = height(bound.limit);
            if bound.is_usual() {
                canvas.rect((LEFT, y), (RIGHT - LEFT, BOTTOM - y), Ink::Muted, 0.12)?;
            }
            canvas.dashed((LEFT, y), (RIGHT, y), 2, Ink::Text)?;
        }
        steps(canvas, &front.iter().map(|point| place(point)).collect::<Vec<_>>())?;
        for point in &points {
            whisker(canvas, point, &across, place(point).1)?;
        }
        for point in points.iter().filter(|point| !is_named(point)) {
            canvas.dot(place(point), 4, Ink::backend(&point.configuration.key.backend), 1.0)?;
            if !keeps(point) {
                canvas.dot(place(point), 2, Ink::Paper, 1.0)?;
            }
        }
        for (at, badge) in places.iter().zip(&badges).filter(|(at, badge)| at != badge) {
            canvas.path(vec![*at, *badge], 1, Ink::Muted, 1.0)?;
            canvas.dot(*at, 3, Ink::Text, 1.0)?;
        }
        for (number, (point, badge)) in (1..).zip(named.iter().zip(&badges)) {
            if is(point.configuration, best) {
                canvas.dot(*badge, BADGE + 5, Ink::Text, 1.0)?;
                canvas.dot(*badge, BADGE + 3, Ink::Paper, 1.0)?;
            }
            let ink = Ink::backend(&point.configuration.key.backend);
            if keeps(point) {
                canvas.badge(*badge, number, ink)?;
            } else {
                canvas.dot(*badge, BADGE, ink, 1.0)?;
                canvas.dot(*badge, BADGE - 2, Ink::Paper, 1.0)?;
                canvas.text(&number.to_string(), *badge, 10.0, Anchor::Middle, Ink::Text)?;
            }
        }
        Ok(())
    })?;
    let key = (1..)
        .zip(&named)
        .map(|(number, point)| (number, Ink::backend(&point.configuration.key.backend).class(), label(point)));
    Ok(Some(Figure {
        id: "map",
        title: format!("Latency and {}", metric.title()),
        svg,
        caption: caption(question, &limits),
        key: key.collect(),
    }))
}

fn caption(question: &Question, limits: &[String]) -> String {
    let ring =
        if question.bounds.is_empty() { "the best in the objective" } else { "the configuration of the conclusion" };
    let mut words = format!(
        "Left and up are better. The line joins what nothing beats in both; numbers are named below, dots are the others; the ring is {ring}. \
         Bars are where a time lies with 95 %."
    );
    if !question.bounds.is_empty() {
        words.push_str(" Filled marks keep every bound, hollow ones do not, or are not sure.");
    }
    if !limits.is_empty() {
        words.push_str(&format!(" Dashed: {}; what is shaded is beyond.", text::list(limits)));
    }
    words
}

fn grid(
    canvas: &Canvas,
    (across, seconds): (&Scale, &[f64]),
    up: Option<(&Scale, &[f64])>,
    metric: Metric,
) -> Result<(), PlotError> {
    let ends = |values: &[f64]| {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max))
    };
    if let Some((up, ups)) = up {
        let mut free_from = i32::MAX;
        let mut ticks = up.ticks(ends(ups));
        ticks.sort_by_key(|tick| -up.place(*tick));
        for tick in ticks {
            let y = up.place(tick);
            canvas.path(vec![(LEFT, y), (RIGHT, y)], 1, Ink::Grid, 1.0)?;
            if y <= free_from && y > INFINITE + 10 {
                canvas.text(&metric.show(tick), (LEFT - 6, y), SMALL, Anchor::End, Ink::Muted)?;
                free_from = y - 14;
            }
        }
    }
    let mut free_from = LEFT;
    let mut ticks = across.ticks(ends(seconds));
    ticks.sort_by_key(|tick| across.place(*tick));
    for tick in ticks {
        let x = across.place(tick);
        canvas.path(vec![(x, TOP), (x, BOTTOM)], 1, Ink::Grid, 1.0)?;
        let words = Metric::IMAGE.show(tick);
        let half = estimate(&words, SMALL) / 2;
        // A tick whose words would run into the last one's, or over the edge, keeps its line only.
        if x - half >= free_from && x + half <= WIDTH {
            canvas.text(&words, (x, BOTTOM + 12), SMALL, Anchor::Middle, Ink::Muted)?;
            free_from = x + half + 8;
        }
    }
    Ok(())
}

/// The front as steps: from a point to the next slower one, nothing better is to be had.
fn steps(canvas: &Canvas, front: &[(i32, i32)]) -> Result<(), PlotError> {
    let mut line: Vec<(i32, i32)> = Vec::new();
    for &(x, y) in front {
        let before = line.last().map_or(BOTTOM, |last| last.1);
        line.extend([(x, before), (x, y)]);
    }
    line.extend(line.last().map(|last| (RIGHT, last.1)));
    canvas.path(line, 2, Ink::Front, 1.0)
}

/// Where a time lies with 95 %.
fn whisker(canvas: &Canvas, point: &Point, across: &Scale, y: i32) -> Result<(), PlotError> {
    let number = point.configuration.numbers.iter().find(|number| number.metric == Metric::IMAGE);
    let Some(ends) = number.and_then(|number| number.interval).filter(|ends| ends.low < ends.high) else {
        return Ok(());
    };
    let (low, high) = (across.place(ends.low).clamp(LEFT, RIGHT), across.place(ends.high).clamp(LEFT, RIGHT));
    canvas.path(vec![(low, y), (high, y)], 2, Ink::Muted, 1.0)
}
