//! Execution providers that come as libraries of their own: named with `--ep`, in a plan or in [`VARIABLE`], or set up in the
//! cache by `ditbench setup`.
//!
//! Contract: a plugin's library is loaded only when its devices are asked for, so that no cell runs in a process that holds another
//! device's plugin.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use crate::provider::{self, CUDA, SETUPS, TF32};
use crate::words::one_line;
use ditbench_backend_api::Missing;
use ort::environment::Environment;
use ort::memory::DeviceType;

/// The environment variable that names plugins, several separated by `;`.
pub const VARIABLE: &str = "DITBENCH_ORT_EP";

/// One plugin: `NAME=LIBRARY[,key=value…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// The device's name: `webgpu`.
    pub(crate) name: String,
    /// Its library.
    pub(crate) path: PathBuf,
    /// What its provider is told beside what it is always told.
    options: Vec<(String, String)>,
}

impl FromStr for Plugin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" names no provider: write NAME=LIBRARY, then ,key=value for each option");
        let mut pairs = text.split(',').map(|pair| pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()));
        let (name, path) = pairs.next().flatten().filter(|(_, path)| !path.trim().is_empty()).ok_or_else(wrong)?;
        let options = pairs
            .map(|pair| pair.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).ok_or_else(wrong))
            .collect::<Result<Vec<_>, _>>()?;
        let path = PathBuf::from(path.trim());
        // Workers may run in another folder.
        let path = std::path::absolute(&path).unwrap_or(path);
        Ok(Self { name: name.trim().to_lowercase(), path, options })
    }
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.path.display())?;
        self.options.iter().try_for_each(|(key, value)| write!(f, ",{key}={value}"))
    }
}

/// What [`offer`] was given.
static OFFERED: Mutex<Option<Vec<Plugin>>> = Mutex::new(None);

/// Tells this process which plugins there are, instead of what the environment says.
pub(crate) fn offer(plugins: Vec<Plugin>) {
    *OFFERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(plugins);
}

/// The plugins that this process may use.
///
/// # Errors
/// What of the environment cannot be read, and how it is written.
pub(crate) fn offered() -> Result<Vec<Plugin>, String> {
    let offered = OFFERED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match &*offered {
        Some(plugins) => Ok(plugins.clone()),
        None => of_environment(),
    }
}

fn of_environment() -> Result<Vec<Plugin>, String> {
    parse(&std::env::var(VARIABLE).unwrap_or_default())
}

fn parse(text: &str) -> Result<Vec<Plugin>, String> {
    let entries = text.split(';').filter(|entry| !entry.trim().is_empty());
    entries.map(|entry| entry.trim().parse().map_err(|why| format!("{VARIABLE}: {why}"))).collect()
}

/// Plugins as the environment names them.
pub(crate) fn words(plugins: &[Plugin]) -> String {
    plugins.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

/// The plugins that there are: those named, those of the environment, those set up in the cache; of one name the first.
///
/// # Errors
/// What of them cannot be read, and how it is written.
pub(crate) fn all(named: &[String], cache: &Path) -> Result<Vec<Plugin>, String> {
    let named = named.iter().map(|text| text.parse()).collect::<Result<Vec<Plugin>, String>>()?;
    let set_up = SETUPS.iter().filter_map(|name| set_up(name, cache));
    let mut plugins: Vec<Plugin> = Vec::new();
    for plugin in named.into_iter().chain(of_environment()?).chain(set_up) {
        if plugins.iter().all(|known| known.name != plugin.name) {
            plugins.push(plugin);
        }
    }
    Ok(plugins)
}

/// A plugin that `ditbench setup` has put into the cache. CUDA's is no plugin but part of a library of ONNX Runtime's.
fn set_up(name: &str, cache: &Path) -> Option<Plugin> {
    if name == CUDA {
        return None;
    }
    let package = provider::packages(name).ok()?.into_iter().next()?;
    let path = package.is_in(cache).then(|| package.library(cache))?;
    Some(Plugin { name: name.to_owned(), path, options: Vec::new() })
}

impl Plugin {
    /// The provider's registered name.
    pub(crate) fn provider(&self) -> &str {
        provider::registered(&self.name)
    }

    /// What the provider is told on a device of this kind, for so many threads.
    pub(crate) fn told(&self, hardware: DeviceType, threads: usize) -> Vec<(String, String)> {
        let own = |key: &str| self.options.iter().any(|(known, _)| known == key);
        let defaults = provider::defaults(&self.name, &self.path, hardware, threads);
        self.options.iter().cloned().chain(defaults.into_iter().filter(|(key, _)| !own(key))).collect()
    }

    /// Options as sessions take them: keys with the provider's name before them.
    pub(crate) fn options(&self, provider: &str, hardware: DeviceType, threads: usize) -> Vec<(String, String)> {
        self.told(hardware, threads).into_iter().map(|(key, value)| (format!("{provider}.{key}"), value)).collect()
    }

    /// Entries of a session's configuration: CUDA's plugin reads TF32 there, the built-in provider among its options.
    pub(crate) fn entries(&self, hardware: DeviceType) -> Vec<(String, String)> {
        let told = self.told(hardware, 1).into_iter();
        told.filter(|(key, _)| self.name == CUDA && key == TF32)
            .map(|(key, value)| (format!("ep.{CUDA}.{key}"), value))
            .collect()
    }

    /// Loads the library and registers the provider. Once a process.
    pub(crate) fn register(&self, environment: &Environment) -> Result<(), Missing> {
        let cure = || {
            let setup = format!("run `ditbench setup {}`", self.name);
            let setup = if SETUPS.contains(&self.name.as_str()) { format!(", or {setup}") } else { String::new() };
            format!("Correct --ep {}=LIBRARY{setup}", self.name)
        };
        if !self.path.is_file() {
            return Err(Missing { why: format!("there is no file {}", self.path.display()), cure: cure() });
        }
        let count = |environment: &Environment| environment.devices().count();
        let before = count(environment);
        environment
            .register_ep_library(self.provider(), &self.path)
            .map_err(|error| Missing { why: one_line(error.message()), cure: cure() })?;
        if count(environment) > before {
            return Ok(());
        }
        let why = format!("its library {} was loaded, but it offers no device here", self.path.display());
        Err(Missing { why, cure: "Install the device's driver; the provider's manual says which".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(plugin: &Plugin, hardware: DeviceType, key: &str) -> Option<String> {
        plugin.told(hardware, 1).into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    #[test]
    fn plugins_are_read_with_their_options_and_written_as_they_are_read() {
        let plugins = parse("webgpu=/a/b.so; QNN=/c.so,backend_path=/d.so,soc_model=69;").unwrap();
        assert_eq!(plugins.len(), 2);
        assert_eq!((plugins[0].name.as_str(), plugins[0].provider()), ("webgpu", "WebGpuExecutionProvider"));
        assert_eq!(plugins[1].to_string(), "qnn=/c.so,backend_path=/d.so,soc_model=69");
        assert_eq!(plugins[1].to_string().parse(), Ok(plugins[1].clone()));
        assert!(parse("").unwrap().is_empty());
        for wrong in ["webgpu", "=x", "webgpu=", "qnn=/c.so,backend"] {
            assert!(parse(wrong).unwrap_err().contains("NAME=LIBRARY"), "{wrong}");
        }
        let relative: Plugin = "webgpu=here.so".parse().unwrap();
        assert!(relative.path.is_absolute());
    }

    #[test]
    fn what_the_user_says_wins_over_what_a_provider_is_always_told() {
        let told = |text: &str, key: &str| option(&text.parse().unwrap(), DeviceType::NPU, key);
        assert_eq!(told("qnn=/c.so", "enable_htp_fp16_precision").as_deref(), Some("1"));
        assert_eq!(told("qnn=/c.so,enable_htp_fp16_precision=0", "enable_htp_fp16_precision").as_deref(), Some("0"));
        let options = "qnn=/c.so,soc_model=57".parse::<Plugin>().unwrap().options("P", DeviceType::NPU, 1);
        let socs: Vec<_> = options.iter().filter(|(key, _)| key == "P.soc_model").collect();
        assert_eq!(socs, [&("P.soc_model".to_owned(), "57".to_owned())]);
    }

    #[test]
    fn cuda_computes_f32_in_f32_unless_told_otherwise() {
        for (text, value) in [("cuda=/c.so,device_id=1", "0"), ("cuda=/c.so,device_id=1,use_tf32=1", "1")] {
            let plugin: Plugin = text.parse().unwrap();
            assert_eq!(option(&plugin, DeviceType::GPU, "use_tf32").as_deref(), Some(value));
            assert_eq!(plugin.entries(DeviceType::GPU), [("ep.cuda.use_tf32".to_owned(), value.to_owned())]);
        }
        assert!("webgpu=/a.so".parse::<Plugin>().unwrap().entries(DeviceType::GPU).is_empty());
    }

    #[test]
    fn named_plugins_win_over_those_that_are_set_up() {
        let cache = tempfile::tempdir().unwrap();
        let Ok(packages) = provider::packages("webgpu") else { return };
        let library = packages[0].library(cache.path());
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        let file = std::fs::File::create(&library).unwrap();
        assert!(set_up("webgpu", cache.path()).is_none(), "half of it");
        file.set_len(packages[0].wheel.member_bytes).unwrap();
        assert_eq!(set_up("webgpu", cache.path()).unwrap().path, library);
        let named: Plugin = "webgpu=/mine.so".parse().unwrap();
        let plugins = all(&[named.to_string()], cache.path()).unwrap();
        assert_eq!(plugins.iter().filter(|plugin| plugin.name == "webgpu").collect::<Vec<_>>(), [&named]);
    }
}
