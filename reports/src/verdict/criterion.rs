//! criterion's saved estimates as samples: `target/criterion/**/{base,new,NAME}/{sample,benchmark}.json`.
//!
//! Contract: a sample is the time per iteration of one of criterion's batches. All batches of a benchmark are from **one
//! process**: they share memory layout, caches and clocks, so they are not independent as launches are, and the interval is
//! narrower than what another process would show. The gate's threshold for `iteration_s` leaves room for that. criterion never
//! removes what it saved: the last output of a benchmark that was not run again is no measurement of head ([`read_sides`]).
//!
//! Only folders and regular files are looked at, as deep as criterion makes them: what else a folder may hold (a pipe, a
//! link that leads round) is not waited for.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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
    /// How it is known that the benchmark was not run for this side, in a sentence: what was saved is of an earlier run.
    pub not_run: Option<String>,
    /// When it was saved.
    saved: Option<SystemTime>,
    /// Its batches as they were saved.
    batches: Vec<f64>,
}

/// Benchmarks of one `cargo bench` follow each other; between two runs of it lies a change. Longer than any one takes.
const ONE_RUN: Duration = Duration::from_secs(3600);

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
        "no benchmark saved as \"{name}\" under {}. criterion saves its last run as `new`, and others with `cargo bench -- --save-baseline NAME`",
        .dir.display()
    )]
    Nothing {
        /// Where was searched.
        dir: PathBuf,
        /// For which name.
        name: String,
    },
    /// Both names stand for one run.
    #[error(
        "\"{base}\" and \"{head}\" under {} are one run, which cannot be compared with itself. Save the older build's with `cargo bench -- --save-baseline NAME` and run `cargo bench` again after the change; `base` will not do, because criterion copies each run there as it ends",
        .dir.display()
    )]
    OneRun {
        /// Where was searched.
        dir: PathBuf,
        /// The name of base.
        base: String,
        /// The name of head.
        head: String,
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

/// Base's and head's benchmarks under `dir`, those that were not run for head marked: their last output is base's own, or was
/// saved long before the rest of head's.
///
/// # Errors
/// As [`read`]; [`CriterionError::OneRun`].
pub fn read_sides(dir: &Path, base: &str, head: &str) -> Result<(Vec<Bench>, Vec<Bench>), CriterionError> {
    let (base_benches, mut head_benches) = (read(dir, base)?, read(dir, head)?);
    // Two runs never take the same times to the last digit.
    let is_bases = |bench: &Bench| base_benches.iter().any(|of| (&of.id, &of.batches) == (&bench.id, &bench.batches));
    if head_benches.iter().all(is_bases) {
        return Err(CriterionError::OneRun { dir: dir.to_owned(), base: base.to_owned(), head: head.to_owned() });
    }
    let cure = "Run `cargo bench` again with it; if it was removed on purpose, remove its folder";
    let last_run = last_run(&head_benches);
    for bench in &mut head_benches {
        let before = last_run.zip(bench.saved).and_then(|(run, saved)| run.duration_since(saved).ok());
        bench.not_run = match before.filter(|before| !before.is_zero()) {
            _ if is_bases(bench) => {
                Some(format!("it was not run for head: \"{head}\" still holds the times saved as \"{base}\". {cure}"))
            }
            Some(before) => {
                let hours = before.as_secs_f64() / 3600.0;
                Some(format!(
                    "it was not run with the rest of head: what is saved as \"{head}\" is {hours:.0} hours older. {cure}"
                ))
            }
            None => None,
        };
    }
    Ok((base_benches, head_benches))
}

/// When the first benchmark of the last run was saved.
fn last_run(benches: &[Bench]) -> Option<SystemTime> {
    let mut times: Vec<SystemTime> = benches.iter().filter_map(|bench| bench.saved).collect();
    times.sort_by(|a, b| b.cmp(a));
    let latest = *times.first()?;
    Some(times.iter().fold(latest, |first, &time| {
        if first.duration_since(time).is_ok_and(|gap| gap <= ONE_RUN) { time } else { first }
    }))
}

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
            // Half of what criterion saves is a damaged benchmark, not one that is missing.
            let is_saved = |file: &&str| fs::symlink_metadata(path.join(file)).is_ok();
            if entry.file_name() == name && [SAMPLE, BENCHMARK].iter().any(is_saved) {
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

const SAMPLE: &str = "sample.json";
const BENCHMARK: &str = "benchmark.json";

fn bench(folder: &Path, from: String) -> Result<Bench, CriterionError> {
    let path = folder.join(SAMPLE);
    let sample: SampleFile = parse(&path)?;
    let BenchmarkFile { full_id: id } = parse(&folder.join(BENCHMARK))?;
    let io = |source| CriterionError::Io { path: path.clone(), source };
    // Where the system keeps no times, only what is base's own is known again.
    let saved = fs::metadata(&path).map_err(io)?.modified().ok();
    let wrong = |why: &str| CriterionError::Format { path: path.clone(), why: why.to_owned() };
    if sample.iters.len() != sample.times.len() || sample.times.is_empty() {
        return Err(wrong("its numbers of times and of iteration counts differ, or are 0"));
    }
    // criterion counts nanoseconds.
    let samples_s: Vec<f64> = sample.times.iter().zip(&sample.iters).map(|(time, iters)| time / iters * 1e-9).collect();
    if samples_s.iter().any(|seconds| !seconds.is_finite() || *seconds < 0.0) {
        return Err(wrong("a time per iteration is not a number of seconds"));
    }
    Ok(Bench { id, samples_s, from, not_run: None, saved, batches: sample.times })
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
