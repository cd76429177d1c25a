//! Prints which share of this machine's ceilings each kernel reaches: ceilings and kernels in turns in this one process, the
//! median of the rounds. `cargo run --release -p ditbench-kernels --example shares`, or with names of instruction sets and parts
//! of kernels' names: `-- avx2 int8`

use std::time::{Duration, Instant};

use ditbench_kernels::attention::{AttentionShape, Pattern, attention};
use ditbench_kernels::conv::{ConvSpec, PackedConv, conv2d};
use ditbench_kernels::linear::*;
use ditbench_kernels::peak::{self, Grouped};
use ditbench_kernels::{Isa, KernelError};

const ROUNDS: usize = 5;

/// What a kernel is measured against.
#[derive(Clone, Copy)]
enum Roof {
    F32,
    Grouped(Grouped),
}

struct Case<'a> {
    name: String,
    roof: Roof,
    /// Multiplications and additions.
    operations: f64,
    run: Box<dyn FnMut(Isa) -> Result<(), KernelError> + 'a>,
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
}

/// Groups with a scale of 2⁻⁷.
fn groups(count: usize, bytes: usize) -> Vec<u8> {
    (0..count).flat_map(|i| [0, 0x20].into_iter().chain((0..bytes).map(move |b| (b * 31 + i) as u8))).collect()
}

fn linears([m, k, n]: [usize; 3]) -> Result<Vec<Case<'static>>, KernelError> {
    let f32 = PackedF32::pack(&values(n * k), n, k)?;
    let (q4, q8) = (PackedQ4::pack(&groups(n * k / 32, 16), n, k)?, PackedQ8::pack(&groups(n * k / 32, 32), n, k)?);
    let (q4_f32, q8_f32) = (q4.clone(), q8.clone());
    type Linear = Box<dyn Fn(Isa, &[f32], &mut [f32]) -> Result<(), KernelError>>;
    let e = Epilogue::None;
    let all: [(&str, Roof, Linear); 5] = [
        ("f32", Roof::F32, Box::new(move |isa, x, y| linear_f32(isa, x, &f32, None, e, y))),
        ("q4 in f32", Roof::F32, Box::new(move |isa, x, y| linear_q4_f32(isa, x, &q4_f32, None, e, y))),
        ("q8 in f32", Roof::F32, Box::new(move |isa, x, y| linear_q8_f32(isa, x, &q8_f32, None, e, y))),
        ("q4 int8", Roof::Grouped(Grouped::Q4), Box::new(move |isa, x, y| linear_q4_int8(isa, x, &q4, None, e, y))),
        ("q8 int8", Roof::Grouped(Grouped::Q8), Box::new(move |isa, x, y| linear_q8_int8(isa, x, &q8, None, e, y))),
    ];
    let case = |(name, roof, linear): (&str, Roof, Linear)| {
        let (x, mut y) = (values(m * k), vec![0.0; m * n]);
        Case {
            name: format!("linear {name} {m}x{k}x{n}"),
            roof,
            operations: 2.0 * (m * k * n) as f64,
            run: Box::new(move |isa| linear(isa, &x, &mut y)),
        }
    };
    Ok(all.into_iter().map(case).collect())
}

fn attentions() -> Vec<Case<'static>> {
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
        Case {
            name: format!("attention {name}"),
            roof: Roof::F32,
            operations: 4.0 * (pairs * heads * head_dim) as f64,
            run: Box::new(move |isa| attention(isa, &q, &k, &k, shape, pattern, 0.125, &mut out)),
        }
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

fn convolution() -> Result<Case<'static>, KernelError> {
    let spec = ConvSpec { in_channels: 64, out_channels: 64, kernel: [3, 3], stride: 1, padding: 1, groups: 1 };
    let weight = PackedConv::pack(&values(64 * 64 * 9), spec)?;
    let x = values(64 * 128 * 128);
    let mut y = vec![0.0; x.len()];
    Ok(Case {
        name: "conv 3x3 64->64 at 128x128".into(),
        roof: Roof::F32,
        operations: (2 * 64 * 64 * 9 * 128 * 128) as f64,
        run: Box::new(move |isa| conv2d(isa, &x, [128, 128], &weight, None, true, &mut y)),
    })
}

/// 10⁹ operations a second, the best of some runs: what disturbs a kernel only lowers it, as a ceiling.
fn rate(case: &mut Case<'_>, isa: Isa) -> Result<f64, KernelError> {
    (case.run)(isa)?;
    let (mut best, mut runs, begin) = (f64::INFINITY, 0, Instant::now());
    while runs < 2 || begin.elapsed() < Duration::from_millis(100) {
        let start = Instant::now();
        (case.run)(isa)?;
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(case.operations / best / 1e9)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), KernelError> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str, all: &[&str]| {
        let mut of_kind =
            asked.iter().filter(|asked| all.iter().any(|known| known.contains(asked.as_str()))).peekable();
        of_kind.peek().is_none() || of_kind.any(|asked| name.contains(asked.as_str()))
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut cases = linears([1024, 768, 3072])?;
    for shape in [[1024, 1024, 4096], [256, 256, 256], [1, 1024, 4096]] {
        cases.extend(linears(shape)?);
    }
    cases.extend(attentions());
    cases.push(convolution()?);
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cases.retain(|case| wanted(&case.name, &names));
    let sets: Vec<Isa> = Isa::available().into_iter().filter(|isa| *isa != Isa::Scalar).collect();
    let set_names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
    for isa in sets.iter().copied().filter(|isa| wanted(isa.name(), &set_names)) {
        let budget = Duration::from_millis(60);
        let (mut roofs, mut rates) = (vec![Vec::new(); 4], vec![Vec::new(); cases.len()]);
        for round in 0..ROUNDS {
            roofs[0].push(peak::measure_f32(isa, threads, budget)?.value);
            roofs[1].push(peak::measure_grouped(isa, Grouped::Q4, threads, budget)?.value);
            roofs[2].push(peak::measure_grouped(isa, Grouped::Q8, threads, budget)?.value);
            roofs[3].push(peak::measure_int8(isa, threads, budget)?.value);
            // There and back, so that a drift of the machine meets all alike.
            let mut order: Vec<usize> = (0..cases.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                rates[index].push(rate(&mut cases[index], isa)?);
            }
        }
        let roofs: Vec<f64> = roofs.into_iter().map(median).collect();
        println!(
            "\n{isa}, {threads} threads: {:.0} GFLOP/s f32; GOP/s in groups: q4 {:.0}, q8 {:.0}; int8 dot products alone {:.0}",
            roofs[0], roofs[1], roofs[2], roofs[3]
        );
        for (case, rates) in cases.iter().zip(rates) {
            let roof = match case.roof {
                Roof::F32 => roofs[0],
                Roof::Grouped(Grouped::Q4) => roofs[1],
                Roof::Grouped(Grouped::Q8) => roofs[2],
            };
            let rate = median(rates);
            println!("{:36} {rate:8.1} GOP/s {:6.1} %", case.name, 100.0 * rate / roof);
        }
    }
    Ok(())
}
