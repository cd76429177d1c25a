//! A cell: one model, on one backend, in one precision, on one device, with one number of threads.

use serde::{Deserialize, Serialize};

use super::{
    CellKey, CellStage, Counted, Device, Judged, Launch, MemoryPass, Quality, Reading, Role, Sample, Status, Steady,
    Warning,
};

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
    /// Its stages in the order in which an image passes through them; empty where nothing ran.
    #[serde(default)]
    pub stages: Vec<CellStage>,
    /// What it ran on, as far as its backend knows; `None` in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
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
    /// Instructions of one image, counted in a simulator where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Reading<Counted>>,
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

    /// Whether a run was stopped, or its budget ended, before there was a result.
    pub fn is_cut_short(&self) -> bool {
        self.status == Status::Interrupted && self.good_launches().next().is_none()
    }

    /// Whether nothing of it failed and there is a result, be it of fewer launches than were wanted.
    pub fn is_good(&self) -> bool {
        self.status == Status::Ok || (self.status == Status::Interrupted && !self.is_cut_short())
    }

    /// Whether it computes in 64-bit floats: others are held against it, and nobody ships it.
    pub fn is_in_64_bits(&self) -> bool {
        self.numerics.value().is_some_and(|numerics| numerics == "f64")
    }

    /// Whether its times are those of the device that it names.
    pub fn shows_speed(&self) -> bool {
        self.device.as_ref().is_none_or(Device::shows_speed)
    }

    /// Whether the machine's processor computes, as far as is known.
    pub fn is_on_processor(&self) -> bool {
        self.device.as_ref().is_none_or(|device| device.kind.is_none() || device.is_processor())
    }

    /// How it failed, or some of its launches did: what works most of the time has times, and is no result to rely on. `None` for what did
    /// not fail, or was only interrupted.
    pub fn failure(&self) -> Option<String> {
        let is_bad = |status: Status| !matches!(status, Status::Ok | Status::Interrupted);
        let bad: Vec<&Launch> = self.launches.iter().filter(|launch| is_bad(launch.status)).collect();
        let reason = |own: Option<&String>| {
            own.or(self.reason.as_ref()).cloned().unwrap_or_else(|| "no reason was recorded".to_owned())
        };
        if let Some(first) = bad.first() {
            let (count, of, reason) = (bad.len(), self.launches.len(), reason(first.reason.as_ref()));
            return Some(format!("{}: {count} of {of} launches failed: {reason}", first.status.name()));
        }
        is_bad(self.status).then(|| format!("{}: {}", self.status.name(), reason(None)))
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

impl Cell {
    /// What a stage is for; `None` for one that the cell does not name.
    pub fn role_of(&self, stage: &str) -> Option<Role> {
        self.stages.iter().find(|known| known.id == stage).map(|known| known.role)
    }

    /// Passes of a stage in one image.
    pub fn passes_of(&self, stage: &str) -> f64 {
        self.stages.iter().find(|known| known.id == stage).map_or(1.0, |known| f64::from(known.passes))
    }

    /// Whether it has a stage of that role.
    pub fn has_role(&self, role: Role) -> bool {
        self.stages.iter().any(|stage| stage.role == role)
    }

    /// Seconds of an image in the stages of a role; `None` if none of them ran.
    pub fn seconds(&self, sample: &Sample, role: Role) -> Option<f64> {
        let seconds = sample.by_role(&self.stages, role);
        (!seconds.is_empty()).then(|| seconds.iter().sum())
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
    /// The stage's id: `denoiser`.
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
    /// The stage's id: `denoiser`.
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
    use crate::StageSeconds;

    fn stage(id: &str, role: Role, passes: u32) -> CellStage {
        CellStage { id: id.into(), role, passes }
    }

    #[test]
    fn stages_of_one_role_come_together_and_what_is_not_there_is_not_zero() {
        let cell = Cell {
            stages: vec![
                stage("denoiser_64", Role::Denoiser, 4),
                stage("denoiser_256", Role::Denoiser, 2),
                stage("decoder", Role::Decoder, 1),
            ],
            ..Cell::default()
        };
        let took = |stage: &str, seconds: &[f64]| StageSeconds { stage: stage.into(), seconds: seconds.to_vec() };
        let sample = Sample {
            stages: vec![
                took("denoiser_64", &[1.0, 2.0]),
                took("denoiser_256", &[4.0]),
                took("decoder", &[8.0]),
                took("of_nobody", &[16.0]),
            ],
            ..Sample::default()
        };
        assert_eq!(sample.by_role(&cell.stages, Role::Denoiser), [1.0, 2.0, 4.0]);
        assert_eq!(
            (cell.seconds(&sample, Role::Denoiser), cell.seconds(&sample, Role::Decoder)),
            (Some(7.0), Some(8.0))
        );
        assert_eq!((cell.seconds(&sample, Role::Encoder), cell.has_role(Role::Encoder)), (None, false));
        assert_eq!((cell.passes_of("denoiser_64"), cell.role_of("denoiser_256")), (4.0, Some(Role::Denoiser)));
        assert_eq!((sample.in_stages_s(), cell.role_of("of_nobody")), (31.0, None));
    }
}
