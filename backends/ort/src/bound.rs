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
use ort::value::{DynValue, Tensor as OrtTensor};

/// A session's inputs and outputs.
pub(crate) struct Bound {
    binding: IoBinding,
    /// Names of the inputs, and what each was last bound to, in the processor's memory.
    inputs: Vec<(String, Option<DynValue>)>,
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
            let value = match input.data() {
                TensorData::F32(data) => OrtTensor::from_array((shape, data.clone()))?.into_dyn(),
                TensorData::I64(data) => OrtTensor::from_array((shape, data.clone()))?.into_dyn(),
            };
            self.binding.bind_input(name.as_str(), &value)?;
            *bound = Some(value);
        }
        self.binding.synchronize_inputs()?;
        let results = session.run_binding_with_options(&self.binding, options)?;
        self.binding.synchronize_outputs()?;
        Ok(results)
    }
}

/// Whether both have the same elements, to the bit.
fn same_bits(bound: &DynValue, input: &Tensor) -> bool {
    match input.data() {
        TensorData::F32(data) => bound.try_extract_tensor::<f32>().is_ok_and(|(shape, bound)| {
            let same = bound.iter().map(|v| v.to_bits()).eq(data.iter().map(|v| v.to_bits()));
            same && same_extents(shape, input.shape())
        }),
        TensorData::I64(data) => bound
            .try_extract_tensor::<i64>()
            .is_ok_and(|(shape, bound)| bound == data.as_slice() && same_extents(shape, input.shape())),
    }
}

fn same_extents(bound: &[i64], input: &[usize]) -> bool {
    bound.iter().map(|extent| usize::try_from(*extent).ok()).eq(input.iter().map(|extent| Some(*extent)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ditbench_backend_api::{CompileOptions, Session as _};
    use ditbench_graph::weights::Weights;
    use ditbench_graph::{GraphBuilder, Op};

    use super::*;
    use crate::{dialect, load, runtime};

    #[test]
    fn a_value_is_the_same_only_to_the_bit() {
        runtime::for_tests();
        let of = |values: &[f32]| Tensor::f32(vec![values.len()], values.to_vec()).unwrap();
        let bound = |values: &[f32]| OrtTensor::from_array((vec![values.len()], values.to_vec())).unwrap().into_dyn();
        assert!(same_bits(&bound(&[1.0, f32::NAN]), &of(&[1.0, f32::NAN])));
        assert!(!same_bits(&bound(&[0.0]), &of(&[-0.0])));
        assert!(!same_bits(&bound(&[1.0]), &of(&[1.0, 1.0])));
        assert!(!same_bits(&bound(&[1.0, 1.0]), &Tensor::f32(vec![2, 1], vec![1.0, 1.0]).unwrap()));
        assert!(!same_bits(&bound(&[1.0]), &Tensor::i64(vec![1], vec![1]).unwrap()));
    }

    /// What is bound stays bound, and what comes back is bound anew.
    #[test]
    fn each_pass_is_of_the_inputs_that_it_was_given() {
        let mut b = GraphBuilder::new("sum");
        let (x, y) = (b.input("x", &[2], DType::F32), b.input("y", &[2], DType::F32));
        let sum = b.node("sum", Op::Add, &[x, y]);
        b.output("z", sum);
        let graph = b.finish().unwrap();
        let cache = tempfile::tempdir().unwrap();
        let options = CompileOptions::cpu("stock", 1, cache.path());
        let weights = Weights::new(BTreeMap::new());
        let mut session = load::load(&runtime::for_tests(), &graph, &weights, &dialect::unpacked(), &options).unwrap();
        session.binds().unwrap();
        let of = |values: [f32; 2]| Tensor::f32(vec![2], values.to_vec()).unwrap();
        let (one, another, same) = (of([1.0, 2.0]), of([10.0, 20.0]), of([0.5, 0.25]));
        let want = [of([1.5, 2.25]), of([10.5, 20.25]), of([1.5, 2.25]), of([1.5, 2.25])];
        for (x, want) in [&one, &another, &one, &one].into_iter().zip(want) {
            assert_eq!(session.run(&[x.clone(), same.clone()]).unwrap(), [want]);
        }
    }
}
