//! Questions that are answered at once: who the phone is, what it reaches, what its sensors say.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ditbench_record::{Build, Git, Machine, Reading};
use serde::{Deserialize, Serialize};

use crate::probe::phone::{Cluster, Sources, clusters, readings, sources};
use crate::process::company;
use crate::registry::{self, BackendFacts, facts_of};
use crate::{measure, probe};

/// A machine and what can run there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// Version of ditbench there.
    pub version: String,
    /// The revision that it was built from.
    pub git: Reading<Git>,
    /// How it was built.
    pub build: Build,
    /// The machine.
    pub machine: Machine,
    /// Threads of execution that a worker may use.
    pub cores: usize,
    /// Bytes that a new process could use.
    pub memory_available: Option<u64>,
    /// f32 operations a second of one thread, roughly.
    pub quick_peak: f64,
    /// Cores of one kind each.
    pub clusters: Vec<Cluster>,
    /// Backends by name, or why the program there has not got them.
    pub backends: BTreeMap<String, Result<BackendFacts, String>>,
}

/// Prints an answer.
fn say(answer: &impl Serialize) -> Result<()> {
    crate::output::data(&format!("{}\n", serde_json::to_string(answer).context("writing the answer")?));
    Ok(())
}

pub(super) fn describe() -> Result<()> {
    let sources = sources::read_here();
    say(&Description {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git: probe::build::git(),
        build: probe::build::build(),
        machine: probe::machine::probe(),
        cores: probe::machine::cores(),
        memory_available: probe::memory::available().map(|available| available.bytes),
        quick_peak: measure::peaks::quick(),
        clusters: clusters::group(&sources),
        backends: registry::NAMES.into_iter().map(|name| (name.to_owned(), facts_of(name))).collect(),
    })
}

pub(super) fn peaks(threads: &[usize], cpus: &[u32]) -> Result<()> {
    if !cpus.is_empty() {
        measure::pin::to(cpus).map_err(anyhow::Error::msg)?;
    }
    say(&measure::peaks::all(threads, cpus))
}

pub(super) fn calibrate() -> Result<()> {
    say(&measure::calibrate::run())
}

pub(super) fn company(threads: u32, cpus: &[u32]) -> Result<()> {
    say(&company::alone(threads, cpus).map_err(anyhow::Error::msg)?)
}

pub(super) fn sensors() -> Result<()> {
    say(&all_sensors(&sources::read_here()))
}

/// What any Linux machine tells, and what a phone tells beyond that.
fn all_sensors(sources: &Sources) -> BTreeMap<String, Reading<f64>> {
    let mut all = probe::sensors::of_system();
    // A phone's zones are of its battery and its radio too, and its first cores are the slow ones: it tells both by name.
    all.retain(|name, _| !["cpu_temperature_c", "cpu_mhz", "package_energy_j"].contains(&name.as_str()));
    all.extend(readings::all(sources, &clusters::group(sources)));
    all
}
