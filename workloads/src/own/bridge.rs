//! Between the drivers of `ditbench-onnx`, which know every element type, and sessions, which are handed f32 and i64.
//!
//! Nothing is lost on the way: narrower floats fit f32, narrower integers and truth values fit i64, and a session casts to what
//! its graph asks for.

use std::time::Duration;

use ditbench_graph::Tensor;
use ditbench_graph::tensor::{TensorData, TensorError};
use ditbench_onnx::pipeline::Run;
use ditbench_onnx::{DType, Data, Value};

use crate::pipeline::timed;
use crate::{RunError, StageRunner};

/// Runs components as stages.
pub(super) struct Bridge<'a> {
    runner: &'a mut dyn StageRunner<Error = RunError>,
    took: Option<Duration>,
}

impl<'a> Bridge<'a> {
    pub(super) fn new(runner: &'a mut dyn StageRunner<Error = RunError>) -> Self {
        Self { runner, took: None }
    }
}

impl Run for Bridge<'_> {
    fn run(&mut self, component: &str, inputs: &[(&str, &Value)]) -> Result<Vec<Value>, RunError> {
        let feed = inputs.iter().map(|(_, value)| tensor(value)).collect::<Result<Vec<_>, _>>()?;
        let mut took = Duration::ZERO;
        let outputs = timed(self.runner, component, &feed, &mut took);
        self.took = Some(took);
        outputs?.into_iter().map(value).collect()
    }

    /// Tensors in host memory to tensors in host memory, as for every other workload.
    fn took(&self) -> Option<Duration> {
        self.took
    }
}

/// A value as a session takes it.
pub(super) fn tensor(value: &Value) -> Result<Tensor, RunError> {
    let shape = value.shape().to_vec();
    let floats = value.dtype().is_float();
    let wide = value.cast(if floats { DType::F32 } else { DType::I64 })?;
    Ok(match wide.data() {
        Data::F32(numbers) => Tensor::f32(shape, numbers.clone())?,
        Data::I64(numbers) => Tensor::i64(shape, numbers.clone())?,
        // Cast to one of these two.
        _ => return Err("a tensor is neither of floats nor of integers".into()),
    })
}

fn value(tensor: Tensor) -> Result<Value, RunError> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.data() {
        TensorData::I64(numbers) => Value::new(shape, numbers.clone())?,
        TensorData::F32(_) => Value::new(shape, tensor.into_f32()?)?,
    })
}

/// A tensor's elements as floats.
pub(super) fn floats(tensor: Tensor) -> Result<Vec<f32>, TensorError> {
    match tensor.data() {
        TensorData::I64(numbers) => Ok(numbers.iter().map(|&number| number as f32).collect()),
        TensorData::F32(_) => tensor.into_f32(),
    }
}
