//! One cell: one workload on one backend, device, precision and thread count.

use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::{Choice, own};
use serde::{Deserialize, Serialize};

use super::axes::{BackendChoice, Size};
use super::bounds::{Company, Steps, Threads};
use super::brought::{Brought, model_of};
use super::cluster::Pinned;
use super::{Axes, OwnAxes};

/// One row of the table to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// What is generated: workload, model, size and the rest.
    pub choice: Choice,
    /// What runs it.
    pub backend: BackendChoice,
    /// Where.
    pub device: String,
    /// How the weights are stored.
    pub scheme: Scheme,
    /// Threads that computing may use.
    pub threads: Threads,
    /// What memory is spent on.
    pub memory: MemoryMode,
    /// The CPUs that it may run on; `None` where the system decides.
    #[serde(default)]
    pub pinned: Option<Pinned>,
    /// Threads that are kept busy beside it; 0 alone.
    #[serde(default = "nobody")]
    pub company: Company,
    /// Which group of the plan it is of: 0, 1, …
    #[serde(default)]
    pub group: usize,
    /// Whether it is there, made once, only for others to be held against.
    #[serde(default)]
    pub is_yardstick: bool,
}

fn nobody() -> Company {
    Company::fixed(0)
}

impl Cell {
    /// Axes that name this cell alone, run in the way `variant`.
    pub fn axes(&self, variant: &str) -> Axes {
        let Choice { size, steps, own, .. } = self.choice.clone();
        let brought = Brought::of(&self.choice);
        let is_own = own::path_of(&self.choice).is_some();
        Axes {
            model: Some(vec![model_of(&self.choice)]),
            size: (!own::is_single(&self.choice)).then(|| vec![Size(size)]),
            backend: Some(vec![BackendChoice { name: self.backend.name.clone(), variant: Some(variant.to_owned()) }]),
            precision: (!is_own).then(|| vec![self.scheme]),
            device: Some(vec![self.device.clone()]),
            threads: Some(vec![self.threads]),
            steps: (!own::is_single(&self.choice)).then(|| vec![Steps::nearest(steps)]),
            memory: Some(vec![self.memory]),
            brought,
            own: OwnAxes::single(&own),
            // A plan of cells that are alone is one that older programs read.
            company: (self.company != nobody()).then(|| vec![self.company]),
            cluster: self.pinned.as_ref().map(|pinned| vec![pinned.cluster.clone()]),
        }
    }

    /// A text that tells it from every other cell of a plan.
    pub fn key(&self) -> String {
        let memory = if self.memory == MemoryMode::Small { " small memory" } else { "" };
        let on = self.pinned.as_ref().map(|pinned| format!(" on {}", pinned.cluster)).unwrap_or_default();
        let company = if self.company == nobody() { String::new() } else { format!(" in company of {}", self.company) };
        let Self { choice, backend, device, scheme, threads, .. } = self;
        // The files of a user's model have the one precision that they have.
        let scheme = if own::path_of(choice).is_some() { String::new() } else { format!(" {}", scheme.name()) };
        format!("{choice} {backend} {device}{scheme} {threads}th{memory}{on}{company}")
    }
}
