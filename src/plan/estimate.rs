//! What a cell will roughly take, before it runs: shown with the plan, what decides which cells a budget has room for, and used to
//! refuse what cannot fit in memory.
//!
//! Contract: estimates are labelled as such, each with what it is taken from, and never enter a record as results. They come from this
//! machine where it has measured the cell, else from another model or size that it ran in the same way, else from a table of what runtimes usually reach.

use std::fmt;

use ditbench_backend_api::Costs;
use ditbench_graph::cost;
use ditbench_graph::weights::Scheme;
use ditbench_graph::weights::scheme::bits_of;
use ditbench_record::CellKey;
use ditbench_record::disturbed::several;
use ditbench_workloads::{Pipeline, Source, Stage};

use super::Cell;
use super::experience::{Experience, Remembered, Subject, Times};

/// Seconds that a process takes to start and to load, roughly, where nothing is known.
const READY_S: f64 = 1.0;
/// How many times as much memory, or as little, another cell may take for its own to be scaled: a process needs some that does not
/// depend on the model, and a small model's memory is little else.
const SIMILAR: f64 = 4.0;

/// What an estimate is taken from.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// The cell itself, measured on this machine.
    Measured {
        /// Launches that it was measured in.
        launches: usize,
        /// The day.
        on: String,
    },
    /// Another model or size, run in the same way on this machine.
    Scaled {
        /// Which: `nano 64×64`.
        model: String,
        /// The day.
        on: String,
    },
    /// A table of what runtimes usually reach and take.
    Assumed,
}

impl Basis {
    fn measured(cell: &Remembered) -> Self {
        Self::Measured { launches: cell.launches, on: cell.day().to_owned() }
    }

    fn scaled(cell: &Remembered, to: &CellKey) -> Self {
        let from = &cell.of.key;
        let same = (&from.name(), from.width, from.height) == (&to.name(), to.width, to.height);
        let steps = if same { format!(" in {}", several(from.steps, "step")) } else { String::new() };
        Self::Scaled { model: format!("{}{steps}", cell.model()), on: cell.day().to_owned() }
    }

    /// Whether it is this very cell's, measured on this machine.
    pub fn is_measured(&self) -> bool {
        matches!(self, Self::Measured { .. })
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured { launches, on } => write!(f, "measured here, {} on {on}", several(launches, "launch")),
            Self::Scaled { model, on } => write!(f, "scaled from {model}, measured here on {on}"),
            Self::Assumed => f.write_str("assumed share of peak"),
        }
    }
}

/// A number that was not measured for this, and what it is taken from.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess<T> {
    /// The number.
    pub value: T,
    /// What it is taken from.
    pub basis: Basis,
}

/// Estimated time and memory of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Of what.
    pub of: Subject,
    /// Floating-point operations of one image; 0 where they are not counted: of a user's own files.
    pub flops_per_image: f64,
    /// What a launch takes; `None` where nothing was measured and no peak of the device is known.
    pub times: Option<Guess<Times>>,
    /// The same as if this cell had never been measured: how wrong that is tells how wrong the guesses of other cells are.
    pub guessed: Option<Times>,
    /// Bytes of this machine's memory that are resident while it runs; `None` where nothing was measured on a device with memory of its own.
    pub memory_bytes: Option<Guess<u64>>,
    /// The same as the table has it, whatever was measured.
    pub assumed_bytes: Option<u64>,
}

impl Estimate {
    /// Seconds of an image that is not the first.
    pub fn image_s(&self) -> Option<f64> {
        self.times.as_ref().map(|times| times.value.image_s())
    }
}

/// Estimates one cell: by what is remembered of this machine; else by what its backend is assumed to cost, on a processor that has
/// `peak_flops` (f32, all threads of the cell).
pub fn estimate(
    (cell, of): (&Cell, Subject),
    pipeline: &Pipeline,
    costs: Costs,
    peak_flops: f64,
    experience: &Experience,
) -> Estimate {
    let flops_per_image = pipeline.flops_per_image() as f64;
    let files: Vec<u64> = pipeline.stages.iter().filter_map(of_file).collect();
    // What a user's file computes is not counted.
    let flops_per_image = if files.is_empty() { flops_per_image } else { 0.0 };
    // The peak, and the memory, that the table knows are the processor's.
    let on_cpu = cell.device == "cpu";
    let assumed_s = (on_cpu && flops_per_image > 0.0).then(|| flops_per_image / (peak_flops * costs.share_of_peak));
    let assumed_bytes = on_cpu.then(|| memory(cell, pipeline, costs, files.iter().sum()));
    let own = experience.of(&of);
    let nearest = experience.nearest(&of, flops_per_image);
    let measured = own.map(|own| Guess { value: own.times, basis: Basis::measured(own) });
    let scaled = || {
        let (nearest, times) = nearest.map(|nearest| (nearest, nearest.times))?;
        let by = flops_per_image / nearest.flops_per_image;
        let value = Times { ready_s: times.ready_s.max(READY_S), ..times.slower(by) };
        Some(Guess { value, basis: Basis::scaled(nearest, &of.key) })
    };
    let assumed = || {
        let value = Times { ready_s: READY_S, first_image_s: assumed_s?, image_s: assumed_s };
        Some(Guess { value, basis: Basis::Assumed })
    };
    let measured_bytes = || Some(Guess { value: own?.memory_bytes?, basis: Basis::measured(own?) });
    let scaled_bytes = || {
        let (nearest, here) = (nearest?, assumed_bytes? as f64);
        let by = here / nearest.assumed_bytes.filter(|&there| there > 0)? as f64;
        let value = (by * nearest.memory_bytes? as f64) as u64;
        (by.max(1.0 / by) <= SIMILAR).then(|| Guess { value, basis: Basis::scaled(nearest, &of.key) })
    };
    let assumed_memory = || Some(Guess { value: assumed_bytes?, basis: Basis::Assumed });
    let guess = scaled().or_else(assumed);
    let guessed = guess.as_ref().map(|guess| guess.value);
    let times = measured.or(guess);
    let memory_bytes = measured_bytes().or_else(scaled_bytes).or_else(assumed_memory);
    Estimate { of, flops_per_image, times, guessed, memory_bytes, assumed_bytes }
}

/// Bytes that a backend which costs so much takes for a cell, `files` of them as users' files.
fn memory(cell: &Cell, pipeline: &Pipeline, costs: Costs, files: u64) -> u64 {
    const RUNTIME: f64 = 100e6;
    let weights: f64 = pipeline
        .graphs()
        .into_iter()
        .flat_map(|graph| &graph.weights)
        .map(|w| bits_loaded(cell.scheme, w) * w.len() as f64 / 8.0)
        .sum();
    let activations = pipeline.graphs().into_iter().map(cost::peak_activation_bytes).max().unwrap_or(0) as f64;
    (costs.weights * (weights + files as f64) + costs.activations * activations + RUNTIME) as u64
}

/// Bytes of a user's own file, with its weights.
fn of_file(stage: &Stage) -> Option<u64> {
    match &stage.source {
        Source::Onnx(file) => Some(file.model.bytes + file.model.data.iter().map(|data| data.needed).sum::<u64>()),
        Source::Graph(_) => None,
    }
}

/// Bits of each element of a weight once it is loaded.
fn bits_loaded(scheme: Scheme, weight: &ditbench_graph::WeightSpec) -> f64 {
    match scheme {
        Scheme::Q4 | Scheme::Q8 | Scheme::Mixed => bits_of(scheme, weight),
        // No backend computes on halves or on palettes: they are unpacked when loaded.
        Scheme::F32 | Scheme::F16 | Scheme::Palette4 => 32.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanFile;

    fn cells(group: &str) -> Vec<(Cell, Subject, Pipeline)> {
        let cells = PlanFile::parse(&format!("[[group]]\nthreads = 2\n{group}"), "t").unwrap().cells(2).unwrap();
        let with = |cell: Cell| {
            let pipeline = ditbench_workloads::workload::build(&cell.choice).unwrap();
            let key = CellKey {
                model: cell.choice.model.clone(),
                backend: cell.backend.name.clone(),
                precision: cell.scheme.name().to_owned(),
                device: cell.device.clone(),
                ..CellKey::default()
            };
            (cell, Subject { key, ..Subject::default() }, pipeline)
        };
        cells.into_iter().map(with).collect()
    }

    fn estimated((cell, of, pipeline): &(Cell, Subject, Pipeline), experience: &Experience) -> Estimate {
        estimate((cell, of.clone()), pipeline, Costs::default(), 2e11, experience)
    }

    /// What a run of a cell taught: 2 s an image, and half of the memory that was assumed.
    fn taught(cell: &(Cell, Subject, Pipeline)) -> Remembered {
        let table = estimated(cell, &Experience::default());
        let times = Times { ready_s: 0.25, first_image_s: 3.0, image_s: Some(2.0) };
        Remembered {
            flops_per_image: table.flops_per_image,
            assumed_bytes: table.assumed_bytes,
            memory_bytes: table.assumed_bytes.map(|bytes| bytes / 2),
            ..Remembered::new("here".into(), "2026-11-28T10:00:00Z".into(), cell.1.clone(), 3, times)
        }
    }

    fn experience(cells: &[Remembered]) -> Experience {
        let lines: Vec<String> = cells.iter().map(|cell| serde_json::to_string(cell).unwrap()).collect();
        Experience::parse(&lines.join("\n"), "here")
    }

    #[test]
    fn full_in_four_bits_is_much_smaller_than_in_f32() {
        let cells = cells("model = 'full'\nsize = 512\nbackend = 'ort'\nprecision = ['f32', 'q4']");
        let [f32, q4] = [&cells[0], &cells[1]].map(|cell| estimated(cell, &Experience::default()));
        let bytes = [&f32, &q4].map(|estimate| estimate.memory_bytes.as_ref().unwrap().value);
        assert!(bytes[0] > 8_000_000_000 && bytes[1] < 3_000_000_000, "{f32:?} {q4:?}");
        assert_eq!(f32.flops_per_image, q4.flops_per_image);
        assert_eq!(f32.times.unwrap().basis, Basis::Assumed);
    }

    #[test]
    fn a_device_is_not_estimated_by_the_processor_but_by_what_was_measured_there() {
        let cells = cells("model = 'nano'\nsize = 64\nbackend = 'ort'\nprecision = 'f32'\ndevice = ['cpu', 'cuda']");
        let [cpu, cuda] = [&cells[0], &cells[1]].map(|cell| estimated(cell, &Experience::default()));
        assert!(cpu.times.is_some() && cpu.memory_bytes.is_some());
        assert_eq!((&cuda.times, &cuda.memory_bytes, cuda.flops_per_image), (&None, &None, cpu.flops_per_image));
        let on_cpu = estimated(&cells[1], &experience(&[taught(&cells[0])]));
        assert_eq!(on_cpu.times, None, "what the processor took says nothing");
        assert_eq!(estimated(&cells[1], &experience(&[taught(&cells[1])])).image_s(), Some(2.0));
    }

    #[test]
    fn what_was_measured_here_comes_before_what_is_scaled_and_that_before_the_table() {
        let cells = cells("model = ['nano', 'tiny', 'small']\nbackend = 'ort'\nprecision = ['f32', 'q4']");
        let [nano, nano_q4, tiny, _, small, _] = &cells[..] else { panic!("six cells") };
        let known = experience(&[taught(nano), taught(tiny)]);
        let own = estimated(tiny, &known);
        let times = own.times.unwrap();
        assert_eq!(times.basis.to_string(), "measured here, 3 launches on 2026-11-28");
        assert!(times.basis.is_measured());
        assert_eq!((times.value.ready_s, times.value.first_image_s, times.value.image_s()), (0.25, 3.0, 2.0));
        assert_eq!(own.memory_bytes.unwrap().value, own.assumed_bytes.unwrap() / 2);
        // By operations, from the nearest in them.
        let other = estimated(small, &known);
        let times = other.times.unwrap();
        assert!(times.basis.to_string().starts_with("scaled from tiny "), "{}", times.basis);
        assert!(!times.basis.is_measured(), "it is a guess");
        let by = other.flops_per_image / taught(tiny).flops_per_image;
        assert!(by > 1.5 && (times.value.image_s() - 2.0 * by).abs() < 1e-9, "{by}");
        // Another precision is another way of running.
        assert_eq!(estimated(nano_q4, &known).times.unwrap().basis, Basis::Assumed);
    }

    #[test]
    fn memory_is_scaled_from_what_is_similar_only() {
        let cells = cells("model = ['nano', 'tiny', 'small', 'full']\nbackend = 'ort'\nprecision = 'f32'");
        let bytes = |cell, known: &[&(Cell, Subject, Pipeline)]| {
            let known: Vec<Remembered> = known.iter().map(|cell| taught(cell)).collect();
            let estimate = estimated(cell, &experience(&known));
            (estimate.memory_bytes.unwrap(), estimate.assumed_bytes.unwrap())
        };
        let (far, assumed) = bytes(&cells[3], &[&cells[0]]);
        assert_eq!((far.basis, far.value), (Basis::Assumed, assumed), "nano's memory is mostly the process's own");
        let (near, assumed) = bytes(&cells[3], &[&cells[0], &cells[2]]);
        assert!(near.basis.to_string().starts_with("scaled from small"), "{}", near.basis);
        assert!(near.value.abs_diff(assumed / 2) < 10, "{} of {assumed}", near.value);
    }
}
