//! Plots of horizontal bars, a label above each: latency by stage, memory over the marks, share of peak.

use super::canvas::{Anchor, Canvas, Ink, LABEL, PlotError, SMALL, WIDTH, draw, wrap};
use super::{Entry, Figure};
use crate::metric::Metric;
use crate::record::{MemoryMark, MemoryPass, Role};
use crate::stages::{StageTime, StageTimes};
use crate::text;

/// Units kept free on the right for the value of the longest bar.
const VALUE: i32 = 66;

/// The label's lines, and the height that they take.
fn label(entry: &Entry) -> (Vec<String>, i32) {
    let lines = wrap(&entry.row.label(), WIDTH, LABEL);
    let height = 16 * lines.len() as i32;
    (lines, height)
}

fn draw_label(canvas: &Canvas, lines: &[String], y: i32) -> Result<i32, PlotError> {
    for (line, words) in (0..).zip(lines) {
        canvas.text(words, (0, y + 16 * line + 8), LABEL, Anchor::Start, Ink::Text)?;
    }
    Ok(y + 16 * lines.len() as i32)
}

/// Seconds by stage: the steady image as a thick bar, the first image as a thin faint one below it.
pub(super) fn stages(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let bars: Vec<(&Entry, Option<&StageTimes>, Option<&StageTimes>)> = entries
        .iter()
        .map(|entry| (entry, entry.row.stages_s.as_ref(), entry.row.first_stages_s.as_ref()))
        .filter(|(_, steady, first)| steady.is_some() || first.is_some())
        .collect();
    let drawn = || bars.iter().flat_map(|(_, steady, first)| [*steady, *first]).flatten();
    let longest = drawn().map(StageTimes::total_s).fold(0.0, f64::max);
    if longest <= 0.0 {
        return Ok(None);
    }
    let most_steps = drawn().map(|stages| stages.by_role(Role::Denoiser).len()).max().unwrap_or(0);
    let roles = [Role::Encoder, Role::Denoiser, Role::Decoder, Role::Other];
    let there = roles.into_iter().filter(|role| drawn().any(|stages| stages.seconds(*role).is_some()));
    let words = |role: Role| match role {
        Role::Denoiser => format!("denoiser steps ({most_steps}, shades alternate)"),
        Role::Encoder | Role::Decoder => role.name().to_owned(),
        Role::Other => "other stages".to_owned(),
    };
    let legend: Vec<(String, Ink, f64)> = there
        .map(|role| (words(role), ink(role, 0), 1.0))
        .chain([("rest".to_owned(), Ink::Rest, 1.0), ("faint: first image".to_owned(), Ink::Step(0), FAINT)])
        .collect();
    let height = 62 + bars.iter().map(|(entry, ..)| label(entry).1 + 40).sum::<i32>();
    let alt = format!(
        "Bars of seconds by stage, {workload}. {}.",
        text::list(
            &bars
                .iter()
                .filter_map(|(entry, steady, _)| Some(format!(
                    "{}: {}",
                    entry.row.label(),
                    text::seconds(steady.as_ref()?.total_s())
                )))
                .collect::<Vec<_>>()
        )
    );
    let scale = f64::from(WIDTH - VALUE) / longest;
    let svg = draw("stages", &alt, height, |canvas| {
        let mut y = canvas.legend(0, &legend)? + 6;
        for (entry, steady, first) in &bars {
            y = draw_label(canvas, &label(entry).0, y)?;
            if let Some(steady) = steady {
                stack(canvas, steady, scale, (y + 1, 14), 1.0, &text::seconds(steady.total_s()))?;
            }
            if let Some(first) = first {
                let value = format!("{} first", text::seconds(first.total_s()));
                stack(canvas, first, scale, (y + 18, 7), FAINT, &value)?;
            }
            y += 40;
        }
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "stages",
        title: "Where the time goes".into(),
        svg,
        caption: "Median seconds of each stage for one steady image, and below it, faint, for the first image of a \
                  process. Each stage has its own median, so a bar can differ slightly from the median of whole \
                  images. Shorter is better."
            .to_owned()
            + &of_shared_roles(drawn()),
        key: Vec::new(),
    }))
}

/// Which stages share a colour, in their order: `Denoiser steps: denoiser 64, then denoiser 256.`
fn of_shared_roles<'a>(drawn: impl Iterator<Item = &'a StageTimes>) -> String {
    let mut said: Vec<String> = Vec::new();
    for stages in drawn.filter(|stages| stages.share_a_role()) {
        let name = |stage: &StageTime| {
            let passes = if stage.seconds.len() == 1 { String::new() } else { format!(" ×{}", stage.seconds.len()) };
            format!("{}{passes}", stage.stage.replace('_', " "))
        };
        let words = format!(" In order: {}.", stages.stages.iter().map(name).collect::<Vec<_>>().join(", "));
        if !said.contains(&words) {
            said.push(words);
        }
    }
    said.concat()
}

/// The colour of a part of a stage.
pub(super) fn ink(role: Role, step: usize) -> Ink {
    match role {
        Role::Encoder => Ink::Encoder,
        Role::Denoiser if step.is_multiple_of(2) => Ink::Step(0),
        Role::Denoiser => Ink::Step(1),
        Role::Decoder => Ink::Decoder,
        Role::Other => Ink::File,
    }
}

const FAINT: f64 = 0.45;

fn stack(
    canvas: &Canvas,
    stages: &StageTimes,
    scale: f64,
    (y, height): (i32, i32),
    alpha: f64,
    value: &str,
) -> Result<(), PlotError> {
    let of_stage = |stage: &'_ StageTime| {
        let role = stage.role;
        let parts: Vec<(Ink, f64)> =
            stage.seconds.iter().enumerate().map(|(step, seconds)| (ink(role, step), *seconds)).collect();
        parts
    };
    let parts = stages.stages.iter().flat_map(of_stage).chain([(Ink::Rest, stages.rest_s)]);
    let mut seconds = 0.0;
    for (ink, part) in parts {
        // Ends are rounded, not widths, so that rounding does not add up.
        let (from, to) = ((seconds * scale).round() as i32, ((seconds + part) * scale).round() as i32);
        canvas.rect((from, y), (to - from, height), ink, alpha)?;
        seconds += part;
    }
    // A long "first" value may not fit beside a long thin bar: it then goes below the end of the bar.
    let end = (seconds * scale).round() as i32 + 5;
    let size = if height > 10 { LABEL } else { 10.0 };
    let width = super::canvas::estimate(value, size);
    let (x, anchor) = if end + width <= WIDTH { (end, Anchor::Start) } else { (WIDTH, Anchor::End) };
    let below = if matches!(anchor, Anchor::End) && end > WIDTH - width { height / 2 + 8 } else { 0 };
    let ink = if alpha < 1.0 { Ink::Muted } else { Ink::Text };
    canvas.text(value, (x, y + height / 2 + below), size, anchor, ink)
}

/// Resident memory at each mark, anonymous and file-mapped, with a tick at the most so far.
pub(super) fn memory(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let bars: Vec<(&Entry, Vec<MemoryMark>, Vec<String>)> = entries
        .iter()
        .filter_map(|entry| {
            let (marks, source) = match entry.cell.memory_pass.value() {
                Some(MemoryPass { marks, .. }) if !marks.is_empty() => (marks, ""),
                _ => (&entry.cell.good_launches().next()?.memory, " (timed process)"),
            };
            let lines = wrap(&format!("{}{source}", entry.row.label()), WIDTH, LABEL);
            (marks.iter().any(|mark| resident(mark) > 0)).then(|| (entry, marks.clone(), lines))
        })
        .collect();
    let most =
        bars.iter().flat_map(|(_, marks, _)| marks).map(|mark| resident(mark).max(mark.high_water.unwrap_or(0))).max();
    let Some(most) = most.filter(|most| *most > 0) else { return Ok(None) };
    const NAME: i32 = 76;
    let height = 46 + bars.iter().map(|(_, marks, lines)| 16 * (lines.len() + marks.len()) as i32 + 12).sum::<i32>();
    let alt = format!(
        "Bars of resident memory at moments of a run, {workload}. Peaks: {}.",
        text::list(
            &bars
                .iter()
                .map(|(entry, ..)| format!(
                    "{}: {}",
                    entry.row.label(),
                    entry.row.shown(Metric::PEAK).unwrap_or_else(|| "unknown".into())
                ))
                .collect::<Vec<_>>()
        )
    );
    let scale = f64::from(WIDTH - NAME - VALUE) / most as f64;
    let legend = [
        ("anonymous".to_owned(), Ink::Decoder, 1.0),
        ("mapped from files".to_owned(), Ink::File, 1.0),
        ("tick: maximum so far".to_owned(), Ink::Text, 1.0),
    ];
    let svg = draw("memory", &alt, height, |canvas| {
        let mut y = canvas.legend(0, &legend)? + 6;
        for (_, marks, lines) in &bars {
            y = draw_label(canvas, lines, y)?;
            for mark in marks {
                let wide = |bytes: u64| (bytes as f64 * scale).round() as i32;
                let (anon, all) = (mark.rss_anon.unwrap_or(0), resident(mark));
                // Where the kernel does not split resident memory, all of it is drawn as one.
                let split = if mark.rss_anon.is_some() { anon.min(all) } else { all };
                let name: String = mark.name.replace('_', " ").chars().take(12).collect();
                canvas.text(&name, (0, y + 7), SMALL, Anchor::Start, Ink::Muted)?;
                canvas.rect((NAME, y + 2), (wide(split), 10), Ink::Decoder, 1.0)?;
                canvas.rect((NAME + wide(split), y + 2), (wide(all) - wide(split), 10), Ink::File, 1.0)?;
                let high = mark.high_water.unwrap_or(all).max(all);
                canvas.rect((NAME + wide(high), y), (2, 14), Ink::Text, 1.0)?;
                canvas.text(&text::bytes(high), (NAME + wide(high) + 6, y + 7), SMALL, Anchor::Start, Ink::Text)?;
                y += 16;
            }
            y += 12;
        }
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "memory",
        title: "Memory over a run".into(),
        svg,
        caption: "Resident memory at named moments of one process. Anonymous memory cannot be released without \
                  swapping; pages mapped from files can be dropped and read again. The tick and the number are the \
                  maximum so far: the last one is what a device must have free."
            .into(),
        key: Vec::new(),
    }))
}

fn resident(mark: &MemoryMark) -> u64 {
    mark.rss.unwrap_or_else(|| mark.rss_anon.unwrap_or(0) + mark.rss_file.unwrap_or(0))
}

/// Achieved rate over the measured peak of the same kind and thread count.
pub(super) fn share_of_peak(workload: &str, entries: &[Entry]) -> Result<Option<Figure>, PlotError> {
    let rate_and_share =
        |entry: &Entry| Some((entry.row.value(Metric::GIGAFLOPS)?, entry.row.value(Metric::PEAK_SHARE)?));
    let mut bars: Vec<(&Entry, f64, f64)> =
        entries.iter().filter_map(|entry| rate_and_share(entry).map(|(rate, share)| (entry, rate, share))).collect();
    if bars.is_empty() {
        return Ok(None);
    }
    bars.sort_by(|a, b| b.2.total_cmp(&a.2));
    let most = bars.iter().map(|bar| bar.2).fold(1.0, f64::max);
    let height = 24 + bars.iter().map(|(entry, ..)| label(entry).1 + 40).sum::<i32>();
    let said = |gflops: f64, share: f64| {
        format!(
            "{} of {} GFLOP/s, {}",
            text::significant(gflops, 3),
            text::significant(gflops / share, 3),
            text::percent(share)
        )
    };
    let alt = format!(
        "Bars of achieved rate as a share of the measured peak, {workload}. {}.",
        text::list(
            &bars
                .iter()
                .map(|(entry, gflops, share)| format!("{}: {}", entry.row.label(), said(*gflops, *share)))
                .collect::<Vec<_>>()
        )
    );
    let wide = |share: f64| (share / most * f64::from(WIDTH - 1)).round() as i32;
    let svg = draw("peak", &alt, height, |canvas| {
        let mut y = 0;
        for (entry, gflops, share) in &bars {
            y = draw_label(canvas, &label(entry).0, y)?;
            canvas.rect((0, y + 1), (wide(1.0), 11), Ink::Grid, 1.0)?;
            canvas.rect((0, y + 1), (wide(*share), 11), Ink::backend(&entry.row.key.backend), 1.0)?;
            canvas.text(&said(*gflops, *share), (0, y + 21), SMALL, Anchor::Start, Ink::Muted)?;
            y += 40;
        }
        canvas.path(vec![(wide(1.0), 0), (wide(1.0), y - 8)], 1, Ink::Text, 1.0)?;
        let anchor = if wide(1.0) < WIDTH / 2 { Anchor::Start } else { Anchor::End };
        canvas.text("measured peak", (wide(1.0), y + 4), SMALL, anchor, Ink::Muted)
    })?;
    Ok(Some(Figure {
        id: "peak",
        title: "Share of this machine's peak".into(),
        svg,
        caption: "Operations of one image over its median time, as a share of the rate that small loops of ours \
                  reached here with as many threads: f32 multiply-adds; where activations are rounded to 8 bits, 8-bit \
                  products in groups for linears with low-bit weights and f32 for the rest, by the least time that \
                  each part takes. The gap is memory traffic, attention, convolutions far below the peak, and \
                  overhead. Cells on other devices, in other arithmetic or with a doubtful peak have no bar. A bar \
                  beyond the line means that the peak was measured too low."
            .into(),
        key: Vec::new(),
    }))
}
