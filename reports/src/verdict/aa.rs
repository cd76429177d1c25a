//! What a machine's own noise does to a comparison, from an A/A run: the same build on both sides.
//!
//! Contract: launches are dealt anew to two sides many times, as the comparison deals them (paired: sides are swapped within
//! pairs). The p90 of the shifts so found is the series' noise; the share of deals that the gate would have flagged is its
//! false-positive rate on this machine. Seeded.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::compare;
use super::design::Design;
use super::judge::{self, Samples, Terms, Threshold};
use super::noise::{Noise, SCHEMA_VERSION, SeriesNoise};
use super::samples::{self, Taken};
use super::sides::{CompareError, Options, Side};
use super::{Outcome, Verdict};
use crate::history::series::fingerprint;
use crate::metric::Basis;
use crate::record::{Run, conditions};
use crate::stats::random::Random;
use crate::stats::{fdr, quantile, sorted};

/// Noise and false-positive rate from the two sides of an A/A run, and the verdict on the run itself (which should be ok):
/// by these options, but for noise that was known before.
///
/// # Errors
/// [`CompareError`]: the sides cannot be compared.
pub fn of_aa(
    base: &[&Run],
    head: &[&Run],
    options: &Options,
    deals: usize,
    seed: u64,
) -> Result<(Noise, Verdict), CompareError> {
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
            samples::of_cells(metric, runs, &cells)
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
