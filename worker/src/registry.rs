//! The backends that this build has. The one place that names them all.

use std::collections::BTreeMap;
use std::path::Path;

use ditbench_backend_api::{Backend, DeviceReport, Variant};
use ditbench_graph::weights::Scheme;
use serde::{Deserialize, Serialize};

/// Names that a plan may use, whether or not this build has them.
pub const NAMES: [&str; 5] = ["candle", "tract", "ort", "reference", "scripted"];

/// Names that are listed to users: the scripted one is for trying a gate, and is listed where there is a script.
pub fn listed() -> impl Iterator<Item = &'static str> {
    let scripted = std::env::var_os(ditbench_scripted::SCRIPT).is_some();
    NAMES.into_iter().filter(move |name| *name != ditbench_scripted::NAME || scripted)
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
        _ => Err(format!("this build of ditbench has no {name}: rebuild with `--features {name}`")),
    }
}

/// What a backend can do on a machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackendFacts {
    /// Its devices.
    pub devices: Vec<DeviceReport>,
    /// Its ways of running each precision, by the precision's name.
    pub variants: BTreeMap<String, Vec<Variant>>,
}

/// What a backend of this build can do on this machine.
///
/// # Errors
/// This build has not got it, and how to get it.
pub fn facts_of(name: &str, ort_library: Option<&Path>) -> Result<BackendFacts, String> {
    let backend = backend_with(name, ort_library)?;
    let variants = Scheme::ALL.map(|scheme| (scheme.name().to_owned(), backend.variants(scheme)));
    Ok(BackendFacts { devices: backend.devices(), variants: variants.into_iter().collect() })
}
