//! One block of each stage of `small` on every backend, at the shapes of the real model: what sparse attention, 4 bits and
//! the way of running are worth here. Read the ratios of one run: absolute times are those of the machine and of its other
//! load.
//!
//! `cargo bench --bench denoiser`, or a part: `cargo bench --bench denoiser -- assa`
//!
//! ONNX Runtime's library is found as `ditbench run` finds it; without it (`ditbench devices --fetch`) its benches are left
//! out, and that is said.

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::backends;
use criterion::{
    BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use ditbench_backend_api::{Backend, Session};
use ditbench_conformance::inputs;
use ditbench_graph::cost;
use ditbench_graph::weights::prepare::{Source, prepare};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_workloads::snapgenpp::{ImageSize, Layout, Model, Rung, Variant};

/// `small`, cut down to a block a stage.
fn model(rung: Rung, side: usize) -> Model {
    let mut config = Variant::Small.config(ImageSize { height: side, width: side });
    rung.apply(&mut config);
    config.denoiser.layout = Layout { down: 1, middle: 1, up: 1 };
    Model::build(&config).expect("small with a block a stage is a model")
}

fn session(backend: &dyn Backend, model: &Model, scheme: Scheme, variant: &str) -> Box<dyn Session> {
    let prepared = prepare(model, &Source::Seed(1), scheme, &common::cache(), |_| ()).expect("weights can be made");
    let weights = Weights::open(&prepared.path).expect("they can be read");
    common::session(backend, &model.denoiser, &weights, variant)
}

fn bench(group: &mut BenchmarkGroup<WallTime>, name: &str, model: &Model, mut session: Box<dyn Session>) {
    let given = inputs(&model.denoiser, 1);
    group.throughput(Throughput::Elements(cost::total(&model.denoiser).flops));
    group.bench_function(name, |b| b.iter(|| session.run(black_box(&given)).expect("a pass")));
}

fn group<'a>(c: &'a mut Criterion, name: String) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    group
}

/// Adaptive sparse attention against dense attention in the outer stages, at the token counts of 512² and 1024².
fn assa(c: &mut Criterion) {
    for (name, backend) in backends() {
        for side in [512, 1024] {
            let mut group = group(c, format!("assa {side} {name}"));
            for (label, rung) in [("sparse", Rung::Final), ("dense", Rung::FinalDense)] {
                let model = model(rung, side);
                let variant = backend.variants(Scheme::F32)[0].name.clone();
                bench(&mut group, label, &model, session(backend.as_ref(), &model, Scheme::F32, &variant));
            }
            group.finish();
        }
    }
}

/// Every way of running f32 and q4, at 512².
fn precision(c: &mut Criterion) {
    let model = model(Rung::Final, 512);
    for (name, backend) in backends() {
        let mut group = group(c, format!("precision {name}"));
        for scheme in [Scheme::F32, Scheme::Q4] {
            for variant in backend.variants(scheme) {
                let session = session(backend.as_ref(), &model, scheme, &variant.name);
                bench(&mut group, &format!("{} {}", scheme.name(), variant.name), &model, session);
            }
        }
        group.finish();
    }
}

criterion_group!(benches, assa, precision);
criterion_main!(benches);
