//! Plots of numbered points on axes: quality against latency, and divergence from step to step.

use super::axis::Axis;
use super::canvas::{Anchor, BADGE, Canvas, Ink, PlotError, SMALL, WIDTH, draw, spread};
use super::{Entry, Figure};
use crate::metric::Metric;
use crate::text;

/// The area inside the axes.
const LEFT: i32 = 46;
const RIGHT: i32 = WIDTH - 6;
const TOP: i32 = 22;
const BOTTOM: i32 = 262;
const HEIGHT: i32 = 300;

fn horizontal_grid(canvas: &Canvas, axis: &Axis) -> Result<(), PlotError> {
    for tick in axis.ticks() {
        let y = axis.place(tick);
        canvas.path(vec![(LEFT, y), (RIGHT, y)], 1, Ink::Grid, 1.0)?;
        canvas.text(&text::scientific(tick), (LEFT - 6, y), SMALL, Anchor::End, Ink::Muted)?;
    }
    Ok(())
}

/// Key entries of rows, numbered from 1.
fn key(entries: &[&Entry]) -> Vec<(usize, String, String)> {
    (1..)
        .zip(entries)
        .map(|(number, entry)| (number, Ink::backend(&entry.row.key.backend).class(), entry.row.label()))
        .collect()
}

/// Latent error against seconds an image, with the Pareto front.
pub(super) fn quality(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    /// The height at which the reference and exact results are put: above every error.
    const EXACT: i32 = TOP + 10;
    // Steady images only, or first images only: the two are never compared.
    let steady = entries.iter().any(|entry| entry.row.p50_s().is_some() && !entry.row.is_wrong());
    let shown: Vec<(&Entry, f64, f64)> = entries
        .iter()
        .filter_map(|entry| {
            let error = if entry.row.is_reference() { 0.0 } else { entry.row.value(Metric::LATENT)? };
            let seconds = if steady { entry.row.p50_s()? } else { entry.row.first_image_s()? };
            Some((entry, seconds, error))
        })
        .collect();
    if shown.len() < 2 {
        return Ok(None);
    }
    let Some(across) = Axis::new(shown.iter().map(|point| point.1), 1.12, LEFT + BADGE, RIGHT - BADGE) else {
        return Ok(None);
    };
    // Smaller errors are higher up.
    let errors = shown.iter().map(|point| point.2).filter(|error| *error > 0.0);
    let down = Axis::new(errors, 2.0, EXACT + 22, BOTTOM);
    let place = |seconds: f64, error: f64| {
        (across.place(seconds), if error > 0.0 { down.as_ref().map_or(EXACT, |down| down.place(error)) } else { EXACT })
    };
    let mut front: Vec<(f64, f64)> = Vec::new();
    // Entries are sorted by time: each that is nearer than all faster ones is on the front.
    for &(entry, seconds, error) in &shown {
        if !entry.row.is_wrong() && front.iter().all(|(_, best)| error < *best) {
            front.push((seconds, error));
        }
    }
    let on_front = |seconds: f64, error: f64| front.contains(&(seconds, error));
    let names = |wanted: bool| {
        let labels = shown.iter().filter(|p| on_front(p.1, p.2) == wanted).map(|p| p.0.row.label());
        text::list(&labels.collect::<Vec<_>>())
    };
    let alt = format!(
        "Latent error against seconds an image, {workload}. On the Pareto front: {}. Behind it: {}.",
        names(true),
        names(false)
    );
    let points: Vec<(i32, i32)> = shown.iter().map(|&(_, seconds, error)| place(seconds, error)).collect();
    let badges = spread(&points, ((LEFT, TOP - 8), (RIGHT, BOTTOM)));
    let svg = draw("quality", &alt, HEIGHT, |canvas| {
        canvas.text("↑ closer to the reference (latent, relative L2)", (0, 7), SMALL, Anchor::Start, Ink::Muted)?;
        canvas.path(vec![(LEFT, EXACT), (RIGHT, EXACT)], 1, Ink::Grid, 1.0)?;
        canvas.text("same", (LEFT - 6, EXACT), SMALL, Anchor::End, Ink::Muted)?;
        if let Some(down) = &down {
            horizontal_grid(canvas, down)?;
        }
        let mut free_from = LEFT;
        for tick in across.ticks() {
            let x = across.place(tick);
            canvas.path(vec![(x, TOP), (x, BOTTOM)], 1, Ink::Grid, 1.0)?;
            let words = text::seconds(tick);
            let half = super::canvas::estimate(&words, SMALL) / 2;
            // A tick whose words would run into the last one's, or over the edge, keeps its line only.
            if x - half >= free_from && x + half <= WIDTH {
                canvas.text(&words, (x, BOTTOM + 12), SMALL, Anchor::Middle, Ink::Muted)?;
                free_from = x + half + 8;
            }
        }
        let words = if steady { "an image, p50 → slower" } else { "the first image → slower" };
        canvas.text(words, (RIGHT, BOTTOM + 29), SMALL, Anchor::End, Ink::Muted)?;
        // The front as steps: from a point to the next slower one, nothing nearer is to be had.
        let mut line: Vec<(i32, i32)> = Vec::new();
        for &(seconds, error) in &front {
            let (x, y) = place(seconds, error);
            let before = line.last().map_or(BOTTOM, |last| last.1);
            line.extend([(x, before), (x, y)]);
        }
        line.extend(line.last().map(|last| (RIGHT, last.1)));
        canvas.path(line, 2, Ink::Front, 1.0)?;
        for (point, badge) in points.iter().zip(&badges) {
            if point != badge {
                canvas.path(vec![*point, *badge], 1, Ink::Muted, 1.0)?;
            }
            canvas.dot(*point, 3, Ink::Text, 1.0)?;
        }
        for (number, ((entry, ..), badge)) in (1..).zip(shown.iter().zip(&badges)) {
            canvas.badge(*badge, number, Ink::backend(&entry.row.key.backend))?;
        }
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "quality",
        title: "Quality against latency".into(),
        svg,
        caption: "Left is faster, up is closer to the reference's result for the same noise; both axes are \
                  logarithmic. On the line (the Pareto front) are the cells that no other beats in both; \"same\" is \
                  the reference itself, or no difference at all. With random weights this is numerical closeness, not \
                  how good an image looks."
            .into(),
        key: key(&shown.iter().map(|point| point.0).collect::<Vec<_>>()),
    }))
}

/// Latent error after each step.
pub(super) fn divergence(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let shown: Vec<(&Entry, Vec<f64>)> = entries
        .iter()
        .filter_map(|entry| {
            let steps: Vec<f64> = entry.cell.quality.value()?.latents.iter().map(|step| step.relative_l2).collect();
            steps.iter().any(|error| *error > 0.0).then_some((entry, steps))
        })
        .collect();
    let errors = shown.iter().flat_map(|(_, steps)| steps).copied().filter(|error| *error > 0.0);
    let Some(axis) = Axis::new(errors, 1.6, BOTTOM, TOP) else { return Ok(None) };
    let steps = shown.iter().map(|(_, steps)| steps.len()).max().unwrap_or(1);
    // Room on the right for the badges at the lines' ends.
    let (first, last) = (LEFT + 14, RIGHT - 70);
    let across = |step: usize| first + (last - first) * step as i32 / (steps.max(2) as i32 - 1);
    let lines: Vec<Vec<(i32, i32)>> = shown
        .iter()
        .map(|(_, errors)| {
            let points = errors.iter().enumerate().filter(|(_, error)| **error > 0.0);
            points.map(|(step, error)| (across(step), axis.place(*error))).collect()
        })
        .collect();
    let ends: Vec<(i32, i32)> =
        lines.iter().map(|line| line.last().map_or((last, TOP), |end| (end.0 + 20, end.1))).collect();
    let badges = spread(&ends, ((last + 8, TOP), (RIGHT, BOTTOM)));
    let worst: Vec<String> = shown
        .iter()
        .map(|(entry, errors)| {
            format!("{}: {}", entry.row.label(), errors.last().map_or(String::new(), |e| text::scientific(*e)))
        })
        .collect();
    let alt =
        format!("Lines of latent error after each denoiser step, {workload}. After the last: {}.", text::list(&worst));
    let svg = draw("divergence", &alt, HEIGHT, |canvas| {
        canvas.text("latent, relative L2 to the reference (log)", (0, 7), SMALL, Anchor::Start, Ink::Muted)?;
        horizontal_grid(canvas, &axis)?;
        let every = steps.div_ceil(8);
        for step in (0..steps).step_by(every) {
            canvas.text(&(step + 1).to_string(), (across(step), BOTTOM + 12), SMALL, Anchor::Middle, Ink::Muted)?;
        }
        canvas.text("after denoiser step", ((first + last) / 2, BOTTOM + 29), SMALL, Anchor::Middle, Ink::Muted)?;
        for ((entry, _), (line, badge)) in shown.iter().zip(lines.iter().zip(&badges)) {
            let ink = Ink::backend(&entry.row.key.backend);
            if let Some(end) = line.last() {
                canvas.path(vec![*end, *badge], 1, Ink::Muted, 1.0)?;
            }
            for point in line {
                canvas.dot(*point, 3, ink, 1.0)?;
            }
            canvas.path(line.clone(), 2, ink, 1.0)?;
        }
        for (number, ((entry, _), badge)) in (1..).zip(shown.iter().zip(&badges)) {
            canvas.badge(*badge, number, Ink::backend(&entry.row.key.backend))?;
        }
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "divergence",
        title: "Divergence from step to step".into(),
        svg,
        caption:
            "How far the latent is from the reference's after each denoiser step, for the same noise. A line that \
                  starts high means coarser weights or arithmetic; a jump means a fault at that step. Steps without \
                  any difference are not drawn."
                .into(),
        key: key(&shown.iter().map(|(entry, _)| *entry).collect::<Vec<_>>()),
    }))
}
