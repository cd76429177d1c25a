//! Sensors while the worker is at work: a thread of the process that looks after the worker, not of the worker itself, so
//! that the worker's memory and threads are its own.
//!
//! Contract: every second the small files, every fifth time Android's services too, and all of it once more when the worker
//! has ended: a launch of a tenth of a second has a sample too, and heat that came late is seen. What a reading costs is
//! measured and told with the launch. Values that cannot be read are left out here: the launch's first telemetry says why.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ditbench_record::{Reading, Telemetry};

use super::journal::{Journal, Line};
use crate::probe::phone::{Cluster, Sources, clusters, readings, sources};

/// From one sample to the next.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Services are asked at every so many samples.
const SERVICES_EVERY: u32 = 5;

/// A sampler at work.
pub(super) struct Sampler {
    shared: Arc<Shared>,
    thread: std::thread::JoinHandle<Cost>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    worker: AtomicU32,
    cpus: Mutex<BTreeSet<u32>>,
}

/// What sampling took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    samples: u32,
    own_cpu_s: f64,
    services: u32,
    services_s: f64,
}

impl Sampler {
    /// Starts. `begun` is the launch's zero.
    pub(super) fn start(journal: Arc<Journal>, begun: Instant) -> Self {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || sample(&journal, begun, &its));
        Self { shared, thread }
    }

    /// The worker's process, once it is known: the CPUs that its threads run on are looked at with each sample.
    pub(super) fn watch(&self, pid: u32) {
        self.shared.worker.store(pid, Ordering::Relaxed);
    }

    /// Ends it; gives the CPUs on which the worker was seen, and what sampling cost.
    pub(super) fn stop(self) -> (Vec<u32>, String) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let cost = self.thread.join().unwrap_or_default();
        let cpus = self.shared.cpus.lock().map(|cpus| cpus.iter().copied().collect()).unwrap_or_default();
        (cpus, cost.said())
    }
}

impl Cost {
    fn said(self) -> String {
        format!(
            "sampler: {} samples, {:.1} ms of processor time; Android's services asked {} times, {:.0} ms in all (their own work not counted)",
            self.samples,
            1e3 * self.own_cpu_s,
            self.services,
            1e3 * self.services_s
        )
    }
}

fn sample(journal: &Journal, begun: Instant, shared: &Shared) -> Cost {
    let fixed = sources::read_here();
    let groups = clusters::group(&fixed);
    let watch = sources::Watch::new();
    let services = has("dumpsys");
    // Only where nothing cheaper has the current.
    let known = readings::all(&fixed, &groups);
    let has_current = |name: &str| known.get(name).is_some_and(|reading| reading.value().is_some());
    let by_command = !has_current("battery_current_raw") && !has_current("battery_current_service_raw");
    let mut cost = Cost::default();
    let cpu_before = thread_cpu_s();
    let mut number = 0u32;
    loop {
        let last = shared.stop.load(Ordering::Relaxed);
        let at_s = begun.elapsed().as_secs_f64();
        let asked = (services && (last || number.is_multiple_of(SERVICES_EVERY))).then(|| {
            let started = Instant::now();
            let answer = ask_services(&watch, by_command);
            cost.services += 1;
            cost.services_s += started.elapsed().as_secs_f64();
            answer
        });
        let readings = take(&watch, &groups, asked.as_ref());
        journal.add(&Line::Sample(Telemetry { at_s, moment: "during".to_owned(), readings }));
        look_at_worker(shared);
        number += 1;
        if last {
            break;
        }
        let next = EVERY * number;
        std::thread::park_timeout(next.saturating_sub(begun.elapsed()).max(Duration::from_millis(50)));
    }
    cost.samples = number;
    cost.own_cpu_s = thread_cpu_s() - cpu_before;
    cost
}

/// Only what could be read.
fn take(watch: &sources::Watch, groups: &[Cluster], services: Option<&Sources>) -> BTreeMap<String, Reading<f64>> {
    let mut all = match services {
        Some(services) => readings::all(services, groups),
        None => readings::quick(&watch.read(), groups),
    };
    all.retain(|_, reading| reading.value().is_some());
    all
}

fn ask_services(watch: &sources::Watch, current_by_command: bool) -> Sources {
    Sources {
        thermal: Some(sources::command("dumpsys", &["thermalservice"])),
        battery: Some(sources::command("dumpsys", &["battery"])),
        battery_command: current_by_command.then(sources::command_current),
        files: watch.read(),
        ..Sources::default()
    }
}

/// Whether a program is there at all.
fn has(program: &str) -> bool {
    let tried =
        Command::new(program).arg("-l").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok()
}

/// On which CPU each of the worker's threads last ran: field 39 of `stat`, counted after the name in brackets.
fn look_at_worker(shared: &Shared) {
    let pid = shared.worker.load(Ordering::Relaxed);
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let running = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        running_on(&stat)
    });
    if let Ok(mut cpus) = shared.cpus.lock() {
        cpus.extend(running);
    }
}

/// The CPU of a thread that is running now; `None` for one that waits.
fn running_on(stat: &str) -> Option<u32> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (*fields.first()? == "R").then_some(())?;
    fields.get(36)?.parse().ok()
}

/// Processor time of this thread.
fn thread_cpu_s() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that lives over the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0 {
        return 0.0;
    }
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_a_running_thread_is_read_and_of_a_waiting_one_is_not() {
        let stat = |state: &str| {
            let zeros = vec!["0"; 35].join(" ");
            format!("12 (a ) b) {state} {zeros} 5 0 0")
        };
        assert_eq!(running_on(&stat("R")), Some(5));
        assert_eq!(running_on(&stat("S")), None);
        assert_eq!(running_on("12 (x) R 0"), None);
        assert_eq!(running_on(""), None);
    }
}
