//! The runtime in this process: one library, one environment, the plugins registered with it.
//!
//! Contract: `ort` panics if it is used before a library is loaded, and allows one environment a process. So everything
//! goes through [`Runtime::get`], which loads a library once, checks it first, and keeps the environment for good. A plugin is
//! registered when it is first wanted, and stays.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ditbench_backend_api::{BackendError, Missing};
use ort::environment::Environment;

use crate::NAME;
use crate::library::{self, CURE, CURE_OF_NAMED, LibraryError};
use crate::plugin::{self, Plugin};
use crate::words::one_line;

/// The library and its environment.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    pub(crate) environment: Environment,
    pub(crate) library: PathBuf,
    /// The library's own version: `1.31.1`.
    pub(crate) version: String,
}

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// Plugins registered with the process's environment, and what became of each.
static REGISTERED: Mutex<Vec<(Plugin, Result<(), Missing>)>> = Mutex::new(Vec::new());

impl Runtime {
    /// The process's runtime, loaded from `library` if there is none yet.
    ///
    /// # Errors
    /// A library that cannot be loaded or is too old; another one than the process has loaded already.
    pub(crate) fn get(library: Result<PathBuf, LibraryError>) -> Result<Self, BackendError> {
        let mut runtime = RUNTIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let library = library.map_err(missing)?;
        if let Some(runtime) = &*runtime {
            let same = same_file(&runtime.library, &library);
            return if same { Ok(runtime.clone()) } else { Err(loaded_already(&runtime.library, &library)) };
        }
        let loaded = Self::load(library)?;
        *runtime = Some(loaded.clone());
        Ok(loaded)
    }

    fn load(library: PathBuf) -> Result<Self, BackendError> {
        let unavailable = |why: String| BackendError::Unavailable { backend: NAME, why, cure: format!("{CURE}.") };
        // A relative path would be taken from the program's folder instead of the working directory.
        let path = std::path::absolute(&library).unwrap_or(library);
        // `ort` loads the library but does not tell its version.
        let version = library::version(&path).map_err(|why| unavailable(format!("{}: {why}", path.display())))?;
        crate::cuda::load_needed(&path).map_err(unavailable)?;
        let environment = ort::init_from(&path)
            .map_err(|error| unavailable(one_line(&error.to_string())))?
            .with_name("ditbench")
            .with_telemetry(false)
            .build()
            .map_err(|error| unavailable(one_line(error.message())))?;
        Ok(Self { environment, library: path, version })
    }

    /// The plugin of that name, if there is one.
    ///
    /// # Errors
    /// What the environment names cannot be read.
    pub(crate) fn plugin(&self, name: &str) -> Result<Option<Plugin>, BackendError> {
        let plugins = plugin::offered().map_err(|why| BackendError::Unsupported { backend: NAME, why })?;
        Ok(plugins.into_iter().find(|plugin| plugin.name == name))
    }

    /// Registers a plugin, unless it is.
    ///
    /// # Errors
    /// Why it cannot be used, and the cure.
    pub(crate) fn register(&self, plugin: &Plugin) -> Result<(), Missing> {
        let mut registered = REGISTERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, state)) = registered.iter().find(|(known, _)| known == plugin) {
            return state.clone();
        }
        let state = plugin.register(&self.environment);
        registered.push((plugin.clone(), state.clone()));
        state
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(a) == real(b)
}

fn loaded_already(loaded: &Path, asked: &Path) -> BackendError {
    BackendError::Unsupported {
        backend: NAME,
        why: format!(
            "this process has loaded {} and cannot load {} as well; start another process for it",
            loaded.display(),
            asked.display()
        ),
    }
}

fn missing(error: LibraryError) -> BackendError {
    let cure = match &error {
        LibraryError::Named { .. } => "Correct --ort-lib (or ORT_DYLIB_PATH), or leave it out.".to_owned(),
        LibraryError::Unusable { .. } => format!("{CURE_OF_NAMED}."),
        _ => format!("{CURE}."),
    };
    let why = match &error {
        LibraryError::NotFound { looked } => format!("its library was not found (looked at {looked})"),
        LibraryError::Named { path } => format!("there is no file {}", path.display()),
        LibraryError::Unusable { path, why } => format!("{}: {why}", path.display()),
        other => other.to_string(),
    };
    BackendError::Unavailable { backend: NAME, why, cure }
}
/// That of the library on which the tests in `tests/` run too.
#[cfg(test)]
pub(crate) fn for_tests() -> Runtime {
    let named = std::env::var_os(crate::LIBRARY_VARIABLE).map(PathBuf::from);
    let cache = library::default_cache().unwrap_or_else(|| std::env::temp_dir().join("ditbench"));
    let found = library::find(named.as_deref(), &cache).or_else(|error| match error {
        LibraryError::Named { .. } => Err(error),
        _ => library::fetch(&cache, &|| false, |_| ()),
    });
    Runtime::get(found).unwrap()
}
