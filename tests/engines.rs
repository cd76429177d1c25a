//! Engines outside the program, through the whole of it: rows of a table like any other, or rows with their reason.
//!
//! The tests that need ONNX Runtime's Python package are ignored but for `cargo test --release --test engines -- --ignored`
//! after `scripts/engines/setup.sh`.

mod common;

use std::path::{Path, PathBuf};

use common::{Bench, cells, near_the_reference, text};
use serde_json::{Value, json};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes engines.toml into the bench's folder: a toy engine for each misdeed, in order.
fn toys(bench: &Bench, rows: &[(&str, &str)]) {
    let script = here("backends/external/tests/engine.py");
    let row = |(name, misdeed): &(&str, &str)| {
        let words = misdeed.split_whitespace().map(|word| format!(", \"{word}\"")).collect::<String>();
        format!("[[engine]]\nname = \"{name}\"\ncommand = [\"python3\", \"{}\"{words}]\n", script.display())
    };
    std::fs::write(bench.path("engines.toml"), rows.iter().map(row).collect::<String>()).unwrap();
}

fn has_python() -> bool {
    let there = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !there {
        use std::io::Write;
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: no python3 here");
    }
    there
}

#[test]
fn an_engine_that_misbehaves_is_a_row_with_its_reason() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    toys(&bench, &[("garbled", "run garbage"), ("falls", "compile crash"), ("future", "describe newer"), ("fine", "")]);
    let engines = std::fs::read_to_string(bench.path("engines.toml")).unwrap();
    let gone = "[[engine]]\nname = \"gone\"\ncommand = [\"no-such-program-anywhere\"]\n";
    std::fs::write(bench.path("engines.toml"), engines + gone).unwrap();
    let out = bench.ok(&[
        "run",
        "--backend",
        "garbled,falls,future,gone,fine",
        "--precision",
        "f32",
        "--launches",
        "1",
        "--images",
        "2",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    for (name, status, why) in [
        ("garbled", "error", "not of the protocol"),
        ("falls", "error", "the roof fell in"),
        ("future", "unsupported", "it speaks engine protocol 99"),
        ("gone", "unsupported", "\"no-such-program-anywhere\" is not there"),
        ("fine", "ok", ""),
    ] {
        let cell = cells(&record).iter().find(|cell| cell["key"]["backend"] == name).expect("a row of it");
        assert_eq!(cell["status"], status, "{name}: {}", cell["reason"]);
        assert!(cell["reason"].as_str().unwrap_or_default().contains(why), "{name}: {}", cell["reason"]);
        assert!(out.contains(name), "{name} is in the table: {out}");
    }
    let fine = cells(&record).iter().find(|cell| cell["key"]["backend"] == "fine").unwrap();
    // The toy says a microsecond of every pass, whatever the way there and back takes.
    let sample = &fine["launches"][0]["samples"][0];
    assert_eq!(sample["stages"][0], json!({ "stage": "text_encoder", "seconds": [1e-6] }));
    assert_eq!(sample["stages"][1], json!({ "stage": "denoiser", "seconds": [1e-6, 1e-6, 1e-6, 1e-6] }));
    assert!(sample["harness_s"].as_f64().unwrap() > 0.0, "the hand-over belongs to no stage: {sample}");
    // A Python that computes nothing has a few megabytes; a worker with the weights of nano and three runtimes has more.
    let launch = &fine["launches"][0];
    let most = launch["memory"].as_array().unwrap().iter().filter_map(|mark| mark["high_water"].as_u64()).max();
    assert!(most.is_some_and(|most| most < 30_000_000), "memory is the engine's: {launch}");
    // It was asked where its nodes ran after its images: the kernel's last word on its memory is not theirs.
    assert!(launch["max_rss_bytes"].is_null(), "{launch}");
}

#[test]
fn engines_are_named_wherever_backends_are() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    toys(&bench, &[("toy", ""), ("broken", "describe refuse")]);
    let out = bench.ok(&["devices"]);
    assert!(out.contains("toy:plain") && out.contains("npu") && out.contains("Buy one"), "{out}");
    assert!(out.contains("no such thing here"), "{out}");
    let error = bench.refused(&["run", "--backend", "tyo"]);
    assert!(error.contains("unknown backend \"tyo\"") && error.contains("reference, toy, broken"), "{error}");
    // From another folder it takes the file's name, before or after.
    let other = Bench::new();
    let file = bench.path("engines.toml").display().to_string();
    let arguments = ["generate", "turtle", "-o", "t.png", "--model", "nano", "--backend", "toy"];
    assert!(other.refused(&arguments).contains("unknown backend \"toy\""));
    other.ok(&[&arguments[..], &["--engines", &file]].concat());
    other.ok(&[&["--engines", &file], &arguments[..]].concat());
    let error = other.refused(&["--engines", "nowhere.toml", "devices"]);
    assert!(error.contains("nowhere.toml") && error.lines().count() == 1, "{error}");
    std::fs::write(other.path("engines.toml"), "[[engine]]\nname = 'a'\n").unwrap();
    let error = other.refused(&["run", "--backend", "a"]);
    assert!(error.contains("engines.toml") && error.contains("command"), "{error}");
}

#[test]
fn the_order_of_an_engines_launch_repeats_it() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    toys(&bench, &[("toy", "")]);
    bench.ok(&[
        "run",
        "--backend",
        "toy",
        "--precision",
        "f32",
        "--launches",
        "1",
        "--images",
        "1",
        "--brief",
        "--out",
        "run",
    ]);
    // The row is in the order: its file is not needed any more.
    std::fs::remove_file(bench.path("engines.toml")).unwrap();
    let specs = std::fs::read_dir(bench.path("run/specs")).unwrap().map(|entry| entry.unwrap().path());
    let specs: Vec<PathBuf> = specs.collect();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ditbench"))
        .arg("worker")
        .stdin(std::fs::File::open(&specs[0]).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).trim().ends_with("{\"event\":\"finished\"}"), "{}", text(&output.stdout));
}

#[test]
fn an_engine_dies_with_its_worker() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    toys(&bench, &[("toy", "")]);
    let run = [
        "run",
        "--backend",
        "toy",
        "--precision",
        "f32",
        "--launches",
        "1",
        "--images",
        "1",
        "--brief",
        "--out",
        "run",
    ];
    bench.ok(&run);
    let spec = std::fs::read_dir(bench.path("run/specs")).unwrap().next().unwrap().unwrap().path();
    let mut order: Value = serde_json::from_slice(&std::fs::read(spec).unwrap()).unwrap();
    let words = order["engine"]["command"].as_array_mut().unwrap();
    words.extend(["run", "stall"].map(Value::from));
    std::fs::write(bench.path("order.json"), order.to_string()).unwrap();
    let mut worker = std::process::Command::new(env!("CARGO_BIN_EXE_ditbench"))
        .arg("worker")
        .stdin(std::fs::File::open(bench.path("order.json")).unwrap())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let events = worker.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(events), &mut line).unwrap();
    let engine = serde_json::from_str::<Value>(&line).unwrap()["pid"].as_u64().unwrap();
    assert_ne!(engine, u64::from(worker.id()), "{line}");
    let process = PathBuf::from(format!("/proc/{engine}/stat"));
    assert!(process.exists(), "it is at work");
    worker.kill().unwrap();
    worker.wait().unwrap();
    let begun = std::time::Instant::now();
    // Where nobody reaps orphans it stays behind as a zombie, which runs no more.
    let runs = || std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "the engine outlives its worker");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs ONNX Runtime's Python package: scripts/engines/setup.sh"]
fn an_engine_in_python_makes_the_images_that_ours_make() {
    let bench = Bench::new();
    let file = here("scripts/engines/engines.toml").display().to_string();
    let out = bench.ok(&[
        "run",
        "--engines",
        &file,
        "--model",
        "nano",
        "--backend",
        "reference,onnxruntime-python",
        "--precision",
        "f32,q4",
        "--launches",
        "2",
        "--images",
        "3",
        "--profile",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    let ours = |cell: &&Value| cell["key"]["backend"] == "onnxruntime-python";
    let rows: Vec<&Value> = cells(&record).iter().filter(ours).collect();
    assert_eq!(rows.len(), 2, "f32 and q4");
    assert_eq!(near_the_reference(&record), 3);
    for row in rows {
        assert_eq!(row["status"], "ok", "{}", row["reason"]);
        assert_eq!(row["launches"].as_array().unwrap().len(), 2);
        assert!(row["versions"][0]["version"].as_str().unwrap().starts_with("1."), "{}", row["versions"]);
        for stage in row["placement"].as_array().unwrap() {
            assert!(stage["entries"][0]["nodes"].as_u64().unwrap() > 10, "{stage}");
            assert_eq!(stage["entries"].as_array().unwrap().len(), 1, "{stage}");
        }
        let profile = row["profile"].as_object().or(row["profile"]["ok"].as_object()).expect("a profile");
        assert!(!profile.is_empty());
    }
    let table = std::fs::read_to_string(bench.path("run/table.csv")).unwrap();
    assert_eq!(table.lines().filter(|line| line.contains("onnxruntime-python")).count(), 2, "{table}");
    assert!(out.contains("onnxruntime-python"), "{out}");
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(page.contains("onnxruntime-python"));
}

#[test]
#[ignore = "needs ONNX Runtime's Python package: scripts/engines/setup.sh"]
fn an_engine_in_python_runs_a_users_own_graph_with_whatever_types_that_has() {
    let bench = Bench::new();
    let file = here("scripts/engines/engines.toml").display().to_string();
    let data = |name: &str| here("workloads/onnx/tests/data/tagger").join(name).display().to_string();
    let (model, io) = (data("model.onnx"), data("io.npz"));
    let own = ["run", "--engines", &file, "--model", &model, "--inputs", &io, "--expect", &io];
    let backend = "onnxruntime-python,onnxruntime-python:exact";
    bench.ok(&[&own[..], &["--backend", backend, "--launches", "1", "--images", "2", "--out", "run"]].concat());
    let record = bench.record("run");
    // What can be refused without running is refused first.
    let [refused, ran] = &cells(&record)[..] else { panic!("two cells") };
    assert_eq!(ran["status"], "ok", "{}", ran["reason"]);
    let off = ran["quality"]["ok"]["latents"][0]["relative_l2"].as_f64();
    assert!(off.is_some_and(|off| off < 1e-5), "{}", ran["quality"]);
    assert_eq!(refused["status"], "unsupported");
    assert!(refused["reason"].as_str().unwrap().contains("runs ONNX files as stock"), "{}", refused["reason"]);
}
