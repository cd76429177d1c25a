//! criterion's saved estimates as samples: `target/criterion/**/{base,new,NAME}/{sample,benchmark}.json`.
//!
//! Contract: a sample is the time per iteration of one of criterion's batches. All batches of a benchmark are from **one
//! process**: they share memory layout, caches and clocks, so they are not independent as launches are, and the interval is
//! narrower than what another process would show. The gate's threshold for `iteration_s` leaves room for that.
//!
//! Only folders and regular files are looked at, as deep as criterion makes them: what else a folder may hold (a pipe, a
//! link that leads round) is not waited for.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::record::{one_line, open_regular};

/// One benchmark as criterion saved it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bench {
    /// criterion's full id: `linear/candle/512x768`.
    pub id: String,
    /// Seconds per iteration, one for each batch.
    pub samples_s: Vec<f64>,
    /// The directory that was searched, and the saved name: `target/criterion (new)`.
    pub from: String,
}

/// Why estimates cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CriterionError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what criterion writes.
    #[error("{} is not what criterion 0.3 to 0.8 writes: {why}. Run `cargo bench` again", .path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Nothing was saved under that name.
    #[error(
        "no benchmark saved as \"{name}\" under {}. criterion saves its last run as `new`, the one before as `base`, and others with `cargo bench -- --save-baseline NAME`",
        .dir.display()
    )]
    Nothing {
        /// Where was searched.
        dir: PathBuf,
        /// For which name.
        name: String,
    },
}

#[derive(Deserialize)]
struct SampleFile {
    iters: Vec<f64>,
    times: Vec<f64>,
}

#[derive(Deserialize)]
struct BenchmarkFile {
    full_id: String,
}

/// Folders from the one that is named to the saved one: `criterion/group/function/parameter/new`, and one to spare.
const DEEPEST: usize = 6;
/// The largest file that is read, in bytes: some ten thousand times what criterion writes of a hundred samples.
const LARGEST: u64 = 64 << 20;

/// Every benchmark under `dir` that was saved as `name` (`new`, `base`, or a baseline's name), by id.
///
/// # Errors
/// [`CriterionError`]: an unreadable directory, a file of another format, nothing saved under that name.
pub fn read(dir: &Path, name: &str) -> Result<Vec<Bench>, CriterionError> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_owned(), 1)];
    while let Some((folder, depth)) = open.pop() {
        let io = |source| CriterionError::Io { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            // The entry itself: a link is not followed.
            if !entry.file_type().map_err(io)?.is_dir() {
                continue;
            }
            let path = entry.path();
            if entry.file_name() == name && fs::symlink_metadata(path.join("sample.json")).is_ok() {
                found.push(bench(&path, format!("{} ({name})", dir.display()))?);
            } else if depth < DEEPEST {
                open.push((path, depth + 1));
            }
        }
    }
    if found.is_empty() {
        return Err(CriterionError::Nothing { dir: dir.to_owned(), name: name.to_owned() });
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn bench(saved: &Path, from: String) -> Result<Bench, CriterionError> {
    let path = saved.join("sample.json");
    let sample: SampleFile = parse(&path)?;
    let BenchmarkFile { full_id: id } = parse(&saved.join("benchmark.json"))?;
    let wrong = |why: &str| CriterionError::Format { path: path.clone(), why: why.to_owned() };
    if sample.iters.len() != sample.times.len() || sample.times.is_empty() {
        return Err(wrong("it has not as many times as counts of iterations, or none"));
    }
    // criterion counts nanoseconds.
    let samples_s: Vec<f64> = sample.times.iter().zip(&sample.iters).map(|(time, iters)| time / iters * 1e-9).collect();
    if samples_s.iter().any(|seconds| !seconds.is_finite() || *seconds < 0.0) {
        return Err(wrong("a time per iteration is no number of seconds"));
    }
    Ok(Bench { id, samples_s, from })
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, CriterionError> {
    let wrong = |why: String| CriterionError::Format { path: path.to_owned(), why };
    let io = |source| CriterionError::Io { path: path.to_owned(), source };
    let mut text = String::new();
    open_regular(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text)).map_err(io)?;
    if text.len() as u64 > LARGEST {
        return Err(wrong(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    serde_json::from_str(&text).map_err(|error| wrong(one_line(&error.to_string())))
}
