//! The backends that this build has, and the engines outside it that the user has. The one place that names them all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use ditbench_backend_api::{Backend, DeviceFacts, SourceKind, Variant};
use ditbench_external::External;
use ditbench_graph::weights::Scheme;
use ditbench_protocol::{EngineRow, LaunchSpec};
use serde::{Deserialize, Serialize};

pub use ditbench_external::{ENGINES, Operators};

/// Names of our own backends, which a plan may use whether or not this build has them.
pub const NAMES: [&str; 5] = ["candle", "tract", "ort", "reference", "scripted"];

/// Our own backends' names as they are listed to users: the scripted one is for trying a gate, and is listed where there is a
/// script.
pub fn listed() -> impl Iterator<Item = &'static str> {
    let scripted = std::env::var_os(ditbench_scripted::SCRIPT).is_some();
    NAMES.into_iter().filter(move |name| *name != ditbench_scripted::NAME || scripted)
}

/// The engines outside the program: the rows of engines.toml, read once.
///
/// # Errors
/// A mistake in that file.
pub fn engines() -> Result<&'static [EngineRow], String> {
    static ENGINES: OnceLock<Result<Vec<EngineRow>, String>> = OnceLock::new();
    let rows = ENGINES.get_or_init(|| ditbench_external::rows(&NAMES));
    rows.as_deref().map_err(Clone::clone)
}

/// The row of an engine outside the program; `None` for a backend of ours.
///
/// # Errors
/// There is neither an engine nor a backend of that name; a mistake in engines.toml.
pub fn engine(name: &str) -> Result<Option<&'static EngineRow>, String> {
    if NAMES.contains(&name) {
        return Ok(None);
    }
    let rows = engines()?;
    let names = || listed().chain(rows.iter().map(|row| row.name.as_str())).collect::<Vec<_>>().join(", ");
    rows.iter().find(|row| row.name == name).map(Some).ok_or_else(|| {
        format!(
            "unknown backend \"{name}\": choose from {}; an engine outside ditbench is a row of engines.toml, or of the file that --engines names",
            names()
        )
    })
}

/// The backend that an order names.
///
/// # Errors
/// As [`backend`].
pub fn of(spec: &LaunchSpec) -> Result<Box<dyn Backend>, String> {
    match &spec.engine {
        Some(row) => Ok(Box::new(External::new(row.clone()))),
        None => backend(&spec.backend),
    }
}

/// The backend of that name.
///
/// # Errors
/// Why this build has not got it, and how to get it.
pub fn backend(name: &str) -> Result<Box<dyn Backend>, String> {
    backend_with(name, None)
}

/// The backend of that name, ONNX Runtime with this library; without one it looks where it usually is.
///
/// # Errors
/// As [`backend`].
pub fn backend_with(name: &str, ort_library: Option<&Path>) -> Result<Box<dyn Backend>, String> {
    #[cfg(not(feature = "ort"))]
    let _ = ort_library;
    match name {
        "reference" => Ok(Box::new(ditbench_reference::Reference)),
        "scripted" => Ok(Box::new(ditbench_scripted::Scripted)),
        #[cfg(feature = "candle")]
        "candle" => Ok(Box::new(ditbench_candle::Candle)),
        #[cfg(feature = "tract")]
        "tract" => Ok(Box::new(ditbench_tract::Tract)),
        #[cfg(feature = "ort")]
        "ort" => Ok(Box::new(match ort_library {
            Some(library) => ditbench_ort::OrtBackend::with_library(library),
            None => ditbench_ort::OrtBackend::new(),
        })),
        _ => match engine(name)? {
            Some(row) => Ok(Box::new(External::new(row.clone()).quiet())),
            None => Err(format!("this build of ditbench has no {name}: rebuild with `--features {name}`")),
        },
    }
}

/// What stands in the place of a precision for the ways of running a user's own ONNX file.
pub const OF_FILES: &str = "onnx";

/// What a backend can do on a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackendFacts {
    /// Its devices.
    pub devices: Vec<DeviceFacts>,
    /// What it takes stages from.
    #[serde(default = "graphs_alone")]
    pub sources: Vec<SourceKind>,
    /// Its ways of running each precision, by the precision's name, and of running a user's file under [`OF_FILES`].
    pub variants: BTreeMap<String, Vec<Variant>>,
}

/// What every backend takes, and programs of before it was asked.
fn graphs_alone() -> Vec<SourceKind> {
    vec![SourceKind::Graph]
}

/// What a backend of this build can do on this machine.
///
/// # Errors
/// This build has not got it, and how to get it.
pub fn facts_of(name: &str, ort_library: Option<&Path>) -> Result<BackendFacts, String> {
    let backend = match engine(name)? {
        // What it cannot say of itself for want of something is the reason why it cannot run, not a lack of ways.
        Some(row) => {
            let external = External::new(row.clone()).quiet();
            external.check().map_err(|error| error.to_string())?;
            Box::new(external)
        }
        None => backend_with(name, ort_library)?,
    };
    let variants = Scheme::ALL.map(|scheme| (scheme.name().to_owned(), backend.variants(scheme)));
    let sources = SourceKind::ALL.into_iter().filter(|source| backend.takes(*source)).collect();
    let of_files = (OF_FILES.to_owned(), backend.onnx_variants());
    let variants = variants.into_iter().chain([of_files]).collect();
    Ok(BackendFacts { devices: backend.devices(), sources, variants })
}
