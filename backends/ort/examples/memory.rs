//! Resident memory of one denoiser in a process of its own: after loading, at the peak of a pass.
//!
//! `cargo run --release -p ditbench-ort --example memory -- [model] [size] [scheme] [fast|small] [threads] [cache]`
//!
//! Run it twice: the first run makes the weights and the ONNX file, the second finds them.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "cpu/mod.rs"]
mod cpu;

use std::path::PathBuf;
use std::time::Instant;

use ditbench_backend_api::{Backend, CompileOptions, MemoryMode};
use ditbench_conformance::inputs;
use ditbench_graph::weights::prepare::{Source, prepare};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize, or: &str| args.get(i).cloned().unwrap_or_else(|| or.to_owned());
    let variant: Variant = arg(0, "small").parse().expect("a model");
    let size = arg(1, "512").parse().expect("a size");
    let scheme = Scheme::ALL.into_iter().find(|scheme| scheme.name() == arg(2, "q4")).expect("a scheme");
    let memory = if arg(3, "fast") == "small" { MemoryMode::Small } else { MemoryMode::Fast };
    let threads = arg(4, "2").parse().expect("a number");
    let cache = PathBuf::from(arg(5, "/tmp/ditbench-memory"));
    let model = Model::build(&variant.config(ImageSize { height: size, width: size })).expect("a model");
    let prepared = prepare(&model, &Source::Seed(1), scheme, &cache, |_| ()).expect("weights");
    let weights = Weights::open(&prepared.path).expect("weights");
    let backend = common::backend();
    let graph = &model.denoiser;
    let options = CompileOptions { memory, ..CompileOptions::cpu(&backend.variants(scheme)[0].name, threads, cache) };
    let mut session = backend.compile(graph, &weights, &options).expect("a session");
    drop(weights);
    println!("{:?}", session.compile_report());
    show("compiled, peak since the start");
    // Writing 5 resets the peak to what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux");
    show("compiled, weights' file unmapped");
    let given = inputs(graph, 1);
    for pass in 0..2 {
        let (start, cpu) = (Instant::now(), cpu::seconds());
        session.run(&given).expect("a pass");
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu::seconds() - cpu);
        show(&format!("pass {pass}, {wall:.1} s ({cpu:.1} s of processor time), peak since compiled"));
    }
    println!("{:?}", session.memory());
}

fn show(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let of = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or("");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0 / 1024.0
    };
    println!(
        "{what}: VmHWM {:.3} GiB, VmRSS {:.3}, anonymous {:.3}, of files {:.3}",
        of("VmHWM"),
        of("VmRSS"),
        of("RssAnon"),
        of("RssFile")
    );
}
