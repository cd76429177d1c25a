//! The conformance suite on an engine outside the program: ONNX Runtime's Python package (scripts/engines/onnxruntime.py).
//!
//! Needs its Python: `scripts/engines/setup.sh`, then `cargo test --release -p ditbench-external --test conformance_external -- --ignored`.
//! Without `--ignored` it is reported as ignored, and with it but without the packages it fails: never as passed without
//! having run.

use std::path::{Path, PathBuf};

use ditbench_conformance::{Suite, assert_passed};
use ditbench_external::{ENGINES, External, rows_of};
use ditbench_graph::weights::Scheme;

/// The engines of the file that the environment names, else of the one that is in the repository.
fn engines() -> Vec<External> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/engines/engines.toml");
    let file = std::env::var_os(ENGINES).map_or(ours, PathBuf::from);
    let engines = rows_of(&file, &[]).unwrap_or_else(|why| panic!("{why}"));
    engines
        .into_iter()
        .map(|row| {
            let engine = External::new(row);
            engine.check().unwrap_or_else(|why| panic!("{why}; for ours, run scripts/engines/setup.sh first"));
            engine
        })
        .collect()
}

fn passes(scheme: Scheme) {
    let cache = tempfile::tempdir().unwrap();
    // An engine that has no way for a precision says so in its description, and has no cases.
    let outcomes = |engine: External| Suite::new(cache.path()).schemes(&[scheme]).run(&engine);
    assert_passed(&engines().into_iter().flat_map(outcomes).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs ONNX Runtime's Python package: scripts/engines/setup.sh"]
fn f32_passes() {
    passes(Scheme::F32);
}

#[test]
#[ignore = "needs ONNX Runtime's Python package: scripts/engines/setup.sh"]
fn q4_passes() {
    passes(Scheme::Q4);
}
