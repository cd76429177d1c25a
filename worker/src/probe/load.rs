//! What else runs on the CPUs: what was busy by the kernel's count, less what is our own.
//!
//! Contract: everything is of the same CPUs and the same time. Reading costs two small files before and two after what is measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ditbench_record::{ForeignLoad, Reading, disturbed};

/// Processor times of one CPU since the machine started, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    busy_s: f64,
    stolen_s: f64,
}

/// The counters at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    at: Instant,
    cpus: Result<BTreeMap<u32, Times>, Reading<ForeignLoad>>,
    waited_s: Reading<f64>,
    /// Processor time of this process itself: of the harness, which is not foreign.
    ours_s: f64,
}

impl Snapshot {
    /// The counters now, of the machine whose files are below `root`.
    pub fn take(root: &Path) -> Self {
        Self::of(root, Instant::now(), own_cpu_s())
    }

    fn of(root: &Path, at: Instant, ours_s: f64) -> Self {
        let stat = root.join("proc/stat");
        let cpus = match fs::read_to_string(&stat) {
            Ok(text) => Ok(times(&text)),
            Err(error) => {
                let why = format!("{}: {error}", stat.display());
                let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
                Err(if denied { Reading::denied(why) } else { Reading::absent(why) })
            }
        };
        let waited_s = super::read::field(root.join("proc/pressure/cpu"), waited);
        Self { at, cpus, waited_s, ours_s }
    }

    /// What else ran on `cpus` from this moment to `later`, while children of ours used `child_s` of processor time.
    pub fn until(&self, later: &Self, cpus: &[u32], child_s: f64) -> Reading<ForeignLoad> {
        let (before, after) = match (&self.cpus, &later.cpus) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(why), _) | (_, Err(why)) => return why.clone(),
        };
        let each: Option<Vec<(Times, Times)>> =
            cpus.iter().map(|cpu| Some((*before.get(cpu)?, *after.get(cpu)?))).collect();
        let Some(each) = each.filter(|each| !each.is_empty()) else {
            return Reading::absent("/proc/stat does not count every CPU that was allowed");
        };
        let sum = |of: fn(&Times) -> f64| each.iter().map(|(before, after)| of(after) - of(before)).sum::<f64>();
        let load = ForeignLoad {
            cpus: u32::try_from(each.len()).unwrap_or(u32::MAX),
            wall_s: later.at.saturating_duration_since(self.at).as_secs_f64(),
            busy_s: sum(|times| times.busy_s),
            own_s: child_s + (later.ours_s - self.ours_s),
            stolen_s: sum(|times| times.stolen_s),
            waited_s: match (&self.waited_s, &later.waited_s) {
                (Reading::Ok(before), Reading::Ok(after)) => Reading::Ok(after - before),
                (Reading::Ok(_), why) | (why, _) => why.clone(),
            },
        };
        // Some sandboxes have the file and never count: what is less than our own is no count of everything.
        if load.own_s > 1.5 * load.busy_s + 0.05 * f64::from(load.cpus) {
            return Reading::absent(format!(
                "/proc/stat counts {:.2} s of processor time, less than the {:.2} s that were our own, so it cannot be \
                 trusted here",
                load.busy_s, load.own_s
            ));
        }
        Reading::Ok(load)
    }
}

/// How long one look at the counters is, and how long to wait for a look that finds nobody.
const LOOK: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(3);

/// Waits a little for other programs to leave the CPUs of this process alone; `false` if they do not. Where nothing is known of
/// them there is nothing to wait for.
pub fn becomes_quiet(root: &Path) -> bool {
    let cpus = super::cpus::allowed(root);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && !crate::interrupt::requested() {
        let before = Snapshot::take(root);
        std::thread::sleep(LOOK);
        match before.until(&Snapshot::take(root), &cpus, 0.0) {
            Reading::Ok(load) if disturbed::is_busy(&load, 1) => {}
            _ => return true,
        }
    }
    false
}

/// `cpu3 user nice system idle iowait irq softirq steal …`, in ticks; a guest's time is in its user time already.
fn times(stat: &str) -> BTreeMap<u32, Times> {
    let per_second = ticks_per_second();
    let line = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let cpu: u32 = words.next().filter(|_| !line.starts_with("cpu "))?.parse().ok()?;
        let ticks: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
        let [user, nice, system, _, _, irq, softirq, stolen] = *ticks.first_chunk::<8>()?;
        let busy = user + nice + system + irq + softirq;
        Some((cpu, Times { busy_s: busy / per_second, stolen_s: stolen / per_second }))
    };
    stat.lines().filter_map(line).collect()
}

/// Seconds since the machine started that the hypervisor gave to others, over these CPUs. `None` if one of them is not counted.
pub fn stolen_s(stat: &str, cpus: &[u32]) -> Option<f64> {
    let times = times(stat);
    let each: Option<Vec<f64>> = cpus.iter().map(|cpu| Some(times.get(cpu)?.stolen_s)).collect();
    each.filter(|each| !each.is_empty()).map(|each| each.iter().sum())
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf has no preconditions.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    // Linux has counted in hundredths for all programs since version 2.6.
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

/// `some avg10=0.12 … total=4711`: microseconds in which some task waited.
fn waited(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    let total = some.split_whitespace().find_map(|word| word.strip_prefix("total="))?;
    Some(1e-6 * total.parse::<f64>().ok()?)
}

/// Processor time of this process, all threads.
fn own_cpu_s() -> f64 {
    // SAFETY: rusage is plain data for which all zeros is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local that lives over the call.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) } == 0 { cpu_s(&usage) } else { 0.0 }
}

/// Processor time by an account of the kernel's.
pub fn cpu_s(usage: &libc::rusage) -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + 1e-6 * time.tv_usec as f64;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    /// Four CPUs, by the ticks that each was busy in user mode and stolen.
    fn machine(busy: [u32; 4], stolen: [u32; 4], waited_us: u32) -> tempfile::TempDir {
        let mut stat = "cpu  9 9 9 9 9 9 9 9 0 0\n".to_owned();
        for cpu in 0..4 {
            stat += &format!("cpu{cpu} {} 0 0 777 55 0 0 {} 0 0\n", busy[cpu], stolen[cpu]);
        }
        stat += "intr 1 2 3\nctxt 5\n";
        let pressure = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={waited_us}\n");
        tree(&[("proc/stat", &stat), ("proc/pressure/cpu", &pressure)])
    }

    fn between(before: &Path, after: &Path, seconds: u64, ours_s: f64) -> (Snapshot, Snapshot) {
        let at = Instant::now();
        (Snapshot::of(before, at, 1.0), Snapshot::of(after, at + Duration::from_secs(seconds), 1.0 + ours_s))
    }

    #[test]
    fn what_is_busy_less_what_is_ours_is_foreign_on_the_cpus_that_were_allowed() {
        let (before, after) = (
            machine([100, 200, 300, 400], [0, 0, 0, 7], 5_000_000),
            machine([1100, 1200, 1300, 400], [0, 100, 0, 9999], 8_000_000),
        );
        let (from, to) = between(before.path(), after.path(), 10, 0.5);
        // CPUs 0 and 1 were busy for all of 10 s each; the worker used 9.5 s of that and we half a second.
        let load = from.until(&to, &[0, 1], 9.5);
        let load = load.value().unwrap();
        assert_eq!((load.cpus, load.busy_s, load.own_s, load.stolen_s), (2, 20.0, 10.0, 1.0));
        assert_eq!((load.share(), load.stolen(), load.waited()), (0.5, 0.05, Some(0.3)));
        // CPUs 2 and 3: CPU 3 was idle. Its stolen time is nobody's who may not use it.
        let load = from.until(&to, &[2], 9.5);
        assert_eq!(load.value().map(|load| (load.share(), load.stolen_s)), Some((0.0, 0.0)));
    }

    #[test]
    fn counters_that_do_not_count_are_no_reading() {
        // A sandbox whose /proc/stat is all zeros.
        let zeros = machine([0; 4], [0; 4], 0);
        let (from, to) = between(zeros.path(), zeros.path(), 10, 0.0);
        let why = from.until(&to, &[0, 1], 9.0);
        assert!(why.why().is_some_and(|why| why.contains("cannot be trusted here")), "{why:?}");
        assert!(from.until(&to, &[0, 9], 0.0).why().is_some_and(|why| why.contains("every CPU")));
        assert!(from.until(&to, &[], 0.0).why().is_some());
        let nowhere = zeros.path().join("nowhere");
        let (from, to) = between(&nowhere, &nowhere, 10, 0.0);
        assert!(from.until(&to, &[0], 0.0).why().is_some_and(|why| why.contains("proc/stat")));
    }

    #[test]
    fn without_pressure_information_the_rest_stands() {
        let before = tree(&[("proc/stat", "cpu0 0 0 0 0 0 0 0 0\n")]);
        let after = tree(&[("proc/stat", "cpu0 500 100 200 0 90 100 100 0\n")]);
        let (from, to) = between(before.path(), after.path(), 10, 0.0);
        let load = from.until(&to, &[0], 4.0);
        let load = load.value().unwrap();
        assert_eq!(load.busy_s, 10.0, "user, nice, system and interrupts; waiting for a disk is idle");
        assert_eq!((load.share(), load.waited()), (0.6, None));
    }

    #[test]
    fn stolen_time_is_summed_over_the_cpus_that_may_be_used() {
        let stat = "cpu  1 2 3 4 5 6 7 6400 0 0\ncpu0 0 0 0 0 0 0 0 100 0 0\ncpu1 0 0 0 0 0 0 0 50 0 0\ncpu2 0 0 0 0 0 0 0 6250\n";
        assert_eq!(stolen_s(stat, &[0, 1]), Some(1.5));
        assert_eq!(stolen_s(stat, &[0, 5]), None);
        assert_eq!((stolen_s("cpu 1 2", &[0]), stolen_s(stat, &[])), (None, None));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_counts() {
        let cpus = super::super::cpus::allowed(Path::new("/"));
        let from = Snapshot::take(Path::new("/"));
        let load = from.until(&Snapshot::take(Path::new("/")), &cpus, 0.0);
        // In a sandbox without counters there is a reason.
        assert!(load.value().is_some_and(|load| load.cpus > 0) || load.why().is_some());
    }
}
