//! Models that users bring, through the real program: a pipeline that other tools exported, single graphs, and what is said of
//! files that cannot be run.

mod common;

use std::path::{Path, PathBuf};

use common::{Bench, cells};
use serde_json::Value;

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/onnx/tests/data").join(name).display().to_string()
}

/// A copy of a folder of the test data, to be spoiled.
fn copied(bench: &Bench, name: &str, to: &str) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let to = bench.path(to);
    copy(Path::new(&data(name)), &to);
    to
}

/// A run of one short launch of each cell.
fn run(bench: &Bench, more: &[&str]) -> Value {
    let short = ["run", "--launches", "1", "--images", "2", "--out", "run"];
    bench.ok(&[&short[..], more].concat());
    bench.record("run")
}

fn divergences(cell: &Value) -> Vec<f64> {
    let latents = cell["quality"]["ok"]["latents"].as_array();
    let latents = latents.unwrap_or_else(|| panic!("{}: {}", cell["key"], cell["quality"]));
    latents.iter().map(|step| step["relative_l2"].as_f64().unwrap()).collect()
}

#[test]
fn an_exported_pipeline_gives_on_both_runtimes_what_its_own_tool_made() {
    let bench = Bench::new();
    let (model, reference) = (data("pixart"), data("pixart/reference/s4.safetensors"));
    let record = run(
        &bench,
        &[
            "--model",
            &model,
            "--steps",
            "4",
            "--size",
            "32",
            "--inputs",
            &reference,
            "--expect",
            &reference,
            "--backend",
            "ort,ort:plain,tract",
            "--threads",
            "1",
            "--profile",
        ],
    );
    assert_eq!(cells(&record).len(), 3);
    for cell in cells(&record) {
        let key = &cell["key"];
        assert_eq!((&cell["status"], &key["precision"]), (&"ok".into(), &"f32".into()), "{key}: {}", cell["reason"]);
        let divergences = divergences(cell);
        assert!(divergences.len() == 4 && divergences.iter().all(|&off| off < 1e-5), "{key}: {divergences:?}");
        let image = &cell["quality"]["ok"]["image"]["ok"];
        assert!(image["relative_l2"].as_f64().is_some_and(|off| off < 1e-3), "{key}: {image}");
        let said = cell["quality"]["ok"]["reference"].as_str().unwrap();
        assert!(said.contains("s4.safetensors"), "{said}");
        assert!(bench.path("run").join(cell["image"].as_str().unwrap()).is_file());
        let stages: Vec<_> = cell["placement"].as_array().unwrap().iter().map(|stage| &stage["stage"]).collect();
        assert_eq!(stages, ["text_encoder", "transformer", "vae_decoder"]);
        let profiled = cell["profile"]["ok"].as_array().unwrap();
        assert!(
            profiled.iter().any(|row| row["scope"].as_str().is_some_and(|scope| scope.contains("transformer_blocks")))
        );
        assert!(cell["weights"]["disk_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000));
    }
    let model = &record["models"][0];
    assert_eq!((&model["name"], &model["config"]["class"]), (&"pixart".into(), &"PixArtSigmaPipeline".into()));
    assert_eq!(model["weights"][0]["scheme"], "f32");
    // One launch on each side is too little to decide by.
    let compared = common::text(&bench.run(&["compare", "run", "run"]).stdout);
    assert!(compared.contains("3 cells compared"), "{compared}");
    assert!(bench.ok(&["report", "run"]).contains("report.html"));
}

#[test]
fn without_expected_results_the_plain_way_of_running_is_the_reference() {
    let bench = Bench::new();
    let model = format!("mine={}", data("pixart"));
    // Nobody says which backends: those that read ONNX.
    let record = run(&bench, &["--model", &model, "--steps", "2", "--threads", "1", "--prompt", "a red apple"]);
    let found: Vec<(String, bool)> = cells(&record)
        .iter()
        .map(|cell| {
            let key = &cell["key"];
            let is_reference = cell["is_reference"] == true;
            if !is_reference {
                assert!(divergences(cell).iter().all(|&off| off < 1e-5), "{key}");
            }
            (format!("{} {}", key["backend"].as_str().unwrap(), key["variant"].as_str().unwrap()), is_reference)
        })
        .collect();
    let wanted = [("ort plain", true), ("ort stock", false), ("tract stock", false)];
    assert_eq!(found, wanted.map(|(name, is)| (name.to_owned(), is)));
    assert!(cells(&record).iter().all(|cell| cell["key"]["model"] == "mine"));
}

#[test]
fn backends_that_read_no_onnx_are_rows_with_their_reason() {
    let bench = Bench::new();
    let model = data("tagger/model.onnx");
    let record =
        run(&bench, &["--model", &model, "--inputs", &data("tagger/io.npz"), "--backend", "candle,reference,tract"]);
    let statuses: Vec<_> = cells(&record).iter().map(|cell| cell["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["unsupported", "unsupported", "ok"]);
    for cell in &cells(&record)[..2] {
        let reason = cell["reason"].as_str().unwrap();
        assert!(reason.contains("cannot read ONNX files") && reason.contains("ort or tract"), "{reason}");
    }
}

#[test]
fn a_single_graph_gives_its_expected_outputs() {
    let bench = Bench::new();
    let (model, io) = (data("tagger/model.onnx"), data("tagger/io.npz"));
    let record =
        run(&bench, &["--model", &model, "--inputs", &io, "--expect", &io, "--backend", "ort,tract", "--threads", "1"]);
    for cell in cells(&record) {
        assert_eq!(cell["status"], "ok", "{}", cell["reason"]);
        assert!(divergences(cell)[0] < 1e-5);
        assert!(
            cell["quality"]["ok"]["image"]["absent"]["why"].as_str().is_some_and(|why| why.contains("no picture")),
            "{}",
            cell["quality"]
        );
        assert_eq!(cell["image"], Value::Null);
        assert_eq!(cell["key"]["model"], "tagger");
    }
    // The same from a plan file, with a size in it.
    let plan = format!("[[group]]\nmodel = '{model}'\ninput = 'ids=1x12'\ninputs = '{io}'\nbackend = 'tract'\n");
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    let said = bench.ok(&["run", "--plan", "plan.toml", "--dry-run"]);
    assert!(said.contains("tagger ids=1x12:i32 mask=1x12:bool"), "{said}");
}

#[test]
fn what_can_be_compared_with_nothing_says_so() {
    let bench = Bench::new();
    // Its one input has a batch, which is 1, and floats, which are made from the seed.
    let record =
        run(&bench, &["--model", &data("single/rounded.onnx"), "--backend", "ort,tract,ort:plain", "--threads", "1"]);
    for cell in cells(&record) {
        assert_eq!((&cell["status"], &cell["key"]["precision"]), (&"ok".into(), &"int8".into()), "{}", cell["reason"]);
        let why = cell["quality"]["absent"]["why"].as_str().unwrap_or_else(|| panic!("{}", cell["quality"]));
        assert!(why.contains("nothing to compare with") && why.contains("f32 export"), "{why}");
    }
}

/// tract finds operators by name alone: it would run this one as ONNX's.
#[test]
fn an_operator_of_a_set_that_nobody_knows_gives_no_numbers() {
    let bench = Bench::new();
    let output = bench.run(&["run", "--model", &data("single/foreign.onnx"), "--backend", "ort,tract", "--out", "run"]);
    assert!(!output.status.success());
    let record = bench.record("run");
    let reasons: Vec<_> = cells(&record).iter().map(|cell| cell["reason"].as_str().unwrap()).collect();
    assert!(reasons.iter().all(|why| why.contains("acme.ops")), "{reasons:?}");
    assert!(reasons[1].contains("1 × acme.ops:Relu"), "{reasons:?}");
}

#[test]
fn an_image_is_made_and_a_model_looked_at() {
    let bench = Bench::new();
    let model = data("pixart");
    bench.ok(&["generate", "a red apple", "--model", &model, "--backend", "tract", "--steps", "2", "-o", "apple.png"]);
    assert!(bench.path("apple.png").is_file());
    let said = bench.ok(&["inspect", "--model", &model]);
    for words in
        ["PixArtSigmaPipeline", "DDIMScheduler", "transformer", "pytorch 2.15.0", "f32", "guidance off", "32×32"]
    {
        assert!(said.contains(words), "\"{words}\" is not in: {said}");
    }
    let said = bench.ok(&["inspect", "--model", &data("tagger/model.onnx"), "--input", "ids=1x12"]);
    for words in ["ids", "[1, 12]", "i32", "mask", "tags"] {
        assert!(said.contains(words), "\"{words}\" is not in: {said}");
    }
    let error = bench.refused(&["generate", "x", "--model", &data("tagger/model.onnx"), "--input", "ids=1x12"]);
    assert!(error.contains("makes no picture"), "{error}");
    let error = bench.refused(&["export", "out", "--model", &model]);
    assert!(error.contains("is ONNX already"), "{error}");
}

#[test]
fn what_is_not_understood_is_one_line_that_says_what_to_do() {
    let bench = Bench::new();
    let pixart = data("pixart");
    let tagger = data("tagger/model.onnx");
    let json = |folder: &Path, name: &str, field: &str, value: Value| {
        let path = folder.join(name);
        let mut fields: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        fields[field] = value;
        std::fs::write(path, fields.to_string()).unwrap();
    };
    let scheduler = copied(&bench, "pixart", "scheduler");
    json(&scheduler, "scheduler/scheduler_config.json", "_class_name", "PNDMScheduler".into());
    let field = copied(&bench, "pixart", "field");
    json(&field, "scheduler/scheduler_config.json", "rescale_betas_zero_snr", true.into());
    let class = copied(&bench, "pixart", "class");
    json(&class, "model_index.json", "_class_name", "KandinskyPipeline".into());
    let none = copied(&bench, "pixart", "none");
    std::fs::remove_file(none.join("model_index.json")).unwrap();
    let pointer = copied(&bench, "pixart", "pointer");
    std::fs::write(pointer.join("transformer/model.onnx"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let several = copied(&bench, "pixart", "several");
    for name in ["a.onnx", "b.onnx"] {
        std::fs::copy(several.join("transformer/model.onnx"), several.join("transformer").join(name)).unwrap();
    }
    std::fs::remove_file(several.join("transformer/model.onnx")).unwrap();
    let copy = copied(&bench, "pixart", "copy");
    let text = |path: &Path| path.display().to_string();
    for (arguments, words) in [
        (vec!["--model", &*text(&scheduler)], vec!["PNDMScheduler", "DDIMScheduler", "EulerDiscreteScheduler"]),
        (vec!["--model", &*text(&field)], vec!["rescale_betas_zero_snr"]),
        (vec!["--model", &*text(&class)], vec!["KandinskyPipeline", "PixArtSigmaPipeline", "runs alone: --model"]),
        (vec!["--model", &*text(&none)], vec!["no model_index.json", "runs alone: --model"]),
        (vec!["--model", &*text(&pointer)], vec!["git-lfs pointer", "git lfs pull"]),
        (vec!["--model", &*text(&several)], vec!["several graphs (a.onnx, b.onnx)", "--file transformer=NAME"]),
        (vec!["--model", "./nowhere"], vec!["no such file or folder"]),
        (vec!["--model", &*data("tagger/io.npz")], vec!["a folder with model_index.json or an .onnx file"]),
        (vec!["--model", &*format!("nano={pixart}")], vec!["ditbench has a model of that name"]),
        (vec!["--model", &pixart, "--size", "33"], vec!["multiples of 4"]),
        (vec!["--model", &pixart, "--precision", "q4"], vec!["leave --precision out"]),
        (vec!["--model", &pixart, "--weights", "random"], vec!["leave --weights out"]),
        (vec!["--model", &pixart, "--rung", "assa"], vec!["no rung"]),
        (vec!["--model", &pixart, "--input", "x=1x2"], vec!["is for single graphs"]),
        (vec!["--model", "nano", "--expect", &tagger], vec!["--expect is for models of your own"]),
        (vec!["--model", &pixart, "--inputs", "none.npz"], vec!["none.npz: there is no such file"]),
        (vec!["--model", &pixart, "--file", "transformer=a.onnx"], vec!["there is no a.onnx in it"]),
        (
            vec!["--model", &data("single/rounded.onnx"), "--inputs", &data("tagger/io.npz")],
            vec!["holds none of the inputs"],
        ),
        (
            vec!["--model", &*format!("a={pixart},a={}", text(&copy))],
            vec!["two models are called a", "Name them apart"],
        ),
        (vec!["--model", &tagger], vec!["ids [batch, words] i32, axis 1 (words)", "--input"]),
        (vec!["--model", &tagger, "--input", "ids=1x12:f16"], vec!["it is i32 in the file, not f16"]),
        (vec!["--model", &tagger, "--input", "word=1x12"], vec!["there is no input \"word\"", "ids, mask"]),
        (vec!["--model", &tagger, "--input", "ids=1xtwo"], vec!["\"two\" is not a number"]),
    ] {
        let error = bench.refused(&[&["run", "--out", "run"][..], &arguments].concat());
        for word in words {
            assert!(error.contains(word), "{arguments:?}: \"{word}\" is not in: {error}");
        }
        assert!(!bench.path("run").exists(), "{arguments:?} began a run");
    }
    // With the name it goes on.
    let one = ["run", "--dry-run", "--model", &*text(&several), "--file", "transformer=b.onnx", "--backend", "tract"];
    assert!(bench.ok(&one).contains("several 32×32"));
}

#[test]
fn whole_numbers_are_never_made_up() {
    let bench = Bench::new();
    let arguments =
        ["run", "--model", &data("tagger/model.onnx"), "--input", "ids=1x12", "--backend", "tract", "--out", "run"];
    let output = bench.run(&arguments);
    assert!(!output.status.success());
    let reason = cells(&bench.record("run"))[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("\"ids\" [1, 12] i32") && reason.contains("--inputs FILE.npz"), "{reason}");
}
