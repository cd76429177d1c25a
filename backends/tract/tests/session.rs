//! What a session says of itself, and the files that it keeps.

use ditbench_backend_api::{Backend, BackendError, CompileOptions, MemoryMode, Numerics};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::Graph;
use ditbench_graph::weights::Scheme;
use ditbench_tract::Tract;
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

fn options(cache: &std::path::Path, variant: &str) -> CompileOptions {
    CompileOptions::cpu(variant, 1, cache)
}

fn denoiser() -> Graph {
    Model::build(&Variant::Nano.config(ImageSize { height: 64, width: 64 })).unwrap().denoiser
}

#[test]
fn a_second_session_finds_the_files_of_the_first() {
    let (cache, graph) = (tempfile::tempdir().unwrap(), denoiser());
    let weights = weights(&graph, Scheme::Q4, 7);
    for (variant, found) in [("stock", false), ("stock", true), ("tuned-int8", false), ("tuned-exact", true)] {
        let mut session = Tract.compile(&graph, &weights, &options(cache.path(), variant)).unwrap();
        let report = session.compile_report();
        assert_eq!(report.export_cached, Some(found), "{variant}");
        assert_eq!(report.export_s == 0.0, found);
        let wanted = if variant == "tuned-int8" { Numerics::Int8Activations } else { Numerics::WeightOnly };
        assert_eq!(session.numerics(), wanted);
        assert!(session.placement().share_on_asked() == Some(1.0));
    }
}

#[test]
fn nearly_all_time_of_a_profile_lands_on_the_graphs_nodes() {
    let (cache, graph) = (tempfile::tempdir().unwrap(), denoiser());
    let (weights, inputs) = (weights(&graph, Scheme::Q4, 7), inputs(&graph, 7));
    for variant in ["stock", "tuned-exact"] {
        let mut session = Tract.compile(&graph, &weights, &options(cache.path(), variant)).unwrap();
        let profile = session.profile(&inputs).unwrap();
        let sum = |all: bool| {
            let nodes = profile.nodes.iter().filter(|node| all || node.scope.is_some());
            nodes.map(|node| node.duration_s).sum::<f64>()
        };
        assert!(sum(false) > 0.9 * sum(true), "{variant}: {:.0} %", 100.0 * sum(false) / sum(true));
        assert!(profile.total_s >= sum(true) && sum(true) > 0.0);
    }
}

#[test]
fn what_it_has_not_is_unsupported() {
    let (cache, graph) = (tempfile::tempdir().unwrap(), denoiser());
    let weights = weights(&graph, Scheme::F32, 7);
    let good = options(cache.path(), "stock");
    for bad in [
        CompileOptions { device: "tpu".to_owned(), ..good.clone() },
        CompileOptions { variant: "turbo".to_owned(), ..good.clone() },
        CompileOptions { threads: 0, ..good.clone() },
        CompileOptions { memory: MemoryMode::Small, ..good },
    ] {
        let result = Tract.compile(&graph, &weights, &bad);
        assert!(matches!(result, Err(BackendError::Unsupported { .. })), "{bad:?}");
    }
}
