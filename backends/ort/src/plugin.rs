//! Execution providers that come as libraries of their own.
//!
//! Named in the environment variable [`VARIABLE`]: `name=path`, then options as `,key=value`; several separated by `;`.
//! For example `webgpu=/opt/libonnxruntime_providers_webgpu.so;qnn=/opt/libqnn.so,backend_path=/opt/libQnnHtp.so`.

use std::path::PathBuf;

use ditbench_backend_api::Missing;
use ort::environment::Environment;

use crate::words::{CUDA_PROVIDER, one_line};

/// The environment variable that names plugins.
pub const VARIABLE: &str = "DITBENCH_ORT_EP";

/// The name of CUDA's plugin as a device.
const CUDA: &str = "cuda";
/// CUDA's option to compute products of f32 in TF32.
pub(crate) const TF32: &str = "use_tf32";

/// Names of devices and the names under which their providers must be registered.
const PROVIDERS: [(&str, &str); 4] = [
    ("webgpu", "WebGpuExecutionProvider"),
    ("qnn", "QNNExecutionProvider"),
    ("openvino", "OpenVINOExecutionProvider"),
    (CUDA, CUDA_PROVIDER),
];

/// One plugin, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// The device's name: `webgpu`.
    pub(crate) name: String,
    path: PathBuf,
    options: Vec<(String, String)>,
}

/// The plugins that the environment names.
///
/// # Errors
/// What cannot be read, and how it is written.
pub(crate) fn asked() -> Result<Vec<Plugin>, String> {
    parse(&std::env::var(VARIABLE).unwrap_or_default())
}

fn parse(text: &str) -> Result<Vec<Plugin>, String> {
    let entries = text.split(';').filter(|entry| !entry.trim().is_empty());
    entries
        .map(|entry| {
            let mut pairs = entry.split(',').map(|pair| pair.split_once('=').filter(|(key, _)| !key.trim().is_empty()));
            let wrong = || format!("{VARIABLE} has \"{entry}\"; write name=path, then ,key=value for each option");
            let (name, path) = pairs.next().flatten().ok_or_else(wrong)?;
            let mut options = pairs
                .map(|pair| pair.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).ok_or_else(wrong))
                .collect::<Result<Vec<_>, _>>()?;
            let name = name.trim().to_lowercase();
            if name == CUDA && !options.iter().any(|(key, _)| key == TF32) {
                // ONNX Runtime has it on by default, and f32 would be computed with 10 bits after the point.
                options.push((TF32.to_owned(), "0".to_owned()));
            }
            Ok(Plugin { name, path: PathBuf::from(path.trim()), options })
        })
        .collect()
}

impl Plugin {
    /// The provider's registered name.
    pub(crate) fn provider(&self) -> String {
        let known = PROVIDERS.iter().find(|(name, _)| *name == self.name);
        known.map_or_else(|| self.name.clone(), |(_, provider)| (*provider).to_owned())
    }

    /// Options as sessions take them: keys with the provider's name before them.
    pub(crate) fn options(&self, provider: &str) -> Vec<(String, String)> {
        self.options.iter().map(|(key, value)| (format!("{provider}.{key}"), value.clone())).collect()
    }

    /// Entries of a session's configuration: CUDA's plugin reads TF32 there, the built-in provider among its options.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        let tf32 = self.options.iter().filter(|(key, _)| self.name == CUDA && key == TF32);
        tf32.map(|(key, value)| (format!("ep.{CUDA}.{key}"), value.clone())).collect()
    }

    pub(crate) fn register(&self, environment: &Environment) -> Result<(), Missing> {
        let cure = || format!("Correct {VARIABLE}, or fetch the plugin's package");
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
        let why = format!("the plugin {} was loaded but offers no device here", self.path.display());
        Err(Missing { why, cure: "Install the device's driver, or look into the plugin's manual".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_read_with_their_options() {
        let plugins = parse("webgpu=/a/b.so; qnn=/c.so,backend_path=/d.so,soc_model=69;").unwrap();
        assert_eq!(plugins.len(), 2);
        assert_eq!((plugins[0].name.as_str(), plugins[0].provider().as_str()), ("webgpu", "WebGpuExecutionProvider"));
        assert_eq!(plugins[1].options("QNN")[1], ("QNN.soc_model".to_owned(), "69".to_owned()));
        assert!(parse("").unwrap().is_empty());
        for wrong in ["webgpu", "=x", "qnn=/c.so,backend"] {
            assert!(parse(wrong).unwrap_err().contains("name=path"), "{wrong}");
        }
    }

    #[test]
    fn cuda_computes_f32_in_f32_unless_told_otherwise() {
        for (text, value) in [("cuda=/c.so,device_id=1", "0"), ("cuda=/c.so,device_id=1,use_tf32=1", "1")] {
            let plugin = parse(text).unwrap().remove(0);
            let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
            assert_eq!(plugin.options("P"), [pair("P.device_id", "1"), pair("P.use_tf32", value)]);
            assert_eq!(plugin.entries(), [pair("ep.cuda.use_tf32", value)]);
        }
        assert!(parse("webgpu=/a.so").unwrap()[0].entries().is_empty());
    }
}
