//! A worker as a process: how it is started, and what became of it.

pub mod company;
pub mod local;
mod reap;

use std::path::PathBuf;
use std::time::Duration;

use ditbench_record::{ClockOffset, ForeignLoad, Reading, Telemetry};
use serde::{Deserialize, Serialize};

/// How a worker ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exit {
    /// What ended it.
    pub cause: Cause,
    /// Largest resident set over its life, bytes, by the kernel's account.
    pub max_rss: Option<u64>,
    /// What was seen of the machine meanwhile.
    pub observed: Observed,
}

/// What a host saw of a machine during a launch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Sensors while the worker was at work.
    pub telemetry: Vec<Telemetry>,
    /// CPUs on which its threads were seen at work.
    pub cpus_seen: Vec<u32>,
    /// The machine's clock against ours.
    pub clock: Option<ClockOffset>,
    /// What else ran on the CPUs that the worker was allowed.
    #[serde(default)]
    pub foreign: Reading<ForeignLoad>,
    /// What became of its company, where the order wanted some.
    #[serde(default)]
    pub company: Option<Box<CompanyDone>>,
    /// Bytes of a trace of the whole system, where one was asked for.
    #[serde(default)]
    pub system_trace: Option<Reading<u64>>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// What a launch's company came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompanyDone {
    /// Pieces of work a second, all threads together.
    pub units_per_s: Reading<f64>,
    /// Seconds of processor time that it used.
    pub cpu_s: Reading<f64>,
    /// Why the launch did not have the company that it was to have; `None` if it had.
    pub lost: Option<String>,
}

impl CompanyDone {
    /// It was not there from the beginning to the end, because.
    pub fn lost(why: String, cpu_s: Reading<f64>) -> Self {
        Self { units_per_s: Reading::absent(&why), cpu_s, lost: Some(why) }
    }
}

/// What ended a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It said that it was done and exited with 0.
    Finished,
    /// It said that it failed, and why; or it died without a word, and the end of its error output is here.
    Failed {
        /// Whether the backend cannot do this at all.
        unsupported: bool,
        /// In its words or ours.
        why: String,
    },
    /// The kernel killed it for want of memory, or an allocation failed.
    OutOfMemory(String),
    /// It was still at work at its deadline and was killed.
    TimedOut(Duration),
    /// The user interrupted the run.
    Interrupted,
    /// The machine went out of reach; the worker may still be at work there.
    Lost(String),
}

/// This program, to start again as a worker or as the run of another machine. It may have been built anew or removed since it
/// was started: then what is started is still the program that runs, where the system can name it.
///
/// # Errors
/// The system cannot say where it is.
pub fn this_program() -> std::io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use std::os::unix::fs::MetadataExt;
        let running = PathBuf::from("/proc/self/exe");
        let file = |path: &PathBuf| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        if file(&running).is_some() && file(&running) != file(&path) {
            return Ok(running);
        }
    }
    Ok(path)
}
