//! What the machine's state makes of a run of the real program: other programs, limits of a container, too many threads.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Bench, text};
use serde_json::Value;

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Somebody who keeps every CPU busy: to the program under test, another program.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || while !stop.load(Ordering::Relaxed) {})
        };
        Self { threads: (0..cpus()).map(spin).collect(), stop }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_busy_machine_is_said_in_terminal_table_and_page_and_its_peaks_are_no_roof() {
    let bench = Bench::new();
    let busy = Busy::start();
    let arguments = ["run", "--model", "nano", "--backend", "candle", "--precision", "f32", "--launches", "1"];
    let mut command = bench.command(&[&arguments[..], &["--images", "20", "--budget", "60s", "--out", "run"]].concat());
    // This machine as it is, counters and all.
    let output = command.env_remove("DITBENCH_SYSTEM_ROOT").output().unwrap();
    drop(busy);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let record = bench.record("run");
    let cell = &record["cells"][0];
    let [markdown, page] =
        ["run/table.md", "run/report.html"].map(|file| std::fs::read_to_string(bench.path(file)).unwrap());
    let Some(load) = cell["launches"][0]["foreign"].get("ok") else {
        // A sandbox without counters: then that is said, and nothing is taken for quiet.
        assert!(markdown.contains("other load unknown") && page.contains("other load unknown"), "{markdown}");
        return;
    };
    let number = |name: &str| load[name].as_f64().unwrap();
    let share = (number("busy_s") - number("own_s")) / (number("wall_s") * number("cpus"));
    assert!(share > 0.2, "as many busy threads as CPUs: {load}");
    // They go on, so that another launch would be the same: it counts, and that is said everywhere.
    let spoiled = &cell["warnings"][0];
    assert_eq!((&spoiled["kind"], &spoiled["kept"]), (&Value::from("spoiled_launch"), &Value::from("went_on")));
    assert!(spoiled["why"].as_str().unwrap().contains("other programs took"), "{spoiled}");
    assert!(said.contains("The machine was busy during the measurement: other programs took"), "{said}");
    assert!(markdown.contains("busy machine") && markdown.contains("The machine was busy"), "{markdown}");
    assert!(page.contains("busy machine") && page.contains("The machine was busy"));
    // Nobody reads a share of a peak that others had a part of.
    let table: Value = serde_json::from_str(&std::fs::read_to_string(bench.path("run/table.json")).unwrap()).unwrap();
    assert!(table["rows"][0]["peak_share"].is_null(), "{}", table["rows"][0]["peak"]);
    assert!(table["rows"][0]["peak"].to_string().contains("is doubtful: while it was measured, other programs took"));
    assert!(said.contains("doubtful") && markdown.contains("| doubtful |") && page.contains("doubtful"), "{said}");
}

/// A tree of the system's files with a control group that allows 300 MB, in version 1 and in version 2.
fn limited(bench: &Bench, version: u8) -> String {
    let write = |name: &str, text: &str| {
        let file = bench.path("system").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("proc/meminfo", "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\n");
    if version == 1 {
        write("proc/self/cgroup", "4:memory:/hunt\n0::/\n");
        write("sys/fs/cgroup/memory/hunt/memory.limit_in_bytes", "300000000\n");
        write("sys/fs/cgroup/memory/hunt/memory.usage_in_bytes", "20000000\n");
    } else {
        write("proc/self/cgroup", "0::/hunt\n");
        write("sys/fs/cgroup/hunt/memory.max", "300000000\n");
        write("sys/fs/cgroup/hunt/memory.current", "20000000\n");
    }
    bench.path("system").display().to_string()
}

#[test]
fn a_control_groups_limit_is_what_there_is_of_memory() {
    for version in [1, 2] {
        let bench = Bench::new();
        let root = limited(&bench, version);
        let arguments = ["run", "--model", "tiny", "--backend", "candle", "--precision", "f32"];
        let run = |more: &[&str]| {
            let mut command = bench.command(&[&arguments[..], more].concat());
            command.env("DITBENCH_SYSTEM_ROOT", &root).output().unwrap()
        };
        let plan = run(&["--dry-run"]);
        let said = text(&plan.stdout);
        assert!(plan.status.success(), "{}", text(&plan.stderr));
        let limit = "of memory free, because its control group is limited to";
        assert!(said.contains(limit) && !said.contains("20.4 GB"), "version {version}: {said}");
        let refused = run(&["--out", "run"]);
        let why = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{why}");
        assert!(why.contains("control group is limited to") && why.contains("--force"), "{why}");
        assert!(!bench.path("run/record.json").exists());
    }
}

#[test]
fn more_threads_than_cpus_are_warned_of_before_and_in_the_row() {
    let bench = Bench::new();
    let threads = (4 * cpus()).to_string();
    let arguments = ["run", "--model", "nano", "--backend", "reference", "--precision", "f32", "--threads", &threads];
    let warning = format!("asks for up to {threads} threads, and only {}", cpus());
    let plan = bench.ok(&[&arguments[..], &["--dry-run"]].concat());
    assert!(plan.contains(&warning), "{plan}");
    let more = ["--launches", "1", "--images", "1", "--brief", "--budget", "1s", "--out", "run"];
    let said = bench.ok(&[&arguments[..], &more].concat());
    assert!(said.contains(&warning), "{said}");
    assert!(said.contains(&format!("{threads} threads on {}", cpus())), "{said}");
    let markdown = std::fs::read_to_string(bench.path("run/table.md")).unwrap();
    assert!(markdown.contains(&format!("{threads} threads on {}", cpus())), "{markdown}");
    // As many as there are is no word worth.
    let all = cpus().to_string();
    let plan = bench.ok(&["run", "--model", "nano", "--backend", "reference", "--threads", &all, "--dry-run"]);
    assert!(!plan.contains("take turns"), "{plan}");
}
