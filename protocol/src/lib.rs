//! What a worker is told, and what it says: one JSON object in, JSON lines out. The same on this machine and on a phone.
//! docs/PROTOCOL.md says it in words, field by field.

mod order;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ditbench_backend_api::{
    CompileOptions, CompileReport, MemoryMode, MemoryReport, Numerics, Placement, Profile, VersionReport,
};
use ditbench_record::{Count, Counter, MemoryMark, Reading, StageSeconds};
use ditbench_workloads::Choice;
use serde::{Deserialize, Serialize};

pub use ditbench_external::Row as EngineRow;
pub use order::{EVENTS_FD, OrderError, VERSION, newer_events, read_order};

/// What one launch is to do. Sent to the worker on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// [`VERSION`] of whoever wrote it.
    #[serde(default)]
    pub protocol: u32,
    /// Environment variables that the worker sets before it does anything else: its backends read some of them only once.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The workload, its model and size, and what was chosen on its axes.
    pub choice: Choice,
    /// Backend, by name.
    pub backend: String,
    /// Its row of engines.toml, where it is an engine outside the program.
    #[serde(default)]
    pub engine: Option<EngineRow>,
    /// Way of running, by name.
    pub variant: String,
    /// Device, by the backend's name for it.
    pub device: String,
    /// Whether nodes that the device does not take may run on the processor.
    #[serde(default)]
    pub allow_fallback: bool,
    /// Threads.
    pub threads: usize,
    /// Speed or memory.
    pub memory: MemoryMode,
    /// Prepared weights, a safetensors file.
    pub weights: PathBuf,
    /// Prompt tokens, noise, features: a safetensors file that every cell of the workload shares.
    pub inputs: PathBuf,
    /// Folder in which backends keep what they make from a model.
    pub cache: PathBuf,
    /// Where to write the first image and its latents.
    pub outputs: Option<Outputs>,
    /// When to stop.
    pub stop: StopRule,
    /// Whether to make one more image, apart from the timed ones, under the runtime's profiler.
    pub profile: bool,
    /// What of the processor's counters is read.
    #[serde(default)]
    pub counters: Counting,
    /// Whether to find out, when all is measured, where nodes run: it may take a pass of its own, and so time and memory.
    #[serde(default)]
    pub placement: bool,
    /// Instead of timing one prompt's image: one image of each of many prompts.
    #[serde(default)]
    pub series: Option<Series>,
    /// CPUs that the worker may use; `None`: as the system sees fit.
    #[serde(default)]
    pub cpus: Option<Vec<u32>>,
    /// Threads that are to be kept busy beside the worker, on the same CPUs, by whoever starts it; the worker does not look at it.
    #[serde(default, skip_serializing_if = "is_alone")]
    pub company: u32,
}

fn is_alone(company: &u32) -> bool {
    *company == 0
}

impl LaunchSpec {
    /// How its stages are compiled.
    pub fn compile_options(&self) -> CompileOptions {
        CompileOptions {
            device: self.device.clone(),
            threads: self.threads,
            variant: self.variant.clone(),
            memory: self.memory,
            cache: self.cache.clone(),
            allow_fallback: self.allow_fallback,
        }
    }
}

/// What of the processor's counters a launch reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// Nothing: none is opened.
    Off,
    /// All of them, around each image.
    #[default]
    Images,
    /// As well the instructions of each stage, in one more image, which is not timed.
    Stages,
}

/// Files that a launch writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outputs {
    /// The image, PNG.
    pub image: PathBuf,
    /// Latents after each step and the decoder's output, safetensors.
    pub latents: PathBuf,
}

/// Images of many prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// In order.
    pub pictures: Vec<SeriesPicture>,
    /// Where to write the last latent of each, safetensors.
    pub latents: PathBuf,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesPicture {
    /// Prompt tokens, noise, features, as [`LaunchSpec::inputs`].
    pub inputs: PathBuf,
    /// Where to write the image, PNG.
    pub image: PathBuf,
}

/// When a launch stops timing images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRule {
    /// Images at most, the first included.
    pub images: usize,
    /// Seconds of timed images at most; the image in flight is finished, and there are `least`.
    pub seconds: f64,
    /// Enough when the median's 95 % interval is within ± this share of the median.
    pub relative_half_width: f64,
    /// Images that are made however long they take, unless `images` are fewer.
    #[serde(default)]
    pub least: usize,
}

/// What a worker says, a line each, in the order in which it happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The process is up.
    Started {
        /// [`VERSION`] of the worker.
        #[serde(default)]
        protocol: u32,
        /// The process that computes: the worker, or an engine outside the program.
        pid: u32,
        /// The backend's versions.
        version: VersionReport,
        /// CPUs that the kernel lets it use, after pinning: `0-3`.
        #[serde(default)]
        cpus_allowed: Option<String>,
        /// What each of the processor's counters counts, or why it does not.
        #[serde(default)]
        counters: BTreeMap<Counter, Reading<String>>,
    },
    /// Memory at a moment.
    Memory(MemoryMark),
    /// One stage is ready to run.
    Compiled {
        /// Its id.
        stage: String,
        /// How long it took.
        report: CompileReport,
        /// The precision in which it computes.
        numerics: Numerics,
    },
    /// One image is done.
    Image {
        /// 0 for the first.
        index: usize,
        /// Stages in the order in which they first ran.
        stages: Vec<StageSeconds>,
        /// Seconds of the whole image, the host's arithmetic included.
        total_s: f64,
        /// Bytes of the image are those of the launch's first.
        same_bytes: bool,
        /// What the processor's counters counted around it; empty where there are none.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        counts: BTreeMap<Counter, Count>,
    },
    /// One image of a series is on disk.
    Made {
        /// 0 for the first.
        index: usize,
    },
    /// The first image and its latents are on disk.
    Saved {
        /// SHA-256 of the image's raw output.
        image_sha256: String,
    },
    /// All images are made: what the runtime itself says of a stage's memory.
    Ran {
        /// The stage's id.
        stage: String,
        /// What it says.
        memory: MemoryReport,
        /// Instructions of each pass of one more image, which is not timed.
        #[serde(default)]
        instructions: Reading<Vec<f64>>,
    },
    /// Where a stage's nodes run.
    Placed {
        /// The stage's id.
        stage: String,
        /// Where.
        placement: Placement,
    },
    /// One pass of a stage under the runtime's profiler.
    Profiled {
        /// The stage's id.
        stage: String,
        /// The step, from 0, where the stage runs in steps; with guidance a step has two passes.
        step: Option<u32>,
        /// Times by node.
        profile: Profile,
    },
    /// All done; the last line.
    Finished,
    /// The launch failed; the last line.
    Failed {
        /// Whether the backend said that it cannot do this at all.
        unsupported: bool,
        /// What was wrong and what to do.
        why: String,
    },
}
