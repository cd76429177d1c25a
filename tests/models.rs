//! Every model family, whole, on every backend: what comes out is what the reference computes.

mod common;

use common::{Bench, cells, near_the_reference};

/// Every way in which the program itself can run a graph.
const BACKENDS: &str = "reference,candle:tuned,candle:stock,tract:tuned,tract:stock,ort";

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
