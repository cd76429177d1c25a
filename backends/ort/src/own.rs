//! A user's own ONNX file in ONNX Runtime: any element type that graphs have goes in and comes out.

use std::borrow::Cow;
use std::time::Instant;

use ditbench_backend_api::onnx::{Fed, output};
use ditbench_backend_api::{
    BackendError, CompileOptions, CompileReport, MemoryReport, Numerics, OnnxModel, Placement, Profile, Session,
    Variant,
};
use ditbench_graph::Tensor;
use ditbench_onnx::{Data, Value};
use half::{bf16, f16};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{RunOptions, SessionInputValue};
use ort::value::{DynValue, Tensor as OrtTensor, TensorElementType, ValueType};

use crate::assignment::{self, Taken};
use crate::device::{CPU, Device};
use crate::runtime::Runtime;
use crate::session::{borrowed, extents, unknown};
use crate::words::one_line;
use crate::{NAME, load, profile, stats};

/// As users of ONNX Runtime get it.
const STOCK: &str = "stock";
/// Without optimisations.
const PLAIN: &str = "plain";

/// The ways of running a file.
pub(crate) fn variants() -> Vec<Variant> {
    vec![
        Variant::new(STOCK, "the file as it is, with all of ONNX Runtime's optimisations"),
        Variant::new(PLAIN, "the file as it is, without optimisations: node by node, as ONNX defines them"),
    ]
}

/// Makes a session of a file.
pub(crate) fn load(runtime: &Runtime, model: &OnnxModel, options: &CompileOptions) -> Result<OwnSession, BackendError> {
    let unsupported = |why: String| BackendError::Unsupported { backend: NAME, why };
    let level: fn() -> GraphOptimizationLevel = match options.variant.as_str() {
        STOCK => || GraphOptimizationLevel::All,
        PLAIN => || GraphOptimizationLevel::Disable,
        other => return Err(unsupported(format!("it runs ONNX files as {STOCK} or {PLAIN}, not as \"{other}\""))),
    };
    if options.threads == 0 {
        return Err(unsupported("0 threads were asked for; ask for at least 1".to_owned()));
    }
    let device = Device::named(&options.device, runtime)?;
    let start = Instant::now();
    let commit = |allow_fallback: bool| {
        let mut builder = load::builder(runtime, &device, level(), options, allow_fallback)?;
        builder.commit_from_file(&model.file).map_err(|error| one_line(&error.to_string()))
    };
    let session = commit(options.allow_fallback).map_err(|why| {
        let elsewhere = load::left_over(&device, &why, || commit(true).ok());
        load::refused(&model.name, &device, options, &with_advice(why), elsewhere)
    })?;
    let report = model.report(start.elapsed().as_secs_f64());
    let place = (options.device.clone(), device.provider().to_owned());
    let numerics = device.numerics(model.numerics());
    let taken = if matches!(device, Device::Cpu) { None } else { assignment::of(&session) };
    Ok(OwnSession {
        model: model.clone(),
        session,
        place,
        report,
        numerics,
        placement: None,
        taken: taken.unwrap_or_default(),
    })
}

/// What the user can do about some of ONNX Runtime's refusals.
fn with_advice(why: String) -> String {
    let advice = if why.contains("EPContext") {
        ". The file was compiled for one vendor's processor: take the plain ONNX export"
    } else if why.contains("Could not find an implementation") || why.contains("NOT_IMPLEMENTED") {
        ". A file that an optimizer made for a GPU has operators that this device lacks: take the export from before that step"
    } else {
        ""
    };
    format!("{why}{advice}")
}

/// A file made ready for ONNX Runtime.
pub(crate) struct OwnSession {
    model: OnnxModel,
    session: ort::session::Session,
    /// The device asked for, and its provider.
    place: (String, String),
    /// What the device computes in, whatever the file says.
    numerics: Numerics,
    report: CompileReport,
    /// From the last pass under the profiler; `None`: there was none yet.
    placement: Option<Placement>,
    /// Nodes by the provider that took them, where the session is on another device than the processor and ONNX Runtime tells.
    taken: Vec<Taken>,
}

impl OwnSession {
    fn failed(&self, doing: &str, why: impl std::fmt::Display) -> BackendError {
        failed(&self.model, doing, why)
    }

    fn pass(&mut self, inputs: &[Tensor], options: &RunOptions) -> Result<Vec<Tensor>, BackendError> {
        let Self { model, session, .. } = self;
        let failed = |error: &dyn std::fmt::Display| failed(model, "running", error);
        let fed = model.feed(inputs)?;
        let named = model.inputs.iter().zip(&fed);
        let values = named
            .map(|(port, fed)| Ok((Cow::Borrowed(port.name.as_str()), session_input(fed)?)))
            .collect::<ort::Result<Vec<_>>>()
            .map_err(|error| failed(&error))?;
        let results = session.run_with_options(values, options).map_err(|error| failed(&error))?;
        let taken = |port: &ditbench_onnx::model::Port| {
            let result =
                results.get(&port.name).ok_or_else(|| failed(&format!("it gave no output \"{}\"", port.name)))?;
            taken(result).map_err(|why| failed(&format!("its output \"{}\": {why}", port.name)))
        };
        model.model.outputs.iter().map(taken).collect()
    }

    fn profiled(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let model = self.model.clone();
        let unread = |why: String| failed(&model, "profiling", why);
        let (json, total_s) = profile::pass(unread, |options| self.pass(inputs, options).map(drop))?;
        let scope = |name: &str, _: &str| model.scopes.of(name).map(str::to_owned);
        let place = (self.place.0.as_str(), self.place.1.as_str());
        let profile = profile::parse(&json, place, scope, total_s)
            .map_err(|why| unread(format!("its profile cannot be read: {why}")))?;
        self.placement = Some(profile::placement(&self.place.0, &profile));
        Ok(profile)
    }
}

fn failed(model: &OnnxModel, doing: &str, why: impl std::fmt::Display) -> BackendError {
    BackendError::runtime(NAME, format!("{doing} {}", model.name), one_line(&why.to_string()))
}

fn session_input<'a>(fed: &'a Fed<'a>) -> ort::Result<SessionInputValue<'a>> {
    match fed {
        Fed::AsIs(tensor) => borrowed(tensor),
        Fed::Cast(value) => Ok(owned(value)?.into()),
    }
}

/// A value as ONNX Runtime's, with its elements.
fn owned(value: &Value) -> ort::Result<DynValue> {
    macro_rules! tensor {
        ($($kind:ident)*) => {
            match value.data() {
                $(Data::$kind(elements) => {
                    OrtTensor::from_array((value.shape().to_vec(), elements.clone()))?.into_dyn()
                })*
            }
        };
    }
    Ok(tensor!(F32 F64 F16 Bf16 I64 I32 I16 I8 U64 U32 U16 U8 Bool))
}

/// An output of ONNX Runtime's.
fn taken(result: &DynValue) -> Result<Tensor, String> {
    let ValueType::Tensor { ty, .. } = result.dtype() else { return Err("it is not a tensor".to_owned()) };
    macro_rules! tensor {
        ($($kind:ident $rust:ty;)*) => {
            match ty {
                $(TensorElementType::$kind => {
                    let (shape, elements) = result.try_extract_tensor::<$rust>().map_err(|error| one_line(&error.to_string()))?;
                    let value = Value::new(extents(shape), elements.to_vec()).map_err(|error| error.to_string())?;
                    output(&value)
                })*
                other => Err(format!("its element type {other} is not supported")),
            }
        };
    }
    tensor! {
        Float32 f32;
        Float64 f64;
        Float16 f16;
        Bfloat16 bf16;
        Int64 i64;
        Int32 i32;
        Int16 i16;
        Int8 i8;
        Uint64 u64;
        Uint32 u32;
        Uint16 u16;
        Uint8 u8;
        Bool bool;
    }
}

impl Session for OwnSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let options = RunOptions::new().map_err(|error| self.failed("running", error))?;
        self.pass(inputs, &options)
    }

    fn compile_report(&self) -> CompileReport {
        self.report
    }

    fn numerics(&self) -> Numerics {
        self.numerics
    }

    /// As of a graph of ours: by ONNX Runtime's own account where there is one, else from a profiled pass; if there was none, from one
    /// made now on inputs of zeros.
    fn placement(&mut self) -> Placement {
        if let Some(whole) = assignment::whole(&self.taken, &self.place) {
            return whole;
        }
        if self.placement.is_none()
            && let Err(error) = self.model.zeros().and_then(|zeros| self.profiled(&zeros))
        {
            return unknown(&self.place.0, format!("not known: {error}"));
        }
        let placement = self.placement.clone().unwrap_or_else(|| unknown(&self.place.0, "not known".to_owned()));
        assignment::counted(placement, &self.taken, &self.place)
    }

    fn memory(&self) -> MemoryReport {
        // On another device the weights and activations are in its memory, of which the processor's arena knows nothing.
        if self.place.0 == CPU { stats::arena(&self.session) } else { MemoryReport::default() }
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        self.profiled(inputs)
    }
}
