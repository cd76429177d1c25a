//! Whether the trace processor of the Perfetto UI takes the traces of `ditbench profile`, and finds in them what we wrote.
//!
//! Needs node and the UI: `scripts/perfetto-setup.sh target/perfetto`, then
//! `cargo test --release --test perfetto -- --ignored`. Without `--ignored` it is reported as ignored, and with it but without
//! the UI it fails: never as passed without having run.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bench, text};
use serde_json::Value;

/// Rows of the answer to a question in SQL about a trace.
fn ask(trace: &Path, sql: &str) -> Vec<Vec<Value>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ui = here.join("target/perfetto");
    assert!(ui.join("engine_bundle.js").exists(), "run scripts/perfetto-setup.sh target/perfetto first");
    let arguments = [here.join("tests/perfetto/query.mjs"), ui, trace.to_owned(), PathBuf::from(sql)];
    let output = Command::new("node").args(arguments).output().expect("node is installed");
    assert!(output.status.success(), "{}: {}", trace.display(), text(&output.stderr));
    text(&output.stdout).lines().map(|row| serde_json::from_str(row).expect("a row is JSON")).collect()
}

#[test]
#[ignore = "needs the Perfetto UI: scripts/perfetto-setup.sh"]
fn the_trace_processor_of_perfetto_finds_every_slice_where_we_put_it() {
    let bench = Bench::new();
    bench.ok(&["profile", "--model", "nano", "--backend", "candle,tract,ort", "--precision", "f32", "--out", "run"]);
    let traces: Vec<PathBuf> =
        std::fs::read_dir(bench.path("run/traces")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(traces.len(), 3, "one of each backend: {traces:?}");
    for trace in traces {
        let name = trace.display();
        let written: Value = serde_json::from_slice(&std::fs::read(&trace).unwrap()).unwrap();
        let slices: Vec<&Value> =
            written["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
        let errors =
            ask(&trace, "select name, value from stats where severity in ('error', 'data_loss') and value > 0");
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let found = ask(&trace, "select slice.name, category, dur, depth from slice order by slice.id");
        assert_eq!(found.len(), slices.len(), "{name}: slices");
        let depths = |category: &dyn Fn(&str) -> bool| -> Vec<u64> {
            let rows = found.iter().filter(|row| category(row[1].as_str().unwrap()));
            let mut depths: Vec<u64> = rows.map(|row| row[3].as_u64().unwrap()).collect();
            depths.sort_unstable();
            depths.dedup();
            depths
        };
        assert_eq!(depths(&|category| category == "stage"), [0], "{name}: a stage is outermost");
        assert_eq!(depths(&|category| category == "block"), [1], "{name}: a block is in a stage");
        assert!(
            depths(&|category| category != "stage" && category != "block").iter().all(|depth| *depth <= 2),
            "{name}"
        );
        let total = |rows: &mut dyn Iterator<Item = f64>| rows.sum::<f64>();
        let (ours, theirs) = (
            total(&mut slices.iter().map(|event| event["dur"].as_f64().unwrap() * 1e3)),
            total(&mut found.iter().map(|row| row[2].as_f64().unwrap())),
        );
        // It keeps whole nanoseconds.
        assert!((ours - theirs).abs() <= slices.len() as f64, "{name}: {ours} ns written, {theirs} ns found");
        let stages = ask(&trace, "select distinct name from slice where depth = 0 order by name");
        let wanted =
            ["decoder", "denoiser step 1", "denoiser step 2", "denoiser step 3", "denoiser step 4", "text encoder"];
        assert_eq!(stages.iter().map(|row| row[0].as_str().unwrap()).collect::<Vec<_>>(), wanted, "{name}");
    }
}

#[test]
#[ignore = "needs the Perfetto UI: scripts/perfetto-setup.sh"]
fn what_is_no_trace_is_not_taken() {
    let bench = Bench::new();
    let trace = bench.path("cut.json");
    std::fs::write(&trace, r#"{"traceEvents": [{"name": "a", "ph": "X", "ts": 1, "dur": "#).unwrap();
    let errors = std::panic::catch_unwind(|| ask(&trace, "select name from slice"));
    assert!(
        errors.is_err_and(|why| why.downcast_ref::<String>().is_some_and(|why| why.contains("no such table: slice")))
    );
}
