//! The suite on the reference itself; its exceptions; the reference on a whole model.

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, DeviceFacts, Session, Variant as Way, VersionReport,
};
use ditbench_conformance::{Suite, Verdict, assert_passed, inputs, table, weights};
use ditbench_graph::Graph;
use ditbench_graph::Op;
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_reference::{Reference, ReferenceSession};
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

#[test]
fn the_reference_passes() {
    let cache = tempfile::tempdir().unwrap();
    assert_passed(&Suite::new(cache.path()).run(&Reference));
}

#[test]
fn a_whole_denoiser_gives_the_same_bits_on_any_number_of_threads() {
    let denoiser = Model::build(&Variant::Nano.config(ImageSize { height: 64, width: 64 })).unwrap().denoiser;
    let (weights, inputs) = (weights(&denoiser, Scheme::Q4, 7), inputs(&denoiser, 7));
    let run = |threads| ReferenceSession::new(&denoiser, &weights, threads).unwrap().run_f64(&inputs).unwrap();
    let one = run(1);
    assert!(one[0].data.iter().all(|v| v.is_finite()));
    assert_eq!(one, run(3));
    assert_eq!(one, run(1));
}

/// The reference without convolutions.
struct NoConvolution;

impl Backend for NoConvolution {
    fn name(&self) -> &'static str {
        "no-convolution"
    }

    fn version(&self) -> VersionReport {
        Reference.version()
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        Reference.devices()
    }

    fn variants(&self, scheme: Scheme) -> Vec<Way> {
        Reference.variants(scheme)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        if graph.nodes.iter().any(|node| matches!(node.op, Op::Conv2d { .. })) {
            return Err(BackendError::Unsupported { backend: self.name(), why: "no convolutions".to_owned() });
        }
        Reference.compile(graph, weights, options)
    }
}

#[test]
fn what_is_unsupported_must_be_declared_and_what_is_declared_must_be_needed() {
    let cache = tempfile::tempdir().unwrap();
    let suite = |prefix| Suite::new(cache.path()).schemes(&[Scheme::F32]).only(prefix);
    let undeclared = suite("conv2d.").run(&NoConvolution);
    assert!(undeclared.iter().all(|outcome| !outcome.is_ok()));
    assert!(table(&undeclared).contains("unsupported, not declared: no convolutions"));

    let declared = suite("conv2d.").except("conv2d.", None, None, "the runtime has none");
    assert_passed(&declared.run(&NoConvolution));
    // Declared for another scheme only.
    let other = suite("conv2d.").except("conv2d.", Some(Scheme::Q4), None, "the runtime has none");
    assert!(other.run(&NoConvolution).iter().all(|outcome| !outcome.is_ok()));

    let stale = declared.run(&Reference);
    let Verdict::Failed { why } = &stale.last().unwrap().verdict else { panic!("a stale exception passed") };
    assert!(why.ends_with("but every case of it ran: remove it"), "{why}");
}

#[test]
#[should_panic(expected = "no case was run")]
fn an_empty_run_does_not_pass() {
    assert_passed(&Suite::new("unused").only("no such case").run(&Reference));
}
