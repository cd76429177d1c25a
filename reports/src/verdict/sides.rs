//! What is compared, how, and why it cannot be.

use std::collections::{BTreeMap, BTreeSet};

use super::criterion::Bench;
use super::design::Design;
use super::fit::Difference;
use super::noise::Noise;
use super::{Apart, Gate};
use crate::record::Run;

/// One side: its records, and the criterion benchmarks read for it.
#[derive(Clone, Debug, Default)]
pub struct Side<'a> {
    /// What it is called: a revision, a path.
    pub label: String,
    /// Its records.
    pub runs: Vec<&'a Run>,
    /// Its benchmarks, and where they were read.
    pub benches: Vec<Bench>,
}

impl<'a> Side<'a> {
    /// A side of records.
    pub fn of_runs(label: impl Into<String>, runs: impl IntoIterator<Item = &'a Run>) -> Self {
        Self { label: label.into(), runs: runs.into_iter().collect(), benches: Vec::new() }
    }

    /// Of all that it has a row of, or a benchmark that counts.
    pub(super) fn ids(&self, counts: impl Fn(&Bench) -> bool) -> BTreeSet<String> {
        let cells = self.runs.iter().flat_map(|run| &run.cells).map(|cell| cell.key.id());
        let benches = self.benches.iter().filter(|bench| counts(bench));
        cells.chain(benches.map(|bench| bench.id.clone())).collect()
    }
}

/// How to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Thresholds.
    pub gate: Gate,
    /// What `aa` found on this machine: raises thresholds to three times the noise.
    pub noise: Option<Noise>,
    /// Whether launches are paired.
    pub design: Design,
    /// Differences that are allowed, and named in the verdict.
    pub allow: BTreeSet<Difference>,
    /// Another level than the gate's: for one look of several.
    pub level: Option<f64>,
    /// By cell id, how far head's results are from base's, where both are at hand.
    pub apart: BTreeMap<String, Apart>,
    /// By cell id, the first launch index of its confirming block: a regression stands only if that block shows it too.
    pub confirming: BTreeMap<String, u32>,
}

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A side is empty.
    #[error("{side} has no record and no benchmark. Give at least one for each side")]
    Empty {
        /// `base` or `head`.
        side: &'static str,
    },
    /// The records are of different things.
    #[error(
        "the records cannot be compared. They differ in {}. To compare them anyway, allow {}; the verdict will say so",
        .found.iter().map(|(_, says)| says.as_str()).collect::<Vec<_>>().join("; "),
        kinds(.found)
    )]
    Differ {
        /// What differs.
        found: Vec<(Difference, String)>,
    },
    /// Two cells of one key in a record.
    #[error("record {run} has two cells {cell}: it was edited or damaged. Run the plan again")]
    Twice {
        /// The run.
        run: String,
        /// The cell.
        cell: String,
    },
    /// Both sides are there and have no cell in common.
    #[error("base and head have no cell in common. Base has {base}; head has {head}. Run the same plan for both")]
    NothingInCommon {
        /// Cells of base.
        base: String,
        /// Cells of head.
        head: String,
    },
}

fn kinds(found: &[(Difference, String)]) -> String {
    let kinds: BTreeSet<&str> = found.iter().map(|(kind, _)| kind.name()).collect();
    kinds.into_iter().collect::<Vec<_>>().join(", ")
}
