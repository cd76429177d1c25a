//! `run --quality full` by the real program, on a few prompts. The judge is fetched into the user's cache if it is not
//! there, as ONNX Runtime is.

mod common;

use common::Bench;
use serde_json::Value;

/// Two widths and two step counts in f32, and q4; a cell that nobody can judge and one that cannot run.
const PLAN: &str = r#"
seed = 3

[[group]]
model = "nano"
backend = "candle"
precision = "f32"
width = [1, 0.5]
steps = [2, 4]

[[group]]
model = "nano"
backend = ["candle", "candle:nothing"]
precision = "q4"
steps = 4

[[group]]
model = "tiny"
size = 512
backend = "candle"
precision = "f32"
"#;

fn run(bench: &Bench) -> Value {
    std::fs::write(bench.path("plan.toml"), PLAN).unwrap();
    bench.ok(&["run", "--quality", "full", "--plan", "plan.toml", "--prompts", "6", "--out", "run"]);
    bench.record("run")
}

fn cell<'a>(record: &'a Value, width: Option<&str>, precision: &str, steps: u64) -> &'a Value {
    let cells = record["cells"].as_array().unwrap().iter();
    let same = |cell: &&Value| {
        let key = &cell["key"];
        key["own"]["width"].as_str() == width
            && key["precision"] == precision
            && key["steps"] == steps
            && key["variant"] != "nothing"
    };
    cells.into_iter().find(same).unwrap_or_else(|| panic!("no {width:?} {precision} {steps}"))
}

#[test]
fn pictures_are_made_judged_compared_and_shown() {
    let bench = Bench::new();
    let record = run(&bench);
    let judging = &record["judging"];
    assert_eq!((judging["names"].as_array().unwrap().len(), judging["compositions"].as_array().unwrap().len()), (6, 2));
    assert_eq!(judging["prompts_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(judging["ceiling"]["ok"]["retrieval_at_1"]["value"], 1.0);
    let floor = judging["floor"]["ok"]["retrieval_at_1"]["value"].as_f64().unwrap();
    let inputs = judging["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), 4, "a workload is written once, however many cells it has");
    assert!(inputs.iter().all(|one| one["noise_sha256"] == inputs[0]["noise_sha256"]), "the same noise for all");

    let full = cell(&record, None, "f32", 4);
    assert_eq!(full["status"], "ok", "{}", full["reason"]);
    let at_5 = full["judged"]["retrieval_at_5"]["value"].as_f64().unwrap();
    assert!(at_5 > floor && at_5 >= 0.5, "the trained net is found again: {at_5}, random weights {floor}");
    assert!(full["launches"].as_array().unwrap().is_empty(), "nothing is timed");
    let folder = bench.path("run").join(full["judged"]["pictures"].as_str().unwrap());
    assert!((0..8).all(|index| folder.join(format!("{index:04}.png")).is_file()));

    let q4 = cell(&record, None, "q4", 4);
    let fidelity = &q4["judged"]["fidelity"]["ok"];
    assert_eq!(fidelity["psnr_db"].as_array().unwrap().len(), 8, "compositions too");
    let errors = fidelity["latent_relative_l2"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
    assert!(errors.clone().all(|error| error > 1e-4 && error < 0.6), "4 bits cost something, and not all: {fidelity}");
    let what = |cell: &Value| -> Vec<String> {
        let differences = cell["judged"]["differences"].as_array().unwrap().iter();
        differences.map(|difference| difference["in_what"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(what(q4), ["precision"]);
    assert_eq!(what(cell(&record, Some("0.5"), "f32", 2)), ["width", "steps"]);
    assert_eq!(what(full), [""; 0]);

    let bad: Vec<&Value> = record["cells"].as_array().unwrap().iter().filter(|cell| cell["status"] != "ok").collect();
    let reasons: Vec<&str> = bad.iter().map(|cell| cell["reason"].as_str().unwrap()).collect();
    assert_eq!(bad.len(), 2, "{reasons:?}");
    assert!(reasons.iter().any(|why| why.contains("not as \"nothing\"")), "{reasons:?}");
    assert!(reasons.iter().any(|why| why.contains("no data to judge tiny")), "{reasons:?}");

    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    for words in
        ["Gallery", "What one thing costs", "Random weights", "flower playing cards", "blue apple", "no data to judge"]
    {
        assert!(page.contains(words), "{words}");
    }
    let csv = std::fs::read_to_string(bench.path("run/table.csv")).unwrap();
    assert!(csv.lines().next().unwrap().contains("retrieval_at_1,retrieval_at_1_low"));
    assert!(std::fs::read_to_string(bench.path("run/table.md")).unwrap().contains("### Pictures judged"));
}

#[test]
fn what_is_done_is_not_done_again() {
    let bench = Bench::new();
    let mut record = run(&bench);
    let page = std::fs::read(bench.path("run/report.html")).unwrap();
    // As an interruption leaves it: one cell is missing, the end was not reached.
    let again = cell(&record, None, "q4", 4).clone();
    record["cells"].as_array_mut().unwrap().retain(|cell| *cell != again);
    record["run"]["finished"] = Value::Null;
    std::fs::write(bench.path("run/record.json"), record.to_string()).unwrap();
    let kept = bench.path("run").join(cell(&record, None, "f32", 4)["judged"]["pictures"].as_str().unwrap());
    let changed = |name: &str| std::fs::metadata(kept.join(name)).unwrap().modified().unwrap();
    let before = changed("0000.png");
    let out = bench.ok(&["run", "--resume", "run"]);
    assert!(out.contains("cells done: 6 of 7"), "{out}");
    assert_eq!(changed("0000.png"), before);
    let resumed = bench.record("run");
    assert_eq!(cell(&resumed, None, "q4", 4)["judged"], again["judged"], "the same prompts and noise give the same");
    assert!(resumed["run"]["finished"].is_string());
    assert!(!page.is_empty());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let bench = Bench::new();
    for (arguments, words) in [
        (&["run", "--quality", "full", "--prompt", "turtle"][..], "fixed list"),
        (&["run", "--quality", "full", "--profile"], "--profile"),
        (&["run", "--prompts", "5"], "add --quality full"),
        (&["run", "--judge", "x.pth"], "add --quality full"),
        (&["run", "--quality", "full", "--judge", "none.pth", "--backend", "candle"], "no such file"),
    ] {
        let said = bench.refused(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // Nothing to judge is no success, and the row says why.
    let said = bench.refused(&[
        "run",
        "--quality",
        "full",
        "--model",
        "tiny",
        "--size",
        "512",
        "--backend",
        "candle",
        "--precision",
        "f32",
    ]);
    assert!(said.contains("no cell could be measured") && said.contains("no data to judge tiny"), "{said}");
    // A judge that is another file would give other figures.
    std::fs::write(bench.path("other.pth"), b"no judge").unwrap();
    let said = bench.refused(&["run", "--quality", "full", "--judge", "other.pth", "--backend", "candle"]);
    assert!(said.contains("SHA-256"), "{said}");
}
