//! A build of a git revision: checked out beside the work tree, built, kept by its commit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::Progress;

/// The program of a revision of the repository in the current folder; built once a commit, into the cache.
///
/// # Errors
/// No repository, no such revision, a build that fails: with the end of what the tool said.
pub fn from_revision(revision: &str, cache: &Path) -> Result<PathBuf> {
    let commit = git(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])
        .with_context(|| format!("\"{revision}\" is no revision of the git repository here"))?;
    let root = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let folder = cache.join("builds").join(&commit);
    let program = folder.join(format!("ditbench{}", std::env::consts::EXE_SUFFIX));
    if program.is_file() {
        return Ok(program);
    }
    let source = folder.join("source");
    let progress = Progress::new(1);
    progress.now(format!("building {revision} ({}): minutes the first time", &commit[..commit.len().min(12)]));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if !source.join("Cargo.toml").is_file() {
        let place = source.display().to_string();
        git(&["worktree", "prune"])?;
        git(&["worktree", "add", "--detach", "--force", &place, &commit]).context("checking the revision out")?;
    }
    // Dependencies are the same as a rule: the build shares this work tree's folder for them, beside its own programs.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join("ab");
    let built = Command::new("cargo")
        .args(["build", "--release", "--bin", "ditbench"])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", &target)
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo; --base-rev and --head-rev build from source, --base and --head take programs")?;
    progress.finish();
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        let lines: Vec<&str> = said.lines().collect();
        bail!("building {revision} failed:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
    }
    let made = target.join("release").join(format!("ditbench{}", std::env::consts::EXE_SUFFIX));
    // Under another name first: whoever looks for the program meanwhile must not find half of it.
    let part = folder.join(format!("ditbench.{}.part", std::process::id()));
    std::fs::copy(&made, &part)
        .and_then(|_| std::fs::rename(&part, &program))
        .with_context(|| format!("cannot copy {} into the cache", made.display()))?;
    // The checkout has served; its removal failing costs disk space only.
    let _ = git(&["worktree", "remove", "--force", &source.display().to_string()]);
    Ok(program)
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).stdin(Stdio::null()).output().context("cannot start git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {}: {}", arguments[0], said.lines().last().unwrap_or("failed").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
