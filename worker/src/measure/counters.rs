//! The processor's counters around each timed image, by `perf_event_open`.
//!
//! Contract: opened before any other thread is started, so that every thread of the process, and every process that it starts, counts
//! too (`inherit`); a group of counters cannot be inherited, so each is opened and read by itself. Only user space counts, which
//! is what the kernel lets anybody count. A counter that took turns with others is scaled to the whole time, and the share of the time
//! that it counted stands beside it; one that counted too little of the time gives nothing. Read between images, never inside a
//! timed one.

use std::collections::BTreeMap;

use ditbench_record::{Count, Counter, Reading};

/// The least share of the time that a counter must have counted for its count to be scaled up.
const LEAST: f64 = 0.25;

/// What counts, in words.
const WHAT: &str = "user space; all threads of the process and of what it starts";

/// The counters of this process, from when they were opened.
pub struct Counters {
    open: Vec<(Counter, Reading<system::Open>)>,
}

/// What each counter said at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment(BTreeMap<Counter, Raw>);

/// A counter's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Raw {
    count: u64,
    /// Nanoseconds in which it was to count, all threads together.
    enabled: u64,
    /// Nanoseconds in which it did.
    running: u64,
}

impl Counters {
    /// Opens each; those that are not there or not allowed have their reason.
    pub fn open() -> Self {
        Self { open: Counter::ALL.map(|counter| (counter, system::open(counter))).into() }
    }

    /// None, for this reason.
    pub fn none(why: &str) -> Self {
        Self { open: Counter::ALL.map(|counter| (counter, Reading::absent(why))).into() }
    }

    /// What each counts, or why it does not.
    pub fn events(&self) -> BTreeMap<Counter, Reading<String>> {
        self.open.iter().map(|(counter, open)| (*counter, open.map(|_| WHAT.to_owned()))).collect()
    }

    /// Why nothing counts instructions; `None` if something does.
    pub fn why_no_instructions(&self) -> Option<&str> {
        self.open.iter().find(|(counter, _)| *counter == Counter::Instructions).and_then(|(_, open)| open.why())
    }

    /// What they say now.
    pub fn read(&mut self) -> Moment {
        let read = |(counter, open): &mut (Counter, Reading<system::Open>)| match open {
            Reading::Ok(open) => Some((*counter, system::read(open)?)),
            Reading::Denied { .. } | Reading::Absent { .. } => None,
        };
        Moment(self.open.iter_mut().filter_map(read).collect())
    }
}

impl Moment {
    /// What was counted since an earlier moment.
    pub fn since(&self, earlier: &Self) -> BTreeMap<Counter, Count> {
        let of = |(counter, now): (&Counter, &Raw)| Some((*counter, now.since(*earlier.0.get(counter)?)?));
        self.0.iter().filter_map(of).collect()
    }
}

impl Raw {
    /// `None` if it counted too little of the time, or went backwards.
    fn since(self, earlier: Self) -> Option<Count> {
        let count = self.count.checked_sub(earlier.count)? as f64;
        let enabled = self.enabled.checked_sub(earlier.enabled)? as f64;
        let running = self.running.checked_sub(earlier.running)? as f64;
        if enabled <= 0.0 {
            return None;
        }
        // Both are sums over threads, read one after another.
        let counted = (running / enabled).min(1.0);
        (counted >= LEAST).then(|| Count { count: (count / counted).round(), counted })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io::Error;

    use ditbench_record::{Counter, Reading};
    use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware};

    use super::Raw;

    pub(super) type Open = perf_event::Counter;

    pub(super) fn open(counter: Counter) -> Reading<Open> {
        match counter {
            Counter::Instructions => of(Hardware::INSTRUCTIONS),
            Counter::Cycles => of(Hardware::CPU_CYCLES),
            Counter::BranchMisses => of(Hardware::BRANCH_MISSES),
            // `CACHE_MISSES` is of the first level on some processors of ARM.
            Counter::LlcMisses => of(Cache { which: CacheId::LL, operation: CacheOp::READ, result: CacheResult::MISS }),
        }
    }

    pub(super) fn of(event: impl Event) -> Reading<Open> {
        let opened = perf_event::Builder::new(event).inherit(true).enabled(true).build();
        opened.map_or_else(|error| refused(&error), Reading::Ok)
    }

    /// The kernel's answer in words.
    pub(super) fn refused<T>(error: &Error) -> Reading<T> {
        match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Reading::denied(format!(
                "perf_event_open: {error}. The system keeps its counters from programs: allow them with `sysctl \
                 kernel.perf_event_paranoid=2`, in a container with the capability PERFMON, and on a phone with `adb shell \
                 setprop security.perf_harden 0`"
            )),
            Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV | libc::EINVAL) => Reading::absent(format!(
                "perf_event_open: {error}. This processor has no such counter, or this virtual machine is not given it"
            )),
            Some(libc::ENOSYS) => Reading::absent("this kernel has no perf_event_open"),
            _ => Reading::absent(format!("perf_event_open: {error}")),
        }
    }

    pub(super) fn read(open: &mut Open) -> Option<Raw> {
        let read = open.read_count_and_time().ok()?;
        Some(Raw { count: read.count, enabled: read.time_enabled, running: read.time_running })
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use ditbench_record::{Counter, Reading};

    use super::Raw;

    pub(super) enum Open {}

    pub(super) fn open(_: Counter) -> Reading<Open> {
        Reading::absent("only Linux and Android let a program read the processor's counters")
    }

    pub(super) fn read(open: &mut Open) -> Option<Raw> {
        match *open {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(count: u64, enabled: u64, running: u64) -> Raw {
        Raw { count, enabled, running }
    }

    #[test]
    fn what_took_turns_is_scaled_and_says_so_and_what_hardly_counted_is_nothing() {
        let before = raw(1_000, 500, 400);
        let since =
            |count: u64, enabled: u64, running: u64| raw(1_000 + count, 500 + enabled, 400 + running).since(before);
        assert_eq!(since(900, 100, 100), Some(Count { count: 900.0, counted: 1.0 }));
        assert_eq!(since(900, 100, 50), Some(Count { count: 1_800.0, counted: 0.5 }));
        assert_eq!(since(900, 100, 24), None, "less than a quarter of the time");
        assert_eq!(since(0, 100, 0), None, "it never counted: that is no zero");
        assert_eq!(since(0, 100, 100), Some(Count { count: 0.0, counted: 1.0 }), "it counted, and there was nothing");
        assert_eq!(since(5, 0, 0), None, "no time went by");
        // Sums over threads that are read one after another may be out by a little.
        assert_eq!(since(900, 100, 101), Some(Count { count: 900.0, counted: 1.0 }));
        assert_eq!(raw(0, 900, 900).since(before), None, "a counter that went backwards");
    }

    #[test]
    fn a_counter_that_one_moment_lacks_has_no_count() {
        let moment = |counters: &[Counter]| Moment(counters.iter().map(|counter| (*counter, raw(7, 10, 10))).collect());
        let later =
            Moment(BTreeMap::from([(Counter::Instructions, raw(9, 20, 20)), (Counter::Cycles, raw(9, 20, 20))]));
        let counts = later.since(&moment(&[Counter::Cycles, Counter::LlcMisses]));
        assert_eq!(counts, BTreeMap::from([(Counter::Cycles, Count { count: 2.0, counted: 1.0 })]));
    }

    /// Here or not, each says which.
    #[test]
    fn every_counter_counts_or_says_why_not() {
        let mut counters = Counters::open();
        let before = counters.read();
        let mut sum = 0u64;
        for n in 0..1_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(n * n));
        }
        let counts = counters.read().since(&before);
        for (counter, event) in counters.events() {
            match event {
                // It may be there and never get its turn.
                Reading::Ok(_) => {
                    if let Some(count) = counts.get(&counter).filter(|_| counter == Counter::Instructions) {
                        assert!(count.count > 1e6, "{counter:?}: {count:?}");
                    }
                }
                Reading::Denied { why } | Reading::Absent { why } => {
                    assert!(!counts.contains_key(&counter) && why.len() > 20, "{counter:?}: {why}");
                }
            }
        }
        assert_eq!(counters.why_no_instructions().is_some(), counters.events()[&Counter::Instructions].why().is_some());
    }

    /// The kernel's own events, which every machine has, go the same way through the system as the processor's.
    #[cfg(target_os = "linux")]
    #[test]
    fn threads_that_are_started_later_count_too() {
        use perf_event::events::Software;

        let mut open = match system::of(Software::TASK_CLOCK) {
            Reading::Ok(open) => open,
            Reading::Denied { why } | Reading::Absent { why } => {
                // A container may forbid the call altogether.
                // Not by the macro, whose output cargo hides for tests that pass.
                let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("NOT RUN: {why}\n"));
                return;
            }
        };
        let before = system::read(&mut open).unwrap();
        let work = || {
            let begun = std::time::Instant::now();
            while begun.elapsed().as_millis() < 20 {
                std::hint::spin_loop();
            }
        };
        let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let after = system::read(&mut open).unwrap();
        // Nanoseconds of processor: this thread only waited, so they are the others'.
        let count = after.since(before).unwrap();
        assert!(count.counted == 1.0 && count.count > 1e6, "{count:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_refuses_is_denied_and_what_is_not_there_is_absent() {
        let refused = |errno| system::refused::<()>(&std::io::Error::from_raw_os_error(errno));
        for errno in [libc::EACCES, libc::EPERM] {
            let Reading::Denied { why } = refused(errno) else { panic!("{errno}") };
            assert!(why.contains("perf_event_paranoid") && why.contains("PERFMON"), "{why}");
        }
        for (errno, words) in [(libc::ENOENT, "no such counter"), (libc::ENOSYS, "kernel"), (libc::EMFILE, "files")] {
            let Reading::Absent { why } = refused(errno) else { panic!("{errno}") };
            assert!(why.contains(words), "{why}");
        }
    }
}
