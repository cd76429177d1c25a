//! Where ditbench keeps what it makes: the user's cache folder, and the folder for what must not be lost.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The cache folder: what was asked for, else `$XDG_CACHE_HOME/ditbench`, else the system's usual place. Made if missing.
///
/// # Errors
/// No home folder, or a folder that cannot be made or written.
pub fn cache(asked: Option<&PathBuf>) -> Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder.clone(),
        None => default_cache()?,
    };
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
