//! Results on the disk: who may read them, and what becomes of a comparison whose results cannot be read.
#![cfg(unix)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Bench, text};

const BRIEF: [&str; 10] =
    ["run", "--backend", "reference", "--precision", "f32", "--launches", "1", "--images", "1", "--brief"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let place = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(&file, place).unwrap();
    }
}

#[test]
fn what_a_run_writes_can_be_read_by_whoever_the_umask_lets() {
    let bench = Bench::new();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ditbench")]).args(BRIEF);
    command.args(["--precision", "q4", "--out", "run"]).current_dir(bench.dir());
    let output = command.env("DITBENCH_CACHE", bench.path("cache")).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for folder in ["run", "cache"] {
        let files = files(&bench.path(folder));
        let tensors = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "safetensors");
        assert!(files.iter().filter(tensors).count() >= 2, "{files:?}");
        for file in files {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644, "{}", file.display());
        }
    }
}

#[test]
fn results_that_cannot_be_read_are_no_results_that_are_right() {
    let bench = Bench::new();
    bench.ok(&[&BRIEF[..], &["--out", "base"]].concat());
    let head = bench.path("head");
    copy(&bench.path("base"), &head);
    let compare = ["compare", "base", "head", "--noise", "none", "--allow", "machine", "--junit", "junit.xml"];
    let latents = files(&head.join("latents")).pop().unwrap();
    let whole = std::fs::read(&latents).unwrap();
    // One launch of each: nothing is decided, but nothing is wrong.
    assert_eq!(bench.run(&compare).status.code(), Some(3));
    let junit = std::fs::read_to_string(bench.path("junit.xml")).unwrap();
    assert!(!junit.contains("not checked"), "{junit}");

    std::fs::write(&latents, &whole[..whole.len() / 2]).unwrap();
    let error = bench.refused(&compare);
    let name = latents.file_name().unwrap().to_string_lossy();
    assert!(error.contains("head's results") && error.contains(&*name) && error.contains("truncated"), "{error}");
    // As a file without permission to read is, also for root.
    std::fs::remove_file(&latents).unwrap();
    std::fs::create_dir(&latents).unwrap();
    assert!(bench.refused(&compare).contains("cannot be read"));

    std::fs::remove_dir(&latents).unwrap();
    let output = bench.run(&compare);
    let said = text(&output.stdout);
    assert!(said.contains("nothing to be compared with") && said.contains("head kept no latents"), "{said}");
    let junit = std::fs::read_to_string(bench.path("junit.xml")).unwrap();
    assert!(junit.contains("<skipped") && junit.contains("not checked"), "{junit}");
}

#[test]
fn records_are_compared_without_a_home_and_with_commas_in_their_names() {
    let bench = Bench::new();
    bench.ok(&[&BRIEF[..], &["--out", "base, of today"]].concat());
    copy(&bench.path("base, of today"), &bench.path("head,1"));
    for home in [None, Some("/proc")] {
        let mut command = bench.command(&["compare", "base, of today", "head,1"]);
        for variable in ["HOME", "XDG_CACHE_HOME", "DITBENCH_CACHE"] {
            command.env_remove(variable);
        }
        command.envs(home.map(|home| ("HOME", home)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{home:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("1 cell compared"), "{}", text(&output.stdout));
    }
}
