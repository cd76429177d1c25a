//! What a cost grows as: log-log curves with the fitted law, and the largest point as the others predicted it.

use super::Figure;
use super::axis::Axis;
use super::canvas::{Anchor, BADGE, Canvas, Ink, PlotError, SMALL, WIDTH, draw, estimate, spread};
use crate::record::Role;
use crate::scale::law::HeldOut;
use crate::scale::{Axis as Along, Curve, Series};
use crate::text;

/// The area inside the axes.
const LEFT: i32 = 52;
const RIGHT: i32 = WIDTH - 34;
const TOP: i32 = 22;
const BOTTOM: i32 = 282;
const HEIGHT: i32 = 320;
/// Curves of one figure: the image and its largest stages.
const CURVES: usize = 4;

/// The figure of a series; `None` with fewer than three points, through which every line looks right.
pub(crate) fn of_series(series: &Series) -> Result<Option<Figure>, PlotError> {
    // What stays the same would take the height from what grows. Threads leave the work as it is.
    let shown = |curve: &&Curve| curve.points.len() > 2 && (series.axis == Along::Threads || curve.grows());
    let mut curves: Vec<&Curve> = series.curves.iter().filter(shown).collect();
    // The image first, then what takes longest.
    let last = |curve: &Curve| curve.points.last().map_or(0.0, |point| point.seconds);
    if let [_, stages @ ..] = curves.as_mut_slice() {
        stages.sort_by(|a, b| last(b).total_cmp(&last(a)));
    }
    curves.truncate(CURVES);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    // Intervals that check something fit into the room at either end; one that holds nearly everything is cut, and leaves the points
    // their height.
    let foretold = curves.iter().filter_map(|curve| curve.held_out.last()).map(|held| held.predicted);
    let heights: Vec<f64> = points().map(|point| point.seconds).chain(foretold).collect();
    let (Some(across), Some(up)) = (
        Axis::new(points().map(|point| point.x), 1.06, LEFT, RIGHT),
        Axis::new(heights.iter().copied(), 1.25, BOTTOM, TOP),
    ) else {
        return Ok(None);
    };
    let name = format!("{}, {}", series.workload, series.label);
    let alt = format!("Time against {}, {name}. {}", series.axis.counts(), alt(&curves));
    let at_end: Vec<(i32, i32)> = curves
        .iter()
        .map(|curve| curve.points.last().map_or((RIGHT, TOP), |point| (RIGHT + 20, up.place(point.seconds))))
        .collect();
    let badges = spread(&at_end, ((RIGHT + 10, TOP), (WIDTH, BOTTOM)));
    let svg = draw("scale", &alt, HEIGHT, |canvas| {
        canvas.text("↑ longer (logarithmic, both ways)", (0, 7), SMALL, Anchor::Start, Ink::Muted)?;
        for tick in up.ticks() {
            let y = up.place(tick);
            canvas.path(vec![(LEFT, y), (RIGHT, y)], 1, Ink::Grid, 1.0)?;
            canvas.text(&text::seconds(tick), (LEFT - 6, y), SMALL, Anchor::End, Ink::Muted)?;
        }
        places(canvas, series, &across)?;
        for (curve, (number, badge)) in curves.iter().zip((1..).zip(&badges)) {
            draw_curve(canvas, curve, ink(curve), &across, &up)?;
            canvas.badge(*badge, number, ink(curve))?;
        }
        Ok(())
    })?;
    let exponent = |curve: &Curve| match (curve.law.value(), series.axis) {
        (Some(law), axis) if axis != Along::Threads => format!(": {}^{:.2}", axis.counts(), law.exponent),
        _ => String::new(),
    };
    let key = (1..).zip(&curves);
    Ok(Some(Figure {
        id: "scale",
        title: format!("Time against {}", series.axis.counts()),
        svg,
        caption: "Dots are measured (medians over launches); the line is the power law through them, straight on two logarithmic axes. At the \
                  right end the dashed line is the law without the largest point, and the bar beside that dot is where it should then lie with \
                  95 %: a dot off its bar is a bend. A bar without an end goes on beyond the plot, and a dot on it then tells nothing."
            .into(),
        key: key.map(|(number, curve)| (number, ink(curve).class(), format!("{}{}", curve.of, exponent(curve)))).collect(),
    }))
}

fn ink(curve: &Curve) -> Ink {
    match curve.role {
        None => Ink::Text,
        // Dark enough for a number on it, which the encoder's own is not.
        Some(Role::Encoder) => Ink::Backend(1),
        Some(Role::Denoiser) => Ink::Step(0),
        Some(Role::Decoder) => Ink::Decoder,
        Some(Role::Other) => Ink::Backend(3),
    }
}

/// The measured places, each by its own words where there is room.
fn places(canvas: &Canvas, series: &Series, across: &Axis) -> Result<(), PlotError> {
    let mut free_from = 0;
    for point in &series.curves[0].points {
        let x = across.place(point.x);
        canvas.path(vec![(x, TOP), (x, BOTTOM)], 1, Ink::Grid, 1.0)?;
        let half = estimate(&point.at.says, SMALL) / 2;
        // Words that would run into the last ones, or over the edge, keep their line only.
        if x - half >= free_from && x + half <= WIDTH {
            canvas.text(&point.at.says, (x, BOTTOM + 12), SMALL, Anchor::Middle, Ink::Muted)?;
            free_from = x + half + 6;
        }
    }
    let words = match series.axis {
        Along::Size => "size, in pixels →".to_owned(),
        axis => format!("{} →", axis.counts()),
    };
    canvas.text(&words, (RIGHT, BOTTOM + 29), SMALL, Anchor::End, Ink::Muted)
}

fn draw_curve(canvas: &Canvas, curve: &Curve, ink: Ink, across: &Axis, up: &Axis) -> Result<(), PlotError> {
    let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) else { return Ok(()) };
    let lawful = !curve.held_out.is_empty();
    if let Some(law) = curve.law.value().filter(|_| lawful) {
        let end = |x: f64| (across.place(x), up.place(law.at(x)));
        canvas.path(vec![end(first.x), end(last.x)], 2, ink, 0.6)?;
    } else {
        // More threads follow no power law: the points alone, joined.
        let joined = curve.points.iter().map(|point| (across.place(point.x), up.place(point.seconds)));
        canvas.path(joined.collect(), 1, ink, 0.6)?;
    }
    if let Some(held) = curve.held_out.last() {
        held_out(canvas, curve, held, across, up)?;
    }
    for point in &curve.points {
        let (x, y) = (across.place(point.x), up.place(point.seconds));
        canvas.dot((x, y), 4, Ink::Paper, 1.0)?;
        canvas.dot((x, y), 3, ink, 1.0)?;
    }
    Ok(())
}

/// The law of the others, dashed from the point before up to the largest; and where that should lie.
fn held_out(canvas: &Canvas, curve: &Curve, held: &HeldOut, across: &Axis, up: &Axis) -> Result<(), PlotError> {
    let Some(before) = curve.points.iter().rev().find(|point| point.x < held.x) else { return Ok(()) };
    let at = |x: f64| (across.place(x), up.place(held.law.at(x)));
    let to = at(held.x);
    canvas.dashed(at(before.x), to, 1, Ink::Muted)?;
    if let Some(interval) = held.interval {
        // Beside the dot, so that both are seen.
        let x = to.0 + BADGE;
        let [low, high] = [interval.low, interval.high].map(|end| up.place(end).clamp(TOP, BOTTOM));
        canvas.path(vec![(x, low), (x, high)], 2, Ink::Muted, 1.0)?;
        for end in [low, high].into_iter().filter(|end| (TOP + 1..BOTTOM).contains(end)) {
            canvas.path(vec![(x - 3, end), (x + 3, end)], 2, Ink::Muted, 1.0)?;
        }
    }
    Ok(())
}

/// The curves in words.
fn alt(curves: &[&Curve]) -> String {
    let says = |curve: &&Curve| {
        let end = |point: Option<&crate::scale::series::Point>| {
            point.map_or_else(String::new, |point| format!("{} at {}", text::seconds(point.seconds), point.at.says))
        };
        format!("{}: {} to {}", curve.of, end(curve.points.first()), end(curve.points.last()))
    };
    curves.iter().map(says).collect::<Vec<_>>().join("; ") + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::law::{self, Law};
    use crate::scale::series::Point;
    use crate::scale::{Place, axis};

    /// A series of one curve through these (side, seconds).
    fn series(points: &[(u32, f64)]) -> Series {
        let of = |(side, seconds): &(u32, f64)| (axis::read(&side.to_string()).unwrap(), *seconds);
        let points: Vec<(Place, f64)> = points.iter().map(of).collect();
        let law = Law::fit(&points.iter().map(|(at, seconds)| (at.x, *seconds)).collect::<Vec<_>>());
        let held_out = law::hold_out(&points);
        let point = |(at, seconds): (Place, f64)| Point { x: at.x, at, seconds, ends: None, launches: 1, flops: None };
        let curve = Curve {
            of: "image".into(),
            role: None,
            points: points.into_iter().map(point).collect(),
            law,
            operations: None,
            check: law::check(&held_out),
            held_out,
            predicted: Vec::new(),
        };
        Series {
            machine: String::new(),
            axis: Along::Size,
            workload: String::new(),
            label: String::new(),
            backend: String::new(),
            curves: vec![curve],
            profiled: Vec::new(),
            work: Vec::new(),
            threads: None,
            notes: Vec::new(),
        }
    }

    /// Where the curve's dots are, in their order.
    fn dots(svg: &str) -> Vec<(i32, i32)> {
        let number = |circle: &str, name: &str| -> Option<i32> {
            circle.split_once(&format!("{name}=\""))?.1.split('"').next()?.parse().ok()
        };
        let circles = svg.split("<circle ").skip(1).filter(|circle| circle.contains(" r=\"3\""));
        circles.filter_map(|circle| Some((number(circle, "cx")?, number(circle, "cy")?))).collect()
    }

    #[test]
    fn an_interval_that_holds_nearly_everything_does_not_stretch_the_plot() {
        // Off by a half now and then: the largest of four is foretold somewhere within a factor of thousands.
        let vague = series(&[(64, 1.0), (128, 6.0), (256, 10.0), (512, 60.0)]);
        let interval = vague.curves[0].held_out[3].interval.unwrap();
        assert!(interval.high / interval.low > 100.0 && law::check(&vague.curves[0].held_out) == law::Check::Vague);
        let dots = dots(&of_series(&vague).unwrap().unwrap().svg);
        let (low, high) = (dots.iter().map(|dot| dot.1).max().unwrap(), dots.iter().map(|dot| dot.1).min().unwrap());
        assert!(low - high > (BOTTOM - TOP) * 3 / 4, "{dots:?}");
    }

    #[test]
    fn the_dashed_line_is_the_law_without_the_largest_point() {
        // Flat, but for the point before the largest: the law of the others does not go through that.
        let bent = series(&[(64, 1.0), (128, 1.0), (256, 1.0), (512, 3.0), (1024, 3.0)]);
        let held = bent.curves[0].held_out.last().unwrap();
        let svg = of_series(&bent).unwrap().unwrap().svg;
        let dots = dots(&svg);
        let first = |line: &str| -> Option<(i32, i32)> {
            let start = line.split_once("points=\"")?.1.split(' ').next()?;
            let (x, y) = start.split_once(',')?;
            Some((x.parse().ok()?, y.parse().ok()?))
        };
        let lines: Vec<(i32, i32)> =
            svg.split("<polyline ").skip(1).filter(|line| line.contains("s-muted")).filter_map(first).collect();
        // Its first dash begins below the dot of the point before, on the law.
        let begin = lines.iter().find(|line| line.0 == dots[3].0).unwrap_or_else(|| panic!("{lines:?} {dots:?}"));
        assert!(held.law.at(bent.curves[0].points[3].x) < 2.5 && begin.1 > dots[3].1 + 5, "{begin:?} {dots:?}");
    }
}
