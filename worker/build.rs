//! Hands the revision and the compiler's flags on to the program, which writes them into every record.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/index");
    let revision = output("git", &["rev-parse", "HEAD"]);
    let dirty = !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
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
