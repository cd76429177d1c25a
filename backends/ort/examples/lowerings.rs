//! Times ways to write the denoiser for ONNX Runtime against each other, in turns, as ratios to the first.
//!
//! `cargo run --release -p ditbench-ort --example lowerings -- [size] [model] [blocks] [threads] [rounds] [what]`

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "cpu/mod.rs"]
mod cpu;

use std::time::{Duration, Instant};

use ditbench_backend_api::{CompileOptions, Session};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::cost;
use ditbench_graph::onnx::{AttentionForm, Dialect, GeluForm, LinearForm, QuantizedLinear};
use ditbench_graph::weights::Scheme;
use ditbench_kernels::{Isa, peak};
use ditbench_ort::dialect;
use ditbench_workloads::snapgenpp::{ImageSize, Layout, Model, OuterAttention, Variant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, or: usize| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(or);
    let (size, blocks, threads, rounds) = (number(0, 512), number(2, 1), number(3, 2), number(4, 5));
    let variant: Variant = args.get(1).map_or("small", String::as_str).parse().expect("a model");
    let what = args.get(5).cloned().unwrap_or_else(|| "f32".to_owned());
    let mut config = variant.config(ImageSize { height: size, width: size });
    if blocks > 0 {
        config.denoiser.layout = Layout { down: blocks, middle: blocks, up: blocks };
    }
    let graph = Model::build(&config).expect("a model").denoiser;
    config.denoiser.outer_attention = OuterAttention::Dense;
    let dense = Model::build(&config).expect("a model").denoiser;
    let f32s = dialect::unpacked();
    let products = |max_scores| Dialect { attention: AttentionForm::Products { max_scores }, ..f32s.clone() };
    let f32 = Scheme::F32;
    let ways: Vec<(&str, Dialect, Scheme, bool)> = match what.as_str() {
        "f32" => vec![
            ("ort", f32s.clone(), f32, false),
            ("scores 2^18", products(1 << 18), f32, false),
            ("scores 2^16", products(1 << 16), f32, false),
            ("scores 2^24", products(1 << 24), f32, false),
            ("MultiHead", Dialect { attention: AttentionForm::MultiHead, ..f32s.clone() }, f32, false),
            ("Gemm", Dialect { linear: LinearForm::Gemm, ..f32s.clone() }, f32, false),
            ("FastGelu", Dialect { gelu: GeluForm::FastGelu, ..f32s.clone() }, f32, false),
            ("no rotary", Dialect { rotary: false, ..f32s.clone() }, f32, false),
            ("ort again", f32s.clone(), f32, false),
            ("standard", Dialect { q4: QuantizedLinear::Unpacked, ..Dialect::standard() }, f32, false),
        ],
        "q4" => vec![
            ("f32", f32s.clone(), f32, false),
            ("q4 int8", dialect::int8(), Scheme::Q4, false),
            ("q4 int8 fastgelu", Dialect { gelu: GeluForm::FastGelu, ..dialect::int8() }, Scheme::Q4, false),
            ("f32 again", f32s.clone(), f32, false),
            ("q4 tuned-int8", dialect::tuned(), Scheme::Q4, false),
            ("q4 exact", dialect::exact(), Scheme::Q4, false),
            ("q8 int8", dialect::int8(), Scheme::Q8, false),
            ("q8 exact", dialect::exact(), Scheme::Q8, false),
        ],
        _ => vec![
            ("assa", f32s.clone(), f32, false),
            ("dense", f32s.clone(), f32, true),
            ("assa MultiHead", Dialect { attention: AttentionForm::MultiHead, ..f32s.clone() }, f32, false),
            ("dense MultiHead", Dialect { attention: AttentionForm::MultiHead, ..f32s.clone() }, f32, true),
        ],
    };
    let cache = tempfile::tempdir_in(std::env::var("SCRATCH").unwrap_or_else(|_| "/tmp".to_owned())).expect("a folder");
    let backend = common::backend();
    let mut sessions: Vec<(&str, bool, Box<dyn Session>)> = ways
        .iter()
        .map(|(name, dialect, scheme, is_dense)| {
            let graph = if *is_dense { &dense } else { &graph };
            let options = CompileOptions::cpu("", threads, cache.path());
            let session =
                backend.compile_dialect(graph, &weights(graph, *scheme, 1), dialect, &options).expect("a session");
            (*name, *is_dense, session)
        })
        .collect();
    let given = inputs(&graph, 1);
    let mut times: Vec<Vec<(f64, f64)>> = vec![Vec::new(); sessions.len()];
    let mut peaks = Vec::new();
    for round in 0..=rounds {
        for ((_, _, session), times) in sessions.iter_mut().zip(&mut times) {
            let (start, cpu) = (Instant::now(), cpu::seconds());
            session.run(&given).expect("a pass");
            if round > 0 {
                times.push((start.elapsed().as_secs_f64(), cpu::seconds() - cpu));
            }
        }
        if let Ok(sample) = peak::measure_f32(Isa::best(), threads, Duration::from_millis(300)) {
            peaks.push(sample.value * 1e9);
        }
    }
    // The processor's time is little disturbed by other programs, the wall clock's is.
    let best =
        |values: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| values.iter().map(which).fold(f64::INFINITY, f64::min);
    let flops = cost::total(&graph).flops as f64;
    let peak = peaks.iter().copied().fold(0.0, f64::max);
    println!("{:.1} GFLOP, peak {:.0} GFLOP/s, floor {:.0} ms", flops * 1e-9, peak * 1e-9, flops / peak * 1e3);
    let first = (best(&times[0], |t| t.0), best(&times[0], |t| t.1));
    for ((name, is_dense, _), times) in sessions.iter().zip(&times) {
        let (wall, cpu) = (best(times, |t| t.0), best(times, |t| t.1));
        let floor = if *is_dense { f64::NAN } else { flops / peak };
        println!(
            "{name:18} wall {:7.0} ms cpu {:7.0} ms; to the first: wall {:.3} cpu {:.3}; to the floor: wall {:.2} cpu {:.2}",
            wall * 1e3,
            cpu * 1e3,
            wall / first.0,
            cpu / first.1,
            wall / floor,
            cpu / threads as f64 / floor
        );
    }
    if let Some(which) = args.get(6).and_then(|a| a.parse::<usize>().ok()) {
        let profile = sessions[which].2.profile(&given).expect("a profile");
        let mut ops: std::collections::BTreeMap<(String, String), (usize, f64)> = Default::default();
        for node in &profile.nodes {
            let scope = node.scope.clone().unwrap_or_default();
            let leaf = scope.split('.').filter(|p| p.parse::<usize>().is_err()).collect::<Vec<_>>().join(".");
            let e = ops.entry((node.op.clone(), leaf)).or_default();
            e.0 += 1;
            e.1 += node.duration_s;
        }
        let mut ops: Vec<_> = ops.into_iter().collect();
        ops.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
        for ((op, scope), (count, seconds)) in ops.iter().take(45) {
            println!("{:8.2} ms {count:4} {op:28} {scope}", seconds * 1e3);
        }
        println!("total {:.1} ms", profile.total_s * 1e3);
    }
}
