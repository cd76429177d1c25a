//! Phones whose adbd runs as Android's does: user 2000, without root's rights, so that what is refused is refused by the kernel.
//! As in `adb`, the tests say `NOT RUN` where this machine can have no such phone, and fail with `DITBENCH_NEED_ADB` set.

mod common;
#[path = "common/lab.rs"]
mod lab;
#[path = "common/on_phone.rs"]
mod on_phone;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::Bench;
use lab::Lab;
use on_phone::*;
use serde_json::Value;

/// Lets only root read a file of a phone's.
fn close(file: PathBuf) {
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Puts a program onto a phone's path.
fn program(data: &Path, name: &str, script: &str) {
    let path = data.join("bin").join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn before(record: &Value) -> Value {
    let telemetry = cell(record)["launches"][0]["telemetry"].as_array().unwrap();
    telemetry.iter().find(|moment| moment["moment"] == "before").unwrap()["readings"].clone()
}

#[test]
fn a_phone_that_refuses_the_shell_much_is_measured_and_says_what_it_refused() {
    let Some(mut lab) = Lab::of_the_shell() else { return };
    // A Galaxy S23: the power supply is closed, and the battery service has the current in mA. And a vendor who closes a clock.
    lab.phone_with(|data| {
        for file in ["type", "current_now", "voltage_now"] {
            close(data.join("sys/class/power_supply/battery").join(file));
        }
        close(data.join("sys/cpu/cpu1/cpufreq/scaling_cur_freq"));
        let dumpsys = std::fs::read_to_string(data.join("bin/dumpsys")).unwrap();
        program(data, "dumpsys", &dumpsys.replace("level: 80", "level: 80\\n  current now: 559"));
    });
    let bench = Bench::new();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--fixed-performance", "--out", "run"]]));
    let record = bench.record("run");
    assert_eq!(record["machine"]["phone"]["uid"]["ok"], 2000);
    assert_eq!(cell(&record)["status"], "ok", "{}", cell(&record)["reason"]);
    let readings = before(&record);
    for (name, file) in [
        ("battery_current_raw", "/sys/class/power_supply/battery/current_now"),
        ("cpu_big_mhz", "cpu1/cpufreq/scaling_cur_freq"),
    ] {
        let why = readings[name]["denied"]["why"].as_str().unwrap_or_default();
        assert!(why.contains(file) && why.contains("ermission"), "{name}: {}", readings[name]);
    }
    assert_eq!(readings["battery_current_service_raw"]["ok"], 559.0);
    assert_eq!(readings["cpu_little_mhz"]["ok"], 1200.0);
    assert!(matches!(fixed_performance(&lab, 15555), (on, off, true) if on == off && on >= 1));
    clean(&lab, 15555);
    // Where the shell may not write.
    let ill = run(&lab, &bench, &[&["doctor", "--on", "adb", "--phone-dir", "/data/ours"]]);
    assert_eq!(ill.status.code(), Some(2));
    assert!(
        said(&ill).contains("FAULT  folder") && said(&ill).contains("--phone-dir /data/local/tmp/"),
        "{}",
        said(&ill)
    );
}

#[test]
fn a_phone_that_tells_no_heat_is_not_called_cool() {
    let Some(mut lab) = Lab::of_the_shell() else { return };
    lab.phone_with(|data| program(data, "dumpsys", "echo \"Permission Denial: can't dump $1 from pid 1, uid 2000\""));
    let bench = Bench::new();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--brief", "--on", "adb", "--out", "run"]]));
    let record = bench.record("run");
    let warnings = cell(&record)["warnings"].as_array().unwrap();
    let why = warnings.iter().find(|warning| warning["kind"] == "warmth_not_known").map(|warning| &warning["why"]);
    assert!(why.is_some_and(|why| why.to_string().contains("thermal_status: Permission Denial")), "{warnings:?}");
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(page.contains("whether the phone was cool when launches began is not known"), "the page says so");
    clean(&lab, 15555);
}

#[test]
fn a_trace_of_the_system_lies_beside_the_record_or_why_there_is_none() {
    let Some(mut lab) = Lab::of_the_shell() else { return };
    // It takes its orders from a pipe and hands the trace over when it is asked to end, as Android's does.
    lab.phone_with(|data| {
        program(
            data,
            "perfetto",
            "orders=$(cat)\ncase $orders in *sched/sched_switch*android.power*duration_ms*) ;; *) echo \"orders: $orders\" >&2; exit 1;; esac\n\
             trap 'printf \"a trace by user %s\" \"$(id -u)\"; exit 0' TERM\nwhile :; do sleep 0.05; done",
        );
    });
    let bench = Bench::new();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--brief", "--perfetto", "--on", "adb", "--out", "run"]]));
    let record = bench.record("run");
    let trace = cell(&record)["system_trace"]["ok"].as_str().expect("a trace").to_owned();
    assert!(trace.starts_with("traces/") && trace.ends_with(".perfetto-trace"), "{trace}");
    assert_eq!(std::fs::read_to_string(bench.path("run").join(&trace)).unwrap(), "a trace by user 2000");
    assert_eq!(cell(&record)["launches"].as_array().unwrap().len(), 1, "its images are no launch's");
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(page.contains("ui.perfetto.dev") && page.contains(&trace), "the page names it");
    clean(&lab, 15555);
    std::fs::remove_file(lab.data(15555).join("bin/perfetto")).unwrap();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--brief", "--perfetto", "--on", "adb", "--out", "none"]]));
    let record = bench.record("none");
    let why = cell(&record)["system_trace"]["absent"]["why"].as_str().unwrap();
    assert!(why.contains("perfetto (Android 10 and later have it)"), "{why}");
    clean(&lab, 15555);
}

/// A sustained run whose clocks are capped when it has gone on for a while, at status 0: the three numbers.
#[test]
fn a_sustained_run_tells_what_it_settled_at_what_it_took_and_what_held_it_back() {
    let Some(mut lab) = Lab::of_the_shell() else { return };
    // The vendor's limit falls at the third question to Android's services while a worker is at work. On its battery: 850 mA, 4 V.
    let cap = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq";
    lab.phone_with(|data| {
        let dumpsys = std::fs::read_to_string(data.join("bin/dumpsys")).unwrap();
        let capped = format!(
            "if ps -eo args | grep -q '[a]gent supervise'; then echo >> /data/local/tmp/asked; [ $(wc -l < /data/local/tmp/asked) -ge 3 ] && echo 1900000 > {cap}; \
             else rm -f /data/local/tmp/asked; echo 2900000 > {cap}; fi\ncase $1 in"
        );
        program(data, "dumpsys", &dumpsys.replace("case $1 in", &capped).replace("USB powered: true", "USB powered: false"));
        let file = data.join("sys/cpu/cpu1/cpufreq/scaling_max_freq");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
    });
    let bench = Bench::new();
    let arguments = ["--cluster", "big", "--sustained", "14s", "--brief", "--on", "adb", "--out", "run"];
    let output = run(&lab, &bench, &[&NANO, &["--launches", "1"], &arguments]);
    ok(&output);
    let record = bench.record("run");
    assert_eq!(cell(&record)["discarded"].as_array().map_or(0, Vec::len), 0, "what holds it back is what is measured");
    for word in [
        "settled",
        "at first",
        "first cap",
        "energy of an image",
        " readings)",
        "big cores were limited to 66 % of their clock",
    ] {
        assert!(said(&output).contains(word), "no \"{word}\" in\n{}", said(&output));
    }
    let csv = std::fs::read_to_string(bench.path("run/table.csv")).unwrap();
    let (head, row) = (csv.lines().next().unwrap(), csv.lines().nth(1).unwrap());
    let value = |name: &str| row.split(',').nth(head.split(',').position(|column| column == name).unwrap()).unwrap();
    // 3.4 W, whatever the seconds of an image.
    let (joules, settled): (f64, f64) = (value("energy_j").parse().unwrap(), value("settled_s").parse().unwrap());
    assert!((joules / settled / 3.4 - 1.0).abs() < 0.2, "{joules} J in {settled} s");
    assert!(
        value("energy_samples").parse::<f64>().unwrap() >= 3.0 && value("at_first_s").parse::<f64>().unwrap() > 0.0
    );
    let cap: f64 = value("first_cap_min").parse().unwrap();
    assert!(cap > 0.0 && cap < 0.3, "{cap} minutes");
    clean(&lab, 15555);
}

#[test]
fn a_folder_of_libraries_reaches_the_phone_and_its_plug_in_is_asked_for_there() {
    let Some(mut lab) = Lab::of_the_shell() else { return };
    lab.phone();
    let bench = Bench::new();
    bench.ok(&["devices", "--fetch"]);
    let runtime = find(&common::cache(), "libonnxruntime.so").expect("ONNX Runtime was fetched");
    let folder = bench.path("jni");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(runtime, folder.join("libonnxruntime.so")).unwrap();
    // A library of this machine's that is no provider: it can be loaded, and has nothing that ONNX Runtime looks for.
    let other = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/libm.so.6", "/usr/lib/libm.so.6"].map(Path::new);
    let other = other.into_iter().find(|path| path.is_file()).expect("a library of mathematics");
    let plugin = "libonnxruntime_providers_webgpu.so";
    std::fs::copy(other, folder.join(plugin)).unwrap();
    let arguments = ["run", "--model", "nano", "--backend", "ort", "--precision", "f32", "--device", "cpu,webgpu"];
    let more = ["--brief", "--on", "adb", "--ort-dir", "jni", "--out", "run"];
    let mut command = lab.ditbench(bench.dir(), &[&arguments[..], &SHORT, &more].concat());
    ok(&command.env("DITBENCH_ORT_EP", format!("webgpu={plugin}")).output().unwrap());
    let record = bench.record("run");
    let row = |device: &str| {
        let cells = record["cells"].as_array().unwrap();
        cells.iter().find(|cell| cell["key"]["device"] == device).unwrap_or_else(|| panic!("no row on {device}"))
    };
    assert_eq!(row("cpu")["status"], "ok", "by the folder's own runtime: {}", row("cpu")["reason"]);
    let why = row("webgpu")["reason"].as_str().unwrap();
    assert_eq!(row("webgpu")["status"], "unsupported", "{why}");
    assert!(why.contains("/data/local/tmp/ditbench/cache/ort-") && why.contains(plugin), "{why}");
    clean(&lab, 15555);
}

/// A file whose name begins so, in a folder or below it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).find_map(|path| {
        let named = path.file_name().is_some_and(|own| own.to_string_lossy().starts_with(name));
        if path.is_dir() { find(&path, name) } else { Some(path).filter(|path| named && path.is_file()) }
    })
}
