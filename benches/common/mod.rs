//! What the benches share: backends that can run here, and sessions on them.
#![allow(dead_code)] // each bench uses a part

use std::path::{Path, PathBuf};

use ditbench_backend_api::{Backend, CompileOptions, Session};
use ditbench_graph::Graph;
use ditbench_graph::weights::Weights;

/// Folder for prepared weights and exported models: DITBENCH_CACHE, else one below the target folder.
pub fn cache() -> PathBuf {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-cache");
    let folder = std::env::var_os("DITBENCH_CACHE").map_or(own, PathBuf::from);
    std::fs::create_dir_all(&folder).expect("the cache folder can be made");
    folder
}

/// Threads of every session: one for each core.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The backends of this build that can run here, each with what it is called. ONNX Runtime's library is found as
/// `ditbench run` finds it; without it (`ditbench devices --fetch`) it is left out, and that is said.
pub fn backends() -> Vec<(&'static str, Box<dyn Backend>)> {
    let all = ["ort", "candle", "tract"]
        .map(|name| (name, ditbench_worker::registry::backend(name).expect("the bench asks for these features")));
    let usable = |(name, backend): &(&str, Box<dyn Backend>)| match backend
        .devices()
        .into_iter()
        .find(|device| device.name == "cpu")
        .map(|device| device.state)
    {
        Some(Ok(())) => true,
        Some(Err(missing)) => {
            eprintln!("NOT RUN: {name}: {}. {}", missing.why, missing.cure);
            false
        }
        None => false,
    };
    all.into_iter().filter(usable).collect()
}

/// A session on the CPU with all cores.
pub fn session(backend: &dyn Backend, graph: &Graph, weights: &Weights, variant: &str) -> Box<dyn Session> {
    let options = CompileOptions::cpu(variant, threads(), cache());
    backend.compile(graph, weights, &options).expect("the backend takes the graph")
}
