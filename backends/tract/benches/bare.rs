//! tract through us against a bare tract program on the same file: one process, in turns (a b b a).
//!
//! `cargo bench -p ditbench-tract --bench bare`. Wanted: at most 1.03.

#[path = "../../../benches/ratio/mod.rs"]
mod ratio;

use std::sync::Arc;

use ditbench_backend_api::{Backend, CompileOptions};
use ditbench_conformance::{inputs, weights};
use ditbench_graph::weights::Scheme;
use ditbench_tract::Tract;
use ditbench_workloads::snapgenpp::{ImageSize, Layout, Model, Variant};
use ratio::{line, ratio, seconds};
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

fn main() {
    // `cargo test --benches` runs benches too, to see that they start.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("tract through ditbench over a bare tract program, the same file and threads (wanted: at most 1.03)");
    for (variant, side, scheme, pairs) in [
        (Variant::Nano, 64, Scheme::F32, 60),
        (Variant::Nano, 64, Scheme::Q4, 60),
        (Variant::Small, 512, Scheme::F32, 8),
    ] {
        let mut config = variant.config(ImageSize { height: side, width: side });
        if variant == Variant::Small {
            config.denoiser.layout = Layout { down: 1, middle: 1, up: 1 };
        }
        let graph = Model::build(&config).expect("a model").denoiser;
        let (stored, given) = (weights(&graph, scheme, 1), inputs(&graph, 1));
        let cache = tempfile::tempdir().expect("a folder");
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let options = CompileOptions::cpu("stock", threads, cache.path());
        let mut session = Tract.compile(&graph, &stored, &options).expect("a session");
        let folder = Tract.export(&graph, &stored, &options).expect("a file").remove(0);

        let executor = match threads {
            1 => Executor::SingleThread,
            n => Executor::MultiThread(Arc::new(
                rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads"),
            )),
        };
        let reader = tract_onnx::onnx();
        let model = multithread_tract_scope(executor.clone(), || {
            reader.model_for_path(folder.join("model.onnx"))?.into_optimized()?.into_runnable()
        })
        .expect("tract reads the file");
        let feed: TVec<TValue> = given
            .iter()
            .map(|tensor| {
                let values = tensor.as_f32().expect("a denoiser reads floats");
                Tensor::from_shape(tensor.shape(), values).expect("the shape fits").into_tvalue()
            })
            .collect();
        let bare = || {
            let feed = feed.clone();
            seconds(|| {
                multithread_tract_scope(executor.clone(), || model.run(feed)).expect("a pass");
            })
        };
        let ours = || {
            seconds(|| {
                session.run(&given).expect("a pass");
            })
        };
        line(&format!("{} {side} {}", variant.name(), scheme.name()), ratio(pairs, bare, ours), "at most 1.03");
    }
}
