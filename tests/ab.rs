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
    ab_with(bench, more, &[])
}

/// The same, with these in the environment.
fn ab_with(bench: &Bench, more: &[&str], environment: &[(&str, &str)]) -> Output {
    let fixed =
        ["ab", "--backend", "scripted", "--precision", "f32", "--noise", "none", "--images", "4", "--out", "ab"];
    let mut command = bench.command(&[&fixed[..], more].concat());
    // The program decides where it builds; what cargo told this test must not.
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET").env_remove("RUSTFLAGS");
    command.env("DITBENCH_CACHE", bench.path("cache")).envs(environment.iter().copied());
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
    for (script, fault, words) in
        [(wrong, "wrong latent", "differs from base's"), (broken, "failed", "result is unusable")]
    {
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
        text(&output.stderr).contains("\"v9\" is not a revision of the git repository here"),
        "{}",
        text(&output.stderr)
    );
    std::fs::write(bench.path("src/main.rs"), "fn main() { nonsense }\n").unwrap();
    git(&bench, &["commit", "--quiet", "-a", "-m", "broken"]);
    let output = ab(&bench, &["--base-rev", "HEAD"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("building HEAD (") && error.contains(") failed:") && error.contains("nonsense"), "{error}");
}

const WRONG: &str = r#"{"denoiser_ms": 0.5, "wrong": 0.01}"#;

/// The triple that this machine's compiler builds for by itself.
fn triple() -> String {
    let said = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    text(&said).lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Wherever cargo is told to put it, what runs is the program of the revision: the wrong one is seen.
#[test]
fn what_runs_is_what_was_built_from_the_revision_wherever_cargo_put_it() {
    let triple = triple();
    let settings = format!("[build]\ntarget = {triple:?}\n");
    for (environment, file) in [
        (&[("CARGO_BUILD_TARGET", triple.as_str())][..], None),
        (&[], Some(settings)),
        (&[("CARGO_TARGET_DIR", "elsewhere")], None),
    ] {
        let bench = Bench::new();
        repository(&bench, &[USUAL, WRONG]);
        // A program of the older revision, where a build for no target would be.
        let both_old = ["--base-rev", "HEAD~1", "--head-rev", "HEAD~1", "--budget", "0.01s"];
        assert_ne!(ab(&bench, &both_old).status.code(), Some(1));
        std::fs::remove_dir_all(bench.path("ab")).unwrap();
        if let Some(settings) = &file {
            // Above the place where revisions are checked out, as a user's own settings are.
            std::fs::create_dir_all(bench.path("cache/.cargo")).unwrap();
            std::fs::write(bench.path("cache/.cargo/config.toml"), settings).unwrap();
        }
        let output = ab_with(&bench, &["--base-rev", "HEAD~1", "--head-rev", "HEAD"], environment);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{environment:?} {file:?}: {said}\n{}", text(&output.stderr));
        assert!(said.contains("wrong latent"), "{said}");
    }
}

#[test]
fn a_build_is_kept_for_what_went_into_it() {
    let bench = Bench::new();
    repository(&bench, &[USUAL]);
    let builds = |flags: &str| {
        let _ = std::fs::remove_dir_all(bench.path("ab"));
        let arguments = ["--base-rev", "HEAD", "--head-rev", "HEAD", "--budget", "0.01s"];
        let output = ab_with(&bench, &arguments, &[("RUSTFLAGS", flags)]);
        assert!(output.status.code() == Some(3), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stderr).contains("building")
    };
    assert!(builds("-C debuginfo=0") && !builds("-C debuginfo=0"));
    assert!(builds("-C debuginfo=1"), "other flags make another program");
    assert!(!builds("-C debuginfo=0"), "the first is still there");
}

#[test]
fn a_branch_that_went_on_is_taken_at_its_tip_or_where_this_one_left_it_and_it_says_which() {
    let bench = Bench::new();
    repository(&bench, &[USUAL]);
    git(&bench, &["branch", "mine"]);
    // Others go on: base's tip is wrong now, which is not this branch's doing.
    std::fs::write(bench.path("1.json"), WRONG).unwrap();
    std::fs::write(bench.path("src/main.rs"), source(&bench.path("1.json"))).unwrap();
    git(&bench, &["commit", "--quiet", "-a", "-m", "another's"]);
    git(&bench, &["checkout", "--quiet", "mine"]);
    let arguments = ["--base-rev", "main", "--head-rev", "mine", "--pairs", "2", "--first", "2"];
    let output = ab(&bench, &arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "held against the tip, results differ: {error}");
    assert!(error.contains("the tip of main") && error.contains("--merge-base"), "{error}");
    std::fs::remove_dir_all(bench.path("ab")).unwrap();
    let output = ab(&bench, &[&arguments[..], &["--merge-base"]].concat());
    let (said, error) = (text(&output.stdout), text(&output.stderr));
    assert_ne!(output.status.code(), Some(1), "{said}{error}");
    assert!(said.contains("left main") && !error.contains("the tip of"), "{said}{error}");
}

#[test]
fn a_shallow_clone_gets_its_cure() {
    let bench = Bench::new();
    repository(&bench, &[USUAL, USUAL]);
    let from = format!("file://{}", bench.dir().display());
    git(&bench, &["clone", "--quiet", "--depth", "1", &from, "shallow"]);
    let mut command = bench.command(&["ab", "--base-rev", "HEAD^1", "--backend", "scripted"]);
    let output =
        command.current_dir(bench.path("shallow")).env("DITBENCH_SCRIPT", bench.path("0.json")).output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for words in ["\"HEAD^1\"", "shallow", "git fetch --unshallow", "fetch-depth"] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// Where nothing is timed, no noise excuses what cannot be told.
#[test]
fn the_example_for_pull_requests_fails_where_something_could_not_be_counted() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci/github-gate.yml");
    let example = std::fs::read_to_string(example).unwrap();
    let (_, step) = example.split_once("- name: Verdict").unwrap();
    let (_, script) = step.split_once("run: |\n").unwrap();
    let ends = |code: &str, flags: &str| {
        let script = script.replace("${{ steps.gate.outputs.code }}", code);
        Command::new("bash").args(["-e", "-c", &script]).env("FLAGS", flags).output().unwrap().status.code()
    };
    for (code, flags, want) in [
        ("3", "--budget 20m", 0),
        ("3", "--count", 3),
        ("3", "--model nano --count --pairs 4", 3),
        ("1", "--count", 1),
        ("0", "--count", 0),
    ] {
        assert_eq!(ends(code, flags), Some(want), "{code} {flags}");
    }
}

/// What github-gate.yml holds a pull request against, where its base went on after its last push.
#[test]
fn the_example_for_pull_requests_charges_nobody_elses_commits() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ci/github-gate.yml");
    let example = std::fs::read_to_string(example).unwrap();
    let base =
        example.lines().find_map(|line| line.trim().strip_prefix("scripts/ci/gate.sh ")?.split('"').nth(1)).unwrap();
    let bench = Bench::new();
    let commit = |file: &str, content: &str| {
        std::fs::write(bench.path(file), content).unwrap();
        git(&bench, &["add", "."]);
        git(&bench, &["commit", "--quiet", "-m", file]);
    };
    let asked = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(bench.dir()).output().unwrap();
        text(&output.stdout).trim().to_owned()
    };
    git(&bench, &["init", "--quiet"]);
    commit("kernel.rs", "fast");
    // github.event.pull_request.base.sha: the base at the last push.
    let event = asked(&["rev-parse", "HEAD"]);
    git(&bench, &["checkout", "--quiet", "-b", "pull-request"]);
    commit("readme", "a typo");
    git(&bench, &["checkout", "--quiet", "main"]);
    commit("kernel.rs", "slow");
    // What actions/checkout takes.
    git(&bench, &["checkout", "--quiet", "--detach", "main"]);
    git(&bench, &["merge", "--quiet", "--no-ff", "-m", "refs/pull/1/merge", "pull-request"]);
    let base = base.replace("${{ github.event.pull_request.base.sha }}", &event);
    assert_eq!(asked(&["diff", "--name-only", &base, "HEAD"]), "readme");
    let depth = example.lines().find_map(|line| line.trim().strip_prefix("fetch-depth: ")).unwrap();
    assert!(["0", "2"].contains(&depth), "the merge commit's parents must be there");
}
