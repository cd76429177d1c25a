//! Whole runs of the real program, on the smallest model.

mod common;

use common::{Bench, cells};
use ditbench_record::disturbed;
use serde_json::Value;

const REFERENCE: [&str; 7] = ["run", "--backend", "reference", "--precision", "f32", "--out", "run"];

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
    let stages = |of: &Value, name: &str| -> Vec<String> {
        of["stages"].as_array().unwrap().iter().map(|stage| stage[name].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stages(cell, "id"), ["text_encoder", "denoiser", "decoder"]);
    assert_eq!(stages(cell, "role"), ["encoder", "denoiser", "decoder"]);
    assert_eq!(stages(&launch["samples"][0], "stage"), stages(cell, "id"));
    let steps = launch["samples"][0]["stages"][1]["seconds"].as_array().unwrap();
    assert_eq!(steps.len(), 4);
    let steps: f64 = steps.iter().map(|s| s.as_f64().unwrap()).sum();
    assert!(launch["samples"][0]["total_s"].as_f64().unwrap() >= steps);
    // It was asked where its nodes ran after its images: the kernel's last word on its memory is not theirs, its marks are.
    assert!(launch["max_rss_bytes"].is_null(), "{}", launch["max_rss_bytes"]);
    let marks = launch["memory"].as_array().unwrap();
    assert!(marks.iter().any(|mark| mark["high_water"].as_u64().is_some_and(|most| most > 1_000_000)), "{marks:?}");
    let image = std::fs::read(bench.path("run").join(cell["image"].as_str().unwrap())).unwrap();
    assert!(image.starts_with(b"\x89PNG"));
    assert!(std::fs::read_to_string(bench.path("run/samples.csv")).unwrap().lines().count() > 1);
    assert!(record["run"]["finished"].is_string());
    assert!(record["machine"]["peaks"].as_array().unwrap().len() >= 3);
}

#[test]
fn an_image_and_a_comparison_find_onnx_runtime_as_a_run_does() {
    let bench = Bench::new();
    bench.ok(&["generate", "turtle", "-o", "turtle.png", "--model", "nano", "--backend", "ort"]);
    assert!(bench.path("turtle.png").is_file());
    let arguments = ["aa", "--model", "nano", "--backend", "ort", "--precision", "f32", "--images", "1"];
    let output =
        bench.run(&[&arguments[..], &["--pairs", "2", "--first", "2", "--noise", "none", "--out", "aa"]].concat());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("nano-64x64-ort-stock") && !said.contains("left out"), "{said}");
}

#[test]
fn a_library_that_was_named_is_the_one_that_is_used_or_the_row_says_why_not() {
    let bench = Bench::new();
    let arguments = ["run", "--backend", "ort,candle", "--precision", "f32", "--launches", "1", "--images", "1"];
    bench.ok(&[&arguments[..], &["--ort-lib", "nowhere.so", "--out", "run"]].concat());
    let record = bench.record("run");
    let cells = cells(&record);
    assert_eq!((&cells[0]["status"], &cells[1]["status"]), (&"unsupported".into(), &"ok".into()));
    let reason = cells[0]["reason"].as_str().unwrap();
    assert!(reason.contains("nowhere.so") && reason.contains("--ort-lib"), "{reason}");
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
fn sampler_guidance_and_memory_mode_are_cells_of_their_own() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        "candle,ort",
        "--precision",
        "f32",
        "--sampler",
        "euler,renoise,euler+cfg4",
        "--steps",
        "2",
        "--memory",
        "fast,small",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 12);
    let image = |sampler: &str| {
        let cell = cells(&record).iter().find(|cell| {
            cell["key"]["backend"] == "ort"
                && cell["key"]["memory"] == "small"
                && cell["key"]["own"]["sampler"] == sampler
        });
        let cell = cell.unwrap();
        assert_eq!(cell["status"], "ok", "{}", cell["reason"]);
        std::fs::read(bench.path("run").join(cell["image"].as_str().unwrap())).unwrap()
    };
    let images = [image("euler"), image("renoise"), image("euler+cfg4")];
    assert!(images[0] != images[1] && images[0] != images[2] && images[1] != images[2]);
    for cell in cells(&record) {
        let small = cell["key"]["memory"] == "small";
        if cell["key"]["backend"] == "candle" && small {
            assert_eq!(cell["status"], "unsupported", "candle has no such mode, and says so");
        } else {
            assert_eq!(cell["status"], "ok", "{}: {}", cell["key"], cell["reason"]);
        }
    }
}

#[test]
fn a_profile_names_the_graphs_own_operations_on_every_backend_and_leaves_a_trace() {
    let bench = Bench::new();
    bench.ok(&["profile", "--backend", "candle,tract,ort", "--precision", "f32", "--images", "2", "--out", "run"]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 3);
    for cell in cells(&record) {
        let rows = cell["profile"]["ok"].as_array().unwrap_or_else(|| panic!("{}: {}", cell["key"], cell["profile"]));
        let seconds = |wanted: &dyn Fn(&Value) -> bool| -> f64 {
            rows.iter().filter(|row| wanted(row)).map(|row| row["seconds"].as_f64().unwrap()).sum()
        };
        let all = seconds(&|_| true);
        let ours = seconds(&|row| row["scope"].is_string());
        assert!(ours > 0.8 * all, "{}: {ours} of {all} s under the graph's names", cell["key"]);
        let linear = rows.iter().filter(|row| row["op"] == "Linear" && row["stage"] == "denoiser");
        let flops: u64 = linear.filter_map(|row| row["flops"].as_u64()).sum();
        let stage = record["models"][0]["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "denoiser");
        let macs = stage.unwrap()["macs"].as_u64().unwrap();
        assert!(flops > 2 * macs * 9 / 10 && flops <= 2 * macs, "{}: each node's FLOPs once: {flops}", cell["key"]);
        let trace = std::fs::read_to_string(bench.path("run").join(cell["trace"].as_str().unwrap())).unwrap();
        let trace: Value = serde_json::from_str(&trace).unwrap();
        assert!(trace["traceEvents"].as_array().unwrap().len() > 500);
    }
    // Tests side by side are load to each other: then a peak may be doubtful, and only then there is no roof to draw.
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    let machine = ditbench_record::parse(&record.to_string()).unwrap().machine;
    let threads = u32::try_from(record["cells"][0]["key"]["threads"].as_u64().unwrap()).unwrap();
    let trusted = |kind: &str| {
        let peak = machine.peak(kind, threads, "").unwrap_or_else(|| panic!("no {kind} peak was measured"));
        disturbed::doubtful_peak(&machine, peak).is_none()
    };
    let roof = trusted("f32") && trusted("bandwidth");
    assert_eq!(page.contains("plot-roofline"), roof, "{:?}", machine.peaks);
    let said = bench.ok(&["profile", "--diff", "run", "run"]);
    assert!(said.contains("1.000x") && !said.contains("different conditions"), "{said}");
    let mut hot = record.clone();
    hot["run"]["sustained_s"] = 600.0.into();
    std::fs::create_dir(bench.path("hot")).unwrap();
    std::fs::write(bench.path("hot/record.json"), hot.to_string()).unwrap();
    let said = bench.ok(&["profile", "--diff", "run", "hot"]);
    assert!(
        said.contains("Measured under different conditions: duration: burst in ")
            && said.contains("sustained for 600 s"),
        "{said}"
    );
    assert!(bench.refused(&["profile", "--diff", "run", "nowhere"]).contains("nowhere"));
}

#[test]
fn a_sustained_run_goes_on_for_its_time_and_shows_the_curve() {
    let bench = Bench::new();
    bench.ok(&["run", "--backend", "candle", "--precision", "f32", "--sustained", "3s", "--out", "run"]);
    let record = bench.record("run");
    assert_eq!(record["run"]["sustained_s"], 3.0);
    let launch = &cells(&record)[0]["launches"][0];
    let samples = launch["samples"].as_array().unwrap();
    assert!(samples.last().unwrap()["ended_s"].as_f64().unwrap() >= 3.0, "it ends when its time is over, not before");
    assert!(launch["telemetry"].as_array().unwrap().iter().any(|moment| moment["moment"] == "during"));
    assert!(std::fs::read_to_string(bench.path("run/report.html")).unwrap().contains("plot-sustained"));
}
