//! Whole runs on a lab's phones, and looking at what they leave there.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::common::Bench;
use super::lab::{Lab, text, wait_for};

pub const NANO: [&str; 7] = ["run", "--model", "nano", "--backend", "candle", "--precision", "f32"];
pub const SHORT: [&str; 4] = ["--launches", "1", "--images", "2"];
/// So long that a test can do something to the phone meanwhile: on a steady machine a dozen images are enough for a
/// launch to end, so each of them takes many steps.
pub const LONG: [&str; 8] = ["--launches", "1", "--images", "400", "--budget", "24s", "--steps", "28"];

pub fn run(lab: &Lab, bench: &Bench, arguments: &[&[&str]]) -> Output {
    lab.ditbench(bench.dir(), &arguments.concat()).output().expect("the program starts")
}

pub fn said(output: &Output) -> String {
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

pub fn ok(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

pub fn cell(record: &Value) -> &Value {
    &record["cells"][0]
}

/// Every launch of a cell: on a busy machine one that was collected well is kept as discarded and made again.
pub fn every_launch(cell: &Value) -> impl Iterator<Item = &Value> {
    [&cell["launches"], &cell["discarded"]].into_iter().flat_map(|list| list.as_array().into_iter().flatten())
}

/// Nothing of ours is left on the phone, and nothing at work.
pub fn clean(lab: &Lab, port: u16) {
    let left = lab.data(port).join("local/tmp/ditbench");
    assert!(!left.exists(), "left on the phone: {:?}", list(&left));
    let beside = list(&lab.data(port).join("local/tmp"));
    assert!(beside.is_empty(), "left beside our folder: {beside:?}");
    let look = "ps -eo args | grep '[d]itbench/bin' | grep -v defunct";
    // The process that held the lock ends when it sees our connection closed.
    wait_for("all of ours to end", || lab.on_phone(&format!("127.0.0.1:{port}"), look).trim().is_empty());
}

pub fn list(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The journal of the launch that is at work on a phone.
pub fn journal(lab: &Lab, port: u16) -> String {
    let launches = lab.data(port).join("local/tmp/ditbench/launches");
    let name = list(&launches).into_iter().next().unwrap_or_default();
    std::fs::read_to_string(launches.join(name).join("journal.jsonl")).unwrap_or_default()
}

/// Waits until the worker on the phone has made some images for a host.
pub fn at_work(lab: &Lab, port: u16, host: &mut std::process::Child) {
    // So many that the host, which looks five times a second, has heard of some, and far fewer than a launch makes.
    wait_for("the launch to be at work", || {
        let ended = host.try_wait().expect("the host is our child");
        if let Some(status) = ended {
            let mut words = String::new();
            if let Some(mut pipe) = host.stderr.take() {
                let _ = pipe.read_to_string(&mut words);
            }
            panic!("the host ended before its launch was at work: {status}: {words}");
        }
        journal(lab, port).matches("\"image\"").count() > 4
    });
}

pub fn spawn(mut command: Command) -> std::process::Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits until our program is being sent to a phone: half of it is there.
pub fn in_a_push(lab: &Lab, port: u16) {
    let half = || lab.names(port, "local/tmp/ditbench/bin").iter().any(|name| name.ends_with(".part"));
    wait_for("a push to be under way", half);
}

/// Sends a signal to the process on a phone that looks after a launch: with `STOP` the launch does not end until `CONT`.
pub fn signal_launch(lab: &Lab, port: u16, signal: &str) {
    let script = format!("kill -{signal} $(cat /data/local/tmp/ditbench/launches/*/pid)");
    lab.on_phone(&format!("127.0.0.1:{port}"), &script);
}

/// Sends a signal to a host.
pub fn signal(child: &std::process::Child, signal: i32) {
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id().cast_signed(), signal) };
}

/// How often fixed-performance mode was switched on on a phone, and off; and whether off was the last.
pub fn fixed_performance(lab: &Lab, port: u16) -> (usize, usize, bool) {
    let log = std::fs::read_to_string(lab.data(port).join("cmd.log")).unwrap_or_default();
    let of = |word: &str| log.matches(&format!("set-fixed-performance-mode-enabled {word}")).count();
    (of("true"), of("false"), log.trim().ends_with("false"))
}
