//! The verdict: is head slower, bigger, wrong or elsewhere than base? One object, from which every face is made.
//!
//! Contract: made from records (and criterion's saved estimates) alone. Three outcomes: *regressed* only if the whole
//! interval of the change lies above the gate's threshold, the change itself is beyond three times the machine's noise
//! (where that is known), and it is beyond chance among all tests (q ≤ level); *ok* only if the whole interval lies below
//! the larger of both; else *inconclusive*, with the smallest change that could have been seen and the
//! number of launches that would decide. A fall-back from the asked device, a latent beyond its tolerance, and a cell that
//! worked in base and does not in head fail whatever the speed. What cannot be compared is refused, not guessed.

pub mod aa;
mod compare;
mod counted;
pub mod criterion;
mod design;
mod drift;
pub mod faces;
mod findings;
mod fit;
pub mod gate;
mod judge;
pub mod noise;
pub mod plan;
mod samples;
mod sides;

use serde::{Deserialize, Serialize};

pub use compare::compare;
pub use design::Design;
pub(crate) use findings::faults;
pub use findings::{Apart, Fault, Finding};
pub use fit::Difference;
pub use fit::{differences, named};
pub use gate::{Gate, GateError};
pub use sides::{CompareError, Options, Side};

pub use crate::metric::{Basis, Enforce, Metric};
use crate::record::CellKey;

/// Version of [`Verdict`] as JSON. 2: `threshold_from` is an object, and `reason` stands beside it. 3: keys are those of records of
/// version 2.
pub const SCHEMA_VERSION: u32 = 3;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not worse by more than the threshold.
    Ok,
    /// Cannot be told with so many samples and so much noise.
    Inconclusive,
    /// Worse by more than the threshold.
    Regressed,
}

impl Outcome {
    /// The word that every face uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Inconclusive => "inconclusive",
            Self::Regressed => "regressed",
        }
    }
}

/// How large a change is, in thresholds: 1.5, 3, 6 and 12 of them are the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Magnitude {
    /// Below the threshold.
    Negligible,
    /// Below 1.5 thresholds.
    VerySmall,
    /// Below 3.
    Small,
    /// Below 6.
    Medium,
    /// Below 12.
    Large,
    /// 12 and more.
    VeryLarge,
}

impl Magnitude {
    /// The magnitude of a change of so many thresholds, for better or worse.
    pub fn of(thresholds: f64) -> Self {
        match thresholds.abs() {
            t if t < 1.0 => Self::Negligible,
            t if t < 1.5 => Self::VerySmall,
            t if t < 3.0 => Self::Small,
            t if t < 6.0 => Self::Medium,
            t if t < 12.0 => Self::Large,
            _ => Self::VeryLarge,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Negligible => "negligible",
            Self::VerySmall => "very small",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::VeryLarge => "very large",
        }
    }
}

/// One comparison of two builds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The worst of all cells; inconclusive if nothing could be compared.
    pub outcome: Outcome,
    /// What was compared with.
    pub base: SideInfo,
    /// What was compared.
    pub head: SideInfo,
    /// How it was judged.
    pub method: Method,
    /// Differences between the records that were allowed by option, each in a sentence.
    pub allowed: Vec<String>,
    /// What the reader should know, in sentences.
    pub cautions: Vec<String>,
    /// Every cell of either side, in the order of base, then what only head has.
    pub cells: Vec<CellVerdict>,
    /// The gate as applied, defaults filled in.
    pub gate: Gate,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SideInfo {
    /// What it is called: a revision, a path.
    pub label: String,
    /// Its records.
    pub runs: Vec<RunRef>,
}

/// A record that was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRef {
    /// The run's id; of criterion's estimates, the directory.
    pub id: String,
    /// When it began.
    pub created: String,
    /// The source revision, if known.
    pub revision: Option<String>,
    /// Whether the source had changes that no commit holds.
    pub dirty: Option<bool>,
    /// Version of ditbench.
    pub tool_version: String,
}

/// How it was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Independent or paired launches.
    pub design: Design,
    /// Bound on q; intervals hold with 1 − level.
    pub level: f64,
    /// Tests among which q is adjusted.
    pub tests: usize,
    /// The chance with which the smallest detectable change is seen.
    pub power: f64,
    /// Where the noise is from that raised thresholds, if any did.
    pub noise_from: Option<String>,
}

/// What became of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Ended well on both sides.
    Compared,
    /// Ended well in base, is missing or failed in head.
    Broken,
    /// Failed in base, ended well in head.
    Fixed,
    /// Head only.
    New,
    /// Failed on both sides.
    FailedOnBoth,
    /// One side has it, and the other never reached it: it was stopped, or its budget had no room.
    LeftOut,
}

/// The verdict on one cell, or one criterion benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellVerdict {
    /// [`CellKey::id`], or the benchmark's id.
    pub id: String,
    /// In words.
    pub label: String,
    /// The cell's key; `None` for a benchmark.
    pub key: Option<CellKey>,
    /// What became of it.
    pub state: CellState,
    /// Its outcome; `None` if there was nothing to judge.
    pub outcome: Option<Outcome>,
    /// What fails it whatever its speed.
    pub findings: Vec<Finding>,
    /// What could not be checked, so that such a fault would go unseen, in sentences.
    #[serde(default)]
    pub unchecked: Vec<String>,
    /// What else the reader should know, in sentences.
    pub notes: Vec<String>,
    /// Its numbers.
    pub metrics: Vec<MetricVerdict>,
}

impl CellVerdict {
    /// Everything that the reader should know.
    pub fn remarks(&self) -> impl Iterator<Item = &String> {
        self.unchecked.iter().chain(&self.notes)
    }

    /// The verdict on one metric.
    pub fn metric(&self, metric: Metric) -> Option<&MetricVerdict> {
        self.metrics.iter().find(|one| one.metric == metric)
    }
}

/// The verdict on one number of a cell.
///
/// A change is a share of the base or in the metric's unit ([`Metric::scale`]), with its sign: whether it is for the worse
/// depends on [`Metric::better`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricVerdict {
    /// Which.
    pub metric: Metric,
    /// Its outcome.
    pub outcome: Outcome,
    /// Better by more than the threshold: a flavour of ok.
    pub improved: bool,
    /// What the outcome means for the whole.
    pub enforce: Enforce,
    /// What its samples are.
    pub basis: Basis,
    /// Median of base.
    pub base: Option<f64>,
    /// Median of head.
    pub head: Option<f64>,
    /// Samples of base.
    pub base_samples: usize,
    /// Samples of head.
    pub head_samples: usize,
    /// The Hodges-Lehmann shift, as a change; by value, the difference.
    pub change: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// The chance of such a difference if nothing has changed: Mann-Whitney, or signed rank if paired.
    pub p: Option<f64>,
    /// p adjusted for all tests of this verdict (Benjamini and Hochberg).
    pub q: Option<f64>,
    /// Cliff's delta of head against base.
    pub cliffs_delta: Option<f64>,
    /// The largest change for the worse that the gate allows: of a regression, the whole interval is above it.
    pub gate_threshold: f64,
    /// The same in view of the machine's noise, where `aa` measured it: of a regression, the change itself is above it; what
    /// is wholly below it is ok.
    pub threshold: f64,
    /// Where the threshold is from.
    pub threshold_from: ThresholdFrom,
    /// Why the gate has it.
    pub reason: String,
    /// The change in thresholds.
    pub magnitude: Magnitude,
    /// The smallest change for the worse that these samples could have seen.
    pub detectable: Option<f64>,
    /// Launches on each side that would be enough to decide a change of this size; the present number if it is decided.
    pub enough: Option<usize>,
    /// The confirming block, if there was one.
    pub confirmed: Option<Confirmation>,
    /// Why this outcome, in a sentence.
    pub why: String,
}

/// Where a threshold is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ThresholdFrom {
    /// The largest change that the gate lets pass.
    MaxChange,
    /// The gate's floor, in the number's unit: it is more than the largest change.
    Floor {
        /// How much.
        floor: f64,
    },
    /// Three times what chance alone does to the number on this machine.
    Noise {
        /// In which runs that was found.
        of: String,
    },
}

/// What the confirming block of launches said by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Its shift, as a change.
    pub change: Option<f64>,
    /// Its launches on each side.
    pub launches: usize,
    /// Whether it agrees: its own change is beyond the threshold too, and two thirds of its pairs are worse.
    pub agrees: bool,
}

impl Verdict {
    /// The exit code of a command that ends with this verdict: 0 ok, 1 regressed, 3 inconclusive. (2 is wrong usage or
    /// environment, and never a verdict.)
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Ok => 0,
            Outcome::Regressed => 1,
            Outcome::Inconclusive => 3,
        }
    }

    /// The cell of that id.
    pub fn cell(&self, id: &str) -> Option<&CellVerdict> {
        self.cells.iter().find(|cell| cell.id == id)
    }

    /// Every metric that fails the whole, with its cell.
    pub fn regressions(&self) -> impl Iterator<Item = (&CellVerdict, &MetricVerdict)> {
        self.with(|metric| metric.fails())
    }

    /// Every strict metric that could not be decided.
    pub fn undecided(&self) -> impl Iterator<Item = (&CellVerdict, &MetricVerdict)> {
        self.with(|metric| metric.undecided())
    }

    /// Every metric that became better by more than its threshold.
    pub fn improvements(&self) -> impl Iterator<Item = (&CellVerdict, &MetricVerdict)> {
        self.with(|metric| metric.improved)
    }

    /// Every finding, with its cell.
    pub fn findings(&self) -> impl Iterator<Item = (&CellVerdict, &Finding)> {
        self.cells.iter().flat_map(|cell| cell.findings.iter().map(move |finding| (cell, finding)))
    }

    fn with(&self, wanted: fn(&MetricVerdict) -> bool) -> impl Iterator<Item = (&CellVerdict, &MetricVerdict)> {
        self.cells
            .iter()
            .flat_map(|cell| cell.metrics.iter().map(move |metric| (cell, metric)))
            .filter(move |(_, metric)| wanted(metric))
    }

    /// Sums up the cells again: for whoever changed one.
    pub(crate) fn settle(&mut self) {
        for cell in &mut self.cells {
            cell.settle();
        }
        let worst = self.cells.iter().filter_map(|cell| cell.outcome).max();
        self.outcome = worst.unwrap_or(Outcome::Inconclusive);
    }
}

impl CellVerdict {
    pub(crate) fn settle(&mut self) {
        let judged = match self.state {
            CellState::Compared | CellState::Broken | CellState::LeftOut => true,
            CellState::Fixed | CellState::New | CellState::FailedOnBoth => !self.findings.is_empty(),
        };
        let failed = !self.findings.is_empty() || self.metrics.iter().any(MetricVerdict::fails);
        self.outcome = judged.then_some(if failed {
            Outcome::Regressed
        } else if self.metrics.is_empty() || self.metrics.iter().any(MetricVerdict::undecided) {
            Outcome::Inconclusive
        } else {
            Outcome::Ok
        });
    }
}

impl MetricVerdict {
    /// Whether it fails the whole.
    pub fn fails(&self) -> bool {
        self.outcome == Outcome::Regressed && self.enforce != Enforce::Show
    }

    /// Whether it leaves the whole undecided.
    pub fn undecided(&self) -> bool {
        self.outcome == Outcome::Inconclusive && self.enforce == Enforce::Strict
    }

    /// The outcome in a word: `improved` for that flavour of ok.
    pub fn word(&self) -> &'static str {
        if self.improved && self.outcome == Outcome::Ok { "improved" } else { self.outcome.name() }
    }

    /// The threshold, as a change or, where that is what counts, in the metric's unit: `2.0 %`, `1.00 ms (floor)`.
    pub fn show_threshold(&self) -> String {
        match self.threshold_from {
            ThresholdFrom::Floor { floor } => format!("{} (floor)", self.metric.show(floor)),
            ThresholdFrom::MaxChange | ThresholdFrom::Noise { .. } => {
                self.metric.show_change(self.threshold).trim_start_matches('+').to_owned()
            }
        }
    }

    /// The change with its interval: `+5.1 % [+4.2 %, +6.0 %]`; a dash if there is none.
    pub fn show_change(&self) -> String {
        let show = |value: f64| self.metric.show_change(value);
        match (self.change, self.low.zip(self.high)) {
            (None, _) => "–".to_owned(),
            (Some(change), None) => show(change),
            (Some(change), Some((low, high))) => format!("{} [{}, {}]", show(change), show(low), show(high)),
        }
    }
}
