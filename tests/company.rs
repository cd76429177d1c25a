//! Company: the real program keeps threads busy beside a worker, says what both got, and notices when the company is gone.
#![cfg(target_os = "linux")]

mod common;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Bench, cells, text};
use serde_json::Value;

/// A run on the backend that only takes time, so that what is seen is the company's.
fn start(bench: &Bench, denoiser_ms: u32, more: &[&str]) -> std::process::Command {
    let script = bench.path("script.json");
    std::fs::write(&script, format!(r#"{{"denoiser_ms": {denoiser_ms}, "decoder_ms": 1}}"#)).unwrap();
    let fixed = ["run", "--backend", "scripted", "--precision", "f32", "--launches", "1", "--out", "run"];
    let mut command = bench.command(&[&fixed[..], more].concat());
    command.env("DITBENCH_SCRIPT", script);
    command
}

#[test]
fn alone_and_in_company_are_two_cells_and_are_shown_side_by_side() {
    let bench = Bench::new();
    let mut command = start(&bench, 10, &["--images", "6", "--company", "0,2"]);
    // This machine's own counters, where it has them.
    let output = command.env_remove("DITBENCH_SYSTEM_ROOT").output().unwrap();
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{error}");
    let record = bench.record("run");
    let [alone, company] = &cells(&record)[..] else { panic!("two cells") };
    assert_eq!((alone["key"].get("company"), &company["key"]["company"]), (None, &Value::from(2)));
    assert_eq!((&alone["status"], &company["status"]), (&"ok".into(), &"ok".into()), "{}", company["reason"]);
    assert!(alone["launches"][0].get("company").is_none());
    let launch = &company["launches"][0];
    let got = &launch["company"];
    assert_eq!(got["threads"], 2);
    for rate in ["units_per_s", "alone_units_per_s"] {
        assert!(got[rate]["ok"].as_f64().is_some_and(|rate| rate > 0.0), "{rate}: {got}");
    }
    // What the company used is ours: else it would be taken for other programs.
    let used = got["cpu_s"]["ok"].as_f64().unwrap();
    if let Some(load) = launch["foreign"].get("ok") {
        assert!(load["own_s"].as_f64().unwrap() >= used, "{load} with {got}");
    }
    assert!(used > 0.0);
    assert!(said.contains("in company of 2") && said.contains("With 2 threads kept busy beside it"), "{said}");
    let [page, csv, json] = ["report.html", "table.csv", "table.json"]
        .map(|file| std::fs::read_to_string(bench.path("run").join(file)).unwrap());
    assert!(page.contains("id=\"company\"") && page.contains("Alone and in company"));
    assert!(csv.lines().next().unwrap().ends_with(",company") && csv.lines().nth(2).unwrap().ends_with(",2"), "{csv}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let energy = json["rows"][1]["numbers"]["energy_j"].to_string();
    assert!(energy.contains("in company of 2"), "whose energy it is, nobody knows: {energy}");
}

/// The run's company and its worker, by their parent and their command lines.
fn children(run: u32) -> Vec<(i32, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let rest = stat.rsplit(')').next()?.trim_start().to_owned();
        let parent: u32 = rest.split_whitespace().nth(1)?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let word = command.split(|&byte| byte == 0).nth(1).map(text)?;
        (parent == run && !rest.starts_with('Z')).then_some((pid, word))
    };
    entries.filter_map(child).collect()
}

/// Kills the company of a launch that is under way, so often; then waits for the run to end.
fn killing(mut child: Child, mut times: usize) -> std::process::Output {
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut killed = Vec::new();
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the run does not end");
        let now = children(child.id());
        let of = |word: &str| now.iter().find(|(_, command)| command == word).map(|(pid, _)| *pid);
        // Only beside a worker: alone, it is being measured.
        if let (Some(company), Some(_)) = (of("company").filter(|pid| !killed.contains(pid)), of("worker"))
            && times > 0
        {
            // SAFETY: a plain system call on a process that this test's program started.
            assert_eq!(unsafe { libc::kill(company, libc::SIGKILL) }, 0);
            killed.push(company);
            times -= 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_launch_whose_company_died_is_made_again_and_never_counts() {
    for (times, status) in [(1, "ok"), (3, "error")] {
        let bench = Bench::new();
        let mut command = start(&bench, 250, &["--images", "1", "--company", "1", "--brief"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = killing(child, times);
        let record = bench.record("run");
        let cell = &cells(&record)[0];
        let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(cell["status"], status, "{said}");
        let why =
            "the company (1 thread kept busy beside the worker) was killed by signal 9 before the launch was over";
        // Others may have been spoiled by what else this machine does.
        let discarded = cell["discarded"].as_array().unwrap().iter().filter(|launch| launch["reason"] == why);
        assert_eq!(discarded.count(), times.min(2), "{said}");
        let of_launch = &cell["launches"][0]["company"]["units_per_s"];
        if status == "ok" {
            assert!(of_launch["ok"].is_number(), "{of_launch}");
        } else {
            assert_eq!((&cell["reason"], &of_launch["absent"]["why"]), (&why.into(), &why.into()));
        }
    }
}

#[test]
fn what_company_cannot_be_is_refused() {
    let bench = Bench::new();
    let judged = bench.refused(&["run", "--quality", "full", "--company", "1", "--dry-run"]);
    assert!(judged.contains("--company is for runs that time one prompt"), "{judged}");
    let many = bench.refused(&["run", "--company", "5000", "--dry-run"]);
    assert!(many.contains("from 0 to 4096"), "{many}");
    let plan = bench.ok(&["run", "--backend", "reference", "--precision", "f32", "--company", "0,1", "--dry-run"]);
    assert!(plan.contains("Plan: 2 cells") && plan.contains(", company 1"), "{plan}");
}
