//! What this machine can do at most: the ceilings of a roofline (Williams, Waterman and Patterson, CACM 2009).
//!
//! Measured, not looked up: clock speeds under vector load, shared memory controllers and virtual machines make data
//! sheets useless. Each function repeats a short loop on `threads` threads of its own until `budget` is spent (three
//! repetitions at least) and reports the best, because everything that disturbs a ceiling lowers it. All samples are
//! kept, so that a reader sees how steady the machine was. Use the ceilings together with kernels run on as many threads.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::linear::{self, GROUP, PackedQ4, PackedQ8};
use crate::simd::{Kernel, Simd, dispatch};
use crate::{Isa, KernelError};

/// Rows of weights in few bits, as the quantized linears multiply them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouped {
    /// 4 bits a weight.
    Q4,
    /// 8 bits a weight.
    Q8,
}

/// A measured ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct PeakSample {
    /// The best of the samples.
    pub value: f64,
    /// What it counts: `GFLOP/s`, `GOP/s` or `GB/s`, all 10⁹ a second.
    pub unit: &'static str,
    /// The instruction set that reached it.
    pub isa: Isa,
    /// Threads that ran at once.
    pub threads: usize,
    /// All repetitions, in order.
    pub samples: Vec<f64>,
}

/// Floats of one of the three arrays of the memory loops: 64 MiB, together several times the last-level cache of a
/// desktop or a phone. (A server with more than 100 MiB of cache will show part of the cache's speed.)
const ARRAY: usize = 16 << 20;

/// Multiply-adds in f32 with every operand in a register; a multiply-add counts as 2. No kernel can be faster.
///
/// # Errors
/// If `threads` is 0 or cannot be started, or this machine lacks `isa`.
pub fn measure_f32(isa: Isa, threads: usize, budget: Duration) -> Result<PeakSample, KernelError> {
    // SAFETY: `repeat` checks `isa`.
    repeat(isa, threads, budget, "GFLOP/s", || unsafe { dispatch(isa, MultiplyAdd) })
}

/// Dot products of 8-bit integers summed in 32 bits and nothing else, every operand in a register (`vpdpbusd`; `vpmaddubsw`,
/// `vpmaddwd` and an addition; `sdot`); a multiplication and its addition count as 2. The processor's ceiling for 8-bit
/// products, and not that of a quantized linear, which also scales each group and may need fewer instructions for 4-bit
/// weights: see [`measure_grouped`].
///
/// # Errors
/// If `threads` is 0 or cannot be started, or this machine lacks `isa`.
pub fn measure_int8(isa: Isa, threads: usize, budget: Duration) -> Result<PeakSample, KernelError> {
    // SAFETY: `repeat` checks `isa`.
    repeat(isa, threads, budget, "GOP/s", || unsafe { dispatch(isa, Dot) })
}

/// The products of a linear whose weights have few bits and whose activations are rounded to 8: the register tile of our linears
/// alone, for each 32 along K an integer dot product, its conversion to f32, and two multiplications and an addition with the
/// scales. Weights are unpacked and activations rounded already and everything is in the first-level cache, so no such linear
/// can be faster with these instructions. Only the integer multiplications and their additions count, as 2.
///
/// # Errors
/// If `threads` is 0 or cannot be started, or this machine lacks `isa`.
pub fn measure_grouped(isa: Isa, format: Grouped, threads: usize, budget: Duration) -> Result<PeakSample, KernelError> {
    let [n, k] = TILE;
    let blocks = |bytes: usize| vec![0x33; n * k / GROUP * bytes];
    match format {
        Grouped::Q4 => {
            let weight = PackedQ4::pack(&blocks(PackedQ4::BLOCK_BYTES), n, k)?;
            // SAFETY: `repeat` checks `isa`.
            repeat(isa, threads, budget, "GOP/s", || unsafe { dispatch(isa, Groups(&weight)) })
        }
        Grouped::Q8 => {
            let weight = PackedQ8::pack(&blocks(PackedQ8::BLOCK_BYTES), n, k)?;
            // SAFETY: `repeat` checks `isa`.
            repeat(isa, threads, budget, "GOP/s", || unsafe { dispatch(isa, Groups(&weight)) })
        }
    }
}

/// Memory bandwidth of a\[i\] = b\[i\] + s·c\[i\] over arrays far larger than the caches, counted as STREAM's triad does: 12
/// bytes for each element, although most processors also read a\[i\] before writing it. The ceiling of element-wise kernels.
///
/// # Errors
/// If `threads` is 0 or cannot be started, or this machine lacks `isa`.
pub fn measure_triad(isa: Isa, threads: usize, budget: Duration) -> Result<PeakSample, KernelError> {
    // SAFETY: `memory` checks `isa`.
    memory(isa, threads, budget, |a, b, c| unsafe { dispatch(isa, Triad(a, b, c)) })
}

/// Streams that [`measure_read`] reads side by side on each thread.
pub const STREAMS: usize = 3;

/// Memory bandwidth of sums over arrays far larger than the caches, with loads as wide as `isa` has them and [`STREAMS`] streams
/// side by side on each thread: 4 bytes for each element. A ceiling of what reads much and writes little, as a linear of few
/// rows does with its weight; another pattern may reach more, and nothing here is called the memory's best.
///
/// # Errors
/// If `threads` is 0 or cannot be started, or this machine lacks `isa`.
pub fn measure_read(isa: Isa, threads: usize, budget: Duration) -> Result<PeakSample, KernelError> {
    // SAFETY: `memory` checks `isa`.
    memory(isa, threads, budget, |a, b, c| unsafe { dispatch(isa, Read([a, b, c])) })
}

/// One pool, warmed up, then repetitions of `work` on every thread at once; `work` gives its operations.
fn repeat(
    isa: Isa,
    threads: usize,
    budget: Duration,
    unit: &'static str,
    work: impl Fn() -> usize + Sync,
) -> Result<PeakSample, KernelError> {
    isa.require()?;
    let pool = pool(threads)?;
    let once = || pool.broadcast(|_| work()).into_iter().sum();
    Ok(sample(isa, threads, budget, unit, once))
}

/// The same over three arrays, each thread having its part of them; `work` gives its bytes.
fn memory(
    isa: Isa,
    threads: usize,
    budget: Duration,
    work: impl Fn(&mut [f32], &[f32], &[f32]) -> usize + Sync,
) -> Result<PeakSample, KernelError> {
    isa.require()?;
    let pool = pool(threads)?;
    let part = ARRAY / threads;
    // Written by the threads, so that pages exist, and near the thread where that matters.
    let fill = || vec![1.0f32; part];
    let mut parts: Vec<[Vec<f32>; 3]> =
        pool.install(|| (0..threads).into_par_iter().map(|_| [fill(), fill(), fill()]).collect());
    let once = || {
        pool.install(|| {
            let run = |[a, b, c]: &mut [Vec<f32>; 3]| work(black_box(a), black_box(b), black_box(c));
            parts.par_iter_mut().with_max_len(1).map(run).sum()
        })
    };
    Ok(sample(isa, threads, budget, "GB/s", once))
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, KernelError> {
    if threads == 0 {
        return Err(KernelError::Threads { threads, reason: "no thread, no peak".into() });
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| KernelError::Threads { threads, reason: e.to_string() })
}

/// Repeats `once`, which gives what it counted.
fn sample(
    isa: Isa,
    threads: usize,
    budget: Duration,
    unit: &'static str,
    mut once: impl FnMut() -> usize,
) -> PeakSample {
    // Not counted: raises the clock and, for memory, faults pages in.
    once();
    let (mut samples, begin) = (Vec::new(), Instant::now());
    while samples.len() < 3 || begin.elapsed() < budget {
        let start = Instant::now();
        let count = once();
        samples.push(count as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    let value = samples.iter().fold(0.0, |a: f64, b| a.max(*b));
    PeakSample { value, unit, isa, threads, samples }
}

/// Rounds of a register loop: about a millisecond.
const ROUNDS: usize = 100_000;

struct MultiplyAdd;

impl Kernel for MultiplyAdd {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        /// N independent chains: as many as there are registers, to cover the latency.
        #[inline(always)]
        unsafe fn chains<S: Simd, const N: usize>() -> usize {
            // SAFETY: the caller's.
            unsafe {
                let (a, b) = (S::splat(black_box(0.999)), S::splat(black_box(1e-3)));
                let mut acc = [S::splat(black_box(1.0)); N];
                for _ in 0..ROUNDS {
                    for acc in &mut acc {
                        *acc = S::fma(*acc, a, b);
                    }
                }
                let mut sum = S::splat(0.0);
                for acc in acc {
                    sum = S::add(sum, acc);
                }
                black_box(S::sum(sum));
            }
            2 * ROUNDS * N * S::W
        }
        // SAFETY: the caller's.
        unsafe {
            match S::MR {
                12 => chains::<S, 24>(),
                6 => chains::<S, 12>(),
                _ => chains::<S, 8>(),
            }
        }
    }
}

struct Dot;

impl Kernel for Dot {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        const CHAINS: usize = 12;
        let bytes = black_box([1u8; 64]);
        // SAFETY: 64 bytes are at least a vector. The values overflow and wrap; nobody reads them.
        unsafe {
            let w = S::load_d(bytes.as_ptr());
            let mut acc = [w; CHAINS];
            for _ in 0..ROUNDS {
                for acc in &mut acc {
                    // Multiplies by itself: a product of two constants would be moved out of the loop.
                    *acc = S::dot4(*acc, w, *acc);
                }
            }
            black_box(acc);
        }
        2 * ROUNDS * CHAINS * 4 * S::W
    }
}

/// A weight of two panels, as deep as a block of the product, so that sums are begun and ended as often as there. What a tile reads is
/// 24 KiB at most.
const TILE: [usize; 2] = [32, linear::DEPTH];

struct Groups<'a, P>(&'a P);

impl<P: linear::Groups> Kernel for Groups<'_, P> {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        // SAFETY: the caller's; the weight is a `TILE`.
        unsafe { linear::tiles_alone::<S, P>(self.0, ROUNDS / 256) }
    }
}

struct Triad<'a>(&'a mut [f32], &'a [f32], &'a [f32]);

impl Kernel for Triad<'_> {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        let Self(a, b, c) = self;
        let length = a.len().min(b.len()).min(c.len());
        // SAFETY: every vector lies within the shortest of the three.
        unsafe {
            let s = S::splat(black_box(0.5));
            for at in (0..length - length % S::W).step_by(S::W) {
                let v = S::fma(s, S::load(c.as_ptr().add(at)), S::load(b.as_ptr().add(at)));
                S::store(a.as_mut_ptr().add(at), v);
            }
        }
        12 * (length - length % S::W)
    }
}

struct Read<'a>([&'a [f32]; STREAMS]);

impl Kernel for Read<'_> {
    type Output = usize;
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> usize {
        /// Sums of one stream, as many as cover an addition's latency.
        const SUMS: usize = 4;
        let step = SUMS * S::W;
        let length = self.0.iter().map(|stream| stream.len()).min().unwrap_or(0) / step * step;
        // SAFETY: every vector lies within the shortest of the streams.
        unsafe {
            let mut sums = [[S::splat(0.0); SUMS]; STREAMS];
            for at in (0..length).step_by(step) {
                for (sums, stream) in sums.iter_mut().zip(&self.0) {
                    for (place, sum) in sums.iter_mut().enumerate() {
                        *sum = S::add(*sum, S::load(stream.as_ptr().add(at + place * S::W)));
                    }
                }
            }
            for sum in sums.as_flattened() {
                black_box(S::sum(*sum));
            }
        }
        4 * STREAMS * length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_the_best_of_their_samples() {
        let budget = Duration::from_millis(1);
        for isa in Isa::available() {
            for peak in [measure_f32(isa, 1, budget).unwrap(), measure_int8(isa, 2, budget).unwrap()] {
                assert!(peak.samples.len() >= 3 && peak.samples.iter().all(|s| s.is_finite() && *s > 0.0));
                assert_eq!(peak.value, peak.samples.iter().fold(0.0, |a: f64, b| a.max(*b)));
                assert_eq!(peak.isa, isa);
            }
        }
    }

    #[test]
    fn every_loop_runs_on_the_instructions_that_it_is_labelled_with() {
        let budget = Duration::from_millis(1);
        for isa in Isa::available() {
            for format in [Grouped::Q4, Grouped::Q8] {
                let peak = measure_grouped(isa, format, 1, budget).unwrap();
                assert!(peak.value.is_finite() && peak.value > 0.0 && peak.unit == "GOP/s", "{peak:?}");
                assert_eq!(peak.isa, isa);
            }
            for peak in [measure_triad(isa, 2, budget).unwrap(), measure_read(isa, 1, budget).unwrap()] {
                assert!(peak.value > 0.0 && peak.unit == "GB/s");
                assert_eq!(peak.isa, isa, "a bandwidth is labelled with what read it");
            }
        }
        let missing = [Isa::Scalar, Isa::Avx2, Isa::Neon].into_iter().find(|isa| !isa.is_available());
        assert!(missing.is_none_or(|isa| measure_read(isa, 1, budget).is_err()));
    }

    #[test]
    fn counts_are_of_what_was_read_and_multiplied() {
        // Three streams of 100 floats: 64 of each fit the widest step (4 × 16), 96 fit the steps of 8 and 4 lanes.
        let stream = [1.0f32; 100];
        for isa in Isa::available() {
            // SAFETY: the instruction set is there.
            let read = unsafe { dispatch(isa, Read([&stream; STREAMS])) };
            assert!([12 * 64, 12 * 96].contains(&read), "{isa}: {read}");
        }
    }

    #[test]
    fn no_threads_is_an_error() {
        assert!(matches!(measure_f32(Isa::Scalar, 0, Duration::ZERO), Err(KernelError::Threads { threads: 0, .. })));
        assert!(measure_read(Isa::Scalar, 0, Duration::ZERO).is_err());
    }
}
