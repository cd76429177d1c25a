//! Whole runs of the real program, on the smallest model.

mod common;

use common::Bench;
use serde_json::Value;

const REFERENCE: [&str; 7] = ["run", "--backend", "reference", "--precision", "f32", "--out", "run"];

fn cells(record: &Value) -> &Vec<Value> {
    record["cells"].as_array().expect("cells")
}

#[test]
fn one_cell_gives_record_samples_image_and_page() {
    let bench = Bench::new();
    let out = bench.ok(&[&REFERENCE[..], &["--launches", "1", "--images", "2", "--budget", "60s"]].concat());
    let page = out.trim().lines().last().unwrap();
    assert!(page.ends_with("report.html") && std::path::Path::new(page).is_file(), "the last line is the page: {page}");
    let record = bench.record("run");
    let cell = &cells(&record)[0];
    assert_eq!(cell["status"], "ok", "{cell}");
    let launch = &cell["launches"][0];
    assert_eq!(launch["samples"].as_array().unwrap().len(), 2);
    assert_eq!(launch["samples"][0]["steps_s"].as_array().unwrap().len(), 4);
    let stages: f64 = launch["samples"][0]["steps_s"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).sum();
    assert!(launch["samples"][0]["total_s"].as_f64().unwrap() >= stages);
    assert!(launch["max_rss_bytes"].as_u64().unwrap() > 1_000_000);
    let image = std::fs::read(bench.path("run").join(cell["image"].as_str().unwrap())).unwrap();
    assert!(image.starts_with(b"\x89PNG"));
    assert!(std::fs::read_to_string(bench.path("run/samples.csv")).unwrap().lines().count() > 1);
    assert!(record["run"]["finished"].is_string());
    assert!(record["machine"]["peaks"].as_array().unwrap().len() >= 3);
}

#[test]
fn every_backend_agrees_with_the_reference_in_one_run() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        "reference,candle:tuned,candle:stock,tract:tuned,tract:stock,ort",
        "--precision",
        "f32,q4",
        "--launches",
        "1",
        "--images",
        "2",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 12);
    for cell in cells(&record) {
        assert_eq!(cell["status"], "ok", "{}: {}", cell["key"], cell["reason"]);
        let Some(latents) = cell["quality"]["ok"]["latents"].as_array() else {
            assert_eq!(cell["key"]["backend"], "reference", "{}: {}", cell["key"], cell["quality"]);
            continue;
        };
        let last = latents.last().unwrap()["relative_l2"].as_f64().unwrap();
        // Against f32 weights: f32 cells differ by rounding alone, 4-bit cells by what 4 bits cost.
        let bound = if cell["key"]["precision"] == "f32" { 1e-3 } else { 0.6 };
        assert!(last < bound, "{}: the last latent is {last} from the reference", cell["key"]);
        if cell["key"]["precision"] == "q4" && cell["key"]["backend"] != "reference" {
            assert!(last > 1e-4, "{}: 4 bits cannot be that exact", cell["key"]);
        }
    }
}

#[test]
fn a_way_that_does_not_exist_is_a_row_with_its_reason() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        "reference:fast,reference",
        "--precision",
        "f32",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 2);
    assert_eq!(cells(&record)[0]["status"], "unsupported");
    assert!(cells(&record)[0]["reason"].as_str().unwrap().contains("not as \"fast\""));
    assert_eq!(cells(&record)[1]["status"], "ok");
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(page.contains("unsupported"), "a failed row is in the report");
}

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
    assert!(out.contains("1 of 1 cells are done"), "{out}");
    assert_eq!(bench.record("run")["cells"], before["cells"]);
    std::fs::remove_file(bench.path("run/report.html")).unwrap();
    bench.ok(&["report", "run"]);
    assert!(bench.path("run/report.html").is_file());
}
