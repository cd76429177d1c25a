//! From the cells of a plan to what can be run: the model built, the way of running found, or the reason why not.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use ditbench_backend_api::{Costs, MemoryMode, Variant};
use ditbench_record::{Cell as Row, CellKey, Status};
use ditbench_workloads::{Choice, Pipeline, workload};

use crate::environment::Common;
use crate::host::Host;
use crate::plan::Cell;
use ditbench_worker::registry::BackendFacts;

/// A cell with everything that is known before it runs.
pub struct Resolved {
    /// As planned.
    pub cell: Cell,
    /// Its key in the record.
    pub key: CellKey,
    /// The stages that a backend runs, and the way between them.
    pub pipeline: Rc<Pipeline>,
    /// The way of running.
    pub way: Variant,
    /// What to assume of its backend where nothing is measured yet.
    pub costs: Costs,
    /// Whether its backend is there for others to be held against.
    pub is_reference: bool,
    /// Why it cannot run, if it cannot.
    pub refusal: Option<(Status, String)>,
}

impl Resolved {
    /// A cell as a backend would run it that knows one way.
    #[cfg(test)]
    pub(super) fn of(cell: Cell) -> Self {
        let pipeline = Rc::new(workload::build(&cell.choice).unwrap());
        let way = Variant::new("stock", "");
        let (key, costs) = (key(&cell, &pipeline, &way.name), Costs::default());
        Self { key, cell, pipeline, way, costs, is_reference: false, refusal: None }
    }

    /// Noise levels of an image, from 1 to 0.
    pub fn sigmas(&self) -> Vec<f64> {
        self.pipeline.drive.sigmas()
    }

    /// The record's row of it before anything was run.
    pub fn row(&self) -> Row {
        Row { key: self.key.clone(), variant_about: self.way.about.clone(), sigmas: self.sigmas(), ..Row::default() }
    }
}

/// Resolves all cells for a host; two cells of one workload share the pipeline. Backends are made ready first: what one can do
/// is known when it has what it needs.
///
/// # Errors
/// A workload that cannot be built at all: a mistake in the plan.
pub fn resolve(cells: Vec<Cell>, host: &mut dyn Host, common: &Common, say: &dyn Fn(String)) -> Result<Vec<Resolved>> {
    let wanted: BTreeSet<&str> = cells.iter().map(|cell| cell.backend.name.as_str()).collect();
    for backend in wanted {
        host.prepare(backend, common, say);
        if ditbench_worker::interrupt::requested() {
            bail!("interrupted before anything was measured");
        }
    }
    let mut pipelines: HashMap<Choice, Rc<Pipeline>> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut backends: HashMap<String, Result<BackendFacts, String>> = HashMap::new();
    cells
        .into_iter()
        .map(|cell| {
            let pipeline = match pipelines.get(&cell.choice) {
                Some(pipeline) => Rc::clone(pipeline),
                None => {
                    let built =
                        workload::build(&cell.choice).with_context(|| format!("cannot build {}", cell.choice))?;
                    let built = Rc::new(built);
                    pipelines.insert(cell.choice.clone(), Rc::clone(&built));
                    built
                }
            };
            let backend = backends.entry(cell.backend.name.clone()).or_insert_with_key(|name| host.backend(name));
            let unknown = || Variant::new(cell.backend.variant.as_deref().unwrap_or_default(), "");
            let (costs, is_reference) =
                backend.as_ref().map_or_else(|_| Default::default(), |facts| (facts.costs, facts.is_reference));
            let (way, refusal) = match backend {
                Err(why) => (unknown(), Some(why.clone())),
                Ok(facts) => match choose(facts, &cell) {
                    Ok(way) => (way, device_missing(facts, &cell)),
                    Err(why) => (unknown(), Some(why)),
                },
            };
            let key = key(&cell, &pipeline, &way.name);
            let refusal = refusal.map(|why| (Status::Unsupported, why));
            Ok(Resolved { key, pipeline, way, costs, is_reference, refusal, cell })
        })
        // `tract` and `tract:stock` are one cell where stock is the default.
        .filter(|resolved| resolved.as_ref().map_or(true, |resolved| seen.insert(resolved.key.clone())))
        .collect()
}

/// The way of running: the backend's default; or the one named; or, for a name such as `tuned`, the first way whose
/// name begins with it (`tuned-int8`).
fn choose(facts: &BackendFacts, cell: &Cell) -> Result<Variant, String> {
    let mut variants = facts.variants.get(cell.scheme.name()).cloned().unwrap_or_default();
    if variants.is_empty() {
        return Err(format!("{} has no way to run {} weights", cell.backend.name, cell.scheme.name()));
    }
    let Some(wanted) = &cell.backend.variant else { return Ok(variants.swap_remove(0)) };
    let exact = variants.iter().position(|variant| variant.name == *wanted);
    let begins = || variants.iter().position(|variant| variant.name.starts_with(&format!("{wanted}-")));
    match exact.or_else(begins) {
        Some(index) => Ok(variants.swap_remove(index)),
        None => {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
            Err(format!(
                "{} runs {} weights as {}, not as \"{wanted}\"",
                cell.backend.name,
                cell.scheme.name(),
                names.join(", ")
            ))
        }
    }
}

/// Why the device asked for cannot be used.
fn device_missing(facts: &BackendFacts, cell: &Cell) -> Option<String> {
    let device = cell.device.as_str();
    match facts.devices.iter().find(|report| report.name == device) {
        Some(report) => {
            report.state.as_ref().err().map(|missing| format!("{device}: {}. {}", missing.why, missing.cure))
        }
        None => {
            let names: Vec<&str> = facts.devices.iter().map(|report| report.name.as_str()).collect();
            Some(format!("{} has no device \"{device}\"; it knows {}", cell.backend.name, names.join(", ")))
        }
    }
}

pub(super) fn key(cell: &Cell, pipeline: &Pipeline, variant: &str) -> CellKey {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let own = |name: &str| pipeline.own.iter().find(|(axis, _)| axis == name).map_or("", |(_, value)| value.as_str());
    CellKey {
        model: pipeline.name.clone(),
        height: small(cell.choice.size.height),
        width: small(cell.choice.size.width),
        backend: cell.backend.name.clone(),
        variant: variant.to_owned(),
        device: cell.device.clone(),
        precision: cell.scheme.name().to_owned(),
        threads: small(cell.threads.get()),
        batch: small(pipeline.batch),
        steps: small(cell.choice.steps),
        text_tokens: own("text_tokens").parse().unwrap_or_default(),
        memory: match cell.memory {
            MemoryMode::Fast => "fast".to_owned(),
            MemoryMode::Small => "small".to_owned(),
        },
        sampler: own("sampler").to_owned(),
        cpus: cell.pinned.as_ref().map(|pinned| ditbench_record::cpus::list(&pinned.cpus)).unwrap_or_default(),
    }
}
