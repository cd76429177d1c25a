//! Where ditbench keeps what it makes: the user's cache folder, and the folder for what must not be lost.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Refuses a path that workers could not be told of: their orders are JSON, which is UTF-8. Said before anything is measured.
///
/// # Errors
/// It is not UTF-8; `cure` says what to do.
pub fn must_be_text(path: &Path, cure: &str) -> Result<()> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if whole.to_str().is_some() {
        return Ok(());
    }
    bail!("the path {} is not UTF-8, which workers' orders and records need: {cure}", whole.display())
}

/// Where the cache folder is, there or not: what was asked for, else `$XDG_CACHE_HOME/ditbench`, else the system's usual place.
/// For who only reads.
///
/// # Errors
/// No home folder.
pub fn cache_place(asked: Option<&PathBuf>) -> Result<PathBuf> {
    asked.map_or_else(default_cache, |folder| Ok(folder.clone()))
}

/// The cache folder, as [`cache_place`]. Made if missing.
///
/// # Errors
/// No home folder, or a folder that cannot be made or written.
pub fn cache(asked: Option<&PathBuf>) -> Result<PathBuf> {
    let folder = cache_place(asked)?;
    must_be_text(&folder, "choose another cache folder with --cache DIR")?;
    std::fs::create_dir_all(&folder).with_context(|| {
        format!("cannot make the cache folder {}; choose another with --cache DIR", folder.display())
    })?;
    let probe = tempfile_in(&folder);
    std::fs::write(&probe, b"").with_context(|| {
        format!("cannot write to the cache folder {}; choose another with --cache DIR", folder.display())
    })?;
    let _ = std::fs::remove_file(probe);
    std::path::absolute(&folder).with_context(|| format!("cannot resolve {}", folder.display()))
}

/// The folder for what must not be lost: `$XDG_DATA_HOME/ditbench`, else the system's usual place. Made if missing.
///
/// # Errors
/// No home folder, or a folder that cannot be made.
pub fn data() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = match (variable("XDG_DATA_HOME"), variable("HOME")) {
        (Some(folder), _) => folder.join("ditbench"),
        (None, Some(home)) if cfg!(target_os = "macos") => home.join("Library/Application Support/ditbench"),
        (None, Some(home)) => home.join(".local/share/ditbench"),
        (None, None) => bail!("neither XDG_DATA_HOME nor HOME is set; name the place with --store FILE"),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    Ok(folder)
}

fn default_cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = variable("XDG_CACHE_HOME") {
        return Ok(folder.join("ditbench"));
    }
    match variable("HOME") {
        Some(home) if cfg!(target_os = "macos") => Ok(home.join("Library/Caches/ditbench")),
        Some(home) => Ok(home.join(".cache/ditbench")),
        None => bail!("neither XDG_CACHE_HOME nor HOME is set; name a folder with --cache DIR"),
    }
}

fn tempfile_in(folder: &std::path::Path) -> PathBuf {
    folder.join(format!(".write-test-{}", std::process::id()))
}
