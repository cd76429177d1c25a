//! A graph that an engine has loaded.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ditbench_backend_api::{
    BackendError, CompileOptions, CompileReport, MemoryReport, NodeTime, Numerics, Placement, Profile, Session,
};
use ditbench_graph::onnx::Cached;
use ditbench_graph::{Graph, Tensor, tensor_file};

use crate::engine::{Engine, hand_over_folder};
use crate::names::Names;
use crate::wire::{Ask, Compiled, Node, Placed, Port, Ran};

pub(crate) struct ExternalSession {
    engine: Arc<Engine>,
    session: u64,
    graph: Graph,
    /// Names of the outputs in the file, in the graph's order.
    outputs: Vec<String>,
    device: String,
    report: CompileReport,
    numerics: Numerics,
    folder: tempfile::TempDir,
    took: Option<Duration>,
}

/// What came of one pass.
struct Pass {
    tensors: Vec<Tensor>,
    /// By the engine's clock.
    seconds: f64,
    nodes: Option<Vec<Node>>,
}

impl ExternalSession {
    pub fn compile(
        engine: &Arc<Engine>,
        graph: &Graph,
        cached: &Cached,
        options: &CompileOptions,
    ) -> Result<Self, BackendError> {
        let what = format!("loading {} on {}", graph.name, options.device);
        let failed = |why: String| BackendError::runtime(engine.name, what.as_str(), why);
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| failed(error.to_string()));
        let port = |name, value| {
            let value = graph.value(value);
            Port { name, dtype: value.dtype, shape: &value.shape }
        };
        let outputs = graph.outputs.iter().zip(&cached.exported.outputs);
        let session = engine.new_session();
        let ask = Ask::Compile {
            session,
            name: &graph.name,
            model: &absolute(&cached.exported.model)?,
            inputs: graph.inputs.iter().map(|input| port(input.name.as_str(), input.value)).collect(),
            outputs: outputs.map(|(output, name)| port(name.as_str(), output.value)).collect(),
            way: &options.variant,
            device: &options.device,
            threads: options.threads,
            memory: options.memory,
            cache: &absolute(&options.cache)?,
        };
        let (compiled, waited): (Compiled, f64) = engine.ask(&what, &ask)?;
        let report = CompileReport {
            export_s: if cached.found { 0.0 } else { cached.seconds },
            export_cached: Some(cached.found),
            load_s: engine.own_time(&what, compiled.seconds, waited)?,
            weight_file_bytes: Some(cached.exported.bytes),
            weight_resident_bytes: compiled.resident_bytes,
        };
        Ok(Self {
            engine: Arc::clone(engine),
            session,
            graph: graph.clone(),
            outputs: cached.exported.outputs.clone(),
            device: options.device.clone(),
            report,
            numerics: compiled.numerics,
            folder: hand_over_folder().map_err(|error| failed(format!("no folder for its tensors: {error}")))?,
            took: None,
        })
    }

    /// One pass.
    fn pass(&mut self, what: &str, inputs: &[Tensor], profile: bool) -> Result<Pass, BackendError> {
        self.took = None;
        BackendError::check_inputs(&self.graph, inputs)?;
        let failed = |why: String| BackendError::runtime(self.engine.name, what, why);
        let (given, results) = (self.folder.path().join("inputs"), self.folder.path().join("outputs"));
        let named: Vec<(String, &Tensor)> =
            self.graph.inputs.iter().map(|port| port.name.clone()).zip(inputs).collect();
        tensor_file::save(&given, &named, HashMap::new())
            .map_err(|why| failed(format!("its inputs cannot be written: {why}")))?;
        // What is there from the pass before must not pass for the result of this one.
        let _ = std::fs::remove_file(&results);
        let ask = Ask::Run { session: self.session, inputs: &given, outputs: &results, profile };
        let (ran, waited): (Ran, f64) = self.engine.ask(what, &ask)?;
        let seconds = self.engine.own_time(what, ran.seconds, waited)?;
        let data = std::fs::read(&results).map_err(|error| failed(format!("it left no results: {error}")))?;
        let mut found = tensor_file::load(&data).map_err(|why| failed(format!("its results cannot be read: {why}")))?;
        let mut tensors = Vec::with_capacity(self.outputs.len());
        for (port, name) in self.graph.outputs.iter().zip(&self.outputs) {
            let value = self.graph.value(port.value);
            let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
            names.sort_unstable();
            let names = names.join(", ");
            let tensor =
                found.remove(name).ok_or_else(|| failed(format!("it gave no output \"{name}\", but \"{names}\"")))?;
            if tensor.shape() != value.shape || tensor.dtype() != value.dtype {
                return Err(failed(format!(
                    "its output \"{name}\" is {:?} {:?}, and was to be {:?} {:?}",
                    tensor.dtype(),
                    tensor.shape(),
                    value.dtype,
                    value.shape
                )));
            }
            tensors.push(tensor);
        }
        Ok(Pass { tensors, seconds, nodes: ran.nodes })
    }
}

impl Session for ExternalSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let pass = self.pass(&format!("running {}", self.graph.name), inputs, false)?;
        self.took = Some(Duration::from_secs_f64(pass.seconds));
        Ok(pass.tensors)
    }

    fn took(&self) -> Option<Duration> {
        self.took
    }

    fn compile_report(&self) -> CompileReport {
        self.report
    }

    fn numerics(&self) -> Numerics {
        self.numerics
    }

    fn placement(&mut self) -> Placement {
        let what = format!("asking where the nodes of {} ran", self.graph.name);
        let asked = self.device.clone();
        match self.engine.ask::<Placed>(&what, &Ask::Placement { session: self.session }) {
            Ok((Placed { entries, source }, _)) => Placement { asked, entries, source },
            Err(error) => Placement { asked, entries: Vec::new(), source: format!("not known: {error}") },
        }
    }

    fn memory(&self) -> MemoryReport {
        let what = format!("asking for the memory of {}", self.graph.name);
        match self.engine.ask(&what, &Ask::Memory { session: self.session }) {
            Ok((report, _)) => report,
            // What an engine does not know is not known.
            Err(BackendError::Unsupported { .. }) => MemoryReport::default(),
            Err(error) => {
                // The launch's log has it.
                let _ = writeln!(std::io::stderr(), "{what}: {error}");
                MemoryReport::default()
            }
        }
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let what = format!("profiling {}", self.graph.name);
        let Pass { seconds: total_s, nodes, .. } = self.pass(&what, inputs, true)?;
        let Some(nodes) = nodes else {
            let why = "it gives no times of nodes".to_owned();
            return Err(BackendError::Unsupported { backend: self.engine.name, why });
        };
        if let Some(wrong) = nodes.iter().find(|node| !(node.seconds >= 0.0 && node.start_s.is_finite())) {
            let why = format!("node \"{}\" began at {} s and took {} s", wrong.node, wrong.start_s, wrong.seconds);
            return Err(BackendError::runtime(self.engine.name, what, why));
        }
        let names = Names::of(&self.graph);
        let nodes = nodes.into_iter().map(|node| NodeTime {
            scope: names.scope(&node.node).map(str::to_owned),
            op: node.op,
            device: node.device,
            start_s: node.start_s,
            duration_s: node.seconds,
        });
        Ok(Profile { nodes: nodes.collect(), total_s })
    }
}

impl Drop for ExternalSession {
    fn drop(&mut self) {
        self.engine.close(self.session);
    }
}
