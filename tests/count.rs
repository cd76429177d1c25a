//! `ab --count`, through valgrind: a build against itself, and one that computes otherwise.
//!
//! Needs valgrind. Without it a test is counted as ignored, with the reason; with `DITBENCH_NEED_VALGRIND` set that is a failure.

mod common;
#[path = "common/optional.rs"]
mod optional;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, ExitCode, Stdio};

use common::{Bench, text};
use optional::Test;

const TESTS: [Test<()>; 3] = [
    ("a_build_against_itself_and_against_one_that_computes_otherwise", itself_and_another),
    ("a_build_that_cannot_be_counted_is_inconclusive_whatever_is_said_of_time", not_counted),
    ("what_cannot_be_counted_is_refused", refused),
];

fn main() -> ExitCode {
    optional::main(&TESTS, "DITBENCH_NEED_VALGRIND", needs)
}

fn needs() -> Result<(), String> {
    let said = Command::new("valgrind").arg("--version").stdin(Stdio::null()).output();
    let there = said.is_ok_and(|said| said.status.success());
    there.then_some(()).ok_or_else(|| "no valgrind; on Debian: apt install valgrind".to_owned())
}

/// One cell, the cheapest whose kernels are ours and that has more than one step.
const CELL: [&str; 10] =
    ["--model", "nano", "--size", "64", "--backend", "candle:tuned", "--precision", "q4", "--steps", "2"];

fn itself_and_another(_: &()) -> Result<(), String> {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_ditbench");
    let count = |head: &str, out: &str| {
        let fixed = ["ab", "--count", "--noise", "none", "--base", program, "--head", head, "--out", out];
        bench.run(&[&fixed[..], &CELL].concat())
    };
    let same = count(program, "same");
    let said = text(&same.stdout);
    assert_eq!(same.status.code(), Some(0), "{said}\n{}", text(&same.stderr));
    assert!(said.contains("counted instructions") && said.contains("does not see"), "{said}");
    let verdict: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(bench.path("same/verdict.json")).unwrap()).unwrap();
    let metrics = verdict["cells"][0]["metrics"].as_array().unwrap();
    let counted = metrics.iter().find(|one| one["metric"] == "counted_instructions").unwrap();
    assert_eq!(counted["basis"], "counted");
    let change = counted["change"].as_f64().unwrap();
    assert!(change.abs() < 1e-3, "a build differs from itself by {change}");
    println!("against itself: {change:e}");
    // Both records have the count, with its parts: all stages, and functions with their operations.
    for side in ["same/base", "same/head"] {
        let counted = &bench.record(side)["cells"][0]["counted"]["ok"];
        let stages: Vec<&str> =
            counted["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        assert_eq!(stages, ["text_encoder", "denoiser", "decoder"]);
        assert_eq!(counted["stages"][1]["instructions"].as_array().unwrap().len(), 2, "a count for each step");
        let ops: Vec<&str> =
            counted["functions"].as_array().unwrap().iter().filter_map(|function| function["op"].as_str()).collect();
        assert!(ops.contains(&"Linear") && ops.contains(&"Attention"), "{ops:?}");
    }
    // A program whose worker computes as another way does, whatever it is asked for.
    let other = bench.path("other");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = worker ]; then sed 's/\"variant\": \"tuned-int8\"/\"variant\": \"stock\"/' | {program} \"$@\"\n\
         else exec {program} \"$@\"; fi\n"
    );
    std::fs::write(&other, script).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let another = count(&other.display().to_string(), "another");
    let said = text(&another.stdout);
    assert_eq!(another.status.code(), Some(1), "{said}\n{}", text(&another.stderr));
    assert!(said.contains("regressed") && said.contains("instructions moved in"), "{said}");
    // The record goes on: into the history, and into a comparison of records.
    let again = bench.run(&["compare", "another/base", "another/head", "--noise", "none"]);
    assert!(again.status.code() == Some(1) && text(&again.stdout).contains("counted"), "{}", text(&again.stdout));
    bench.ok(&["history", "import", "same/base/record.json", "--store", "history.sqlite"]);
    let series = bench.ok(&["history", "series", "--store", "history.sqlite", "--metric", "counted_instructions"]);
    assert!(series.contains("counted"), "{series}");
    Ok(())
}

fn not_counted(_: &()) -> Result<(), String> {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_ditbench");
    // As a build that is older than orders in files.
    let older = bench.path("older");
    let script = format!(
        "#!/bin/sh\n{program} \"$@\"\ncode=$?\nfor word; do [ \"$last\" = --out ] && rm -rf \"$word/specs\"; last=$word; done\n\
         exit $code\n"
    );
    std::fs::write(&older, script).unwrap();
    std::fs::set_permissions(&older, std::fs::Permissions::from_mode(0o755)).unwrap();
    let older = older.display().to_string();
    let fixed = ["ab", "--count", "--noise", "none", "--base", &older, "--head", program, "--out", "ab"];
    let counted = bench.run(&[&fixed[..], &CELL].concat());
    let said = text(&counted.stdout);
    assert_eq!(counted.status.code(), Some(3), "{said}\n{}", text(&counted.stderr));
    assert!(said.contains("keeps no orders in specs/"), "{said}");
    assert!(bench.record("ab/head")["cells"][0]["counted"]["ok"].is_object(), "the other one was counted");
    std::fs::write(bench.path("untimed.toml"), "[metrics.image_s]\nenforce = \"show\"\n").unwrap();
    let again = bench.run(&["compare", "ab/base", "ab/head", "--noise", "none", "--gate", "untimed.toml"]);
    assert_eq!(again.status.code(), Some(3), "{}\n{}", text(&again.stdout), text(&again.stderr));
    Ok(())
}

fn refused(_: &()) -> Result<(), String> {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_ditbench");
    let ab = |more: &[&'static str]| [&["ab", "--count", "--base", program, "--out", "ab"], &CELL[..], more].concat();
    assert!(bench.refused(&ab(&["--threads", "2"])).contains("--count counts on one thread"));
    let mut without = bench.command(&ab(&[]));
    let without = without.env("PATH", bench.dir()).output().unwrap();
    assert_eq!(without.status.code(), Some(2));
    assert!(text(&without.stderr).contains("apt install valgrind"), "{}", text(&without.stderr));
    assert!(!bench.path("ab").exists(), "it is refused before anything is made");
    Ok(())
}
