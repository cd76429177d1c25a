//! The gate from the command line: what is planted is found, and nothing else. The backend is a script, so that the faults
//! are exact; everything around it is the real program.
#![cfg(unix)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use common::{Bench, text};

/// A build of ditbench that behaves as a script says.
fn build(bench: &Bench, name: &str, script: &str) -> String {
    let (program, json) = (bench.path(name), bench.path(&format!("{name}.json")));
    std::fs::write(&json, script).unwrap();
    let ditbench = env!("CARGO_BIN_EXE_ditbench");
    let shell = format!("#!/bin/sh\nDITBENCH_SCRIPT='{}' exec '{ditbench}' \"$@\"\n", json.display());
    std::fs::write(&program, shell).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

const USUAL: &str = r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5}"#;

/// The two builds held against each other on the scripted backend.
fn ab(bench: &Bench, base: &str, head: &str, more: &[&str]) -> Output {
    let (base, head) = (build(bench, "old", base), build(bench, "new", head));
    let fixed = ["ab", "--base", &base, "--head", &head, "--backend", "scripted", "--noise", "none", "--images", "4"];
    let mut command = bench.command(&[&fixed[..], more].concat());
    command.env("DITBENCH_SCRIPT", bench.path("old.json")).output().unwrap()
}

fn expect(output: &Output, code: i32, words: &[&str]) {
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}\n{error}");
    for word in words {
        assert!(said.contains(word), "no \"{word}\" in {said}");
    }
}

/// Few launches: for faults that do not have to be told from noise.
const FEW: [&str; 6] = ["--precision", "f32,q4", "--first", "2", "--pairs", "2"];

#[test]
fn a_planted_slowdown_fails() {
    let bench = Bench::new();
    // Ten times as slow: to be told on any machine, however busy. How small a change is found is simulated elsewhere.
    let slow = r#"{"denoiser_ms": 12.0, "decoder_ms": 0.5}"#;
    let output = ab(&bench, USUAL, slow, &["--precision", "f32", "--pairs", "10", "--out", "ab", "--github"]);
    expect(&output, 1, &["REGRESSED", "steady image", "::error"]);
    for face in ["verdict.json", "verdict.md", "verdict.html", "junit.xml", "base/record.json", "head/record.json"] {
        assert!(bench.path("ab").join(face).is_file(), "{face} is missing");
    }
    assert!(std::fs::read_to_string(bench.path("ab/junit.xml")).unwrap().contains("<failure"));
    // The records alone say the same.
    let again = bench.run(&["compare", "ab/base", "ab/head", "--noise", "none", "--markdown", "pull-request.md"]);
    expect(&again, 1, &["REGRESSED"]);
    assert!(std::fs::read_to_string(bench.path("pull-request.md")).unwrap().contains("regressed"));
    // And backwards it is an improvement, not a regression.
    let backwards = bench.run(&["compare", "ab/head", "ab/base", "--noise", "none"]);
    assert_ne!(backwards.status.code(), Some(1), "{}", text(&backwards.stdout));
    assert!(text(&backwards.stdout).contains("improved"));
}

#[test]
fn a_planted_wrong_result_fails_however_fast_it_is() {
    let bench = Bench::new();
    let wrong = r#"{"denoiser_ms": 0.5, "decoder_ms": 0.2, "few_bits_error": 0.9}"#;
    expect(&ab(&bench, USUAL, wrong, &FEW), 1, &["REGRESSED", "latent"]);
}

#[test]
fn a_planted_fall_back_fails_however_fast_it_is() {
    let bench = Bench::new();
    let elsewhere = r#"{"denoiser_ms": 0.5, "decoder_ms": 0.2, "elsewhere": 0.25}"#;
    expect(&ab(&bench, USUAL, elsewhere, &FEW), 1, &["REGRESSED", "device"]);
}

/// Some runtimes must be run for the answer where nodes run: that is no part of what a cell needs.
#[test]
fn memory_that_it_takes_to_ask_where_nodes_run_is_in_no_figure() {
    let bench = Bench::new();
    let peaks = |name: &str, script: &str| {
        let file = bench.path(&format!("{name}.json"));
        std::fs::write(&file, script).unwrap();
        let plan =
            ["run", "--backend", "scripted", "--precision", "f32", "--launches", "2", "--images", "3", "--out", name];
        let output = bench.command(&plan).env("DITBENCH_SCRIPT", &file).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let cell = bench.record(name)["cells"][0].clone();
        assert!(cell["placement"].as_array().is_some_and(|stages| stages.len() == 3), "{}", cell["placement"]);
        let most = |marks: &serde_json::Value, whole: &serde_json::Value| {
            let marks = marks.as_array().into_iter().flatten();
            marks
                .flat_map(|mark| [mark["high_water"].as_u64(), mark["rss"].as_u64()])
                .flatten()
                .chain(whole.as_u64())
                .max()
        };
        let launches = cell["launches"].as_array().unwrap().clone();
        let pass = &cell["memory_pass"]["ok"];
        let launch = |index: usize| most(&launches[index]["memory"], &launches[index]["max_rss_bytes"]).unwrap();
        [most(&pass["marks"], &pass["max_rss_bytes"]).unwrap(), launch(0), launch(1)]
    };
    let usual = peaks("usual", USUAL);
    let asks = peaks("asks", r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5, "placement_mib": 300}"#);
    for (asks, usual) in asks.into_iter().zip(usual) {
        assert!(asks < usual + (100 << 20), "{asks} where {usual} is usual");
    }
}

#[test]
fn a_planted_growth_in_memory_fails() {
    let bench = Bench::new();
    let larger = r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5, "memory_mib": 64}"#;
    expect(&ab(&bench, USUAL, larger, &FEW), 1, &["REGRESSED", "memory"]);
}

#[test]
fn a_build_that_cannot_run_a_cell_fails_and_one_that_cannot_start_is_refused() {
    let bench = Bench::new();
    expect(&ab(&bench, USUAL, r#"{"no such word": 1}"#, &FEW), 1, &["REGRESSED"]);
    let base = build(&bench, "old", USUAL);
    let mut command = bench.command(&["ab", "--base", &base, "--head", "nowhere", "--backend", "scripted"]);
    let output = command.env("DITBENCH_SCRIPT", bench.path("old.json")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("nowhere: there is no such program"), "{}", text(&output.stderr));
}

#[test]
fn a_build_against_itself_is_not_regressed_and_leaves_the_machines_noise() {
    let bench = Bench::new();
    let program = build(&bench, "program", r#"{"denoiser_ms": 1.0, "launch_noise": 0.01}"#);
    let cache = bench.path("cache");
    let arguments = ["aa", "--program", &program, "--backend", "scripted", "--precision", "f32", "--pairs", "8"];
    let mut command = bench.command(&arguments);
    command.args(["--images", "4", "--out", "aa"]).env("DITBENCH_CACHE", &cache);
    let output = command.env("DITBENCH_SCRIPT", bench.path("program.json")).output().unwrap();
    let said = text(&output.stdout);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}\n{}", text(&output.stderr));
    assert!(said.contains("false alarms") && said.contains("image_s"), "{said}");
    assert!(!said.contains("nothing to be compared with"), "the two sides were held against each other: {said}");
    assert!(cache.join("noise.json").is_file() && bench.path("aa/noise.json").is_file());
    // What it found is what the next comparison takes its thresholds from.
    let mut command = bench.command(&["compare", "aa/base", "aa/head"]);
    let output = command.env("DITBENCH_CACHE", &cache).output().unwrap();
    assert!(text(&output.stdout).contains("three times the noise"), "{}", text(&output.stdout));
}

#[test]
fn a_gate_with_a_typo_is_refused_with_its_place_and_the_built_in_one_can_be_printed() {
    let bench = Bench::new();
    std::fs::write(bench.path("gate.toml"), "[metrics.imaeg_s]\nmax_change = 0.1\nreason = 'x'\n").unwrap();
    let run = ["run", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1", "--out", "a"];
    bench.ok(&run);
    let error = bench.refused(&["compare", "a", "a"]);
    assert!(error.contains("gate.toml") && error.contains("imaeg_s") && error.contains("image_s"), "{error}");
    // Runs are counted, and a cause is said once.
    assert!(bench.refused(&["compare", "a"]).contains("one run only"));
    assert!(bench.refused(&["compare", "a", "a", "a"]).contains("unexpected argument"));
    let error = bench.refused(&["compare", "--criterion", "nowhere,main,new"]);
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
    let gate = bench.ok(&["compare", "--print-gate"]);
    std::fs::write(bench.path("gate.toml"), gate).unwrap();
    let output = bench.run(&["compare", "a", "a", "--noise", "none"]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", text(&output.stderr));
}

#[test]
fn records_go_into_the_store_and_come_back_and_make_a_baseline() {
    let bench = Bench::new();
    let run =
        |out| ["run", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1", "--out", out];
    bench.ok(&run("first"));
    bench.ok(&run("second"));
    fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
        [&["history", "--store", "history.sqlite"], words].concat()
    }
    let said = bench.ok(&with(&["import", "first", "second"]));
    assert!(said.contains("first: imported") && said.contains("2 runs"), "{said}");
    assert!(bench.ok(&with(&["import", "first"])).contains("was there already"));
    let id = bench.record("first")["run"]["id"].as_str().unwrap().to_owned();
    let exported = bench.ok(&with(&["export", &id]));
    assert_eq!(exported, std::fs::read_to_string(bench.path("first/record.json")).unwrap());
    assert!(bench.ok(&with(&["series", "--metric", "image_s"])).lines().count() >= 1);
    bench.ok(&with(&["page", "-o", "history.html"]));
    assert!(std::fs::read_to_string(bench.path("history.html")).unwrap().contains("<svg"));
    assert!(bench.ok(&with(&["check"])).contains("as they were imported"));
    let output = bench.run(&["compare", "store:latest", "second", "--store", "history.sqlite", "--noise", "none"]);
    assert!(text(&output.stdout).contains(&id), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(bench.refused(&["history", "--store", "nowhere.sqlite", "list"]).contains("nowhere.sqlite"));
}

/// A plan over an engine that numbers its tasks: the scripts as they are, with the numbers that the engine would set.
#[test]
fn the_examples_for_slurm_and_kubernetes_run_a_plan_in_parts() {
    let bench = Bench::new();
    let plan =
        "launches = 1\nimages = 1\n[[group]]\nmodel = 'nano'\nbackend = 'reference'\nprecision = ['f32', 'q8']\n";
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    let bin = bench.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ditbench"), bin.join("ditbench")).unwrap();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci");
    let on_path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let shell = |arguments: &[&str], variables: &[(&str, String)]| {
        let mut command = std::process::Command::new("bash");
        command.args(arguments).current_dir(bench.dir()).env("PATH", &on_path).env("DITBENCH_CACHE", common::cache());
        let output = command.envs(variables.iter().cloned()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    };
    let slurm = examples.join("slurm-array.sh").display().to_string();
    for task in ["1", "2"] {
        let variables = [("SLURM_ARRAY_TASK_ID", task.to_owned()), ("SLURM_ARRAY_TASK_COUNT", "2".to_owned())];
        shell(&[&slurm, "plan.toml", "slurm"], &variables);
    }
    bench.ok(&["merge", "slurm/part-1", "slurm/part-2", "--out", "slurm/all"]);
    // The container's command, of two parts rather than four, with its volumes here.
    let job = std::fs::read_to_string(examples.join("kubernetes-job.yaml")).unwrap();
    let line = job.lines().find_map(|line| line.trim().strip_prefix("- ditbench run ")).unwrap();
    let line =
        format!("ditbench run {line}").replace("/4\"", "/2\"").replace("/plan/", "").replace("/runs/", "kubernetes/");
    for index in ["0", "1"] {
        shell(&["-c", &line], &[("JOB_COMPLETION_INDEX", index.to_owned())]);
    }
    bench.ok(&["merge", "kubernetes/part-1", "kubernetes/part-2", "--out", "kubernetes/all"]);
    for engine in ["slurm", "kubernetes"] {
        assert_eq!(bench.record(&format!("{engine}/all"))["cells"].as_array().unwrap().len(), 2, "{engine}");
    }
}
