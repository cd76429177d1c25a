//! `ab` by itself: results held against each other without a reference, a budget that ends it, builds of git revisions.
#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Bench, text};

const USUAL: &str = r#"{"denoiser_ms": 1.0, "decoder_ms": 0.5}"#;

/// A program that behaves as a script says, in Rust: what a revision of a repository holds.
fn source(script: &Path) -> String {
    format!(
        "use std::os::unix::process::CommandExt;\nfn main() {{\n    let mut command = std::process::Command::new({:?});\n    \
         command.args(std::env::args_os().skip(1)).env(\"DITBENCH_SCRIPT\", {:?});\n    panic!(\"{{}}\", command.exec());\n}}\n",
        env!("CARGO_BIN_EXE_ditbench"),
        script
    )
}

fn git(bench: &Bench, arguments: &[&str]) {
    let names = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(names).args(arguments).current_dir(bench.dir()).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
}

/// A repository with a revision for each script, the last checked out.
fn repository(bench: &Bench, scripts: &[&str]) {
    git(bench, &["init", "--quiet"]);
    std::fs::create_dir(bench.path("src")).unwrap();
    let manifest =
        "[package]\nname = \"ditbench\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[profile.release]\nopt-level = 0\n";
    std::fs::write(bench.path("Cargo.toml"), manifest).unwrap();
    for (number, script) in scripts.iter().enumerate() {
        let json = bench.path(&format!("{number}.json"));
        std::fs::write(&json, script).unwrap();
        std::fs::write(bench.path("src/main.rs"), source(&json)).unwrap();
        git(bench, &["add", "Cargo.toml", "src"]);
        git(bench, &["commit", "--quiet", "-m", "a revision"]);
    }
}

/// Two revisions held against each other on the scripted backend; the reference is not asked.
fn ab(bench: &Bench, more: &[&str]) -> Output {
    let fixed =
        ["ab", "--backend", "scripted", "--precision", "f32", "--noise", "none", "--images", "4", "--out", "ab"];
    let mut command = bench.command(&[&fixed[..], more].concat());
    // The program decides where it builds; what cargo told this test must not.
    command.env_remove("CARGO_TARGET_DIR").env("DITBENCH_CACHE", bench.path("cache"));
    command.env("DITBENCH_SCRIPT", bench.path("0.json")).output().unwrap()
}

fn launches(bench: &Bench, side: &str) -> usize {
    bench.record(&format!("ab/{side}"))["cells"][0]["launches"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_wrong_result_needs_no_reference_to_be_seen_and_no_launch() {
    let wrong = r#"{"denoiser_ms": 0.5, "wrong": 0.01}"#;
    // Too large a number for f32: what is not finite any more, as from a broken kernel.
    let broken = r#"{"denoiser_ms": 0.5, "wrong": 1e39}"#;
    for (script, fault, words) in [(wrong, "wrong latent", "off base's"), (broken, "failed", "result is unusable")] {
        let bench = Bench::new();
        repository(&bench, &[USUAL, script]);
        let output = ab(&bench, &["--base-rev", "HEAD~1", "--head-rev", "HEAD"]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}\n{}", text(&output.stderr));
        assert!(said.contains(fault) && said.contains(words), "{said}");
        assert_eq!((launches(&bench, "base"), launches(&bench, "head")), (0, 0), "it is wrong, however fast");
        // The records say the same, where their latents are.
        let again = bench.run(&["compare", "ab/base", "ab/head", "--noise", "none"]);
        assert!(again.status.code() == Some(1) && text(&again.stdout).contains(words), "{}", text(&again.stdout));
    }
}

#[test]
fn revisions_are_built_once_and_the_work_tree_is_left_alone() {
    let bench = Bench::new();
    repository(&bench, &[USUAL, USUAL]);
    std::fs::write(bench.path("src/main.rs"), "not even Rust\n").unwrap();
    let arguments = ["--base-rev", "HEAD~1", "--head-rev", "HEAD", "--budget", "0.01s"];
    let output = ab(&bench, &arguments);
    let said = text(&output.stdout);
    // The budget ends it after the one A B B A that is always made: nothing can be told.
    assert_eq!(output.status.code(), Some(3), "{said}\n{}", text(&output.stderr));
    assert!(said.contains("base: HEAD~1") && said.contains("the budget is spent"), "{said}");
    assert_eq!((launches(&bench, "base"), launches(&bench, "head")), (2, 2));
    assert_eq!(std::fs::read_to_string(bench.path("src/main.rs")).unwrap(), "not even Rust\n");
    let listed = Command::new("git").args(["worktree", "list"]).current_dir(bench.dir()).output().unwrap();
    assert_eq!(text(&listed.stdout).lines().count(), 1, "a checkout was left behind");
    // A second time nothing is built.
    std::fs::remove_dir_all(bench.path("ab")).unwrap();
    assert!(!text(&ab(&bench, &arguments).stderr).contains("building"));
}

#[test]
fn what_cannot_be_built_says_so_in_the_tools_words() {
    let bench = Bench::new();
    repository(&bench, &[USUAL]);
    let output = ab(&bench, &["--base-rev", "v9"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("\"v9\" is no revision of the git repository here"),
        "{}",
        text(&output.stderr)
    );
    std::fs::write(bench.path("src/main.rs"), "fn main() { nonsense }\n").unwrap();
    git(&bench, &["commit", "--quiet", "-a", "-m", "broken"]);
    let output = ab(&bench, &["--base-rev", "HEAD"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("building HEAD failed") && error.contains("nonsense"), "{error}");
}
