//! Devices: the processor, providers built into the library, providers from plugins.
//!
//! Contract: a session is told exactly which provider to use. `ort` otherwise lets ONNX Runtime choose, and every plugin
//! that is registered would change what a session on the CPU runs on. On any device but the CPU, ONNX Runtime refuses
//! to make a session in which a node falls back to the CPU.

use ditbench_backend_api::{BackendError, DeviceFacts, DeviceKind, Missing};
use ort::environment::Environment;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider, ExecutionProviderDispatch};
use ort::memory::DeviceType;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, SessionBuilder};

use crate::NAME;
use crate::plugin::{Plugin, TF32, VARIABLE};
use crate::runtime::Runtime;
use crate::words::{CUDA_PROVIDER, one_line};

/// The processor's name as a device.
pub const CPU: &str = "cpu";
/// The processor's provider.
pub(crate) const CPU_PROVIDER: &str = "CPUExecutionProvider";

/// A provider that a library may have been built with.
struct BuiltIn {
    name: &'static str,
    about: &'static str,
    /// `None`: it chooses among several.
    kind: Option<DeviceKind>,
    provider: &'static str,
    /// Whether the library was built with it: no more than that.
    available: fn() -> bool,
    make: fn() -> ExecutionProviderDispatch,
    cure: &'static str,
}

macro_rules! built_in {
    ($name:literal, $about:literal, $kind:expr, $provider:expr, $ep:ty, $cure:literal) => {
        built_in!($name, $about, $kind, $provider, $ep, $cure, <$ep>::default())
    };
    ($name:literal, $about:literal, $kind:expr, $provider:expr, $ep:ty, $cure:literal, $made:expr) => {
        BuiltIn {
            name: $name,
            about: $about,
            kind: $kind,
            provider: $provider,
            available: || <$ep as ExecutionProvider>::is_available().unwrap_or(false),
            make: || $made.build().error_on_failure(),
            cure: $cure,
        }
    };
}

/// Without TF32, which ONNX Runtime has on by default: f32 would be computed with 10 bits after the point. Written as a
/// number, as ONNX Runtime's documents do: `with_tf32` writes it as a word.
fn cuda() -> ep::CUDA {
    ep::CUDA::default().with_arbitrary_config(TF32, 0)
}

const BUILT_IN: [BuiltIn; 7] = [
    built_in!(
        "cuda",
        "NVIDIA GPUs, through CUDA",
        Some(DeviceKind::Gpu),
        CUDA_PROVIDER,
        ep::CUDA,
        "Name the library of the onnxruntime-gpu package with --ort-lib FILE",
        cuda()
    ),
    built_in!(
        "webgpu",
        "any GPU, through WebGPU",
        Some(DeviceKind::Gpu),
        "WebGpuExecutionProvider",
        ep::WebGPU,
        "Fetch the package onnxruntime-ep-webgpu and set DITBENCH_ORT_EP=webgpu=LIBRARY"
    ),
    built_in!(
        "qnn",
        "Qualcomm's NPU, through QNN",
        Some(DeviceKind::Npu),
        "QNNExecutionProvider",
        ep::QNN,
        "Fetch the package onnxruntime-qnn and set DITBENCH_ORT_EP=qnn=LIBRARY,backend_path=LIBQNNHTP"
    ),
    built_in!(
        "openvino",
        "Intel's processors, GPUs and NPUs, through OpenVINO",
        None,
        "OpenVINOExecutionProvider",
        ep::OpenVINO,
        "Fetch the package onnxruntime-ep-openvino and set DITBENCH_ORT_EP=openvino=LIBRARY"
    ),
    built_in!(
        "coreml",
        "Apple's GPU and Neural Engine, through Core ML",
        None,
        "CoreMLExecutionProvider",
        ep::CoreML,
        "Use a Mac or iPhone; the fetched library for macOS has it"
    ),
    built_in!(
        "nnapi",
        "accelerators of Android phones, through NNAPI",
        None,
        "NnapiExecutionProvider",
        ep::NNAPI,
        "Run on a phone with the library of the onnxruntime-android package, named with --ort-lib FILE"
    ),
    built_in!(
        "xnnpack",
        "the processor, through XNNPACK's kernels",
        Some(DeviceKind::Cpu),
        "XnnpackExecutionProvider",
        ep::XNNPACK,
        "Name a library that was built with XNNPACK (onnxruntime-android has it) with --ort-lib FILE"
    ),
];

/// Where a session is to run.
pub(crate) enum Device {
    Cpu,
    BuiltIn(ExecutionProviderDispatch, &'static str),
    /// Index among the plugin's devices.
    Plugin(Plugin, usize),
}

impl Device {
    /// The device of that name.
    ///
    /// # Errors
    /// One that there is none of, or that is not there now, with the cure.
    pub(crate) fn named(name: &str, runtime: &Runtime) -> Result<Self, BackendError> {
        if name == CPU {
            return Ok(Self::Cpu);
        }
        let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
        let unavailable = |missing: &Missing| BackendError::Unavailable {
            backend: NAME,
            why: format!("device \"{name}\": {}", missing.why),
            cure: format!("{}.", missing.cure),
        };
        if let Some((plugin, state)) = runtime.plugins.iter().find(|(plugin, _)| plugin.name == kind) {
            state.as_ref().map_err(unavailable)?;
            let count = of_plugin(runtime, plugin).count();
            let index = index.parse().ok().filter(|&index| index < count).ok_or_else(|| {
                unavailable(&Missing {
                    why: format!("its plugin offers {count} device(s), counted from 0"),
                    cure: format!("Ask for {kind}:0"),
                })
            })?;
            return Ok(Self::Plugin(plugin.clone(), index));
        }
        let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == name) else {
            let names: Vec<&str> = BUILT_IN.iter().map(|built_in| built_in.name).collect();
            let why = format!(
                "it has no device \"{name}\": choose {CPU}, one of {}, or a plugin named in {VARIABLE}",
                names.join(", ")
            );
            return Err(BackendError::Unsupported { backend: NAME, why });
        };
        built_in.state(&runtime.environment).map_err(|missing| unavailable(&missing))?;
        Ok(Self::BuiltIn((built_in.make)(), built_in.provider))
    }

    /// The name of the provider whose nodes count as run here.
    pub(crate) fn provider(&self) -> String {
        match self {
            Self::Cpu => CPU_PROVIDER.to_owned(),
            Self::BuiltIn(_, provider) => (*provider).to_owned(),
            Self::Plugin(plugin, _) => plugin.provider(),
        }
    }

    /// Makes the session run here and nowhere else.
    pub(crate) fn configure(&self, builder: SessionBuilder, runtime: &Runtime) -> Result<SessionBuilder, String> {
        let words = |error: ort::Error<SessionBuilder>| one_line(&error.to_string());
        let devices = runtime.environment.devices();
        match self {
            Self::Cpu => {
                let cpu: Vec<_> = devices.filter(|device| device.ep().is_ok_and(|ep| ep == CPU_PROVIDER)).collect();
                if cpu.is_empty() {
                    // A library built without the list of devices.
                    return builder.with_auto_device(AutoDevicePolicy::PreferCPU).map_err(words);
                }
                builder.with_devices(cpu, None).map_err(words)
            }
            Self::BuiltIn(provider, _) => {
                let builder = builder.with_disable_cpu_fallback().map_err(words)?;
                builder.with_execution_providers([provider.clone()]).map_err(words)
            }
            Self::Plugin(plugin, index) => {
                let builder = builder.with_disable_cpu_fallback().map_err(words)?;
                let device = of_plugin(runtime, plugin).nth(*index);
                let device = device.ok_or_else(|| format!("the plugin's device {index} has gone"))?;
                let options = plugin.options(device.ep().unwrap_or_default());
                let builder = plugin
                    .entries()
                    .into_iter()
                    .try_fold(builder, |builder, (key, value)| builder.with_config_entry(key, value).map_err(words))?;
                builder.with_devices([device], Some(&options)).map_err(words)
            }
        }
    }
}

impl BuiltIn {
    /// Whether sessions can use it here and now: a library that was built with it may not find the driver, or the
    /// libraries that the provider itself needs.
    fn state(&self, environment: &Environment) -> Result<(), Missing> {
        if !(self.available)() {
            return Err(Missing { why: "the library was built without it".to_owned(), cure: self.cure.to_owned() });
        }
        let refused = |why: &str| Missing {
            why: format!("ONNX Runtime cannot use {}: {}", self.provider, one_line(why)),
            cure: "Install the device's driver and the libraries that this provider needs".to_owned(),
        };
        let builder = Session::builder(environment).map_err(|error| refused(error.message()))?;
        builder.with_execution_providers([(self.make)()]).map_err(|error| refused(error.message()))?;
        Ok(())
    }
}

fn of_plugin<'a>(runtime: &'a Runtime, plugin: &Plugin) -> impl Iterator<Item = ort::device::Device<'a>> {
    let provider = plugin.provider();
    runtime.environment.devices().filter(move |device| device.ep().is_ok_and(|ep| ep == provider))
}

/// All devices that there are, and those that there could be.
pub(crate) fn reports(runtime: Result<Runtime, BackendError>) -> Vec<DeviceFacts> {
    let cpu = DeviceFacts::cpu("the processor, with ONNX Runtime's own kernels");
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let missing = match error {
                BackendError::Unavailable { why, cure, .. } => Missing { why, cure },
                other => Missing { why: other.to_string(), cure: crate::library::CURE.to_owned() },
            };
            return vec![cpu.in_state(Err(missing))];
        }
    };
    let mut reports = vec![cpu];
    for (plugin, state) in &runtime.plugins {
        if let Err(missing) = state {
            reports.push(DeviceFacts::new(&plugin.name, "a plugin").in_state(Err(missing.clone())));
        }
        for (index, device) in of_plugin(&runtime, plugin).enumerate() {
            let hardware = device.hardware_device();
            let vendor = hardware.vendor().unwrap_or("unknown vendor");
            let about = format!("{:?} of {vendor}, through the plugin {}", hardware.ty(), plugin.provider());
            let kind = match hardware.ty() {
                DeviceType::CPU => Some(DeviceKind::Cpu),
                DeviceType::GPU => Some(DeviceKind::Gpu),
                DeviceType::NPU => Some(DeviceKind::Npu),
                DeviceType::FPGA => None,
            };
            reports.push(DeviceFacts::new(&format!("{}:{index}", plugin.name), &about).of_kind(kind));
        }
    }
    for built_in in BUILT_IN {
        if runtime.plugins.iter().any(|(plugin, _)| plugin.name == built_in.name) {
            continue;
        }
        let device = DeviceFacts::new(built_in.name, built_in.about).of_kind(built_in.kind);
        reports.push(device.in_state(built_in.state(&runtime.environment)));
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{self, LibraryError};

    /// The library that the tests in `tests/` run on.
    fn runtime() -> Runtime {
        let named = std::env::var_os(crate::LIBRARY_VARIABLE).map(std::path::PathBuf::from);
        let cache = library::default_cache().unwrap_or_else(|| std::env::temp_dir().join("ditbench"));
        let found = library::find(named.as_deref(), &cache).or_else(|error| match error {
            LibraryError::Named { .. } => Err(error),
            _ => library::fetch(&cache, &|| false, |_| ()),
        });
        Runtime::get(found).unwrap()
    }

    #[test]
    fn a_provider_that_is_there_but_cannot_be_registered_is_unavailable() {
        let runtime = runtime();
        // One that no library for this system has; here it says that it has.
        let foreign = if cfg!(target_vendor = "apple") { "nnapi" } else { "coreml" };
        let foreign = BUILT_IN.into_iter().find(|built_in| built_in.name == foreign).unwrap();
        let claimed = BuiltIn { available: || true, ..foreign };
        let missing = claimed.state(&runtime.environment).unwrap_err();
        assert!(missing.why.contains(&format!("cannot use {}: ", claimed.provider)), "{missing:?}");
        assert!(missing.cure.contains("driver") && !missing.why.contains('\n'), "{missing:?}");
        let absent = BuiltIn { available: || false, ..claimed };
        assert!(absent.state(&runtime.environment).unwrap_err().why.contains("built without it"));
    }

    #[test]
    fn cuda_computes_f32_in_f32() {
        assert!(format!("{:?}", cuda()).contains(r#""use_tf32": "0""#), "{:?}", cuda());
    }
}
