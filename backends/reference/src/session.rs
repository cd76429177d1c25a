//! A graph made ready to be interpreted: walks the nodes in order, frees each value after its last use.

use std::time::Instant;

use ditbench_backend_api::{
    BackendError, CompileReport, MemoryReport, NodeTime, Numerics, Placement, Profile, Session,
};
use ditbench_graph::weights::Weights;
use ditbench_graph::{Graph, Tensor};
use ditbench_graph::{Node, ValueId, WeightId};

use crate::{Array, DEVICE, NAME, ops};

/// One node that was just computed, as [`ReferenceSession::run_traced`] shows it.
pub struct Step<'a> {
    /// Position in the graph's nodes.
    pub index: usize,
    /// The node.
    pub node: &'a Node,
    /// What it read, in its order.
    pub inputs: Vec<&'a Array>,
    /// What it made. May be changed: later nodes then read the changed value, which is how the effect of an error in
    /// one place on the result is measured.
    pub output: &'a mut Array,
}

/// A graph with its weights, ready to be interpreted in f64. Holds no copy of the weights: each is unpacked when a node
/// reads it.
pub struct ReferenceSession {
    graph: Graph,
    weights: Weights,
    last_uses: Vec<Option<usize>>,
    pool: rayon::ThreadPool,
    pub(crate) load_s: f64,
}

impl ReferenceSession {
    /// Prepares a graph to run on `threads` threads.
    ///
    /// # Errors
    /// Weights that are missing or of another shape; no threads, or threads that cannot be started.
    pub fn new(graph: &Graph, weights: &Weights, threads: usize) -> Result<Self, BackendError> {
        if threads == 0 {
            let why = "0 threads were asked for; ask for at least 1".to_owned();
            return Err(BackendError::Unsupported { backend: NAME, why });
        }
        for index in 0..graph.weights.len() {
            weights.tensor(graph, WeightId(index))?;
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| BackendError::runtime(NAME, "starting threads", error))?;
        let last_uses = graph.last_uses();
        Ok(Self { graph: graph.clone(), weights: weights.clone(), last_uses, pool, load_s: 0.0 })
    }

    /// One forward pass, its results not rounded: arrays in the order of the graph's outputs.
    ///
    /// # Errors
    /// Wrong inputs, or a token id outside its table.
    pub fn run_f64(&self, inputs: &[Tensor]) -> Result<Vec<Array>, BackendError> {
        self.run_traced(inputs, &mut |_| {})
    }

    /// As [`ReferenceSession::run_f64`], and calls `visit` after each node with what it read and made.
    ///
    /// # Errors
    /// As [`ReferenceSession::run_f64`].
    pub fn run_traced(
        &self,
        inputs: &[Tensor],
        visit: &mut (dyn FnMut(Step<'_>) + Send),
    ) -> Result<Vec<Array>, BackendError> {
        BackendError::check_inputs(&self.graph, inputs)?;
        self.pool.install(|| self.interpret(inputs, visit))
    }

    fn interpret(
        &self,
        inputs: &[Tensor],
        visit: &mut (dyn FnMut(Step<'_>) + Send),
    ) -> Result<Vec<Array>, BackendError> {
        let graph = &self.graph;
        let mut values: Vec<Option<Array>> = vec![None; graph.values.len()];
        for (port, tensor) in graph.inputs.iter().zip(inputs) {
            values[port.value.0] = Some(Array::from_tensor(tensor));
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().map(|&id| self.get(&values, id)).collect::<Result<Vec<_>, _>>()?;
            let weight = |id| -> Result<Array, BackendError> {
                let tensor = self.weights.tensor(graph, id)?;
                Ok(Array::from_f32(&tensor.shape, &tensor.to_f32()))
            };
            let mut output = ops::evaluate(node, &inputs, &weight)?;
            if output.shape != graph.shape(node.output) {
                let why = format!("made {:?}, the graph says {:?}", output.shape, graph.shape(node.output));
                return Err(BackendError::runtime(NAME, &node.name, why));
            }
            visit(Step { index, node, inputs, output: &mut output });
            values[node.output.0] = Some(output);
            for id in &node.inputs {
                if self.last_uses[id.0] == Some(index) {
                    values[id.0] = None;
                }
            }
        }
        graph.outputs.iter().map(|port| self.get(&values, port.value).cloned()).collect()
    }

    fn get<'a>(&self, values: &'a [Option<Array>], id: ValueId) -> Result<&'a Array, BackendError> {
        values[id.0].as_ref().ok_or_else(|| {
            let why = "read before it is made: the nodes are not in an order in which they can run";
            BackendError::runtime(NAME, format!("{}, value {}", self.graph.name, id.0), why)
        })
    }
}

impl Session for ReferenceSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        self.run_f64(inputs)?.iter().map(|array| Ok(array.to_tensor()?)).collect()
    }

    fn compile_report(&self) -> CompileReport {
        CompileReport { load_s: self.load_s, ..CompileReport::default() }
    }

    fn numerics(&self) -> Numerics {
        Numerics::F64
    }

    fn placement(&mut self) -> Placement {
        Placement::all_on(DEVICE, self.graph.nodes.len(), "the backend has one device")
    }

    fn memory(&self) -> MemoryReport {
        MemoryReport::default()
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let mut nodes = Vec::with_capacity(self.graph.nodes.len());
        let start = Instant::now();
        let mut before = 0.0;
        self.run_traced(inputs, &mut |step| {
            let now = start.elapsed().as_secs_f64();
            nodes.push(NodeTime {
                scope: Some(step.node.name.clone()),
                op: step.node.op.kind().to_owned(),
                device: DEVICE.to_owned(),
                start_s: before,
                duration_s: now - before,
            });
            before = start.elapsed().as_secs_f64();
        })?;
        Ok(Profile { nodes, total_s: start.elapsed().as_secs_f64() })
    }
}
