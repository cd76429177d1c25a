//! A user's own ONNX file in tract: any element type that graphs have goes in and comes out.
//!
//! tract finds its operators by name alone, whatever set they are of: `acme:Relu` would run as ONNX's, and give numbers. So
//! those of other sets are looked at before it reads the file.

use std::sync::Arc;
use std::time::Instant;

use ditbench_backend_api::onnx::{Fed, output};
use ditbench_backend_api::{
    BackendError, CompileOptions, CompileReport, MemoryReport, Numerics, OnnxModel, Placement, Profile, Session,
    Variant,
};
use ditbench_graph::Tensor;
use ditbench_onnx::model::{Operator, Storage};
use ditbench_onnx::{DType, Data, Value};
use rayon::ThreadPool;
use tract_core::prelude::{
    DatumType, IntoTValue, TValue, TVec, Tensor as TractTensor, TractResult, TypedSimplePlan, f16,
};
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

use crate::device::{self, Place};
use crate::session::{timed, to_tract};
use crate::{NAME, STOCK, gemm};

/// The operators of ONNX Runtime's own that tract 0.23.9 reads as ONNX Runtime means them. Of the same name as one of ONNX's but
/// another meaning, and so not among them: Attention.
const MICROSOFT: [&str; 9] = [
    "BiasGelu",
    "FastGelu",
    "GatherBlockQuantized",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "QuickGelu",
    "RotaryEmbedding",
    "SkipLayerNormalization",
];

/// The ways of running a file.
pub(crate) fn variants() -> Vec<Variant> {
    vec![Variant::new(STOCK, "the file as it is, in tract alone")]
}

/// What is known to be beyond tract, before it reads the file.
fn beyond(model: &OnnxModel) -> Option<String> {
    let known = |operator: &Operator| operator.domain == "com.microsoft" && MICROSOFT.contains(&operator.name.as_str());
    if let Some(foreign) = model.foreign(known) {
        return Some(format!("{} has operators that tract does not know as they are meant: {foreign}", model.name));
    }
    let groups = model.model.precision.shares().iter().find_map(|share| match share.storage {
        Storage::Groups { bits, .. } if ![2, 4].contains(&bits) => Some(bits),
        _ => None,
    });
    groups.map(|bits| {
        format!("{} has MatMulNBits nodes with {bits}-bit weights, but tract supports only 2 and 4", model.name)
    })
}

/// Lets tract read and optimise a file.
pub(crate) fn load(model: &OnnxModel, options: &CompileOptions) -> Result<OwnSession, BackendError> {
    let unsupported = |why: String| BackendError::Unsupported { backend: NAME, why };
    if options.variant != STOCK {
        return Err(unsupported(format!("it runs ONNX files as {STOCK}, not as \"{}\"", options.variant)));
    }
    if let Some(why) = beyond(model) {
        return Err(unsupported(why));
    }
    let start = Instant::now();
    let threads = device::threads(options);
    let pool = crate::load::pool(threads)?;
    // tract takes a pool of one thread for no pool at all and then uses all processors.
    let executor = if threads == 1 { Executor::SingleThread } else { Executor::MultiThread(Arc::clone(&pool)) };
    let plan = multithread_tract_scope(executor.clone(), || -> TractResult<Arc<TypedSimplePlan>> {
        let mut reader = tract_onnx::onnx();
        if model.model.stored.contains_key(&DType::F16) {
            gemm::register(&mut reader);
        }
        device::plan(reader.model_for_path(&model.file)?, &options.device, executor)
    })
    .map_err(|error| device::lacking(&error, &options.device).unwrap_or_else(|| failed(model, "loading", &error)))?;
    let report = model.report(start.elapsed().as_secs_f64());
    let place = Place::of(&plan, &model.name, options)?;
    Ok(OwnSession { model: model.clone(), plan, pool, place, report })
}

/// tract's own words, in one line.
fn failed(model: &OnnxModel, doing: &str, error: &TractError) -> BackendError {
    let words: Vec<String> = error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
    // The first says where, the last why; what lies between repeats them.
    let said = match &words[..] {
        [where_, .., why] => format!("{why} ({where_})"),
        _ => words.concat(),
    };
    BackendError::runtime(NAME, format!("{doing} {}", model.name), said)
}

/// A file made ready for tract.
pub(crate) struct OwnSession {
    model: OnnxModel,
    plan: Arc<TypedSimplePlan>,
    /// Everything runs inside it.
    pool: Arc<ThreadPool>,
    place: Place,
    report: CompileReport,
}

impl OwnSession {
    fn run_with(
        &self,
        inputs: &[Tensor],
        run: impl FnOnce(&Arc<TypedSimplePlan>, TVec<TValue>) -> TractResult<TVec<TValue>> + Send,
    ) -> Result<Vec<Tensor>, BackendError> {
        let fed = self.model.feed(inputs)?;
        let outputs = self
            .pool
            .install(|| -> TractResult<Vec<Value>> {
                let value = |fed: &Fed<'_>| match fed {
                    Fed::AsIs(tensor) => to_tract(tensor),
                    Fed::Cast(value) => cast(value),
                };
                let values = fed.iter().map(value).collect::<TractResult<_>>()?;
                run(&self.plan, values)?.iter().map(|value| taken(value)).collect()
            })
            .map_err(|error| failed(&self.model, "running", &error))?;
        let wanted = &self.model.model.outputs;
        if outputs.len() != wanted.len() {
            let why = format!("it gave {} tensors, and the file has {} outputs", outputs.len(), wanted.len());
            return Err(BackendError::runtime(NAME, format!("running {}", self.model.name), why));
        }
        // tract calls outputs after nodes, not as the file does: their order is the file's.
        let named = outputs.iter().zip(wanted).map(|(value, port)| {
            output(value).map_err(|why| {
                BackendError::runtime(NAME, format!("running {}, output \"{}\"", self.model.name, port.name), why)
            })
        });
        named.collect()
    }
}

/// A value as tract's.
fn cast(value: &Value) -> TractResult<TValue> {
    macro_rules! tensor {
        ($($kind:ident)*) => {
            match value.data() {
                $(Data::$kind(elements) => TractTensor::from_shape(value.shape(), elements)?.into_tvalue(),)*
                Data::Bf16(_) => return Err(TractError::msg("tract has no type for bf16")),
            }
        };
    }
    Ok(tensor!(F32 F64 F16 I64 I32 I16 I8 U64 U32 U16 U8 Bool))
}

/// An output of tract's.
fn taken(result: &TractTensor) -> TractResult<Value> {
    // Sizes are computed in a type of tract's own, which a graph may give out as an integer.
    let result = match result.datum_type() {
        DatumType::TDim => result.cast_to_dt(DatumType::I64)?,
        _ => std::borrow::Cow::Borrowed(result),
    };
    let view = result.try_as_plain_ram()?;
    macro_rules! value {
        ($($kind:ident $rust:ty;)*) => {
            match result.datum_type() {
                $(DatumType::$kind => Data::from(view.as_slice::<$rust>()?.to_vec()),)*
                other => return Err(TractError::msg(format!("an output has element type {other:?}, which is not supported"))),
            }
        };
    }
    let data = value! {
        F32 f32;
        F64 f64;
        F16 f16;
        I64 i64;
        I32 i32;
        I16 i16;
        I8 i8;
        U64 u64;
        U32 u32;
        U16 u16;
        U8 u8;
        Bool bool;
    };
    Value::new(result.shape(), data).map_err(|error| TractError::msg(error.to_string()))
}

impl Session for OwnSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.run_with(inputs, |plan, values| plan.run(values))
    }

    fn compile_report(&self) -> CompileReport {
        self.report
    }

    fn numerics(&self) -> Numerics {
        device::numerics(&self.plan, self.model.numerics())
    }

    fn placement(&mut self) -> Placement {
        self.place.placement()
    }

    /// tract takes its memory from the process's allocator and does not count it.
    fn memory(&self) -> MemoryReport {
        MemoryReport::default()
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let scopes = &self.model.scopes;
        let mut profile = Profile::default();
        self.run_with(inputs, |plan, values| {
            timed(plan, &self.place, values, |node| scopes.of(node).map(str::to_owned), &mut profile)
        })?;
        Ok(profile)
    }
}
