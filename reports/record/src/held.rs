//! Whether a machine held a launch back, for its heat or its power, and by what: the one judgement of it. It decides which
//! launches are made again, what the table warns of and what the timeline shades.
//!
//! Contract: made from the record alone. What no sensor tells is no cause.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Launch, Machine, Reading, Telemetry, cpus};

/// A fixed piece of work that takes so many times as long afterwards: the machine slowed down by itself (androidx's
/// `ThrottleDetector`).
pub const SLOWER: f64 = 1.10;
/// Below this share of the hardware's highest clock a cluster counts as capped.
pub const CAPPED: f64 = 0.95;
/// A cap that was so near to this before a launch was the same then.
const SLACK: f64 = 0.02;
/// Android's status from which on "the experience is somewhat worse"; 1, light, is not felt.
pub const STATUS: f64 = 2.0;

/// Android's words for its thermal status, 0 to 6.
pub const STATUS_NAMES: [&str; 7] = ["none", "light", "moderate", "severe", "critical", "emergency", "shutdown"];

/// Something that held a launch back.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// Cores were allowed only a part of their clock.
    Capped {
        /// Which cores: `big`.
        cluster: String,
        /// The smallest share of the hardware's highest clock, 0..1.
        share: f64,
    },
    /// Android's HAL named a device that slows the processor down, at work.
    Cooled,
    /// Android's thermal status was moderate or worse.
    Status(u8),
    /// The fixed piece of work took so many times as long afterwards.
    Slower(f64),
}

/// How a launch was held back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldBack {
    /// By what, each once and at its worst.
    pub causes: Vec<Cause>,
    /// When it was first seen, in seconds after the launch began; `None` if it was not seen while it ran.
    pub first_s: Option<f64>,
    /// Whether it was no better before the launch began, so that making it again would change nothing.
    pub before: bool,
}

/// The judgement; `None` for a launch that nothing is known to have held back.
pub fn back(launch: &Launch, machine: &Machine) -> Option<HeldBack> {
    let clusters = Clusters::of(launch, machine);
    let at = |moment: &Telemetry| clusters.causes(&moment.readings);
    let (before, seen): (Vec<_>, Vec<_>) = launch.telemetry.iter().partition(|moment| moment.moment == "before");
    let mut causes = Vec::new();
    seen.iter().flat_map(|moment| at(moment)).for_each(|cause| keep_worst(&mut causes, cause));
    let first_s = spans(launch, machine).first().map(|span| span.0);
    let mut earlier = Vec::new();
    before.iter().flat_map(|moment| at(moment)).for_each(|cause| keep_worst(&mut earlier, cause));
    let no_better = causes.iter().all(|cause| earlier.iter().any(|old| !old.is_better_than(cause, SLACK)));
    let slower = launch.calibration.slowdown().filter(|&ratio| ratio > SLOWER);
    let before = no_better && slower.is_none();
    causes.extend(slower.map(Cause::Slower));
    (!causes.is_empty()).then_some(HeldBack { causes, first_s, before })
}

/// By what launches were held back, each cause once and at its worst over all of them.
pub fn worst<'a>(launches: impl Iterator<Item = &'a Launch>, machine: &Machine) -> Vec<Cause> {
    let mut causes = Vec::new();
    launches.filter_map(|launch| back(launch, machine)).flat_map(|held| held.causes).for_each(|cause| {
        keep_worst(&mut causes, cause);
    });
    causes
}

/// Whether anything was read, while the launch ran, that says whether it was held back.
pub fn is_watched(launch: &Launch) -> bool {
    let tells = |name: &str| name == STATUS_READING || name == COOLING || name.ends_with(ALLOWED);
    let during = launch.telemetry.iter().filter(|moment| moment.moment == "during");
    during.flat_map(|moment| &moment.readings).any(|(name, reading)| tells(name) && reading.value().is_some())
}

/// From when to when it was seen while the launch ran.
pub fn spans(launch: &Launch, machine: &Machine) -> Vec<(f64, f64)> {
    let clusters = Clusters::of(launch, machine);
    let mut spans: Vec<(f64, f64)> = Vec::new();
    let (mut since, mut status, mut level) = (None, 0.0, 0.0);
    let mut end = 0.0;
    for moment in launch.telemetry.iter().filter(|moment| moment.moment == "during") {
        end = moment.at_s;
        // Services are asked less often than files: what they said holds until they say something else.
        let value = |name: &str| moment.readings.get(name).and_then(Reading::value).copied();
        status = value(STATUS_READING).unwrap_or(status);
        level = value(COOLING).unwrap_or(level);
        let held = status >= STATUS || level > 0.0 || !clusters.capped(&moment.readings).is_empty();
        match (held, since) {
            (true, None) => since = Some(moment.at_s),
            (false, Some(from)) => {
                spans.push((from, moment.at_s));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|from| (from, end)));
    spans
}

/// The reading of what slows a phone's processor down.
const COOLING: &str = "cpu_cooling_level";
/// The reading of Android's status.
const STATUS_READING: &str = "thermal_status";
/// The end of the name of a reading of what clock is allowed.
const ALLOWED: &str = "_allowed_mhz";

/// The name of the reading of what clock a cluster is allowed.
pub fn allowed(cluster: &str) -> String {
    format!("cpu_{cluster}{ALLOWED}")
}

fn keep_worst(causes: &mut Vec<Cause>, cause: Cause) {
    let same = |old: &&mut Cause| match (&**old, &cause) {
        (Cause::Capped { cluster, .. }, Cause::Capped { cluster: other, .. }) => cluster == other,
        (old, new) => std::mem::discriminant(old) == std::mem::discriminant(new),
    };
    match causes.iter_mut().find(same) {
        Some(old) if old.is_better_than(&cause, 0.0) => *old = cause,
        Some(_) => {}
        None => causes.push(cause),
    }
}

impl Cause {
    /// Whether it holds back less, by more than `slack` of a clock.
    fn is_better_than(&self, other: &Self, slack: f64) -> bool {
        match (self, other) {
            // A cap of other cores says nothing of these.
            (Self::Capped { cluster, share }, Self::Capped { cluster: of, share: other }) if cluster == of => {
                *share > *other + slack
            }
            (Self::Status(status), Self::Status(other)) => status < other,
            (Self::Slower(ratio), Self::Slower(other)) => ratio < other,
            (Self::Cooled, Self::Cooled) => false,
            _ => true,
        }
    }
}

/// The hardware's highest clock of each cluster that a launch could run on.
struct Clusters(BTreeMap<String, f64>);

impl Clusters {
    fn of(launch: &Launch, machine: &Machine) -> Self {
        let allowed = launch.cpus.as_ref().and_then(|used| cpus::parse(used.allowed.as_deref()?));
        let clusters = machine.phone.iter().flat_map(|phone| &phone.clusters);
        let used = clusters.filter(|cluster| match (&allowed, cpus::parse(&cluster.cpus)) {
            (Some(allowed), Some(own)) => own.iter().any(|cpu| allowed.contains(cpu)),
            _ => true,
        });
        Self(used.filter_map(|cluster| Some((cluster.name.clone(), cluster.max_mhz?))).collect())
    }

    /// The clusters that are capped, the most first.
    fn capped(&self, readings: &BTreeMap<String, Reading<f64>>) -> Vec<Cause> {
        let share = |(cluster, hardware): (&String, &f64)| {
            let allowed = readings.get(&allowed(cluster))?.value()?;
            Some((cluster.clone(), allowed / hardware)).filter(|(_, share)| *share > 0.0 && *share < CAPPED)
        };
        let mut capped: Vec<(String, f64)> = self.0.iter().filter_map(share).collect();
        capped.sort_by(|a, b| a.1.total_cmp(&b.1));
        capped.into_iter().map(|(cluster, share)| Cause::Capped { cluster, share }).collect()
    }

    fn causes(&self, readings: &BTreeMap<String, Reading<f64>>) -> Vec<Cause> {
        let value = |name: &str| readings.get(name).and_then(Reading::value).copied();
        let status = value(STATUS_READING).filter(|&status| status >= STATUS).map(|n| Cause::Status(n as u8));
        let cooled = value(COOLING).filter(|&level| level > 0.0).map(|_| Cause::Cooled);
        self.capped(readings).into_iter().chain(cooled).chain(status).collect()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capped { cluster, share } => {
                write!(f, "{cluster} cores were limited to {:.0} % of their clock", 100.0 * share)
            }
            Self::Cooled => f.write_str("Android throttled the processor because of heat"),
            Self::Status(status) => match STATUS_NAMES.get(usize::from(*status)) {
                Some(name) => write!(f, "thermal status {status} ({name})"),
                None => write!(f, "thermal status {status}"),
            },
            Self::Slower(ratio) => write!(f, "the machine was {:.0} % slower afterwards", 100.0 * (ratio - 1.0)),
        }
    }
}

/// Causes in words.
pub fn words(causes: &[Cause]) -> String {
    causes.iter().map(Cause::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words(&self.causes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Calibration, Cluster, CpusUsed, PhoneFacts};

    /// A phone of two clusters.
    fn machine() -> Machine {
        let cluster = |name: &str, cpus: &str, max_mhz| Cluster {
            name: name.into(),
            cpus: cpus.into(),
            max_mhz: Some(max_mhz),
            ..Cluster::default()
        };
        let clusters = vec![cluster("little", "0-3", 1959.0), cluster("big", "9", 3207.0)];
        Machine { phone: Some(PhoneFacts { clusters, ..PhoneFacts::default() }), ..Machine::default() }
    }

    fn moment(moment: &str, at_s: f64, readings: &[(&str, f64)]) -> Telemetry {
        let readings = readings.iter().map(|(name, value)| ((*name).to_owned(), Reading::Ok(*value))).collect();
        Telemetry { at_s, moment: moment.into(), readings }
    }

    fn launch(telemetry: Vec<Telemetry>) -> Launch {
        Launch { telemetry, ..Launch::default() }
    }

    #[test]
    fn a_cap_at_status_0_is_found() {
        // A Galaxy S24+ that its maker holds back at 40 °C: Android's status stays 0.
        let launch = launch(vec![
            moment("before", 0.0, &[("cpu_big_allowed_mhz", 3207.0), ("thermal_status", 0.0)]),
            moment("during", 0.0, &[("cpu_big_allowed_mhz", 3207.0), ("thermal_status", 0.0)]),
            moment("during", 1.0, &[("cpu_big_allowed_mhz", 2400.0)]),
            moment("during", 2.0, &[("cpu_big_allowed_mhz", 1824.0)]),
            moment("during", 3.0, &[("cpu_big_allowed_mhz", 3207.0)]),
        ]);
        let held = back(&launch, &machine()).unwrap();
        assert_eq!(held.causes, [Cause::Capped { cluster: "big".into(), share: 1824.0 / 3207.0 }]);
        assert_eq!((held.first_s, held.before), (Some(1.0), false));
        assert_eq!(held.to_string(), "big cores were limited to 57 % of their clock");
        assert_eq!(spans(&launch, &machine()), [(1.0, 3.0)]);
    }

    #[test]
    fn only_cores_that_the_launch_could_use_hold_it_back() {
        let mut launch = launch(vec![moment("during", 0.0, &[("cpu_little_allowed_mhz", 900.0)])]);
        assert!(back(&launch, &machine()).is_some());
        launch.cpus = Some(CpusUsed { allowed: Some("9".into()), seen: Vec::new() });
        assert_eq!(back(&launch, &machine()), None);
    }

    #[test]
    fn each_cause_counts_whatever_the_others_say() {
        let status = |status: f64| launch(vec![moment("during", 0.0, &[("thermal_status", status)])]);
        assert_eq!(back(&status(1.0), &machine()), None);
        assert_eq!(back(&status(2.0), &machine()).unwrap().causes, [Cause::Status(2)]);
        let cooled = launch(vec![moment("during", 4.0, &[("cpu_cooling_level", 11.0), ("thermal_status", 0.0)])]);
        assert_eq!(back(&cooled, &machine()).unwrap().causes, [Cause::Cooled]);
        // A status of 0 does not say that the machine did not slow down.
        let mut slower = status(0.0);
        slower.calibration = Calibration { before_s: Reading::Ok(0.0277), after_s: Reading::Ok(0.0414) };
        let held = back(&slower, &machine()).unwrap();
        assert!(matches!(held.causes[..], [Cause::Slower(ratio)] if (ratio - 1.49).abs() < 0.01), "{held:?}");
        assert!(back(&slower, &Machine::default()).unwrap().to_string().contains("49 % slower"));
    }

    #[test]
    fn what_was_so_before_the_launch_is_told_apart() {
        let held = |before: f64| {
            let cap = |moment_name: &str, mhz| moment(moment_name, 0.0, &[("cpu_big_allowed_mhz", mhz)]);
            back(&launch(vec![cap("before", before), cap("during", 1824.0)]), &machine()).unwrap().before
        };
        assert!(held(1824.0) && held(1700.0));
        assert!(!held(2500.0) && !held(3207.0));
        let other = [
            moment("before", 0.0, &[("cpu_little_allowed_mhz", 900.0)]),
            moment("during", 0.0, &[("cpu_big_allowed_mhz", 1924.0)]),
        ];
        assert!(
            !back(&launch(other.to_vec()), &machine()).unwrap().before,
            "little cores were capped before, big ones not"
        );
        let mut slower = launch(vec![moment("before", 0.0, &[]), moment("during", 0.0, &[])]);
        slower.calibration = Calibration { before_s: Reading::Ok(1.0), after_s: Reading::Ok(1.3) };
        assert!(!back(&slower, &machine()).unwrap().before);
    }

    #[test]
    fn the_worst_of_several_launches_is_told_once() {
        let with = |mhz: f64, status: f64| {
            launch(vec![moment("during", 0.0, &[("cpu_big_allowed_mhz", mhz), ("thermal_status", status)])])
        };
        let causes = worst([with(2400.0, 0.0), with(1824.0, 2.0), with(2000.0, 3.0)].iter(), &machine());
        assert_eq!(causes, [Cause::Capped { cluster: "big".into(), share: 1824.0 / 3207.0 }, Cause::Status(3)]);
        assert!(
            is_watched(&with(3207.0, 0.0)) && !is_watched(&launch(vec![moment("during", 0.0, &[("skin_c", 1.0)])]))
        );
    }

    #[test]
    fn what_services_said_holds_until_they_say_something_else() {
        let launch = launch(vec![
            moment("during", 0.0, &[("thermal_status", 3.0)]),
            moment("during", 1.0, &[]),
            moment("during", 5.0, &[("thermal_status", 0.0)]),
            moment("during", 6.0, &[("thermal_status", 2.0)]),
            moment("during", 9.0, &[]),
        ]);
        assert_eq!(spans(&launch, &machine()), [(0.0, 5.0), (6.0, 9.0)]);
    }
}
