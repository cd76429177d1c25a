//! What every command is told of its surroundings: the cache, where libraries of backends are, and which engines there are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ditbench_backend_api::{Backend, Named, PrepareOptions, Ready};
use ditbench_worker::registry::{self, BackendFacts};

use crate::naming::Libraries;
use crate::provider::Provider;

/// What all commands share.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Common {
    /// Folder for prepared weights, exported models and the ONNX Runtime library [default: the user's cache folder]
    #[arg(long, global = true, env = "DITBENCH_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Libraries by backend.
    #[command(flatten)]
    pub libraries: Libraries,
    /// The engines outside ditbench that backends may be named after (TOML) [default: engines.toml here, else in the
    /// user's config folder]
    #[arg(long, global = true, env = "DITBENCH_ENGINES", value_name = "FILE")]
    pub engines: Option<PathBuf>,
    /// An execution provider of ONNX Runtime's that is a library of its own, and what it is told: once for each; `ditbench setup`
    /// fetches those that are published
    #[arg(long = "ep", global = true, value_name = "NAME=LIBRARY[,KEY=VALUE…]")]
    pub ep: Vec<Provider>,
}

impl Common {
    /// The cache, the libraries and the providers as words of a command line, each flag and its value: what another run of this program, or of
    /// another build, must be told to find the same. Engines are found by their variable.
    pub fn words(&self) -> Vec<(String, OsString)> {
        let cache = self.cache.iter().map(|cache| ("--cache".to_owned(), cache.clone().into_os_string()));
        let ep = self.ep.iter().map(|provider| ("--ep".to_owned(), provider.to_string().into()));
        cache.chain(self.libraries.words()).chain(ep).collect()
    }

    /// Execution providers, as backends are told of them.
    pub fn providers(&self) -> Vec<String> {
        self.ep.iter().map(ToString::to_string).collect()
    }

    /// The same, with the providers that a plan names where the command line names none.
    #[must_use]
    pub fn with_providers(&self, of_plan: Option<&[Provider]>) -> Self {
        let ep = if self.ep.is_empty() { of_plan.unwrap_or_default().to_vec() } else { self.ep.clone() };
        Self { ep, ..self.clone() }
    }

    /// A backend with what it needs, fetched where that is missing.
    ///
    /// # Errors
    /// It cannot be used, and what to do.
    pub fn ready(&self, backend: &str, say: &dyn Fn(String)) -> Result<Box<dyn Backend>, String> {
        let mut made = registry::backend(backend)?;
        let library = self.libraries.of(backend).map(Path::to_path_buf);
        made.prepare(&PrepareOptions {
            named: &Named { library, folder: None, providers: self.providers() },
            cache: &|| crate::paths::cache(self.cache.as_ref()).map_err(|error| crate::text::causes(&error)),
            fetch: true,
            say,
            stop: &ditbench_worker::interrupt::requested,
        })?;
        Ok(made)
    }

    /// Makes a backend ready on this machine with what was named for it: what it can do, and what was found.
    ///
    /// # Errors
    /// It cannot be used, and what to do.
    pub fn prepare(&self, backend: &str, fetch: bool, say: &dyn Fn(String)) -> Result<(BackendFacts, Ready), String> {
        let library = self.libraries.of(backend).map(Path::to_path_buf);
        let options = PrepareOptions {
            named: &Named { library, folder: None, providers: self.providers() },
            cache: &|| crate::paths::cache(self.cache.as_ref()).map_err(|error| crate::text::causes(&error)),
            fetch,
            say,
            stop: &ditbench_worker::interrupt::requested,
        };
        registry::prepare(backend, &options)
    }
}

/// The file that `--engines` names. It is wanted before the rest of the command line is read, because the names of backends
/// are checked while it is.
pub fn engines_file(words: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--engines" {
            return words.next().map(PathBuf::from);
        }
        if let Some(file) = word.to_str().and_then(|word| word.strip_prefix("--engines=")) {
            return Some(PathBuf::from(file));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_file_is_found_wherever_it_stands() {
        let file = |line: &str| engines_file(line.split(' ').map(OsString::from));
        for line in ["run --engines a.toml --backend x", "--engines=a.toml run", "run --backend x --engines a.toml"] {
            assert_eq!(file(line), Some("a.toml".into()), "{line}");
        }
        assert_eq!((file("run --backend x"), file("run --engines")), (None, None));
    }
}
