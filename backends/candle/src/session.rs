//! Walking the plan: values live in candle tensors and are dropped after their last use.

use std::time::Instant;

use candle_core::{Device, Tensor as CandleTensor};
use ditbench_backend_api::{
    BackendError, CompileReport, MemoryReport, NodeTime, Numerics, Placement, Profile, Session,
};
use ditbench_graph::Op;
use ditbench_graph::weights::Weights;
use ditbench_graph::{Graph, Tensor, TensorData, ValueId};

use crate::device::Place;
use crate::load::{Ledger, Loaded, load};
use crate::plan::{Step, steps};
use crate::{NAME, Way, stock, tuned};

/// A graph, its weights and its plan.
pub struct CandleSession {
    graph: Graph,
    loaded: Vec<Loaded>,
    steps: Vec<Step>,
    way: Way,
    place: Place,
    report: CompileReport,
    numerics: Numerics,
}

impl CandleSession {
    /// Loads the weights to where it is to compute, and plans.
    pub(crate) fn new(graph: &Graph, weights: &Weights, way: Way, place: Place) -> Result<Self, BackendError> {
        let begun = Instant::now();
        let mut ledger = Ledger::default();
        let loaded = (0..graph.nodes.len())
            .map(|index| {
                let loaded = load(graph, index, weights, way, &place.device, &mut ledger);
                for weight in graph.nodes[index].op.weights() {
                    weights.release(graph, weight);
                }
                loaded
            })
            .collect::<Result<Vec<_>, _>>()?;
        wait(&place)?;
        let numerics = match ledger {
            Ledger { f16: true, .. } => Numerics::F16,
            Ledger { int8: true, .. } => Numerics::Int8Activations,
            Ledger { packed: true, .. } => Numerics::WeightOnly,
            _ => Numerics::F32,
        };
        let report = CompileReport {
            load_s: begun.elapsed().as_secs_f64(),
            weight_resident_bytes: Some(loaded.iter().map(Loaded::weight_bytes).sum()),
            ..CompileReport::default()
        };
        let steps = steps(graph, matches!(way, Way::Tuned { .. }));
        Ok(Self { graph: graph.clone(), loaded, steps, way, place, report, numerics })
    }

    /// One pass; `watch` is told of each step and how long it took.
    ///
    /// It runs on a thread of candle's pool, whoever computes: from outside, every kernel would wake a thread of a pool and wait to be woken
    /// by it, which takes longer than most kernels of a small model do. Of a GPU, candle gives each thread a queue of its own: a pass stays
    /// on the thread that began it, and ends when the GPU has done all of it.
    fn pass(&self, inputs: &[Tensor], watch: impl FnMut(&Step, Instant) + Send) -> Result<Vec<Tensor>, BackendError> {
        self.place.device.with_context(|| {
            let outputs = self.walk(inputs, watch)?;
            wait(&self.place)?;
            Ok(outputs)
        })
    }

    fn walk(&self, inputs: &[Tensor], mut watch: impl FnMut(&Step, Instant)) -> Result<Vec<Tensor>, BackendError> {
        BackendError::check_inputs(&self.graph, inputs)?;
        let mut values: Vec<Option<CandleTensor>> = vec![None; self.graph.values.len()];
        for (port, tensor) in self.graph.inputs.iter().zip(inputs) {
            values[port.value.0] =
                Some(to_candle(tensor, &self.place.device).map_err(|e| BackendError::runtime(NAME, &port.name, e))?);
        }
        for step in &self.steps {
            let begun = Instant::now();
            let node = &self.graph.nodes[step.last()];
            let result = self.compute(step, &values).map_err(|error| BackendError::runtime(NAME, &node.name, error))?;
            values[node.output.0] = Some(result);
            for &value in &step.free {
                values[value] = None;
            }
            watch(step, begun);
        }
        let outputs = self.graph.outputs.iter();
        outputs.map(|port| from_candle(values[port.value.0].as_ref(), &port.name)).collect()
    }

    fn compute(&self, step: &Step, values: &[Option<CandleTensor>]) -> candle_core::Result<CandleTensor> {
        let head = &self.graph.nodes[step.head];
        let joined = || step.joined.iter().map(|&node| &self.graph.nodes[node]);
        let inside = |input: &ValueId| *input == head.output || joined().any(|node| node.output == *input);
        // The head's inputs, then the others': cheap clones, a tensor is a handle.
        let others = joined().flat_map(|node| &node.inputs).filter(|input| !inside(input));
        let x = head
            .inputs
            .iter()
            .chain(others)
            .map(|id| values[id.0].clone().ok_or_else(|| candle_core::Error::msg("a value was freed too early")))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let loaded = &self.loaded[step.head];
        match (&head.op, loaded) {
            (Op::Reshape { shape }, _) => x[0].contiguous()?.reshape(shape.as_slice()),
            (Op::Transpose { perm }, _) => match self.way {
                Way::Tuned { .. } => tuned::transpose(&x[0], perm),
                Way::Stock { .. } => x[0].permute(perm.as_slice())?.contiguous(),
            },
            (Op::Concat { axis }, _) => CandleTensor::cat(&x, *axis),
            (Op::Slice { axis, start, end }, _) if step.joined.is_empty() => {
                x[0].narrow(*axis, *start, end - start)?.contiguous()
            }
            (Op::Scale { factor }, _) => &x[0] * f64::from(*factor),
            (Op::Add | Op::Mul, _) if matches!(self.way, Way::Tuned { .. }) => tuned::combine(&head.op, &x[0], &x[1]),
            (Op::Add, _) if x[0].dims() == x[1].dims() => &x[0] + &x[1],
            (Op::Add, _) => x[0].broadcast_add(&x[1]),
            (Op::Mul, _) => x[0].broadcast_mul(&x[1]),
            (Op::Parameter { .. }, Loaded::Table(table)) => Ok(table.clone()),
            (Op::Embedding { .. }, Loaded::Table(table)) => {
                let mut shape = x[0].dims().to_vec();
                shape.extend(&table.dims()[1..]);
                table.index_select(&x[0].flatten_all()?, 0)?.reshape(shape)
            }
            (op, loaded) => match self.way {
                Way::Tuned { .. } => tuned::compute(op, joined().next_back().map(|node| &node.op), loaded, &x),
                Way::Stock { .. } => stock::compute(op, loaded, &x),
            },
        }
    }
}

/// Waits until a GPU has done what it was given; the processor always has.
fn wait(place: &Place) -> Result<(), BackendError> {
    place
        .device
        .synchronize()
        .map_err(|error| BackendError::runtime(NAME, format!("waiting for {}", place.name), error))
}

fn to_candle(tensor: &Tensor, device: &Device) -> candle_core::Result<CandleTensor> {
    match tensor.data() {
        TensorData::F32(values) => CandleTensor::from_slice(values, tensor.shape(), device),
        TensorData::I64(values) => CandleTensor::from_slice(values, tensor.shape(), device),
    }
}

fn from_candle(tensor: Option<&CandleTensor>, name: &str) -> Result<Tensor, BackendError> {
    let failed = |error: candle_core::Error| BackendError::runtime(NAME, format!("reading output {name}"), error);
    let tensor = tensor.ok_or_else(|| failed(candle_core::Error::msg("it was not computed")))?;
    let shape = tensor.dims().to_vec();
    let values = tensor.contiguous().and_then(|t| t.flatten_all()).map_err(failed)?;
    Ok(match values.dtype() {
        candle_core::DType::I64 => Tensor::i64(shape, values.to_vec1().map_err(failed)?)?,
        _ => Tensor::f32(shape, values.to_vec1().map_err(failed)?)?,
    })
}

impl Session for CandleSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.pass(inputs, |_, _| {})
    }

    fn compile_report(&self) -> CompileReport {
        self.report
    }

    fn numerics(&self) -> Numerics {
        self.numerics
    }

    fn placement(&mut self) -> Placement {
        let source = "candle computes where its tensors are, and all of a session's are on one device";
        Placement::all_on(&self.place.name, self.graph.nodes.len(), source)
    }

    fn memory(&self) -> MemoryReport {
        // candle has no allocator of its own: the process's memory is what there is to say.
        MemoryReport::default()
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let mut nodes = Vec::new();
        let start = Instant::now();
        // Kernels of a GPU are queued: a node is done when the queue is empty.
        let mut waited = Ok(());
        self.pass(inputs, |step, begun| {
            if waited.is_ok() {
                waited = wait(&self.place);
            }
            let all = std::iter::once(&step.head).chain(&step.joined);
            let kinds: Vec<&str> = all.map(|&node| self.graph.nodes[node].op.kind()).collect();
            nodes.push(NodeTime {
                scope: Some(self.graph.nodes[step.named].name.clone()),
                op: kinds.join("+"),
                device: self.place.name.clone(),
                start_s: begun.duration_since(start).as_secs_f64(),
                duration_s: begun.elapsed().as_secs_f64(),
            });
        })?;
        waited?;
        Ok(Profile { nodes, total_s: start.elapsed().as_secs_f64() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ditbench_graph::weights::{Scheme, WeightStore, WeightTensor};
    use ditbench_kernels::linear::Products;

    use super::*;

    #[test]
    fn every_way_runs_inside_candles_pool() {
        let case = &ditbench_conformance::cases()[0];
        let weights = ditbench_conformance::weights(&case.graph, Scheme::F32, 1);
        // Not whether it is in a pool: threads of rayon's global one are, too.
        let pool = Device::Cpu.with_context(|| rayon::broadcast(|_| std::thread::current().id()));
        for way in [Way::Stock { widen: false }, Way::Tuned(Products::F32)] {
            let session = CandleSession::new(&case.graph, &weights, way, Place::cpu()).unwrap();
            let mut threads = Vec::new();
            session.pass(&case.inputs, |_, _| threads.push(std::thread::current().id())).unwrap();
            assert!(!threads.is_empty() && threads.iter().all(|thread| pool.contains(thread)), "{way:?}");
        }
    }

    /// Weights that take note of what is given back.
    struct Noting(Weights, Arc<Mutex<Vec<String>>>);

    impl WeightStore for Noting {
        fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
            self.0.get(name)
        }
        fn names(&self) -> Vec<String> {
            self.0.names()
        }
        fn release(&self, name: &str) {
            self.1.lock().unwrap().push(name.to_owned());
        }
    }

    #[test]
    fn every_weight_that_has_been_copied_is_given_back() {
        for case in ditbench_conformance::cases() {
            let released = Arc::default();
            let weights = ditbench_conformance::weights(&case.graph, Scheme::F32, 1);
            let weights = Weights::new(Noting(weights, Arc::clone(&released)));
            CandleSession::new(&case.graph, &weights, Way::Tuned(Products::F32), Place::cpu()).unwrap();
            let released = released.lock().unwrap();
            assert!(case.graph.weights.iter().all(|weight| released.contains(&weight.name)), "{}", case.graph.name);
        }
    }
}
