//! What this machine can reach: the roof under which achieved rates are put. Measured at the start of every run.

use std::collections::BTreeSet;
use std::time::Duration;

use ditbench_kernels::peak::{self, PeakSample};
use ditbench_kernels::{Isa, KernelError};
use ditbench_record::Peak;

/// Time for one kind at one thread count: enough for several repetitions.
const BUDGET: Duration = Duration::from_millis(300);

/// f32 arithmetic, int8 arithmetic and bandwidth at each thread count. A loop that fails is left out. `cpus` are those that this
/// process was pinned to, if it was.
pub fn all(threads: &[usize], cpus: &[u32]) -> Vec<Peak> {
    let counts: BTreeSet<usize> = threads.iter().copied().collect();
    let isa = Isa::best();
    let each = |threads: usize| {
        [
            peak("f32", "fused multiply-adds in registers", peak::measure_f32(isa, threads, BUDGET)),
            peak("int8", "8-bit dot products in registers", peak::measure_int8(isa, threads, BUDGET)),
            peak("bandwidth", "reading an array far larger than the caches", peak::measure_read(threads, BUDGET)),
        ]
    };
    let cpus = ditbench_record::cpus::list(cpus);
    counts.into_iter().flat_map(each).flatten().map(|peak| Peak { cpus: cpus.clone(), ..peak }).collect()
}

fn peak(kind: &str, method: &str, sample: Result<PeakSample, KernelError>) -> Option<Peak> {
    let sample = sample.ok()?;
    Some(Peak {
        kind: kind.to_owned(),
        threads: u32::try_from(sample.threads).ok()?,
        cpus: String::new(),
        value: sample.value,
        unit: sample.unit.to_owned(),
        samples: sample.samples,
        method: format!("{method} ({}); the best of the repetitions", sample.isa),
    })
}

/// f32 FLOP/s of one thread, roughly: for estimates only.
pub fn quick() -> f64 {
    const FALLBACK: f64 = 20e9;
    peak::measure_f32(Isa::best(), 1, Duration::from_millis(50)).map_or(FALLBACK, |sample| sample.value * 1e9)
}
