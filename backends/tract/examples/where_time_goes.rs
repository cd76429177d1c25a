//! Where a denoiser step's time goes: each variant's step, and its operators by their share.
//!
//! `where_time_goes [nano|tiny|small] [SIDE] [THREADS] [f32|q4|…] [EXPORT_DIR]`; with a folder, ONNX files in three
//! dialects are left there, for ONNX Runtime to be timed beside.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use ditbench_backend_api::{Backend, CompileOptions};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::onnx::{self, AttentionForm, Dialect, QuantizedLinear};
use ditbench_graph::weights::Scheme;
use ditbench_tract::Tract;
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |i: usize, default: &str| args.get(i).cloned().unwrap_or_else(|| default.to_owned());
    let (variant, side, threads) = (arg(0, "nano").parse::<Variant>()?, arg(1, "64").parse()?, arg(2, "1").parse()?);
    let scheme = Scheme::ALL.into_iter().find(|s| s.name() == arg(3, "f32")).ok_or("unknown scheme")?;
    let graph = Model::build(&variant.config(ImageSize { height: side, width: side }))?.denoiser;
    let (weights, inputs) = (weights(&graph, scheme, 7), inputs(&graph, 7));
    let cache = std::env::temp_dir().join("ditbench-where-time-goes");
    std::fs::create_dir_all(&cache)?;
    if let Some(dir) = args.get(4) {
        let nbits = QuantizedLinear::MatMulNBits { accuracy_level: 1 };
        let microsoft = Dialect {
            q4: nbits,
            q8: nbits,
            nbits_bias: true,
            nbits_barrier: false,
            quick_gelu: true,
            rotary: true,
            ..Dialect::standard()
        };
        let dialects = [
            ("standard", Dialect::standard()),
            ("microsoft", microsoft.clone()),
            ("multihead", Dialect { attention: AttentionForm::MultiHead, ..microsoft }),
        ];
        for (name, dialect) in dialects {
            let dir = Path::new(dir).join(name);
            std::fs::create_dir_all(&dir)?;
            onnx::write(&graph, &weights, &dialect, &dir)?;
        }
    }
    let mut sessions = Vec::new();
    for variant in Tract.variants(scheme) {
        let options = CompileOptions::cpu(&variant.name, threads, &cache);
        let session = Tract.compile(&graph, &weights, &options)?;
        println!("{}: {:?}", variant.name, session.compile_report());
        sessions.push((variant.name, session, f64::INFINITY));
    }
    for _ in 0..4 {
        for (_, session, best) in &mut sessions {
            let start = Instant::now();
            session.run(&inputs)?;
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    for (name, session, best) in &mut sessions {
        println!("\n{name}: {:.1} ms a step (best of 4)", 1e3 * *best);
        let profile = session.profile(&inputs)?;
        let mut kinds: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for node in &profile.nodes {
            let entry = kinds.entry(&node.op).or_default();
            *entry = (entry.0 + node.duration_s, entry.1 + 1);
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        for (op, (seconds, count)) in kinds.into_iter().take(12) {
            println!("  {:5.1} %  {:8.2} ms  {count:5} × {op}", 100.0 * seconds / profile.total_s, 1e3 * seconds);
        }
    }
    Ok(())
}
