//! The distribution of samples: a dot for each timed image, a lane for each launch.

use super::canvas::{Anchor, Ink, LABEL, PlotError, SMALL, WIDTH, draw, wrap};
use super::{Entry, Figure};
use crate::stats;
use crate::text;

/// Units from one launch's lane to the next.
const LANE: i32 = 10;
/// Launches drawn in lanes of their own; more share lanes, so that a cell of many launches stays on a screen.
const LANES: usize = 12;

/// Each timed image's seconds, as a deviation from its cell's median.
pub(super) fn samples(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let strips: Vec<(&Entry, f64, Vec<Vec<f64>>)> = entries
        .iter()
        .filter_map(|entry| {
            let p50 = entry.row.p50_s()?;
            let launches: Vec<Vec<f64>> = entry
                .cell
                .good_launches()
                .map(|launch| launch.timed().iter().map(|sample| sample.total_s / p50 - 1.0).collect())
                .collect();
            (p50 > 0.0 && launches.iter().any(|launch: &Vec<f64>| !launch.is_empty())).then_some((entry, p50, launches))
        })
        .collect();
    if strips.is_empty() {
        return Ok(None);
    }
    // The axis holds nine dots of ten with room to spare; a single far one must not flatten the rest.
    let mut far: Vec<f64> =
        strips.iter().flat_map(|(_, _, launches)| launches).flatten().map(|part| part.abs()).collect();
    far.sort_by(f64::total_cmp);
    let most = far[(far.len() * 9 / 10).min(far.len() - 1)] * 1.3;
    let reach = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0].into_iter().find(|reach| *reach >= most).unwrap_or(most);
    let height = 24
        + strips
            .iter()
            .map(|(entry, p50, launches)| title(entry, *p50).len() as i32 * 16 + lanes(launches) * LANE + 16)
            .sum::<i32>();
    let across = |part: f64| (f64::from(WIDTH) / 2.0 + part / reach * f64::from(WIDTH / 2 - 6)).round() as i32;
    let spreads: Vec<String> = strips
        .iter()
        .map(|(entry, _, launches)| {
            let all = || launches.iter().flatten().copied();
            let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
            format!("{}: {} to {}", entry.row.label(), signed(low), signed(high))
        })
        .collect();
    let alt = format!("Dots of single images as deviation from the median, {workload}. {}.", text::list(&spreads));
    let svg = draw("samples", &alt, height, |canvas| {
        let mut y = 0;
        for (entry, p50, launches) in &strips {
            for line in title(entry, *p50) {
                canvas.text(&line, (0, y + 8), LABEL, Anchor::Start, Ink::Text)?;
                y += 16;
            }
            let bottom = y + lanes(launches) * LANE + 4;
            canvas.rect((0, y), (WIDTH, bottom - y), Ink::Grid, 0.45)?;
            let estimate = entry.row.image_s.value();
            if let Some((low, high)) = estimate.and_then(|e| e.low.zip(e.high)) {
                let (from, to) = (across(low / p50 - 1.0).clamp(0, WIDTH), across(high / p50 - 1.0).clamp(0, WIDTH));
                canvas.rect((from, y), ((to - from).max(1), bottom - y), Ink::Front, 0.25)?;
            }
            canvas.path(vec![(WIDTH / 2, y), (WIDTH / 2, bottom)], 1, Ink::Text, 1.0)?;
            let ink = Ink::backend(&entry.row.key.backend);
            for (index, launch) in launches.iter().enumerate() {
                let lane = y + 2 + (index % LANES) as i32 * LANE + LANE / 2;
                for part in launch {
                    let x = across(*part);
                    if (3..=WIDTH - 3).contains(&x) {
                        canvas.dot((x, lane), 3, ink, 0.7)?;
                    } else {
                        let (tip, back) = if x < 3 { (1, 7) } else { (WIDTH - 1, WIDTH - 7) };
                        canvas.path(vec![(back, lane - 4), (tip, lane), (back, lane + 4)], 2, ink, 1.0)?;
                    }
                }
                if let Some(median) = stats::median(launch).filter(|median| launch.len() > 2 && median.abs() <= reach) {
                    canvas.path(vec![(across(median), lane - 5), (across(median), lane + 5)], 2, Ink::Text, 1.0)?;
                }
            }
            y = bottom + 12;
        }
        for (part, anchor, x) in
            [(-reach, Anchor::Start, 0), (0.0, Anchor::Middle, WIDTH / 2), (reach, Anchor::End, WIDTH)]
        {
            let words = if part == 0.0 { "median".to_owned() } else { signed(part) };
            canvas.text(&words, (x, y + 2), SMALL, anchor, Ink::Muted)?;
        }
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "samples",
        title: "Every timed image".into(),
        svg,
        caption: "Each dot is one image and each lane one process launch; right is slower than the cell's own median. \
                  A tick is a launch's median; the band is the interval in the table, if there is one. An arrow at the \
                  edge is an image even farther away. First images and warm-up are left out. Lanes apart from each \
                  other mean that launches vary: more launches help, more images do not."
            .into(),
        key: Vec::new(),
    }))
}

fn title(entry: &Entry, p50: f64) -> Vec<String> {
    wrap(&format!("{} · {}", entry.row.label(), text::seconds(p50)), WIDTH, LABEL)
}

fn lanes(launches: &[Vec<f64>]) -> i32 {
    launches.len().min(LANES) as i32
}

fn signed(part: f64) -> String {
    if part > 0.0 { format!("+{}", text::percent(part)) } else { text::percent(part).replace('-', "−") }
}
