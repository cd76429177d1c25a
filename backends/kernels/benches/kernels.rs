//! The kernels at the shapes of the models, and the `gemm` crate on the same problem in the same run: compare the
//! ratios; the absolute rates are those of the machine and of its other load. Throughput is in floating-point (or integer)
//! operations, so `Gelem/s` reads GFLOP/s.
//! `cargo bench -p ditbench-kernels`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ditbench_kernels::Isa;
use ditbench_kernels::attention::{AttentionShape, Pattern, attention};
use ditbench_kernels::conv::{ConvSpec, PackedConv, conv2d};
use ditbench_kernels::linear::*;

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
}

/// Blocks with a scale of 2⁻⁷.
fn blocks(count: usize, bytes: usize) -> Vec<u8> {
    (0..count).flat_map(|i| [0, 0x20].into_iter().chain((0..bytes).map(move |b| (b * 31 + i) as u8))).collect()
}

fn linears(c: &mut Criterion) {
    for (m, k, n) in [(1024, 768, 3072), (1024, 1024, 4096), (1, 1024, 4096)] {
        let (x, w) = (values(m * k), values(n * k));
        let f32 = PackedF32::pack(&w, n, k).unwrap();
        let q4 = PackedQ4::pack(&blocks(n * k / 32, 16), n, k).unwrap();
        let q8 = PackedQ8::pack(&blocks(n * k / 32, 32), n, k).unwrap();
        let mut y = vec![0.0; m * n];
        let mut group = c.benchmark_group(format!("linear {m}x{k}x{n}"));
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        group.bench_function("gemm crate", |b| {
            // SAFETY: pointers, sizes and strides are those of x [m, k], w [n, k], y [m, n].
            b.iter(|| unsafe {
                let (rn, rk) = (n as isize, k as isize);
                let threads = gemm::Parallelism::Rayon(0);
                let (y, x, w) = (y.as_mut_ptr(), x.as_ptr(), w.as_ptr());
                gemm::gemm(m, n, k, y, 1, rn, false, x, 1, rk, w, rk, 1, 0.0, 1.0, false, false, false, threads);
            });
        });
        for isa in Isa::available() {
            let e = Epilogue::None;
            group.bench_function(format!("f32 {isa}"), |b| {
                b.iter(|| linear_f32(isa, black_box(&x), &f32, None, e, &mut y));
            });
            group.bench_function(format!("q4_f32 {isa}"), |b| {
                b.iter(|| linear_q4_f32(isa, black_box(&x), &q4, None, e, &mut y));
            });
            group.bench_function(format!("q8_f32 {isa}"), |b| {
                b.iter(|| linear_q8_f32(isa, black_box(&x), &q8, None, e, &mut y));
            });
            group.bench_function(format!("q4_int8 {isa}"), |b| {
                b.iter(|| linear_q4_int8(isa, black_box(&x), &q4, None, e, &mut y));
            });
            group.bench_function(format!("q8_int8 {isa}"), |b| {
                b.iter(|| linear_q8_int8(isa, black_box(&x), &q8, None, e, &mut y));
            });
        }
    }
}

fn attentions(c: &mut Criterion) {
    let (heads, head_dim) = (12, 64);
    let local = Pattern::Blockwise { blocks: 16, radius: 1 };
    for (name, queries, keys, pattern) in [
        ("global 1024", 1024, 256, Pattern::Full),
        ("global 4096", 4096, 1024, Pattern::Full),
        ("blockwise 1024", 1024, 1024, local),
        ("blockwise 4096", 4096, 4096, local),
    ] {
        let shape = AttentionShape { batch: 1, queries, keys, heads, kv_heads: heads, head_dim };
        let (q, k) = (values(queries * heads * head_dim), values(keys * heads * head_dim));
        let mut out = vec![0.0; q.len()];
        let pairs = match pattern {
            // 14 inner blocks see three blocks, the two at the ends two.
            Pattern::Blockwise { .. } => (queries / 16).pow(2) * (14 * 3 + 2 * 2),
            _ => queries * keys,
        };
        let mut group = c.benchmark_group(format!("attention {name}"));
        group.throughput(Throughput::Elements(4 * (pairs * heads * head_dim) as u64));
        for isa in Isa::available() {
            group.bench_function(isa.name(), |b| {
                b.iter(|| attention(isa, black_box(&q), &k, &k, shape, pattern, 0.125, &mut out));
            });
        }
    }
}

fn convolutions(c: &mut Criterion) {
    let spec = ConvSpec { in_channels: 64, out_channels: 64, kernel: [3, 3], stride: 1, padding: 1, groups: 1 };
    let weight = PackedConv::pack(&values(64 * 64 * 9), spec).unwrap();
    let x = values(64 * 256 * 256);
    let mut y = vec![0.0; x.len()];
    let mut group = c.benchmark_group("conv 3x3 64->64 at 256x256");
    group.throughput(Throughput::Elements(2 * 64 * 64 * 9 * 256 * 256));
    for isa in Isa::available() {
        group.bench_function(isa.name(), |b| {
            b.iter(|| conv2d(isa, black_box(&x), [256, 256], &weight, None, true, &mut y));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = linears, attentions, convolutions
}
criterion_main!(benches);
