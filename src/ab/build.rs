//! A build of a git revision: checked out beside the work tree, built, kept by everything that went into it.
//!
//! Contract: what is kept is found again only for the same commit, compiler, flags, settings of cargo and profile. Where the program
//! is after a build is asked of cargo, never guessed: a target, a target folder or a setting may have put it anywhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::run::Progress;

/// A commit, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// 40 hex digits.
    hash: String,
    /// As it was named, with the beginning of its hash: `main (8b82be9c5e0d)`.
    pub label: String,
}

/// The commit of a name in the repository in the current folder.
///
/// # Errors
/// No repository, or no such revision; in a shallow clone with how to get the rest.
pub fn commit(name: &str) -> Result<Commit> {
    match git(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]) {
        Ok(hash) => Ok(Commit { label: format!("{name} ({})", short(&hash)), hash }),
        Err(_) if is_shallow() => {
            bail!("\"{name}\" is not in this clone, which is shallow: it lacks older commits. {DEEPEN}")
        }
        Err(_) => bail!("\"{name}\" is not a revision of the git repository here"),
    }
}

const DEEPEN: &str =
    "Fetch them with `git fetch --unshallow`; in GitHub Actions, give actions/checkout `fetch-depth: 0`";

/// Where two lines of development parted.
///
/// # Errors
/// They have no commit in common, or a shallow clone does not reach back to it.
pub fn merge_base(base: &Commit, head: &Commit) -> Result<Commit> {
    match git(&["merge-base", &base.hash, &head.hash]) {
        Ok(hash) => Ok(Commit { label: format!("{}, where {} left {}", short(&hash), head.label, base.label), hash }),
        Err(_) if is_shallow() => {
            bail!("where {} left {} is not in this clone, which is shallow. {DEEPEN}", head.label, base.label)
        }
        Err(_) => bail!("{} and {} have no commit in common", base.label, head.label),
    }
}

/// What a base that is not the point where head left it brings into the comparison, if so.
pub fn charged_to_head(base: &Commit, head: &Commit) -> Option<String> {
    let left = merge_base(base, head).ok().filter(|left| left.hash != base.hash)?;
    let count = git(&["rev-list", "--count", &format!("{}..{}", left.hash, base.hash)]).ok()?;
    Some(format!(
        "base is the tip of {}, which has commits that {} does not have ({count}): their changes count too. To compare \
         with the commit where they parted ({}), add --merge-base",
        base.label,
        head.label,
        short(&left.hash)
    ))
}

/// The program of a commit of the repository in the current folder; built once, into the cache.
///
/// # Errors
/// A build that fails: with the end of what the tool said.
pub fn build(commit: &Commit, cache: &Path) -> Result<PathBuf> {
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let folder = cache.join("builds").join(&commit.hash);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let ingredients = ingredients(commit, &folder)?;
    let kept = folder.join(key(&ingredients));
    let program = kept.join(format!("ditbench{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    let source = folder.join("source");
    let progress = Progress::new(1);
    progress.now(format!("building {}: minutes the first time", commit.label));
    if !source.join("Cargo.toml").is_file() {
        let place = source.display().to_string();
        git(&["worktree", "prune"])?;
        git(&["worktree", "add", "--detach", "--force", &place, &commit.hash]).context("checking the revision out")?;
    }
    // Dependencies are the same as a rule: the build shares this work tree's folder for them, beside its own programs.
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => std::path::absolute(folder).context("resolving CARGO_TARGET_DIR")?,
        None => root.join("target"),
    };
    let built = Command::new("cargo")
        .args(["build", "--release", "--bin", "ditbench", "--message-format", "json-render-diagnostics"])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", target.join("ab"))
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo; --base-rev and --head-rev build from source, --base and --head take programs")?;
    progress.finish();
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        let lines: Vec<&str> = said.lines().collect();
        bail!("building {} failed:\n{}", commit.label, lines[lines.len().saturating_sub(20)..].join("\n"));
    }
    let made = executables(&String::from_utf8_lossy(&built.stdout));
    let [made] = made.as_slice() else {
        bail!(
            "cargo made {} programs named ditbench from {}, but one is needed: is it a ditbench, and is it built for \
             one target?",
            made.len(),
            commit.label
        );
    };
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    // For whoever wants to know what a folder of the cache is. Its loss costs nothing.
    let _ = std::fs::write(kept.join("ingredients.txt"), &ingredients);
    // Under another name first: whoever looks for the program meanwhile must not find half of it.
    let part = kept.join(format!("ditbench.{}.part", std::process::id()));
    std::fs::copy(made, &part)
        .and_then(|_| std::fs::rename(&part, &program))
        .with_context(|| format!("cannot copy {} into the cache", made.display()))?;
    // The checkout has served; its removal failing costs disk space only.
    let _ = git(&["worktree", "remove", "--force", &source.display().to_string()]);
    Ok(program)
}

/// Everything that decides what a build becomes, a line each. `folder` is where the commit is checked out below.
fn ingredients(commit: &Commit, folder: &Path) -> Result<String> {
    // Which compiler it is depends on the folder: the revision may name one.
    for name in ["rust-toolchain.toml", "rust-toolchain"] {
        if let Ok(text) = git(&["show", &format!("{}:{name}", commit.hash)]) {
            std::fs::write(folder.join(name), text).with_context(|| format!("cannot write to {}", folder.display()))?;
        }
    }
    let mut found = format!("commit {}\nprofile release, default features\n", commit.hash);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    for tool in [rustc, "cargo".into()] {
        let said = Command::new(&tool).arg("-vV").current_dir(folder).stdin(Stdio::null()).output();
        let said = said.with_context(|| format!("cannot start {}", Path::new(&tool).display()))?;
        found.push_str(&String::from_utf8_lossy(&said.stdout));
    }
    let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| decides(&name.to_string_lossy())).collect();
    variables.sort();
    for (name, value) in variables {
        let _ = writeln!(found, "{}={}", name.to_string_lossy(), value.to_string_lossy());
    }
    for file in settings_of_cargo(folder) {
        if let Ok(text) = std::fs::read_to_string(&file) {
            let _ = writeln!(found, "{}:\n{text}", file.display());
        }
    }
    Ok(found)
}

/// Whether an environment variable can change what a build becomes. Where it is put is not what it is.
fn decides(name: &str) -> bool {
    const PLACES: [&str; 3] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_TARGET_TMPDIR"];
    const BEGINNINGS: [&str; 13] = [
        "CARGO_BUILD_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "CC",
        "CXX",
        "AR",
        "CFLAGS",
        "LDFLAGS",
    ];
    !PLACES.contains(&name) && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The files in which cargo looks for settings when it builds below this folder: here, in every folder above, and the user's. Those
/// of the revision itself are in its commit.
fn settings_of_cargo(folder: &Path) -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let folders = folder.ancestors().map(|folder| folder.join(".cargo")).chain(home);
    let mut files: Vec<PathBuf> =
        folders.flat_map(|folder| [folder.join("config.toml"), folder.join("config")]).collect();
    files.dedup();
    files
}

/// 16 hex digits of the SHA-256.
fn key(ingredients: &str) -> String {
    Sha256::digest(ingredients)[..8].iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The programs named ditbench among what cargo says that it made, a message a line.
fn executables(said: &str) -> Vec<PathBuf> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let made =
        messages.filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == "ditbench");
    made.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).collect()
}

fn is_shallow() -> bool {
    git(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|answer| answer == "true")
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).stdin(Stdio::null()).output().context("cannot start git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {}: {}", arguments[0], said.lines().last().unwrap_or("failed").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_build_decides_and_where_it_goes_does_not() {
        for name in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_PROFILE_RELEASE_LTO", "RUSTUP_TOOLCHAIN", "CC", "CFLAGS"]
        {
            assert!(decides(name), "{name}");
        }
        assert!(decides("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS"));
        for name in
            ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "PATH", "HOME", "CARGO_TERM_COLOR", "CARGO_MANIFEST_DIR"]
        {
            assert!(!decides(name), "{name}");
        }
        assert_ne!(key("commit 1\nrustc 1.95"), key("commit 1\nrustc 1.96"));
    }

    #[test]
    fn the_place_of_a_program_is_what_cargo_says() {
        let artifact = |name: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"name":"{name}","kind":["bin"]}},"executable":{executable}}}"#
            )
        };
        let said = [
            artifact("ditbench_reports", "null"),
            "a line of a build script".to_owned(),
            artifact("ditbench", r#""/t/x86_64-unknown-linux-gnu/release/ditbench""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        assert_eq!(executables(&said.join("\n")), [Path::new("/t/x86_64-unknown-linux-gnu/release/ditbench")]);
        assert!(executables(&artifact("ditbench", "null")).is_empty(), "a library of the name is no program");
    }
}
