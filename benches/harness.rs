//! What the pipeline around the backend costs: an image whose stages do nothing.
//!
//! `cargo bench --bench harness`. The bound that matters: below 1 % of the fastest image that any backend makes. The same
//! share is in every record as `harness_s`, measured.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ditbench_graph::tensor::TensorError;
use ditbench_graph::{Graph, Tensor};
use ditbench_workloads::StageRunner;
use ditbench_workloads::snapgenpp::pipeline::{self, Feed, Rule};
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

/// Gives results made beforehand: what is left is the pipeline.
struct Nothing {
    results: [Tensor; 3],
}

impl Nothing {
    fn new(model: &Model) -> Self {
        let zeros = |graph: &Graph| {
            let shape = graph.shape(graph.outputs[0].value);
            Tensor::f32(shape, vec![0.5; shape.iter().product()]).expect("the numbers fit the shape")
        };
        Self { results: model.graphs().map(zeros) }
    }
}

impl StageRunner for Nothing {
    type Error = TensorError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, TensorError> {
        black_box(inputs);
        let index = match stage {
            "text_encoder" => 0,
            "denoiser" => 1,
            _ => 2,
        };
        Ok(vec![self.results[index].clone()])
    }
}

fn image(c: &mut Criterion) {
    for (variant, side) in [(Variant::Nano, 64), (Variant::Small, 512), (Variant::Small, 1024)] {
        let config = variant.config(ImageSize { height: side, width: side });
        let model = Model::build(&config).expect("a model");
        let inputs = Feed::make(&config, "a red apple", 7, 4, Rule::Euler).expect("inputs");
        let mut runner = Nothing::new(&model);
        c.bench_function(&format!("pipeline without stages, {} {side}", variant.name()), |b| {
            b.iter(|| pipeline::generate(&config, black_box(&inputs), &mut runner).expect("an image"));
        });
    }
}

criterion_group!(benches, image);
criterion_main!(benches);
