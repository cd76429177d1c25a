//! Devices other than the processor, through the whole program: set up, listed, run, held against the reference.
//!
//! What needs a provider's package or a driver is ignored but for `cargo test --release --test devices -- --ignored` after
//! `scripts/devices/lavapipe.sh target/devices/lavapipe` and `ditbench setup … --cache target/devices/cache`. Neither WebGPU on lavapipe
//! nor QNN's simulator says anything of a device's speed: what is looked at is where nodes ran and what came out.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bench, cells, text};
use serde_json::Value;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/devices").join(path)
}

/// The program with the providers that were set up, and with lavapipe where that was set up.
fn command(bench: &Bench, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command.env("DITBENCH_CACHE", here("cache"));
    let environment = std::fs::read_to_string(here("lavapipe/environment")).unwrap_or_default();
    command.envs(environment.lines().filter_map(|line| line.split_once('=')));
    command
}

fn ok(bench: &Bench, arguments: &[&str]) -> String {
    let output = command(bench, arguments).output().expect("the program starts");
    assert!(output.status.success(), "{arguments:?} failed: {}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs nano on the processor and on a device; gives the record.
fn run(bench: &Bench, device: &str, steps: &str) -> Value {
    let devices = format!("cpu,{device}");
    run_as(bench, &["--backend", "ort:stock,ort:exact", "--device", &devices, "--precision", "f32,q4"], steps, "run")
}

fn run_as(bench: &Bench, what: &[&str], steps: &str, out: &str) -> Value {
    let words = ["run", "--model", "nano", "--steps", steps, "--launches", "1", "--images", "2"];
    ok(bench, &[&words[..], what, &["--out", out]].concat());
    bench.record(out)
}

/// A file of a user's own with an operation that the device's provider does not take: a row that names it, and where the processor may
/// help, a row that is marked.
fn leaves_one_operation(device: &str) {
    let bench = Bench::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("workloads/onnx/tests/data/single/determinant.onnx")
        .display()
        .to_string();
    let words = ["run", "--model", &model, "--backend", "ort", "--device", device, "--launches", "1", "--images", "2"];
    let refused = command(&bench, &[&words[..], &["--out", "refused"]].concat()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "nothing could be measured: {}", text(&refused.stderr));
    let record = bench.record("refused");
    let of_device =
        |record: &Value| cells(record).iter().find(|cell| cell["key"]["device"] == device).cloned().unwrap();
    let cell = of_device(&record);
    assert_eq!(cell["status"], "unsupported", "{}", cell["reason"]);
    let reason = cell["reason"].as_str().unwrap();
    assert!(reason.contains("left to the processor") && reason.contains("Det (1: volume)"), "{reason}");

    let said = ok(&bench, &["inspect", "--model", &model, "--for", device]);
    assert!(said.contains("4 of 5") && said.contains("Det (1: volume)"), "{said}");

    let said = ok(&bench, &[&words[..], &["--allow-fallback", "--out", "allowed"]].concat());
    assert!(said.contains("fell back to another device"), "{said}");
    let record = bench.record("allowed");
    let cell = of_device(&record);
    assert_eq!(cell["status"], "ok", "{}", cell["reason"]);
    let placement = &cell["placement"][0];
    let entry = |name: &str| {
        let entries = placement["entries"].as_array().unwrap();
        entries.iter().find(|entry| entry["device"] == name).unwrap_or_else(|| panic!("{placement:#}")).clone()
    };
    let (there, here) = (entry(device), entry("cpu"));
    assert_eq!((&there["nodes"], &here["nodes"]), (&4.into(), &1.into()), "{placement:#}");
    let share = |entry: &Value| entry["time_share"].as_f64().unwrap_or_else(|| panic!("{placement:#}"));
    assert!((share(&there) + share(&here) - 1.0).abs() < 1e-6, "{placement:#}");
    assert!(placement["source"].as_str().unwrap().contains("Det (1: volume)"), "{placement:#}");
}

/// GPUs of candle's and tract's, in whatever build on whatever machine: what is not there is a row with the reason, never a panic.
#[test]
fn a_gpu_that_is_not_here_is_a_row_with_the_reason() {
    let bench = Bench::new();
    let words = ["run", "--model", "nano", "--steps", "1", "--launches", "1", "--images", "1", "--out", "run"];
    let what = ["--backend", "candle,tract", "--device", "cuda,metal", "--precision", "f32,q4"];
    let output = bench.command(&[&words[..], &what].concat()).output().unwrap();
    let said = text(&output.stderr);
    assert!(!said.contains("panicked at"), "{said}");
    let record = bench.record("run");
    let there: Vec<&Value> = cells(&record).iter().filter(|cell| cell["key"]["device"] != "cpu").collect();
    assert_eq!(there.len(), 8, "{:#?}", reasons(&record));
    for cell in there {
        if cell["status"] == "ok" {
            assert_eq!(cell["placement"][0]["asked"], cell["key"]["device"], "{cell:#}");
            continue;
        }
        assert_eq!(cell["status"], "unsupported", "{cell:#}");
        let reason = cell["reason"].as_str().unwrap();
        let known = [
            "this build lacks it",
            "no NVIDIA driver",
            "the NVIDIA driver",
            "no Metal device",
            "tract cannot use it",
            "tract's runtime panicked",
            "this build of ditbench has no",
        ];
        assert!(known.iter().any(|known| reason.contains(known)), "{reason}");
    }
}

fn cell<'a>(record: &'a Value, device: &str, precision: &str) -> &'a Value {
    let is_it = |cell: &&Value| {
        cell["key"]["device"] == device && cell["key"]["precision"] == precision && cell["status"] == "ok"
    };
    cells(record).iter().find(is_it).unwrap_or_else(|| panic!("{device} {precision}: {:#?}", reasons(record)))
}

fn reasons(record: &Value) -> Vec<String> {
    cells(record).iter().map(|cell| format!("{}: {} {}", cell["key"], cell["status"], cell["reason"])).collect()
}

/// Every node of every stage ran on the device.
fn is_placed(cell: &Value, device: &str) {
    let stages = cell["placement"].as_array().expect("a placement");
    assert_eq!(stages.len(), 3, "{stages:#?}");
    for stage in stages {
        let entries = stage["entries"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{stage:#?}");
        assert_eq!(entries[0]["device"], device, "{stage:#?}");
        assert!(entries[0]["nodes"].as_u64().unwrap() > 0, "{stage:#?}");
    }
}

/// Weights of 16 bits are run as they are there, unless the user says otherwise, and come out as near as that allows.
fn runs_halves(bench: &Bench, device: &str, f32_bytes: f64) {
    let record = run_as(bench, &["--backend", "ort", "--device", device, "--precision", "f16"], "1", "halves");
    let half = cell(&record, device, "f16");
    assert_eq!((&half["key"]["variant"], &half["numerics"]["ok"]), (&"half".into(), &"f16".into()));
    is_placed(half, device);
    assert!(distance(half) > 1e-5 && distance(half) < 1e-2, "{}", distance(half));
    let share = disk_bytes(half) / f32_bytes;
    assert!(share > 0.45 && share < 0.6, "half as many bytes: {share}");
}

fn disk_bytes(cell: &Value) -> f64 {
    cell["weights"]["disk_bytes"].as_f64().unwrap()
}

/// Distance of the last latent from the reference's.
fn distance(cell: &Value) -> f64 {
    let latents = cell["quality"]["ok"]["latents"].as_array().unwrap_or_else(|| panic!("{}", cell["quality"]));
    latents.last().unwrap()["relative_l2"].as_f64().unwrap()
}

#[test]
fn what_is_not_there_says_how_to_get_it() {
    let bench = Bench::new();
    let refused = bench.refused(&["setup", "moonlight"]);
    assert!(refused.contains("webgpu, qnn, openvino, cuda"), "{refused}");
    let refused = bench.refused(&["run", "--ep", "webgpu"]);
    assert!(refused.contains("NAME=LIBRARY"), "{refused}");
    // A device whose provider is not set up is a row that says so; one that is named and not there too.
    let out = bench.run(&["run", "--backend", "ort", "--device", "webgpu", "--precision", "f32", "--out", "run"]);
    assert_eq!(out.status.code(), Some(2), "nothing could be measured");
    let record = bench.record("run");
    let reason = cells(&record)[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("ditbench setup webgpu"), "{reason}");
    let wrong = ["run", "--backend", "ort", "--device", "npu:qnn", "--precision", "f32", "--out", "wrong"];
    let out = bench.run(&[&wrong[..], &["--ep", "qnn=/no/such/lib.so"]].concat());
    assert_eq!(out.status.code(), Some(2));
    let record = bench.record("wrong");
    let reason = cells(&record)[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("there is no file /no/such/lib.so"), "{reason}");
    assert_eq!(record["run"]["plan"]["plan"]["ep"][0], "qnn=/no/such/lib.so", "a resumed run has it too");
}

#[test]
#[ignore = "needs scripts/devices/lavapipe.sh and `ditbench setup webgpu`"]
fn webgpu_runs_every_node_and_comes_out_right() {
    assert!(here("lavapipe/environment").is_file(), "run scripts/devices/lavapipe.sh target/devices/lavapipe first");
    let bench = Bench::new();
    // In the second step some inputs are what they were and others are not.
    let record = run(&bench, "webgpu", "2");
    let webgpu = cell(&record, "webgpu", "f32");
    assert_eq!(webgpu["device"]["nature"], "software", "{}", webgpu["device"]);
    is_placed(webgpu, "webgpu");
    assert_eq!(webgpu["numerics"]["ok"], "f32");
    assert!(distance(webgpu) < 1e-4, "f32 is f32 there too: {}", distance(webgpu));
    let (q4, same) = (cell(&record, "webgpu", "q4"), cell(&record, "cpu", "q4"));
    is_placed(q4, "webgpu");
    assert_eq!(q4["numerics"]["ok"], "weight_only");
    assert!((distance(q4) - distance(same)).abs() < 1e-3, "{} and {}", distance(q4), distance(same));
    runs_halves(&bench, "webgpu", disk_bytes(webgpu));
    // Inputs and outputs are bound once, and a second image is the first again.
    assert_eq!(webgpu["launches"][0]["same_bytes"], true, "{:#}", webgpu["launches"][0]);
    // The processor's cells know nothing of it.
    is_placed(cell(&record, "cpu", "f32"), "cpu");
    is_placed(same, "cpu");
}

#[test]
#[ignore = "needs `ditbench setup qnn`"]
fn qnn_runs_every_stage_on_the_npu_and_comes_out_right() {
    let bench = Bench::new();
    let record = run(&bench, "npu:qnn", "1");
    for (precision, bound) in [("f32", 1e-2), ("q4", 1e-2)] {
        let (npu, same) = (cell(&record, "npu:qnn", precision), cell(&record, "cpu", precision));
        is_placed(npu, "npu:qnn");
        assert_eq!(npu["device"]["nature"], "simulator", "{}", npu["device"]);
        assert_eq!(npu["numerics"]["ok"], "f16", "whatever the file says");
        let farther = distance(npu) - if precision == "q4" { distance(same) } else { 0.0 };
        assert!(farther.abs() < bound, "{precision}: {} and {}", distance(npu), distance(same));
        is_placed(same, "cpu");
    }
    runs_halves(&bench, "npu:qnn", disk_bytes(cell(&record, "cpu", "f32")));
}

#[test]
#[ignore = "needs scripts/devices/lavapipe.sh and `ditbench setup webgpu`"]
fn what_webgpu_does_not_take_is_named_and_runs_on_the_processor_only_where_that_is_allowed() {
    leaves_one_operation("webgpu");
}

#[test]
#[ignore = "needs `ditbench setup qnn`"]
fn what_qnn_does_not_take_is_named_and_runs_on_the_processor_only_where_that_is_allowed() {
    leaves_one_operation("npu:qnn");
}
