//! What leaves the program, and what comes into it: output that fails takes no result along, input that is odd ends in a
//! line and never in a panic.
#![cfg(target_os = "linux")]

mod common;

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Bench, text};
use serde_json::{Value, json};

/// A run that measures next to nothing.
const RUN: [&str; 10] =
    ["run", "--backend", "scripted", "--precision", "f32", "--launches", "1", "--images", "2", "--out"];

/// The program on the scripted backend, which computes nothing.
fn scripted(bench: &Bench, arguments: &[&str], script: &str) -> Command {
    std::fs::write(bench.path("script.json"), script).unwrap();
    let mut command = bench.command(arguments);
    command.env("DITBENCH_SCRIPT", bench.path("script.json"));
    command
}

const USUAL: &str = r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5}"#;

/// A run of the scripted backend, kept in `run`.
fn a_run(bench: &Bench, out: &str) {
    let output = scripted(bench, &[&RUN[..], &[out]].concat(), USUAL).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// Its end with a reader of standard output that went away before the first word.
fn unheard(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    sound(child.wait_with_output().unwrap())
}

/// Its end with standard output on a full disk.
fn full(command: &mut Command) -> Output {
    let disk = File::options().write(true).open("/dev/full").unwrap();
    sound(command.stdout(disk).stderr(Stdio::piped()).output().unwrap())
}

fn sound(output: Output) -> Output {
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
    output
}

/// Exit code 2 with one line that holds these words.
fn refused(output: Output, words: &str) {
    let output = sound(output);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(words) && error.trim().lines().count() == 1, "no \"{words}\" in one line: {error}");
}

#[test]
fn a_verdict_is_on_disk_and_in_the_exit_code_whoever_listens() {
    let bench = Bench::new();
    let wrong = bench.path("wrong.json");
    std::fs::write(&wrong, r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5, "wrong": 0.9}"#).unwrap();
    let head = bench.path("head");
    let shell =
        format!("#!/bin/sh\nDITBENCH_SCRIPT='{}' exec '{}' \"$@\"\n", wrong.display(), env!("CARGO_BIN_EXE_ditbench"));
    std::fs::write(&head, shell).unwrap();
    std::fs::set_permissions(&head, std::fs::Permissions::from_mode(0o755)).unwrap();
    let head = head.display().to_string();
    let ab = |out: &str| {
        let arguments = [
            "ab",
            "--base",
            env!("CARGO_BIN_EXE_ditbench"),
            "--head",
            &head,
            "--backend",
            "scripted",
            "--precision",
            "f32",
        ];
        let more =
            ["--noise", "none", "--images", "2", "--first", "2", "--pairs", "2", "--junit", "gate.xml", "--out", out];
        scripted(&bench, &[&arguments[..], &more].concat(), USUAL)
    };
    let faces = ["ab/verdict.json", "ab/verdict.md", "ab/verdict.html", "ab/junit.xml", "gate.xml"];
    let output = unheard(&mut ab("ab"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    for face in faces {
        assert!(bench.path(face).is_file(), "{face} is missing");
    }
    // From the records: the same, into a closed pipe and onto a full disk.
    let compare = |out: &str| bench.command(&["compare", "ab/base", "ab/head", "--noise", "none", "--out", out]);
    assert_eq!(unheard(&mut compare("one")).status.code(), Some(1));
    let output = full(&mut compare("two"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("standard output cannot be written: No space left"),
        "{}",
        text(&output.stderr)
    );
    assert!(["one", "two"].iter().all(|out| bench.path(out).join("verdict.json").is_file()));
    // A face that cannot be written is no reason to keep the verdict back.
    let output = sound(compare("three").args(["--json", "/proc/nowhere/verdict.json"]).output().unwrap());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("REGRESSED") && text(&output.stderr).contains("/proc/nowhere"));
}

#[test]
fn noise_is_kept_before_it_is_told() {
    let bench = Bench::new();
    let aa = [
        "aa",
        "--backend",
        "scripted",
        "--precision",
        "f32",
        "--pairs",
        "2",
        "--first",
        "2",
        "--images",
        "2",
        "--out",
        "aa",
    ];
    let cache = bench.path("cache");
    let output = full(scripted(&bench, &aa, USUAL).env("DITBENCH_CACHE", &cache));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(bench.path("aa/noise.json").is_file() && cache.join("noise.json").is_file());
}

#[test]
fn no_command_minds_who_reads_it_and_each_says_that_a_disk_is_full() {
    let bench = Bench::new();
    a_run(&bench, "run");
    bench.ok(&["history", "--store", "store.sqlite", "import", "run"]);
    let page = bench.path("page.html").display().to_string();
    for arguments in [
        &["inspect", "--nodes"][..],
        &["devices"],
        &["report", "run"],
        &["run", "--backend", "reference", "--dry-run"],
        &["run", "--print-plan"],
        &["compare", "--print-gate"],
        &["history", "--store", "store.sqlite", "list"],
        &["history", "--store", "store.sqlite", "series"],
        &["history", "--store", "store.sqlite", "check"],
        &["history", "--store", "store.sqlite", "import", "run"],
        &["history", "--store", "store.sqlite", "page", "-o", &page],
        &["--help"],
        &["--version"],
    ] {
        let output = unheard(&mut bench.command(arguments));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        let output = full(&mut bench.command(arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
    }
    assert!(Path::new(&page).is_file());
    // What is to be measured is, and stays.
    let output = full(&mut scripted(&bench, &[&RUN[..], &["full"]].concat(), USUAL));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(bench.record("full")["run"]["finished"].is_string() && bench.path("full/report.html").is_file());
    // Nobody at either end.
    let mut child =
        bench.command(&["run", "--backend", "nonsense"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn words_that_are_not_utf_8_are_refused_in_a_line_or_taken_as_they_are() {
    let bench = Bench::new();
    let odd = OsStr::from_bytes(b"caf\xe9");
    let run = &RUN[..RUN.len() - 1];
    refused(scripted(&bench, &RUN, USUAL).arg(odd).env("LC_ALL", "C").output().unwrap(), "--out DIR");
    refused(scripted(&bench, run, USUAL).arg("--cache").arg(odd).output().unwrap(), "--cache DIR");
    refused(
        scripted(&bench, &["generate", "x", "--backend", "scripted", "-o"], USUAL).arg(odd).output().unwrap(),
        "-o FILE",
    );
    assert_eq!(std::fs::read_dir(bench.dir()).unwrap().count(), 1, "only the script is there");
    for flag in ["--prompt", "--phone-binary", "--plan", "--resume", "--judge"] {
        let output = sound(scripted(&bench, run, USUAL).arg(flag).arg(odd).output().unwrap());
        assert_eq!(output.status.code(), Some(2), "{flag}: {}", text(&output.stderr));
    }
    // Where only files are read and written, any name will do.
    a_run(&bench, "run");
    std::fs::rename(bench.path("run"), bench.dir().join(odd)).unwrap();
    let output = sound(bench.command(&["report"]).arg(odd).output().unwrap());
    assert!(output.status.success(), "{}", text(&output.stderr));
    refused(bench.command(&["run", "--resume"]).arg(odd).output().unwrap(), "move the run");
}

#[test]
fn numbers_out_of_bounds_are_refused_where_they_are_read() {
    let bench = Bench::new();
    for (flag, number, bounds) in [
        ("--steps", "9223372036854775807", "from 1 to 1000"),
        ("--threads", "0", "from 1 to 4096"),
        ("--threads", "5000", "from 1 to 4096"),
        ("--launches", "1001", "from 1 to 1000"),
        ("--images", "0", "from 1 to 100000"),
        ("--budget", "1e300", "up to 100 days"),
        ("--timeout", "1e19", "up to 100 days"),
        ("--sustained", "-1s", "up to 100 days"),
        ("--patience", "18446744073709551615", "from 0 to 86400"),
        ("--shard", "0/0", "2/5"),
        ("--size", "99999", "not an image size"),
        ("--seed", "18446744073709551615", "18446744073709551615"),
    ] {
        let error = bench.refused(&["run", "--dry-run", &format!("{flag}={number}")]);
        assert!(error.contains(bounds) && error.contains(flag), "{flag} {number}: {error}");
    }
    let plan = |text: &str| {
        std::fs::write(bench.path("plan.toml"), text).unwrap();
        bench.command(&["run", "--plan", "plan.toml", "--dry-run"]).output().unwrap()
    };
    let group = "[[group]]\nmodel = 'nano'\nbackend = 'scripted'\nprecision = 'f32'\n";
    refused(plan(&format!("{group}steps = 9223372036854775807\n")), "plan.toml, line 5");
    refused(plan(&format!("budget = '-1s'\n{group}")), "plan.toml, line 1");
    let list = |count: u32| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let begun = Instant::now();
    refused(plan(&format!("{group}steps = [{}]\nthreads = [{}]\n", list(1000), list(4096))), "4096000 cells");
    assert!(begun.elapsed() < Duration::from_secs(20), "counted, not made");
}

#[test]
fn a_record_that_is_resumed_is_not_believed_either() {
    let bench = Bench::new();
    a_run(&bench, "run");
    let record = bench.record("run");
    for (field, value) in [
        ("budget_s", json!(-1.0)),
        ("budget_s", json!(1e19)),
        ("budget_s", json!(1e300)),
        ("sustained_s", json!(-1.0)),
        ("sustained_s", json!(1e300)),
        ("launches", json!(0)),
        ("launches", json!(u64::MAX)),
        ("images", json!(1e18)),
        ("shard", json!({"index": 1, "of": 0})),
        ("shard", json!({"index": 0, "of": 0})),
        ("shard", json!({"index": 3, "of": 2})),
        ("judging", json!({"prompts": 0})),
        ("plan", json!({"group": [{"steps": [u64::MAX]}]})),
        ("plan", json!({"budget": "1e300s", "group": []})),
    ] {
        let mut odd = record.clone();
        odd["run"]["plan"][field] = value.clone();
        std::fs::write(bench.path("run/record.json"), odd.to_string()).unwrap();
        let output = bench.command(&["run", "--resume", "run"]).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{field} {value}: {error}");
        assert!(
            error.contains("the plan in the record cannot be read") && !error.contains("panicked"),
            "{field} {value}: {error}"
        );
    }
    // Numbers of the record itself that count further.
    let mut odd = record.clone();
    odd["cells"][0]["launches"][0]["order"] = json!(u32::MAX);
    odd["run"]["resumed"] = json!(u32::MAX);
    odd["run"]["plan"]["launches"] = json!(2);
    std::fs::write(bench.path("run/record.json"), odd.to_string()).unwrap();
    let output = sound(scripted(&bench, &["run", "--resume", "run"], USUAL).output().unwrap());
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// All that a run's record may say in words, by hand.
fn spoil(value: &mut Value, words: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if matches!(name.as_str(), "reason" | "why" | "variant_about" | "model" | "cpu_model" | "prompt")
                    && value.is_string()
                {
                    *value = json!(words);
                } else if name == "warnings" {
                    *value = json!([words]);
                } else {
                    spoil(value, words);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| spoil(value, words)),
        _ => {}
    }
}

#[test]
fn nothing_that_is_read_speaks_to_the_terminal() {
    let bench = Bench::new();
    a_run(&bench, "run");
    let words = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}x\nOK: forged";
    let mut record = bench.record("run");
    spoil(&mut record, words);
    record["cells"][0]["status"] = json!("error");
    record["cells"][0]["reason"] = json!(words);
    std::fs::write(bench.path("run/record.json"), record.to_string()).unwrap();
    std::fs::write(
        bench.path("plan.toml"),
        "[[group]]\nbackend = 'scripted'\ndevice = \"\\u001b[2J\\nx\"\nprompt = 1\n",
    )
    .unwrap();
    std::fs::write(
        bench.path("dry.toml"),
        "prompt = \"\\u001b[2J\"\n[[group]]\nbackend = 'scripted'\ndevice = \"\\u001b[2J\"\n",
    )
    .unwrap();
    std::fs::write(bench.path("gate.toml"), "[metrics.\"\\u001b[2J\\nx\"]\nmax_change = 1\nreason = 'x'\n").unwrap();
    for arguments in [
        &["report", "run"][..],
        &["compare", "run", "run", "--noise", "none", "--gate", "gate.toml"],
        &["compare", "run", "run", "--noise", "none", "--all", "--out", "out"],
        &["history", "--store", "store.sqlite", "import", "run"],
        &["history", "--store", "store.sqlite", "list"],
        &["history", "--store", "store.sqlite", "series"],
        &["history", "--store", "store.sqlite", "check"],
        &["run", "--plan", "plan.toml", "--dry-run"],
        &["run", "--plan", "dry.toml", "--dry-run"],
        &["run", "--plan", "no\u{1b}[2J.toml"],
        &["report", "no\u{1b}[2J"],
    ] {
        if arguments.contains(&"--all") {
            std::fs::remove_file(bench.path("gate.toml")).unwrap();
        }
        let output = sound(bench.run(arguments));
        for said in [text(&output.stdout), text(&output.stderr)] {
            let active = said.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || *c == '\u{202e}');
            assert_eq!(active, None, "{arguments:?}: {said:?}");
            assert!(!said.lines().any(|line| line.starts_with("OK: forged")), "{arguments:?}: {said}");
        }
    }
    for file in ["run/table.md", "run/table.csv", "run/samples.csv", "out/verdict.md", "out/junit.xml"] {
        let written = std::fs::read_to_string(bench.path(file)).unwrap();
        assert!(!written.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')), "{file}: {written:?}");
    }
}

/// A `python3` that downloads for ever, beside the system's other programs.
fn stuck_python(bench: &Bench, pid: &Path) -> String {
    let bin = bench.path("bin");
    std::fs::create_dir(&bin).unwrap();
    // What ignores Ctrl-C, as a client may in the middle of something, is made to end.
    let script =
        format!("#!/bin/sh\ntrap '' INT\nmktemp > /dev/null\necho $$ > {}\nwhile :; do sleep 1; done\n", pid.display());
    std::fs::write(bin.join("python3"), script).unwrap();
    std::fs::set_permissions(bin.join("python3"), std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

fn wait_for(child: &mut Child, what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("it ended with {status} before {what}");
        }
        assert!(Instant::now() < deadline, "{what}: not within two minutes");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_while_something_is_fetched_ends_the_client_and_leaves_nothing() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let bench = Bench::new();
        let (pid, cache) = (bench.path("pid"), bench.path("cache"));
        let path = stuck_python(&bench, &pid);
        let arguments = ["run", "--quality", "full", "--prompts", "1", "--backend", "reference", "--precision", "f32"];
        let mut command = bench.command(&arguments);
        command.env("PATH", path).env("DITBENCH_CACHE", &cache).env("TMPDIR", bench.dir());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        wait_for(&mut child, "the client was at work", || {
            std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
        });
        let begun = Instant::now();
        // SAFETY: a plain system call on a process that this test started.
        assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
        let output = sound(child.wait_with_output().unwrap());
        // Two seconds for the client; the rest is for a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
        assert!(
            output.status.code() == Some(2) && text(&output.stderr).contains("interrupted"),
            "{}",
            text(&output.stderr)
        );
        let client: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
        assert!(!Path::new(&format!("/proc/{client}")).exists(), "the client lives on");
        let mut left = Vec::new();
        files(bench.dir(), &mut left);
        left.retain(|path| !path.ends_with(".lock") && !path.starts_with(bench.path("bin")) && *path != pid);
        left.retain(|path| !path.to_string_lossy().contains("/runs/"));
        assert!(
            left.iter()
                .all(|path| !path.to_string_lossy().contains(".fetch-") && !path.to_string_lossy().contains("tmp.")),
            "{left:?}"
        );
    }
}

/// All files below a folder but for what is built and what is hidden. Links are not followed: they may lead anywhere.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && name != "target" && !name.as_encoded_bytes().starts_with(b".") {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// Everything that is said goes through one place, which no record can talk past and no full disk can panic.
#[test]
fn there_is_one_writer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    files(root, &mut sources);
    let of_the_program = |path: &PathBuf| {
        let inside = path.strip_prefix(root).unwrap_or(path);
        let folders: Vec<&OsStr> = inside.iter().collect();
        path.extension().is_some_and(|e| e == "rs") && folders.contains(&OsStr::new("src"))
    };
    sources.retain(of_the_program);
    assert!(sources.len() > 200, "only {} sources were found: the search itself is broken", sources.len());
    // Standard streams that are a protocol, not words: a worker's events, an agent's lock and journal; what a backend made up for
    // tests prints as a library might; what an engine of somebody else's says and refuses, which goes to the worker's log.
    let protocols = [
        "worker.rs",
        "agent/follow.rs",
        "agent/hold.rs",
        "pipe/src/lib.rs",
        "scripted/src/session.rs",
        "external/src/engine.rs",
        "external/src/session.rs",
    ];
    let mut wrong = Vec::new();
    for path in sources.iter().filter(|path| !path.ends_with("src/output.rs")) {
        let source = std::fs::read_to_string(path).unwrap();
        let protocol = protocols.iter().any(|file| path.ends_with(file)) || path.to_string_lossy().contains("/worker/");
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let prints = ["print!(", "println!(", "dbg!("].iter().any(|name| code.contains(name));
            let streams = ["io::stdout(", "io::stderr("].iter().any(|name| code.contains(name)) && !protocol;
            if prints || streams {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "say it with text::show, text::tell or text::data:\n{}", wrong.join("\n"));
}
