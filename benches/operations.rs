//! Each operation at the shapes of `small` at 512², on every backend: a graph of one operation, through the same interface
//! as a whole model. A kernel's author runs his part: `cargo bench --bench operations -- linear`, or one backend of it:
//! `-- 'linear.*candle'`. Throughput is in the graph's FLOPs (`Gelem/s` reads GFLOP/s).
//!
//! To judge a change: `-- --save-baseline before`, change, `-- --save-baseline after`, then
//! `ditbench compare --criterion target/criterion,before,after`.

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::{backends, session};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::Graph;
use ditbench_graph::weights::Scheme;
use ditbench_graph::{Activation, AttentionPattern, DType, GraphBuilder, Init, Op, ValueId, WeightRole, cost};

/// Tokens of Down and Up at 512², and of Middle.
const TOKENS: usize = 32 * 32;
const MIDDLE: usize = 16 * 16;
/// Width, query heads, key/value heads, channels of a head.
const WIDTH: usize = 1024;
const HEADS: usize = 16;
const KV_HEADS: usize = 8;
const HEAD: usize = 64;

fn graph(name: &str, build: impl FnOnce(&mut GraphBuilder) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new(name);
    let y = build(&mut b);
    b.output("y", y);
    b.finish().expect("one operation is a graph")
}

fn input(b: &mut GraphBuilder, name: &str, shape: &[usize]) -> ValueId {
    b.input(name, shape, DType::F32)
}

/// Runs a graph on every backend, in every way that its precision has there.
fn bench(c: &mut Criterion, name: &str, schemes: &[Scheme], build: impl FnOnce(&mut GraphBuilder) -> ValueId) {
    let graph = graph(&name.replace([' ', '/'], "_"), build);
    let given = inputs(&graph, 1);
    let mut group = c.benchmark_group(name);
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Elements(cost::total(&graph).flops));
    for &scheme in schemes {
        let stored = weights(&graph, scheme, 1);
        for (backend_name, backend) in backends() {
            for variant in backend.variants(scheme) {
                let mut session = session(backend.as_ref(), &graph, &stored, &variant.name);
                group.bench_function(format!("{} {backend_name} {}", scheme.name(), variant.name), |b| {
                    b.iter(|| session.run(black_box(&given)).expect("a pass"));
                });
            }
        }
    }
    group.finish();
}

const F32: &[Scheme] = &[Scheme::F32];

fn linears(c: &mut Criterion) {
    for (name, tokens, k, n) in [
        ("attn.q", TOKENS, WIDTH, WIDTH),
        ("attn.k", TOKENS, WIDTH, KV_HEADS * HEAD),
        ("ffn.up", TOKENS, WIDTH, 4 * WIDTH),
        ("ffn.down", TOKENS, 4 * WIDTH, WIDTH),
        ("middle.ffn.up", MIDDLE, WIDTH, 3 * WIDTH),
        ("cross.k", 77, 2048, 4 * HEAD),
        ("adaln", 1, WIDTH, 6 * WIDTH),
    ] {
        bench(c, &format!("linear {name} {tokens}x{k}x{n}"), &[Scheme::F32, Scheme::Q4], |b| {
            let x = input(b, "x", &[1, tokens, k]);
            b.linear("project", x, n)
        });
    }
}

fn attentions(c: &mut Criterion) {
    let local = AttentionPattern::Blockwise { blocks: 8, radius: 1 };
    for (name, queries, keys, kv_heads, pattern) in [
        ("local", TOKENS, TOKENS, KV_HEADS, local),
        ("global", TOKENS, TOKENS / 4, KV_HEADS, AttentionPattern::Full),
        ("dense", TOKENS, TOKENS, KV_HEADS, AttentionPattern::Full),
        ("middle", MIDDLE, MIDDLE, KV_HEADS, AttentionPattern::Full),
        ("cross", TOKENS, 77, 4, AttentionPattern::Full),
    ] {
        bench(c, &format!("attention {name} {queries}x{keys}"), F32, |b| {
            let q = input(b, "q", &[1, queries, HEADS, HEAD]);
            let [k, v] = ["k", "v"].map(|name| input(b, name, &[1, keys, kv_heads, HEAD]));
            b.attention("attend", q, k, v, pattern)
        });
    }
}

fn convolutions(c: &mut Criterion) {
    bench(c, "conv kv 2x2 of 8 groups of 64 at 32x32", F32, |b| {
        let x = input(b, "x", &[1, KV_HEADS * HEAD, 32, 32]);
        let weight = b.weight("weight", &[KV_HEADS * HEAD, HEAD, 2, 2], Init::Normal(0.06), WeightRole::Conv);
        b.node("conv", Op::Conv2d { weight, bias: None, stride: 2, padding: 0, groups: KV_HEADS }, &[x])
    });
    for side in [64, 256, 512] {
        bench(c, &format!("conv decoder 3x3 of 64 at {side}x{side}"), F32, |b| {
            let x = input(b, "x", &[1, 64, side, side]);
            b.conv3x3("conv", x, 64, 1.0)
        });
    }
    bench(c, "upsample 64 at 128x128", F32, |b| {
        let x = input(b, "x", &[1, 64, 128, 128]);
        b.node("upsample", Op::Upsample2x, &[x])
    });
}

fn pointwise(c: &mut Criterion) {
    let tokens = [1, TOKENS, WIDTH];
    bench(c, "norm and modulate 1024x1024", F32, |b| {
        let x = input(b, "x", &tokens);
        let [shift, scale] = ["shift", "scale"].map(|name| input(b, name, &[1, 1, WIDTH]));
        let x = b.norm("norm", x, 1e-6);
        b.node("modulate", Op::Modulate, &[x, shift, scale])
    });
    bench(c, "norm of heads 1024x16x64", F32, |b| {
        let x = input(b, "x", &[1, TOKENS, HEADS, HEAD]);
        b.affine_norm("norm", x, 1e-6)
    });
    bench(c, "gated add 1024x1024", F32, |b| {
        let [x, y] = ["x", "y"].map(|name| input(b, name, &tokens));
        let gate = input(b, "gate", &[1, 1, WIDTH]);
        b.node("add", Op::GatedAdd, &[x, y, gate])
    });
    bench(c, "lerp of branches 1024x16x64", F32, |b| {
        let [x, y] = ["x", "y"].map(|name| input(b, name, &[1, TOKENS, HEADS, HEAD]));
        let gate = input(b, "gate", &[1, TOKENS, HEADS, 1]);
        b.node("join", Op::Lerp, &[x, y, gate])
    });
    bench(c, "rope 1024x16x64", F32, |b| {
        let x = input(b, "x", &[1, TOKENS, HEADS, HEAD]);
        b.node("rope", Op::Rope { rows: 32, cols: 32, theta: 1e4 }, &[x])
    });
    for (name, activation, shape) in [
        ("gelu 1024x4096", Activation::GeluTanh, vec![1, TOKENS, 4 * WIDTH]),
        ("relu 64x256x256", Activation::Relu, vec![1, 64, 256, 256]),
        ("sigmoid 1024x16", Activation::Sigmoid, vec![1, TOKENS, HEADS]),
    ] {
        bench(c, name, F32, |b| {
            let x = input(b, "x", &shape);
            b.activation("act", x, activation)
        });
    }
}

criterion_group!(benches, linears, attentions, convolutions, pointwise);
criterion_main!(benches);
