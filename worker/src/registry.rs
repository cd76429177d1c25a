//! The backends that this build has, and the engines outside it that the user has. The one place that names them all.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use ditbench_backend_api::{Backend, Costs, DeviceFacts, PrepareOptions, Ready, SourceKind, Variant, VersionReport};
use ditbench_external::External;
use ditbench_graph::weights::Scheme;
use ditbench_protocol::{EngineRow, LaunchSpec};
use serde::{Deserialize, Serialize};

pub use ditbench_external::{ENGINES, Operators};

/// Names of our own backends, which a plan may use whether or not this build has them.
pub const NAMES: [&str; 5] = ["candle", "tract", "ort", "reference", "scripted"];

/// Those that a plan runs on which names none. One image is made on the first.
pub const USUAL: [&str; 3] = ["ort", "candle", "tract"];

/// Those that a plan runs a user's own model on which names none, with the way where one is meant: without optimisations
/// ONNX Runtime is what others are held against.
pub const USUAL_OF_FILES: [(&str, Option<&str>); 3] = [("ort", Some("plain")), ("ort", None), ("tract", None)];

/// Those that need nothing beside the program, and compute: the quickest to be had on a new machine first.
pub const ALONE: [&str; 3] = ["candle", "tract", "reference"];

/// That against which others are held: it computes in 64 bits, slowly.
pub const YARDSTICK: &str = "reference";

/// A flag by which a user names something for a backend, whether or not this build has it: a phone's program may.
#[derive(Clone, Copy, Debug)]
pub struct NamingFlag {
    /// The backend.
    pub backend: &'static str,
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// The environment variable that does the same.
    pub variable: Option<&'static str>,
    /// What stands for its value in the help.
    pub value: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// Libraries to use instead of those that are found or fetched.
pub const LIBRARY_FLAGS: [NamingFlag; 1] = [NamingFlag {
    backend: "ort",
    flag: "ort-lib",
    variable: Some("ORT_DYLIB_PATH"),
    value: "FILE",
    help: "The ONNX Runtime library to use, instead of fetching one",
}];

/// Folders of libraries to carry to a phone.
pub const FOLDER_FLAGS: [NamingFlag; 1] = [NamingFlag {
    backend: "ort",
    flag: "ort-dir",
    variable: None,
    value: "DIR",
    help: "Folder of ONNX Runtime's libraries for the phone: libonnxruntime.so, and those that --ep names",
}];

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

/// The backend of that name. It looks for what it needs where that usually is, unless it is prepared.
///
/// # Errors
/// Why this build has not got it, and how to get it.
pub fn backend(name: &str) -> Result<Box<dyn Backend>, String> {
    match name {
        "reference" => Ok(Box::new(ditbench_reference::Reference)),
        "scripted" => Ok(Box::new(ditbench_scripted::Scripted)),
        #[cfg(feature = "candle")]
        "candle" => Ok(Box::new(ditbench_candle::Candle)),
        #[cfg(feature = "tract")]
        "tract" => Ok(Box::new(ditbench_tract::Tract)),
        #[cfg(feature = "ort")]
        "ort" => Ok(Box::new(ditbench_ort::OrtBackend::new())),
        _ => match engine(name)? {
            Some(row) => Ok(Box::new(External::new(row.clone()).quiet())),
            None => Err(format!("this build of ditbench has no {name}: rebuild with `--features {name}`")),
        },
    }
}

/// What stands in the place of a precision for the ways of running a user's own ONNX file.
pub const OF_FILES: &str = "onnx";

/// Sets what `environment` names, where it is not set: the first thing that a program does which may load a backend's library. A worker
/// and an agent need it as much as a host, on a phone too.
///
/// # Safety
/// No other thread may run yet.
pub unsafe fn set_environment() {
    for (variable, value) in environment() {
        if std::env::var_os(variable).is_none() {
            // SAFETY: the caller says that there is no other thread.
            unsafe { std::env::set_var(variable, value) };
        }
    }
}

/// Environment variables that backends' libraries read when they are loaded.
fn environment() -> &'static [(&'static str, &'static str)] {
    #[cfg(feature = "ort")]
    return &ditbench_ort::ENVIRONMENT;
    #[cfg(not(feature = "ort"))]
    &[]
}

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
    /// What to assume of it where nothing is measured yet.
    #[serde(default)]
    pub costs: Costs,
    /// Whether it is there for others to be held against.
    #[serde(default)]
    pub is_reference: bool,
    /// Its version, and its library's; empty from programs of before it was asked.
    #[serde(default)]
    pub version: VersionReport,
}

/// What every backend takes, and programs of before it was asked.
fn graphs_alone() -> Vec<SourceKind> {
    vec![SourceKind::Graph]
}

impl BackendFacts {
    /// What a backend says of itself.
    pub fn of(backend: &dyn Backend) -> Self {
        let variants = Scheme::ALL.map(|scheme| (scheme.name().to_owned(), backend.variants(scheme)));
        Self {
            devices: backend.devices(),
            sources: SourceKind::ALL.into_iter().filter(|source| backend.takes(*source)).collect(),
            variants: variants.into_iter().chain([(OF_FILES.to_owned(), backend.onnx_variants())]).collect(),
            costs: backend.costs(),
            is_reference: backend.is_reference(),
            version: backend.version(),
        }
    }
}

/// What a backend of this build can do on this machine, with what lies where it usually does.
///
/// # Errors
/// This build has not got it, and how to get it.
pub fn facts_of(name: &str) -> Result<BackendFacts, String> {
    Ok(BackendFacts::of(startable(name)?.as_ref()))
}

/// Makes a backend of this build ready on this machine: what it can do with what was found, and what that was.
///
/// # Errors
/// This build has not got it; it lacks something; and how to get it.
pub fn prepare(name: &str, options: &PrepareOptions) -> Result<(BackendFacts, Ready), String> {
    let mut backend = startable(name)?;
    let ready = backend.prepare(options)?;
    Ok((BackendFacts::of(backend.as_ref()), ready))
}

/// The backend of that name; an engine, started. What it cannot say of itself for want of something is the reason why it
/// cannot run, not a lack of ways.
fn startable(name: &str) -> Result<Box<dyn Backend>, String> {
    let Some(row) = engine(name)? else { return backend(name) };
    let external = External::new(row.clone()).quiet();
    external.check().map_err(|error| error.to_string())?;
    Ok(Box::new(external))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_names_backends_that_there_are() {
        let flags = LIBRARY_FLAGS.iter().chain(&FOLDER_FLAGS).map(|flag| flag.backend);
        let of_files = USUAL_OF_FILES.map(|(name, _)| name);
        for name in USUAL.into_iter().chain(of_files).chain(ALONE).chain(flags) {
            assert!(NAMES.contains(&name), "{name}");
        }
    }

    #[test]
    fn what_needs_nothing_is_ready_at_once() {
        let options = PrepareOptions {
            named: &Default::default(),
            cache: &|| panic!("no folder is needed"),
            fetch: false,
            say: &|_| (),
            stop: &|| false,
        };
        for name in ALONE.into_iter().filter(|name| backend(name).is_ok()) {
            let (facts, ready) = prepare(name, &options).unwrap();
            assert_eq!(ready, Ready::default(), "{name}");
            assert!(facts.devices.iter().any(|device| device.state.is_ok()), "{name}");
            assert!(backend(name).unwrap().carry(&Default::default()).unwrap().is_none(), "{name}");
            let environment = backend(name).unwrap().environment(3);
            let mut threads = environment.iter().filter(|(variable, _)| variable.ends_with("_NUM_THREADS")).peekable();
            assert!(threads.peek().is_some() && threads.all(|(_, value)| value == "3"), "{name}: {environment:?}");
        }
        assert!(facts_of("reference").unwrap().is_reference);
        let error = prepare("pytorch", &options).unwrap_err();
        assert!(error.contains("unknown backend") && error.contains("candle"), "{error}");
    }
}
