//! What goes wrong around a run: killed, interrupted, out of disk, damaged. Nothing measured is lost, nothing is
//! invented, and the next command is always told.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Bench, text};

/// Two slow cells: there is time to do harm.
const SLOW: [&str; 13] = [
    "run",
    "--backend",
    "reference",
    "--threads",
    "1,2",
    "--precision",
    "f32",
    "--launches",
    "1",
    "--images",
    "2",
    "--out",
    "run",
];

fn start(bench: &Bench, arguments: &[&str]) -> Child {
    let mut command = bench.command(arguments);
    // A group of its own, as a shell gives it: the test must not be interrupted with it.
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().expect("the program starts")
}

/// Waits for something to become true; a run that ends before is a failure with its words.
fn wait_until(child: &mut Child, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            panic!("the run ended with {status} before {what}");
        }
        assert!(Instant::now() < deadline, "{what}: not within two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The worker of a run, by its parent and its command line.
fn worker_of(run: u32) -> Option<i32> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: u32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        (parent == run && command.split(|&byte| byte == 0).any(|word| word == b"worker")).then_some(pid)
    })
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: a plain system call on a process that this test started.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} reaches {pid}");
}

fn is_alive(pid: i32) -> bool {
    // A process that was killed and not yet reaped by its new parent is a zombie: dead.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim().starts_with('Z'))
}

fn launches(bench: &Bench) -> Vec<serde_json::Value> {
    let record = std::fs::read_to_string(bench.path("run/record.json")).unwrap_or_default();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap_or_default();
    let cells = record["cells"].as_array().cloned().unwrap_or_default();
    cells.iter().flat_map(|cell| cell["launches"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn a_run_killed_with_signal_9_takes_its_worker_along_and_is_resumed() {
    let bench = Bench::new();
    let mut run = start(&bench, &SLOW);
    wait_until(&mut run, "the first launch was in the record", || launches(&bench).len() == 1);
    let pid = run.id();
    wait_until(&mut run, "the second worker was up", || worker_of(pid).is_some());
    let worker = worker_of(pid).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while is_alive(worker) {
        assert!(Instant::now() < deadline, "the worker outlived its run");
        std::thread::yield_now();
    }
    let kept = launches(&bench);
    let out = bench.ok(&["run", "--resume", "run"]);
    assert!(out.contains("cells done: 1 of 2"), "{out}");
    let record = bench.record("run");
    assert!(record["run"]["finished"].is_string() && record["run"]["resumed"] == 1, "{}", record["run"]);
    assert!(record["cells"].as_array().unwrap().iter().all(|cell| cell["status"] == "ok"));
    assert_eq!(launches(&bench).len(), 2);
    assert!(launches(&bench).contains(&kept[0]), "what was measured before is kept as it was");
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_says_how_to_go_on() {
    let bench = Bench::new();
    let mut run = start(&bench, &SLOW);
    wait_until(&mut run, "the first launch was in the record", || launches(&bench).len() == 1);
    signal(i32::try_from(run.id()).unwrap(), libc::SIGINT);
    let output = run.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("--resume run"), "{said}");
    let record = bench.record("run");
    assert!(record["run"]["finished"].is_null());
    assert_eq!(record["cells"][0]["status"], "ok");
    bench.ok(&["run", "--resume", "run"]);
    let record = bench.record("run");
    assert!(record["cells"].as_array().unwrap().iter().all(|cell| cell["status"] == "ok"), "{}", record["cells"]);
}

#[test]
fn a_run_that_nobody_listens_to_any_more_goes_on() {
    let bench = Bench::new();
    let arguments =
        ["run", "--backend", "candle", "--precision", "f32", "--launches", "1", "--images", "2", "--out", "run"];
    let mut child = start(&bench, &arguments);
    // As `ditbench run | head` does, or a terminal that is closed.
    drop((child.stdout.take(), child.stderr.take()));
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.record("run")["cells"][0]["status"], "ok");
    assert!(bench.path("run/report.html").is_file());
}

#[test]
fn a_program_that_is_removed_while_it_runs_measures_itself_to_the_end() {
    let bench = Bench::new();
    let program = bench.path("ditbench");
    std::fs::copy(env!("CARGO_BIN_EXE_ditbench"), &program).unwrap();
    let usual = bench.command(&SLOW);
    let mut command = std::process::Command::new(&program);
    command.args(usual.get_args()).current_dir(bench.dir());
    command.envs(usual.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    wait_until(&mut run, "the first launch was in the record", || launches(&bench).len() == 1);
    // As a build does that ends while a run is at work.
    std::fs::remove_file(&program).unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let record = bench.record("run");
    assert!(record["cells"].as_array().unwrap().iter().all(|cell| cell["status"] == "ok"), "{}", record["cells"]);
}

#[test]
fn a_backend_that_is_gone_when_a_run_goes_on_takes_no_results_along() {
    let bench = Bench::new();
    let arguments =
        ["run", "--backend", "ort", "--threads", "1,2", "--precision", "f32", "--launches", "3", "--out", "run"];
    let mut run = start(&bench, &arguments);
    wait_until(&mut run, "the first launch was in the record", || launches(&bench).len() == 1);
    signal(i32::try_from(run.id()).unwrap(), libc::SIGINT);
    run.wait_with_output().unwrap();
    let rows = || bench.record("run")["cells"].as_array().unwrap().clone();
    let (before, measured) = (rows(), launches(&bench));
    bench.run(&["run", "--resume", "run", "--ort-lib", "nowhere.so"]);
    assert!(measured.iter().all(|launch| launches(&bench).contains(launch)), "what was measured is kept");
    assert_eq!(rows()[0]["status"], before[0]["status"], "{}", rows()[0]);
    let of_first = rows().into_iter().filter(|row| row["key"]["threads"] == 1).count();
    assert_eq!(of_first, 1, "a cell with results gets no second row that says it has none");
    assert!(rows()[0]["warnings"].to_string().contains("not_resumed"), "{}", rows()[0]);
    let refused: Vec<_> = rows().into_iter().filter(|row| row["status"] == "unsupported").collect();
    assert!(refused.iter().all(|row| row["launches"].as_array().is_none_or(Vec::is_empty)), "{refused:?}");
    bench.ok(&["run", "--resume", "run"]);
    assert_eq!(rows().len(), 2, "no row is left of what was refused");
    for row in rows() {
        assert!(row["status"] == "ok" && row["launches"].as_array().unwrap().len() == 3, "{row}");
    }
    let mut orders: Vec<u64> = launches(&bench).iter().map(|launch| launch["order"].as_u64().unwrap()).collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 6, "each launch has a place of its own");
}

#[test]
fn a_killed_worker_is_a_row_with_its_reason_and_the_run_goes_on() {
    let bench = Bench::new();
    let mut run = start(&bench, &SLOW);
    let pid = run.id();
    wait_until(&mut run, "a worker was up", || worker_of(pid).is_some());
    signal(worker_of(pid).unwrap(), libc::SIGKILL);
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let record = bench.record("run");
    let cells = record["cells"].as_array().unwrap();
    let [failed, fine] = [&cells[0], &cells[1]];
    assert_eq!(failed["status"], "error", "{failed}");
    assert!(failed["reason"].as_str().unwrap().contains("killed by signal 9"), "{}", failed["reason"]);
    assert_eq!(fine["status"], "ok");
    assert!(std::fs::read_to_string(bench.path("run/report.html")).unwrap().contains("killed by signal 9"));
}

#[test]
fn a_result_that_is_no_number_is_no_image() {
    let bench = Bench::new();
    // Too large for f32: infinite, as what outgrows 16 bits is.
    std::fs::write(bench.path("script.json"), r#"{"wrong": 1e39}"#).unwrap();
    let scripted = ["--backend", "scripted", "--precision", "f32"];
    let run = ["run", "--launches", "1", "--images", "2", "--out", "run"];
    let run = [&run[..], &scripted].concat();
    let generate = [&["generate", "turtle", "-o", "turtle.png"][..], &scripted].concat();
    let [_, generated] = [run, generate]
        .map(|arguments| bench.command(&arguments).env("DITBENCH_SCRIPT", bench.path("script.json")).output().unwrap());
    let cell = &bench.record("run")["cells"][0];
    let reason = cell["reason"].as_str().unwrap_or_default();
    assert!(cell["status"] == "error" && reason.contains("not finite") && reason.contains("--precision"), "{cell}");
    assert!(!generated.status.success() && text(&generated.stderr).contains("not finite"), "{generated:?}");
    assert!(!bench.path("turtle.png").exists());
}

/// A full disk, as a limit on the size of files: every write beyond it fails, whoever runs the test.
#[test]
fn a_disk_that_is_full_is_named_and_nothing_half_written_is_taken_for_whole() {
    let bench = Bench::new();
    let cache = bench.path("cache");
    let arguments =
        ["run", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1", "--out", "run"];
    let mut command = bench.command(&arguments);
    command.env("DITBENCH_CACHE", &cache);
    // SAFETY: both calls are async-signal-safe and touch only the child.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
            // Without this the kernel would kill the program instead of failing the write.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    let record = bench.record("run");
    let cell = &record["cells"][0];
    assert_eq!(cell["status"], "error", "{cell}");
    let reason = cell["reason"].as_str().unwrap();
    assert!(reason.contains("weights") && reason.contains("File too large"), "{reason}");
    // With room again, the same cache and the same run directory serve.
    let mut again = bench.command(&["run", "--resume", "run"]);
    let output = again.env("DITBENCH_CACHE", &cache).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(bench.record("run")["cells"][0]["status"], "ok");
}

#[test]
fn a_place_that_cannot_be_written_is_refused_in_a_line() {
    let bench = Bench::new();
    let file = bench.path("file");
    std::fs::write(&file, "not a folder").unwrap();
    let run = ["run", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1", "--out"];
    for place in ["/proc/nowhere/run", &format!("{}/run", file.display())] {
        let error = bench.refused(&[&run[..], &[place]].concat());
        assert!(error.contains(Path::new(place).parent().unwrap().to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_cut_off_record_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        "reference",
        "--precision",
        "f32",
        "--launches",
        "1",
        "--images",
        "1",
        "--out",
        "run",
    ]);
    let path = bench.path("run/record.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    for command in [["run", "--resume", "run"].as_slice(), &["report", "run"]] {
        let error = bench.refused(command);
        assert!(error.contains("record.json") && error.contains("cut off or damaged"), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap().len(), whole.len() / 2);
}
