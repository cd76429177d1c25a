//! Sensors of this machine while a worker is at work: a thread of ours, not of the worker's, so that the worker's memory
//! and threads are its own.
//!
//! Contract: once a second, a handful of small files; what it costs is measured and told with the launch, and
//! `ditbench aa --telemetry` says what it does to the worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ditbench_record::Telemetry;

use ditbench_worker::probe;

/// From one sample to the next.
const EVERY: Duration = Duration::from_secs(1);

/// A sampler at work.
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(Vec<Telemetry>, f64)>,
}

impl Sampler {
    /// Starts; the launch began at `begun`.
    pub fn start(begun: Instant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let its = Arc::clone(&stop);
        let thread = std::thread::spawn(move || sample(begun, &its));
        Self { stop, thread }
    }

    /// Ends it: the samples, and what they cost, in words.
    pub fn stop(self) -> (Vec<Telemetry>, String) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        let (samples, cpu_s) = self.thread.join().unwrap_or_default();
        let said = format!("telemetry: {} samples, {:.1} ms of processor time", samples.len(), 1e3 * cpu_s);
        (samples, said)
    }
}

fn sample(begun: Instant, stop: &AtomicBool) -> (Vec<Telemetry>, f64) {
    let mut samples = Vec::new();
    let mut next = begun + EVERY;
    loop {
        while let Some(left) = next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            std::thread::park_timeout(left);
        }
        if stop.load(Ordering::Relaxed) {
            return (samples, own_cpu_seconds());
        }
        let mut readings = probe::sensors::read();
        // Why something cannot be read is told once, by the reading before the launch.
        readings.retain(|_, reading| reading.value().is_some());
        samples.push(Telemetry { at_s: begun.elapsed().as_secs_f64(), moment: "during".to_owned(), readings });
        next += EVERY;
    }
}

/// Processor time of this thread.
fn own_cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that lives over the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    if done == 0 { time.tv_sec as f64 + time.tv_nsec as f64 / 1e9 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_samples_while_it_runs_and_stops_at_once() {
        // A launch that began long ago: samples are due now.
        let begun = Instant::now().checked_sub(Duration::from_secs(3)).unwrap();
        let sampler = Sampler::start(begun);
        let started = Instant::now();
        while !sampler.thread.is_finished() && started.elapsed() < Duration::from_millis(200) {
            std::thread::yield_now();
        }
        let (samples, said) = sampler.stop();
        assert!(samples.len() >= 2, "{said}");
        assert!(samples.windows(2).all(|pair| pair[0].at_s <= pair[1].at_s));
        assert!(samples.iter().all(|sample| sample.readings.values().all(|reading| reading.value().is_some())));
    }
}
