//! What a cell will roughly take, before it runs: shown with the plan, and used to refuse what cannot fit in memory.
//!
//! Contract: estimates are labelled as such and never enter a record as results.

use ditbench_backend_api::Costs;
use ditbench_graph::cost;
use ditbench_graph::weights::Scheme;
use ditbench_graph::weights::scheme::bits_of;
use ditbench_workloads::{Pipeline, Source, Stage};

use super::Cell;

/// Estimated time and memory of one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Floating-point operations of one image; 0 where they are not counted: of a user's own files.
    pub flops_per_image: f64,
    /// Seconds for one image, at the share of peak that [`Costs`] assumes; `None` on a device of which no peak is known.
    pub image_s: Option<f64>,
    /// Bytes of this machine's memory that are resident while it runs; `None` on a device with memory of its own.
    pub memory_bytes: Option<u64>,
}

/// Estimates one cell, whose backend is assumed to cost so much, on a machine whose processor has `peak_flops` (f32, all threads
/// of the cell).
pub fn estimate(cell: &Cell, pipeline: &Pipeline, costs: Costs, peak_flops: f64) -> Estimate {
    let flops_per_image = pipeline.flops_per_image() as f64;
    let files: Vec<u64> = pipeline.stages.iter().filter_map(of_file).collect();
    let weights: f64 = pipeline
        .graphs()
        .into_iter()
        .flat_map(|graph| &graph.weights)
        .map(|w| bits_loaded(cell.scheme, w) * w.len() as f64 / 8.0)
        .sum();
    let activations = pipeline.graphs().into_iter().map(cost::peak_activation_bytes).max().unwrap_or(0) as f64;
    const RUNTIME: f64 = 100e6;
    let weights = weights + files.iter().sum::<u64>() as f64;
    let memory_bytes = (costs.weights * weights + costs.activations * activations + RUNTIME) as u64;
    // What is known is the processor's.
    let on_cpu = cell.device == "cpu";
    Estimate {
        flops_per_image,
        // What a user's file computes is not counted.
        image_s: (on_cpu && files.is_empty()).then(|| flops_per_image / (peak_flops * costs.share_of_peak)),
        memory_bytes: on_cpu.then_some(memory_bytes),
    }
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

    #[test]
    fn full_in_four_bits_is_much_smaller_than_in_f32() {
        let text = "[[group]]\nmodel = 'full'\nsize = 512\nbackend = 'ort'\nprecision = ['f32', 'q4']\nthreads = 2";
        let cells = PlanFile::parse(text, "t").unwrap().cells(2).unwrap();
        let pipeline = ditbench_workloads::workload::build(&cells[0].choice).unwrap();
        let [f32, q4] = [&cells[0], &cells[1]].map(|cell| estimate(cell, &pipeline, Costs::default(), 2e11));
        let bytes = [f32, q4].map(|estimate| estimate.memory_bytes.unwrap());
        assert!(bytes[0] > 8_000_000_000 && bytes[1] < 3_000_000_000, "{f32:?} {q4:?}");
        assert_eq!(f32.flops_per_image, q4.flops_per_image);
    }

    #[test]
    fn a_device_is_not_estimated_by_the_processor() {
        let text = "[[group]]\nmodel = 'nano'\nsize = 64\nbackend = 'ort'\nprecision = 'f32'\ndevice = ['cpu', 'cuda']\nthreads = 2";
        let cells = PlanFile::parse(text, "t").unwrap().cells(2).unwrap();
        let pipeline = ditbench_workloads::workload::build(&cells[0].choice).unwrap();
        let [cpu, cuda] = [&cells[0], &cells[1]].map(|cell| estimate(cell, &pipeline, Costs::default(), 2e11));
        assert!(cpu.image_s.is_some() && cpu.memory_bytes.is_some());
        assert_eq!((cuda.image_s, cuda.memory_bytes, cuda.flops_per_image), (None, None, cpu.flops_per_image));
    }
}
