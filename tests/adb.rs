//! Whole runs on phones: the real adb and adbd, in private namespaces. Where this machine has none, the tests say
//! `NOT RUN`; with `DITBENCH_NEED_ADB` set, as in CI, that is a failure.

mod common;
#[path = "common/lab.rs"]
mod lab;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::Bench;
use lab::{Lab, text, wait_for};
use serde_json::Value;

const NANO: [&str; 7] = ["run", "--model", "nano", "--backend", "candle", "--precision", "f32"];
const SHORT: [&str; 4] = ["--launches", "1", "--images", "2"];
/// So long that a test can do something to the phone meanwhile.
const LONG: [&str; 6] = ["--launches", "1", "--images", "400", "--budget", "12s"];

fn run(lab: &Lab, bench: &Bench, arguments: &[&[&str]]) -> Output {
    lab.ditbench(bench.dir(), &arguments.concat()).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

fn ok(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn cell(record: &Value) -> &Value {
    &record["cells"][0]
}

/// Nothing of ours is left on the phone, and nothing at work.
fn clean(lab: &Lab, port: u16) {
    let left = lab.data(port).join("local/tmp/ditbench");
    assert!(!left.exists(), "left on the phone: {:?}", list(&left));
    let beside = list(&lab.data(port).join("local/tmp"));
    assert!(beside.is_empty(), "left beside our folder: {beside:?}");
    let look = "ps -eo args | grep '[d]itbench/bin' | grep -v defunct";
    // The process that held the lock ends when it sees our connection closed.
    wait_for("all of ours to end", || lab.on_phone(&format!("127.0.0.1:{port}"), look).trim().is_empty());
}

fn list(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The journal of the launch that is at work on a phone.
fn journal(lab: &Lab, port: u16) -> String {
    let launches = lab.data(port).join("local/tmp/ditbench/launches");
    let name = list(&launches).into_iter().next().unwrap_or_default();
    std::fs::read_to_string(launches.join(name).join("journal.jsonl")).unwrap_or_default()
}

/// Waits until the worker on the phone has made some images.
fn at_work(lab: &Lab, port: u16) {
    // So many that the host, which looks five times a second, has heard of some.
    wait_for("the launch to be at work", || journal(lab, port).matches("\"image\"").count() > 15);
}

fn spawn(mut command: Command) -> std::process::Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

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
    assert_eq!(phone["asked_cpus"], "1");
    let cell = cell(&record);
    assert_eq!(cell["status"], "ok", "{cell}");
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
    assert_eq!(readings["battery_power_w"]["ok"], 3.4);
    let samples = launch["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 40);
    assert!(samples.windows(2).all(|pair| pair[0]["ended_s"].as_f64() < pair[1]["ended_s"].as_f64()));
    assert!(launch["max_rss_bytes"].as_u64().unwrap() > 1_000_000);
    let image = std::fs::read(bench.path("run").join(cell["image"].as_str().unwrap())).unwrap();
    assert!(image.starts_with(b"\x89PNG"));
    let commands = std::fs::read_to_string(lab.data(15555).join("cmd.log")).unwrap();
    assert_eq!(commands.matches("enabled true").count(), commands.matches("enabled false").count(), "{commands}");
    assert!(commands.trim().ends_with("set-fixed-performance-mode-enabled false"));
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
    let both = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb:*", "--out", "both"]]);
    ok(&both);
    for port in ["127.0.0.1_15555", "127.0.0.1_15556"] {
        assert_eq!(cell(&bench.record(&format!("both/{port}")))["status"], "ok");
    }
    let page = std::fs::read_to_string(bench.path("both/report.html")).unwrap();
    assert!(page.contains("Testphone 15555") && page.contains("Testphone 15556"));
    assert!(page.contains("Machines side by side"), "a column for each phone");
    let runs = ["both/127.0.0.1_15555", "both/127.0.0.1_15556"];
    ok(&run(&lab, &bench, &[&["history", "--store", "store.sqlite", "import"], &runs]));
    clean(&lab, 15555);
    clean(&lab, 15556);
    lab.signal(15556, "KILL");
    let targets = format!("adb:{first},adb:{second}");
    let one = run(&lab, &bench, &[&NANO, &SHORT, &["--on", &targets, "--patience", "1", "--out", "one"]]);
    assert_eq!(one.status.code(), Some(2));
    assert!(said(&one).contains(&format!("1 of 2 machines did not come to the end: adb:{second}")), "{}", said(&one));
    assert_eq!(cell(&bench.record("one/127.0.0.1_15555"))["status"], "ok", "the other is not stopped");
    lab.plug_in(15556, "");
    ok(&run(&lab, &bench, &[&["run", "--resume", "one"]]));
    assert_eq!(cell(&bench.record("one/127.0.0.1_15556"))["status"], "ok");
}

#[test]
fn unplugged_in_a_launch_and_back_the_run_goes_on() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    at_work(&lab, 15555);
    lab.signal(15555, "KILL");
    lab.plug_in(15555, "");
    let output = child.wait_with_output().unwrap();
    ok(&output);
    let record = bench.record("run");
    let launch = &cell(&record)["launches"][0];
    assert_eq!(launch["status"], "ok");
    assert!(launch["notes"].to_string().contains("the connection to the phone broke"), "{}", launch["notes"]);
    let images: Vec<u64> = launch["samples"].as_array().unwrap().iter().map(|s| s["image"].as_u64().unwrap()).collect();
    assert_eq!(images, (0..images.len() as u64).collect::<Vec<_>>(), "no image is lost or told twice");
    clean(&lab, 15555);
}

#[test]
fn a_phone_that_stays_away_is_a_row_and_resume_collects_what_it_did_meanwhile() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let arguments = [&NANO[..], &LONG, &["--on", "adb", "--patience", "1", "--out", "run"]].concat();
    let child = spawn(lab.ditbench(bench.dir(), &arguments));
    at_work(&lab, 15555);
    lab.signal(15555, "KILL");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("run --resume"), "{}", said(&output));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "interrupted");
    assert!(cell(&record)["reason"].as_str().unwrap().contains("127.0.0.1:15555"), "{}", cell(&record)["reason"]);
    wait_for("the launch to end on its own", || journal(&lab, 15555).contains("{\"exit\":"));
    let told = journal(&lab, 15555).matches("\"image\"").count();
    lab.plug_in(15555, "");
    ok(&run(&lab, &bench, &[&["run", "--resume", "run"]]));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "ok", "{}", cell(&record)["reason"]);
    let samples = cell(&record)["launches"][0]["samples"].as_array().unwrap();
    assert_eq!(samples.len(), told, "the launch that went on is collected, not made again");
    assert!(bench.path("run").join(cell(&record)["image"].as_str().unwrap()).is_file());
    clean(&lab, 15555);
}

#[test]
fn a_host_that_is_killed_leaves_a_launch_that_resume_collects() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    let mut child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    at_work(&lab, 15555);
    child.kill().unwrap();
    child.wait().unwrap();
    // Another host does not disturb it, and is told.
    let other = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "other"]]);
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains(&format!("{serial} is in use by")), "{}", said(&other));
    assert!(said(&other).contains("--resume"), "{}", said(&other));
    ok(&run(&lab, &bench, &[&["run", "--resume", "run"]]));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "ok", "{}", cell(&record)["reason"]);
    assert!(cell(&record)["launches"][0]["samples"].as_array().unwrap().len() > 4);
    clean(&lab, 15555);
}

#[test]
fn two_hosts_at_once_the_second_is_told() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    let child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    at_work(&lab, 15555);
    let second = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "second"]]);
    assert_eq!(second.status.code(), Some(2));
    assert!(said(&second).contains(&format!("{serial} is in use by ditbench on ")), "{}", said(&second));
    assert!(!bench.path("second").exists(), "nothing is left behind");
    ok(&child.wait_with_output().unwrap());
    assert_eq!(cell(&bench.record("run"))["status"], "ok", "the first is not disturbed");
    clean(&lab, 15555);
}

#[test]
fn ctrl_c_leaves_nothing_on_the_phone() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    at_work(&lab, 15555);
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("interrupted") && said(&output).contains("--resume"), "{}", said(&output));
    clean(&lab, 15555);
}

#[test]
fn a_hung_phone_is_a_row_and_not_a_hung_run() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let arguments = [&NANO[..], &LONG, &["--on", "adb", "--patience", "1", "--out", "run"]].concat();
    let child = spawn(lab.ditbench(bench.dir(), &arguments));
    at_work(&lab, 15555);
    lab.signal(15555, "STOP");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "interrupted");
    let reason = cell(&record)["reason"].as_str().unwrap();
    assert!(reason.contains("did not answer within") || reason.contains("offline"), "{reason}");
    lab.signal(15555, "CONT");
    ok(&run(&lab, &bench, &[&["run", "--resume", "run"]]));
    assert_eq!(cell(&bench.record("run"))["status"], "ok");
    clean(&lab, 15555);
}

#[test]
fn killed_at_the_start_and_in_the_middle_of_a_push() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    lab.signal(15555, "KILL");
    let target = format!("adb:{serial}");
    let start = run(&lab, &bench, &[&NANO, &SHORT, &["--on", &target, "--out", "run"]]);
    assert_eq!(start.status.code(), Some(2));
    assert!(said(&start).contains(&serial) && said(&start).contains("adb"), "{}", said(&start));
    lab.plug_in(15555, "");
    let arguments = [&NANO[..], &SHORT, &["--on", &target, "--out", "run"]].concat();
    let child = spawn(lab.ditbench(bench.dir(), &arguments));
    let bin = lab.data(15555).join("local/tmp/ditbench/bin");
    wait_for("a push to be under way", || list(&bin).iter().any(|name| name.ends_with(".part")));
    lab.signal(15555, "KILL");
    let half: Vec<String> = list(&bin);
    assert!(half.iter().all(|name| name.ends_with(".part")), "a whole file before it was checked: {half:?}");
    lab.plug_in(15555, "");
    let output = child.wait_with_output().unwrap();
    ok(&output);
    assert!(said(&output).contains("went away while sending ditbench") || said(&output).contains("trying again"));
    assert_eq!(cell(&bench.record("run"))["status"], "ok");
    clean(&lab, 15555);
}

#[test]
fn a_push_that_hangs_for_a_while_goes_on() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &SHORT, &["--on", "adb", "--out", "run"]].concat()));
    let bin = lab.data(15555).join("local/tmp/ditbench/bin");
    wait_for("a push to be under way", || list(&bin).iter().any(|name| name.ends_with(".part")));
    lab.signal(15555, "STOP");
    std::thread::sleep(std::time::Duration::from_secs(2));
    lab.signal(15555, "CONT");
    ok(&child.wait_with_output().unwrap());
    assert_eq!(cell(&bench.record("run"))["status"], "ok");
}

/// Megabytes of the program, which a phone's room must hold.
fn program_mb() -> u64 {
    std::fs::metadata(env!("CARGO_BIN_EXE_ditbench")).unwrap().len() / (1 << 20) + 1
}

#[test]
fn a_full_phone_is_a_row_with_its_reason() {
    let Some(mut lab) = Lab::new() else { return };
    // Room for the program and the reserve, and not for weights.
    lab.phone_of_size(&format!("{}m", program_mb() + 34));
    let bench = Bench::new();
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "run"]]));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "error");
    let reason = cell(&record)["reason"].as_str().unwrap();
    assert!(reason.contains("has no room for") && reason.contains("Free some space"), "{reason}");
}

#[test]
fn a_phone_that_fills_up_in_a_launch_is_a_row_with_its_reason() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone_of_size(&format!("{}m", program_mb() + 80));
    let bench = Bench::new();
    let child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    let looks = "cat /data/local/tmp/ditbench/launches/*/journal.jsonl";
    wait_for("the launch to be at work", || lab.on_phone(&serial, looks).matches("\"image\"").count() > 3);
    lab.on_phone(&serial, "dd if=/dev/zero of=/data/fill bs=64k; sync");
    let output = child.wait_with_output().unwrap();
    ok(&output);
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "error", "{}", said(&output));
    let reason = cell(&record)["reason"].as_str().unwrap();
    assert!(reason.contains("could not write what the worker said") && reason.contains("No space left"), "{reason}");
}

#[test]
fn a_throttled_launch_is_made_again_at_most_twice() {
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
    assert!(row["discarded"][0]["reason"].as_str().unwrap().contains("throttled"));
    assert!(row["warnings"].to_string().contains("counts although"), "{}", row["warnings"]);
    assert_eq!(row["launches"].as_array().unwrap().len(), 1);
    ok(&run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--sustained", "3s", "--out", "hot"]]));
    let record = bench.record("hot");
    assert_eq!(cell(&record)["discarded"].as_array().map_or(0, Vec::len), 0, "heat is what is measured");
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
    for word in ["authorised", "starts there", "USB", "tcpip 5555", "battery_power_w"] {
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
        "3 things are in the way",
    ] {
        assert!(said(&ill).contains(word), "no {word} in\n{}", said(&ill));
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
            ["X1: insufficient permissions", "udev rules"],
        ),
        (
            // Newer adb ends with 255 when a phone goes away.
            format!("{}; case \"$*\" in *get-state*) echo device; exit 0;; esac; exit 255", listed("device")),
            ["X1 went away while", "adb devices"],
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
