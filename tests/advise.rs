//! Advice as the whole program gives it, over small records: exit codes, formats, files, and questions that are refused.

mod common;

#[path = "../reports/tests/common/launches.rs"]
mod launches;

use common::{Bench, text};
use ditbench_record::Run;
use ditbench_record::store::RunStore;
use launches::{cell, factors, key, run};

/// A run with `ort` at two seconds an image and `candle` at three, each of so many launches.
fn measured(id: &str, launches: usize) -> Run {
    let slow: Vec<f64> = factors(launches, 0.01, 2).iter().map(|factor| 1.5 * factor).collect();
    run(id, vec![cell(key("ort", "f32"), &factors(launches, 0.01, 1)), cell(key("candle", "f32"), &slow)])
}

/// A folder with that run in `run`.
fn bench(run: Run) -> Bench {
    let bench = Bench::new();
    RunStore::create(&bench.path("run"), run).unwrap();
    bench
}

fn ask(bench: &Bench, flags: &[&str], code: i32) -> String {
    let output = bench.run(&[&["advise", "run"], flags].concat());
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}\n{}", text(&output.stderr));
    said
}

#[test]
fn exit_codes_say_met_not_met_and_not_sure() {
    let sure = bench(measured("sure", 8));
    let said = ask(&sure, &["--max-latency", "2.5s"], 0);
    for words in ["MET: Under steady image at most 2.50 s", "Ship ort stock", "candle stock", "misses"] {
        assert!(said.contains(words), "no \"{words}\" in {said}");
    }
    let said = ask(&sure, &["--max-latency", "500ms", "--max-memory", "2GiB"], 1);
    assert!(said.contains("NOT MET") && said.contains("relax steady image from 500 ms"), "{said}");
    let said = ask(&sure, &["--min-quality", "psnr_db=80", "--max-energy", "5J"], 3);
    assert!(said.contains("NOT SURE") && said.contains("energy of an image at most 5.00 J"), "{said}");
    let few = bench(measured("few", 3));
    let said = ask(&few, &["--max-latency", "2.5s"], 3);
    assert!(said.contains("3 of the 6 launches") && said.contains("3 more launches"), "{said}");
    let said = ask(&few, &[], 0);
    assert!(said.contains("is the fastest") && said.contains("too few launches to be sure of the order"), "{said}");
}

#[test]
fn the_same_advice_comes_as_text_markdown_json_and_files() {
    let bench = bench(measured("r", 8));
    let bounds = ["--max-latency", "2.5s", "--objective", "memory"];
    let json = ask(&bench, &[&bounds[..], &["--format", "json", "--out", "advice"]].concat(), 0);
    let advice: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&advice["outcome"], &advice["question"]["objective"]), (&"met".into(), &"peak_bytes".into()));
    let markdown = ask(&bench, &[&bounds[..], &["--format", "markdown"]].concat(), 0);
    assert!(markdown.starts_with("### ditbench advises: met") && markdown.contains("| candle stock"), "{markdown}");
    let read = |name: &str| std::fs::read_to_string(bench.path("advice").join(name)).unwrap();
    assert_eq!((read("advice.json"), read("advice.md")), (json, markdown));
    assert!(read("report.html").contains("Ship ort stock"));
}

#[test]
fn runs_are_put_together_whatever_their_order() {
    let bench = bench(measured("one", 3));
    let mut two = measured("two", 3);
    two.run.created = "2026-11-24T20:00:00Z".into();
    RunStore::create(&bench.path("two"), two).unwrap();
    let code = |runs: &[&str]| {
        let output = bench.run(&[&["advise"], runs, &["--max-latency", "2.5s", "--format", "json"]].concat());
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!((code(&["run"]).0, code(&["two"]).0), (Some(3), Some(3)));
    assert_eq!(code(&["run", "two"]).0, Some(0));
    assert_eq!(code(&["run", "two"]), code(&["two", "run"]));
}

#[test]
fn mistakes_end_with_2_and_name_the_cure() {
    let bench = bench(measured("r", 2));
    for (flags, words) in [
        (&["--max-latency", "2GiB"][..], "write 2s or 500ms"),
        (&["--objective", "speed"], "latency, memory, energy, quality"),
        (&["--any-workload", "--objective", "quality"], "leave --any-workload out"),
        (&["--max", "image_s"], "NAME=VALUE"),
    ] {
        let error = bench.refused(&[&["advise", "run"], flags].concat());
        assert!(error.contains(words), "{flags:?}: {error}");
    }
    assert!(bench.refused(&["advise", "nowhere"]).contains("nowhere"));
    assert!(bench.refused(&["advise"]).contains("RUN"));
}
