//! An engine outside the program as a backend: a child process that is given ONNX files and tensors, and answers in JSON.
//!
//! Any runtime in any language can be compared so, without a line of Rust: PyTorch, ncnn, MNN, LiteRT, a vendor's SDK. An
//! engine is a [`Row`] of `engines.toml`; what is asked of it and what it answers is in docs/PROTOCOL.md, and
//! `scripts/engines/onnxruntime.py` is one.
//!
//! Contract: the engine's own clock times a stage, from tensors in its memory to tensors in its memory; writing and reading
//! the files between us belongs to no stage. The process dies with us. Whatever it does wrong is a
//! [`BackendError`] that says what.

mod engine;
mod names;
mod row;
mod session;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ditbench_backend_api::{
    Backend, BackendError, CompileOptions, DeviceFacts, Missing, OnnxModel, Session, Variant, VersionReport, rayon_pool,
};
use ditbench_graph::Graph;
use ditbench_graph::onnx::{self, Dialect, OnnxError};
use ditbench_graph::weights::{Scheme, Weights};

use engine::Engine;

pub use engine::ANSWERS_FD;
pub use row::{ENGINES, Row, rows, rows_of};
pub use wire::{Operators, VERSION};

/// An engine, started when it is first needed.
pub struct External {
    name: &'static str,
    row: Row,
    quiet: bool,
    engine: Mutex<Option<Arc<Engine>>>,
}

impl External {
    /// The engine of a row. What it prints goes to our standard error.
    pub fn new(row: Row) -> Self {
        // A few bytes for each engine of a process, of which there are a handful: the price of names that all errors share.
        let name = Box::leak(row.name.clone().into_boxed_str());
        Self { name, row, quiet: false, engine: Mutex::new(None) }
    }

    /// The same, for asking what it can do: what it prints is left out.
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Whether it can be used at all.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), BackendError> {
        self.engine().map(drop)
    }

    fn engine(&self) -> Result<Arc<Engine>, BackendError> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(Arc::clone(engine));
        }
        let started = Arc::new(Engine::start(self.name, &self.row, self.quiet)?);
        *engine = Some(Arc::clone(&started));
        Ok(started)
    }
}

impl Backend for External {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> VersionReport {
        let command = format!("engine: {}", self.row.command.join(" "));
        match self.engine() {
            Ok(engine) => VersionReport {
                runtime: engine.description.version.clone(),
                details: [engine.description.details.as_slice(), &[command]].concat(),
            },
            Err(error) => VersionReport { runtime: "not found".to_owned(), details: vec![command, error.to_string()] },
        }
    }

    fn devices(&self) -> Vec<DeviceFacts> {
        match self.engine() {
            Ok(engine) => engine.description.devices.iter().map(wire::Device::facts).collect(),
            Err(error) => vec![DeviceFacts::new("-", &self.row.command.join(" ")).in_state(Err(missing(error)))],
        }
    }

    fn variants(&self, scheme: Scheme) -> Vec<Variant> {
        let Ok(engine) = self.engine() else { return Vec::new() };
        let ways = engine.description.ways.iter().filter(|way| way.precisions.contains(&scheme));
        ways.map(|way| {
            let variant = Variant::new(&way.name, &way.about);
            if way.expands(scheme) { variant.expanding() } else { variant }
        })
        .collect()
    }

    fn dialect(&self, variant: &str) -> Option<Dialect> {
        let engine = self.engine().ok()?;
        engine.description.ways.iter().find(|way| way.name == variant).map(wire::Way::dialect)
    }

    fn environment(&self, threads: usize) -> BTreeMap<String, String> {
        // What most numeric libraries of other languages read when they start.
        let own = ("OMP_NUM_THREADS".to_owned(), threads.to_string());
        rayon_pool(threads).into_iter().chain([own]).collect()
    }

    fn process(&self) -> Option<u32> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.as_ref().map(|engine| engine.pid)
    }

    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError> {
        let engine = self.engine()?;
        let way = self.way(&engine, options)?;
        let cached =
            onnx::write_cached(graph, weights, &way.dialect(), &options.cache).map_err(|error| match error {
                OnnxError::Weights(error) => BackendError::Weights(error),
                error => BackendError::runtime(self.name, format!("writing {} as ONNX", graph.name), error),
            })?;
        Ok(Box::new(session::ExternalSession::of_graph(&engine, graph, &cached, options)?))
    }

    fn onnx_variants(&self) -> Vec<Variant> {
        let Ok(engine) = self.engine() else { return Vec::new() };
        let ways = engine.description.ways.iter().filter(|way| way.files);
        ways.map(|way| Variant::new(&way.name, &way.about)).collect()
    }

    fn compile_onnx(&self, model: &OnnxModel, options: &CompileOptions) -> Result<Box<dyn Session>, BackendError> {
        let engine = self.engine()?;
        let way = self.way(&engine, options)?;
        if !way.files {
            let why = format!("its way of running \"{}\" takes no ONNX files", way.name);
            return Err(BackendError::Unsupported { backend: self.name, why });
        }
        Ok(Box::new(session::ExternalSession::of_file(&engine, model, options)?))
    }
}

impl External {
    /// The way of running that is asked for, where the device is there.
    fn way<'a>(&self, engine: &'a Engine, options: &CompileOptions) -> Result<&'a wire::Way, BackendError> {
        let unsupported = |why: String| Err(BackendError::Unsupported { backend: self.name, why });
        let description = &engine.description;
        let Some(way) = description.ways.iter().find(|way| way.name == options.variant) else {
            let names: Vec<&str> = description.ways.iter().map(|way| way.name.as_str()).collect();
            return unsupported(format!(
                "it has no way of running \"{}\"; it has {}",
                options.variant,
                names.join(", ")
            ));
        };
        match description.devices.iter().find(|device| device.name == options.device) {
            None => {
                let names: Vec<&str> = description.devices.iter().map(|device| device.name.as_str()).collect();
                unsupported(format!("it has no device \"{}\"; it has {}", options.device, names.join(", ")))
            }
            Some(wire::Device { missing: Some(Missing { why, cure }), .. }) => {
                let why = format!("{}: {why}", options.device);
                Err(BackendError::Unavailable { backend: self.name, why, cure: cure.clone() })
            }
            Some(_) => Ok(way),
        }
    }
}

/// Why an engine cannot be used, as a device's state says it.
fn missing(error: BackendError) -> Missing {
    match error {
        BackendError::Unavailable { why, cure, .. } => Missing { why, cure },
        error => Missing {
            why: error.to_string(),
            cure: "Start its command by hand to see what it says, and correct its row in engines.toml".to_owned(),
        },
    }
}
