//! What goes wrong with phones, each at the start, in the middle of a push and in the middle of a launch: the real adb and
//! adbd, in private namespaces. Where this machine has none, the tests say `NOT RUN`; with `DITBENCH_NEED_ADB` set, as in CI,
//! that is a failure.

mod common;
#[path = "common/lab.rs"]
mod lab;
#[path = "common/on_phone.rs"]
mod on_phone;

use std::process::Output;

use common::Bench;
use lab::{Lab, wait_for};
use on_phone::*;

/// The run came to its end, and its only row is a failure.
fn measured_nothing(output: &Output) {
    assert_eq!(output.status.code(), Some(2), "{}", said(output));
    assert!(said(output).contains("no cell could be measured"), "{}", said(output));
}

/// When something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// Before the phone has anything of ours; for one that comes back, while it is asked who it is.
    Start,
    /// While our program is being sent: half of it is there.
    Push,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The phone goes away and stays away.
    Gone,
    /// The same, and it comes back while we wait.
    Back,
    /// It is there and answers nothing.
    Hung,
    /// Its disk is full.
    Full,
}

/// Lets `fault` happen, takes it back, and looks at what was said and what is left. What happens in the middle of a launch
/// has tests of its own below.
fn fault(when: When, fault: Fault, says: &[&str]) {
    let Some(mut lab) = Lab::new() else { return };
    let full = fault == Fault::Full;
    let serial = if full { lab.phone_of_size(&format!("{}m", program_mb() + 100)) } else { lab.phone() };
    let bench = Bench::new();
    let patience = if fault == Fault::Back { "60" } else { "1" };
    let target = format!("adb:{serial}");
    let arguments = [&NANO[..], &SHORT, &["--brief", "--on", &target, "--patience", patience, "--out", "run"]].concat();
    let start = || spawn(lab.ditbench(bench.dir(), &arguments));
    let go_wrong = || match fault {
        Fault::Gone | Fault::Back => lab.signal(15555, "KILL"),
        Fault::Hung => lab.signal(15555, "STOP"),
        Fault::Full => lab.fill(15555, 0),
    };
    let child = match (when, fault) {
        (When::Start, Fault::Back) => {
            let dumpsys = lab.data(15555).join("bin/dumpsys");
            let script = std::fs::read_to_string(&dumpsys).unwrap();
            std::fs::write(
                &dumpsys,
                script.replace("case", "touch /data/asked; while [ -e /data/wait ]; do sleep 0.1; done\ncase"),
            )
            .unwrap();
            std::fs::write(lab.data(15555).join("wait"), "").unwrap();
            let child = start();
            wait_for("the phone to be asked", || lab.data(15555).join("asked").exists());
            go_wrong();
            std::fs::remove_file(lab.data(15555).join("wait")).unwrap();
            child
        }
        (When::Start, _) => {
            go_wrong();
            start()
        }
        (When::Push, _) => {
            let child = start();
            in_a_push(&lab, 15555);
            // Held, so that the push cannot end before its disk is full.
            lab.signal(15555, "STOP");
            let there = lab.names(15555, "local/tmp/ditbench/bin");
            assert!(there.iter().all(|name| name.ends_with(".part")), "whole before it was checked: {there:?}");
            go_wrong();
            if full {
                lab.signal(15555, "CONT");
            }
            child
        }
    };
    if fault == Fault::Back {
        lab.plug_in(15555, "");
    }
    let output = child.wait_with_output().unwrap();
    for word in says {
        assert!(said(&output).contains(word), "no \"{word}\" in {}", said(&output));
    }
    let expected = if fault == Fault::Back { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(expected), "{}", said(&output));
    assert!(!said(&output).contains("panicked"), "{}", said(&output));
    match fault {
        Fault::Gone => lab.plug_in(15555, ""),
        Fault::Hung => lab.signal(15555, "CONT"),
        Fault::Full => {
            let left = lab.names(15555, "local/tmp");
            assert!(left.is_empty(), "left on a full phone: {left:?}");
            lab.empty(15555);
        }
        Fault::Back => {}
    }
    if when == When::Push && fault != Fault::Back {
        // What was half sent is in nobody's way.
        ok(&start().wait_with_output().unwrap());
    }
    if full {
        assert!(lab.names(15555, "local/tmp").is_empty());
    } else {
        clean(&lab, 15555);
    }
    if when == When::Push || fault == Fault::Back {
        assert_eq!(cell(&bench.record("run"))["status"], "ok");
    }
}

/// A test for each pair, so that they run side by side and each is named.
macro_rules! faults {
    ($($name:ident: $when:ident, $fault:ident, $says:expr;)*) => {
        $(#[test]
        fn $name() {
            fault(When::$when, Fault::$fault, &$says);
        })*
    };
}

faults! {
    gone_at_the_start: Start, Gone, ["127.0.0.1:15555", "adb"];
    gone_in_a_push: Push, Gone, ["disconnected while sending ditbench"];
    back_at_the_start: Start, Back, ["disconnected while asking who it is", "trying again"];
    back_in_a_push: Push, Back, ["trying again"];
    hung_at_the_start: Start, Hung, ["did not answer within", "adb -s 127.0.0.1:15555 reconnect"];
    hung_in_a_push: Push, Hung, ["did not answer within 10"];
    full_at_the_start: Start, Full, ["Free some space on the phone"];
    full_in_a_push: Push, Full, ["has no room for ditbench", "Free some space on the phone"];
}

#[test]
fn unplugged_in_a_launch_and_back_the_run_goes_on() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let mut child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &LONG, &["--on", "adb", "--out", "run"]].concat()));
    at_work(&lab, 15555, &mut child);
    lab.signal(15555, "KILL");
    lab.plug_in(15555, "");
    let output = child.wait_with_output().unwrap();
    ok(&output);
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "ok");
    let broke = |launch: &&serde_json::Value| launch["notes"].to_string().contains("the connection to the phone broke");
    let launch = every_launch(cell(&record)).find(broke);
    let launch = launch.unwrap_or_else(|| panic!("a launch says that its connection broke: {}", cell(&record)));
    let images: Vec<u64> = launch["samples"].as_array().unwrap().iter().map(|s| s["image"].as_u64().unwrap()).collect();
    assert_eq!(images, (0..images.len() as u64).collect::<Vec<_>>(), "no image is lost or told twice");
    clean(&lab, 15555);
}

#[test]
fn a_phone_that_stays_away_is_a_row_and_resume_collects_what_it_did_meanwhile() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let arguments =
        [&NANO[..], &LONG, &["--fixed-performance", "--on", "adb", "--patience", "1", "--out", "run"]].concat();
    let mut child = spawn(lab.ditbench(bench.dir(), &arguments));
    at_work(&lab, 15555, &mut child);
    lab.signal(15555, "KILL");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("run --resume"), "{}", said(&output));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "interrupted");
    assert!(cell(&record)["reason"].as_str().unwrap().contains("127.0.0.1:15555"), "{}", cell(&record)["reason"]);
    wait_for("the launch to end on its own", || journal(&lab, 15555).contains("{\"exit\":"));
    assert_eq!(fixed_performance(&lab, 15555), (1, 1, true), "the mode does not wait for the cable");
    let told = journal(&lab, 15555);
    let lines: Vec<serde_json::Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let pid = lines.iter().find_map(|line| line["event"]["event"]["pid"].as_u64()).expect("the worker said who it is");
    let told = told.matches("\"image\"").count();
    lab.plug_in(15555, "");
    ok(&run(&lab, &bench, &[&["run", "--resume", "run"]]));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "ok", "{}", cell(&record)["reason"]);
    let made: Vec<_> = every_launch(cell(&record))
        .map(|one| (one["pid"].as_u64(), one["samples"].as_array().unwrap().len()))
        .collect();
    assert!(made.contains(&(Some(pid), told)), "the launch that went on is collected: {told} images in {made:?}");
    assert!(bench.path("run").join(cell(&record)["image"].as_str().unwrap()).is_file());
    clean(&lab, 15555);
}

#[test]
fn a_host_that_is_killed_leaves_a_launch_that_resume_collects() {
    let Some(mut lab) = Lab::new() else { return };
    let serial = lab.phone();
    let bench = Bench::new();
    let arguments = [&NANO[..], &LONG, &["--fixed-performance", "--on", "adb", "--out", "run"]].concat();
    let mut child = spawn(lab.ditbench(bench.dir(), &arguments));
    at_work(&lab, 15555, &mut child);
    signal_launch(&lab, 15555, "STOP");
    child.kill().unwrap();
    child.wait().unwrap();
    // Another host does not disturb it, and is told.
    let other = run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "other"]]);
    assert_eq!(other.status.code(), Some(2));
    assert!(said(&other).contains(&format!("{serial} is in use by")), "{}", said(&other));
    assert!(said(&other).contains("--resume"), "{}", said(&other));
    let resumed = spawn(lab.ditbench(bench.dir(), &["run", "--resume", "run"]));
    let follows = "ps -eo args | grep '[a]gent follow'";
    wait_for("the launch to be followed again", || !lab.on_phone(&serial, follows).trim().is_empty());
    signal_launch(&lab, 15555, "CONT");
    ok(&resumed.wait_with_output().unwrap());
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "ok", "{}", cell(&record)["reason"]);
    assert!(cell(&record)["launches"][0]["samples"].as_array().unwrap().len() > 4);
    // The host that came back left the launch's mode alone, and the launch switched it off.
    // (The pass for memory is a launch of its own.)
    assert!(matches!(fixed_performance(&lab, 15555), (on, off, true) if on == off));
    clean(&lab, 15555);
}

#[test]
fn ctrl_c_leaves_nothing_on_the_phone() {
    for (by, in_a_launch) in [(libc::SIGINT, true), (libc::SIGTERM, true), (libc::SIGINT, false)] {
        let Some(mut lab) = Lab::new() else { return };
        lab.phone();
        let bench = Bench::new();
        let arguments = [&NANO[..], &LONG, &["--fixed-performance", "--on", "adb", "--out", "run"]].concat();
        let mut child = spawn(lab.ditbench(bench.dir(), &arguments));
        if in_a_launch {
            at_work(&lab, 15555, &mut child);
        } else {
            in_a_push(&lab, 15555);
        }
        signal(&child, by);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("interrupted"), "{}", said(&output));
        assert_eq!(said(&output).contains("--resume"), in_a_launch, "{}", said(&output));
        clean(&lab, 15555);
        let (on, off, last_off) = fixed_performance(&lab, 15555);
        assert!(!in_a_launch || (on == 1 && off >= 1 && last_off), "the phone's mode is as it was");
    }
}

#[test]
fn a_hung_phone_is_a_row_and_not_a_hung_run() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let arguments = [&NANO[..], &LONG, &["--on", "adb", "--patience", "1", "--out", "run"]].concat();
    let mut child = spawn(lab.ditbench(bench.dir(), &arguments));
    at_work(&lab, 15555, &mut child);
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
fn a_push_that_hangs_for_a_while_goes_on() {
    let Some(mut lab) = Lab::new() else { return };
    lab.phone();
    let bench = Bench::new();
    let child = spawn(lab.ditbench(bench.dir(), &[&NANO[..], &SHORT, &["--on", "adb", "--out", "run"]].concat()));
    in_a_push(&lab, 15555);
    lab.signal(15555, "STOP");
    // So long that it is asked meanwhile whether it is still there, and answers late.
    std::thread::sleep(std::time::Duration::from_secs(7));
    lab.signal(15555, "CONT");
    ok(&child.wait_with_output().unwrap());
    assert_eq!(cell(&bench.record("run"))["status"], "ok");
}

/// Megabytes of the program, which a phone's room must hold.
fn program_mb() -> u64 {
    std::fs::metadata(env!("CARGO_BIN_EXE_ditbench")).unwrap().len() / (1 << 20) + 1
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
    measured_nothing(&output);
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "error", "{}", said(&output));
    let reason = cell(&record)["reason"].as_str().unwrap();
    assert!(reason.contains("could not write the worker's output") && reason.contains("No space left"), "{reason}");
}

#[test]
fn a_phone_without_room_for_weights_is_a_row_with_its_reason() {
    let Some(mut lab) = Lab::new() else { return };
    // Room for the program and the reserve, and not for weights.
    lab.phone_of_size(&format!("{}m", program_mb() + 34));
    let bench = Bench::new();
    measured_nothing(&run(&lab, &bench, &[&NANO, &SHORT, &["--on", "adb", "--out", "run"]]));
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "error");
    let reason = cell(&record)["reason"].as_str().unwrap();
    assert!(reason.contains("has no room for") && reason.contains("Free some space"), "{reason}");
}

/// What a row says of a launch that ended on the phone without a word, after `end` ended it.
fn ended(end: fn(&Lab)) -> (Lab, String) {
    let mut lab = Lab::new().expect("asked before");
    lab.phone();
    let bench = Bench::new();
    let arguments = [&NANO[..], &LONG, &["--fixed-performance", "--on", "adb", "--out", "run"]].concat();
    let mut child = spawn(lab.ditbench(bench.dir(), &arguments));
    at_work(&lab, 15555, &mut child);
    end(&lab);
    let output = child.wait_with_output().unwrap();
    measured_nothing(&output);
    let record = bench.record("run");
    assert_eq!(cell(&record)["status"], "error", "{}", said(&output));
    clean(&lab, 15555);
    (lab, cell(&record)["reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_phone_that_restarts_is_a_row_that_says_so() {
    if Lab::new().is_none() {
        return;
    }
    let (_lab, reason) = ended(|lab| {
        lab.reboot(15555);
        lab.plug_in(15555, "");
    });
    assert!(reason.contains("the phone restarted (41 s ago) and took the launch with it"), "{reason}");
}

#[test]
fn a_launch_that_android_kills_is_a_row_and_leaves_no_mode_on() {
    if Lab::new().is_none() {
        return;
    }
    let (lab, reason) = ended(|lab| {
        signal_launch(lab, 15555, "KILL");
    });
    assert!(reason.contains("the launch was killed on the phone"), "{reason}");
    assert!(matches!(fixed_performance(&lab, 15555), (1, 1.., true)));
}
