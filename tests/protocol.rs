//! What a host and a worker say to each other: its way, its version, and an order that repeats a launch.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Bench, text};
use serde_json::{Value, json};

/// Hands an order to a worker as a person does, from another folder and with an environment of its own; gives the events and
/// what was printed to standard error.
fn by_hand(order: &str) -> (Option<i32>, Vec<Value>, String) {
    let elsewhere = Bench::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ditbench"));
    command.arg("worker").current_dir(elsewhere.dir()).env("RAYON_NUM_THREADS", "3");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // What ends before it has read its order breaks the pipe.
    let _ = child.stdin.take().expect("a pipe").write_all(order.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let events = text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    (output.status.code(), events, text(&output.stderr))
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().expect("its kind")).collect()
}

/// The one file in a folder whose name ends so.
fn file(bench: &Bench, folder: &str, end: &str) -> std::path::PathBuf {
    let found: Vec<_> = std::fs::read_dir(bench.path(folder))
        .expect("the folder")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn the_order_of_a_launch_repeats_it() {
    let bench = Bench::new();
    bench.ok(&[
        "run",
        "--backend",
        "candle",
        "--precision",
        "f32",
        "--threads",
        "1",
        "--launches",
        "1",
        "--images",
        "2",
        "--out",
        "run",
    ]);
    let (image, order) = (file(&bench, "run", ".png"), file(&bench, "run/specs", "-0.json"));
    let log = file(&bench, "run/logs", "-0.log");
    assert_eq!(log.file_stem(), order.file_stem(), "it lies beside the log, under the same name");
    let made = std::fs::read(&image).unwrap();
    std::fs::remove_file(&image).unwrap();
    let (code, events, errors) = by_hand(&std::fs::read_to_string(&order).unwrap());
    assert_eq!(code, Some(0), "{errors}");
    let kinds = kinds(&events);
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("started", "finished"), "{kinds:?}");
    assert_eq!(events[0]["protocol"], 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == "image").count(), 2, "{kinds:?}");
    assert_eq!(std::fs::read(&image).unwrap(), made, "the same image, byte for byte");
}

#[test]
fn what_a_library_prints_neither_spoils_nor_swallows_an_event() {
    let bench = Bench::new();
    // Half a line, of the form of an event: before events had a way of their own, the next one was lost in it.
    std::fs::write(bench.path("script.json"), r#"{"print": "{\"event\":\"image\", half a line"}"#).unwrap();
    let arguments =
        ["run", "--backend", "scripted", "--precision", "f32", "--launches", "1", "--images", "3", "--out", "run"];
    let output = bench.command(&arguments).env("DITBENCH_SCRIPT", bench.path("script.json")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let cell = &bench.record("run")["cells"][0];
    assert_eq!(cell["status"], "ok", "{cell}");
    assert_eq!(cell["launches"][0]["samples"].as_array().unwrap().len(), 3);
    let log = std::fs::read_to_string(file(&bench, "run/logs", "-0.log")).unwrap();
    assert!(log.contains("half a line"), "what was printed is in the log: {log}");
    // By hand, standard output carries events and nothing else.
    let mut order: Value =
        serde_json::from_slice(&std::fs::read(file(&bench, "run/specs", "-0.json")).unwrap()).unwrap();
    order["environment"]["DITBENCH_SCRIPT"] = json!(bench.path("script.json"));
    order["outputs"] = Value::Null;
    let (code, events, errors) = by_hand(&order.to_string());
    assert_eq!((code, kinds(&events).last().copied()), (Some(0), Some("finished")), "{errors}");
    assert!(errors.contains("half a line"), "{errors}");
}

#[test]
fn an_order_of_a_later_version_is_refused_in_one_line() {
    let (code, events, errors) = by_hand(r#"{"protocol": 99, "what": "the future"}"#);
    assert_eq!((code, kinds(&events)), (Some(2), vec!["failed"]));
    assert!(errors.starts_with("error: the order uses protocol 99") && errors.trim().lines().count() == 1, "{errors}");
    assert_eq!(format!("error: {}\n", events[0]["why"].as_str().unwrap()), errors);
    let (code, events, errors) = by_hand("hello");
    assert_eq!((code, kinds(&events)), (Some(2), vec!["failed"]));
    assert!(errors.contains("takes its order as JSON") && errors.trim().lines().count() == 1, "{errors}");
}

#[test]
fn a_descriptor_that_is_not_open_is_told() {
    let bench = Bench::new();
    let output = bench.command(&["worker"]).env("DITBENCH_EVENTS_FD", "77").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("DITBENCH_EVENTS_FD is \"77\""), "{}", text(&output.stderr));
}
