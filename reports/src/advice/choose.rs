//! The choice among the configurations of one device.
//!
//! Contract: only what keeps every bound with 95 % is advised, and of that the best; what is unfit (it failed, fell back, was
//! spoiled, never became steady, computed wrong) is named and never advised. The order of the candidates does not matter.

use serde::Serialize;

use super::candidate::{Candidate, Fit, better};
use super::known::{Holds, Standing};
use super::question::{Bound, Question};
use crate::metric::{Metric, Scale};
use crate::record::CellKey;
use crate::stats::Interval;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Something keeps every bound.
    Met,
    /// Something may, and too little is known.
    NotSure,
    /// Nothing does.
    NotMet,
}

impl Outcome {
    /// For scripts: as everywhere, 2 is an error.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Met => 0,
            Self::NotMet => 1,
            Self::NotSure => 3,
        }
    }
}

/// One number of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Number {
    /// Which.
    pub metric: Metric,
    /// The median over launches, or the value; `null` where there is none, and for the PSNR of identical pictures.
    pub value: Option<f64>,
    /// Where it lies with 95 %.
    pub interval: Option<Interval>,
    /// Launches that it is of.
    pub launches: Option<usize>,
}

/// A configuration as it was weighed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighed {
    /// Its name in the record.
    pub cell: String,
    /// In words.
    pub label: String,
    /// The key, for whoever wants to draw or run it.
    #[serde(skip)]
    pub key: CellKey,
    /// The numbers of the question.
    pub numbers: Vec<Number>,
    /// How it stands under each bound, in their order.
    pub standings: Vec<Standing>,
    /// Further launches that would make it sure under all bounds, roughly; `None` where nothing is open, or launches do not help.
    pub more: Option<usize>,
    /// Whether times are of a run that kept going, hot or not.
    pub sustained: bool,
    /// What a reader should know.
    pub caveats: Vec<String>,
}

impl Weighed {
    fn of(candidate: &Candidate, question: &Question) -> Self {
        let number = |metric: Metric| {
            let known = candidate.known(metric);
            let (value, interval, launches) = (known.value(), known.interval(), known.launches());
            Number { metric, value, interval, launches }
        };
        let standings = candidate.standings(question);
        Self {
            cell: candidate.key.id(),
            label: candidate.label.clone(),
            key: candidate.key.clone(),
            numbers: question.numbers().into_iter().map(number).collect(),
            more: settles(&standings),
            standings,
            sustained: candidate.sustained,
            caveats: candidate.caveats.clone(),
        }
    }

    /// One of its numbers.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.numbers.iter().find(|number| number.metric == metric)?.value
    }

    /// What is open of it, each reason once: why it is not sure.
    pub fn open(&self) -> Vec<&Standing> {
        self.standings.iter().filter(|standing| standing.holds == Holds::Unsure).collect()
    }

    /// The bounds that it misses.
    pub fn missed(&self) -> Vec<&Standing> {
        self.standings.iter().filter(|standing| standing.holds == Holds::No).collect()
    }
}

/// Launches that settle all that is open: as many as the most doubtful bound takes. `None` if one of them is not to be settled so.
fn settles(standings: &[Standing]) -> Option<usize> {
    let open: Vec<Option<usize>> =
        standings.iter().filter(|standing| standing.holds == Holds::Unsure).map(|standing| standing.more).collect();
    open.into_iter().collect::<Option<Vec<usize>>>()?.into_iter().max()
}

/// How a number changes if another configuration is taken instead.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Which number.
    pub metric: Metric,
    /// Of the one that is advised.
    pub from: f64,
    /// Of the other.
    pub to: f64,
    /// The change: a share of the first, or a difference where the number's scale is absolute.
    pub change: f64,
    /// Whether it is for the worse.
    pub worse: bool,
}

/// What is known of the order of two configurations in the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Their intervals lie apart, or they are the same whenever they are measured.
    Sure,
    /// Their intervals meet.
    Meets,
    /// One of them has too few launches for an interval.
    TooFew,
}

/// Another configuration, beside the one that is advised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rival {
    /// Which.
    pub configuration: Weighed,
    /// What taking it instead changes.
    pub costs: Vec<Cost>,
    /// Whether it is sure that it is the worse in the objective.
    pub order: Order,
}

/// What is best in one number, whatever else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extreme {
    /// Which number.
    pub metric: Metric,
    /// What is best in it, beside the one that is advised.
    pub rival: Rival,
}

/// A bound that, moved so far, lets a configuration through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Relax {
    /// The bound as it was.
    pub bound: Bound,
    /// The limit that would do.
    pub to: f64,
    /// By which share of the limit it is moved.
    pub by: f64,
    /// The configuration that it lets through, if all of these are moved.
    pub lets: String,
}

/// A configuration that is never advised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// Its name in the record.
    pub cell: String,
    /// In words.
    pub label: String,
    /// Why.
    pub why: String,
    /// Whether measuring again could change it.
    pub curable: bool,
}

/// The choice of one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Whether anything keeps the bounds.
    pub outcome: Outcome,
    /// Met: the configuration to ship. Not sure: the most promising one. Not met: the nearest one.
    pub best: Option<Weighed>,
    /// The next best of those that keep every bound.
    pub runner_up: Option<Rival>,
    /// Those that keep every bound with 95 %: how many.
    pub keep: usize,
    /// Those that may keep every bound and would be better than the one that is advised, the best first.
    pub may_be_better: Vec<Weighed>,
    /// The least that must be given up, where nothing keeps every bound: one bound, or several together.
    pub relax: Vec<Relax>,
    /// What is best in latency, memory, quality and energy, of those that keep every bound.
    pub extremes: Vec<Extreme>,
    /// Every fit configuration, the best first: those that keep every bound, that may, that do not.
    pub weighed: Vec<Weighed>,
    /// Those that are never advised.
    pub excluded: Vec<Excluded>,
}

/// Chooses.
pub fn choose(question: &Question, candidates: &[Candidate]) -> Choice {
    let numbers = question.numbers();
    let mut sorted: Vec<(Fit, &Candidate)> =
        candidates.iter().map(|candidate| (candidate.fit(question), candidate)).collect();
    // Of what is open, first what the points promise; of what misses, first what is nearest.
    let rank = |fit: Fit, candidate: &Candidate| match fit {
        Fit::Unsure | Fit::Misses => excess(question, candidate),
        Fit::Keeps | Fit::Unfit => 0.0,
    };
    sorted.sort_by(|(a_fit, a), (b_fit, b)| {
        let by_rank = || rank(*a_fit, a).total_cmp(&rank(*b_fit, b));
        a_fit.cmp(b_fit).then_with(by_rank).then_with(|| a.order(b, &numbers))
    });
    let of = |wanted: Fit| sorted.iter().filter(move |(fit, _)| *fit == wanted).map(|(_, candidate)| *candidate);
    let keep: Vec<&Candidate> = of(Fit::Keeps).collect();
    let unsure: Vec<&Candidate> = of(Fit::Unsure).collect();
    let hopeful = || of(Fit::Unfit).any(|candidate| is_hopeful(question, candidate));
    let outcome = if !keep.is_empty() {
        Outcome::Met
    } else if !unsure.is_empty() || hopeful() {
        Outcome::NotSure
    } else {
        Outcome::NotMet
    };
    let best = keep.iter().chain(&unsure).copied().chain(of(Fit::Misses)).next();
    let weigh = |candidate: &Candidate| Weighed::of(candidate, question);
    let advised = keep.first().copied();
    let beside = |other: &Candidate| advised.map(|advised| rival(question, advised, other));
    let is_better = |candidate: &&&Candidate| {
        let by = |advised: &Candidate| {
            better(question.objective, candidate.value(question.objective), advised.value(question.objective)).is_lt()
        };
        excess(question, candidate) == 0.0 && advised.is_some_and(by)
    };
    let misses: Vec<&Candidate> = of(Fit::Misses).collect();
    Choice {
        outcome,
        best: best.map(weigh),
        runner_up: keep.get(1).and_then(|other| beside(other)),
        keep: keep.len(),
        may_be_better: unsure.iter().filter(is_better).map(|candidate| weigh(candidate)).collect(),
        relax: if outcome == Outcome::NotMet { relax(question, &misses) } else { Vec::new() },
        extremes: extremes(question, &keep)
            .into_iter()
            .filter_map(|(metric, other)| Some(Extreme { metric, rival: beside(other)? }))
            .collect(),
        weighed: sorted.iter().filter(|(fit, _)| *fit != Fit::Unfit).map(|(_, candidate)| weigh(candidate)).collect(),
        excluded: of(Fit::Unfit).filter_map(excluded).collect(),
    }
}

/// The largest share by which a value is beyond its limit: 0 where all values keep their bounds. What is not known is taken to.
fn excess(question: &Question, candidate: &Candidate) -> f64 {
    let of = |bound: &Bound| candidate.known(bound.metric).value().map_or(0.0, |value| bound.excess(value));
    question.bounds.iter().map(of).fold(0.0, f64::max)
}

/// Whether measuring an unfit configuration again could make it keep the bounds: what time does not move is known all the same.
pub(super) fn is_hopeful(question: &Question, candidate: &Candidate) -> bool {
    let lost = |standing: &Standing| standing.holds == Holds::No && !standing.bound.metric.unit().is_of_time();
    candidate.unfit.as_ref().is_some_and(|unfit| unfit.curable) && !candidate.standings(question).iter().any(lost)
}

fn excluded(candidate: &Candidate) -> Option<Excluded> {
    let unfit = candidate.unfit.as_ref()?;
    let (cell, label) = (candidate.key.id(), candidate.label.clone());
    Some(Excluded { cell, label, why: unfit.why.clone(), curable: unfit.curable })
}

/// What taking another configuration changes.
fn rival(question: &Question, advised: &Candidate, other: &Candidate) -> Rival {
    let cost = |metric: Metric| {
        let (from, to) = (advised.value(metric)?, other.value(metric)?);
        let change = match metric.scale() {
            Scale::Relative => to / from - 1.0,
            Scale::Absolute => to - from,
        };
        let worse = better(metric, Some(from), Some(to)).is_lt();
        (from.total_cmp(&to).is_ne()).then_some(Cost { metric, from, to, change, worse })
    };
    let ends = |candidate: &Candidate| candidate.known(question.objective).interval();
    let order = |(a, b): (Interval, Interval)| match a.high < b.low || b.high < a.low {
        true => Order::Sure,
        false => Order::Meets,
    };
    Rival {
        configuration: Weighed::of(other, question),
        costs: question.numbers().into_iter().filter_map(cost).collect(),
        order: ends(advised).zip(ends(other)).map_or(Order::TooFew, order),
    }
}

/// What is best in each of the usual numbers, among equals the best by the question's own order.
fn extremes<'a>(question: &Question, keep: &[&'a Candidate]) -> Vec<(Metric, &'a Candidate)> {
    let usual = [Metric::IMAGE, Metric::PEAK, question.quality(), Metric::ENERGY];
    let numbers = question.numbers();
    let best = |metric: Metric| {
        let known = keep.iter().copied().filter(|candidate| candidate.value(metric).is_some());
        let order = |a: &&Candidate, b: &&Candidate| {
            better(metric, a.value(metric), b.value(metric)).then(a.order(b, &numbers))
        };
        Some((metric, known.min_by(order)?))
    };
    usual.into_iter().filter_map(best).collect()
}

/// The least that lets a configuration through: one bound moved as little as can be; where none alone does it, all that the
/// nearest configuration misses.
fn relax(question: &Question, misses: &[&Candidate]) -> Vec<Relax> {
    // A limit that the whole interval keeps.
    let needed = |standing: &Standing| {
        let ends = standing.interval.map(|ends| [ends.low, ends.high]);
        let beyond = |a: &f64, b: &f64| standing.bound.excess(*a).total_cmp(&standing.bound.excess(*b));
        ends.into_iter().flatten().filter(|end| end.is_finite()).max_by(beyond)
    };
    let moved = |candidate: &Candidate, standing: &Standing| {
        let to = needed(standing)?;
        Some(Relax { bound: standing.bound, to, by: standing.bound.excess(to), lets: candidate.label.clone() })
    };
    let all = |candidate: &Candidate| -> Option<Vec<Relax>> {
        let standings = candidate.standings(question);
        standings.iter().filter(|s| s.holds == Holds::No).map(|standing| moved(candidate, standing)).collect()
    };
    let ways: Vec<Vec<Relax>> = misses.iter().filter_map(|candidate| all(candidate)).collect();
    let most = |way: &Vec<Relax>| way.iter().map(|relax| relax.by).fold(0.0, f64::max);
    // Fewer bounds before smaller moves.
    let cheapest = ways.into_iter().min_by(|a, b| a.len().cmp(&b.len()).then(most(a).total_cmp(&most(b))));
    cheapest.unwrap_or_default()
}
