//! The noise of a machine: how far numbers of one build lie apart there, and what that does to thresholds.
//!
//! Contract: three times the p90 of a series' own noise is what a change must exceed to be a regression ([`super::aa`] finds it).
//! It is the noise of a comparison of so many launches; for another number it is scaled by the square root.

use serde::{Deserialize, Serialize};

use crate::history::series::fingerprint;
use crate::metric::Metric;
use crate::record::{Run, conditions};

use super::design::Design;

/// Version of [`Noise`] as JSON.
pub const SCHEMA_VERSION: u32 = 2;
/// Launches on each side below which noise earns no threshold.
pub const FEWEST: usize = 8;
/// How many times the p90 of the noise a threshold must be (tract's and rustc-perf's practice).
pub const TIMES: f64 = 3.0;

/// The noise of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The runs that it was taken from.
    pub made_from: String,
    /// [`fingerprint`] of the machine: another's noise says nothing.
    pub machine: String,
    /// What was unusual in how it was measured ([`conditions::unusual`]): the noise of little cores is not that of big ones.
    /// `None` in files of programs that did not look: then nobody knows.
    #[serde(default)]
    pub conditions: Option<String>,
    /// Whether launches were paired.
    pub design: Design,
    /// Deals in which the gate, with all numbers of all cells, would have failed, as a share; without a confirming block.
    pub false_alarms: f64,
    /// Each noisy metric of each cell.
    pub series: Vec<SeriesNoise>,
}

/// The noise of one metric of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesNoise {
    /// The cell's id.
    pub cell: String,
    /// The metric.
    pub metric: Metric,
    /// Launches on each side.
    pub launches: usize,
    /// The change that the A/A comparison itself found.
    pub change: Option<f64>,
    /// p90 of the size of the changes found over all deals: a share for relative metrics.
    pub p90: f64,
    /// Deals whose whole interval lay above the threshold or below its negative, as a share.
    pub false_positives: f64,
    /// Deals.
    pub deals: usize,
}

/// Why there is no noise.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// A stored file is of another kind or version.
    #[error("not a noise file of this version: {0}. Measure it again with `ditbench aa`")]
    Format(String),
}

impl Noise {
    /// Three times the p90 of a series' own noise, and whose it is; `None` if the series is not there or has too few launches.
    pub fn threshold(&self, cell: &str, metric: Metric) -> Option<(f64, String)> {
        let series = self.series.iter().find(|series| series.cell == cell && series.metric == metric)?;
        (series.launches >= FEWEST).then(|| (TIMES * series.p90, self.made_from.clone()))
    }

    /// The same for a comparison of this many launches on each side: noise falls as the square root of their number rises.
    pub fn threshold_for(&self, cell: &str, metric: Metric, launches: usize) -> Option<(f64, String)> {
        let series = self.series.iter().find(|series| series.cell == cell && series.metric == metric)?;
        let scale = (series.launches as f64 / launches.max(1) as f64).sqrt();
        self.threshold(cell, metric).map(|(threshold, whose)| (threshold * scale, whose))
    }

    /// Whether it is of the machine of this run, treated in the same way.
    pub fn is_of(&self, run: &Run) -> bool {
        self.machine == fingerprint(&run.machine) && self.conditions == Some(conditions::unusual_in_all(run))
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        // Strings and finite numbers only.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// From JSON.
    ///
    /// # Errors
    /// [`NoiseError::Format`]: damaged, something else, or another version.
    pub fn parse(text: &str) -> Result<Self, NoiseError> {
        let noise: Self = serde_json::from_str(text).map_err(|error| NoiseError::Format(error.to_string()))?;
        if noise.schema_version != SCHEMA_VERSION {
            let words = format!("version {}, but this program reads {SCHEMA_VERSION}", noise.schema_version);
            return Err(NoiseError::Format(words));
        }
        Ok(noise)
    }
}
