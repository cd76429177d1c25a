//! A configuration that could be shipped, with what is known of it, and its place in the order of all.
//!
//! Contract: plain values; nothing here knows a record, so that a simulator can stand in for one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::known::{Holds, Known, Standing};
use super::question::Question;
use crate::metric::{Better, Metric};
use crate::record::CellKey;

/// Why a configuration is never advised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// In words.
    pub why: String,
    /// Whether measuring again could change it: it was spoiled or interrupted, rather than wrong.
    pub curable: bool,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What makes it another than the others.
    pub key: CellKey,
    /// In words: `ort int8 · q4 · 2 threads`.
    pub label: String,
    /// What ships, without what each device sets for itself (threads, cores): `ort int8 · q4`.
    pub ships: String,
    /// Its numbers, those of the question at least.
    pub known: BTreeMap<Metric, Known>,
    /// Why it is never advised; `None` if it may be.
    pub unfit: Option<Unfit>,
    /// What a reader should know of it.
    pub caveats: Vec<String>,
    /// Whether it was measured while it kept running, hot or not.
    pub sustained: bool,
}

/// How a configuration stands to all bounds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Each holds with 95 %, and the objective is known.
    Keeps,
    /// None is missed, and not each is sure.
    Unsure,
    /// One is missed with 95 %.
    Misses,
    /// It is never advised.
    Unfit,
}

static NOTHING: Known = Known::Launches(Vec::new());

impl Candidate {
    /// One of its numbers.
    pub fn known(&self, metric: Metric) -> &Known {
        self.known.get(&metric).unwrap_or(&NOTHING)
    }

    /// Its value.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.known(metric).value().filter(|value| !value.is_nan())
    }

    /// How it stands under each bound, in their order.
    pub fn standings(&self, question: &Question) -> Vec<Standing> {
        question.bounds.iter().map(|bound| self.known(bound.metric).under(bound)).collect()
    }

    /// How it stands to all of them together.
    pub fn fit(&self, question: &Question) -> Fit {
        if self.unfit.is_some() {
            return Fit::Unfit;
        }
        let standings = self.standings(question);
        let any = |holds| standings.iter().any(|standing| standing.holds == holds);
        if any(Holds::No) {
            Fit::Misses
        } else if any(Holds::Unsure) || self.value(question.objective).is_none() {
            Fit::Unsure
        } else {
            Fit::Keeps
        }
    }

    /// The better first: by the objective, among equals by the other numbers of the question, at last by name. So whatever is
    /// as good in all of them and better in one comes before.
    pub fn order(&self, other: &Self, numbers: &[Metric]) -> Ordering {
        let by = |metric: &Metric| better(*metric, self.value(*metric), other.value(*metric));
        numbers.iter().map(by).find(|order| order.is_ne()).unwrap_or_else(|| self.key.cmp(&other.key))
    }

    /// What of it is the same on every device: two configurations with the same are shipped as one.
    pub fn ships_as(&self) -> CellKey {
        CellKey { threads: 0, cpus: String::new(), ..self.key.clone() }
    }
}

/// Less where the first is better; what is not known comes last.
pub fn better(metric: Metric, one: Option<f64>, other: Option<f64>) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => match metric.better() {
            Better::Lower => one.total_cmp(&other),
            Better::Higher => other.total_cmp(&one),
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
