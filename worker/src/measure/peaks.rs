//! What this machine can reach: the roof under which achieved rates are put. Measured at the start of every run.
//!
//! Contract: a peak says what ran, with which instructions, and what else ran meanwhile. One that does not look like a peak is
//! measured again; if it still does not, the record has what gives it away, and no report shows a share of it.

use std::collections::BTreeSet;
use std::time::Duration;

use ditbench_kernels::peak::{self, Grouped, PeakSample};
use ditbench_kernels::{Isa, KernelError};
use ditbench_record::{Peak, disturbed};

use crate::output::tell;
use crate::probe::load::Snapshot;
use crate::probe::{self, cpus};

/// Time for one kind at one thread count: enough for several repetitions.
const BUDGET: Duration = Duration::from_millis(300);
/// How often a peak that does not look like one is measured again.
const AGAIN: usize = 2;

/// A loop of ours.
struct Loop {
    kind: &'static str,
    /// What it does, in words.
    method: &'static str,
    run: fn(Isa, usize) -> Result<PeakSample, KernelError>,
}

const LOOPS: [Loop; 5] = [
    Loop {
        kind: "f32",
        method: "fused multiply-adds alone, every operand in a register",
        run: |isa, threads| peak::measure_f32(isa, threads, BUDGET),
    },
    Loop {
        kind: "q4",
        method: "8-bit products with weights of 4 bits, unpacked already, in groups of 32 with scales in f32, all in cache",
        run: |isa, threads| peak::measure_grouped(isa, Grouped::Q4, threads, BUDGET),
    },
    Loop {
        kind: "q8",
        method: "8-bit products with weights of 8 bits, in groups of 32 with scales in f32, all in cache",
        run: |isa, threads| peak::measure_grouped(isa, Grouped::Q8, threads, BUDGET),
    },
    Loop {
        kind: "int8",
        method: "8-bit dot products alone, every operand in a register: the roof of no cell, as each also scales its groups",
        run: |isa, threads| peak::measure_int8(isa, threads, BUDGET),
    },
    Loop {
        kind: "bandwidth",
        method: "reading three arrays far larger than the caches side by side on each thread, one pattern of many",
        run: |isa, threads| peak::measure_read(isa, threads, BUDGET),
    },
];

/// All peaks at each thread count; those that do not look like peaks are measured again. A loop that fails is left out, and
/// told on the terminal. `pinned`
/// are the CPUs that this process was pinned to, if it was.
pub fn all(threads: &[usize], pinned: &[u32]) -> Vec<Peak> {
    let counts: BTreeSet<usize> = threads.iter().copied().collect();
    let (root, isa) = (probe::root(), Isa::best());
    let allowed = cpus::allowed(root);
    let measure = |kind: &str, threads: usize| {
        let one = LOOPS.iter().find(|one| one.kind == kind)?;
        let before = Snapshot::take(root);
        let sample = (one.run)(isa, threads)
            .inspect_err(|error| {
                tell(&format!("the {kind} peak with {threads} threads was not measured: {error}"));
            })
            .ok()?;
        let foreign = before.until(&Snapshot::take(root), &allowed, 0.0);
        Some(Peak { foreign, cpus: ditbench_record::cpus::list(pinned), ..peak(one, sample)? })
    };
    let each = counts.iter().flat_map(|&threads| LOOPS.iter().map(move |one| (one.kind, threads)));
    let mut peaks: Vec<Peak> = each.filter_map(|(kind, threads)| measure(kind, threads)).collect();
    improve(&mut peaks, cpus::cores(root, &allowed), AGAIN, measure);
    peaks
}

/// Measures those peaks again that do not look like peaks, some times; keeps what looks better.
fn improve(peaks: &mut [Peak], cores: Option<u32>, times: usize, measure: impl Fn(&str, usize) -> Option<Peak>) {
    for _ in 0..times {
        let known = peaks.to_vec();
        for peak in peaks.iter_mut() {
            let doubts = disturbed::peak_doubts(peak, &known, cores).len();
            if doubts == 0 {
                continue;
            }
            let Some(again) = measure(&peak.kind, peak.threads as usize) else { continue };
            let fewer = disturbed::peak_doubts(&again, &known, cores).len();
            // What disturbs a peak lowers it: of two that are as doubtful the higher is nearer.
            if fewer < doubts || (fewer == doubts && again.value > peak.value) {
                *peak = again;
            }
        }
    }
}

fn peak(one: &Loop, sample: PeakSample) -> Option<Peak> {
    Some(Peak {
        kind: one.kind.to_owned(),
        threads: u32::try_from(sample.threads).ok()?,
        value: sample.value,
        unit: sample.unit.to_owned(),
        samples: sample.samples,
        method: format!("{} ({}); the best of the repetitions", one.method, sample.isa),
        ..Peak::default()
    })
}

/// f32 FLOP/s of one thread, roughly: for estimates only. A guess where it cannot be measured, and told as one.
pub fn quick() -> f64 {
    const GUESS: f64 = 20e9;
    match peak::measure_f32(Isa::best(), 1, Duration::from_millis(50)) {
        Ok(sample) => sample.value * 1e9,
        Err(error) => {
            tell(&format!("the speed of a core was not measured, so estimates of time are guesses: {error}"));
            GUESS
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn peak(threads: u32, value: f64) -> Peak {
        Peak { kind: "f32".into(), threads, value, samples: vec![value], ..Peak::default() }
    }

    #[test]
    fn a_peak_that_does_not_look_like_one_is_measured_again_until_it_does() {
        let made = Cell::new(0);
        let measure = |kind: &str, threads: usize| {
            assert_eq!((kind, threads), ("f32", 2), "the other one looks like a peak");
            made.set(made.get() + 1);
            Some(peak(2, if made.get() == 1 { 104.0 } else { 197.0 }))
        };
        let mut peaks = [peak(1, 100.0), peak(2, 101.0)];
        improve(&mut peaks, Some(2), 2, measure);
        assert_eq!((peaks[0].value, peaks[1].value, made.get()), (100.0, 197.0, 2));
        improve(&mut peaks, Some(2), 2, |_, _| unreachable!("it looks like a peak now"));
    }

    #[test]
    fn one_that_never_does_stays_the_best_of_its_tries_and_doubtful() {
        let made = Cell::new(0);
        let measure = |_: &str, _: usize| {
            made.set(made.get() + 1);
            Some(peak(2, if made.get() == 1 { 110.0 } else { 105.0 }))
        };
        let mut peaks = [peak(1, 100.0), peak(2, 101.0)];
        improve(&mut peaks, Some(2), 2, measure);
        assert_eq!((peaks[1].value, made.get()), (110.0, 2));
        assert_eq!(disturbed::peak_doubts(&peaks[1], &peaks, Some(2)).len(), 1);
    }

    #[test]
    fn every_peak_says_what_ran_and_what_else_ran() {
        let peaks = all(&[1], &[]);
        let kinds: Vec<&str> = peaks.iter().map(|peak| peak.kind.as_str()).collect();
        assert_eq!(kinds, ["f32", "q4", "q8", "int8", "bandwidth"]);
        for peak in peaks {
            assert!(peak.method.contains(Isa::best().name()), "{}", peak.method);
            assert_ne!(peak.foreign.why(), Some("not recorded"), "{}", peak.kind);
        }
    }
}
