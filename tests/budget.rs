//! What a run remembers of its cells, and what the next makes of it: estimates, and cells that a budget has no room for. The backend is a
//! script, so that how long things take is known.

mod common;

use std::path::PathBuf;
use std::process::Output;

use common::{Bench, cells, text};

/// A tenth of a second for each step: an image of 200 takes 20 s, and all that is made here has one step.
const SCRIPT: &str = r#"{"denoiser_ms": 100.0, "decoder_ms": 0.5}"#;
const SPACE: [&str; 9] = ["run", "--model", "nano", "--backend", "scripted", "--precision", "f32", "--threads", "1,2"];

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.path("script.json"), SCRIPT).unwrap();
    bench
}

/// With a cache of its own: what other tests measured is not known.
fn run(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = bench.command(&[&SPACE[..], arguments].concat());
    command.env("DITBENCH_SCRIPT", bench.path("script.json")).env("DITBENCH_CACHE", bench.path("cache"));
    command.output().unwrap()
}

fn ok(bench: &Bench, arguments: &[&str]) -> String {
    let output = run(bench, arguments);
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn file(bench: &Bench) -> PathBuf {
    bench.path("cache/measured.jsonl")
}

#[test]
fn what_was_measured_is_what_the_next_plan_says_and_what_has_no_room_is_a_row_with_the_flag() {
    let bench = bench();
    let fresh = ok(&bench, &["--steps", "1,200", "--dry-run"]);
    assert!(fresh.contains("assumed share of peak") && fresh.contains("Times: 4 cells assumed"), "{fresh}");
    assert!(!bench.path("cache").exists(), "a dry run leaves nothing");
    ok(&bench, &["--steps", "1", "--launches", "1", "--images", "2", "--brief", "--out", "first"]);
    assert_eq!(std::fs::read_to_string(file(&bench)).unwrap().lines().count(), 2);

    let rest = ["--steps", "1,200", "--launches", "3", "--images", "2", "--brief", "--budget", "60s"];
    let plan = ok(&bench, &[&rest[..], &["--dry-run"]].concat());
    assert!(plan.contains("measured here, 1 launch on 2"), "{plan}");
    assert!(plan.contains("scaled from nano 64×64 in 1 step, measured here on 2"), "{plan}");
    let totals = "Times: 2 cells measured here, 2 cells scaled from another model or size measured here.";
    assert!(plan.contains(totals), "{plan}");
    let foreseen = "The budget of 1 min 00 s has no room for 2 cells, which will be left out, unless images turn out quicker: nano";
    assert!(plan.contains(foreseen), "{plan}");

    let said = ok(&bench, &[&rest[..], &["--out", "run"]].concat());
    let record = bench.record("run");
    assert_eq!(cells(&record).len(), 4);
    for cell in cells(&record) {
        let launches = cell["launches"].as_array().unwrap();
        if cell["key"]["steps"] == 1 {
            assert_eq!((launches.len(), &cell["status"]), (3, &"ok".into()), "{cell}");
            assert!(launches.iter().all(|launch| launch["samples"].as_array().unwrap().len() == 2), "{cell}");
        } else {
            assert_eq!((launches.len(), &cell["status"]), (0, &"interrupted".into()), "{cell}");
            let why = cell["reason"].as_str().unwrap();
            assert!(
                why.starts_with("left out: the budget of 1 min 00 s had no room for 3 launches of about "),
                "{why}"
            );
            assert!(why.contains(", and as many of the 1 cell that it is compared with; --budget "), "{why}");
            assert!(why.contains("--budget ") && said.contains(why), "{why}\n{said}");
        }
    }
    assert!(said.contains("2 cells did not fit into the budget of 1 min 00 s: nano"), "{said}");
}

#[test]
fn the_command_that_is_printed_adds_what_was_left_out() {
    let bench = bench();
    // An image of half a second: six launches in each precision take about 8 s.
    let plan = ["--steps", "5", "--images", "2", "--brief"];
    ok(&bench, &[&plan[..], &["--precision", "q4", "--launches", "1", "--out", "first"]].concat());
    let rest = ["--precision", "q4", "--launches", "3", "--budget", "10s", "--out", "run"];
    let said = ok(&bench, &[&plan[..], &rest].concat());
    let launches = |precision: &str| -> Vec<usize> {
        let record = bench.record("run");
        let of = |cell: &&serde_json::Value| cell["key"]["precision"] == precision;
        cells(&record).iter().filter(of).map(|cell| cell["launches"].as_array().unwrap().len()).collect()
    };
    assert!(matches!(launches("f32")[..], [a, b] if a > 0 && b > 0), "{said}");
    assert_eq!(launches("q4"), [0, 0], "{said}");
    let printed = said.split("To add what is missing: ditbench ").nth(1).expect("a command").lines().next().unwrap();
    assert!(printed.contains(" --budget "), "{printed}");
    let words: Vec<&str> = printed.split(' ').collect();
    let again = bench.command(&words).env("DITBENCH_SCRIPT", bench.path("script.json")).output().unwrap();
    assert!(again.status.success(), "{}", text(&again.stderr));
    // How many fit depends on what else the machine does.
    assert!(matches!(launches("q4")[..], [a, b] if a > 0 && b > 0), "{printed}\n{}", text(&again.stdout));
}

#[test]
fn memories_that_are_damaged_or_of_another_machine_are_ignored_and_said() {
    let bench = bench();
    ok(&bench, &["--steps", "1", "--launches", "1", "--images", "2", "--brief", "--out", "first"]);
    let kept = std::fs::read_to_string(file(&bench)).unwrap();
    let dry = |text: &str| {
        std::fs::write(file(&bench), text).unwrap();
        let output = run(&bench, &["--steps", "1", "--dry-run"]);
        assert!(output.status.success());
        (common::text(&output.stdout), common::text(&output.stderr))
    };
    let (plan, note) = dry(&format!("{{\"version\": 1\n{kept}"));
    assert!(plan.contains("2 cells measured here") && note.contains("1 line of it cannot be read"), "{plan}{note}");
    let machine = kept.split("\"machine\":\"").nth(1).unwrap().split('"').next().unwrap();
    let (plan, note) = dry(&kept.replace(machine, "0000"));
    assert!(plan.contains("2 cells assumed") && note.contains("measured on other machines"), "{plan}{note}");
    let (plan, note) = dry(&kept);
    assert!(plan.contains("2 cells measured here") && note.is_empty(), "{plan}{note}");
}
