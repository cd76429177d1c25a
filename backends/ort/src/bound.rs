//! Inputs and outputs of a session on another device than the processor, bound once (ONNX Runtime's IoBinding).
//!
//! Contract: an input goes to the device when it is not what the pass before had: a prompt's features stay there over the steps of an
//! image, as they do in a program that draws with them. Outputs land in buffers of the processor's memory that are made once. When a
//! pass is over, its results are there: the session is synchronised before they are read.

use ditbench_graph::Graph;
use ditbench_graph::Tensor;
use ditbench_graph::tensor::{DType, TensorData};
use ort::memory::Allocator;
use ort::session::{IoBinding, RunOptions, Session, SessionOutputs};
use ort::value::Tensor as OrtTensor;

/// A session's inputs and outputs.
pub(crate) struct Bound {
    binding: IoBinding,
    /// Names of the inputs, and what each was last bound to.
    inputs: Vec<(String, Option<Tensor>)>,
}

impl Bound {
    /// Binds the outputs, which have these names in the file.
    pub(crate) fn new(graph: &Graph, session: &Session, outputs: &[String]) -> ort::Result<Self> {
        let mut binding = session.create_binding()?;
        let memory = Allocator::default();
        for (port, name) in graph.outputs.iter().zip(outputs) {
            let value = graph.value(port.value);
            let shape = value.shape.clone();
            match value.dtype {
                DType::F32 => binding.bind_output(name, OrtTensor::<f32>::new(&memory, shape)?)?,
                DType::I64 => binding.bind_output(name, OrtTensor::<i64>::new(&memory, shape)?)?,
            }
        }
        let inputs = graph.inputs.iter().map(|port| (port.name.clone(), None)).collect();
        Ok(Self { binding, inputs })
    }

    /// One pass. Inputs in the graph's order.
    pub(crate) fn run<'b, 's: 'b>(
        &'b mut self,
        session: &'s mut Session,
        inputs: &[Tensor],
        options: &RunOptions,
    ) -> ort::Result<SessionOutputs<'b>> {
        for ((name, bound), input) in self.inputs.iter_mut().zip(inputs) {
            if bound.as_ref().is_some_and(|bound| same_bits(bound, input)) {
                continue;
            }
            // If this fails, what the name is bound to is not known.
            *bound = None;
            let shape = input.shape().to_vec();
            // With elements of its own: ort waits for itself for ever when it is to copy a borrowed value.
            match input.data() {
                TensorData::F32(data) => {
                    self.binding.bind_input(name.as_str(), &OrtTensor::from_array((shape, data.clone()))?)?;
                }
                TensorData::I64(data) => {
                    self.binding.bind_input(name.as_str(), &OrtTensor::from_array((shape, data.clone()))?)?;
                }
            }
            *bound = Some(input.clone());
        }
        self.binding.synchronize_inputs()?;
        let results = session.run_binding_with_options(&self.binding, options)?;
        self.binding.synchronize_outputs()?;
        Ok(results)
    }
}

/// Whether both have the same elements, to the bit.
fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    let same = match (a.data(), b.data()) {
        (TensorData::F32(a), TensorData::F32(b)) => a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits())),
        (TensorData::I64(a), TensorData::I64(b)) => a == b,
        _ => false,
    };
    same && a.shape() == b.shape()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_only_to_the_bit() {
        let of = |values: &[f32]| Tensor::f32(vec![values.len()], values.to_vec()).unwrap();
        assert!(same_bits(&of(&[1.0, f32::NAN]), &of(&[1.0, f32::NAN])));
        assert!(!same_bits(&of(&[0.0]), &of(&[-0.0])));
        assert!(!same_bits(&of(&[1.0]), &of(&[1.0, 1.0])));
        assert!(!same_bits(&of(&[1.0, 1.0]), &Tensor::f32(vec![2, 1], vec![1.0, 1.0]).unwrap()));
        assert!(!same_bits(&of(&[1.0]), &Tensor::i64(vec![1], vec![1]).unwrap()));
    }
}
