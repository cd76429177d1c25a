//! `ditbench::DitLinear` for ONNX Runtime: our integer product as a custom operator.
//!
//! ONNX Runtime's `MatMulNBits` rounds activations to 8 bits too, but where a processor has wide vectors it is hardly
//! faster than its f32 product. Contract: the weight is a constant and is packed once, when the session is made; the
//! result does not depend on the number of threads.

use std::sync::Arc;

use ditbench_kernels::Isa;
use ditbench_kernels::linear::{Epilogue, Matrix, PackedQ4, PackedQ8, Products};
use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
    ShapeInferenceContext,
};
use ort::value::{DynTensorValueType, TensorElementType, ValueType};

use crate::words::one_line;

/// The operators of a session that computes on `threads` threads.
///
/// # Errors
/// Words, if the threads cannot be started or ONNX Runtime does not take the operators.
pub(crate) fn domain(threads: usize) -> Result<OperatorDomain, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| error.to_string())?;
    let linear = DitLinear { pool: Arc::new(pool) };
    let domain = OperatorDomain::new("ditbench").and_then(|domain| domain.add(linear));
    domain.map_err(|error| one_line(&error.to_string()))
}

/// x `[.., K]`, weight (groups as stored), bias `[N]`? → `[.., N]`.
struct DitLinear {
    pool: Arc<rayon::ThreadPool>,
}

impl Operator for DitLinear {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        "DitLinear"
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [
            OperatorInput::required(TensorElementType::Float32),
            OperatorInput::required(TensorElementType::Uint8),
            OperatorInput::optional(TensorElementType::Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn infer_shape(&self, context: &mut ShapeInferenceContext) -> ort::Result<()> {
        let n = context.attr::<i64>("n")?;
        let Some(mut x) = context.inputs().into_iter().next() else { return Ok(()) };
        if let ValueType::Tensor { shape, .. } = &mut x
            && let Some(last) = shape.last_mut()
        {
            *last = n;
            context.set_output(0, &x)?;
        }
        Ok(())
    }

    fn create_kernel<'attr>(&self, context: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        let size = |name: &str| {
            let value: Option<i64> = context.get(name);
            value.and_then(|value| usize::try_from(value).ok()).ok_or_else(|| failed(&format!("no attribute {name}")))
        };
        let (n, k, gelu) = (size("n")?, size("k")?, size("gelu")? != 0);
        let format: String = context.get("format").ok_or_else(|| failed(&"no attribute format"))?;
        let weight = context.constant_input::<DynTensorValueType>(1)?;
        let (_, groups) = weight.try_extract_tensor::<u8>()?;
        let matrix = match format.as_str() {
            "q4" => Matrix::Q4(PackedQ4::pack(groups, n, k).map_err(|error| failed(&error))?, Products::Int8),
            "q8" => Matrix::Q8(PackedQ8::pack(groups, n, k).map_err(|error| failed(&error))?, Products::Int8),
            other => return Err(failed(&format!("no weight format {other}"))),
        };
        let bias = if context.inputs()?.len() > 2 {
            Some(context.constant_input::<DynTensorValueType>(2)?.try_extract_tensor::<f32>()?.1.to_vec())
        } else {
            None
        };
        let epilogue = if gelu { Epilogue::GeluTanh } else { Epilogue::None };
        let pool = Arc::clone(&self.pool);
        Ok(Box::new(move |context: &ComputeContext| {
            let x = context.input(0)?.ok_or_else(|| failed(&"no input"))?;
            let (shape, x) = x.try_extract_tensor::<f32>()?;
            let mut shape = shape.to_vec();
            if let Some(last) = shape.last_mut() {
                *last = i64::try_from(n).unwrap_or(i64::MAX);
            }
            let mut y = context.output(0, shape)?.ok_or_else(|| failed(&"no output"))?;
            let (_, y) = y.try_extract_tensor_mut::<f32>()?;
            let (isa, bias) = (Isa::best(), bias.as_deref());
            let done = pool.install(|| matrix.apply(isa, x, bias, epilogue, y));
            done.map_err(|error| failed(&error))
        }))
    }
}

fn failed(why: &dyn std::fmt::Display) -> ort::Error {
    ort::Error::new(format!("DitLinear: {why}"))
}
