//! Sessions on the real library: what they say of themselves, what they refuse, what they do with broken files.

mod common;

use std::path::{Path, PathBuf};

use ditbench_backend_api::{Backend, BackendError, CompileOptions, Session};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::weights::Scheme;
use ditbench_graph::{Graph, Tensor};
use ditbench_ort::{CPU, OrtBackend};
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

fn options(cache: &Path, variant: &str, threads: usize) -> CompileOptions {
    CompileOptions::cpu(variant, threads, cache)
}

fn nano() -> Model {
    Model::build(&Variant::Nano.config(ImageSize { height: 64, width: 64 })).unwrap()
}

fn session(graph: &Graph, scheme: Scheme, options: &CompileOptions) -> Box<dyn Session> {
    common::backend().compile(graph, &weights(graph, scheme, 3), options).unwrap()
}

fn bits(tensors: &[Tensor]) -> Vec<u32> {
    tensors.iter().flat_map(|tensor| tensor.as_f32().unwrap()).map(|v| v.to_bits()).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_numbers() {
    let (denoiser, cache) = (nano().denoiser, tempfile::tempdir().unwrap());
    let given = inputs(&denoiser, 3);
    for (scheme, variant, most) in [
        (Scheme::F32, "stock", 1e-5),
        (Scheme::Q4, "exact", 1e-5),
        (Scheme::Q4, "int8", 1e-2),
        (Scheme::Q4, "tuned-int8", 1e-2),
    ] {
        let run = |threads| {
            let mut session = session(&denoiser, scheme, &options(cache.path(), variant, threads));
            let first = session.run(&given).unwrap();
            assert_eq!(bits(&first), bits(&session.run(&given).unwrap()), "the same session, the same bits");
            first[0].as_f32().unwrap().to_vec()
        };
        let (one, three) = (run(1), run(3));
        let size: f64 = one.iter().map(|v| f64::from(*v).powi(2)).sum();
        let off: f64 = one.iter().zip(&three).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        assert!(size > 0.0 && (off / size).sqrt() <= most, "{variant}: {:.1e}", (off / size).sqrt());
    }
}

#[test]
fn placement_and_profile_are_measured() {
    let model = nano();
    let cache = tempfile::tempdir().unwrap();
    for graph in model.graphs() {
        let mut session = session(graph, Scheme::F32, &options(cache.path(), "stock", 1));
        let placement = session.placement();
        assert_eq!(placement.share_on_asked(), Some(1.0), "{placement:?}");
        assert!(placement.source.contains("profiler"), "{placement:?}");
        let profile = session.profile(&inputs(graph, 3)).unwrap();
        let counted: usize = placement.entries.iter().map(|entry| entry.nodes).sum();
        assert_eq!(counted, profile.nodes.len());
        // Nodes run one after the other, so their times stay within the pass.
        let time: f64 = profile.nodes.iter().map(|node| node.duration_s).sum();
        assert!(time > 0.0 && time <= profile.total_s, "{time} of {}", profile.total_s);
        // What has no name of ours only moves elements, or joins an addition and a norm of two nodes.
        let nameless = ["Reshape", "Transpose", "ReorderInput", "ReorderOutput", "SkipLayerNormalization"];
        for node in profile.nodes.iter().filter(|node| node.scope.is_none()) {
            assert!(nameless.contains(&node.op.as_str()), "{}: {node:?}", graph.name);
        }
        assert!(profile.nodes.is_sorted_by(|a, b| a.start_s <= b.start_s));
        assert!(profile.nodes.iter().all(|node| node.device == CPU));
        // The heavy nodes are there under their own names.
        for node in graph.nodes.iter().filter(|node| matches!(node.op.kind(), "Conv2d" | "Attention")) {
            let found = profile.nodes.iter().any(|timed| timed.scope.as_deref() == Some(node.name.as_str()));
            assert!(found, "{} of {} is missing", node.name, graph.name);
        }
    }
}

#[test]
fn memory_is_the_arenas() {
    let (denoiser, cache) = (nano().denoiser, tempfile::tempdir().unwrap());
    let mut session = session(&denoiser, Scheme::F32, &options(cache.path(), "stock", 1));
    session.run(&inputs(&denoiser, 3)).unwrap();
    let memory = session.memory();
    let (in_use, peak, reserved) = (memory.in_use.unwrap(), memory.peak.unwrap(), memory.reserved.unwrap());
    assert!(0 < peak && in_use <= peak && peak <= reserved, "{memory:?}");
}

/// The file of that name in the one folder of the cache.
fn exported(cache: &Path, name: &str) -> PathBuf {
    let found = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = found.filter(|path| path.is_dir()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].join(name)
}

#[test]
fn broken_files_in_the_cache_are_made_again() {
    let (denoiser, cache) = (nano().denoiser, tempfile::tempdir().unwrap());
    let (given, options) = (inputs(&denoiser, 3), options(cache.path(), "stock", 1));
    let mut first = session(&denoiser, Scheme::F32, &options);
    assert_eq!(first.compile_report().export_cached, Some(false));
    let truth = bits(&first.run(&given).unwrap());
    drop(first);
    assert_eq!(session(&denoiser, Scheme::F32, &options).compile_report().export_cached, Some(true));
    type Spoil = (&'static str, fn(&Path));
    let spoil: [Spoil; 3] = [
        ("model.onnx.data", |path| std::fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap()),
        ("model.onnx", |path| std::fs::write(path, b"").unwrap()),
        // Of the right size, but no graph.
        ("model.onnx", |path| {
            let len = std::fs::metadata(path).unwrap().len() as usize;
            std::fs::write(path, vec![0xff; len]).unwrap();
        }),
    ];
    for (name, spoil) in spoil {
        spoil(&exported(cache.path(), name));
        let mut again = session(&denoiser, Scheme::F32, &options);
        assert_eq!(again.compile_report().export_cached, Some(false), "{name}");
        assert_eq!(bits(&again.run(&given).unwrap()), truth);
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_cure() {
    let (denoiser, cache) = (nano().denoiser, tempfile::tempdir().unwrap());
    let (backend, stored) = (common::backend(), weights(&denoiser, Scheme::F32, 3));
    let good = options(cache.path(), "stock", 1);
    let refused = |options: CompileOptions| match backend.compile(&denoiser, &stored, &options) {
        Ok(_) => panic!("compiled all the same"),
        Err(error) => error,
    };
    let error = refused(CompileOptions { threads: 0, ..good.clone() });
    assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
    let error = refused(CompileOptions { device: "moon".to_owned(), ..good.clone() });
    assert!(matches!(error, BackendError::Unsupported { .. }) && error.to_string().contains("choose cpu"), "{error}");
    // A provider that the library lacks is listed with its cure, and refused with the same.
    let devices = backend.devices();
    assert_eq!((devices[0].name.as_str(), &devices[0].state), (CPU, &Ok(())));
    let lacking = devices.iter().find(|device| device.state.is_err()).expect("no library has all providers");
    let missing = lacking.state.as_ref().unwrap_err();
    let error = refused(CompileOptions { device: lacking.name.clone(), ..good.clone() });
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains(&missing.cure), "{error}");
}

#[test]
fn a_missing_library_is_an_error_with_the_cure_and_no_panic() {
    let (denoiser, cache) = (nano().denoiser, tempfile::tempdir().unwrap());
    let backend = OrtBackend::with_library(cache.path().join("libonnxruntime.so"));
    let devices = backend.devices();
    let missing = devices[0].state.as_ref().unwrap_err();
    assert!(missing.why.contains("there is no file") && missing.cure.contains("--ort-lib"), "{missing:?}");
    let stored = weights(&denoiser, Scheme::F32, 3);
    let error = backend.compile(&denoiser, &stored, &options(cache.path(), "stock", 1)).err().unwrap();
    assert!(matches!(error, BackendError::Unavailable { .. }), "{error}");
    assert_eq!(backend.version().runtime, "not found");
}

#[test]
fn the_version_is_the_librarys() {
    let version = common::backend().version();
    assert!(version.runtime.starts_with("1."), "{version:?}");
    assert!(version.details.iter().any(|detail| detail.contains("library: /")), "{version:?}");
}
