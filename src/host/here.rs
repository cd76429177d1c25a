//! This machine as a host: workers are child processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use ditbench_record::{Build, Git, Machine, Peak, Reading};

use super::sampler::Sampler;
use ditbench_worker::process::{Exit, Observed, local};

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
    pub telemetry: bool,
    /// Whether what the machine does when it is hot is what is measured.
    pub sustained: bool,
    /// ONNX Runtime's library, or why there is none; `None` until somebody asked.
    pub ort: Option<Result<PathBuf, String>>,
}

impl Host for ThisMachine {
    fn is_phone(&self) -> bool {
        false
    }

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

    fn backend(&self, name: &str) -> Result<BackendFacts, String> {
        match &self.ort {
            Some(Err(why)) if name == "ort" => Err(why.clone()),
            Some(Ok(library)) => registry::facts_of(name, Some(library)),
            _ => registry::facts_of(name, None),
        }
    }

    fn ort_library(&mut self, common: &Common, say: &dyn Fn(String)) -> Result<PathBuf, String> {
        let fetch = || crate::ort_library::fetch(common, say).map_err(|error| crate::text::causes(&error));
        self.ort.get_or_insert_with(fetch).clone()
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
        let environment: Vec<_> = order.environment.clone();
        let sampler = self.telemetry.then(|| Sampler::start(begun));
        let kept = local::order_file(order.log);
        let exit =
            local::launch(order.spec, &environment, order.log, kept.as_deref(), begun + order.timeout, |event| {
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
        Ok(Exit { cause: exit.cause, max_rss: exit.max_rss, observed })
    }
}
