//! tract 0.23.9 itself is wrong, without an error, when joined heads feed `MatMulNBits` directly and the batch is above 1.
//! The writer's barrier is there for that. When the first test fails, a new tract is right and the barrier can go.

use ditbench_conformance::{cases, weights};
use ditbench_graph::onnx::{self, Dialect};
use ditbench_graph::weights::Scheme;
use ditbench_reference::ReferenceSession;
use ditbench_tract::dialect;
use tract_onnx::prelude::*;

/// Relative L2 distance of tract's result from the reference's.
fn distance(dialect: &Dialect) -> f64 {
    let case = cases().into_iter().find(|case| case.name == "linear.after_transposed_heads.batch_2").unwrap();
    let weights = weights(&case.graph, Scheme::Q4, case.seed);
    let dir = tempfile::tempdir().unwrap();
    let exported = onnx::write(&case.graph, &weights, dialect, dir.path()).unwrap();
    let model = tract_onnx::onnx().model_for_path(&exported.model).unwrap().into_optimized().unwrap();
    let inputs = case.inputs.iter().map(|input| {
        let tensor = tract_onnx::prelude::Tensor::from_shape(input.shape(), input.as_f32().unwrap()).unwrap();
        tensor.into_tvalue()
    });
    let outputs = TypedSimplePlan::new(model).unwrap().run(inputs.collect()).unwrap();
    let view = outputs[0].try_as_plain_ram().unwrap();
    let found = view.as_slice::<f32>().unwrap();
    let truth = ReferenceSession::new(&case.graph, &weights, 1).unwrap().run_f64(&case.inputs).unwrap().remove(0).data;
    let off: f64 = found.iter().zip(&truth).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    (off / truth.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

#[test]
fn without_the_barrier_tract_is_wrong() {
    let far = distance(&Dialect { nbits_barrier: false, ..dialect::stock() });
    assert!(far > 0.1, "off by {far:.1e} only: tract is right now, the barrier can go");
}

#[test]
fn with_the_barrier_it_is_right() {
    let far = distance(&dialect::stock());
    assert!(far < 1e-5, "off by {far:.1e}");
}
