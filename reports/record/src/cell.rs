//! A cell: one model, on one backend, in one precision, on one device, with one number of threads.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Judged, Launch, MemoryPass, Quality, Reading, Status, Steady, Warning};

/// One row of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What makes it different from the others.
    pub key: CellKey,
    /// How it ended.
    pub status: Status,
    /// Why, and what to do; always there unless `status` is `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// The precision in which it really computed: `f64`, `f32`, `f16`, `weight_only`, `int8_activations`.
    #[serde(default)]
    pub numerics: Reading<String>,
    /// What the variant does, in a sentence.
    #[serde(default)]
    pub variant_about: String,
    /// Noise levels of an image, `steps + 1` of them from 1 to 0; empty where nothing ran, and in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sigmas: Vec<f64>,
    /// Versions of what computed.
    #[serde(default)]
    pub versions: Vec<Version>,
    /// Where the nodes really ran, by stage.
    #[serde(default)]
    pub placement: Vec<StagePlacement>,
    /// The weights it read, and what it made of them.
    #[serde(default)]
    pub weights: Option<WeightsUse>,
    /// The independent samples: one process each.
    #[serde(default)]
    pub launches: Vec<Launch>,
    /// Launches that a known cause spoiled (a throttled phone, a machine that slowed down, stolen processors): kept to be
    /// seen, made again.
    #[serde(default)]
    pub discarded: Vec<Launch>,
    /// Memory, measured in a process of its own in which nothing is timed.
    #[serde(default)]
    pub memory_pass: Reading<MemoryPass>,
    /// Nearness to the reference cell.
    #[serde(default)]
    pub quality: Reading<Quality>,
    /// How its pictures of many prompts were judged, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// The image it made: a PNG in the run's directory.
    #[serde(default)]
    pub image: Option<String>,
    /// Reserved: `None` in this version.
    #[serde(default)]
    pub latent_sha256: Option<String>,
    /// Time by block and operation, from passes of their own under the runtime's profiler.
    #[serde(default)]
    pub profile: Reading<Vec<ProfileRow>>,
    /// The same node by node, for Perfetto: a file in the run's directory.
    #[serde(default)]
    pub trace: Option<String>,
    /// A trace of the whole system while it ran, for Perfetto: a file in the run's directory; or why there is none. `None`: none
    /// was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_trace: Option<Reading<String>>,
    /// Whether the results of other cells of its workload are held against this one's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_reference: bool,
    /// What the reader should know.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

impl Cell {
    /// A cell that has not ended well.
    pub fn failed(key: CellKey, status: Status, reason: impl Into<String>) -> Self {
        Self { key, status, reason: Some(reason.into()), ..Self::default() }
    }

    /// Whether it gave something: it ended well, or a later launch failed and earlier ones count.
    pub fn has_result(&self) -> bool {
        self.status == Status::Ok || self.good_launches().next().is_some()
    }

    /// Launches that ended well.
    pub fn good_launches(&self) -> impl Iterator<Item = &Launch> {
        self.launches.iter().filter(|launch| launch.status == Status::Ok)
    }

    /// Seconds of each steady image, one list for each launch that reached a steady state.
    pub fn steady_totals(&self) -> Vec<Vec<f64>> {
        self.good_launches()
            .filter(|launch| launch.steady.state == Steady::Steady)
            .map(|launch| launch.timed().iter().map(|sample| sample.total_s).collect())
            .collect()
    }
}

/// What makes a cell different from the others of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellKey {
    /// `nano`, `tiny`, `small`, `full`, or a rung of the architecture ladder.
    pub model: String,
    /// Image height in pixels.
    pub height: u32,
    /// Image width in pixels.
    pub width: u32,
    /// `candle`, `tract`, `ort`, `reference`.
    pub backend: String,
    /// The backend's way of running the precision: `stock`, `tuned`, …
    pub variant: String,
    /// Device asked for: `cpu`, …
    pub device: String,
    /// Storage scheme of the weights: `f32`, `f16`, `q4`, `q8`, `mixed`, `palette4`.
    pub precision: String,
    /// Threads that computing may use.
    pub threads: u32,
    /// Images made at once.
    pub batch: u32,
    /// Denoiser steps of each image.
    pub steps: u32,
    /// Text tokens that the denoiser attends to.
    pub text_tokens: u32,
    /// What memory is spent on: `fast`, `small`.
    #[serde(default = "fast")]
    pub memory: String,
    /// How steps move the latent: `euler`, `renoise`; with classifier-free guidance, its scale behind: `euler+cfg4`.
    #[serde(default = "euler", skip_serializing_if = "is_euler")]
    pub sampler: String,
    /// CPUs that it may run on, as the kernel writes lists: `4-7`; empty where the system decides.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cpus: String,
}

fn fast() -> String {
    "fast".to_owned()
}

fn euler() -> String {
    "euler".to_owned()
}

fn is_euler(sampler: &str) -> bool {
    sampler == "euler"
}

impl CellKey {
    /// Unique within a run, safe as a file name:
    /// `tiny-512x512-ort-int8-cpu-q4-t2-b1-s4-x77-fast` (width × height; threads, batch, steps, text tokens), and the
    /// sampler behind it where that is not `euler`, and `c4-7` where it is pinned to CPUs.
    pub fn id(&self) -> String {
        self.id_of(self.width, self.height)
    }

    /// What older programs called it: height × width, which is another name for oblong images only.
    pub fn old_id(&self) -> String {
        self.id_of(self.height, self.width)
    }

    /// Whether a name of a cell of this size, in a record of whatever program, is this cell's.
    pub fn is_called(&self, id: &str) -> bool {
        id == self.id() || id == self.old_id()
    }

    fn id_of(&self, across: u32, down: u32) -> String {
        let mut id = format!(
            "{}-{across}x{down}-{}-{}-{}-{}-t{}-b{}-s{}-x{}-{}",
            self.model,
            self.backend,
            self.variant,
            self.device,
            self.precision,
            self.threads,
            self.batch,
            self.steps,
            self.text_tokens,
            self.memory
        );
        if !is_euler(&self.sampler) {
            id.push('-');
            id.push_str(&self.sampler);
        }
        if !self.cpus.is_empty() {
            id.push_str("-c");
            id.push_str(&self.cpus);
        }
        id.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect()
    }
}

impl CellKey {
    /// The scale of classifier-free guidance, which stands behind the sampler's rule: 4 in `euler+cfg4`.
    pub fn guidance(&self) -> Option<f64> {
        let (_rule, scale) = self.sampler.split_once("+cfg")?;
        scale.parse().ok()
    }

    /// Forward passes of the denoiser in a step: two with classifier-free guidance, which also encodes two prompts.
    pub fn passes_per_step(&self) -> u64 {
        if self.guidance().is_some() { 2 } else { 1 }
    }

    /// Passes of a stage in one image.
    pub fn passes_of(&self, stage: &str) -> f64 {
        let guided = self.passes_per_step() as f64;
        match stage {
            "denoiser" => guided * f64::from(self.steps),
            "text_encoder" => guided,
            _ => 1.0,
        }
    }
}

/// As [`CellKey::id`].
impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// The version of something that computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// `onnxruntime`, `candle-core`, …
    pub name: String,
    /// `1.31.1`.
    pub version: String,
    /// Binding, library hash, features, instruction set of the kernels.
    #[serde(default)]
    pub details: Vec<String>,
}

/// Where the nodes of one stage ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StagePlacement {
    /// `text_encoder`, `denoiser`, `decoder`.
    pub stage: String,
    /// The device asked for.
    pub asked: String,
    /// One entry for each device or execution provider that took nodes.
    #[serde(default)]
    pub entries: Vec<PlacementShare>,
    /// How this is known.
    #[serde(default)]
    pub source: String,
}

impl StagePlacement {
    /// Share of nodes, 0..1, on the device asked for; `None` if nothing is known.
    pub fn share_on_asked(&self) -> Option<f64> {
        let total: u64 = self.entries.iter().map(|entry| entry.nodes).sum();
        let asked: u64 = self.entries.iter().filter(|entry| entry.device == self.asked).map(|entry| entry.nodes).sum();
        (total > 0).then(|| asked as f64 / total as f64)
    }
}

/// The nodes that one device took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlacementShare {
    /// Device or execution provider.
    pub device: String,
    /// Nodes of the runtime's own graph.
    pub nodes: u64,
    /// Share of the time, 0..1, where known.
    #[serde(default)]
    pub time_share: Option<f64>,
}

/// The weights that a cell read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsUse {
    /// SHA-256 of the shared weight file.
    #[serde(default)]
    pub sha256: String,
    /// Bytes of weights on disk that the backend's sessions read.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// Bytes of weights as the sessions hold them, where the backend knows.
    #[serde(default)]
    pub resident_bytes: Option<u64>,
    /// What was unpacked, repacked or rounded: `palette4 unpacked to f32 at load`. Empty: run as stored.
    #[serde(default)]
    pub expanded: Vec<String>,
}

/// Time of one block's operations of one kind, under the profiler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileRow {
    /// `text_encoder`, `denoiser`, `decoder`.
    pub stage: String,
    /// The graph's block, such as `up.3` or `patch`; `None` for what the runtime added.
    #[serde(default)]
    pub scope: Option<String>,
    /// The graph's kind of operation; the runtime's own name of it for what the runtime added.
    #[serde(default)]
    pub op: String,
    /// Nodes summed into this row, in one pass.
    #[serde(default)]
    pub nodes: u64,
    /// Seconds of one forward pass; of the denoiser, the mean over its steps.
    pub seconds: f64,
    /// Floating-point operations of these nodes, where they are ours.
    #[serde(default)]
    pub flops: Option<u64>,
    /// Bytes of activations that they read and write in f32, and of weights as stored.
    #[serde(default)]
    pub bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_width_by_height_and_old_ones_are_known() {
        let key = CellKey { model: "tiny".into(), width: 768, height: 512, ..CellKey::default() };
        assert!(key.id().starts_with("tiny-768x512-") && key.old_id().starts_with("tiny-512x768-"), "{key}");
        assert!(key.is_called(&key.id()) && key.is_called(&key.old_id()) && !key.is_called("tiny"));
        let square = CellKey { width: 512, ..key };
        assert_eq!(square.id(), square.old_id());
    }

    #[test]
    fn guidance_stands_behind_the_rule() {
        let key = |sampler: &str| CellKey { sampler: sampler.into(), ..CellKey::default() };
        assert_eq!((key("euler+cfg4").guidance(), key("euler+cfg4").passes_per_step()), (Some(4.0), 2));
        assert_eq!((key("renoise").guidance(), key("renoise").passes_per_step()), (None, 1));
    }
}
