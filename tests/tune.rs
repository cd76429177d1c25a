//! A search through the whole program: the backend is a script, so that what it finds is known.

mod common;

use std::process::Output;

use common::{Bench, cells, text};

/// Quick, and wrong in few bits by more than the question allows.
const SCRIPT: &str = r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5, "few_bits_error": 0.5}"#;
const BOUNDS: [&str; 4] = ["--max-latency", "5s", "--min-quality", "ssim=0.99"];
const SPACE: [&str; 8] = ["--backend", "scripted", "--precision", "f32,q8", "--threads", "1", "--memory", "fast"];

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.path("script.json"), SCRIPT).unwrap();
    bench
}

fn run(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = bench.command(arguments);
    command.env("DITBENCH_SCRIPT", bench.path("script.json")).output().unwrap()
}

#[test]
fn a_search_ends_with_the_advice_and_leaves_an_ordinary_run() {
    let bench = bench();
    let rest = ["--images", "5", "--launches", "6", "--budget", "60s", "--out", "found"];
    let output = run(&bench, &[&["tune"], &BOUNDS[..], &SPACE, &rest].concat());
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    // On a machine with other work to do a launch may be spoiled, and then nothing is sure.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}\n{error}");
    assert!(said.contains("Searched 2 cells with ") && said.contains("the whole plan would be 12 launches"), "{said}");
    let record = bench.record("found");
    assert!(record["run"]["finished"].is_string() && record["run"]["plan"]["tune"]["bounds"].is_array());
    let launches = |precision: &str| {
        let cell = cells(&record).iter().find(|cell| cell["key"]["precision"] == precision).expect("a cell");
        cell["launches"].as_array().map(Vec::len)
    };
    assert_eq!(launches("q8"), Some(1), "its picture is wrong, which one launch shows: {said}");
    assert!(said.contains("q8") && bench.path("found/report.html").is_file());
    // The record alone says the same.
    let again = run(&bench, &[&["advise", "found"], &BOUNDS[..]].concat());
    assert_eq!(again.status.code(), output.status.code());
    assert!(said.ends_with(&text(&again.stdout)), "{said}\n---\n{}", text(&again.stdout));
    // So does the search when it is resumed, with what that makes of it.
    let resumed = run(&bench, &["run", "--resume", "found"]);
    let words = text(&resumed.stdout);
    assert!(matches!(resumed.status.code(), Some(0 | 3)), "{words}\n{}", text(&resumed.stderr));
    assert!(words.contains("Under steady image at most 5.00"), "{words}");
    if output.status.code() == Some(0) {
        assert_eq!(launches("f32"), Some(6), "the best is made sure");
        assert!(said.contains("Ship scripted"), "{said}");
    }
}

#[test]
fn what_is_left_open_is_searched() {
    let bench = bench();
    let output = run(&bench, &["tune", "--backend", "scripted", "--dry-run"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", text(&output.stderr));
    for precision in ["f32", "f16", "q4", "q8", "mixed", "palette4"] {
        assert!(said.contains(&format!(" {precision} ")), "{precision} is not searched: {said}");
    }
    assert!(!bench.path("runs").exists(), "a dry run leaves nothing");
}

#[test]
fn mistakes_end_with_2_and_name_the_cure() {
    let bench = bench();
    // An adb that lists one phone, whatever it is asked.
    let adb = bench.path("adb");
    std::fs::write(&adb, "#!/bin/sh\nprintf 'List of devices attached\\nA\\tdevice\\n'\n").unwrap();
    std::fs::set_permissions(&adb, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(bench.path("two.toml"), "on = ['local', 'adb:A']\n[[group]]\n").unwrap();
    for (flags, words) in [
        (&["--max-latency", "soon"][..], "write 2s or 500ms"),
        (&["--budget", "soon"], "90s"),
        (&["--plan", "two.toml"], "a search is of one machine"),
    ] {
        let mut command = bench.command(&[&["tune"], flags].concat());
        let output = command.env("ADB", &adb).output().unwrap();
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2), "{flags:?}: {error}");
        assert!(error.contains(words), "{flags:?}: {error}");
    }
}
