//! A user's own ONNX file made ready for backends: its sizes written into a copy in the cache, its weights linked beside it.
//!
//! Contract: the copy's folder is named by what it was made from, files by place, size and times, inputs by their shapes; it
//! appears under that name only when it is whole. All backends are given the same file.

use std::path::{Path, PathBuf};
use std::time::{Instant, UNIX_EPOCH};

use anyhow::{Context, Result};
use ditbench_backend_api::OnnxModel;
use ditbench_graph::hash::sha256;
use ditbench_onnx::axes::FixedInput;
use ditbench_onnx::model::{Scopes, prepare_into};
use ditbench_workloads::OnnxFile;

/// Another one whenever preparing does something else.
const VERSION: u32 = 1;

/// Prepares the file of a stage, or finds it prepared.
///
/// # Errors
/// The file or its weights cannot be read, the cache cannot be written.
pub fn prepare(stage: &str, file: &OnnxFile, cache: &Path) -> Result<OnnxModel> {
    let start = Instant::now();
    let name = file.path.file_name().unwrap_or_default();
    let folder = cache.join(format!("own-{stage}-{}", key(file)?));
    let found = is_whole(&folder, name.as_ref(), file);
    if !found {
        make(file, &folder, || is_whole(&folder, name.as_ref(), file))?;
    }
    let prepared = folder.join(name);
    let scopes = Scopes::open(&prepared)?;
    Ok(OnnxModel {
        name: stage.to_owned(),
        file: prepared,
        inputs: file.inputs.clone(),
        model: file.model.clone(),
        scopes,
        prepare_s: start.elapsed().as_secs_f64(),
        found,
    })
}

fn make(file: &OnnxFile, folder: &Path, is_there: impl Fn() -> bool) -> Result<()> {
    let part = folder.with_extension(format!("{}.part", std::process::id()));
    let made = prepare_into(&file.path, &file.inputs, &part)
        .map(drop)
        .map_err(anyhow::Error::from)
        .and_then(|()| put(&part, folder, is_there));
    // What is left of it nobody needs.
    let _ = std::fs::remove_dir_all(&part);
    made
}

/// Puts a finished folder in its place. Where one lies there already, another process was faster, or files of it were removed by
/// hand.
fn put(part: &Path, folder: &Path, is_there: impl Fn() -> bool) -> Result<()> {
    if std::fs::rename(part, folder).is_ok() || is_there() {
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(folder);
    let made = std::fs::rename(part, folder);
    if is_there() { Ok(()) } else { made.with_context(|| format!("cannot make {}", folder.display())) }
}

/// Whether all files are there; a folder appears with all of them, but a cache may be cleared by hand.
fn is_whole(folder: &Path, name: &Path, file: &OnnxFile) -> bool {
    let size = |path: PathBuf| path.metadata().map_or(0, |about| about.len());
    size(folder.join(name)) > 0 && file.model.data.iter().all(|data| size(folder.join(&data.location)) >= data.needed)
}

/// SHA-256 of what the copy depends on, cut to 32 hex digits. Files are known by place, size and times: reading gigabytes of
/// weights at each launch would be time that nobody asked for.
fn key(file: &OnnxFile) -> Result<String> {
    let beside = file.path.parent().unwrap_or(Path::new(""));
    let data = file.model.data.iter().map(|data| beside.join(&data.location));
    let mut all = format!("{VERSION}\n");
    for path in [file.path.clone()].into_iter().chain(data) {
        let why = || format!("reading {}", path.display());
        let real = path.canonicalize().with_context(why)?;
        let about = real.metadata().with_context(why)?;
        let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        all.push_str(&format!("{} {} {}{}\n", real.display(), about.len(), changed.as_nanos(), inode(&about)));
    }
    for FixedInput { name, shape, dtype, .. } in &file.inputs {
        all.push_str(&format!("{name} {shape:?} {dtype}\n"));
    }
    let mut key = sha256(all.as_bytes());
    key.truncate(32);
    Ok(key)
}

/// What tells a file from another of the same name and size that was written in the same moment.
#[cfg(unix)]
fn inode(about: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(" {} {}.{}", about.ino(), about.ctime(), about.ctime_nsec())
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use ditbench_onnx::axes::fix;
    use ditbench_onnx::model::Model;

    use super::*;

    fn tagger(folder: &Path) -> PathBuf {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/onnx/tests/data/tagger/model.onnx");
        let path = folder.join("model.onnx");
        std::fs::copy(data, &path).unwrap();
        path
    }

    fn file(path: &Path, words: usize) -> OnnxFile {
        let model = Model::open(path).unwrap();
        let sizes = [format!("ids=1x{words}").parse().unwrap()];
        let inputs = fix("tagger", &model.inputs, &sizes, &|_, axis| (axis == 0).then_some(1)).unwrap();
        OnnxFile { path: path.to_owned(), inputs, model }
    }

    #[test]
    fn a_file_is_prepared_once_for_each_size_and_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, cache) = (tagger(folder.path()), folder.path().join("cache"));
        let first = prepare("model", &file(&path, 12), &cache).unwrap();
        assert!(!first.found && Model::open(&first.file).unwrap().inputs[0].to_string().contains("[1, 12]"));
        assert!(prepare("model", &file(&path, 12), &cache).unwrap().found);
        let other = prepare("model", &file(&path, 13), &cache).unwrap();
        assert!(!other.found && other.file != first.file);
        std::fs::remove_file(&path).unwrap();
        tagger(folder.path());
        assert!(!prepare("model", &file(&path, 12), &cache).unwrap().found, "exported anew");
        let again = prepare("model", &file(&path, 12), &cache).unwrap();
        std::fs::remove_file(&again.file).unwrap();
        assert!(!prepare("model", &file(&path, 12), &cache).unwrap().found, "cleared by hand");
        let left: Vec<_> = std::fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
    }
}
