//! This machine as a host: workers are child processes.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use ditbench_backend_api::Ready;
use ditbench_record::{Build, Git, Machine, Peak, Reading};

use super::sampler::Sampler;
use ditbench_worker::process::{Exit, Observed, company, local};

use super::{Host, NotCool, Order, PeakOf};
use crate::environment::Common;
use crate::plan::{ClusterChoice, no_clusters};
use ditbench_protocol::Event;
use ditbench_worker::registry::{self, BackendFacts};
use ditbench_worker::{measure, probe};

/// The machine that this program runs on.
#[derive(Clone, Debug, Default)]
pub struct ThisMachine {
    /// Whether sensors are read while workers are at work, and not only before and after.
    telemetry: bool,
    /// Whether what the machine does when it is hot is what is measured.
    sustained: bool,
    /// Backends that were made ready, or why they could not be.
    ready: BTreeMap<String, Result<(BackendFacts, Ready), String>>,
}

impl ThisMachine {
    /// With sensors read while workers are at work or not, to be measured hot or not.
    pub fn new(telemetry: bool, sustained: bool) -> Self {
        Self { telemetry, sustained, ..Self::default() }
    }

    /// Variables by which a backend's workers find what it was made ready with.
    pub fn environment_of(&self, backend: &str) -> BTreeMap<String, String> {
        match self.ready.get(backend) {
            Some(Ok((_, ready))) => ready.environment.clone(),
            _ => BTreeMap::new(),
        }
    }
}

impl Host for ThisMachine {
    fn machine(&self) -> Machine {
        probe::machine::probe()
    }

    fn build(&self) -> Build {
        probe::build::build()
    }

    fn git(&self) -> Reading<Git> {
        probe::build::git()
    }

    fn cores(&self) -> usize {
        probe::machine::cores()
    }

    fn memory_available(&self) -> Option<probe::memory::Available> {
        probe::memory::available()
    }

    fn quick_peak(&self) -> f64 {
        measure::peaks::quick()
    }

    fn prepare(&mut self, backend: &str, common: &Common, say: &dyn Fn(String)) {
        if !self.ready.contains_key(backend) {
            let ready = common.prepare(backend, true, say);
            self.ready.insert(backend.to_owned(), ready);
        }
    }

    fn backend(&self, name: &str) -> Result<BackendFacts, String> {
        match self.ready.get(name) {
            Some(ready) => ready.clone().map(|(facts, _)| facts),
            None => registry::facts_of(name),
        }
    }

    fn cpus_of(&self, cluster: &ClusterChoice) -> Result<Vec<u32>, String> {
        no_clusters(cluster)
    }

    fn peaks(&mut self, wanted: &[PeakOf]) -> Vec<Peak> {
        let threads: Vec<usize> = wanted.iter().filter(|peak| peak.cpus.is_empty()).map(|peak| peak.threads).collect();
        measure::peaks::all(&threads, &[])
    }

    fn calibrate(&mut self) -> Reading<f64> {
        Reading::Ok(measure::calibrate::run())
    }

    fn company_alone(&mut self, threads: u32, cpus: &[u32]) -> Reading<f64> {
        company::alone(threads, cpus).map_or_else(Reading::absent, Reading::Ok)
    }

    fn sensors(&mut self) -> BTreeMap<String, Reading<f64>> {
        probe::sensors::read()
    }

    fn cool_down(&mut self, _: &dyn Fn(String)) -> Option<NotCool> {
        None
    }

    fn becomes_quiet(&mut self) -> bool {
        probe::load::becomes_quiet(probe::root())
    }

    fn wants_throttling(&self) -> bool {
        self.sustained
    }

    fn launch(&mut self, order: &Order, on_event: &mut dyn FnMut(f64, Event)) -> Result<Exit> {
        let begun = Instant::now();
        let sampler = self.telemetry.then(|| Sampler::start(begun));
        let kept = local::order_file(order.log);
        let found = self.environment_of(&order.spec.backend);
        let exit = local::launch(order.spec, &found, order.log, kept.as_deref(), begun + order.timeout, |event| {
            on_event(begun.elapsed().as_secs_f64(), event);
        })
        .with_context(|| format!("cannot start a worker (log: {})", order.log.display()));
        let mut observed = Observed::default();
        if let Some((samples, cost)) = sampler.map(Sampler::stop) {
            observed.telemetry = samples;
            observed.notes.push(cost);
        }
        let exit = exit?;
        observed.foreign = exit.foreign;
        observed.company = exit.company.map(Box::new);
        Ok(Exit { cause: exit.cause, max_rss: exit.max_rss, observed })
    }
}
