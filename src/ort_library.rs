//! ONNX Runtime's library: found where somebody named it, in the cache, or on the system; else fetched.

use std::path::PathBuf;

use anyhow::Result;

use crate::environment::Common;

/// Finds ONNX Runtime's library, or fetches it into the cache where none was named.
///
/// # Errors
/// Why it cannot be had, and what to do.
#[cfg(feature = "ort")]
pub fn fetch(common: &Common, say: &dyn Fn(String)) -> Result<PathBuf> {
    let found = find(common);
    if found.is_ok() || common.ort_lib.is_some() {
        // What somebody named is used, or it is said why not: never another in its place.
        return found;
    }
    let cache = crate::paths::cache(common.cache.as_ref())?;
    Ok(ditbench_ort::library::fetch(&cache, &ditbench_worker::interrupt::requested, |step| say(step.to_string()))?)
}

/// Finds ONNX Runtime's library: what was named, else the cache, else the system.
///
/// # Errors
/// Where it was looked for.
#[cfg(feature = "ort")]
pub fn find(common: &Common) -> Result<PathBuf> {
    let cache = crate::paths::cache(common.cache.as_ref())?;
    Ok(ditbench_ort::library::find(common.ort_lib.as_deref(), &cache)?)
}

/// Without the backend there is nothing to fetch.
///
/// # Errors
/// Always.
#[cfg(not(feature = "ort"))]
pub fn fetch(_: &Common, _: &dyn Fn(String)) -> Result<PathBuf> {
    anyhow::bail!("this build of ditbench has no ort: rebuild with `--features ort`")
}

/// Without the backend there is nothing to find.
///
/// # Errors
/// Always.
#[cfg(not(feature = "ort"))]
pub fn find(_: &Common) -> Result<PathBuf> {
    anyhow::bail!("this build of ditbench has no ort: rebuild with `--features ort`")
}
