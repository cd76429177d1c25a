//! A workload of somebody else's: what the trait asks for is all that it needs.

mod toy;

use ditbench_graph::Tensor;
use ditbench_graph::weights::prepare::{Source, prepare};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_workloads::{Choice, ImageSize, RunError, StageRunner, Workload};
use toy::Toy;

/// Gives back what it is fed, three times over for the decoder.
struct Echo(Vec<String>);

impl StageRunner for Echo {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.0.push(stage.to_owned());
        let times = if stage == "decoder" { 3 } else { 1 };
        let values = inputs[0].as_f32()?.repeat(times);
        Ok(vec![Tensor::f32([1, values.len()], values)?])
    }
}

#[test]
fn a_toy_workload_goes_from_a_choice_to_an_image() {
    let size = ImageSize { height: 2, width: 2 };
    let choice = Choice::new("toy", "toy", size, 3).with("pull", "0.25");
    let pipeline = Toy.build(&choice).unwrap();
    let inputs = pipeline.drive.inputs("a red apple", 7).unwrap();
    let mut echo = Echo(Vec::new());
    let trace = pipeline.drive.image(&inputs, &mut echo).unwrap();
    assert_eq!(echo.0, ["denoiser", "denoiser", "denoiser", "decoder"]);
    assert_eq!((trace.latents.len(), trace.image.len(), trace.times.of("denoiser").len()), (3, 12, 3));
    assert_eq!(pipeline.own, [("pull".to_owned(), "0.25".to_owned())]);
    assert_eq!(pipeline.passes_per_step("denoiser"), 1);
    // Its weights are prepared like any other's.
    let cache = tempfile::tempdir().unwrap();
    let prepared = prepare(&pipeline, &Source::Seed(7), Scheme::F32, cache.path(), |_| {}).unwrap();
    Weights::open(&prepared.path).unwrap().check(&pipeline.graphs(), &prepared.path).unwrap();
}
