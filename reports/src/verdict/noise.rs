//! What a machine's own noise does to a comparison, from an A/A run: the same build on both sides.
//!
//! Contract: launches are dealt anew to two sides many times, as the comparison deals them (paired: sides are swapped within
//! pairs). The p90 of the shifts so found is the series' noise, three times which a change must exceed to be a regression; the
//! share of deals that the gate would have flagged is its false-positive rate on this machine. Seeded. It is the noise of a
//! comparison of so many launches; for another number it is scaled by the square root.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::history::series::fingerprint;
use crate::metric::{Basis, Metric};
use crate::record::{Run, conditions};
use crate::stats::random::Random;
use crate::stats::{fdr, quantile, sorted};

use super::compare::{CompareError, Design, Options, Side, compare};
use super::judge::{self, Samples, Terms, Threshold};
use super::samples::{self, Taken};
use super::{Outcome, Verdict};

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
    /// Both sides cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
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

/// Noise and false-positive rate from the two sides of an A/A run, and the verdict on the run itself (which should be ok):
/// by these options, but for noise that was known before.
///
/// # Errors
/// [`NoiseError::Compare`]: the sides cannot be compared.
pub fn of_aa(
    base: &[&Run],
    head: &[&Run],
    options: &Options,
    deals: usize,
    seed: u64,
) -> Result<(Noise, Verdict), NoiseError> {
    let options = Options { noise: None, ..options.clone() };
    let (gate, design) = (&options.gate, options.design);
    let sides = (Side::of_runs("A", base.iter().copied()), Side::of_runs("A again", head.iter().copied()));
    let verdict = compare(&sides.0, &sides.1, &options)?;
    let mut random = Random::new(seed);
    let (mut decks, mut series) = (Vec::new(), Vec::new());
    for cell in &verdict.cells {
        let Some(key) = &cell.key else { continue };
        let of = |runs: &[&Run], metric| -> Vec<Taken> {
            let cells: Vec<_> = runs.iter().enumerate().filter_map(|(n, run)| Some((n, run.cell(key)?))).collect();
            samples::of_cells(metric, &cells)
        };
        let mut launches = BTreeSet::new();
        for one in cell.metrics.iter().filter(|one| one.basis == Basis::Launches) {
            let sides = [of(base, one.metric), of(head, one.metric)];
            launches.extend(
                sides.iter().zip([false, true]).flat_map(|(side, head)| side.iter().map(move |one| (head, place(one)))),
            );
            let threshold = Threshold { rule: gate.rule(one.metric, &cell.id), noise: None };
            let noise = SeriesNoise {
                cell: cell.id.clone(),
                metric: one.metric,
                launches: one.base_samples.min(one.head_samples),
                change: one.change,
                p90: 0.0,
                false_positives: 0.0,
                deals,
            };
            series.push(Dealt { deck: decks.len(), sides, threshold, noise, sizes: Vec::new(), flagged: 0 });
        }
        decks.push(launches.into_iter().collect());
    }
    let alarms = deal(&mut series, &decks, design, gate.level, deals, &mut random);
    let done = series.into_iter().filter_map(|one| one.done(deals)).collect();
    let ids: BTreeSet<&str> = base.iter().chain(head).map(|run| run.run.id.as_str()).collect();
    let noise = Noise {
        schema_version: SCHEMA_VERSION,
        made_from: ids.into_iter().collect::<Vec<_>>().join(" + "),
        machine: base.first().map(|run| fingerprint(&run.machine)).unwrap_or_default(),
        conditions: base.first().map(|run| conditions::unusual_in_all(run)),
        design,
        false_alarms: alarms as f64 / deals.max(1) as f64,
        series: done,
    };
    Ok((noise, verdict))
}

/// A launch of a side: which record of it, which index.
type Place = (usize, u32);
/// The launches of a cell: whether each was made as head, and its place.
type Deck = Vec<(bool, Place)>;

fn place(one: &Taken) -> Place {
    (one.record, one.launch)
}

/// A metric of a cell, and what dealing its launches anew has shown so far.
struct Dealt {
    /// Its cell, by number.
    deck: usize,
    /// Samples of base and of head.
    sides: [Vec<Taken>; 2],
    threshold: Threshold,
    noise: SeriesNoise,
    sizes: Vec<f64>,
    flagged: usize,
}

impl Dealt {
    /// Its samples, each launch on the side that it was dealt to.
    fn samples(&self, to_head: &BTreeMap<(bool, Place), bool>, design: Design) -> Samples {
        let mut sides: [BTreeMap<(Place, bool), f64>; 2] = [BTreeMap::new(), BTreeMap::new()];
        for (side, was_head) in self.sides.iter().zip([false, true]) {
            for one in side {
                let goes = to_head.get(&(was_head, place(one))).copied().unwrap_or(was_head);
                sides[usize::from(goes)].insert((place(one), was_head), one.value);
            }
        }
        let metric = self.noise.metric;
        if design == Design::Independent {
            let [base, head] = sides.map(|side| side.into_values().collect());
            return Samples { metric, base, head, pairs: None, confirming: None };
        }
        // Partners have one place, and were made as the one and the other.
        let [base, head] = sides;
        let partner = |(place, was_head): (Place, bool)| head.get(&(place, !was_head)).copied();
        let pairs: Vec<(f64, f64)> = base.iter().filter_map(|(key, a)| Some((*a, partner(*key)?))).collect();
        let (base, head) = pairs.iter().copied().unzip();
        Samples { metric, base, head, pairs: Some(pairs), confirming: None }
    }

    /// `None` if some deal gave no change, as with a time of zero.
    fn done(self, deals: usize) -> Option<SeriesNoise> {
        let p90 = (self.sizes.len() == deals).then(|| quantile(&sorted(&self.sizes), 0.9)).flatten()?;
        Some(SeriesNoise { p90, false_positives: self.flagged as f64 / deals.max(1) as f64, ..self.noise })
    }
}

/// Which side each launch of a cell is dealt to: partners swap or do not; without partners, as many go to head as were made so.
fn shuffle(deck: &Deck, design: Design, random: &mut Random) -> BTreeMap<(bool, Place), bool> {
    match design {
        Design::Paired => {
            let places: BTreeSet<Place> = deck.iter().map(|(_, place)| *place).collect();
            let swapped: BTreeSet<Place> = places.into_iter().filter(|_| random.uniform() < 0.5).collect();
            deck.iter().map(|(head, place)| ((*head, *place), *head != swapped.contains(place))).collect()
        }
        Design::Independent => {
            let mut goes: Vec<bool> = deck.iter().map(|(head, _)| *head).collect();
            random.shuffle(&mut goes);
            deck.iter().copied().zip(goes).collect()
        }
    }
}

/// Deals so many times, the same way for all numbers of a cell; gives the deals in which the gate would have failed.
fn deal(series: &mut [Dealt], decks: &[Deck], design: Design, level: f64, deals: usize, random: &mut Random) -> usize {
    let terms = Terms { level, power: crate::stats::power::USUAL_POWER };
    let mut alarms = 0;
    for _ in 0..deals {
        let dealt: Vec<_> = decks.iter().map(|deck| shuffle(deck, design, random)).collect();
        let mut measured = Vec::new();
        for one in series.iter_mut() {
            let found = judge::measure(&one.samples(&dealt[one.deck], design), &one.threshold, terms);
            one.sizes.extend(found.verdict.change.map(f64::abs));
            // A deal and its mirror image are as likely, so an improvement is as false as a regression.
            let decided = judge::decide(found.clone(), found.verdict.p, 1, terms);
            one.flagged += usize::from(decided.outcome == Outcome::Regressed || decided.improved);
            measured.push(found);
        }
        let p: Vec<f64> = measured.iter().filter_map(|one| one.verdict.p).collect();
        let mut q = fdr::benjamini_hochberg(&p).into_iter();
        let mut fails = false;
        for one in measured {
            let q = one.verdict.p.and_then(|_| q.next());
            fails |= judge::decide(one, q, p.len(), terms).fails();
        }
        alarms += usize::from(fails);
    }
    alarms
}
