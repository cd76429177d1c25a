//! Runs that go on, are refused because they would overwrite one, or come in parts.

mod common;

use common::{Bench, cells};

const REFERENCE: [&str; 7] = ["run", "--backend", "reference", "--precision", "f32", "--out", "run"];

#[test]
fn a_run_in_a_directory_that_holds_one_is_refused() {
    let bench = Bench::new();
    let arguments = [&REFERENCE[..], &["--launches", "1", "--images", "1"]].concat();
    bench.ok(&arguments);
    assert!(bench.refused(&arguments).contains("--resume"));
}

#[test]
fn a_finished_run_resumes_to_nothing_and_reports_again() {
    let bench = Bench::new();
    bench.ok(&[&REFERENCE[..], &["--launches", "1", "--images", "1"]].concat());
    let before = bench.record("run");
    let out = bench.ok(&["run", "--resume", "run"]);
    assert!(out.contains("cells done: 1 of 1"), "{out}");
    assert_eq!(bench.record("run")["cells"], before["cells"]);
    std::fs::remove_file(bench.path("run/report.html")).unwrap();
    bench.ok(&["report", "run"]);
    assert!(bench.path("run/report.html").is_file());
}

#[test]
fn what_a_run_that_goes_on_cannot_take_is_refused_by_name() {
    let bench = Bench::new();
    bench.ok(&[&REFERENCE[..], &["--launches", "1", "--images", "1"]].concat());
    let before = bench.record("run");
    let flags: [&[&str]; 8] = [
        &["--dry-run"],
        &["--launches", "2"],
        &["--out", "elsewhere"],
        &["--telemetry", "off"],
        &["--seed", "1"],
        &["--images", "2"],
        &["--model", "tiny"],
        &["--patience", "5"],
    ];
    for flag in flags {
        let refused = bench.refused(&[&["run", "--resume", "run"], flag].concat());
        assert!(refused.contains(flag[0]), "{flag:?}: {refused}");
    }
    assert_eq!(bench.record("run"), before);
}

#[test]
fn a_plan_in_parts_is_merged_to_one_run_with_one_reference() {
    let bench = Bench::new();
    let part = |shard| {
        let out = if shard == "1/2" { "one" } else { "two" };
        bench.ok(&[
            "run",
            "--backend",
            "reference,candle",
            "--precision",
            "f32",
            "--launches",
            "1",
            "--images",
            "1",
            "--shard",
            shard,
            "--out",
            out,
        ]);
        bench.record(out)
    };
    let (one, two) = (part("1/2"), part("2/2"));
    assert_eq!((cells(&one).len(), cells(&two).len()), (1, 1));
    assert!(cells(&two)[0]["quality"]["ok"].is_object() == (cells(&two)[0]["key"]["backend"] == "reference"));
    bench.ok(&["merge", "one", "two", "--out", "both"]);
    let both = bench.record("both");
    assert_eq!(cells(&both).len(), 2);
    let candle = cells(&both).iter().find(|cell| cell["key"]["backend"] == "candle").unwrap();
    let latents = candle["quality"]["ok"]["latents"].as_array().expect("held against the other part's reference");
    assert!(latents[0]["relative_l2"].as_f64().unwrap() < 1e-4);
    assert!(bench.path("both/report.html").is_file());
    // Another prompt is another run.
    bench.ok(&[
        "run",
        "--backend",
        "candle",
        "--precision",
        "f32",
        "--launches",
        "1",
        "--images",
        "1",
        "--prompt",
        "a pear",
        "--out",
        "pear",
    ]);
    assert!(bench.refused(&["merge", "one", "pear", "--out", "no"]).contains("prompt"));
    assert!(bench.refused(&["run", "--shard", "3/2"]).contains("2/5"));
}
