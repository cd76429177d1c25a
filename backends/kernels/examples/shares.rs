//! Prints which share of this machine's ceilings each kernel reaches: ceilings and kernels in turns in this one process, the
//! median of the rounds. `cargo run --release -p ditbench-kernels --example shares`, or with instruction sets and words of kernels' names:
//! `-- avx2 int8`, `-- avx512 pointwise norm`

use std::time::{Duration, Instant};

use ditbench_kernels::attention::{AttentionShape, Pattern, attention};
use ditbench_kernels::conv::{ConvSpec, PackedConv, conv2d};
use ditbench_kernels::elementwise::{geglu, group_norm, rms_norm};
use ditbench_kernels::linear::*;
use ditbench_kernels::peak::{self, Grouped, PeakSample};
use ditbench_kernels::{Isa, KernelError};
use half::f16;

const ROUNDS: usize = 5;

/// What a kernel is measured against.
#[derive(Clone, Copy, PartialEq)]
enum Roof {
    F32,
    /// Twice f32's: a vector has twice the lanes.
    F16,
    Grouped(Grouped),
    /// Of memory.
    Triad,
}

impl Roof {
    const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Grouped(Grouped::Q4), Self::Grouped(Grouped::Q8), Self::Triad];

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Grouped(Grouped::Q4) => "q4 in groups",
            Self::Grouped(Grouped::Q8) => "q8 in groups",
            Self::Triad => "triad",
        }
    }

    fn measure(self, isa: Isa, threads: usize) -> Result<PeakSample, KernelError> {
        let budget = Duration::from_millis(60);
        match self {
            Self::F32 => peak::measure_f32(isa, threads, budget),
            Self::F16 => {
                peak::measure_f32(isa, threads, budget).map(|peak| PeakSample { value: 2.0 * peak.value, ..peak })
            }
            Self::Grouped(format) => peak::measure_grouped(isa, format, threads, budget),
            Self::Triad => peak::measure_triad(isa, threads, budget),
        }
    }
}

type Run = Box<dyn FnMut(Isa) -> Result<(), KernelError>>;

struct Case {
    name: String,
    roof: Roof,
    /// Multiplications and additions; of the triad's, bytes read and written once.
    amount: usize,
    /// Whether it runs only on instructions that compute in f16.
    needs_f16: bool,
    run: Run,
}

impl Case {
    fn new(name: String, roof: Roof, amount: usize, run: impl FnMut(Isa) -> Result<(), KernelError> + 'static) -> Self {
        Self { name, roof, amount, needs_f16: false, run: Box::new(run) }
    }

    /// 10⁹ a second, the best of some runs: what disturbs a kernel only lowers it, as a ceiling.
    fn rate(&mut self, isa: Isa) -> Result<f64, KernelError> {
        (self.run)(isa)?;
        let (mut best, mut runs, begin) = (f64::INFINITY, 0, Instant::now());
        while runs < 2 || begin.elapsed() < Duration::from_millis(100) {
            let start = Instant::now();
            (self.run)(isa)?;
            best = best.min(start.elapsed().as_secs_f64());
            runs += 1;
        }
        Ok(self.amount as f64 / best / 1e9)
    }
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
}

/// Groups with a scale of 2⁻⁷.
fn groups(count: usize, bytes: usize) -> Vec<u8> {
    (0..count).flat_map(|i| [0, 0x20].into_iter().chain((0..bytes).map(move |b| (b * 31 + i) as u8))).collect()
}

fn linears([m, k, n]: [usize; 3]) -> Result<Vec<Case>, KernelError> {
    let weight = values(n * k);
    let q4 = PackedQ4::pack(&groups(n * k / 32, 16), n, k)?;
    let q8 = PackedQ8::pack(&groups(n * k / 32, 32), n, k)?;
    let mut all = vec![
        ("f32", Roof::F32, Matrix::F32(PackedF32::pack(&weight, n, k)?)),
        ("q4 in f32", Roof::F32, Matrix::Q4(q4.clone(), Products::F32)),
        ("q8 in f32", Roof::F32, Matrix::Q8(q8.clone(), Products::F32)),
        ("q4 int8", Roof::Grouped(Grouped::Q4), Matrix::Q4(q4.clone(), Products::Int8)),
        ("q8 int8", Roof::Grouped(Grouped::Q8), Matrix::Q8(q8.clone(), Products::Int8)),
    ];
    if let Some(Products::F16(isa)) = Products::half() {
        let weight: Vec<f16> = weight.iter().map(|w| f16::from_f32(*w)).collect();
        all.push(("f16", Roof::F16, Matrix::F16(PackedF16::pack(&weight, n, k)?, isa)));
        all.push(("q4 in f16", Roof::F16, Matrix::Q4(q4, Products::F16(isa))));
        all.push(("q8 in f16", Roof::F16, Matrix::Q8(q8, Products::F16(isa))));
    }
    let case = |(name, roof, matrix): (&str, Roof, Matrix)| {
        let (x, mut y) = (values(m * k), vec![0.0; m * n]);
        let needs_f16 = roof == Roof::F16;
        let run = move |isa| matrix.apply(isa, &x, None, Epilogue::None, &mut y);
        Case { needs_f16, ..Case::new(format!("linear {name} {m}x{k}x{n}"), roof, 2 * m * k * n, run) }
    };
    Ok(all.into_iter().map(case).collect())
}

fn attentions() -> Vec<Case> {
    let (heads, head_dim) = (12, 64);
    let local = Pattern::Blockwise { blocks: 16, radius: 1 };
    let case = |(name, queries, keys, pattern): (&str, usize, usize, Pattern)| {
        let shape = AttentionShape { batch: 1, queries, keys, heads, kv_heads: heads, head_dim };
        let (q, k) = (values(queries * heads * head_dim), values(keys * heads * head_dim));
        let mut out = vec![0.0; q.len()];
        let pairs = match pattern {
            // 14 inner blocks see three blocks, the two at the ends two.
            Pattern::Blockwise { .. } => (queries / 16).pow(2) * (14 * 3 + 2 * 2),
            _ => queries * keys,
        };
        let run = move |isa| attention(isa, &q, &k, &k, shape, pattern, 0.125, &mut out);
        Case::new(format!("attention {name}"), Roof::F32, 4 * pairs * heads * head_dim, run)
    };
    [
        ("global 1024x256", 1024, 256, Pattern::Full),
        ("global 4096x1024", 4096, 1024, Pattern::Full),
        ("blockwise 1024", 1024, 1024, local),
        ("blockwise 4096", 4096, 4096, local),
    ]
    .map(case)
    .into()
}

/// At SnapGen's shapes, and one of the tiny decoder's.
fn convolutions() -> Result<Vec<Case>, KernelError> {
    let case = |(name, i, o, kernel, groups, side): (&str, usize, usize, usize, usize, usize)| {
        let spec =
            ConvSpec { in_channels: i, out_channels: o, kernel: [kernel; 2], stride: 1, padding: kernel / 2, groups };
        let weight = PackedConv::pack(&values(o * i / groups * kernel * kernel), spec)?;
        let (x, mut y) = (values(i * side * side), vec![0.0; o * side * side]);
        let (roof, amount) = match groups {
            1 => (Roof::F32, 2 * y.len() * i * kernel * kernel),
            _ => (Roof::Triad, 4 * (x.len() + y.len())),
        };
        let run = move |isa| conv2d(isa, &x, [side; 2], &weight, None, false, &mut y);
        Ok(Case::new(format!("{name} {i}->{o} at {side}x{side}"), roof, amount, run))
    };
    [
        ("depthwise 3x3", 512, 512, 3, 512, 128),
        ("depthwise 3x3", 1024, 1024, 3, 1024, 64),
        ("depthwise 3x3", 1792, 1792, 3, 1792, 32),
        ("depthwise 3x3", 64, 64, 3, 64, 1024),
        ("pointwise", 512, 256, 1, 1, 128),
        ("pointwise", 1024, 512, 1, 1, 64),
        ("pointwise", 1792, 896, 1, 1, 32),
        ("pointwise", 896, 1792, 1, 1, 16),
        ("pointwise", 64, 64, 1, 1, 1024),
        ("dense 3x3", 64, 64, 3, 1, 128),
        ("dense 3x3", 64, 64, 3, 1, 256),
        ("dense 3x3", 64, 64, 3, 1, 512),
        ("dense 3x3", 256, 256, 3, 1, 64),
        ("dense 3x3", 512, 512, 3, 1, 64),
        ("dense 3x3", 896, 896, 3, 1, 16),
    ]
    .map(case)
    .into_iter()
    .collect()
}

/// At SnapGen's shapes.
fn norms_and_gates() -> Vec<Case> {
    let mut all = Vec::new();
    for (channels, side) in [(512, 128), (1024, 64), (1792, 32)] {
        let (x, mut y, w) = (values(channels * side * side), vec![0.0; channels * side * side], values(channels));
        let (x2, mut y2, w2) = (x.clone(), y.clone(), w.clone());
        let (name, bytes) = (format!("group norm and SiLU {channels} at {side}x{side}"), 8 * x.len());
        let run = move |isa| group_norm(isa, &x, side * side, 32, &w, &w, 1e-5, true, &mut y);
        all.push(Case::new(name, Roof::Triad, bytes, run));
        let run = move |isa| rms_norm(isa, &x2, channels, &w2, 1e-5, &mut y2);
        all.push(Case::new(format!("rms norm {}x{channels}", side * side), Roof::Triad, bytes, run));
    }
    for (tokens, dim) in [(16384, 768), (4096, 1536), (1024, 2688)] {
        let (x, mut y) = (values(tokens * 2 * dim), vec![0.0; tokens * dim]);
        let run = move |isa| geglu(isa, &x, dim, &mut y);
        all.push(Case::new(format!("geglu {tokens}x{dim}"), Roof::Triad, 12 * tokens * dim, run));
    }
    all
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn all_cases() -> Result<Vec<Case>, KernelError> {
    let mut cases = Vec::new();
    for shape in [[1024, 768, 3072], [1024, 1024, 4096], [256, 256, 256], [1, 1024, 4096]] {
        cases.extend(linears(shape)?);
    }
    cases.extend(attentions());
    cases.extend(convolutions()?);
    cases.extend(norms_and_gates());
    Ok(cases)
}

/// Keeps the instruction sets and the cases that were asked for: all of them where none was.
fn keep(asked: &[String], sets: &mut Vec<Isa>, cases: &mut Vec<Case>) -> Result<(), String> {
    let (of_sets, of_cases): (Vec<&String>, Vec<&String>) =
        asked.iter().partition(|word| sets.iter().any(|isa| isa.name().contains(word.as_str())));
    if let Some(word) = of_cases.iter().find(|word| cases.iter().all(|case| !case.name.contains(word.as_str()))) {
        let sets: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        return Err(format!("nothing is called \"{word}\"; there are {}; {}", sets.join(", "), names.join(", ")));
    }
    let wanted = |name: &str, words: &[&String]| words.is_empty() || words.iter().any(|word| name.contains(*word));
    sets.retain(|isa| wanted(isa.name(), &of_sets));
    cases.retain(|case| wanted(&case.name, &of_cases));
    Ok(())
}

/// Measures the ceilings and the cases in turns, and prints the medians.
fn measure(isa: Isa, threads: usize, cases: &mut [Case]) -> Result<(), KernelError> {
    let mut cases: Vec<(&mut Case, Vec<f64>)> =
        cases.iter_mut().filter(|case| !case.needs_f16 || isa.computes_f16()).map(|case| (case, Vec::new())).collect();
    let mut roofs = Roof::ALL.map(|roof| (roof, Vec::new()));
    for _ in 0..ROUNDS {
        for (roof, rates) in &mut roofs {
            rates.push(roof.measure(isa, threads)?.value);
        }
        for (case, rates) in &mut cases {
            rates.push(case.rate(isa)?);
        }
        // There and back, so that a drift of the machine meets all alike.
        cases.reverse();
    }
    // Back in their order.
    if ROUNDS % 2 == 1 {
        cases.reverse();
    }
    let roofs = roofs.map(|(roof, rates)| (roof, median(rates)));
    let told: Vec<String> = roofs.iter().map(|(roof, rate)| format!("{} {rate:.0}", roof.name())).collect();
    println!("\n{isa}, {threads} threads; GFLOP/s, GOP/s, of memory GB/s: {}", told.join(", "));
    for (case, rates) in cases {
        let rate = median(rates);
        let (_, ceiling) = roofs.iter().find(|(roof, _)| *roof == case.roof).expect("every roof is measured");
        println!("{:40} {rate:8.1} {:6.1} % of {}", case.name, 100.0 * rate / ceiling, case.roof.name());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let mut sets: Vec<Isa> = Isa::available().into_iter().filter(|isa| *isa != Isa::Scalar).collect();
    let mut cases = all_cases()?;
    keep(&asked, &mut sets, &mut cases)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for isa in sets {
        measure(isa, threads, &mut cases)?;
    }
    Ok(())
}
