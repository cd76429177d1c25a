//! From a graph to a session: written as ONNX, or found in the cache; loaded by ONNX Runtime.
//!
//! Contract: files in the cache that ONNX Runtime cannot load, or that are shorter or longer than they were written,
//! are made again, once.

use std::time::Instant;

use ditbench_backend_api::{BackendError, CompileOptions, CompileReport, MemoryMode, Numerics};
use ditbench_workloads::Graph;
use ditbench_workloads::graph::onnx::{self, Cached, Dialect, OnnxError, QuantizedLinear};
use ditbench_workloads::graph::{Op, WeightId};
use ditbench_workloads::weights::{Format, Weights};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::NAME;
use crate::device::Device;
use crate::operator;
use crate::runtime::{Runtime, one_line};
use crate::session::OrtSession;

/// Makes a session of a graph written in a dialect.
pub(crate) fn load(
    runtime: &Runtime,
    graph: &Graph,
    weights: &Weights,
    dialect: &Dialect,
    options: &CompileOptions,
) -> Result<OrtSession, BackendError> {
    let device = Device::named(&options.device, runtime)?;
    let mut cached = export(graph, weights, dialect, options)?;
    if cached.found && !is_whole(&cached) {
        cached = again(&cached, graph, weights, dialect, options)?;
    }
    let mut start = Instant::now();
    let mut session = commit(runtime, &device, &cached, dialect, options);
    if session.is_err() && cached.found {
        cached = again(&cached, graph, weights, dialect, options)?;
        start = Instant::now();
        session = commit(runtime, &device, &cached, dialect, options);
    }
    let session = session.map_err(|why| refused(graph, &device, options, why))?;
    let report = CompileReport {
        export_s: if cached.found { 0.0 } else { cached.seconds },
        export_cached: Some(cached.found),
        load_s: start.elapsed().as_secs_f64(),
        weight_file_bytes: Some(cached.exported.bytes),
        weight_resident_bytes: None,
    };
    let numerics = numerics(graph, weights, dialect)?;
    let place = (options.device.clone(), device.provider());
    Ok(OrtSession::new(graph.clone(), session, cached.exported.outputs, place, report, numerics))
}

/// Writes the graph, or finds it in the cache.
pub(crate) fn export(
    graph: &Graph,
    weights: &Weights,
    dialect: &Dialect,
    options: &CompileOptions,
) -> Result<Cached, BackendError> {
    onnx::write_cached(graph, weights, dialect, &options.cache).map_err(|error| match error {
        OnnxError::Weights(error) => BackendError::Weights(error),
        error => BackendError::runtime(NAME, format!("writing {} as ONNX", graph.name), error),
    })
}

/// Whether both files have the size with which they were written.
fn is_whole(cached: &Cached) -> bool {
    let bytes = |path| std::fs::metadata(path).map_or(0, |file| file.len());
    bytes(&cached.exported.model) + bytes(&cached.exported.data) == cached.exported.bytes
}

/// Removes the files and writes them anew.
fn again(
    cached: &Cached,
    graph: &Graph,
    weights: &Weights,
    dialect: &Dialect,
    options: &CompileOptions,
) -> Result<Cached, BackendError> {
    if let Some(folder) = cached.exported.model.parent() {
        std::fs::remove_dir_all(folder).map_err(|error| {
            BackendError::runtime(NAME, format!("removing broken files in {}", folder.display()), error)
        })?;
    }
    export(graph, weights, dialect, options)
}

fn commit(
    runtime: &Runtime,
    device: &Device,
    cached: &Cached,
    dialect: &Dialect,
    options: &CompileOptions,
) -> Result<Session, String> {
    let words = |error: ort::Error<SessionBuilder>| one_line(&error.to_string());
    let fast = options.memory == MemoryMode::Fast;
    let builder = Session::builder(&runtime.environment).map_err(|error| one_line(&error.to_string()))?;
    let builder = builder.with_intra_threads(options.threads).map_err(words)?;
    let builder = builder.with_inter_threads(1).map_err(words)?;
    let builder = builder.with_parallel_execution(false).map_err(words)?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(words)?;
    // Weights that are not packed anew stay mapped from their file: little memory is the process's own, at a price in
    // speed.
    let builder = builder.with_prepacking(fast).map_err(words)?;
    // With the memory pattern on, `full` in 4 bits at 512² grew from 1.8 to 2.2 GiB by its second pass. The likely cause
    // is the one block that ONNX Runtime plans for all activations, on top of the arena that the first pass filled.
    let builder = builder.with_memory_pattern(fast).map_err(words)?;
    let builder = if [dialect.q4, dialect.q8].contains(&QuantizedLinear::DitLinear) {
        // Our kernel has threads of its own: those of ONNX Runtime must not spin on the cores that it needs.
        let builder = builder.with_intra_op_spinning(false).map_err(words)?;
        builder.with_operators(operator::domain(options.threads)?).map_err(words)?
    } else {
        builder
    };
    let mut builder = device.configure(builder, runtime)?;
    builder.commit_from_file(&cached.exported.model).map_err(|error| one_line(&error.to_string()))
}

/// What ONNX Runtime's refusal means.
fn refused(graph: &Graph, device: &Device, options: &CompileOptions, why: String) -> BackendError {
    if !matches!(device, Device::Cpu) && why.contains("disable_cpu_ep_fallback") {
        let why = format!("device \"{}\" does not take all nodes of {}: {why}", options.device, graph.name);
        return BackendError::Unsupported { backend: NAME, why };
    }
    BackendError::runtime(NAME, format!("loading {} on {}", graph.name, options.device), why)
}

/// The precision in which the session computes, given how the weights of its linears are stored.
fn numerics(graph: &Graph, weights: &Weights, dialect: &Dialect) -> Result<Numerics, BackendError> {
    let mut found = Numerics::F32;
    for node in &graph.nodes {
        if let Op::Linear { weight, .. } = node.op {
            match packed(graph, weights, dialect, weight)? {
                QuantizedLinear::MatMulNBits { accuracy_level: 4 } | QuantizedLinear::DitLinear => {
                    return Ok(Numerics::Int8Activations);
                }
                QuantizedLinear::MatMulNBits { .. } => found = Numerics::WeightOnly,
                QuantizedLinear::Unpacked => {}
            }
        }
    }
    Ok(found)
}

fn packed(graph: &Graph, weights: &Weights, dialect: &Dialect, id: WeightId) -> Result<QuantizedLinear, BackendError> {
    Ok(match weights.tensor(graph, id)?.format() {
        Format::Q4 => dialect.q4,
        Format::Q8 => dialect.q8,
        _ => QuantizedLinear::Unpacked,
    })
}
