//! What the machine's state makes of a launch: the one place that judges readings, for the run that may make a launch again, for
//! the rows of a report, and for verdicts.
//!
//! Contract: a cause is typed and has a size. What could not be read is no clean bill: reports say so.
//! docs/METHODOLOGY.md has a line for each reading: who judges it, or why nobody does.

use std::fmt;

use crate::cpus;
use crate::held::{self, HeldBack};
use crate::{Cell, CpusUsed, ForeignLoad, Launch, Machine, Peak, Run, Status};

/// Share of the CPUs that other programs, or other machines on the same hardware, may take; below it the times of single images
/// hardly move.
pub const TAKEN: f64 = 0.05;
/// CPUs that other programs may take from a worker that has a thread for each: all its threads wait for the slowest. Somebody
/// who keeps one CPU busy gets half of it beside a worker.
pub const CROWDED: f64 = 0.4;
/// Share of ten seconds, in percent, in which tasks waited for memory: the machine was swapping or reclaiming.
pub const SHORT_OF_MEMORY: f64 = 10.0;

/// A known cause that spoils the times of a launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// The machine held it back, for its heat or its power.
    HeldBack(HeldBack),
    /// A hypervisor gave our processors to other machines.
    Stolen {
        /// Share of the CPUs that the worker was allowed, 0..1.
        share: f64,
    },
    /// Other programs ran on the CPUs that the worker was allowed.
    Foreign {
        /// What was counted.
        load: ForeignLoad,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeldBack(held) => write!(f, "it was held back: {held}"),
            Self::Stolen { share } => write!(f, "the hypervisor gave {:.0} % of the CPUs to others", 100.0 * share),
            Self::Foreign { load } => f.write_str(&foreign_words(load)),
        }
    }
}

/// `other programs took 24 % of the 2 CPUs, and tasks waited for a CPU 61 % of the time`.
pub fn foreign_words(load: &ForeignLoad) -> String {
    let cpus = if load.cpus == 1 { "CPU".to_owned() } else { format!("{} CPUs", load.cpus) };
    let waited = load.waited().filter(|&waited| waited >= 0.01);
    let waited = waited.map(|waited| format!(", and tasks waited for a CPU {:.0} % of the time", 100.0 * waited));
    format!("other programs took {:.0} % of the {cpus}{}", 100.0 * load.share(), waited.unwrap_or_default())
}

/// Whether other programs took so much of the CPUs that what `threads` threads did on them was slowed. Where less was looked at
/// than the kernel counts exactly, only what is beyond its error counts.
pub fn is_busy(load: &ForeignLoad, threads: u32) -> bool {
    let certain = load.share() - load.exact_to();
    certain > TAKEN || (threads >= load.cpus && certain * f64::from(load.cpus) > CROWDED)
}

/// The share of the CPUs, 0..1, that a hypervisor gave to other machines, if it is beyond [`TAKEN`].
pub fn stolen(load: &ForeignLoad) -> Option<f64> {
    (load.stolen() - load.exact_to() > TAKEN).then(|| load.stolen())
}

/// The known cause that spoils a launch with so many threads, if there is one: what held it back; a hypervisor; other programs.
pub fn spoiled(launch: &Launch, machine: &Machine, threads: u32) -> Option<Cause> {
    // Only times can be spoiled: a launch that failed is a finding, whatever the machine did meanwhile.
    if launch.status != Status::Ok {
        return None;
    }
    let load = launch.foreign.value();
    let stolen = || load.and_then(stolen).map(|share| Cause::Stolen { share });
    let foreign = || load.filter(|load| is_busy(load, threads)).map(|load| Cause::Foreign { load: load.clone() });
    held::back(launch, machine).map(Cause::HeldBack).or_else(stolen).or_else(foreign)
}

/// The launches of a cell that ended well and count, and what spoiled the others that did. A known cause, and nothing else, removes one.
pub fn sound<'a>(run: &Run, cell: &'a Cell) -> (Vec<&'a Launch>, Vec<Cause>) {
    let (mut sound, mut spoiled_by) = (Vec::new(), Vec::new());
    for launch in cell.good_launches() {
        // What slows the processor down is no reason to distrust another device.
        let cause = spoiled(launch, &run.machine, cell.key.threads).filter(|_| cell.is_on_processor());
        match cause {
            // Where that is what is measured.
            Some(Cause::HeldBack(_)) if run.is_sustained() => sound.push(launch),
            Some(cause) => spoiled_by.push(cause),
            None => sound.push(launch),
        }
    }
    (sound, spoiled_by)
}

/// Cores that threads can have: those that they are pinned to, else those of the machine that can run them. Only phones pin, and they
/// have no hyper-threads.
pub fn cores_of(pinned: &str, usable: Option<u32>) -> Option<u32> {
    cpus::parse(pinned).and_then(|list| u32::try_from(list.len()).ok()).or(usable)
}

/// The largest share of ten seconds, in percent, in which tasks waited for memory around a launch, if it is beyond
/// [`SHORT_OF_MEMORY`]. No cause to make a launch again: it may well be the worker's own doing.
pub fn short_of_memory(launch: &Launch) -> Option<f64> {
    let readings = launch.telemetry.iter().filter_map(|moment| moment.readings.get("memory_pressure_percent")?.value());
    readings.copied().max_by(f64::total_cmp).filter(|&percent| percent > SHORT_OF_MEMORY)
}

/// The CPUs that a worker can have at once: those that the kernel allowed its launch, and what the control group's quota leaves of
/// them. `None` if neither is known.
pub fn cpus_for(machine: &Machine, launch: &Launch) -> Option<u32> {
    let allowed = launch.cpus.as_ref().and_then(CpusUsed::count);
    // A launch on a phone has its list; without one the machine's own count is the best that there is.
    let allowed = allowed.or_else(|| machine.logical_cores.value().copied());
    let quota = machine.cpu_quota.value().filter(|quota| quota.is_finite() && **quota > 0.0);
    let quota = quota.map(|quota| (quota.ceil() as u32).max(1));
    allowed.into_iter().chain(quota).min()
}

/// `2 threads`, `1 CPU`, `6 launches`.
pub fn several(n: impl std::fmt::Display, what: &str) -> String {
    let n = n.to_string();
    let end = match (n.as_str(), what.ends_with("ch")) {
        ("1", _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{n} {what}{end}")
}

/// What to do about other programs.
pub const CURE: &str = "Stop other work on this machine, or reserve CPUs for the run, and measure again.";

/// What is suspicious about a peak.
#[derive(Clone, Debug, PartialEq)]
pub enum PeakDoubt {
    /// Other programs ran while it was measured.
    Busy {
        /// What was counted, in words.
        said: String,
    },
    /// Several threads reached hardly more than one, though there is a core for each.
    NotMore {
        /// How many times as much.
        times: f64,
    },
    /// The best of the repetitions is far from the typical one.
    Uneven {
        /// Their median as a share of the best.
        median: f64,
    },
}

impl fmt::Display for PeakDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { said } => write!(f, "while it was measured, {said}"),
            Self::NotMore { times } => {
                write!(f, "it is only {times:.2} times that of 1 thread, although there is a core for each")
            }
            Self::Uneven { median } => {
                write!(f, "half of its repetitions reached no more than {:.0} % of it", 100.0 * median)
            }
        }
    }
}

/// A peak of several threads that is not this many times that of one: somebody else had the other cores.
const MORE: f64 = 1.3;
/// The median of a peak's repetitions on a quiet machine is within a few percent of the best.
const EVEN: f64 = 0.8;

/// What is suspicious about a peak; nothing if it looks like one. `cores` are those that could run its threads, hyper-threads
/// counted once.
pub fn peak_doubts(peak: &Peak, all: &[Peak], cores: Option<u32>) -> Vec<PeakDoubt> {
    let mut doubts = Vec::new();
    if let Some(load) = peak.foreign.value().filter(|load| is_busy(load, peak.threads)) {
        doubts.push(PeakDoubt::Busy { said: foreign_words(load) });
    }
    // Memory may be one thread's alone; arithmetic is not.
    let one =
        all.iter().find(|one| (&one.kind, &one.cpus, one.threads) == (&peak.kind, &peak.cpus, 1) && one.value > 0.0);
    let cores = cores_of(&peak.cpus, cores);
    let has_cores = peak.kind != BANDWIDTH && peak.threads > 1 && cores.is_some_and(|cores| peak.threads <= cores);
    if let Some(times) = one.filter(|_| has_cores).map(|one| peak.value / one.value).filter(|times| *times < MORE) {
        doubts.push(PeakDoubt::NotMore { times });
    }
    let median = median(&peak.samples).map(|median| median / peak.value);
    if let Some(median) = median.filter(|median| *median < EVEN) {
        doubts.push(PeakDoubt::Uneven { median });
    }
    doubts
}

const BANDWIDTH: &str = "bandwidth";

/// Why a peak of this machine is not to be trusted, in words; `None` if it looks like one.
pub fn doubtful_peak(machine: &Machine, peak: &Peak) -> Option<String> {
    // Older records have the machine's cores alone.
    let least =
        || machine.physical_cores.value().copied().into_iter().chain(machine.logical_cores.value().copied()).min();
    let cores = machine.usable_cores.value().copied().or_else(least);
    let said: Vec<String> = peak_doubts(peak, &machine.peaks, cores).iter().map(ToString::to_string).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The middle of the values, or of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted[middle - 1] + upper) / 2.0) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Calibration, CellKey, Device, Reading, Telemetry};

    fn load(cpus: u32, wall_s: f64, foreign: f64, stolen: f64) -> ForeignLoad {
        let own_s = 0.4 * wall_s * f64::from(cpus);
        let busy_s = own_s + foreign * wall_s * f64::from(cpus);
        let stolen_s = stolen * wall_s * f64::from(cpus);
        ForeignLoad { cpus, wall_s, busy_s, own_s, stolen_s, waited_s: Reading::Ok(0.6 * wall_s) }
    }

    fn launch(load: ForeignLoad) -> Launch {
        Launch { status: Status::Ok, foreign: Reading::Ok(load), ..Launch::default() }
    }

    #[test]
    fn one_core_kept_busy_spoils_a_launch() {
        // Beside a worker with two threads, somebody who keeps one of two CPUs busy gets half of it: a quarter of both.
        let cause = spoiled(&launch(load(2, 10.0, 0.25, 0.0)), &Machine::default(), 2).unwrap();
        assert_eq!(
            cause.to_string(),
            "other programs took 25 % of the 2 CPUs, and tasks waited for a CPU 60 % of the time"
        );
        // Of 64 it is less than a hundredth: in the way of 64 threads, and not of 2.
        assert!(spoiled(&launch(load(64, 10.0, 0.5 / 64.0, 0.0)), &Machine::default(), 64).is_some());
        assert_eq!(spoiled(&launch(load(64, 10.0, 0.5 / 64.0, 0.0)), &Machine::default(), 2), None);
        assert_eq!(spoiled(&launch(load(2, 10.0, 0.03, 0.0)), &Machine::default(), 2), None);
    }

    #[test]
    fn a_short_launch_is_judged_by_what_the_kernel_counts_exactly() {
        assert_eq!(
            spoiled(&launch(load(2, 0.1, 0.15, 0.0)), &Machine::default(), 2),
            None,
            "15 % of 0.1 s is within the ticks"
        );
        assert!(spoiled(&launch(load(2, 0.1, 0.4, 0.0)), &Machine::default(), 2).is_some());
    }

    #[test]
    fn stolen_time_is_a_share_of_the_cpus_that_were_allowed() {
        let cause = spoiled(&launch(load(2, 10.0, 0.0, 0.2)), &Machine::default(), 2).unwrap();
        assert!(matches!(cause, Cause::Stolen { share } if (share - 0.2).abs() < 1e-9), "{cause:?}");
        assert_eq!(spoiled(&launch(load(2, 10.0, 0.0, 0.04)), &Machine::default(), 2), None);
    }

    #[test]
    fn a_launch_that_failed_is_never_spoiled() {
        let slower = Calibration { before_s: Reading::Ok(0.2), after_s: Reading::Ok(0.3) };
        let launch = |status| Launch {
            status,
            calibration: slower.clone(),
            foreign: Reading::Ok(load(2, 1.0, 0.5, 0.5)),
            ..Launch::default()
        };
        assert!(
            spoiled(&launch(Status::Ok), &Machine::default(), 2)
                .is_some_and(|why| why.to_string().contains("50 % slower"))
        );
        for status in [Status::Oom, Status::Error, Status::Timeout, Status::Interrupted] {
            assert_eq!(spoiled(&launch(status), &Machine::default(), 2), None, "{status:?}");
        }
    }

    #[test]
    fn a_busy_processor_does_not_spoil_another_device() {
        let run = Run::default();
        let key = CellKey { threads: 2, ..CellKey::default() };
        let of = |kind: Option<&str>| Cell {
            key: key.clone(),
            device: kind.map(|kind| Device { kind: Some(kind.into()), ..Device::default() }),
            launches: vec![launch(load(2, 10.0, 0.25, 0.0)), launch(load(2, 10.0, 0.0, 0.0))],
            ..Cell::default()
        };
        let counts = |cell: &Cell| (sound(&run, cell).0.len(), sound(&run, cell).1.len());
        assert_eq!([of(None), of(Some("cpu"))].map(|cell| counts(&cell)), [(1, 1); 2]);
        assert_eq!(counts(&of(Some("gpu"))), (2, 0));
    }

    #[test]
    fn what_held_it_back_goes_before_who_was_there_too() {
        let mut launch = launch(load(8, 5.0, 0.3, 0.0));
        assert!(matches!(spoiled(&launch, &Machine::default(), 4), Some(Cause::Foreign { .. })));
        launch.calibration = Calibration { before_s: Reading::Ok(0.2), after_s: Reading::Ok(0.3) };
        assert!(matches!(spoiled(&launch, &Machine::default(), 4), Some(Cause::HeldBack(_))));
    }

    #[test]
    fn memory_that_is_short_is_seen_in_any_reading_of_the_launch() {
        let moment = |percent| Telemetry {
            readings: BTreeMap::from([("memory_pressure_percent".to_owned(), Reading::Ok(percent))]),
            ..Telemetry::default()
        };
        let launch = |percents: &[f64]| Launch {
            telemetry: percents.iter().map(|&percent| moment(percent)).collect(),
            ..Launch::default()
        };
        assert_eq!(short_of_memory(&launch(&[0.0, 42.0, 3.0])), Some(42.0));
        assert_eq!(short_of_memory(&launch(&[0.0, 9.0])), None);
        assert_eq!(short_of_memory(&launch(&[])), None);
    }

    #[test]
    fn the_cpus_of_a_launch_are_those_allowed_and_paid_for() {
        let allowed = |list: &str| Launch {
            cpus: Some(CpusUsed { allowed: Some(list.to_owned()), seen: Vec::new() }),
            ..Launch::default()
        };
        let machine = |quota| Machine { cpu_quota: quota, logical_cores: Reading::Ok(64), ..Machine::default() };
        assert_eq!(cpus_for(&machine(Reading::Ok(1.5)), &allowed("0-63")), Some(2));
        assert_eq!(cpus_for(&machine(Reading::absent("no limit")), &allowed("4-7")), Some(4));
        assert_eq!(cpus_for(&machine(Reading::absent("no limit")), &Launch::default()), Some(64));
        assert_eq!(cpus_for(&Machine::default(), &Launch::default()), None);
    }

    fn peak(kind: &str, threads: u32, value: f64) -> Peak {
        let samples = [0.97, 0.99, 1.0].map(|share| share * value).to_vec();
        Peak { kind: kind.into(), threads, value, samples, ..Peak::default() }
    }

    #[test]
    fn the_give_aways_of_a_peak_measured_under_load() {
        let quiet = [peak("f32", 1, 100.0), peak("f32", 2, 198.0)];
        assert_eq!(peak_doubts(&quiet[1], &quiet, Some(2)), []);
        // Two threads, and no more than one reached: the other core was somebody else's.
        let taken = [peak("f32", 1, 100.0), peak("f32", 2, 103.0)];
        assert_eq!(peak_doubts(&taken[1], &taken, Some(2)), [PeakDoubt::NotMore { times: 1.03 }]);
        assert_eq!(peak_doubts(&taken[0], &taken, Some(2)), [], "one thread cannot be told by this");
        assert_eq!(peak_doubts(&taken[1], &taken, Some(1)), [], "two threads of one core are not twice one");
        assert_eq!(peak_doubts(&taken[1], &taken, None), [], "cores are not known");
        let memory = [peak("bandwidth", 1, 20.0), peak("bandwidth", 2, 20.0)];
        assert_eq!(peak_doubts(&memory[1], &memory, Some(2)), [], "one thread can have all of the memory");
        let mut uneven = peak("f32", 1, 100.0);
        uneven.samples = vec![52.0, 50.0, 55.0, 100.0, 51.0];
        assert_eq!(peak_doubts(&uneven, &[], None), [PeakDoubt::Uneven { median: 0.52 }]);
        let mut busy = peak("f32", 2, 198.0);
        let load = ForeignLoad { cpus: 2, wall_s: 0.3, busy_s: 0.55, own_s: 0.4, ..ForeignLoad::default() };
        busy.foreign = Reading::Ok(load);
        assert!(
            matches!(&peak_doubts(&busy, &[], None)[..], [PeakDoubt::Busy { said }] if said.contains("25 % of the 2 CPUs"))
        );
    }
}
