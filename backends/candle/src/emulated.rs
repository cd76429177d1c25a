//! `tuned-half` on any machine: the shared suite, over what the kernels' scalar code computes, which are the bits of the instructions.

use ditbench_backend_api::{Backend, BackendError, CompileOptions, DeviceFacts, Session, Variant, VersionReport};
use ditbench_conformance::{Suite, assert_passed};
use ditbench_graph::Graph;
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_kernels::Isa;
use ditbench_kernels::linear::Products;

use crate::session::CandleSession;
use crate::{Candle, DEVICE, HALF, Way, threads};

struct Emulated;

impl Backend for Emulated {
    fn name(&self) -> &'static str {
        Candle.name()
    }

    fn version(&self) -> VersionReport {
        Candle.version()
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        Candle.devices()
    }

    fn variants(&self, _: Scheme) -> Vec<Variant> {
        vec![Variant::new(HALF, "")]
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        if options.variant != HALF || options.device != DEVICE {
            return Candle.compile(graph, weights, options);
        }
        Ok(Box::new(CandleSession::new(graph, weights, Way::Tuned(Products::F16(Isa::Scalar)))?))
    }
}

#[test]
fn it_passes_the_suite() {
    let cache = tempfile::tempdir().unwrap();
    let schemes = [Scheme::F16, Scheme::Q4, Scheme::Q8, Scheme::Mixed];
    assert_passed(&Suite::new(cache.path()).threads(threads()).schemes(&schemes).run(&Emulated));
}

#[test]
fn it_is_offered_where_the_processor_computes_in_f16_and_nowhere_else() {
    let case = &ditbench_conformance::cases()[0];
    let weights = ditbench_conformance::weights(&case.graph, Scheme::F16, 1);
    let options = CompileOptions {
        device: "cpu".to_owned(),
        threads: threads(),
        variant: HALF.to_owned(),
        memory: ditbench_backend_api::MemoryMode::Fast,
        cache: std::env::temp_dir(),
        allow_fallback: false,
    };
    let has = Isa::best().computes_f16();
    for scheme in Scheme::ALL {
        let offered = Candle.variants(scheme).iter().any(|variant| variant.name == HALF);
        assert_eq!(offered, has && !matches!(scheme, Scheme::F32 | Scheme::Palette4), "{scheme:?}");
        assert_ne!(Candle.variants(scheme)[0].name, HALF, "no default");
    }
    match Candle.compile(&case.graph, &weights, &options) {
        Ok(_) => assert!(has),
        Err(error) => assert!(!has && error.to_string().contains("needs a processor with f16 arithmetic"), "{error}"),
    }
}
