//! The program from outside: what it prints, what it refuses, and how.

mod common;

use common::Bench;

#[test]
fn help_teaches_every_command() {
    let bench = Bench::new();
    let help = bench.ok(&["--help"]);
    for command in ["run", "generate", "inspect", "export", "report", "devices"] {
        assert!(help.contains(&format!("ditbench {command}")), "no example of {command}:\n{help}");
        assert!(bench.ok(&[command, "--help"]).contains("Usage"), "{command}");
    }
    assert!(help.contains("Exit codes"));
}

#[test]
fn typos_are_one_clear_line_and_exit_code_2() {
    let bench = Bench::new();
    for (arguments, says) in [
        (
            &["run", "--backend", "pytorch"][..],
            "unknown backend \"pytorch\": choose from candle, tract, ort, reference",
        ),
        (&["run", "--model", "huge"], "unknown model \"huge\": choose one of nano, tiny, small, full"),
        (&["run", "--precision", "q3"], "unknown precision \"q3\""),
        (&["run", "--size", "abc"], "\"abc\" is not an image size"),
        (&["run", "--budget", "soon"], "--budget"),
        (&["run", "--threads", "0"], "0 is not a whole number from 1 to 4096"),
        (&["run", "--plan", "nowhere.toml"], "cannot read the plan nowhere.toml"),
        (&["run", "--resume", "nowhere"], "holds no record.json"),
        (&["report", "nowhere"], "holds no record.json"),
        (&["inspect", "--model", "tiny", "--size", "500"], "try 512×512"),
        (&["export"], "<DIR>"),
    ] {
        let error = bench.refused(arguments);
        assert!(error.contains(says), "{arguments:?} said: {error}");
    }
}

#[test]
fn a_size_that_is_no_multiple_is_refused_before_anything_starts() {
    let bench = Bench::new();
    let error = bench.refused(&["run", "--model", "tiny", "--size", "500", "--backend", "reference", "--out", "run"]);
    assert!(error.contains("the width must be a multiple of 32"), "{error}");
    assert!(!bench.path("run").exists(), "nothing is left behind");
}

#[test]
fn a_plan_that_cannot_fit_is_refused_unless_forced() {
    let bench = Bench::new();
    let plan =
        ["run", "--model", "full", "--size", "8192", "--backend", "reference", "--precision", "f32", "--out", "run"];
    let output = bench.run(&[&plan[..], &["--dry-run"]].concat());
    assert!(output.status.success(), "--dry-run shows the plan and stops");
    if ditbench_memory_is_below(100) {
        let error = bench.refused(&plan);
        assert!(error.contains("--force"), "{error}");
        assert!(!bench.path("run").exists());
    }
}

/// Whether this machine has less memory than so many gigabytes: else the plan above might fit.
fn ditbench_memory_is_below(gigabytes: u64) -> bool {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total: u64 = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or(0);
    total > 0 && total < gigabytes * 1_000_000
}

#[test]
fn inspect_shows_the_papers_counts() {
    let out = Bench::new().ok(&["inspect", "--model", "small", "--size", "1024"]);
    assert!(out.contains("parameters") && out.contains("428 M") && out.contains("1.50 T"), "{out}");
    assert!(out.contains("ASSA local branch") && out.contains("360 ms"), "{out}");
}

#[test]
fn the_plan_is_shown_and_printed() {
    let bench = Bench::new();
    let plan = bench.ok(&["run", "--print-plan"]);
    std::fs::write(bench.path("plan.toml"), &plan).unwrap();
    let shown = bench.ok(&["run", "--plan", "plan.toml", "--backend", "reference", "--dry-run"]);
    assert!(shown.contains("≈ image") && shown.contains("≈ memory") && shown.contains("tiny 512×512"), "{shown}");
    assert_eq!(std::fs::read_dir(bench.dir()).unwrap().count(), 1, "a dry run leaves nothing behind");
}

#[test]
fn an_image_is_what_its_name_says() {
    let bench = Bench::new();
    let generate = |file| ["generate", "a cat", "--backend", "reference", "--steps", "1", "-o", file];
    bench.ok(&generate("g.jpg"));
    assert!(std::fs::read(bench.path("g.jpg")).unwrap().starts_with(b"\xff\xd8\xff"), "a JPEG");
    let error = bench.refused(&generate("g.webp"));
    assert!(error.contains("g.webp") && error.contains(".png or .jpg"), "{error}");
    assert!(!bench.path("g.webp").exists());
}

#[test]
fn an_export_says_what_its_files_hold_and_need() {
    let bench = Bench::new();
    let said = bench.ok(&["export", "--precision", "q8", "q8"]);
    assert!(said.contains("ONNX Runtime 1.23 or newer") && !said.contains("32-bit floats"), "{said}");
    let said = bench.ok(&["export", "--precision", "q8", "--standard", "q8-standard"]);
    assert!(said.contains("weights are 32-bit floats") && !said.contains("or newer"), "{said}");
    for precision in ["f16", "palette4"] {
        let said = bench.ok(&["export", "--precision", precision, precision]);
        assert!(
            said.contains("are 32-bit floats in the files, with the values of") && said.contains(precision),
            "{said}"
        );
    }
    let said = bench.ok(&["export", "--precision", "f32", "f32"]);
    assert!(!said.contains("32-bit floats") && !said.contains("or newer"), "{said}");
}

/// What lies where a system keeps libraries is not yet one that can be used: here it is no library at all.
#[cfg(all(target_os = "linux", feature = "ort"))]
#[test]
fn an_unusable_library_of_the_system_does_not_stand_in_for_one_that_is_fetched() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let (system, bin, fetched) = (bench.path("syslib"), bench.path("bin"), bench.path("asked-for"));
    for folder in [&system, &bin] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(system.join("libonnxruntime.so"), "not a library").unwrap();
    std::fs::write(bin.join("python3"), format!("#!/bin/sh\necho \"$@\" > '{}'\nexit 1\n", fetched.display())).unwrap();
    std::fs::set_permissions(bin.join("python3"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.command(&["devices", "--fetch"]);
    command.env("DITBENCH_CACHE", bench.path("cache")).env("LD_LIBRARY_PATH", &system).env("PATH", &bin);
    let output = command.output().unwrap();
    let asked = std::fs::read_to_string(&fetched).unwrap_or_default();
    assert!(
        asked.contains("onnxruntime=="),
        "nothing was fetched: {}{}",
        common::text(&output.stdout),
        common::text(&output.stderr)
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    use std::process::Stdio;
    let bench = Bench::new();
    let mut child =
        bench.command(&["inspect", "--nodes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!common::text(&output.stderr).contains("panicked"), "{}", common::text(&output.stderr));
}
