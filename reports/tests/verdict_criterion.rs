//! criterion's saved estimates through the same verdict.

use std::fs;
use std::path::Path;

use ditbench_reports::stats::random::Random;
use ditbench_reports::verdict::criterion::{self, CriterionError};
use ditbench_reports::verdict::{Basis, CellState, Metric, Options, Outcome, Side, compare};

/// Saves a benchmark the way criterion 0.8 does (linear sampling: batch k has k·10 iterations).
fn save(dir: &Path, id: &str, name: &str, ns: f64, seed: u64) {
    let mut random = Random::new(seed);
    let saved = dir.join(id.replace('/', "_")).join(name);
    fs::create_dir_all(&saved).unwrap();
    let iters: Vec<f64> = (1..=100).map(|k| f64::from(k) * 10.0).collect();
    let times: Vec<f64> = iters.iter().map(|iters| iters * ns * (0.02 * random.normal()).exp()).collect();
    let sample = serde_json::json!({"sampling_mode": "Linear", "iters": iters, "times": times});
    let benchmark = serde_json::json!({"group_id": id, "function_id": null, "value_str": null, "throughput": null,
        "full_id": id, "directory_name": id, "title": id});
    fs::write(saved.join("sample.json"), sample.to_string()).unwrap();
    fs::write(saved.join("benchmark.json"), benchmark.to_string()).unwrap();
    fs::write(saved.join("estimates.json"), "{}").unwrap();
}

#[test]
fn a_slower_kernel_fails_and_an_equal_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    for (id, change) in [("linear/ort/512", 1.0), ("linear/candle/512", 1.10), ("rope/candle", 0.8)] {
        save(dir.path(), id, "base", 1000.0, 1);
        save(dir.path(), id, "new", 1000.0 * change, 2);
    }
    save(dir.path(), "gone", "base", 5.0, 3);
    save(dir.path(), "fresh", "new", 5.0, 3);
    let side = |name: &str| Side {
        label: name.into(),
        benches: criterion::read(dir.path(), name).unwrap(),
        ..Side::default()
    };
    let verdict = compare(&side("base"), &side("new"), &Options::default()).unwrap();
    let of = |id: &str| verdict.cell(id).unwrap_or_else(|| panic!("{id}"));
    assert_eq!((verdict.exit_code(), of("linear/ort/512").outcome), (1, Some(Outcome::Ok)));
    let slow = of("linear/candle/512").metric(Metric::ITERATION).unwrap();
    assert_eq!((slow.outcome, slow.basis, slow.base_samples), (Outcome::Regressed, Basis::Iterations, 100));
    // Seconds, not nanoseconds.
    assert!((slow.base.unwrap() - 1e-6).abs() < 2e-8 && (slow.change.unwrap() - 0.10).abs() < 0.02);
    assert!(of("rope/candle").metrics[0].improved);
    assert_eq!((of("gone").state, of("fresh").state), (CellState::Broken, CellState::New));
    assert!(of("linear/ort/512").notes[0].contains("one process"));
    assert!(verdict.base.runs[0].id.ends_with("(base)"));
}

/// A folder that holds more than folders and files: pipes, of which nobody writes into any, and links that lead round.
#[cfg(unix)]
#[test]
fn special_files_are_refused_or_passed_over_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), "x", "base", 1.0, 1);
    let pipe = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let read = |dir: &Path| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let dir = dir.to_owned();
        std::thread::spawn(move || sender.send(criterion::read(&dir, "base").map_err(|error| error.to_string())));
        receiver.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer")
    };
    pipe(&dir.path().join("pipe"));
    std::os::unix::fs::symlink("..", dir.path().join("x/round")).unwrap();
    std::os::unix::fs::symlink("/proc", dir.path().join("proc")).unwrap();
    assert_eq!(read(dir.path()).unwrap().len(), 1);
    for file in ["sample.json", "benchmark.json"] {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), "x", "base", 1.0, 1);
        let path = dir.path().join("x/base").join(file);
        fs::remove_file(&path).unwrap();
        pipe(&path);
        let error = read(dir.path()).unwrap_err();
        assert!(error.contains(file) && error.contains("not a regular file"), "{error}");
    }
    assert!(read(Path::new("/proc")).is_err());
}

/// Moves the time of what was saved into the past.
fn age(dir: &Path, id: &str, name: &str, minutes: u64) {
    let file = fs::File::options().write(true).open(dir.join(id).join(name).join("sample.json")).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60 * minutes)).unwrap();
}

#[test]
fn the_last_output_of_a_benchmark_that_was_not_run_is_no_measurement() {
    let dir = tempfile::tempdir().unwrap();
    for (id, seed) in [("kept", 1), ("slow", 2), ("gone", 3), ("never_again", 4)] {
        save(dir.path(), id, "main", 1000.0, seed);
        save(dir.path(), id, "new", 1000.0, seed + 10);
        age(dir.path(), id, "main", 96 * 60);
    }
    // Another one of the same run, which takes long; one that was run after `main` and then removed; one that was not even that.
    age(dir.path(), "slow", "new", 50);
    age(dir.path(), "gone", "new", 72 * 60);
    save(dir.path(), "never_again", "new", 1000.0, 4);
    save(dir.path(), "left_over", "new", 1000.0, 5);
    age(dir.path(), "left_over", "new", 72 * 60);
    let (base, head) = criterion::read_sides(dir.path(), "main", "new").unwrap();
    let side = |label: &str, benches| Side { label: label.into(), benches, ..Side::default() };
    let verdict = compare(&side("main", base), &side("new", head), &Options::default()).unwrap();
    let state = |id: &str| verdict.cell(id).map(|cell| cell.state);
    assert_eq!((state("kept"), state("slow")), (Some(CellState::Compared), Some(CellState::Compared)));
    for (id, says) in [("gone", "71 hours older"), ("never_again", "still holds the times saved as \"main\"")] {
        let cell = verdict.cell(id).unwrap();
        assert_eq!((cell.state, cell.outcome), (CellState::Broken, Some(Outcome::Regressed)), "{id}");
        assert!(cell.findings[0].says.contains(says) && cell.findings[0].says.contains("cargo bench"), "{cell:?}");
    }
    assert_eq!(state("left_over"), None);
}

/// criterion copies each run to `base` as it ends, so `base` and `new` hold the same.
#[test]
fn a_run_is_not_compared_with_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (id, seed) in [("one", 1), ("two", 2)] {
        save(dir.path(), id, "base", 1000.0, seed);
        save(dir.path(), id, "new", 1000.0, seed);
    }
    for (base, head) in [("base", "new"), ("new", "new")] {
        let error = criterion::read_sides(dir.path(), base, head).unwrap_err();
        assert!(matches!(error, CriterionError::OneRun { .. }), "{error}");
        assert!(error.to_string().contains("--save-baseline NAME"), "{error}");
    }
    save(dir.path(), "one", "new", 1000.0, 3);
    let (_, head) = criterion::read_sides(dir.path(), "base", "new").unwrap();
    assert_eq!(head.iter().filter(|bench| bench.not_run.is_some()).count(), 1);
}

#[test]
fn half_of_what_criterion_saves_is_damage_and_no_missing_benchmark() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), "whole", "base", 1.0, 1);
    save(dir.path(), "half", "base", 1.0, 1);
    fs::remove_file(dir.path().join("half/base/sample.json")).unwrap();
    let error = criterion::read(dir.path(), "base").unwrap_err().to_string();
    assert!(error.contains("half/base/sample.json"), "{error}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = criterion::read(dir.path(), "base").unwrap_err();
    assert!(matches!(error, CriterionError::Nothing { .. }) && error.to_string().contains("--save-baseline"));
    assert!(matches!(criterion::read(&dir.path().join("no"), "base"), Err(CriterionError::Io { .. })));
    save(dir.path(), "x", "base", 1.0, 1);
    let sample = dir.path().join("x/base/sample.json");
    for (text, words) in [
        ("{", "EOF"),
        ("{\"iters\": [1.0], \"times\": []}", "numbers of times and of iteration counts differ"),
        ("{\"iters\": [0.0], \"times\": [1.0]}", "not a number"),
    ] {
        fs::write(&sample, text).unwrap();
        let error = criterion::read(dir.path(), "base").unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("sample.json"), "{error}");
    }
}
