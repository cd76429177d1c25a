//! What a worker is told, and what it says: one JSON object in, JSON lines out. The same on this machine and on a phone.

use std::path::PathBuf;

use ditbench_backend_api::{CompileReport, MemoryMode, MemoryReport, Numerics, Placement, Profile, VersionReport};
use ditbench_record::MemoryMark;
use ditbench_workloads::models::ModelConfig;
use serde::{Deserialize, Serialize};

/// What one launch is to do. Sent to the worker on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The model, all sizes given.
    pub config: ModelConfig,
    /// Backend, by name.
    pub backend: String,
    /// Way of running, by name.
    pub variant: String,
    /// Device, by the backend's name for it.
    pub device: String,
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
    /// Instead of timing one prompt's image: one image of each of many prompts.
    #[serde(default)]
    pub series: Option<Series>,
    /// CPUs that the worker may use; `None`: as the system sees fit.
    #[serde(default)]
    pub cpus: Option<Vec<u32>>,
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
    /// Seconds of timed images at most; the image in flight is finished.
    pub seconds: f64,
    /// Enough when the median's 95 % interval is within ± this share of the median.
    pub relative_half_width: f64,
}

/// A part of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Token ids to embeddings.
    TextEncoder,
    /// One step.
    Denoiser,
    /// Latent to image.
    Decoder,
}

impl Component {
    /// The name that records use.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::Denoiser => "denoiser",
            Self::Decoder => "decoder",
        }
    }
}

/// What a worker says, a line each, in the order in which it happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The process is up.
    Started {
        /// Process id.
        pid: u32,
        /// The backend's versions.
        version: VersionReport,
        /// CPUs that the kernel lets it use, after pinning: `0-3`.
        #[serde(default)]
        cpus_allowed: Option<String>,
    },
    /// Memory at a moment.
    Memory(MemoryMark),
    /// One component is ready to run.
    Compiled {
        /// Which.
        component: Component,
        /// How long it took.
        report: CompileReport,
        /// The precision in which it computes.
        numerics: Numerics,
    },
    /// One image is done.
    Image {
        /// 0 for the first.
        index: usize,
        /// Seconds of the text encoder.
        text_encoder_s: f64,
        /// Seconds of each denoiser step.
        steps_s: Vec<f64>,
        /// Seconds of the decoder.
        decoder_s: f64,
        /// Seconds of the whole image, the sampler's arithmetic included.
        total_s: f64,
        /// Bytes of the image are those of the launch's first.
        same_bytes: bool,
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
    /// Where a component's nodes ran, and what the runtime knows of its memory.
    Ran {
        /// Which.
        component: Component,
        /// Where its nodes ran.
        placement: Placement,
        /// What the runtime itself says of its memory.
        memory: MemoryReport,
    },
    /// One pass of a component under the runtime's profiler.
    Profiled {
        /// Which.
        component: Component,
        /// The denoiser's step, from 0; with guidance a step has two passes.
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
