//! Parallel coordinates of a decision: an upright axis for each number, a line for each configuration across all of them.
//!
//! Contract: made from the decision alone. Up is better on every axis, whichever way its number is better; what is not known of a
//! configuration is a gap in its line, and never a place on an axis. Numbers, widths and breaks say what colours say.

use super::Figure;
use super::canvas::{Anchor, BADGE, Canvas, Ink, PlotError, SMALL, WIDTH, draw, spread, wrap};
use super::map::{drawn, is_ratio, stands};
use crate::advice::choose::Weighed;
use crate::advice::{Choice, Holds, Question};
use crate::metric::{Better, Metric};
use crate::text;

/// Fewer numbers than this are the map's.
const FEWEST: usize = 3;
/// More axes than this would run into each other on a phone.
const MOST: usize = 6;
/// More lines than this cannot be followed by name.
const NAMED: usize = 6;
/// Half of the widest title stands on either side of an axis.
const LEFT: i32 = 44;
const RIGHT: i32 = WIDTH - LEFT;
/// The best end of every axis, and the worst.
const TOP: i32 = 66;
const BOTTOM: i32 = 262;
const HEIGHT: i32 = 284;
/// What is infinite (the PSNR of identical pictures) stands at the top, apart from what is not.
const APART: i32 = 22;
/// A title's line.
const LINE: i32 = 13;
/// Half of a bound across its axis.
const WING: i32 = 13;

/// One number, upright.
struct Axis {
    metric: Metric,
    x: i32,
    /// The finite values and limits that are furthest apart.
    worst: f64,
    best: f64,
    is_log: bool,
    /// Whether something is better than any number.
    is_infinite: bool,
}

impl Axis {
    fn new(question: &Question, metric: Metric, x: i32, values: &[f64]) -> Option<Self> {
        let limits = drawn(question, metric, values).map(|bound| bound.limit);
        let finite: Vec<f64> = values.iter().copied().chain(limits).filter(|value| value.is_finite()).collect();
        let low = finite.iter().copied().reduce(f64::min)?;
        let high = finite.iter().copied().reduce(f64::max)?;
        let (worst, best) = match metric.better() {
            Better::Lower => (high, low),
            Better::Higher => (low, high),
        };
        let is_infinite = values.iter().any(|value| value.is_infinite());
        Some(Self { metric, x, worst, best, is_log: is_ratio(metric.unit()) && low > 0.0, is_infinite })
    }

    fn top(&self) -> i32 {
        if self.is_infinite { TOP + APART } else { TOP }
    }

    fn place(&self, value: f64) -> (i32, i32) {
        if value.is_infinite() {
            return (self.x, TOP);
        }
        let on = |value: f64| if self.is_log { value.ln() } else { value };
        let length = on(self.best) - on(self.worst);
        // Equal values lie in the middle.
        let share = if length == 0.0 { 0.5 } else { ((on(value) - on(self.worst)) / length).clamp(0.0, 1.0) };
        (self.x, BOTTOM + (share * f64::from(self.top() - BOTTOM)).round() as i32)
    }
}

/// A configuration and its place on each axis.
struct Line<'a> {
    configuration: &'a Weighed,
    places: Vec<Option<(i32, i32)>>,
}

impl Line<'_> {
    fn keeps(&self) -> bool {
        self.configuration.standings.iter().all(|standing| standing.holds == Holds::Yes)
    }

    /// Where it is first known.
    fn begins(&self) -> Option<(i32, i32)> {
        self.places.iter().flatten().next().copied()
    }
}

/// The plot of one device's decision; `None` where two numbers say all, or two configurations are not to be had.
///
/// # Errors
/// The drawing library fails: a fault of this program.
pub(crate) fn of_choice(question: &Question, choice: &Choice) -> Result<Option<Figure>, PlotError> {
    let values = |metric: Metric| -> Vec<f64> {
        choice.weighed.iter().filter_map(|one| one.value(metric)).filter(|value| !value.is_nan()).collect()
    };
    let mut metrics: Vec<Metric> = question.numbers().into_iter().filter(|metric| values(*metric).len() > 1).collect();
    let left_out = metrics.split_off(metrics.len().min(MOST));
    if metrics.len() < FEWEST {
        return Ok(None);
    }
    let step = (RIGHT - LEFT) / (metrics.len() as i32 - 1);
    let xs = (0..).map(|place| LEFT + place * step);
    let axes: Vec<Axis> =
        metrics.iter().zip(xs).filter_map(|(metric, x)| Axis::new(question, *metric, x, &values(*metric))).collect();
    let line = |configuration| -> Option<Line> {
        let weighed: &Weighed = configuration;
        let place = |axis: &Axis| Some(axis.place(weighed.value(axis.metric).filter(|value| !value.is_nan())?));
        let places: Vec<_> = axes.iter().map(place).collect();
        (places.iter().flatten().count() > 1).then_some(Line { configuration: weighed, places })
    };
    let lines: Vec<Line> = choice.weighed.iter().filter_map(line).collect();
    if axes.len() < FEWEST || lines.len() < 2 {
        return Ok(None);
    }
    let named = named(choice, &lines);
    let is_named = |line: &Line| named.iter().any(|other| other.configuration.cell == line.configuration.cell);
    let is_best = |line: &Line| choice.best.as_ref().is_some_and(|best| best.cell == line.configuration.cell);
    let begins: Vec<(i32, i32)> = named.iter().filter_map(|line| line.begins()).collect();
    let badges = spread(&begins, ((0, TOP - BADGE), (LEFT + BADGE + 8, BOTTOM + BADGE)));
    let labels: Vec<String> = named.iter().map(|line| label(question, choice, line.configuration, &metrics)).collect();
    let limits: Vec<String> = question.bounds.iter().map(|bound| bound.words()).collect();
    let titles = text::list(&metrics.iter().map(|metric| metric.title()).collect::<Vec<_>>());
    let alt = format!(
        "{titles}, an axis each, and a line for each of {} configurations. By name: {}.{}",
        lines.len(),
        labels.join("; "),
        if limits.is_empty() { String::new() } else { format!(" Bounds: {}.", text::list(&limits)) }
    );
    let svg = draw("parallel", &alt, HEIGHT, |canvas| {
        for axis in &axes {
            head(canvas, axis, step)?;
            bounds(canvas, question, axis, &values(axis.metric))?;
        }
        // What is asked for by name lies above the others, and the one that is advised above all.
        for line in lines.iter().filter(|line| !is_named(line)) {
            stroke(canvas, line, Ink::Muted, 1)?;
        }
        for line in named.iter().rev() {
            stroke(canvas, line, Ink::backend(&line.configuration.key.backend), if is_best(line) { 4 } else { 2 })?;
        }
        for line in named.iter().rev() {
            marks(canvas, line)?;
        }
        for (number, (line, (at, badge))) in (1..).zip(named.iter().zip(begins.iter().zip(&badges))) {
            if at != badge {
                canvas.path(vec![*at, *badge], 1, Ink::Muted, 1.0)?;
            }
            if is_best(line) {
                canvas.dot(*badge, BADGE + 5, Ink::Text, 1.0)?;
                canvas.dot(*badge, BADGE + 3, Ink::Paper, 1.0)?;
            }
            canvas.badge(*badge, number, Ink::backend(&line.configuration.key.backend))?;
        }
        Ok(())
    })?;
    let inks = named.iter().map(|line| Ink::backend(&line.configuration.key.backend).class());
    Ok(Some(Figure {
        id: "parallel",
        title: "All numbers at once".to_owned(),
        svg,
        caption: caption(question, &limits, &left_out, lines.len() > named.len()),
        key: (1..).zip(inks).zip(labels).map(|((number, ink), label)| (number, ink, label)).collect(),
    }))
}

/// The lines that a reader asks for by name: the conclusion, the next best, and what is best in something; each once.
fn named<'a, 'b>(choice: &Choice, lines: &'b [Line<'a>]) -> Vec<&'b Line<'a>> {
    let rivals = choice.runner_up.iter().chain(choice.extremes.iter().map(|extreme| &extreme.rival));
    let asked = choice.best.iter().chain(rivals.map(|rival| &rival.configuration)).chain(&choice.may_be_better);
    let mut found: Vec<&Line> = Vec::new();
    // Without a conclusion the first of all stand for it.
    for wanted in asked.chain(&choice.weighed) {
        let known = found.iter().any(|line| line.configuration.cell == wanted.cell);
        let line = lines.iter().find(|line| line.configuration.cell == wanted.cell);
        found.extend(line.filter(|_| !known && found.len() < NAMED));
    }
    found
}

/// `ort int8 · q4: advised; 0.387 s, 655 MiB, 72.1`, in the order of the axes.
fn label(question: &Question, choice: &Choice, configuration: &Weighed, metrics: &[Metric]) -> String {
    let value = |metric: &Metric| {
        configuration.value(*metric).map_or_else(|| format!("{} not known", metric.title()), |value| metric.show(value))
    };
    let values: Vec<String> = metrics.iter().map(value).collect();
    let stands = stands(question, choice, configuration);
    let stands = if stands.is_empty() { stands } else { format!("{stands}; ") };
    format!("{}: {stands}{}", configuration.label, values.join(", "))
}

/// The axis with its title and its ends.
fn head(canvas: &Canvas, axis: &Axis, step: i32) -> Result<(), PlotError> {
    canvas.path(vec![(axis.x, TOP), (axis.x, BOTTOM)], 1, Ink::Grid, 1.0)?;
    let lines = wrap(axis.metric.definition().heading, (step - 4).min(2 * LEFT - 8), SMALL);
    for (place, line) in (0..).zip(lines.iter().take(3)) {
        canvas.text(line, (axis.x, 7 + place * LINE), SMALL, Anchor::Middle, Ink::Text)?;
    }
    let best = if axis.is_infinite { f64::INFINITY } else { axis.best };
    canvas.text(&axis.metric.show(best), (axis.x, TOP - 17), SMALL, Anchor::Middle, Ink::Muted)?;
    if axis.is_infinite || axis.worst.total_cmp(&axis.best).is_ne() {
        canvas.text(&axis.metric.show(axis.worst), (axis.x, BOTTOM + 15), SMALL, Anchor::Middle, Ink::Muted)?;
    }
    Ok(())
}

/// The bounds on an axis: a broken line across it, and what is beyond shaded.
fn bounds(canvas: &Canvas, question: &Question, axis: &Axis, values: &[f64]) -> Result<(), PlotError> {
    for bound in drawn(question, axis.metric, values) {
        let (x, y) = axis.place(bound.limit);
        let beyond = if bound.is_usual() { (y, BOTTOM - y) } else { (TOP, y - TOP) };
        canvas.rect((x - WING, beyond.0), (2 * WING, beyond.1), Ink::Muted, 0.18)?;
        canvas.dashed((x - WING, y), (x + WING, y), 2, Ink::Text)?;
    }
    Ok(())
}

/// A line from axis to axis: broken where the configuration does not keep every bound; none where one end is not known.
fn stroke(canvas: &Canvas, line: &Line, ink: Ink, width: u32) -> Result<(), PlotError> {
    for pair in line.places.windows(2) {
        let [Some(from), Some(to)] = *pair else { continue };
        if line.keeps() {
            canvas.path(vec![from, to], width, ink, 1.0)?;
        } else {
            canvas.dashed(from, to, width, ink)?;
        }
    }
    Ok(())
}

/// A dot where a line meets an axis: hollow where the configuration does not keep every bound.
fn marks(canvas: &Canvas, line: &Line) -> Result<(), PlotError> {
    for at in line.places.iter().flatten() {
        canvas.dot(*at, 4, Ink::backend(&line.configuration.key.backend), 1.0)?;
        if !line.keeps() {
            canvas.dot(*at, 2, Ink::Paper, 1.0)?;
        }
    }
    Ok(())
}

fn caption(question: &Question, limits: &[String], left_out: &[Metric], others: bool) -> String {
    let ring =
        if question.bounds.is_empty() { "the best in the objective" } else { "the configuration of the conclusion" };
    let mut words = format!(
        "A line is a configuration, and up is better on every axis: its ends are the best and the worst value. The thick line with the \
         ring is {ring}; a gap is a number that is not known."
    );
    if others {
        words.push_str(" Thin lines without a number are the others.");
    }
    if !question.bounds.is_empty() {
        words.push_str(" Broken lines with hollow dots do not keep every bound, or are not sure.");
    }
    if !limits.is_empty() {
        words.push_str(&format!(" Dashed across an axis: {}; what is shaded is beyond.", text::list(limits)));
    }
    if !left_out.is_empty() {
        let titles: Vec<String> = left_out.iter().map(|metric| metric.title()).collect();
        words.push_str(&format!(" No room for an axis: {}.", text::list(&titles)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::Bound;
    use crate::advice::candidate::Candidate;
    use crate::advice::choose;
    use crate::advice::known::Known;
    use crate::record::CellKey;

    fn candidate(name: &str, seconds: f64, memory: f64, psnr: Option<f64>) -> Candidate {
        let key = CellKey { backend: name.into(), ..CellKey::default() };
        let psnr = psnr.map_or_else(|| Known::Unknown("no picture".into()), |value| Known::Value(value.into()));
        let known = [
            (Metric::IMAGE, Known::Launches(vec![seconds; 6])),
            (Metric::PEAK, Known::Value(memory.into())),
            (Metric::PSNR, psnr),
        ];
        let (label, ships) = (name.to_owned(), name.to_owned());
        let (unfit, caveats) = (None, Vec::new());
        Candidate { key, label, ships, known: known.into(), unfit, caveats, sustained: false }
    }

    fn asked(bounds: &[Bound]) -> Question {
        Question { bounds: bounds.to_vec(), ..Question::default() }
    }

    #[test]
    fn each_configuration_is_a_line_and_the_advised_one_is_told() {
        let question = asked(&[Bound::at_most(Metric::IMAGE, 2.0), Bound::at_least(Metric::PSNR, 30.0)]);
        let gib = f64::from(1 << 30);
        let all = [
            candidate("ort", 1.0, gib, Some(40.0)),
            candidate("candle", 1.5, 0.5 * gib, Some(f64::INFINITY)),
            candidate("tract", 3.0, 0.25 * gib, None),
        ];
        let figure = of_choice(&question, &choose(&question, &all)).unwrap().unwrap();
        assert_eq!(figure.key.len(), 3);
        assert!(figure.key[0].2.starts_with("ort: advised; "), "{:?}", figure.key);
        let tract = &figure.key.iter().find(|(_, _, label)| label.starts_with("tract")).unwrap().2;
        assert!(tract.contains("misses a bound") && tract.contains("not known"), "{tract}");
        for words in ["identical", "Bounds: ", "at least 30.0"] {
            assert!(figure.svg.replace('\u{a0}', " ").contains(words), "{words}: {}", figure.svg);
        }
        assert!(figure.caption.contains("a gap is a number that is not known"));
    }

    #[test]
    fn two_numbers_are_the_maps_and_equal_values_lie_in_the_middle() {
        let question = asked(&[]);
        let two = [candidate("ort", 1.0, 2.0, None), candidate("candle", 2.0, 1.0, None)];
        assert_eq!(of_choice(&question, &choose(&question, &two)).unwrap(), None);
        let axis = Axis::new(&question, Metric::IMAGE, 50, &[2.0, 2.0]).unwrap();
        assert_eq!(axis.place(2.0), (50, (TOP + BOTTOM) / 2));
        let axis = Axis::new(&question, Metric::PSNR, 50, &[20.0, 40.0, f64::INFINITY]).unwrap();
        let places = [20.0, 40.0, f64::INFINITY].map(|value| axis.place(value).1);
        assert_eq!(places, [BOTTOM, TOP + APART, TOP], "up is better, and identical pictures are apart");
    }
}
