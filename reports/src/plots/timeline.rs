//! What the machine did while a launch was measured: each image's seconds, and under them clocks, temperatures, power, and
//! what had to wait, on one axis of time.

use super::Figure;
use super::canvas::{Anchor, Ink, PlotError, SMALL, WIDTH, draw};
use crate::energy;
use crate::record::held;
use crate::record::{Launch, Reading, Run, Telemetry};
use crate::text;

const LEFT: i32 = 58;
const RIGHT: i32 = WIDTH - 12;
/// Height of a panel's plot, and of what is above it: title and legend.
const PANEL: i32 = 64;

/// A panel of the figure.
struct Panel {
    title: &'static str,
    /// How its values are written.
    written: fn(f64) -> String,
    lines: Vec<Line>,
}

/// One sensor over time.
struct Line {
    label: String,
    ink: Ink,
    points: Vec<(f64, f64)>,
    /// Whether points are single things rather than one thing over time.
    dots: bool,
}

/// Lines of a panel in the order of the page's palette that tells best apart.
const INKS: [Ink; 5] = [Ink::Backend(0), Ink::Backend(1), Ink::Backend(2), Ink::Backend(4), Ink::Backend(3)];

/// The moments at which sensors were read while the worker was at work.
fn during(launch: &Launch) -> impl Iterator<Item = &Telemetry> {
    launch.telemetry.iter().filter(|moment| moment.moment == "during")
}

/// Whether a launch has anything to draw: sensors read more than once while it ran.
pub(crate) fn has_timeline(launch: &Launch) -> bool {
    during(launch).count() > 1 && launch.samples.iter().any(|sample| sample.ended_s.is_some())
}

/// The figure of one launch; `None` without anything to draw.
///
/// # Errors
/// The drawing library fails: a fault of this program.
pub(crate) fn launch(label: &str, launch: &Launch, run: &Run) -> Result<Option<Figure>, PlotError> {
    if !has_timeline(launch) {
        return Ok(None);
    }
    let samples: Vec<(f64, f64)> =
        launch.samples.iter().filter_map(|sample| Some((sample.ended_s?, sample.total_s))).collect();
    let names = |start: &str, end: &str| {
        let mut names: Vec<&str> = during(launch)
            .flat_map(|moment| moment.readings.keys())
            .map(String::as_str)
            .filter(|name| name.starts_with(start) && name.ends_with(end))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !name.ends_with("_allowed_mhz"));
        names
    };
    // The slowest cluster first, as phones number them.
    let order = |name: &&str| ["little", "mid", "big"].iter().position(|kind| name.contains(kind)).unwrap_or(3);
    let mut clocks = names("cpu_", "_mhz");
    clocks.sort_by_key(order);
    let clocks: Vec<(&str, String)> = clocks
        .into_iter()
        .map(|name| (name, name.trim_start_matches("cpu_").trim_end_matches("_mhz")))
        .map(|(name, label)| (name, if label == "mhz" { "all cores" } else { label }.to_owned()))
        .chain(names("gpu_mhz", "").into_iter().map(|name| (name, "GPU".to_owned())))
        .collect();
    let heat: Vec<(&str, String)> =
        names("", "_c").into_iter().map(|name| (name, name.trim_end_matches("_c").to_owned())).collect();
    let power: Vec<(&str, String)> =
        names("battery_power_w", "").into_iter().map(|name| (name, "battery".to_owned())).collect();
    // Records of older programs have watts, of a unit guessed from each number alone.
    let mut watts = lines(launch, &power);
    if let Some(Reading::Ok(meter)) = energy::meter(run)
        && let Ok(points) = energy::watts(launch, &meter)
        && !points.is_empty()
    {
        watts.push(Line { label: "battery".into(), ink: INKS[0], points, dots: false });
    }
    watts.extend(rate(launch, "package_energy_j", "processor", 1.0, INKS[1]));
    let pressure = ["cpu", "memory", "io"].map(|name| (format!("{name}_pressure_percent"), format!("for {name}")));
    let pressure: Vec<(&str, String)> = pressure.iter().map(|(name, label)| (name.as_str(), label.clone())).collect();
    let mut waiting = lines(launch, &pressure);
    waiting.extend(rate(launch, "steal_s", "stolen, of one core", 100.0, INKS[3]));
    let number = |value| text::significant(value, 3);
    let panels = [
        Panel {
            title: "Time of each image",
            written: text::seconds,
            lines: vec![Line { label: String::new(), ink: Ink::Text, points: samples, dots: true }],
        },
        Panel { title: "Clock, MHz", written: number, lines: lines(launch, &clocks) },
        Panel { title: "Temperature, °C", written: number, lines: lines(launch, &heat) },
        Panel { title: "Power, W", written: number, lines: watts },
        Panel { title: "Waiting, % of time", written: number, lines: waiting },
    ];
    let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.lines.is_empty()).collect();
    let end =
        panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points).map(|p| p.0).fold(0.0, f64::max);
    if !(end.is_finite() && end > 0.0) {
        return Ok(None);
    }
    let held = held::spans(launch, &run.machine);
    let height = panels.iter().map(panel_height).sum::<i32>() + 34;
    let across = |at: f64| LEFT + (at / end * f64::from(RIGHT - LEFT)).round() as i32;
    let svg = draw("timeline", &alt(label, &panels, end), height, |canvas| {
        let mut y = 0;
        for panel in &panels {
            canvas.text(panel.title, (0, y + 8), SMALL, Anchor::Start, Ink::Text)?;
            let entries: Vec<(String, Ink, f64)> = panel
                .lines
                .iter()
                .filter(|line| !line.label.is_empty())
                .map(|line| (line.label.clone(), line.ink, 1.0))
                .collect();
            let top = y + height_of_head(panel);
            if !entries.is_empty() {
                canvas.legend(y + 18, &entries)?;
            }
            let values = || panel.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
            let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            // Level lines keep room, and the axis of what cannot be negative stays above zero.
            let room = ((high - low) * 0.1).max(high.abs() * 0.04).max(f64::MIN_POSITIVE);
            let (bottom, ceiling) = (low - room, high + room);
            let down =
                |value: f64| top + PANEL - ((value - bottom) / (ceiling - bottom) * f64::from(PANEL)).round() as i32;
            for &(from, to) in &held {
                canvas.rect((across(from), top), ((across(to) - across(from)).max(2), PANEL), Ink::Muted, 0.2)?;
            }
            for value in if high - low > 1e-9 * high.abs() { vec![low, high] } else { vec![low] } {
                canvas.path(vec![(LEFT, down(value)), (RIGHT, down(value))], 1, Ink::Grid, 1.0)?;
                canvas.text(&(panel.written)(value), (LEFT - 5, down(value)), SMALL, Anchor::End, Ink::Muted)?;
            }
            for line in &panel.lines {
                let points: Vec<(i32, i32)> =
                    line.points.iter().map(|&(at, value)| (across(at), down(value))).collect();
                if line.dots || points.len() == 1 {
                    for point in points {
                        canvas.dot(point, 2, line.ink, 0.8)?;
                    }
                } else {
                    canvas.path(points, 2, line.ink, 1.0)?;
                }
            }
            y += panel_height(panel);
        }
        canvas.text("0 s", (LEFT, y + 6), SMALL, Anchor::Start, Ink::Muted)?;
        canvas.text(&text::seconds(end), (RIGHT, y + 6), SMALL, Anchor::End, Ink::Muted)?;
        canvas.text("since the launch began", ((LEFT + RIGHT) / 2, y + 22), SMALL, Anchor::Middle, Ink::Muted)
    })?;
    Ok(Some(Figure {
        id: "timeline",
        title: "Over the launch".into(),
        svg,
        caption: caption(launch, run),
        key: Vec::new(),
    }))
}

fn height_of_head(panel: &Panel) -> i32 {
    let named = panel.lines.iter().filter(|line| !line.label.is_empty());
    // As the legend breaks its lines.
    let (mut x, mut rows) = (0, 0);
    for line in named {
        let width = 16 + super::canvas::estimate(&line.label, SMALL) + 12;
        if rows == 0 || x + width - 12 > WIDTH {
            rows += 1;
            x = 0;
        }
        x += width;
    }
    22 + 18 * rows
}

fn panel_height(panel: &Panel) -> i32 {
    height_of_head(panel) + PANEL + 14
}

fn lines(launch: &Launch, names: &[(&str, String)]) -> Vec<Line> {
    let line = |(index, (name, label)): (usize, &(&str, String))| {
        let points: Vec<(f64, f64)> = during(launch)
            .filter_map(|moment| Some((moment.at_s, *moment.readings.get(*name)?.value()?)))
            .filter(|(at, value)| at.is_finite() && value.is_finite())
            .collect();
        Line { label: label.clone(), ink: INKS[index % INKS.len()], points, dots: false }
    };
    names.iter().enumerate().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// What a counter rose by per second, times `scale`, from one reading to the next; nothing where it began again at zero.
fn rate(launch: &Launch, name: &str, label: &str, scale: f64, ink: Ink) -> Option<Line> {
    let readings: Vec<(f64, f64)> =
        during(launch).filter_map(|moment| Some((moment.at_s, *moment.readings.get(name)?.value()?))).collect();
    let between = readings.windows(2).map(|pair| (pair[1].0, (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0)));
    let points: Vec<(f64, f64)> =
        between.filter(|(_, rate)| rate.is_finite() && *rate >= 0.0).map(|(at, rate)| (at, scale * rate)).collect();
    (!points.is_empty()).then(|| Line { label: label.into(), ink, points, dots: false })
}

fn alt(label: &str, panels: &[Panel], end: f64) -> String {
    let ranges = panels.iter().map(|panel| {
        let values = || panel.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        format!("{} {} to {}", panel.title, (panel.written)(low), (panel.written)(high))
    });
    format!("{label} over {}: {}.", text::seconds(end), ranges.collect::<Vec<_>>().join("; "))
}

fn caption(launch: &Launch, run: &Run) -> String {
    let mut words =
        "Each dot is an image, at the moment when it was done; below it, what sensors said, read every second \
                     beside the worker. Axes do not begin at zero."
            .to_owned();
    if let Some(slowdown) = launch.calibration.slowdown().filter(|&slowdown| slowdown <= held::SLOWER) {
        words += &format!(
            " The fixed piece of work, on one core before and after the launch, took {} times as long afterwards.",
            text::significant(slowdown, 3)
        );
    }
    if during(launch).any(|moment| moment.readings.keys().any(|name| name.ends_with("_pressure_percent"))) {
        words += " Waiting: the share of the last ten seconds in which some task waited for a core, for memory or for a disk, by the \
                  kernel's account.";
    }
    if let Some(held) = held::back(launch, &run.machine) {
        words += &format!(" Held back: {held}.");
        if held.first_s.is_some() {
            words += " Shaded: while sensors said so.";
        }
    }
    let charging = launch
        .telemetry
        .iter()
        .any(|moment| moment.readings.get("charging").and_then(Reading::value).is_some_and(|charging| *charging > 0.0));
    if charging && during(launch).any(|moment| moment.readings.contains_key("battery_power_w")) {
        words += " A charger was plugged in: power is what went through the battery, not what the run took.";
    }
    if let Some(cpus) = &launch.cpus {
        let seen: Vec<String> = cpus.seen.iter().map(u32::to_string).collect();
        words += &format!(" CPUs allowed: {}", cpus.allowed.as_deref().unwrap_or("not recorded"));
        words += &if seen.is_empty() { ".".to_owned() } else { format!("; seen at work: {}.", seen.join(", ")) };
    }
    words
}
