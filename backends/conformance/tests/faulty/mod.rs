//! A backend that is wrong on purpose: the reference with some nodes' outputs changed.

use std::sync::{Arc, Mutex};

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, CompileReport, DeviceFacts, MemoryReport, Numerics, Placement, Profile,
    Session, Variant, VersionReport,
};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_graph::{Graph, Tensor};
use ditbench_reference::{Array, Reference, ReferenceSession, Step};

/// Changes what a node of a graph made.
pub type Fault = Arc<dyn Fn(&mut Step<'_>, &Graph, &Weights) + Send + Sync>;

/// The reference with a fault; calls itself an f32 backend unless told otherwise.
pub struct Faulty {
    pub fault: Fault,
    pub numerics: Numerics,
    /// Names of the graphs that the fault changed.
    pub touched: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    pub fn new(fault: impl Fn(&mut Step<'_>) + Send + Sync + 'static) -> Self {
        Self::with_graph(Numerics::F32, move |step, _, _| fault(step))
    }

    /// A fault that looks at the graph and its weights, in a backend of this precision.
    pub fn with_graph(
        numerics: Numerics,
        fault: impl Fn(&mut Step<'_>, &Graph, &Weights) + Send + Sync + 'static,
    ) -> Self {
        Self { fault: Arc::new(fault), numerics, touched: Arc::default() }
    }
}

impl Backend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn version(&self) -> VersionReport {
        VersionReport::default()
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        Reference.devices()
    }

    fn variants(&self, scheme: Scheme) -> Vec<Variant> {
        Reference.variants(scheme)
    }

    fn compile(&self, graph: &Graph, weights: &Weights, _: &CompileOptions) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(FaultySession {
            inner: ReferenceSession::new(graph, weights, 1)?,
            graph: graph.clone(),
            weights: weights.clone(),
            fault: self.fault.clone(),
            numerics: self.numerics,
            touched: self.touched.clone(),
        }))
    }
}

struct FaultySession {
    inner: ReferenceSession,
    graph: Graph,
    weights: Weights,
    fault: Fault,
    numerics: Numerics,
    touched: Arc<Mutex<Vec<String>>>,
}

impl Session for FaultySession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let mut touched = false;
        let outputs = self.inner.run_traced(inputs, &mut |mut step| {
            let before = step.output.clone();
            (self.fault)(&mut step, &self.graph, &self.weights);
            touched |= *step.output != before;
        })?;
        if touched {
            self.touched.lock().unwrap().push(self.graph.name.clone());
        }
        outputs.iter().map(|array| Ok(array.to_tensor()?)).collect()
    }

    fn compile_report(&self) -> CompileReport {
        self.inner.compile_report()
    }

    fn numerics(&self) -> Numerics {
        self.numerics
    }

    fn placement(&mut self) -> Placement {
        self.inner.placement()
    }

    fn memory(&self) -> MemoryReport {
        self.inner.memory()
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        self.inner.profile(inputs)
    }
}

#[allow(dead_code, reason = "one of the two test programs that share this module attends")]
/// Attention written out plainly, with the choice of key/value head and of keys left open.
pub fn attend(
    step: &Step<'_>,
    scale: f32,
    kv_head: impl Fn(usize, usize, usize) -> usize,
    keys_of: impl Fn(usize, usize, usize) -> Vec<usize>,
) -> Array {
    let [q, k, v] = [step.inputs[0], step.inputs[1], step.inputs[2]];
    let [batch, queries, heads, width] = [q.shape[0], q.shape[1], q.shape[2], q.shape[3]];
    let [keys, kv_heads] = [k.shape[1], k.shape[2]];
    let mut y = Array::zeros(&q.shape);
    for (b, query, head) in
        (0..batch).flat_map(|b| (0..queries).flat_map(move |t| (0..heads).map(move |head| (b, t, head))))
    {
        let at = ((b * queries + query) * heads + head) * width;
        let kv = |key: usize| ((b * keys + key) * kv_heads + kv_head(head, heads, kv_heads)) * width;
        let seen = keys_of(query, queries, keys);
        let scores: Vec<f64> = seen
            .iter()
            .map(|&key| f64::from(scale) * (0..width).map(|i| q.data[at + i] * k.data[kv(key) + i]).sum::<f64>())
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s - largest).exp()).sum();
        for (score, key) in scores.iter().zip(seen) {
            let p = (score - largest).exp() / sum;
            (0..width).for_each(|i| y.data[at + i] += p * v.data[kv(key) + i]);
        }
    }
    y
}
