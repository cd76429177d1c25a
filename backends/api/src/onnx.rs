//! A user's own ONNX file as backends get it: with its sizes written into it, so that all are given the same graph.
//!
//! Contract of a session over one: it is handed f32 and i64 tensors of the shapes in [`OnnxModel::inputs`] and casts them to
//! what the graph asks for; it gives f32 for outputs of floats and i64 for all others, in the file's order.

use std::path::PathBuf;

use ditbench_graph::Tensor;
use ditbench_graph::tensor::TensorData;
use ditbench_onnx::axes::FixedInput;
use ditbench_onnx::model::{Arithmetic, Model, Operator, Scopes};
use ditbench_onnx::{DType, Data, Value};

use crate::{BackendError, CompileReport, Numerics};

/// A user's own ONNX file.
#[derive(Clone, Debug)]
pub struct OnnxModel {
    /// The stage's name: `unet`, `model`.
    pub name: String,
    /// The prepared file: sizes in numbers, weights beside it.
    pub file: PathBuf,
    /// Its inputs in the file's order.
    pub inputs: Vec<FixedInput>,
    /// What is in it.
    pub model: Model,
    /// Where its nodes are in the model.
    pub scopes: Scopes,
    /// Seconds spent on preparing the file.
    pub prepare_s: f64,
    /// Whether it was found prepared.
    pub found: bool,
}

impl OnnxModel {
    /// Bytes of the file and of the weights beside it.
    pub fn bytes(&self) -> u64 {
        self.model.bytes + self.model.data.iter().map(|data| data.needed).sum::<u64>()
    }

    /// What compiling took, given the seconds of the runtime's own part.
    pub fn report(&self, load_s: f64) -> CompileReport {
        CompileReport {
            export_s: if self.found { 0.0 } else { self.prepare_s },
            export_cached: Some(self.found),
            load_s,
            weight_file_bytes: Some(self.bytes()),
            weight_resident_bytes: None,
        }
    }

    /// The arithmetic that the file asks for. A runtime may compute in more: 16-bit floats in 32 bits on most processors.
    pub fn numerics(&self) -> Numerics {
        match self.model.precision.arithmetic() {
            Arithmetic::Full => Numerics::F32,
            Arithmetic::WeightOnly => Numerics::WeightOnly,
            Arithmetic::Half => Numerics::F16,
            Arithmetic::Stated | Arithmetic::Rounded => Numerics::Int8Activations,
        }
    }

    /// The operators of other sets than ONNX's that `known` does not take, each with how often it occurs: `23 × acme:Relu`.
    pub fn foreign(&self, known: impl Fn(&Operator) -> bool) -> Option<String> {
        let others =
            self.model.operators.iter().filter(|(operator, _)| !operator.domain.is_empty() && !known(operator));
        let words: Vec<String> = others.map(|(operator, count)| format!("{count} × {operator}")).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// Checks tensors against the inputs, and casts those whose type the graph does not take as it is handed.
    ///
    /// # Errors
    /// [`BackendError::Input`] names the input.
    pub fn feed<'a>(&self, inputs: &'a [Tensor]) -> Result<Vec<Fed<'a>>, BackendError> {
        let input = |input: String, why: String| BackendError::Input { graph: self.name.clone(), input, why };
        if inputs.len() != self.inputs.len() {
            let names: Vec<&str> = self.inputs.iter().map(|port| port.name.as_str()).collect();
            let why = format!("expected {} inputs, got {}", names.len(), inputs.len());
            return Err(input(names.join(", "), why));
        }
        let fed = |(port, tensor): (&FixedInput, &'a Tensor)| {
            let fail = |why: String| input(port.name.clone(), why);
            if tensor.shape() != port.shape {
                return Err(fail(format!("expected shape {:?}, got {:?}", port.shape, tensor.shape())));
            }
            let value = match (tensor.data(), port.dtype) {
                (TensorData::F32(_), DType::F32) | (TensorData::I64(_), DType::I64) => return Ok(Fed::AsIs(tensor)),
                (TensorData::F32(numbers), _) => Value::new(port.shape.clone(), numbers.clone()),
                (TensorData::I64(numbers), _) => Value::new(port.shape.clone(), numbers.clone()),
            };
            let value = value.map_err(|error| fail(error.to_string()))?;
            value.cast(port.dtype).map(Fed::Cast).map_err(|error| fail(error.to_string()))
        };
        self.inputs.iter().zip(inputs).map(fed).collect()
    }

    /// Tensors of zeros for all inputs.
    pub fn zeros(&self) -> Result<Vec<Tensor>, BackendError> {
        let zeros = |port: &FixedInput| {
            let shape = port.shape.clone();
            if port.dtype.is_float() {
                return Ok(Tensor::zeros(shape));
            }
            let zeros = vec![0; shape.iter().product()];
            Ok(Tensor::i64(shape, zeros)?)
        };
        self.inputs.iter().map(zeros).collect()
    }
}

/// A tensor as a graph takes it.
pub enum Fed<'a> {
    /// The one that was handed.
    AsIs(&'a Tensor),
    /// The same numbers in another type.
    Cast(Value),
}

/// A runtime's output as a session gives it.
///
/// # Errors
/// Numbers that do not fit: integers beyond i64.
pub fn output(value: &Value) -> Result<Tensor, String> {
    let shape = value.shape().to_vec();
    let floats = value.dtype().is_float();
    let wide = value.cast(if floats { DType::F32 } else { DType::I64 }).map_err(|error| error.to_string())?;
    let tensor = match wide.data() {
        Data::F32(numbers) => Tensor::f32(shape, numbers.clone()),
        Data::I64(numbers) => Tensor::i64(shape, numbers.clone()),
        // Cast to one of these two.
        _ => return Err(format!("outputs of type {} are not supported", value.dtype())),
    };
    tensor.map_err(|error| error.to_string())
}
