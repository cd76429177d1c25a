//! Scaling through the whole program: from records, and measured with a backend whose times are a script.

mod common;

#[path = "../reports/tests/common/launches.rs"]
mod launches;
#[path = "../reports/tests/common/sizes.rs"]
mod sizes;

use common::{Bench, cells, text};
use ditbench_record::store::RunStore;
use ditbench_record::{Cell, Status};
use sizes::grown;

/// A folder with a run of five sizes in `run`.
fn bench() -> Bench {
    let bench = Bench::new();
    RunStore::create(&bench.path("run"), grown("run", 1.25, 1)).unwrap();
    bench
}

#[test]
fn records_alone_give_curves_in_every_format_and_files() {
    let bench = bench();
    let said = bench.ok(&["scale", "run", "--predict", "512"]);
    for words in ["nano, 2 steps", "64×64", "256×256", "exponent", "1.25 [", "PREDICTED, not measured: 512×512"] {
        assert!(said.contains(words), "no \"{words}\" in {said}");
    }
    assert!(!bench.path("runs").exists(), "reading leaves nothing");
    let json = bench.ok(&["scale", "run", "--predict", "512", "--format", "json", "--out", "scaling"]);
    let scale: serde_json::Value = serde_json::from_str(&json).unwrap();
    let exponent = scale["series"][0]["curves"][0]["law"]["ok"]["exponent"].as_f64().unwrap();
    assert!((exponent - 1.25).abs() < 0.02, "{exponent}");
    let markdown = bench.ok(&["scale", "run", "--predict", "512", "--format", "markdown"]);
    let read = |name: &str| std::fs::read_to_string(bench.path("scaling").join(name)).unwrap();
    assert_eq!((read("scale.json"), read("scale.md")), (json, markdown));
    let page = read("report.html");
    assert!(page.contains("id=\"scaling\"") && page.contains("plot-scale"), "the page has no curves");
    assert!(!page.contains("512×512"), "what is predicted is not in the page of what was measured");
    assert!(!std::fs::read_to_string(bench.path("run/record.json")).unwrap().contains("512×512"));
}

#[test]
fn a_plan_is_measured_as_an_ordinary_run_and_ends_with_its_curve() {
    let bench = Bench::new();
    // Long enough that a pass that ends late on a busy machine is late by little.
    let script = r#"{"denoiser_ms": 8.0, "denoiser_grows": 1.5, "decoder_ms": 0.2, "text_encoder_ms": 0.1}"#;
    std::fs::write(bench.path("script.json"), script).unwrap();
    let plan = ["--backend", "scripted", "--precision", "f32", "--threads", "1", "--size", "64,96,128,192"];
    let rest = ["--images", "4", "--launches", "1", "--budget", "60s", "--out", "found", "--predict", "256"];
    let mut command = bench.command(&[&["scale"], &plan[..], &rest].concat());
    let output = command.env("DITBENCH_SCRIPT", bench.path("script.json")).output().unwrap();
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{error}");
    let record = bench.record("found");
    assert!(record["run"]["finished"].is_string());
    assert_eq!(cells(&record).len(), 4, "nothing that was predicted is in the record");
    assert!(record["models"][0]["stages"][1]["work"]["linear"].as_u64().is_some_and(|flops| flops > 0));
    let json = std::fs::read_to_string(bench.path("found/scale.json")).unwrap();
    let scale: serde_json::Value = serde_json::from_str(&json).unwrap();
    let series = &scale["series"][0];
    let denoiser = series["curves"].as_array().unwrap().iter().find(|curve| curve["of"] == "denoiser, a pass").unwrap();
    let exponent = denoiser["law"]["ok"]["exponent"].as_f64().unwrap();
    assert!((1.0..1.7).contains(&exponent), "{exponent}: {said}");
    let mut work = series["work"].as_array().unwrap().iter();
    let dense = work.find(|work| work["stage"] == "denoiser" && work["work"] == "dense attention").unwrap();
    assert!((dense["growth"]["exponent"].as_f64().unwrap() - 2.0).abs() < 0.01, "{dense}");
    assert!(said.contains("PREDICTED, not measured: 256×256") && bench.path("found/scale.md").is_file(), "{said}");
    // The record alone says the same.
    let again = bench.ok(&["scale", "found", "--predict", "256"]);
    assert!(said.ends_with(&again), "{said}\n---\n{again}");
    // So does the run when it goes on, and it is written again.
    std::fs::remove_file(bench.path("found/scale.json")).unwrap();
    let resumed = bench.ok(&["run", "--resume", "found"]);
    assert!(resumed.ends_with(&again), "{resumed}\n---\n{again}");
    assert_eq!(std::fs::read_to_string(bench.path("found/scale.json")).unwrap(), json);
}

/// A run whose plan names several values need not have several cells that differ in what is followed.
#[test]
fn what_can_give_no_curve_is_not_measured() {
    let bench = Bench::new();
    for (plan, words) in [
        (&["--backend", "scripted", "--precision", "f32", "--size", "64"][..], "--size 256,384,512,768"),
        (&["--backend", "scripted", "--precision", "f32,q8", "--model", "nano,tiny"], "nothing here varies"),
        (&["--backend", "candle", "--device", "nowhere", "--size", "64,128"], "can run here"),
    ] {
        let error = bench.refused(&[&["scale"], plan].concat());
        assert!(error.contains(words), "{plan:?}: {error}");
        assert!(!bench.path("runs").exists(), "{plan:?} leaves a run");
    }
}

#[test]
fn mistakes_end_with_2_and_name_the_cure() {
    let bench = bench();
    for (arguments, words) in [
        (&["scale", "run", "--size", "64,128"][..], "leave one of the two out"),
        (&["scale", "run", "--launches", "3"], "--launches is for measuring"),
        (&["scale", "run", "--timeout", "3m"], "--timeout is for measuring"),
        (&["scale", "run", "--keep"], "a flag for phones (--keep and the like) is for measuring"),
        (&["scale", "run", "--predict", "threads=4"], "measure it with --threads"),
        (&["scale", "run", "--predict", "large"], "AXIS=VALUE"),
        (&["scale", "nowhere"], "nowhere"),
    ] {
        let error = bench.refused(arguments);
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    let mut alone = grown("alone", 1.0, 1);
    alone.cells.truncate(1);
    RunStore::create(&bench.path("alone"), alone).unwrap();
    assert!(bench.refused(&["scale", "alone"]).contains("no two measured cells"));
    let mut failed = grown("failed", 1.0, 1);
    for cell in &mut failed.cells[1..] {
        *cell = Cell::failed(cell.key.clone(), Status::Oom, "it was killed");
    }
    RunStore::create(&bench.path("failed"), failed).unwrap();
    let error = bench.refused(&["scale", "failed"]);
    assert!(error.contains("for the reasons above"), "{error}");
}
