//! A trace of the whole system by Android's `perfetto`, while a worker is at work: which thread ran on which core, clocks, the
//! battery and, where a phone has them, its power rails.
//!
//! Contract: for a launch in which nothing is timed. Configuration and trace go through pipes, because Android lets `perfetto` open
//! files in few folders only. It ends with the launch: asked to, and killed if it does not.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ditbench_record::Reading;

/// The trace's name in a launch's folder.
pub const TRACE: &str = "system.perfetto-trace";

/// How long it may take to hand over what it has.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is traced, in the words that every version since Android 10 knows: events that a kernel has not got are left out by
/// `perfetto` itself, and an unknown field would be refused. The last events stay where the buffer is too small.
const CONFIG: &str = r#"buffers { size_kb: 65536 fill_policy: RING_BUFFER }
data_sources { config { name: "linux.ftrace" ftrace_config {
  ftrace_events: "sched/sched_switch" ftrace_events: "sched/sched_wakeup" ftrace_events: "sched/sched_waking"
  ftrace_events: "power/cpu_frequency" ftrace_events: "power/cpu_idle" ftrace_events: "power/gpu_frequency"
  ftrace_events: "power/suspend_resume" ftrace_events: "thermal/thermal_temperature" ftrace_events: "thermal/cdev_update"
  buffer_size_kb: 8192 drain_period_ms: 250
} } }
data_sources { config { name: "linux.process_stats" process_stats_config { scan_all_processes_on_start: true } } }
data_sources { config { name: "android.power" android_power_config {
  battery_poll_ms: 1000 collect_power_rails: true
  battery_counters: BATTERY_COUNTER_CAPACITY_PERCENT battery_counters: BATTERY_COUNTER_CHARGE
  battery_counters: BATTERY_COUNTER_CURRENT
} } }
"#;

/// A trace being taken.
pub(super) struct Trace {
    child: Child,
    /// Writes the trace; gives its bytes.
    copies: JoinHandle<std::io::Result<u64>>,
    /// What it complains of.
    says: JoinHandle<String>,
}

impl Trace {
    /// Starts it. It ends by itself after so long, if nobody is left to end it.
    ///
    /// # Errors
    /// There is no `perfetto`, or it cannot be started.
    pub(super) fn start(program: &str, folder: &Path, at_most: Duration) -> Result<Self, String> {
        let path = folder.join(TRACE);
        let mut file = std::fs::File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let started = Command::new(program)
            .args(["--txt", "-c", "-", "-o", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.map_err(|error| format!("{program} (Android 10 and later have it): {error}"))?;
        let (Some(mut orders), Some(mut trace), Some(mut words)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("{program} has no pipes"));
        };
        let copies = std::thread::spawn(move || std::io::copy(&mut trace, &mut file));
        let says = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = words.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        });
        // If it does not read this it has ended, and says why.
        let _ = writeln!(orders, "{CONFIG}duration_ms: {}", at_most.as_millis().min(u128::from(u32::MAX)));
        Ok(Self { child, copies, says })
    }

    /// Ends it; gives the bytes of the trace.
    pub(super) fn stop(mut self) -> Reading<u64> {
        let begun = Instant::now();
        let pid = self.child.id().cast_signed();
        // It hands over what it has and ends, as for Ctrl-C, which a program that was started in the background may have to ignore.
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let status = self.child.wait();
        let bytes = self.copies.join().unwrap_or(Ok(0));
        let said = self.says.join().unwrap_or_default();
        let said = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing").to_owned();
        match (bytes, status) {
            (Ok(bytes), _) if bytes > 0 => Reading::Ok(bytes),
            (Err(error), _) => Reading::absent(format!("perfetto's trace could not be written: {error}")),
            (Ok(_), Ok(status)) if said.contains("ermission") => {
                Reading::denied(format!("perfetto ({status}): {said}"))
            }
            (Ok(_), Ok(status)) => Reading::absent(format!("perfetto gave no trace ({status}): {said}")),
            (Ok(_), Err(error)) => Reading::absent(format!("perfetto: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in with this script.
    fn stand_in(dir: &Path, script: &str) -> String {
        let path = dir.join("perfetto");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    fn taken(script: &str) -> (Reading<u64>, String) {
        let dir = tempfile::tempdir().unwrap();
        let program = stand_in(dir.path(), script);
        let trace = Trace::start(&program, dir.path(), Duration::from_secs(900)).unwrap();
        // It has read its orders.
        let begun = Instant::now();
        while !dir.path().join("orders").exists() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        (trace.stop(), std::fs::read_to_string(dir.path().join(TRACE)).unwrap())
    }

    #[test]
    fn a_trace_is_what_it_hands_over_when_it_is_asked_to_end() {
        let script = "trap 'printf traced; exit 0' TERM; here=${0%/*}; cat > $here/read; mv $here/read $here/orders; \
                      while :; do sleep 0.05; done";
        assert_eq!(taken(script), (Reading::Ok(6), "traced".to_owned()));
        // These two end by themselves, whatever they are asked.
        let orders = "trap '' TERM; case \"$*\" in '--txt -c - -o -') ;; *) exit 9;; esac; here=${0%/*}; cat > $here/read; \
                      mv $here/read $here/orders; cat $here/orders";
        let (bytes, orders) = taken(orders);
        assert!(bytes.value().is_some(), "{bytes:?}");
        assert!(orders.contains("sched/sched_switch") && orders.ends_with("duration_ms: 900000\n"), "{orders}");
    }

    #[test]
    fn why_there_is_none_is_said() {
        let refused =
            "trap '' TERM; here=${0%/*}; cat > $here/orders; echo 'connecting: Permission denied' >&2; exit 1";
        let (bytes, _) = taken(refused);
        assert!(matches!(&bytes, Reading::Denied { why } if why.contains("connecting")), "{bytes:?}");
        let missing = Trace::start("/nowhere/perfetto", tempfile::tempdir().unwrap().path(), Duration::from_secs(1));
        assert!(missing.err().is_some_and(|why| why.contains("Android 10")), "no such program");
    }
}
