//! A graph loaded by ONNX Runtime.
//!
//! Contract: on the processor, inputs are borrowed for the length of a call and never cloned as ONNX Runtime's values (`ort` rc.15
//! deadlocks when it clones a borrowed tensor); on other devices they are bound ([`crate::bound`]). Outputs are copied once; the
//! largest, an image of 1024², has 12 MiB, which is a few milliseconds beside a decoder's seconds.

use std::borrow::Cow;

use ditbench_backend_api::{BackendError, CompileReport, MemoryReport, Numerics, Placement, Profile, Session};
use ditbench_graph::tensor::{DType, TensorData};
use ditbench_graph::{Graph, Tensor};
use ort::session::{RunOptions, SessionInputValue};
use ort::value::TensorRef;

use crate::assignment::{self, Taken};
use crate::bound::Bound;
use crate::device::CPU;
use crate::words::one_line;
use crate::{NAME, profile, stats};

/// A graph made ready for ONNX Runtime.
pub(crate) struct OrtSession {
    graph: Graph,
    /// Inputs and outputs, on another device than the processor. Dropped before the session.
    bound: Option<Bound>,
    session: ort::session::Session,
    /// Names of the outputs in the file, in the graph's order.
    outputs: Vec<String>,
    /// The device asked for, and its provider.
    place: (String, String),
    report: CompileReport,
    numerics: Numerics,
    /// From the last pass under the profiler; `None`: there was none yet.
    placement: Option<Placement>,
    /// Nodes by the provider that took them, where the session is on another device than the processor and ONNX Runtime tells.
    taken: Vec<Taken>,
}

impl OrtSession {
    pub(crate) fn new(
        graph: Graph,
        session: ort::session::Session,
        outputs: Vec<String>,
        place: (String, String),
        report: CompileReport,
        numerics: Numerics,
    ) -> Self {
        Self { graph, bound: None, session, outputs, place, report, numerics, placement: None, taken: Vec::new() }
    }

    /// Binds inputs and outputs once, for all passes.
    pub(crate) fn binds(&mut self) -> Result<(), BackendError> {
        let bound = Bound::new(&self.graph, &self.session, &self.outputs);
        self.bound = Some(bound.map_err(|error| failed(&self.graph, &error))?);
        Ok(())
    }

    /// Keeps which provider took which node.
    pub(crate) fn takes_note_of(&mut self, taken: Vec<Taken>) {
        self.taken = taken;
    }

    fn pass(&mut self, inputs: &[Tensor], options: &RunOptions) -> Result<Vec<Tensor>, BackendError> {
        let graph = &self.graph;
        BackendError::check_inputs(graph, inputs)?;
        let results = match &mut self.bound {
            Some(bound) => bound.run(&mut self.session, inputs, options),
            None => graph
                .inputs
                .iter()
                .zip(inputs)
                .map(|(port, tensor)| Ok((Cow::Borrowed(port.name.as_str()), borrowed(tensor)?)))
                .collect::<ort::Result<Vec<_>>>()
                .and_then(|values| self.session.run_with_options(values, options)),
        };
        let results = results.map_err(|error| failed(graph, &error))?;
        let mut tensors = Vec::with_capacity(self.outputs.len());
        for (port, name) in graph.outputs.iter().zip(&self.outputs) {
            let value = graph.value(port.value);
            let result = results.get(name).ok_or_else(|| {
                let why = format!("it gave no output \"{name}\"");
                BackendError::runtime(NAME, format!("running {}", graph.name), why)
            })?;
            tensors.push(match value.dtype {
                DType::F32 => {
                    let (shape, data) = result.try_extract_tensor::<f32>().map_err(|error| failed(graph, &error))?;
                    Tensor::f32(extents(shape), data.to_vec())?
                }
                DType::I64 => {
                    let (shape, data) = result.try_extract_tensor::<i64>().map_err(|error| failed(graph, &error))?;
                    Tensor::i64(extents(shape), data.to_vec())?
                }
            });
        }
        Ok(tensors)
    }

    fn profiled(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let name = self.graph.name.clone();
        let unread = |why: String| BackendError::runtime(NAME, format!("profiling {name}"), why);
        let (json, total_s) = profile::pass(unread, |options| self.pass(inputs, options).map(drop))?;
        let names = profile::Names::new(&self.graph, &self.outputs);
        let scope = |name: &str, op: &str| names.scope(name, op).map(str::to_owned);
        let place = (self.place.0.as_str(), self.place.1.as_str());
        let profile = profile::parse(&json, place, scope, total_s)
            .map_err(|why| unread(format!("its profile cannot be read: {why}")))?;
        self.placement = Some(profile::placement(&self.place.0, &profile));
        Ok(profile)
    }

    /// One pass under the profiler, to see where nodes run.
    fn profiled_on_zeros(&mut self) -> Result<(), BackendError> {
        let zeros = |id| {
            let value = self.graph.value(id);
            let len = value.shape.iter().product();
            match value.dtype {
                DType::F32 => Ok(Tensor::zeros(value.shape.clone())),
                DType::I64 => Tensor::i64(value.shape.clone(), vec![0; len]),
            }
        };
        let inputs = self.graph.inputs.iter().map(|port| zeros(port.value)).collect::<Result<Vec<Tensor>, _>>()?;
        self.profiled(&inputs).map(drop)
    }
}

/// A placement that is not known, and why.
pub(crate) fn unknown(asked: &str, why: String) -> Placement {
    Placement { asked: asked.to_owned(), entries: Vec::new(), source: why }
}

fn failed(graph: &Graph, error: &ort::Error) -> BackendError {
    BackendError::runtime(NAME, format!("running {}", graph.name), one_line(&error.to_string()))
}

/// A tensor as ONNX Runtime's, without a copy.
pub(crate) fn borrowed(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.data() {
        TensorData::F32(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
        TensorData::I64(data) => TensorRef::from_array_view((shape, data.as_slice()))?.into(),
    })
}

/// A shape of ONNX Runtime's.
pub(crate) fn extents(shape: &[i64]) -> Vec<usize> {
    // ONNX Runtime's results have no negative extents; one would not fit the data and be refused as such.
    shape.iter().map(|&extent| usize::try_from(extent).unwrap_or(usize::MAX)).collect()
}

impl Session for OrtSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let options = RunOptions::new().map_err(|error| failed(&self.graph, &error))?;
        self.pass(inputs, &options)
    }

    fn compile_report(&self) -> CompileReport {
        self.report
    }

    fn numerics(&self) -> Numerics {
        self.numerics
    }

    /// By ONNX Runtime's own account of the nodes that each provider took, where there is one: a node that a provider joins with
    /// others counts as what it was. Where several providers took nodes, and on the processor, from the last profiled pass; if there
    /// was none, from one made now on inputs of zeros.
    fn placement(&mut self) -> Placement {
        if let Some(whole) = assignment::whole(&self.taken, &self.place) {
            return whole;
        }
        if self.placement.is_none()
            && let Err(error) = self.profiled_on_zeros()
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
