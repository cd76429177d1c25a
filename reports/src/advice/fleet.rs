//! One configuration for all machines: what ships is the same everywhere, threads and cores are each machine's own, and the
//! worst machine counts.
//!
//! Contract: as on one device, only what keeps every bound with 95 %, and on every machine, is advised. A machine without a
//! record makes the answer not sure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use super::candidate::{Candidate, Fit, better};
use super::choose::{Outcome, is_hopeful};
use super::question::Question;
use crate::record::CellKey;

/// A configuration on one machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// The machine.
    pub machine: String,
    /// With that machine's best threads and cores.
    pub label: String,
    /// The objective there.
    pub value: Option<f64>,
}

/// A configuration over all machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shipped {
    /// What ships, in words.
    pub label: String,
    /// The machine on which the objective is worst, and how it stands there.
    pub worst: Member,
    /// Every machine.
    pub members: Vec<Member>,
    /// Machines on which it misses a bound, or failed.
    pub lacks: Vec<String>,
    /// Machines on which it is not sure.
    pub unsure: Vec<String>,
    /// Machines on which it was never measured, or not soundly, and measuring it could help.
    pub unmeasured: Vec<String>,
}

impl Shipped {
    /// Machines on which it is not known whether it keeps the bounds.
    fn open(&self) -> usize {
        self.unsure.len() + self.unmeasured.len()
    }

    /// Whether it keeps the bounds on every machine that gave a record.
    fn keeps_all(&self) -> bool {
        self.lacks.is_empty() && self.open() == 0
    }
}

/// The choice for all machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fleet {
    /// Whether anything keeps the bounds everywhere.
    pub outcome: Outcome,
    /// How many machines there are.
    pub machines: usize,
    /// Met: what to ship. Not sure: the most promising. Not met: what does on most machines.
    pub best: Option<Shipped>,
    /// The next best of what keeps the bounds everywhere.
    pub runner_up: Option<Shipped>,
    /// Machines that gave no record.
    pub absent: Vec<String>,
}

/// Chooses among what was measured on these machines, each with all of its candidates. `None` for one machine alone.
pub fn choose(question: &Question, machines: &[(String, Vec<&Candidate>)], absent: &[String]) -> Option<Fleet> {
    if machines.len() + absent.len() < 2 || machines.is_empty() {
        return None;
    }
    let mut configurations: BTreeMap<CellKey, &str> = BTreeMap::new();
    for candidate in machines.iter().flat_map(|(_, candidates)| candidates) {
        configurations.entry(candidate.ships_as()).or_insert(&candidate.ships);
    }
    let mut found: Vec<Shipped> =
        configurations.iter().filter_map(|(key, label)| shipped(question, machines, key, label)).collect();
    let objective = question.objective;
    // Machines where it will not do, then those where that is not known, then the worst case; the name last, which makes it an order.
    found.sort_by(|a, b| {
        let worst = || better(objective, a.worst.value, b.worst.value);
        let counts = a.lacks.len().cmp(&b.lacks.len()).then(a.open().cmp(&b.open()));
        counts.then_with(worst).then_with(|| a.label.cmp(&b.label))
    });
    let outcome = match found.first() {
        Some(best) if best.keeps_all() && absent.is_empty() => Outcome::Met,
        Some(best) if best.lacks.is_empty() => Outcome::NotSure,
        Some(_) | None => Outcome::NotMet,
    };
    let mut found = found.into_iter();
    let best = found.next();
    let runner_up = found.next().filter(Shipped::keeps_all);
    Some(Fleet { outcome, machines: machines.len() + absent.len(), best, runner_up, absent: absent.to_vec() })
}

/// A configuration over all machines; `None` if it is of use on none.
fn shipped(question: &Question, machines: &[(String, Vec<&Candidate>)], key: &CellKey, label: &str) -> Option<Shipped> {
    let numbers = question.numbers();
    let (mut members, mut lacks, mut unsure, mut unmeasured) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (machine, candidates) in machines {
        let own = candidates.iter().copied().filter(|candidate| candidate.ships_as() == *key);
        let order =
            |a: &&Candidate, b: &&Candidate| a.fit(question).cmp(&b.fit(question)).then_with(|| a.order(b, &numbers));
        let best = own.clone().min_by(order).map(|candidate| (candidate.fit(question), candidate));
        let Some((fit @ (Fit::Keeps | Fit::Unsure), candidate)) = best else {
            let helps = best.is_none() || own.clone().any(|candidate| is_hopeful(question, candidate));
            if helps {
                unmeasured.push(machine.clone())
            } else {
                lacks.push(machine.clone())
            }
            continue;
        };
        if fit == Fit::Unsure {
            unsure.push(machine.clone());
        }
        members.push(Member {
            machine: machine.clone(),
            label: candidate.label.clone(),
            value: candidate.value(question.objective),
        });
    }
    // What is not known counts as worst.
    let worse = |a: &&Member, b: &&Member| -> Ordering { better(question.objective, a.value, b.value) };
    let worst = members.iter().max_by(worse)?.clone();
    Some(Shipped { label: label.to_owned(), worst, members, lacks, unsure, unmeasured })
}
