//! From a graph to a plan that tract can run.

use std::sync::Arc;
use std::time::Instant;

use ditbench_backend_api::{BackendError, CompileOptions, CompileReport, Numerics};
use ditbench_graph::Graph;
use ditbench_graph::onnx::{self, Cached, OnnxError};
use ditbench_graph::weights::{Format, Weights};
use ditbench_graph::{Op, WeightId};
use ditbench_kernels::linear::Products;
use rayon::ThreadPool;
use tract_core::prelude::{TractResult, TypedSimplePlan};
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

use crate::device::{self, Place};
use crate::session::TractSession;
use crate::{NAME, Way, dialect, ops};

/// Writes the graph for tract, or finds it in the cache; lets tract read and optimise it.
pub(crate) fn load(
    graph: &Graph,
    weights: &Weights,
    options: &CompileOptions,
    way: Way,
) -> Result<TractSession, BackendError> {
    let cached = export(graph, weights, options, way)?;
    let start = Instant::now();
    let threads = device::threads(options);
    let pool = pool(threads)?;
    // tract takes a pool of one thread for no pool at all and then uses all processors.
    let executor = if threads == 1 { Executor::SingleThread } else { Executor::MultiThread(Arc::clone(&pool)) };
    let plan = multithread_tract_scope(executor.clone(), || -> TractResult<Arc<TypedSimplePlan>> {
        let mut reader = tract_onnx::onnx();
        if let Way::Tuned(products) = way {
            ops::register(&mut reader, products);
        }
        device::plan(reader.model_for_path(&cached.exported.model)?, &options.device, executor)
    })
    .map_err(|error| {
        device::lacking(&error, &options.device)
            .unwrap_or_else(|| BackendError::runtime(NAME, format!("loading {}", graph.name), format!("{error:#}")))
    })?;
    let report = CompileReport {
        export_s: if cached.found { 0.0 } else { cached.seconds },
        export_cached: Some(cached.found),
        load_s: start.elapsed().as_secs_f64(),
        weight_file_bytes: Some(cached.exported.bytes),
        weight_resident_bytes: None,
    };
    let place = Place::of(&plan, &graph.name, options)?;
    let numerics = device::numerics(&plan, numerics(graph, weights, way)?);
    Ok(TractSession::new(graph.clone(), plan, pool, place, report, numerics))
}

/// Threads for a session.
pub(crate) fn pool(threads: usize) -> Result<Arc<ThreadPool>, BackendError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Arc::new).map_err(|error| BackendError::runtime(NAME, "starting threads", error))
}

/// Writes the graph in the way's dialect, or finds it in the cache.
pub(crate) fn export(
    graph: &Graph,
    weights: &Weights,
    options: &CompileOptions,
    way: Way,
) -> Result<Cached, BackendError> {
    onnx::write_cached(graph, weights, &dialect::of(way), &options.cache).map_err(|error| match error {
        OnnxError::Weights(error) => BackendError::Weights(error),
        error => BackendError::runtime(NAME, format!("writing {} as ONNX", graph.name), error),
    })
}

/// The precision in which the session computes, given how the weights of its linears are stored.
fn numerics(graph: &Graph, weights: &Weights, way: Way) -> Result<Numerics, BackendError> {
    let mut packed = false;
    for node in &graph.nodes {
        if let Op::Linear { weight, .. } = node.op {
            packed |= is_packed(graph, weights, weight, way)?;
        }
    }
    Ok(match way {
        _ if !packed => Numerics::F32,
        Way::Tuned(Products::Int8) => Numerics::Int8Activations,
        Way::Tuned(Products::F16(_)) => Numerics::F16,
        _ => Numerics::WeightOnly,
    })
}

fn is_packed(graph: &Graph, weights: &Weights, id: WeightId, way: Way) -> Result<bool, BackendError> {
    let format = weights.tensor(graph, id)?.format();
    Ok(match way {
        Way::Stock => format == Format::Q4,
        Way::Tuned(Products::F16(_)) => matches!(format, Format::F16 | Format::Q4 | Format::Q8),
        Way::Tuned(_) => matches!(format, Format::Q4 | Format::Q8),
    })
}
