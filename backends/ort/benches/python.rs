//! ONNX Runtime through us against Python's onnxruntime on the same file with the same threads: launches in turns (a b b a).
//!
//! ```console
//! $ python3 -m venv venv && venv/bin/pip install onnxruntime==1.31.1 numpy
//! $ DITBENCH_PYTHON=venv/bin/python cargo bench -p ditbench-ort --bench python
//! ```
//! Wanted: at most 1.03. Both sides make a session, run two passes that do not count, and give the median of the others.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../../../benches/ratio/mod.rs"]
mod ratio;

use std::path::Path;
use std::process::Command;

use ditbench_backend_api::{Backend, CompileOptions};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::Graph;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::snapgenpp::{ImageSize, Layout, Model, Variant};
use ratio::{Estimate, line, ratio, seconds};

/// (model, side, scheme, way of running, passes of a launch, pairs of launches)
const CASES: [(Variant, usize, Scheme, &str, usize, usize); 3] = [
    (Variant::Nano, 64, Scheme::F32, "stock", 400, 6),
    (Variant::Small, 512, Scheme::F32, "stock", 8, 6),
    (Variant::Small, 512, Scheme::Q4, "int8", 8, 6),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, case, cache] = &args[..]
        && word == "launch"
    {
        return launch(case.parse().expect("a number"), Path::new(cache));
    }
    // `cargo test --benches` runs benches too, to see that they start.
    if args.iter().any(|arg| arg == "--test") {
        return;
    }
    let Some(python) = std::env::var_os("DITBENCH_PYTHON") else {
        eprintln!("NOT RUN: set DITBENCH_PYTHON to a Python that has onnxruntime and numpy");
        return;
    };
    println!(
        "ONNX Runtime through ditbench over Python's onnxruntime, the same file and threads (wanted: at most 1.03)"
    );
    let cache = tempfile::tempdir().expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/compare/onnxruntime_session.py");
    let this = std::env::current_exe().expect("this program");
    for (index, (variant, side, scheme, way, passes, pairs)) in CASES.into_iter().enumerate() {
        let graph = graph(index);
        let stored = weights(&graph, scheme, 1);
        let folder = common::backend().export(&graph, &stored, &options(way, cache.path())).expect("a file").remove(0);
        let model = folder.join("model.onnx");
        let theirs = || {
            let mut command = Command::new(&python);
            command.arg(&script).arg(&model).args([threads(), passes].map(|number| number.to_string()));
            told(command)
        };
        let ours = || {
            let mut command = Command::new(&this);
            command.args(["launch", &index.to_string()]).arg(cache.path());
            told(command)
        };
        let label = format!("{} {side} {} {way}", variant.name(), scheme.name());
        line(&label, ratio(pairs, theirs, ours), "at most 1.03");
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn options(variant: &str, cache: &Path) -> CompileOptions {
    CompileOptions::cpu(variant, threads(), cache)
}

/// The denoiser; of `small` one block a stage.
fn graph(case: usize) -> Graph {
    let (variant, side, ..) = CASES[case];
    let mut config = variant.config(ImageSize { height: side, width: side });
    if variant == Variant::Small {
        config.denoiser.layout = Layout { down: 1, middle: 1, up: 1 };
    }
    Model::build(&config).expect("a model").denoiser
}

/// Our side of a launch, in a process of its own.
fn launch(case: usize, cache: &Path) {
    let (_, _, scheme, way, passes, _) = CASES[case];
    let graph = graph(case);
    let stored = weights(&graph, scheme, 1);
    let mut session = common::backend().compile(&graph, &stored, &options(way, cache)).expect("a session");
    let given = inputs(&graph, 1);
    let mut pass = || {
        seconds(|| {
            session.run(&given).expect("a pass");
        })
    };
    pass();
    pass();
    println!("{}", Estimate::of((0..passes).map(|_| pass())).median);
}

/// The number that a program prints last.
fn told(mut command: Command) -> f64 {
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.lines().last().and_then(|line| line.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
