//! Hands the revision and the compiler's flags on to the program, which writes them into every record.
//!
//! Runs again when a file changes that the program is built from, or the commit that is checked out, and at no other time:
//! each run compiles the program anew. So what it says of the source holds whenever the program is built.

use std::path::Path;
use std::process::Command;

/// What no program is built from: an edit of it is no other program.
const NOT_BUILT: [&str; 8] = [
    ":(exclude,glob)**/*.md",
    ":(exclude)docs",
    ":(exclude)scripts",
    ":(exclude).ci",
    ":(exclude)workloads/train",
    ":(exclude,glob)**/tests/**",
    ":(exclude,glob)**/benches/**",
    ":(exclude,glob)**/examples/**",
];

fn main() {
    let top = output("git", &["rev-parse", "--show-toplevel"]);
    // Without taking a lock that another git at work would stumble over.
    let git = |arguments: &[&str]| output("git", &[&["--no-optional-locks", "-C", &top], arguments].concat());
    let watch = |file: &str| {
        let file = Path::new(&top).join(file);
        let there = file.is_file();
        if there {
            println!("cargo::rerun-if-changed={}", file.display());
        }
        there
    };
    for file in git(&[&["ls-files", "-z", "--", "."], &NOT_BUILT[..]].concat()).split('\0') {
        watch(file);
    }
    let place = |name| git(&["rev-parse", "--git-path", name]);
    watch(&place("HEAD"));
    // The log of HEAD grows with every commit, checkout and reset; where git keeps none, the index changes with them.
    let _ = watch(&place("logs/HEAD")) || watch(&place("index"));
    let revision = git(&["rev-parse", "HEAD"]);
    let status = ["status", "--porcelain", "--untracked-files=no", "--", "."];
    let dirty = !git(&[&status, &NOT_BUILT[..]].concat()).is_empty();
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    // Cargo separates the flags by the unit separator.
    let flags = variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " ");
    for (name, value) in [
        ("REVISION", revision),
        ("DIRTY", dirty.to_string()),
        ("RUSTC", output(&rustc, &["--version"])),
        ("TARGET", variable("TARGET")),
        ("PROFILE", variable("PROFILE")),
        ("RUSTFLAGS", flags),
        ("TARGET_FEATURES", variable("CARGO_CFG_TARGET_FEATURE")),
    ] {
        println!("cargo::rustc-env=DITBENCH_{name}={value}");
    }
}

/// What a command prints, or nothing if it fails: a tarball has no git.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
