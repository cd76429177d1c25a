//! Whole runs on phones: the real adb and adbd, in private namespaces. Where this machine has none, the tests say
//! `NOT RUN`; with `DITBENCH_NEED_ADB` set, as in CI, that is a failure. What goes wrong with phones is in `adb_faults`.

mod common;
#[path = "common/lab.rs"]
mod lab;
#[path = "common/on_phone.rs"]
mod on_phone;

use std::path::Path;
use std::process::Stdio;

use common::Bench;
use lab::Lab;
use on_phone::*;
use serde_json::Value;

#[test]
fn a_whole_run_on_the_one_phone() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    let images = ["--launches", "2", "--images", "40", "--cluster", "big", "--fixed-performance", "--out", "run"];
    ok(&run(&lab, &bench, &[&NANO, &["--on", "adb"], &images]));
    let record = bench.record("run");
    let phone = &record["machine"]["phone"];
    assert_eq!(phone["model"]["ok"], "Bench Testphone 15555");
    assert_eq!(phone["clusters"][1]["name"], "big");
    assert_eq!(phone["uid"]["ok"], 0, "the lab's daemon runs as root");
    let cell = cell(&record);
    assert_eq!(cell["status"], "ok", "{cell}");
    assert_eq!(cell["key"]["cpus"], "1");
    assert_eq!(cell["key"]["threads"], 1, "as many threads as the cluster has cores");
    assert_eq!(cell["launches"].as_array().unwrap().len(), 2);
    let launch = &cell["launches"][0];
    assert_eq!(launch["cpus"]["allowed"], "1", "{}", launch["cpus"]);
    assert!(launch["cpus"]["seen"].as_array().unwrap().iter().all(|cpu| cpu == 1), "{}", launch["cpus"]);
    assert!(launch["clock"]["offset_s"].as_f64().unwrap().abs() < 1.0, "one machine has one clock");
    let during: Vec<&Value> =
        launch["telemetry"].as_array().unwrap().iter().filter(|t| t["moment"] == "during").collect();
    let readings = &during[0]["readings"];
    assert_eq!(readings["cpu_little_mhz"]["ok"], 1200.0);
    assert_eq!(readings["cpu_big_mhz"]["ok"], 2400.0);
    assert_eq!(readings["skin_c"]["ok"], 31.5);
    assert_eq!(readings["battery_current_raw"]["ok"], -850_000.0, "as the phone gives it");
    assert_eq!(readings["battery_v"]["ok"], 4.0);
    let samples = launch["samples"].as_array().unwrap();
    assert!((3..=40).contains(&samples.len()), "as many as make it precise enough, and no more than were asked for");
    assert!(samples.windows(2).all(|pair| pair[0]["ended_s"].as_f64() < pair[1]["ended_s"].as_f64()));
    // The first launch was asked where its nodes ran, after its images: the kernel's last word on its memory is not theirs.
    assert!(launch["max_rss_bytes"].is_null(), "{}", launch["max_rss_bytes"]);
    assert!(cell["launches"][1]["max_rss_bytes"].as_u64().unwrap() > 1_000_000);
    let image = std::fs::read(bench.path("run").join(cell["image"].as_str().unwrap())).unwrap();
    assert!(image.starts_with(b"\x89PNG"));
    let id = cell["image"].as_str().unwrap().trim_end_matches(".png");
    let order = std::fs::read_to_string(bench.path("run/specs").join(format!("{id}-0.json"))).unwrap();
    assert!(order.contains("\"weights\": \"/data/local/tmp/ditbench/"), "as the phone's worker got it: {order}");
    assert!(matches!(fixed_performance(&lab, 15555), (on, off, true) if on == off && on >= 2));
    assert!(serial.ends_with("15555"));
    clean(&lab, 15555);
}

#[test]
fn two_phones_side_by_side_and_one_that_is_gone() {
    let Some(mut lab) = Lab::new() else { return };
    let (first, second) = (lab.phone(), lab.phone());
    let bench = Bench::new();
    let choice = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb"]]);
    assert_eq!(choice.status.code(), Some(2));
    assert!(said(&choice).contains(&first) && said(&choice).contains("--on adb:SERIAL"), "{}", said(&choice));
    let both = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb:*", "--out", "both", "--store", "store.sqlite"]]);
    ok(&both);
    for port in ["127.0.0.1_15555", "127.0.0.1_15556"] {
        assert_eq!(cell(&bench.record(&format!("both/{port}")))["status"], "ok");
    }
    let page = std::fs::read_to_string(bench.path("both/report.html")).unwrap();
    assert!(page.contains("Testphone 15555") && page.contains("Testphone 15556"));
    assert!(page.contains("Machines side by side"), "a column for each phone");
    let stored = run(&lab, &bench, &[&["history", "--store", "store.sqlite", "list"]]);
    ok(&stored);
    assert_eq!(said(&stored).matches("1 ok, 0 failed").count(), 2, "both are in the store: {}", said(&stored));
    clean(&lab, 15555);
    clean(&lab, 15556);
    lab.signal(15556, "KILL");
    let plan = format!(
        "on = [\"adb:{first}\", \"adb:{second}\"]\n[[group]]\nmodel = \"nano\"\nbackend = \"candle\"\nprecision = \"f32\"\n"
    );
    std::fs::write(bench.path("plan.toml"), plan).unwrap();
    let arguments = ["run", "--plan", "plan.toml", "--patience", "1", "--out", "one", "--store", "store.sqlite"];
    let one = run(&lab, &bench, &[&arguments, &SHORT]);
    assert_eq!(one.status.code(), Some(2));
    assert!(said(&one).contains(&format!("1 of 2 machines did not finish: adb:{second}")), "{}", said(&one));
    assert_eq!(cell(&bench.record("one/127.0.0.1_15555"))["status"], "ok", "the other is not stopped");
    let page = std::fs::read_to_string(bench.path("one/report.html")).unwrap();
    let why = format!("no result: adb sees no phone {second}");
    assert!(page.contains(&format!("<b>adb:{second}:</b> {why}")), "the one that is gone is in the report");
    ok(&run(&lab, &bench, &[&["report", "one", "--out", "again"]]));
    let again = std::fs::read_to_string(bench.path("again/table.md")).unwrap();
    assert!(again.contains(&format!("**adb:{second}**: {why}")), "{again}");
    lab.plug_in(15556, "");
    ok(&run(&lab, &bench, &[&["run", "--resume", "one", "--store", "store.sqlite"]]));
    let stored = run(&lab, &bench, &[&["history", "--store", "store.sqlite", "list"]]);
    assert_eq!(said(&stored).matches("1 ok, 0 failed").count(), 4, "{}", said(&stored));
    assert_eq!(cell(&bench.record("one/127.0.0.1_15556"))["status"], "ok");
}

#[test]
fn two_hosts_at_once_the_second_is_told() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    let mut child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    at_work(&lab, 15555, &mut child);
    signal_launch(&lab, 15555, "STOP");
    let second = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "second"]]);
    assert_eq!(second.status.code(), Some(2));
    assert!(said(&second).contains(&format!("{serial} is in use by ditbench on ")), "{}", said(&second));
    assert!(!bench.path("second").exists(), "nothing is left behind");
    signal_launch(&lab, 15555, "CONT");
    ok(&child.wait_with_output().unwrap());
    assert_eq!(cell(&bench.record("run"))["status"], "ok", "the first is not disturbed");
    clean(&lab, 15555);
}

#[test]
fn a_launch_that_was_held_back_is_made_again_at_most_twice() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    // Cool when asked before the launch, throttled whenever a worker is at work.
    let dumpsys = lab.data(15555).join("bin/dumpsys");
    let script = std::fs::read_to_string(&dumpsys)
        .unwrap()
        .replace("$(cat /data/status)", "$(ps -eo args | grep -q '[a]gent supervise' && echo 3 || echo 0)");
    std::fs::write(&dumpsys, script).unwrap();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "run"]]));
    let record = bench.record("run");
    let row = cell(&record);
    assert_eq!(row["status"], "ok");
    assert_eq!(row["discarded"].as_array().unwrap().len(), 2);
    assert!(row["discarded"][0]["reason"].as_str().unwrap().contains("held back: thermal status 3"));
    assert!(row["warnings"].to_string().contains("spoiled_launch"), "{}", row["warnings"]);
    assert_eq!(row["launches"].as_array().unwrap().len(), 1);
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--sustained", "3s", "--out", "hot"]]));
    let record = bench.record("hot");
    assert_eq!(cell(&record)["discarded"].as_array().map_or(0, Vec::len), 0, "heat is what is measured");
}

#[test]
fn a_cap_at_status_0_is_found_and_the_launch_is_made_again() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    // The clock that the big core is allowed falls while a worker is at work, and Android says nothing.
    let cap = "/sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq";
    let dumpsys = lab.data(15555).join("bin/dumpsys");
    let script = std::fs::read_to_string(&dumpsys).unwrap().replace(
        "case $1 in",
        &format!("if ps -eo args | grep -q '[a]gent supervise'; then echo 1900000 > {cap}; else echo 2900000 > {cap}; fi\ncase $1 in"),
    );
    std::fs::write(&dumpsys, script).unwrap();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--brief", "--on", "adb", "--out", "run"]]));
    let record = bench.record("run");
    let row = cell(&record);
    assert_eq!(row["discarded"].as_array().map_or(0, Vec::len), 2, "{row}");
    let why = row["discarded"][0]["reason"].as_str().unwrap();
    assert!(why.contains("big cores were limited to 66 % of their clock"), "{why}");
    let page = std::fs::read_to_string(bench.path("run/report.html")).unwrap();
    assert!(page.contains("held back"), "the table says so");
    let _ = lab.on_phone(&serial, "true");
}

#[test]
fn a_warm_phone_is_waited_for() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    // The first reading is the one to come back to; then it is 9 degrees warmer, until we have seen that it is waited for.
    let dumpsys = lab.data(15555).join("bin/dumpsys");
    let script = std::fs::read_to_string(&dumpsys).unwrap().replace(
        "case $1 in",
        "if [ -e /data/cmd.log ] && [ ! -e /data/cooled ]; then echo 40.5 > /data/skin; else echo 31.5 > /data/skin; fi\ncase $1 in",
    );
    std::fs::write(&dumpsys, script).unwrap();
    let arguments = [&NANO[..], &["--launches", "2", "--images", "2", "--brief"], &["--fixed-performance"]].concat();
    let mut child = lab.ditbench(bench.dir(), &[&arguments[..], &["--on", "adb", "--out", "run"]].concat());
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut waited = false;
    for line in std::io::BufRead::lines(stderr).map_while(Result::ok) {
        if line.contains("waiting for the phone to cool down (40 °C") || line.contains("cool down (41 °C") {
            waited = true;
            // A busy machine may have made the first one again: then it is not in the record yet.
            let made = cell(&bench.record("run"))["launches"].as_array().map_or(0, Vec::len);
            assert!(made <= 1, "no second launch before it is cool");
            std::fs::write(lab.data(15555).join("cooled"), "").unwrap();
        }
    }
    assert!(child.wait().unwrap().success() && waited);
    let record = bench.record("run");
    assert_eq!(cell(&record)["launches"].as_array().unwrap().len(), 2);
    assert!(!cell(&record)["launches"].to_string().contains("warm phone"), "it did cool down");
}

#[test]
fn models_are_written_by_the_host_and_sent_whole() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let tract = ["run", "--model", "nano", "--backend", "tract:tuned,tract:stock", "--precision", "q4"];
    ok(&run(&lab, &bench, &[&tract, &SHORT, &["--on", "adb", "--telemetry", "off", "--out", "run"]]));
    let record = bench.record("run");
    assert_eq!(record["cells"].as_array().unwrap().len(), 2);
    for cell in record["cells"].as_array().unwrap() {
        assert_eq!(cell["status"], "ok", "{}", cell["reason"]);
        let launch = &cell["launches"][0];
        for stage in launch["compile"].as_array().unwrap() {
            assert_eq!(stage["export_cached"], true, "the phone wrote {} itself", stage["stage"]);
        }
        assert!(!launch["telemetry"].to_string().contains("during"), "sensors were read although they were off");
    }
    clean(&lab, 15555);
}

/// As our own: graphs, the files that say how they work together, and nothing else.
#[test]
fn a_users_own_pipeline_is_sent_and_gives_there_what_its_own_tool_made() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/onnx/tests/data/pixart");
    let (reference, model) = (model.join("reference/s4.safetensors"), model.display().to_string());
    let reference = reference.display().to_string();
    let own = ["run", "--model", &model, "--inputs", &reference, "--expect", &reference, "--backend", "tract"];
    ok(&run(&lab, &bench, &[&own, &SHORT, &["--on", "adb", "--keep", "--out", "run"]]));
    let record = bench.record("run");
    let found = cell(&record);
    assert_eq!(found["status"], "ok", "{found}");
    let off = found["quality"]["ok"]["latents"][3]["relative_l2"].as_f64();
    assert!(off.is_some_and(|off| off < 1e-5), "{}", found["quality"]);
    let cache = lab.data(15555).join("local/tmp/ditbench/cache");
    let sent = list(&cache).into_iter().find(|name| name.starts_with("model-")).expect("the model");
    assert!(cache.join(&sent).join("transformer/model.onnx").is_file());
    assert!(!cache.join(&sent).join("reference").exists());
}

#[test]
fn what_is_kept_is_not_sent_again() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let first = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--keep", "--out", "first"]]);
    ok(&first);
    assert!(said(&first).contains("sending ditbench"));
    let second = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "second"]]);
    ok(&second);
    assert!(!said(&second).contains("sending"), "{}", said(&second));
    clean(&lab, 15555);
}

#[test]
fn devices_and_doctor_say_what_there_is_and_what_to_do() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let devices = run(&lab, &bench, &[&["devices"]]);
    ok(&devices);
    for word in [
        "adb:127.0.0.1:15555",
        "Bench Testphone 15555",
        "T1000",
        "x86_64",
        "little 0 1.8 GHz, big 1 2.9 GHz",
        "80 %, charging",
        "none, 32 °C",
    ] {
        assert!(said(&devices).contains(word), "no {word} in\n{}", said(&devices));
    }
    let well = run(&lab, &bench, &[&["doctor", "--on", "adb"]]);
    ok(&well);
    for word in ["authorised", "starts there", "USB", "tcpip 5555", "battery_current_raw"] {
        assert!(said(&well).contains(word) || word == "USB", "no {word} in\n{}", said(&well));
    }
    clean(&lab, 15555);
    std::fs::write(lab.data(15555).join("status"), "2").unwrap();
    let props = lab.data(15555).join("props");
    let text = std::fs::read_to_string(&props).unwrap();
    std::fs::write(&props, text.replace("[x86_64]", "[arm64-v8a]")).unwrap();
    let ill = run(&lab, &bench, &[&["doctor", "--on", "adb", "--cluster", "mid"]]);
    assert_eq!(ill.status.code(), Some(2));
    for word in [
        "FAULT  program",
        "scripts/android/build.sh",
        "FAULT  heat: thermal status moderate",
        "FAULT  cluster",
        "3 problems prevent",
    ] {
        assert!(said(&ill).contains(word), "no {word} in\n{}", said(&ill));
    }
}

#[test]
fn doctor_names_each_fault_and_the_command_that_mends_it() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone_of_size("600m");
    let bench = Bench::new();
    // As one behind a device farm's port: named, and connected by us.
    lab.disconnect(&serial);
    let target = format!("adb:{serial}");
    let well = run(&lab, &bench, &[&["doctor", "--on", &target]]);
    ok(&well);
    lab.on_phone(&serial, "mkdir -m 755 /data/noexec; mount -t tmpfs -o noexec none /data/noexec");
    let dumpsys =
        lab.on_phone(&serial, "cat /data/bin/dumpsys").replace("level: 80", "level: 12").replace("=Awake", "=Asleep");
    std::fs::write(bench.path("dumpsys"), dumpsys).unwrap();
    lab.push(&serial, &bench.path("dumpsys"), "/data/bin/dumpsys");
    lab.fill(15555, 100 << 10);
    let ask = |folder: &str, more: &[&str]| {
        let output = run(&lab, &bench, &[&["doctor", "--on", &target, "--phone-dir", folder], more]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        said(&output)
    };
    std::fs::write(bench.path("libonnxruntime.so"), "no library").unwrap();
    let cases = [
        ("/data/noexec/ours", &["FAULT  execute bit", "--phone-dir /data/local/tmp/"][..]),
        ("/proc/ours", &["FAULT  folder", "--phone-dir /data/local/tmp/"]),
        (
            "/data/local/tmp/ours",
            &[
                "FAULT  room",
                "shell df -h /data",
                "FAULT  battery: 12 %",
                "settings put global low_power 0",
                "FAULT  libraries",
                "--ort-lib FILE",
                "note   screen: it is off",
                "KEYCODE_WAKEUP",
            ],
        ),
    ];
    for (folder, words) in cases {
        let told = ask(folder, &["--ort-lib", "libonnxruntime.so"]);
        for word in words {
            assert!(told.contains(word), "{folder}: no \"{word}\" in\n{told}");
        }
    }
}

/// A stand-in for adb in the states that the real daemon cannot produce.
fn stand_in(bench: &Bench, script: &str) -> std::path::PathBuf {
    let path = bench.path("adb");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn states_that_need_a_person_come_with_what_to_do() {
    let listed = |state: &str| {
        format!("[ \"$1\" = devices ] && {{ echo 'List of devices attached'; printf 'X1\\t{state}\\n'; exit 0; }}")
    };
    for (script, words) in [
        (
            format!("{}; echo 'error: device unauthorized.' >&2; exit 1", listed("unauthorized usb:1-1")),
            ["X1: unauthorized", "Unlock the phone and allow this computer"],
        ),
        (
            format!(
                "{}; echo 'error: insufficient permissions for device' >&2; exit 1",
                listed("no permissions (missing udev rules?)")
            ),
            ["X1: insufficient permissions", "apt install android-sdk-platform-tools-common"],
        ),
        (
            // Newer adb ends with 255 when a phone goes away.
            format!("{}; case \"$*\" in *get-state*) echo device; exit 0;; esac; exit 255", listed("device")),
            ["X1 disconnected while", "adb devices"],
        ),
    ] {
        let bench = Bench::new();
        let adb = stand_in(&bench, &script);
        let output = bench
            .command(&[&NANO[..], &["--on", "adb", "--patience", "1"]].concat())
            .env("ADB", &adb)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        for word in words {
            assert!(said(&output).contains(word), "no \"{word}\" in {}", said(&output));
        }
        let doctor = bench.command(&["doctor", "--on", "adb"]).env("ADB", &adb).output().unwrap();
        assert!(said(&doctor).contains("FAULT  connection") && said(&doctor).contains(words[1]), "{}", said(&doctor));
    }
}

#[test]
fn without_adb_it_is_said_how_to_get_it() {
    let bench = Bench::new();
    let output = bench.command(&[&NANO[..], &["--on", "adb"]].concat()).env("ADB", "/nowhere/adb").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("apt install adb"), "{}", said(&output));
    let devices = bench.command(&["devices"]).env("ADB", "/nowhere/adb").output().unwrap();
    assert!(devices.status.success() && said(&devices).contains("apt install adb"), "{}", said(&devices));
}
