//! Whole runs of the real program, on the smallest model.

mod common;

use common::{Bench, cells, near_the_reference};
use ditbench_record::disturbed;
use serde_json::Value;

const REFERENCE: [&str; 7] = ["run", "--backend", "reference", "--precision", "f32", "--out", "run"];

/// Every way in which the program itself can run a graph.
const BACKENDS: &str = "reference,candle:tuned,candle:stock,tract:tuned,tract:stock,ort";

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
fn every_backend_agrees_with_the_reference_in_one_run() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        BACKENDS,
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
    // All but the f32 reference itself.
    assert_eq!(near_the_reference(&record), 11);
}

#[test]
fn a_class_conditional_model_agrees_on_every_backend_and_its_guidance_is_cells_of_their_own() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--model",
        "edgedit-nano",
        "--backend",
        BACKENDS,
        "--precision",
        "f32,q4",
        "--guidance",
        "none,4,4-batch",
        "--class",
        "3",
        "--steps",
        "2",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 36);
    assert_eq!(near_the_reference(&record), 33);
    let mut images = std::collections::BTreeMap::new();
    for cell in cells(&record) {
        assert!(cell["key"]["own"]["text_tokens"].is_null(), "it reads no text: {}", cell["key"]);
        assert_eq!(cell["key"]["own"]["class"], "3");
        if cell["key"]["backend"] == "ort" && cell["key"]["precision"] == "f32" {
            let image = std::fs::read(bench.path("run").join(cell["image"].as_str().unwrap())).unwrap();
            images.insert(cell["key"]["own"]["sampler"].as_str().unwrap().to_owned(), image);
        }
    }
    assert_eq!(images.keys().collect::<Vec<_>>(), ["ddim", "ddim+batched-cfg4", "ddim+cfg4"]);
    assert!(images["ddim"] != images["ddim+cfg4"]);
    // What a class is taken from is said where it cannot be.
    let refused = bench.refused(&["run", "--model", "edgedit-nano", "--class", "12", "--dry-run"]);
    assert!(refused.contains("edgedit-nano has no class 12: choose one from 0 to 9"), "{refused}");
    assert!(bench.refused(&["run", "--model", "nano", "--class", "1", "--dry-run"]).contains("nano has no class"));
}

#[test]
fn a_unet_agrees_on_every_backend_and_a_rung_of_its_ladder_is_a_cell_of_its_own() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--model",
        "snapgen-nano",
        "--backend",
        BACKENDS,
        "--precision",
        "f32,q4",
        "--ladder",
        "thin,final",
        "--steps",
        "2",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 24);
    assert_eq!(near_the_reference(&record), 22);
    assert!(cells(&record).iter().all(|cell| cell["key"]["own"]["text_tokens"] == "16"));
    let rungs: std::collections::BTreeSet<Option<&str>> =
        cells(&record).iter().map(|cell| cell["key"]["own"]["ladder"].as_str()).collect();
    assert_eq!(rungs.into_iter().collect::<Vec<_>>(), [None, Some("thin")]);
    let names: Vec<&str> =
        record["models"].as_array().unwrap().iter().filter_map(|model| model["name"].as_str()).collect();
    assert!(names.contains(&"snapgen-nano") && names.contains(&"snapgen-nano-thin"), "{names:?}");
}

#[test]
fn models_that_read_parts_of_one_file_agree_on_every_backend() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--model",
        "elastic-nano,elastic-nano-lite-half",
        "--backend",
        BACKENDS,
        "--precision",
        "f32,mixed",
        "--steps",
        "2",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 24);
    assert_eq!(near_the_reference(&record), 22);
    // One file for both, whatever the precision.
    let files = |precision: &str| {
        let used = cells(&record).iter().filter(|cell| cell["key"]["precision"] == precision);
        used.map(|cell| cell["weights"]["sha256"].as_str().unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((files("f32").len(), files("mixed").len()), (1, 1));
}

/// The precisions that the other tests leave out: each of these models in one of them.
#[test]
fn the_other_precisions_of_the_small_models_agree_on_every_backend() {
    let bench = Bench::new();
    let mut plan = "launches = 1\nimages = 1\n".to_owned();
    for (model, precision) in [("edgedit-nano", "palette4"), ("snapgen-nano", "mixed"), ("cdm-nano", "q8")] {
        for (backends, precision) in [("'reference'", "f32"), ("'reference', 'candle', 'tract', 'ort'", precision)] {
            plan += &format!(
                "[[group]]\nmodel = '{model}'\nbackend = [{backends}]\nprecision = '{precision}'\nsteps = 1\n"
            );
        }
    }
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    bench.ok(&["run", "--plan", "plan.toml", "--out", "run"]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 15);
    assert_eq!(near_the_reference(&record), 12);
}

#[test]
fn a_cascade_agrees_on_every_backend_and_its_stages_have_times_of_their_own() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--model",
        "cdm-nano",
        "--backend",
        BACKENDS,
        "--precision",
        "f32,q4",
        "--augmentation",
        "100,400",
        "--class",
        "3",
        "--steps",
        "2",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 24);
    assert_eq!(near_the_reference(&record), 22);
    let mut compared = 0;
    for cell in cells(&record) {
        let compiled = cell["launches"][0]["compile"].as_array().unwrap();
        let stages: Vec<&str> = compiled.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        assert_eq!(stages, ["denoiser", "denoiser_2"]);
        if let Some(latents) = cell["quality"]["ok"]["latents"].as_array() {
            assert_eq!(latents.len(), 4, "two stages of two steps");
            compared += 1;
        }
    }
    assert_eq!(compared, 22);
    assert!(
        bench.refused(&["run", "--model", "adm-64", "--augmentation", "1", "--dry-run"]).contains("reads no level")
    );
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

#[test]
fn mixed_says_by_which_measure_it_chose() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        "candle",
        "--precision",
        "mixed",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let record = bench.record("run");
    let warnings = cells(&record)[0]["warnings"].to_string();
    assert!(warnings.contains("mixed_weights") && warnings.contains("measured"), "{warnings}");
    let bits = record["models"][0]["weights"][0]["bits_per_weight"].as_f64().unwrap();
    assert!(bits > 4.2 && bits <= 4.3, "{bits}");
}
