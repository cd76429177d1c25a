//! Which configuration to ship: the decision behind a table, under bounds that a user states.
//!
//! Contract: made from records alone. `evidence` reads them, [`candidate`] to [`fleet`] decide and know no record, `words`
//! and [`faces`] say it. What is advised keeps every bound with 95 %: the interval counts, not the point; what failed, fell
//! back, was spoiled, never became steady or computed wrong is named with its reason and never advised. docs/ADVICE.md has
//! the rules.

pub mod candidate;
pub mod choose;
mod evidence;
pub mod faces;
pub mod fleet;
pub mod known;
pub mod question;
pub mod search;
mod words;

use serde::Serialize;

pub use candidate::{Candidate, Fit, Unfit};
pub use choose::{Choice, Outcome, choose};
pub use evidence::{Evidence, gather, group_of, same_machine};
pub use fleet::Fleet;
pub use known::{Holds, Known, Standing};
pub use question::{Bound, Question, Side};

use crate::metric::Metric;
use crate::record::Run;
use crate::record::disturbed::several;
use crate::table::Absent;
use crate::{company, text};

/// Everything that is advised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// What was asked.
    pub question: Question,
    /// Whether every workload has an answer on every machine: the worst of all.
    pub outcome: Outcome,
    /// One for each workload; one for all where they compete.
    pub decisions: Vec<Decision>,
}

/// The decision on one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// What is run: `nano, 64×64, 4 steps, 16 text tokens`; empty where workloads compete.
    pub workload: String,
    /// Whether every machine has a device on which the bounds are kept.
    pub outcome: Outcome,
    /// Each machine's devices.
    pub devices: Vec<Device>,
    /// One configuration for all machines, where there are several.
    pub fleet: Option<Fleet>,
    /// That, in sentences.
    pub fleet_says: Vec<String>,
}

/// The decision on one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Device {
    /// The machine.
    pub machine: String,
    /// The device.
    pub device: String,
    /// The conclusion, in sentences.
    pub says: Vec<String>,
    /// The decision.
    pub choice: Choice,
    /// What a reader should know of how it was made.
    pub notes: Vec<String>,
}

/// Advises.
pub fn of_runs(runs: &[&Run], absent: &[Absent], question: &Question) -> Advice {
    let evidence = gather(runs, question);
    let mut decisions: Vec<Decision> = Vec::new();
    // Sorted by workload, so that each one's devices stand together.
    for of_workload in evidence.chunk_by(|a, b| a.workload == b.workload) {
        decisions.push(decide(of_workload, &evidence, absent, question));
    }
    let outcome = decisions.iter().map(|decision| decision.outcome).max().unwrap_or(Outcome::NotMet);
    Advice { question: question.clone(), outcome, decisions }
}

/// Decides on one workload.
fn decide(evidence: &[Evidence], all: &[Evidence], absent: &[Absent], question: &Question) -> Decision {
    let mut machines: Vec<(String, Vec<&Candidate>)> = Vec::new();
    for place in evidence {
        match machines.iter_mut().find(|(machine, _)| *machine == place.machine) {
            Some((_, candidates)) => candidates.extend(&place.candidates),
            None => machines.push((place.machine.clone(), place.candidates.iter().collect())),
        }
    }
    let devices: Vec<Device> = evidence.iter().map(|place| device(place, all, question)).collect();
    let of_machine = |machine: &str| {
        let own = devices.iter().filter(|device| device.machine == machine);
        own.map(|device| device.choice.outcome).min().unwrap_or(Outcome::NotMet)
    };
    let measured = machines.iter().map(|(machine, _)| of_machine(machine)).max().unwrap_or(Outcome::NotMet);
    let missing = if absent.is_empty() { Outcome::Met } else { Outcome::NotSure };
    let names: Vec<String> = absent.iter().map(|absent| absent.machine.clone()).collect();
    let fleet = fleet::choose(question, &machines, &names);
    let fleet_says = fleet.as_ref().map(|fleet| words::of_fleet(question, fleet)).unwrap_or_default();
    Decision { workload: evidence[0].workload.clone(), outcome: measured.max(missing), devices, fleet, fleet_says }
}

fn device(place: &Evidence, all: &[Evidence], question: &Question) -> Device {
    let choice = choose(question, &place.candidates);
    let mut notes = place.notes.clone();
    let timed = question.asked().any(|metric| metric.unit().is_of_time());
    if timed && choice.best.as_ref().is_some_and(|best| best.sustained) {
        notes.push("Times are of sustained runs: settled images, where a launch has enough of them.".to_owned());
    } else if timed && choice.best.is_some() {
        notes.push(
            "Times are of short launches: what they become when the device is hot is not known. Measure the configuration with ditbench \
             run --sustained 10m to know it."
                .to_owned(),
        );
    }
    notes.extend(choice.best.as_ref().filter(|_| timed).map(|best| in_company(place, all, best)));
    let says = words::of_device(question, &choice);
    Device { machine: place.machine.clone(), device: place.device.clone(), says, choice, notes }
}

/// What is known of the configuration in company: its times beside something else, where those were measured.
fn in_company(place: &Evidence, all: &[Evidence], best: &choose::Weighed) -> String {
    if let Some(company) = best.key.in_company() {
        return format!(
            "Times are {company}: of a worker beside which a fixed piece of work kept {} busy.",
            several(best.key.company, "thread")
        );
    }
    let here = all.iter().filter(|other| (&other.machine, &other.device) == (&place.machine, &place.device));
    let candidates = here.flat_map(|other| &other.candidates);
    // Times of two kinds say nothing of each other.
    let same = |other: &&Candidate| {
        other.key.company > 0 && other.key.alone() == best.key && other.sustained == best.sustained
    };
    let beside = |other: &Candidate| {
        let seconds = other.value(Metric::IMAGE).filter(|_| other.unfit.is_none())?;
        let times = company::in_words(seconds / best.value(Metric::IMAGE)?);
        Some(format!("{} its image takes {times} as long ({})", other.key.in_company()?, Metric::IMAGE.show(seconds)))
    };
    let beside: Vec<String> = candidates.filter(same).filter_map(beside).collect();
    if beside.is_empty() {
        return "Times are of the worker alone: what they become while something else runs is not known. Measure the configuration \
                with ditbench run --company 0,1 to know it."
            .to_owned();
    }
    format!("Times are of the worker alone; {}.", text::list(&beside))
}
