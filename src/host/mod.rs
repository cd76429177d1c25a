//! Where a worker runs: this machine, or a phone. The same run goes through the same [`Host`] on either.
//!
//! Contract: whatever happens to a worker, or to the way to it, comes back as an [`Exit`]; an error is our own environment's.

pub mod adb;
mod here;
mod sampler;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ditbench_protocol::{Event, LaunchSpec};
use ditbench_record::{Build, Git, Machine, Peak, Reading};
use ditbench_worker::probe::memory::Available;
use ditbench_worker::process::Exit;
use ditbench_worker::registry::BackendFacts;
use ditbench_workloads::Pipeline;

use crate::environment::Common;
use crate::plan::ClusterChoice;

pub use here::ThisMachine;

/// A machine that runs workers.
pub trait Host {
    /// Whether workers run on another machine than this: their files and their clock are not ours, and asking takes a while.
    fn is_remote(&self) -> bool {
        false
    }

    /// Whether waiting is all that the machine needs after a launch that was held back: it cools down when it is left alone.
    fn recovers_alone(&self) -> bool {
        false
    }

    /// The machine, for the record.
    fn machine(&self) -> Machine;

    /// The build of ditbench that runs there.
    fn build(&self) -> Build;

    /// The revision that this build is of.
    fn git(&self) -> Reading<Git>;

    /// Threads that a cell uses where the plan does not say.
    fn cores(&self) -> usize;

    /// The CPUs that a choice of cores means there.
    ///
    /// # Errors
    /// It has none of that name; says which there are.
    fn cpus_of(&self, cluster: &ClusterChoice) -> Result<Vec<u32>, String>;

    /// Memory that a worker could use now.
    fn memory_available(&self) -> Option<Available>;

    /// f32 FLOP/s of one thread, roughly: for estimates only.
    fn quick_peak(&self) -> f64;

    /// Makes a backend ready there, once: what it needs is looked for, fetched or sent, and its workers will find it. Whether it
    /// could be had is told by [`Host::backend`].
    fn prepare(&mut self, backend: &str, common: &Common, say: &dyn Fn(String));

    /// What a backend can do there, with what it was made ready with.
    ///
    /// # Errors
    /// Why it cannot be used there, and how to get it: a row's reason.
    fn backend(&self, name: &str) -> Result<BackendFacts, String>;

    /// Measures its peaks at these thread counts, on these CPUs.
    fn peaks(&mut self, wanted: &[PeakOf]) -> Vec<Peak>;

    /// Seconds of the fixed piece of work.
    fn calibrate(&mut self) -> Reading<f64>;

    /// Pieces of work a second that so many threads of company ([`ditbench_worker::company`]) get done there with nothing beside
    /// them, on these CPUs (none: as the system sees fit).
    fn company_alone(&mut self, threads: u32, cpus: &[u32]) -> Reading<f64>;

    /// All sensors now.
    fn sensors(&mut self) -> BTreeMap<String, Reading<f64>>;

    /// Waits until the machine is as cool as when the run began; `None` if it is. Sustained launches, too, begin cool: what they show
    /// is the way from there.
    fn cool_down(&mut self, say: &dyn Fn(String)) -> Option<NotCool>;

    /// Waits a little for other programs to leave the machine alone; `false` if they do not, so that making a launch again would
    /// give the same.
    fn becomes_quiet(&mut self) -> bool {
        true
    }

    /// Whether a launch that was held back counts all the same, because that is what is measured.
    fn wants_throttling(&self) -> bool {
        false
    }

    /// Runs a worker to its end and hands on its events, each with the seconds since the launch began, by that
    /// machine's clock.
    ///
    /// # Errors
    /// Our own environment: no process can be started, a log cannot be written.
    fn launch(&mut self, order: &Order, on_event: &mut dyn FnMut(f64, Event)) -> Result<Exit>;

    /// Why no further launch can be made there, if so: the run stops, and is resumed when this has changed.
    fn gone(&self) -> Option<String> {
        None
    }
}

/// Why a launch may not have begun on a cool machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCool {
    /// It did not become cool.
    StillWarm {
        /// What of it.
        what: String,
        /// How long that was waited for.
        waited: Duration,
    },
    /// Nothing tells.
    NotKnown {
        /// Why not.
        why: String,
    },
}

/// A thread count, and the CPUs to pin it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeakOf {
    /// How many threads.
    pub threads: usize,
    /// Where; empty: as the system sees fit.
    pub cpus: Vec<u32>,
}

/// One launch, as a host is told of it. Paths are this machine's.
pub struct Order<'a> {
    /// Names it among all launches of all runs: it begins with the run's id and a dot.
    pub id: String,
    /// For the worker.
    pub spec: &'a LaunchSpec,
    /// Its stages.
    pub pipeline: &'a Pipeline,
    /// Where the worker's own words go.
    pub log: &'a Path,
    /// After this the worker is given up.
    pub timeout: Duration,
    /// Where a trace of the whole system goes; `None`: none is taken.
    pub system_trace: Option<&'a Path>,
    /// Where to say what is going on.
    pub say: &'a dyn Fn(String),
}
