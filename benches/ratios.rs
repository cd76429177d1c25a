//! The ratios that ditbench is to reach, each measured in one run and in turns (a b b a): the median and the interval of its
//! pairs. No bound is enforced: look at the lines.
//!
//! `cargo bench --bench ratios`, or parts: `cargo bench --bench ratios -- harness attention depthwise small`
//!
//! | part | what |
//! |---|---|
//! | `harness` | an image through our pipeline against the same passes of the same sessions called directly |
//! | `attention` | the time in the attention of Down and Up, dense over sparse, `small` with one block a stage at 1024² |
//! | `depthwise` | the time in the depthwise convolutions of SnapGen's denoiser at 1024², every backend over ONNX Runtime, and `stock` over `tuned` |
//! | `small` | a denoiser pass of the whole `small` at 512² (8 GB of weights in the cache): to its floor, and backends to ONNX Runtime in f32 |
//!
//! ONNX Runtime against Python's, and tract against a bare tract: `cargo bench -p ditbench-ort --bench python`,
//! `cargo bench -p ditbench-tract --bench bare`.

mod common;
mod ratio;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{backends, cache, session, threads};
use ditbench_backend_api::{Backend, Session};
use ditbench_conformance::inputs;
use ditbench_graph::cost;
use ditbench_graph::weights::prepare::{Source, prepare};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_graph::{ConvShape, DType, Graph, GraphBuilder, Op, Tensor};
use ditbench_kernels::{Isa, peak};
use ditbench_workloads::snapgen;
use ditbench_workloads::snapgenpp::pipeline::{self, Feed, Rule};
use ditbench_workloads::snapgenpp::{ImageSize, Layout, Model, ModelConfig, Rung, Variant};
use ditbench_workloads::{RunError, StageRunner};
use ratio::{Estimate, line, ratio, seconds, seconds_of};

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, fn()); 4] =
        [("harness", harness), ("attention", attention), ("depthwise", depthwise), ("small", small)];
    // `cargo test --benches` runs benches too, to see that they start.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    if let Some(unknown) = asked.iter().find(|arg| parts.iter().all(|(name, _)| name != arg)) {
        eprintln!("there is no part \"{unknown}\"; there are {}", parts.map(|(name, _)| name).join(", "));
        std::process::exit(2);
    }
    for (_, part) in parts.iter().filter(|(name, _)| asked.is_empty() || asked.iter().any(|arg| arg == name)) {
        part();
    }
}

fn config(variant: Variant, side: usize) -> ModelConfig {
    variant.config(ImageSize { height: side, width: side })
}

fn weights(model: &Model, scheme: Scheme) -> Weights {
    let prepared = prepare(model, &Source::Seed(1), scheme, &cache(), |_| ()).expect("weights can be made");
    Weights::open(&prepared.path).expect("they can be read")
}

/// The three sessions of a model, as the pipeline wants them.
struct Sessions([Box<dyn Session>; 3]);

impl StageRunner for Sessions {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let index = ["text_encoder", "denoiser", "decoder"].iter().position(|known| *known == stage);
        Ok(self.0[index.ok_or("no such stage")?].run(inputs)?)
    }
}

fn harness() {
    println!("\nAn image of nano through the pipeline, over the same passes called directly");
    let config = config(Variant::Nano, 64);
    let model = Model::build(&config).expect("a model");
    let (weights, steps) = (weights(&model, Scheme::F32), 4);
    let given = Feed::make(&config, "a red apple", 7, steps, Rule::Euler).expect("inputs");
    let feeds = model.graphs().map(|graph| inputs(graph, 1));
    for (name, backend) in backends() {
        let variant = &backend.variants(Scheme::F32)[0].name;
        let made = model.graphs().map(|graph| session(backend.as_ref(), graph, &weights, variant));
        let sessions = std::cell::RefCell::new(Sessions(made));
        let direct = || {
            let sessions = &mut sessions.borrow_mut().0;
            seconds(|| {
                for (stage, passes) in [(0, 1), (1, steps), (2, 1)] {
                    for _ in 0..passes {
                        sessions[stage].run(&feeds[stage]).expect("a pass");
                    }
                }
            })
        };
        let ours = || {
            let sessions = &mut *sessions.borrow_mut();
            seconds(|| {
                pipeline::generate(&config, &given, sessions).expect("an image");
            })
        };
        line(&format!("{name}, f32"), ratio(100, direct, ours), "at most 1.01");
    }
}

/// Seconds in the attention of Down and Up, as the backend's profiler tells: what is between the projections.
fn attention_seconds(session: &mut dyn Session, feed: &[Tensor]) -> f64 {
    let profile = session.profile(feed).expect("a profile");
    let counts = |scope: &str| {
        (scope.starts_with("down.") || scope.starts_with("up."))
            && (scope.contains(".attn.assa.") || scope.contains(".attn.attend"))
    };
    seconds_of(&profile, |scope| counts(scope).then_some(1))
}

fn attention() {
    println!(
        "\nAttention of Down and Up, `small`, one block a stage, f32, 1024²: dense over sparse; the whole pass behind"
    );
    let model = |rung: Rung| {
        let mut config = config(Variant::Small, 1024);
        rung.apply(&mut config);
        config.denoiser.layout = Layout { down: 1, middle: 1, up: 1 };
        Model::build(&config).expect("a model")
    };
    let models = [model(Rung::Final), model(Rung::FinalDense)];
    let stored = [weights(&models[0], Scheme::F32), weights(&models[1], Scheme::F32)];
    let feeds = [inputs(&models[0].denoiser, 1), inputs(&models[1].denoiser, 1)];
    for (name, backend) in backends() {
        for variant in backend.variants(Scheme::F32) {
            let made = |i: usize| session(backend.as_ref(), &models[i].denoiser, &stored[i], &variant.name);
            let (mut sparse, mut dense) = (made(0), made(1));
            let wanted = if name == "ort" { "at least 1.5" } else { "" };
            let inside = ratio(
                6,
                || attention_seconds(sparse.as_mut(), &feeds[0]),
                || attention_seconds(dense.as_mut(), &feeds[1]),
            );
            line(&format!("{name} {}, attention", variant.name), inside, wanted);
            let pass = |session: &mut dyn Session, feed: &[Tensor]| {
                seconds(|| {
                    session.run(feed).expect("a pass");
                })
            };
            let whole = ratio(6, || pass(sparse.as_mut(), &feeds[0]), || pass(dense.as_mut(), &feeds[1]));
            line(&format!("{name} {}, whole pass", variant.name), whole, "");
        }
    }
}

/// SnapGen's depthwise convolutions, each shape once; how often the denoiser has it, by name; elements that all of them read.
fn depthwise_layers() -> (Graph, BTreeMap<String, usize>, usize) {
    let size = ditbench_workloads::ImageSize { height: 1024, width: 1024 };
    let config = snapgen::ModelConfig::of("snapgen", size).expect("a model of SnapGen's");
    let whole = snapgen::denoiser(&config).expect("a denoiser");
    let mut counts = BTreeMap::new();
    for node in &whole.nodes {
        let shape = whole.shape(node.inputs.first().copied().unwrap_or(node.output));
        if matches!(node.op, Op::Conv2d { groups, .. } if groups == shape[1]) {
            *counts.entry(shape.to_vec()).or_insert(0) += 1;
        }
    }
    let elements = counts.iter().map(|(shape, count)| shape.iter().product::<usize>() * count).sum();
    let mut b = GraphBuilder::new("depthwise");
    let named = counts.into_iter().map(|(shape, count)| {
        let (name, groups) = (format!("each_{}_at_{}", shape[1], shape[2]), shape[1]);
        let x = b.input(&format!("{name}_x"), &shape, DType::F32);
        let window = ConvShape { kernel: 3, stride: 1, padding: 1, groups, bias: false };
        let y = b.conv(&name, x, groups, window, 1.0);
        b.output(&format!("{name}_y"), y);
        (name, count)
    });
    let named = named.collect();
    (b.finish().expect("a graph"), named, elements)
}

fn depthwise() {
    println!("\nThe depthwise convolutions of SnapGen's denoiser at 1024², f32, {} threads", threads());
    let (graph, counts, elements) = depthwise_layers();
    let (stored, feed) = (ditbench_conformance::weights(&graph, Scheme::F32, 1), inputs(&graph, 1));
    // As the profiler tells: what goes into a session and comes out of it is copied, and would hide the half of it.
    let inside = |session: &mut dyn Session| {
        let profile = session.profile(&feed).expect("a profile");
        let told = |name: &String| profile.nodes.iter().any(|node| node.scope.as_ref() == Some(name));
        let whole = counts.keys().all(told);
        seconds_of(&profile, |scope| counts.get(scope).copied().filter(|_| whole))
    };
    let made = |backend: &dyn Backend, variant: &str| session(backend, &graph, &stored, variant);
    let backends = backends();
    let mut first: Option<(String, Box<dyn Session>)> = None;
    for (name, backend) in &backends {
        let mut of_backend: Vec<(String, Box<dyn Session>)> = Vec::new();
        for variant in backend.variants(Scheme::F32) {
            let mut session = made(backend.as_ref(), &variant.name);
            let label = format!("{name} {}", variant.name);
            line(&format!("{label}: seconds a pass"), Estimate::of((0..7).map(|_| inside(session.as_mut()))), "");
            if let Some((against, reference)) = &mut first {
                let over = ratio(6, || inside(reference.as_mut()), || inside(session.as_mut()));
                line(&format!("{label} over {against}"), over, "");
            }
            of_backend.push((label, session));
        }
        if let [(tuned, a), (stock, b)] = &mut of_backend[..] {
            line(&format!("{stock} over {tuned}"), ratio(6, || inside(a.as_mut()), || inside(b.as_mut())), "");
        }
        if first.is_none() {
            first = of_backend.into_iter().next();
        }
    }
    println!(
        "{:.0} MB read and as many written a pass, {} layers",
        4e-6 * elements as f64,
        counts.values().sum::<usize>()
    );
}

fn small() {
    println!("\nA denoiser pass of `small` at 512², all blocks, {} threads", threads());
    let model = Model::build(&config(Variant::Small, 512)).expect("a model");
    let feed = inputs(&model.denoiser, 1);
    let flops = cost::total(&model.denoiser).flops as f64;
    let (mut first, mut base) = (None, Estimate::of([f64::NAN]));
    for (scheme, bound) in [(Scheme::F32, "at most 3"), (Scheme::Q4, "")] {
        let stored = weights(&model, scheme);
        for (name, backend) in backends() {
            for variant in
                backend.variants(scheme).iter().filter(|variant| !variant.name.starts_with("stock") || name == "ort")
            {
                let mut session = session(backend.as_ref(), &model.denoiser, &stored, &variant.name);
                let pass = |session: &mut Box<dyn Session>| {
                    seconds(|| {
                        session.run(&feed).expect("a pass");
                    })
                };
                let label = format!("{name} {} {}", scheme.name(), variant.name);
                pass(&mut session);
                // The peak is measured between the passes: the clock under load is the same for both.
                let peak_now = || {
                    let sample = peak::measure_f32(Isa::best(), threads(), Duration::from_millis(100));
                    sample.expect("the processor has its own instructions").value * 1e9
                };
                let times: Vec<(f64, f64)> = (0..8).map(|_| (pass(&mut session), flops / peak_now())).collect();
                let took = Estimate::of(times.iter().map(|(took, _)| *took));
                let floor = Estimate::of(times.iter().map(|(took, floor)| took / floor));
                let wanted = if first.is_none() && name == "ort" { "at most 1.8" } else { "" };
                line(&format!("{label}: seconds"), took, "");
                line(&format!("{label}: over the f32 floor"), floor, wanted);
                match &mut first {
                    None => (first, base) = (Some((label, session)), took),
                    Some((against, reference)) => {
                        let over = ratio(4, || pass(reference), || pass(&mut session));
                        let bound = if scheme == Scheme::F32 || name != "ort" { "at most 3" } else { bound };
                        let bound =
                            if name == "ort" && variant.name.contains("int8") { "at most 0.833" } else { bound };
                        line(&format!("{label} over {against}"), over, bound);
                    }
                }
            }
        }
    }
    println!("{:.1} GFLOP a pass; the first row's median is {:.3} s", flops * 1e-9, base.median);
}
