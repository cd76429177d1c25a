//! What results are held against where a plan has nothing for it: a plan of other devices alone gets a cell on the processor.

use ditbench_backend_api::MemoryMode;
use ditbench_graph::cost;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::{Choice, own, workload};

use super::resolve::Resolved;
use crate::plan::{BackendChoice, Cell, Company, Threads};
use ditbench_worker::registry;

/// The processor, as a device.
const PROCESSOR: &str = "cpu";

/// Operations of an image up to which the 64-bit interpreter makes it: some ten seconds of it.
const MOST: u64 = 30_000_000_000;

/// Adds, for each workload that is run on other devices and on the processor not in f32, one cell that is made once.
pub(super) fn add(cells: &mut Vec<Cell>, cores: Threads) {
    let mut missing: Vec<Choice> = Vec::new();
    // A user's own model has references of its own.
    let elsewhere = |cell: &&Cell| cell.device != PROCESSOR && own::path_of(&cell.choice).is_none();
    for cell in cells.iter().filter(elsewhere) {
        let is_one =
            |other: &Cell| other.device == PROCESSOR && other.scheme == Scheme::F32 && other.choice == cell.choice;
        if !cells.iter().any(is_one) && !missing.contains(&cell.choice) {
            missing.push(cell.choice.clone());
        }
    }
    cells.extend(missing.into_iter().map(|choice| Cell {
        backend: BackendChoice { name: backend(&choice).to_owned(), variant: None },
        choice,
        device: PROCESSOR.to_owned(),
        scheme: Scheme::F32,
        threads: cores,
        memory: MemoryMode::Fast,
        pinned: None,
        company: Company::fixed(0),
        group: 0,
        is_yardstick: true,
    }));
}

/// Takes away those of workloads of which nothing else can run.
pub(super) fn drop_idle(cells: &mut Vec<Resolved>) {
    let running: Vec<Choice> = cells
        .iter()
        .filter(|cell| !cell.cell.is_yardstick && cell.refusal.is_none())
        .map(|cell| cell.cell.choice.clone())
        .collect();
    cells.retain(|cell| !cell.cell.is_yardstick || running.contains(&cell.cell.choice));
}

/// The 64-bit interpreter, where that takes no longer than a reader waits; else what computes in 32 bits and needs nothing more.
fn backend(choice: &Choice) -> &'static str {
    let flops = |choice: &Choice| {
        let pipeline = workload::build(choice).ok()?;
        let total: u64 = pipeline.graphs().into_iter().map(|graph| cost::total(graph).flops).sum();
        Some(total.saturating_mul(choice.steps as u64))
    };
    if flops(choice).is_some_and(|flops| flops <= MOST) { registry::YARDSTICK } else { registry::ALONE[0] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanFile;

    fn with_yardsticks(plan: &str) -> Vec<Cell> {
        let mut cells = PlanFile::parse(plan, "t").unwrap().cells(2).unwrap();
        add(&mut cells, Threads::fixed(2));
        cells
    }

    #[test]
    fn a_plan_of_devices_alone_gets_a_cell_on_the_processor_for_each_workload() {
        let cells =
            with_yardsticks("[[group]]\nbackend = 'ort'\ndevice = 'webgpu'\nprecision = ['f32', 'q4']\nsteps = [1, 4]");
        let added: Vec<&Cell> = cells.iter().filter(|cell| cell.is_yardstick).collect();
        assert_eq!((cells.len(), added.len()), (6, 2));
        for cell in added {
            assert_eq!((cell.device.as_str(), cell.scheme), ("cpu", Scheme::F32));
            assert_eq!(cell.backend.name, registry::YARDSTICK, "nano is small");
        }
        let large =
            with_yardsticks("[[group]]\nmodel = 'small'\nbackend = 'ort'\ndevice = 'webgpu'\nprecision = 'f32'");
        assert_ne!(large.last().unwrap().backend.name, registry::YARDSTICK, "nobody waits so long");
    }

    #[test]
    fn where_nothing_else_can_run_it_does_not_either() {
        let cells = with_yardsticks("[[group]]\nbackend = 'ort'\ndevice = 'webgpu'\nprecision = 'f32'\nsteps = [1, 4]");
        let mut resolved: Vec<Resolved> = cells.into_iter().map(Resolved::of).collect();
        resolved[0].refusal = Some((ditbench_record::Status::Unsupported, "no GPU".to_owned()));
        drop_idle(&mut resolved);
        let steps: Vec<usize> = resolved.iter().map(|cell| cell.cell.choice.steps).collect();
        assert_eq!(steps, [1, 4, 4], "of the two workloads only one can run");
    }

    #[test]
    fn a_plan_that_has_one_gets_none() {
        for plan in [
            "[[group]]\nbackend = 'ort'\ndevice = ['cpu', 'webgpu']\nprecision = ['f32', 'q4']",
            "[[group]]\nbackend = 'ort'\nprecision = 'q4'",
        ] {
            assert!(with_yardsticks(plan).iter().all(|cell| !cell.is_yardstick), "{plan}");
        }
    }
}
