//! From a graph to a session: written as ONNX, or found in the cache; loaded by ONNX Runtime.
//!
//! Contract: files in the cache that ONNX Runtime cannot read are made again, once. A device that refuses good files is
//! no reason to: other processes and other devices use them too.

use std::path::Path;
use std::time::Instant;

use ditbench_backend_api::{Acceptance, BackendError, CompileOptions, CompileReport, MemoryMode, Numerics};
use ditbench_graph::Graph;
use ditbench_graph::onnx::{self, Cached, Dialect, OnnxError, QuantizedLinear};
use ditbench_graph::weights::{Format, Weights};
use ditbench_graph::{Op, WeightId};
use ort::ErrorCode;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::NAME;
use crate::acceptance::{self, Log};
use crate::assignment;
use crate::device::Device;
use crate::operator;
use crate::runtime::Runtime;
use crate::session::OrtSession;
use crate::words::{CUDA_PROVIDER, one_line};

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
    let mut start = Instant::now();
    let mut session = commit(runtime, &device, &cached, dialect, options, options.allow_fallback);
    let files_are_broken = session.as_ref().is_err_and(|refusal| cached.found && refusal.is_of_files(&device));
    // Where they cannot be made again either, the first error is the one to tell.
    if files_are_broken && let Ok(made) = again(&cached, graph, weights, dialect, options) {
        cached = made;
        start = Instant::now();
        session = commit(runtime, &device, &cached, dialect, options, options.allow_fallback);
    }
    let session = session.map_err(|refusal| {
        let elsewhere =
            left_over(&device, &refusal.why, || commit(runtime, &device, &cached, dialect, options, true).ok());
        refused(&graph.name, &device, options, &refusal.why, elsewhere)
    })?;
    let report = CompileReport {
        export_s: if cached.found { 0.0 } else { cached.seconds },
        export_cached: Some(cached.found),
        load_s: start.elapsed().as_secs_f64(),
        weight_file_bytes: Some(cached.exported.bytes),
        weight_resident_bytes: None,
    };
    let place = (options.device.clone(), device.provider().to_owned());
    let numerics = device.numerics(numerics(graph, weights, dialect, &place.1)?);
    let taken = if matches!(device, Device::Cpu) { None } else { assignment::of(&session) };
    let mut made = OrtSession::new(graph.clone(), session, cached.exported.outputs, place, report, numerics);
    if !matches!(device, Device::Cpu) {
        made.binds()?;
    }
    made.takes_note_of(taken.unwrap_or_default());
    Ok(made)
}

/// What of a graph a device takes: a session is made in which the rest may fall back, and is not run.
pub(crate) fn acceptance(
    runtime: &Runtime,
    graph: &Graph,
    weights: &Weights,
    dialect: &Dialect,
    options: &CompileOptions,
) -> Result<Acceptance, BackendError> {
    let device = Device::named(&options.device, runtime)?;
    let cached = export(graph, weights, dialect, options)?;
    acceptance_of(runtime, &device, &graph.name, &cached.exported.model, options)
}

/// What a device takes of a file, whatever wrote it.
pub(crate) fn acceptance_of(
    runtime: &Runtime,
    device: &Device,
    name: &str,
    file: &Path,
    options: &CompileOptions,
) -> Result<Acceptance, BackendError> {
    let log = Log::default();
    let failed = |why: String| BackendError::runtime(NAME, format!("compiling {name} for {}", options.device), why);
    let level = GraphOptimizationLevel::All;
    let made = builder(runtime, device, level, options, true).and_then(|builder| log.listen(builder));
    let mut builder = made.map_err(failed)?;
    let session = builder.commit_from_file(file).map_err(|error| failed(one_line(&error.to_string())))?;
    let taken = assignment::of(&session)
        .ok_or_else(|| failed("ONNX Runtime does not say which provider took what".to_owned()))?;
    Ok(acceptance::of(&taken, device.provider(), &log))
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

/// Why there is no session, in ONNX Runtime's words.
struct Refusal {
    why: String,
    /// What kind of error reading the files gave; `None` if it did not come to that.
    reading: Option<ErrorCode>,
}

impl Refusal {
    /// Whether it may be the files' fault. On the CPU nothing else is known to keep a model of ours from being loaded; a
    /// device may lack memory, a driver or an operation.
    fn is_of_files(&self, device: &Device) -> bool {
        let Some(code) = self.reading else { return false };
        let unreadable = matches!(code, ErrorCode::InvalidProtobuf | ErrorCode::NoModel | ErrorCode::NoSuchFile);
        let why = self.why.to_lowercase();
        let of_weights = ["external data", "external initializer"].iter().any(|words| why.contains(words));
        matches!(device, Device::Cpu) || unreadable || of_weights
    }
}

fn commit(
    runtime: &Runtime,
    device: &Device,
    cached: &Cached,
    dialect: &Dialect,
    options: &CompileOptions,
    allow_fallback: bool,
) -> Result<Session, Refusal> {
    let unready = |why| Refusal { why, reading: None };
    let level = GraphOptimizationLevel::All;
    let mut builder = builder(runtime, device, level, options, allow_fallback).map_err(unready)?;
    if [dialect.q4, dialect.q8].contains(&QuantizedLinear::DitLinear) {
        builder = with_our_operator(builder, options.threads).map_err(unready)?;
    }
    builder
        .commit_from_file(&cached.exported.model)
        .map_err(|error| Refusal { why: one_line(&error.to_string()), reading: Some(error.code()) })
}

/// The settings that every session has.
pub(crate) fn builder(
    runtime: &Runtime,
    device: &Device,
    level: GraphOptimizationLevel,
    options: &CompileOptions,
    allow_fallback: bool,
) -> Result<SessionBuilder, String> {
    let words = |error: ort::Error<SessionBuilder>| one_line(&error.to_string());
    let fast = options.memory == MemoryMode::Fast;
    let builder = Session::builder(&runtime.environment).map_err(|error| one_line(&error.to_string()))?;
    let builder = builder.with_intra_threads(options.threads).map_err(words)?;
    let builder = builder.with_inter_threads(1).map_err(words)?;
    let builder = builder.with_parallel_execution(false).map_err(words)?;
    let builder = builder.with_optimization_level(level).map_err(words)?;
    // Weights that are not packed anew stay mapped from their file: little memory is the process's own, at a price in
    // speed.
    let builder = builder.with_prepacking(fast).map_err(words)?;
    // With the memory pattern on, `full` in 4 bits at 512² grew from 1.8 to 2.2 GiB by its second pass. The likely cause
    // is the one block that ONNX Runtime plans for all activations, on top of the arena that the first pass filled.
    let builder = builder.with_memory_pattern(fast).map_err(words)?;
    let (key, value) = assignment::RECORD;
    let builder = builder.with_config_entry(key, value).map_err(words)?;
    device.configure(builder, runtime, options.threads, allow_fallback)
}

/// Our kernel has threads of its own: those of ONNX Runtime must not spin on the cores that it needs.
fn with_our_operator(builder: SessionBuilder, threads: usize) -> Result<SessionBuilder, String> {
    let words = |error: ort::Error<SessionBuilder>| one_line(&error.to_string());
    let builder = builder.with_intra_op_spinning(false).map_err(words)?;
    builder.with_operators(operator::domain(threads)?).map_err(words)
}

/// Whether a refusal says that the device does not take all nodes. ONNX Runtime has said it in other words from version to version.
fn is_of_fall_back(device: &Device, why: &str) -> bool {
    let words = ["disable_cpu_ep_fallback", "fallback to CPU EP"];
    !matches!(device, Device::Cpu) && words.iter().any(|words| why.contains(words))
}

/// What a device left to the processor, where that is why it refused: `make` makes the session once more, with the rest allowed to fall
/// back.
pub(crate) fn left_over(device: &Device, why: &str, make: impl FnOnce() -> Option<Session>) -> Option<String> {
    let whole = is_of_fall_back(device, why).then(make).flatten()?;
    assignment::elsewhere(&assignment::of(&whole)?, device.provider())
}

/// What ONNX Runtime's refusal of a graph means, and what the device left to the processor, where that is known.
pub(crate) fn refused(
    graph: &str,
    device: &Device,
    options: &CompileOptions,
    why: &str,
    elsewhere: Option<String>,
) -> BackendError {
    if is_of_fall_back(device, why) {
        let left = elsewhere.unwrap_or_else(|| why.to_owned());
        let why =
            format!("device \"{}\" does not take all of {graph}: left to the processor are {left}", options.device);
        return BackendError::Unsupported { backend: NAME, why };
    }
    BackendError::runtime(NAME, format!("loading {graph} on {}", options.device), why)
}

/// The precision in which the session computes, given how the weights of its linears are stored. What the CPU and CUDA
/// make of the file is known; of other providers this is what the file asks for, and some compute in less.
fn numerics(graph: &Graph, weights: &Weights, dialect: &Dialect, provider: &str) -> Result<Numerics, BackendError> {
    if dialect.half {
        return Ok(Numerics::F16);
    }
    let mut found = Numerics::F32;
    for node in &graph.nodes {
        if let Op::Linear { weight, .. } = node.op {
            match packed(graph, weights, dialect, weight)? {
                // CUDA's kernel does not read the level: it unpacks the weights.
                QuantizedLinear::MatMulNBits { accuracy_level: 4 } if provider == CUDA_PROVIDER => {
                    found = Numerics::WeightOnly;
                }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ditbench_graph::weights::{Q4_GROUP_BYTES, WeightData, WeightTensor};
    use ditbench_graph::{DType, GraphBuilder};
    use ort::ep;

    use super::*;
    use crate::device::CPU_PROVIDER;
    use crate::dialect;

    #[test]
    fn only_what_is_broken_is_made_again() {
        let cuda = Device::BuiltIn(ep::CUDA::default().build(), CUDA_PROVIDER);
        let refusal = |reading, why: &str| Refusal { why: why.to_owned(), reading };
        for (code, why) in [
            (ErrorCode::InvalidProtobuf, "Protobuf parsing failed."),
            (ErrorCode::NoSuchFile, "File doesn't exist"),
            (ErrorCode::GenericFailure, "External initializer: a offset: 0 size to read: 8 are out of bounds"),
        ] {
            let refusal = refusal(Some(code), why);
            assert!(refusal.is_of_files(&cuda) && refusal.is_of_files(&Device::Cpu), "{why}");
        }
        for (code, why) in [
            (ErrorCode::GenericFailure, "session.disable_cpu_ep_fallback is set and nodes were assigned to the CPU"),
            (ErrorCode::ExecutionProviderFailure, "CUDA failure 100: no CUDA-capable device is detected"),
            (ErrorCode::RuntimeException, "Failed to allocate memory"),
        ] {
            let refusal = refusal(Some(code), why);
            assert!(!refusal.is_of_files(&cuda) && refusal.is_of_files(&Device::Cpu), "{why}");
        }
        assert!(!refusal(None, "cannot register").is_of_files(&Device::Cpu), "the files were not even opened");
    }

    #[test]
    fn cuda_rounds_no_activations() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 2, 32], DType::F32);
        let y = b.linear("project", x, 3);
        b.output("y", y);
        let graph = b.finish().unwrap();
        let few_bits = WeightData::Q4(vec![0; 3 * Q4_GROUP_BYTES].into());
        let weights = |data| {
            let weight = WeightTensor { shape: vec![3, 32], data };
            Weights::new(BTreeMap::from([("project.weight".to_owned(), weight)]))
        };
        let (q4, f32) = (weights(few_bits), weights(WeightData::F32(vec![0.0; 96].into())));
        let (exact, int8) = (dialect::exact(), dialect::int8());
        let of = |weights, dialect, provider| numerics(&graph, weights, dialect, provider).unwrap();
        assert_eq!(of(&q4, &int8, CPU_PROVIDER), Numerics::Int8Activations);
        assert_eq!(of(&q4, &int8, CUDA_PROVIDER), Numerics::WeightOnly);
        for provider in [CPU_PROVIDER, CUDA_PROVIDER] {
            assert_eq!(of(&q4, &exact, provider), Numerics::WeightOnly);
            assert_eq!(of(&f32, &int8, provider), Numerics::F32);
        }
    }
}
