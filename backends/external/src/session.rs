//! A graph that an engine has loaded.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ditbench_backend_api::onnx::Fed;
use ditbench_backend_api::{
    BackendError, CompileOptions, CompileReport, MemoryReport, NodeTime, Numerics, OnnxModel, Placement, Profile,
    Session,
};
use ditbench_graph::onnx::Cached;
use ditbench_graph::{DType, Graph, Tensor, ValueId, tensor_file};

use crate::engine::{Engine, hand_over_folder};
use crate::names::Names;
use crate::wire::{Ask, Compiled, Node, Placed, Port, Ran};

pub(crate) struct ExternalSession {
    engine: Arc<Engine>,
    session: u64,
    of: Of,
    device: String,
    report: CompileReport,
    numerics: Numerics,
    folder: tempfile::TempDir,
    took: Option<Duration>,
}

/// What a session is of.
enum Of {
    /// A graph of ours, with the names of its outputs in the file.
    Graph(Graph, Vec<String>),
    /// A user's own file.
    File(OnnxModel),
}

impl Of {
    fn name(&self) -> &str {
        match self {
            Self::Graph(graph, _) => &graph.name,
            Self::File(model) => &model.name,
        }
    }

    fn inputs(&self) -> Vec<Port<'_>> {
        match self {
            Self::Graph(graph, _) => graph.inputs.iter().map(|input| port(graph, &input.name, input.value)).collect(),
            Self::File(model) => {
                let inputs = model.inputs.iter();
                inputs
                    .map(|input| Port { name: &input.name, dtype: input.dtype.to_string(), shape: Some(&input.shape) })
                    .collect()
            }
        }
    }

    fn outputs(&self) -> Vec<Port<'_>> {
        match self {
            Self::Graph(graph, names) => {
                graph.outputs.iter().zip(names).map(|(output, name)| port(graph, name, output.value)).collect()
            }
            Self::File(model) => {
                let dtype = |port: &ditbench_onnx::model::Port| port.dtype.map(|dtype| dtype.to_string());
                let outputs = model.model.outputs.iter();
                outputs
                    .map(|port| Port { name: &port.name, dtype: dtype(port).unwrap_or_default(), shape: None })
                    .collect()
            }
        }
    }

    /// Checks what a pass is fed. Tensors of a user's file stay in the types that cross the boundary: the engine casts them.
    fn check(&self, inputs: &[Tensor]) -> Result<(), BackendError> {
        match self {
            Self::Graph(graph, _) => BackendError::check_inputs(graph, inputs),
            Self::File(model) => model.feed(inputs).map(|fed: Vec<Fed<'_>>| drop(fed)),
        }
    }

    /// What is wrong with an output's type or shape, in words.
    fn wrong(&self, index: usize, tensor: &Tensor) -> Option<String> {
        let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
        match self {
            Self::Graph(graph, _) => {
                let value = graph.value(graph.outputs.get(index)?.value);
                let fits = tensor.shape() == value.shape && tensor.dtype() == value.dtype;
                (!fits).then(|| format!("{found}, but {:?} {:?} was expected", value.dtype, value.shape))
            }
            Self::File(model) => {
                let dtype = model.model.outputs.get(index)?.dtype?;
                let wanted = if dtype.is_float() { DType::F32 } else { DType::I64 };
                (tensor.dtype() != wanted).then(|| format!("{found}, and {dtype} crosses as {wanted:?}"))
            }
        }
    }

    fn scope(&self, names: Option<&Names<'_>>, node: &str) -> Option<String> {
        match self {
            Self::Graph(..) => names?.scope(node).map(str::to_owned),
            Self::File(model) => model.scopes.of(node).map(str::to_owned),
        }
    }
}

fn port<'a>(graph: &'a Graph, name: &'a str, value: ValueId) -> Port<'a> {
    let value = graph.value(value);
    let dtype = if value.dtype == DType::F32 { "f32" } else { "i64" };
    Port { name, dtype: dtype.to_owned(), shape: Some(&value.shape) }
}

/// What came of one pass.
struct Pass {
    tensors: Vec<Tensor>,
    /// By the engine's clock.
    seconds: f64,
    nodes: Option<Vec<Node>>,
}

impl ExternalSession {
    /// Over a graph of ours, written as a file.
    pub fn of_graph(
        engine: &Arc<Engine>,
        graph: &Graph,
        cached: &Cached,
        options: &CompileOptions,
    ) -> Result<Self, BackendError> {
        let report = CompileReport {
            export_s: if cached.found { 0.0 } else { cached.seconds },
            export_cached: Some(cached.found),
            weight_file_bytes: Some(cached.exported.bytes),
            ..CompileReport::default()
        };
        let of = Of::Graph(graph.clone(), cached.exported.outputs.clone());
        Self::compile(engine, of, &cached.exported.model, report, options)
    }

    /// Over a user's own file.
    pub fn of_file(engine: &Arc<Engine>, model: &OnnxModel, options: &CompileOptions) -> Result<Self, BackendError> {
        Self::compile(engine, Of::File(model.clone()), &model.file, model.report(0.0), options)
    }

    fn compile(
        engine: &Arc<Engine>,
        of: Of,
        model: &Path,
        report: CompileReport,
        options: &CompileOptions,
    ) -> Result<Self, BackendError> {
        let what = format!("loading {} on {}", of.name(), options.device);
        let failed = |why: String| BackendError::runtime(engine.name, what.as_str(), why);
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| failed(error.to_string()));
        let session = engine.new_session();
        let ask = Ask::Compile {
            session,
            name: of.name(),
            model: &absolute(model)?,
            inputs: of.inputs(),
            outputs: of.outputs(),
            way: &options.variant,
            device: &options.device,
            threads: options.threads,
            memory: options.memory,
            cache: &absolute(&options.cache)?,
        };
        let (compiled, waited): (Compiled, f64) = engine.ask(&what, &ask)?;
        let report = CompileReport {
            load_s: engine.own_time(&what, compiled.seconds, waited)?,
            weight_resident_bytes: compiled.resident_bytes,
            ..report
        };
        // What a file asks for is read from it, but an engine may compute an f32 file in f16, and says so.
        let numerics = match &of {
            Of::File(model) => model.numerics().coarser(compiled.numerics),
            Of::Graph(..) => compiled.numerics,
        };
        Ok(Self {
            engine: Arc::clone(engine),
            session,
            of,
            device: options.device.clone(),
            report,
            numerics,
            folder: hand_over_folder().map_err(|error| failed(format!("no folder for its tensors: {error}")))?,
            took: None,
        })
    }

    /// One pass.
    fn pass(&mut self, what: &str, inputs: &[Tensor], profile: bool) -> Result<Pass, BackendError> {
        self.took = None;
        self.of.check(inputs)?;
        let failed = |why: String| BackendError::runtime(self.engine.name, what, why);
        let (given, results) = (self.folder.path().join("inputs"), self.folder.path().join("outputs"));
        let named: Vec<(String, &Tensor)> =
            self.of.inputs().iter().map(|port| port.name.to_owned()).zip(inputs).collect();
        tensor_file::save(&given, &named, HashMap::new())
            .map_err(|why| failed(format!("its inputs cannot be written: {why}")))?;
        // What is there from the pass before must not pass for the result of this one.
        let _ = std::fs::remove_file(&results);
        let ask = Ask::Run { session: self.session, inputs: &given, outputs: &results, profile };
        let (ran, waited): (Ran, f64) = self.engine.ask(what, &ask)?;
        let seconds = self.engine.own_time(what, ran.seconds, waited)?;
        let data = std::fs::read(&results).map_err(|error| failed(format!("it left no results: {error}")))?;
        let mut found = tensor_file::load(&data).map_err(|why| failed(format!("its results cannot be read: {why}")))?;
        let mut tensors = Vec::new();
        for (index, Port { name, .. }) in self.of.outputs().into_iter().enumerate() {
            let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
            names.sort_unstable();
            let names = names.join(", ");
            let tensor =
                found.remove(name).ok_or_else(|| failed(format!("it gave no output \"{name}\", but \"{names}\"")))?;
            if let Some(wrong) = self.of.wrong(index, &tensor) {
                return Err(failed(format!("its output \"{name}\" is {wrong}")));
            }
            tensors.push(tensor);
        }
        Ok(Pass { tensors, seconds, nodes: ran.nodes })
    }
}

impl Session for ExternalSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let pass = self.pass(&format!("running {}", self.of.name()), inputs, false)?;
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
        let what = format!("asking where the nodes of {} ran", self.of.name());
        let asked = self.device.clone();
        match self.engine.ask::<Placed>(&what, &Ask::Placement { session: self.session }) {
            Ok((Placed { entries, source }, _)) => Placement { asked, entries, source },
            Err(error) => Placement { asked, entries: Vec::new(), source: format!("not known: {error}") },
        }
    }

    fn memory(&self) -> MemoryReport {
        let what = format!("asking for the memory of {}", self.of.name());
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
        let what = format!("profiling {}", self.of.name());
        let Pass { seconds: total_s, nodes, .. } = self.pass(&what, inputs, true)?;
        let Some(nodes) = nodes else {
            let why = "it gives no times of nodes".to_owned();
            return Err(BackendError::Unsupported { backend: self.engine.name, why });
        };
        if let Some(wrong) = nodes.iter().find(|node| !(node.seconds >= 0.0 && node.start_s.is_finite())) {
            let why = format!("node \"{}\" began at {} s and took {} s", wrong.node, wrong.start_s, wrong.seconds);
            return Err(BackendError::runtime(self.engine.name, what, why));
        }
        let names = match &self.of {
            Of::Graph(graph, _) => Some(Names::of(graph)),
            Of::File(_) => None,
        };
        let nodes = nodes.into_iter().map(|node| NodeTime {
            scope: self.of.scope(names.as_ref(), &node.node),
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
