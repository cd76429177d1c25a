//! What a machine's own noise does to a comparison, from an A/A run: the same build on both sides.
//!
//! Contract: launches are dealt anew to two sides many times, as the comparison deals them (paired: sides are swapped within
//! pairs). The p90 of the shifts so found is the series' noise, three times which a change must exceed to be a regression; the
//! share of deals that the gate would have flagged is its false-positive rate on this machine. Seeded. It is the noise of a
//! comparison of so many launches; for another number it is scaled by the square root.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::record::Run;
use crate::stats::random::Random;
use crate::stats::{quantile, sorted};

use super::compare::{CompareError, Design, Options, Side, compare};
use super::gate::Gate;
use super::judge::{self, Samples, Terms, Threshold};
use super::metric::{Basis, Metric};
use super::samples::{self, Taken};
use super::{Outcome, Verdict};

/// Version of [`Noise`] as JSON.
pub const SCHEMA_VERSION: u32 = 1;
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
    /// Whether launches were paired.
    pub design: Design,
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
    /// Both sides cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A stored file is of another kind or version.
    #[error("not a noise file of this version: {0}. Make it again with `ditbench aa`")]
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

    /// The largest false-positive rate of all series. `None` if there is none.
    pub fn worst_false_positives(&self) -> Option<f64> {
        self.series.iter().map(|series| series.false_positives).max_by(f64::total_cmp)
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
            let words = format!("version {} where {SCHEMA_VERSION} is read", noise.schema_version);
            return Err(NoiseError::Format(words));
        }
        Ok(noise)
    }
}

/// Noise and false-positive rate from the two sides of an A/A run, and the verdict on the run itself (which should be ok).
///
/// # Errors
/// [`NoiseError::Compare`]: the sides cannot be compared.
pub fn of_aa(
    base: &[&Run],
    head: &[&Run],
    design: Design,
    gate: &Gate,
    deals: usize,
    seed: u64,
) -> Result<(Noise, Verdict), NoiseError> {
    let options = Options { gate: gate.clone(), design, ..Options::default() };
    let sides = (Side::of_runs("A", base.iter().copied()), Side::of_runs("A again", head.iter().copied()));
    let verdict = compare(&sides.0, &sides.1, &options)?;
    let mut random = Random::new(seed);
    let mut series = Vec::new();
    for cell in &verdict.cells {
        let Some(key) = &cell.key else { continue };
        let of = |runs: &[&Run], metric| -> Vec<Taken> {
            let cells: Vec<_> = runs.iter().enumerate().filter_map(|(n, run)| Some((n, run.cell(key)?))).collect();
            samples::of_cells(metric, &cells)
        };
        for one in cell.metrics.iter().filter(|one| one.basis == Basis::Launches) {
            let (a, b) = (of(base, one.metric), of(head, one.metric));
            let rule = gate.rule(one.metric, &cell.id);
            let threshold = Threshold { rule, noise: None };
            let found = deal(one.metric, &a, &b, design, &threshold, gate.level, deals, &mut random);
            if let Some((p90, false_positives)) = found {
                let launches = one.base_samples.min(one.head_samples);
                let (cell, metric, change) = (cell.id.clone(), one.metric, one.change);
                series.push(SeriesNoise { cell, metric, launches, change, p90, false_positives, deals });
            }
        }
    }
    let ids: BTreeSet<&str> = base.iter().chain(head).map(|run| run.run.id.as_str()).collect();
    let made_from = ids.into_iter().collect::<Vec<_>>().join(" + ");
    Ok((Noise { schema_version: SCHEMA_VERSION, made_from, design, series }, verdict))
}

/// p90 of the sizes of changes, and the share that would have been flagged either way.
#[allow(clippy::too_many_arguments)]
fn deal(
    metric: Metric,
    base: &[Taken],
    head: &[Taken],
    design: Design,
    threshold: &Threshold,
    level: f64,
    deals: usize,
    random: &mut Random,
) -> Option<(f64, f64)> {
    let terms = Terms { level, power: crate::stats::power::USUAL_POWER };
    let (mut sizes, mut flagged) = (Vec::new(), 0);
    let mut all: Vec<f64> = base.iter().chain(head).map(|sample| sample.value).collect();
    let paired: Vec<(f64, f64)> = base
        .iter()
        .filter_map(|one| {
            let other = head.iter().find(|other| (other.record, other.launch) == (one.record, one.launch))?;
            Some((one.value, other.value))
        })
        .collect();
    for _ in 0..deals {
        let samples = match design {
            Design::Independent => {
                random.shuffle(&mut all);
                let (a, b) = all.split_at(base.len());
                Samples { metric, base: a.to_vec(), head: b.to_vec(), pairs: None, confirming: None }
            }
            Design::Paired => {
                let swap = |&(a, b): &(f64, f64)| if random.uniform() < 0.5 { (b, a) } else { (a, b) };
                let pairs: Vec<(f64, f64)> = paired.iter().map(swap).collect();
                let (base, head) = pairs.iter().copied().unzip();
                Samples { metric, base, head, pairs: Some(pairs), confirming: None }
            }
        };
        let measured = judge::measure(&samples, threshold, terms);
        sizes.push(measured.verdict.change?.abs());
        let p = measured.verdict.p;
        // A deal and its mirror image are as likely, so an improvement is as false as a regression.
        let decided = judge::decide(measured, p, 1, terms);
        flagged += usize::from(decided.outcome == Outcome::Regressed || decided.improved);
    }
    Some((quantile(&sorted(&sizes), 0.9)?, flagged as f64 / deals.max(1) as f64))
}
