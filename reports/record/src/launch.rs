//! A launch: one process of a cell, the independent sample. And its images, memory and sensors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reading::{AnySample, STAGES};
use super::{
    Calibration, CellStage, Company, Count, Counter, Counters, ForeignLoad, Reading, Role, StageSeconds, Status,
};

/// One process of a cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// 0, 1, … within the cell.
    pub index: u32,
    /// 0, 1, … within the run, over all cells: in which order things were measured.
    #[serde(default)]
    pub order: u32,
    /// Process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// When it started, RFC 3339 in UTC.
    #[serde(default)]
    pub started: String,
    /// How it ended.
    pub status: Status,
    /// Why, unless `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Making the sessions, by stage.
    #[serde(default)]
    pub compile: Vec<StageCompile>,
    /// Every image of this process in order, the first included.
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// Whether every image had the bytes of the first; `None` where there was one image, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_bytes: Option<bool>,
    /// Whether, and from which image on, times stopped drifting.
    #[serde(default)]
    pub steady: SteadyState,
    /// Memory at named moments of this timed process.
    #[serde(default)]
    pub memory: Vec<MemoryMark>,
    /// `ru_maxrss` of `wait4`: the most memory resident at once, as the kernel tells the parent. `None` where the process did more
    /// after its images, and a mark before that has their high water.
    #[serde(default)]
    pub max_rss_bytes: Option<u64>,
    /// Sensors at named moments.
    #[serde(default)]
    pub telemetry: Vec<Telemetry>,
    /// On which CPUs it ran.
    #[serde(default)]
    pub cpus: Option<CpusUsed>,
    /// The clock of the machine that ran it against the host's, where they are two.
    #[serde(default)]
    pub clock: Option<ClockOffset>,
    /// What the reader should know of this launch: what sampling cost, that the connection broke.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The fixed calibration loop around this launch.
    #[serde(default)]
    pub calibration: Calibration,
    /// What else ran on its CPUs, from its start to its end.
    #[serde(default)]
    pub foreign: Reading<ForeignLoad>,
    /// What was kept busy beside it; `None` where nothing was ([`crate::CellKey::company`] is 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Company>,
    /// The processor's counters; `None` in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

impl Launch {
    /// The first image of the process: cold caches, lazy initialisation.
    pub fn first(&self) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.image == 0)
    }

    /// The images that count as timed: from the first steady one on where the launch became steady, else all but the
    /// first (and [`SteadyState::state`] says that they are not steady). Samples removed for a cause are left out.
    pub fn timed(&self) -> Vec<&Sample> {
        let from = match self.steady.state {
            Steady::Steady => self.steady.from.unwrap_or(1).max(1),
            _ => 1,
        };
        self.samples.iter().filter(|sample| sample.image >= from && sample.removed.is_none()).collect()
    }

    /// Seconds to make all sessions: files written and model loaded. `None` if nothing was recorded.
    pub fn compile_s(&self) -> Option<f64> {
        (!self.compile.is_empty()).then(|| self.compile.iter().map(|stage| stage.export_s + stage.load_s).sum())
    }
}

/// CPUs of a launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpusUsed {
    /// CPUs that the kernel allowed it (`Cpus_allowed_list`), after pinning: `4-7`.
    #[serde(default)]
    pub allowed: Option<String>,
    /// CPUs on which its threads were seen at work; empty where nobody looked.
    #[serde(default)]
    pub seen: Vec<u32>,
}

impl CpusUsed {
    /// How many CPUs it was allowed; `None` if the list is not there or not a list.
    pub fn count(&self) -> Option<u32> {
        u32::try_from(crate::cpus::parse(self.allowed.as_deref()?)?.len()).ok()
    }
}

/// One clock against another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// Seconds that the measured machine's clock is ahead of the host's.
    pub offset_s: f64,
    /// Half the time of the question: the offset is known no better.
    pub uncertainty_s: f64,
}

/// The making of one stage's session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageCompile {
    /// The stage's id: `denoiser`.
    pub stage: String,
    /// Seconds spent writing files that the runtime reads.
    #[serde(default)]
    pub export_s: f64,
    /// Whether those files were found rather than written; `None` where the backend needs none.
    #[serde(default)]
    pub export_cached: Option<bool>,
    /// Seconds that the runtime took to load, optimise and prepare.
    pub load_s: f64,
    /// Bytes of weights on disk that the session reads.
    #[serde(default)]
    pub weight_file_bytes: Option<u64>,
    /// Bytes of weights as the session holds them, where the backend knows.
    #[serde(default)]
    pub weight_resident_bytes: Option<u64>,
}

/// The times of one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AnySample")]
pub struct Sample {
    /// 0 is the first image of the process.
    pub image: u32,
    /// Seconds from prompt to pixels.
    pub total_s: f64,
    /// Stages in the order in which they first ran; what each is for says [`crate::Cell::stages`].
    pub stages: Vec<StageSeconds>,
    /// Seconds of the rest: sampler arithmetic, copies, bookkeeping.
    pub harness_s: f64,
    /// When it was done: seconds after the launch began, on the clock of [`Launch::telemetry`].
    pub ended_s: Option<f64>,
    /// Reserved for a known cause for which it does not count: `None` in this version. Outliers are labelled, never removed.
    pub removed: Option<String>,
    /// What the processor's counters counted around it; empty where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<Counter, Count>,
}

impl Sample {
    /// Seconds of a stage, one entry for each step; none if it did not run.
    pub fn of(&self, stage: &str) -> &[f64] {
        self.stages.iter().find(|known| known.stage == stage).map_or(&[], |known| &known.seconds)
    }

    /// Seconds of all stages together.
    pub fn in_stages_s(&self) -> f64 {
        self.stages.iter().flat_map(|stage| &stage.seconds).sum()
    }

    /// Seconds of everything that these stages have of a role, in their order, step by step.
    pub fn by_role(&self, stages: &[CellStage], role: Role) -> Vec<f64> {
        let of_role = stages.iter().filter(|stage| stage.role == role);
        of_role.flat_map(|stage| self.of(&stage.id)).copied().collect()
    }
}

impl TryFrom<AnySample> for Sample {
    type Error = String;

    fn try_from(any: AnySample) -> Result<Self, String> {
        let stages = match (any.stages, any.text_encoder_s, any.steps_s, any.decoder_s) {
            (Some(stages), ..) => stages,
            (None, Some(encoder), Some(steps), Some(decoder)) => {
                let all = STAGES.into_iter().zip([vec![encoder], steps, vec![decoder]]);
                let took = |((stage, _), seconds): ((&str, Role), Vec<f64>)| {
                    let ran = seconds.iter().any(|seconds| *seconds != 0.0);
                    ran.then(|| StageSeconds { stage: stage.to_owned(), seconds })
                };
                all.filter_map(took).collect()
            }
            _ => return Err("the sample has no `stages`".to_owned()),
        };
        let AnySample { image, total_s, harness_s, ended_s, removed, counts, .. } = any;
        Ok(Self { image, total_s, stages, harness_s, ended_s, removed, counts })
    }
}

/// Whether times stopped drifting within a launch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SteadyState {
    /// The outcome.
    pub state: Steady,
    /// The first steady image; `None` unless `steady`.
    #[serde(default)]
    pub from: Option<u32>,
    /// The rule and what it found, in words.
    #[serde(default)]
    pub said: String,
}

/// How the times of one launch developed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steady {
    /// They settled.
    Steady,
    /// They were still getting faster when the cap was reached.
    Warming,
    /// They were getting slower: heat, or a leak.
    Slowing,
    /// No warm-up was seen: the first image is as fast as the rest.
    Flat,
    /// No pattern.
    None,
    /// Too few images to tell.
    #[default]
    TooFew,
}

impl Steady {
    /// The words that tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Warming => "still warming up",
            Self::Slowing => "slowing down",
            Self::Flat => "flat from the start",
            Self::None => "never steady",
            Self::TooFew => "too few images to tell",
        }
    }
}

/// Memory of a process at one moment, in bytes, from the kernel's own books. `None`: the kernel does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryMark {
    /// `started`, `compiled`, `first_image`, `steady`, `ended`.
    pub name: String,
    /// Resident (VmRSS).
    #[serde(default)]
    pub rss: Option<u64>,
    /// Resident and anonymous (RssAnon): what cannot be dropped and read again.
    #[serde(default)]
    pub rss_anon: Option<u64>,
    /// Resident and file-mapped (RssFile).
    #[serde(default)]
    pub rss_file: Option<u64>,
    /// Swapped out (VmSwap).
    #[serde(default)]
    pub swap: Option<u64>,
    /// Proportional set size (Pss): shared pages divided by their users.
    #[serde(default)]
    pub pss: Option<u64>,
    /// The most resident until now (VmHWM).
    #[serde(default)]
    pub high_water: Option<u64>,
}

/// A process in which only memory was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryPass {
    /// Process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Memory at named moments.
    #[serde(default)]
    pub marks: Vec<MemoryMark>,
    /// `ru_maxrss` of `wait4`.
    #[serde(default)]
    pub max_rss_bytes: Option<u64>,
    /// The most bytes that the runtime accounts for as in use, all stages together.
    #[serde(default)]
    pub runtime_peak_bytes: Option<u64>,
    /// Bytes that the runtime's arena reserved.
    #[serde(default)]
    pub runtime_reserved_bytes: Option<u64>,
}

impl MemoryPass {
    /// The most resident memory that any source saw. `None` if none did.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.marks.iter().filter_map(|mark| mark.high_water.max(mark.rss)).chain(self.max_rss_bytes).max()
    }
}

/// Sensors at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Seconds after the launch started.
    pub at_s: f64,
    /// `before`, `during`, `after`, …
    #[serde(default)]
    pub moment: String,
    /// Values by name with the unit in it: `cpu_mhz`, `cpu_temperature_c`, `cpu_pressure_percent`, `package_energy_j`.
    #[serde(default)]
    pub readings: BTreeMap<String, Reading<f64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_cpus_are_counted() {
        let count = |list: &str| CpusUsed { allowed: Some(list.to_owned()), seen: Vec::new() }.count();
        assert_eq!((count("0-1"), count("4"), count("0-3,7,9-10\n")), (Some(2), Some(1), Some(7)));
        for odd in ["", "x", "3-1", "0-4294967295", "1,,2"] {
            assert_eq!(count(odd), None, "{odd}");
        }
        assert_eq!(CpusUsed::default().count(), None);
    }
}
