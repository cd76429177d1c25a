//! `tuned-half` on any machine: the shared suite, over what the kernels' scalar code computes, which are the bits of the instructions.

use ditbench_backend_api::{Backend, CompileOptions, Numerics};
use ditbench_conformance::{OneWay, Suite, assert_passed};
use ditbench_graph::weights::Scheme;
use ditbench_graph::{DType, Graph, GraphBuilder};
use ditbench_kernels::Isa;
use ditbench_kernels::linear::Products;

use crate::{HALF, Tract, Way, check, half, load};

const EMULATED: OneWay<Tract> = OneWay {
    backend: Tract,
    name: HALF,
    variant: half,
    compile: |graph, weights, options| {
        check(options)?;
        Ok(Box::new(load::load(graph, weights, options, Way::Tuned(Products::F16(Isa::Scalar)))?))
    },
};

/// A linear alone.
fn linear() -> Graph {
    let mut b = GraphBuilder::new("toy");
    let x = b.input("x", &[1, 2, 64], DType::F32);
    let y = b.linear("project", x, 32);
    b.output("y", y);
    b.finish().unwrap()
}

#[test]
fn it_passes_the_suite() {
    let cache = tempfile::tempdir().unwrap();
    let schemes = [Scheme::F16, Scheme::Q4, Scheme::Q8, Scheme::Mixed];
    assert_passed(&Suite::new(cache.path()).threads(1).schemes(&schemes).run(&EMULATED));
}

#[test]
fn it_is_offered_where_the_processor_computes_in_f16_and_nowhere_else() {
    let case = &ditbench_conformance::cases()[0];
    let weights = ditbench_conformance::weights(&case.graph, Scheme::F16, 1);
    let has = Isa::best().computes_f16();
    for scheme in Scheme::ALL {
        let offered = Tract.variants(scheme).iter().any(|variant| variant.name == HALF);
        assert_eq!(half(scheme).is_some(), !matches!(scheme, Scheme::F32 | Scheme::Palette4), "{scheme:?}");
        assert_eq!(offered, has && half(scheme).is_some(), "{scheme:?}");
        assert_ne!(Tract.variants(scheme)[0].name, HALF, "no default");
    }
    match Tract.compile(&case.graph, &weights, &CompileOptions::cpu(HALF, 1, std::env::temp_dir())) {
        Ok(_) => assert!(has),
        Err(error) => assert!(!has && error.to_string().contains("needs a processor with f16 arithmetic"), "{error}"),
    }
}

#[test]
fn what_it_computes_in_is_what_it_says() {
    let (cache, graph) = (tempfile::tempdir().unwrap(), linear());
    for (scheme, numerics, operator) in [
        (Scheme::F16, Numerics::F16, "DitLinear.f16"),
        (Scheme::Q4, Numerics::F16, "DitLinear.q4.f16"),
        (Scheme::Q8, Numerics::F16, "DitLinear.q8.f16"),
        (Scheme::F32, Numerics::F32, "DitLinear.f32"),
    ] {
        let weights = ditbench_conformance::weights(&graph, scheme, 1);
        let mut session = EMULATED.compile(&graph, &weights, &CompileOptions::cpu(HALF, 1, cache.path())).unwrap();
        assert_eq!(session.numerics(), numerics, "{scheme:?}");
        let profile = session.profile(&ditbench_conformance::inputs(&graph, 1)).unwrap();
        let operators: Vec<&str> = profile.nodes.iter().map(|node| node.op.as_str()).collect();
        assert_eq!(operators, [operator]);
    }
}
