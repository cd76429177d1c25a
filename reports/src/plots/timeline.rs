//! What the machine did while a launch was measured: each image's seconds, and under them Android's status, clocks and what they were
//! allowed, temperatures and where the next status begins, power, and what had to wait, on one axis of time.

use super::Figure;
use super::canvas::{Ink, PlotError};
use super::panels::{self, Level, Line, Panel, Way};
use crate::energy;
use crate::record::held::{self, STATUS_NAMES as STATUS};
use crate::record::{Launch, Reading, Run, Telemetry};
use crate::text;

/// Lines of a panel in the order of the page's palette that tells best apart.
const INKS: [Ink; 5] = [Ink::Backend(0), Ink::Backend(1), Ink::Backend(2), Ink::Backend(4), Ink::Backend(3)];
/// The end of the name of a reading of what clock is allowed.
const ALLOWED: &str = "_allowed_mhz";

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
    let images = launch.samples.iter().filter_map(|sample| Some((sample.ended_s?, sample.total_s))).collect();
    let images = Line { label: String::new(), ink: Ink::Text, points: images, way: Way::Dots };
    let panels = [
        Panel { title: "Time of each image", written: text::seconds, lines: vec![images], ..Panel::default() },
        status(launch),
        Panel { title: "Clock, MHz", lines: clocks(launch), ..Panel::default() },
        skin(launch, run),
        Panel { title: "Temperature inside, °C", lines: inside(launch), ..Panel::default() },
        Panel { title: "Power, W", lines: power(launch, run), ..Panel::default() },
        Panel { title: "Waiting, % of time", lines: waiting(launch), ..Panel::default() },
    ];
    let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.lines.is_empty()).collect();
    let svg = panels::draw(label, &panels, &held::spans(launch, &run.machine))?;
    Ok(svg.map(|svg| Figure {
        id: "timeline",
        title: "Over the launch".into(),
        svg,
        caption: caption(launch, run),
        key: Vec::new(),
    }))
}

/// Names of readings that begin and end so, each once.
fn names<'a>(launch: &'a Launch, start: &str, end: &str) -> Vec<&'a str> {
    let all = during(launch).flat_map(|moment| moment.readings.keys()).map(String::as_str);
    let mut names: Vec<&str> = all.filter(|name| name.starts_with(start) && name.ends_with(end)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Android's thermal status, with the names of its levels.
fn status(launch: &Launch) -> Panel {
    let mut lines = lines(launch, &[("thermal_status", String::new())]);
    for line in &mut lines {
        line.way = Way::Steps;
    }
    let highest = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    // One level more than was reached, so that the way to it is seen.
    let shown = (highest as usize + 2).clamp(4, STATUS.len());
    let level = |(status, name): (usize, &&str)| Level { at: status as f64, name: (*name).to_owned() };
    let scale: Vec<Level> = STATUS[..shown].iter().enumerate().map(level).collect();
    let written =
        |status: f64| STATUS.get(status as usize).map_or_else(|| status.to_string(), |name| (*name).to_owned());
    Panel { title: "Android's thermal status", written, lines, scale, ..Panel::default() }
}

/// The clock of each cluster, and under it, thin, what it was allowed.
fn clocks(launch: &Launch) -> Vec<Line> {
    let mut clocks = names(launch, "cpu_", "_mhz");
    clocks.retain(|name| !name.ends_with(ALLOWED));
    // The slowest cluster first, as phones number them.
    clocks.sort_by_key(|name| ["little", "mid", "big"].iter().position(|kind| name.contains(kind)).unwrap_or(3));
    let named: Vec<(&str, String)> = clocks
        .iter()
        .map(|name| (*name, name.trim_start_matches("cpu_").trim_end_matches("_mhz")))
        .map(|(name, label)| (name, if label == "mhz" { "all cores" } else { label }.to_owned()))
        .chain(names(launch, "gpu_mhz", "").into_iter().map(|name| (name, "GPU".to_owned())))
        .collect();
    let curves = lines(launch, &named);
    let limits: Vec<(String, Ink)> = clocks
        .iter()
        .enumerate()
        .map(|(index, name)| (format!("{}{ALLOWED}", name.trim_end_matches("_mhz")), INKS[index % INKS.len()]))
        .collect();
    let limit = |(name, ink): &(String, Ink)| {
        let line = lines(launch, &[(name.as_str(), String::new())]).pop()?;
        Some(Line { ink: *ink, way: Way::Limit, ..line })
    };
    limits.iter().filter_map(limit).chain(curves).collect()
}

/// The temperature that Android's status goes by, with where each of its levels begins: up to the first above what was reached.
fn skin(launch: &Launch, run: &Run) -> Panel {
    let lines = lines(launch, &[("skin_c", String::new())]);
    let hottest = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    let skins = || run.machine.phone.iter().flat_map(|phone| &phone.thresholds).filter(|threshold| threshold.skin);
    let mut levels: Vec<Level> = Vec::new();
    for (status, name) in STATUS.iter().enumerate().skip(1) {
        let lowest = skins().filter_map(|skin| *skin.celsius.get(status)?).min_by(f64::total_cmp);
        let Some(at) = lowest else { continue };
        levels.push(Level { at, name: format!("{name} from {}\u{a0}°C", text::significant(at, 3)) });
        if at > hottest {
            break;
        }
    }
    Panel { title: "Temperature of the surface, °C", lines, levels, ..Panel::default() }
}

/// All other temperatures.
fn inside(launch: &Launch) -> Vec<Line> {
    let heat = names(launch, "", "_c").into_iter().filter(|name| *name != "skin_c");
    let heat: Vec<(&str, String)> = heat.map(|name| (name, name.trim_end_matches("_c").replace('_', " "))).collect();
    lines(launch, &heat)
}

/// What the battery and the processor took.
fn power(launch: &Launch, run: &Run) -> Vec<Line> {
    // Records of older programs have watts, of a unit guessed from each number alone.
    let mut watts = lines(launch, &[("battery_power_w", "battery".to_owned())]);
    if let Some(Reading::Ok(meter)) = energy::meter(run)
        && let Ok(points) = energy::watts(launch, &meter)
        && !points.is_empty()
    {
        watts.push(Line { label: "battery".into(), ink: INKS[0], points, way: Way::Curve });
    }
    watts.extend(rate(launch, "package_energy_j", "processor", 1.0, INKS[1]));
    watts
}

/// The share of the time in which some task waited.
fn waiting(launch: &Launch) -> Vec<Line> {
    let pressure = ["cpu", "memory", "io"].map(|name| (format!("{name}_pressure_percent"), format!("for {name}")));
    let pressure: Vec<(&str, String)> = pressure.iter().map(|(name, label)| (name.as_str(), label.clone())).collect();
    let mut waiting = lines(launch, &pressure);
    waiting.extend(rate(launch, "steal_s", "stolen, of one core", 100.0, INKS[3]));
    waiting
}

fn lines(launch: &Launch, names: &[(&str, String)]) -> Vec<Line> {
    let line = |(index, (name, label)): (usize, &(&str, String))| {
        let points: Vec<(f64, f64)> = during(launch)
            .filter_map(|moment| Some((moment.at_s, *moment.readings.get(*name)?.value()?)))
            .filter(|(at, value)| at.is_finite() && value.is_finite())
            .collect();
        Line { label: label.clone(), ink: INKS[index % INKS.len()], points, way: Way::Curve }
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
    (!points.is_empty()).then(|| Line { label: label.into(), ink, points, way: Way::Curve })
}

fn caption(launch: &Launch, run: &Run) -> String {
    let mut words =
        "Each dot is an image, at the moment when it was finished; below are the sensors, read every second while the \
         worker ran. Axes do not begin at zero."
            .to_owned();
    if let Some(slowdown) = launch.calibration.slowdown().filter(|&slowdown| slowdown <= held::SLOWER) {
        words += &format!(
            " The fixed piece of work, on one core before and after the launch, took {} times as long afterwards.",
            text::significant(slowdown, 3)
        );
    }
    if during(launch).any(|moment| moment.readings.keys().any(|name| name.ends_with(ALLOWED))) {
        words += " Clock: a thin line is the highest clock that the cores of its colour were allowed.";
    }
    let has_thresholds = run.machine.phone.as_ref().is_some_and(|phone| phone.thresholds.iter().any(|one| one.skin));
    if has_thresholds && during(launch).any(|moment| moment.readings.contains_key("skin_c")) {
        words +=
            " Lines across the temperature of the surface: from there on Android's status is the one that is named.";
    }
    if during(launch).any(|moment| moment.readings.keys().any(|name| name.ends_with("_pressure_percent"))) {
        words += " Waiting: the share of the last ten seconds in which some task waited for a core, for memory or for \
                  a disk, as the kernel counts it.";
    }
    if let Some(held) = held::back(launch, &run.machine) {
        words += &format!(" Held back: {held}.");
        if held.first_s.is_some() {
            words += " Shaded: while the sensors showed it.";
        }
    }
    let charging = launch
        .telemetry
        .iter()
        .any(|moment| moment.readings.get("charging").and_then(Reading::value).is_some_and(|charging| *charging > 0.0));
    if charging && during(launch).any(|moment| moment.readings.contains_key("battery_power_w")) {
        words += " A charger was plugged in: power is that of the battery, not that of the run.";
    }
    if let Some(cpus) = &launch.cpus {
        let seen: Vec<String> = cpus.seen.iter().map(u32::to_string).collect();
        words += &format!(" CPUs allowed: {}", cpus.allowed.as_deref().unwrap_or("not recorded"));
        words += &if seen.is_empty() { ".".to_owned() } else { format!("; seen at work: {}.", seen.join(", ")) };
    }
    words
}
