//! Devices: the processor, providers built into the library, providers from plugins.
//!
//! Contract: a session is told exactly which provider to use. `ort` otherwise lets ONNX Runtime choose, and every plugin
//! that is registered would change what a session on the CPU runs on. On any device but the CPU, ONNX Runtime refuses
//! to make a session in which a node falls back to the CPU, unless the caller allows it.

use ditbench_backend_api::{BackendError, DeviceFacts, DeviceKind, Missing, Numerics};
use ort::ep::ExecutionProviderDispatch;
use ort::memory::DeviceType;
use ort::session::builder::{AutoDevicePolicy, SessionBuilder};

use crate::NAME;
use crate::built_in::{self, BUILT_IN};
use crate::facts::{self, Hardware};
use crate::metadata;
use crate::name::DeviceName;
use crate::plugin::{self, Plugin};
use crate::provider::{self, CUDA, OPENVINO, QNN, WEBGPU};
use crate::runtime::Runtime;
use crate::words::one_line;

/// The processor's name as a device.
pub const CPU: &str = "cpu";
/// The processor's provider.
pub(crate) const CPU_PROVIDER: &str = "CPUExecutionProvider";

/// Where a session is to run.
pub(crate) enum Device {
    Cpu,
    BuiltIn(ExecutionProviderDispatch, &'static str),
    /// Index among the plugin's devices, and what kind of hardware it is.
    Plugin(Plugin, usize, DeviceType),
}

/// One of a plugin's devices.
pub(crate) struct Offer {
    /// What it is called, and after that what else it may be called.
    pub(crate) names: Vec<String>,
    /// Index among the plugin's devices.
    index: usize,
    /// What kind of hardware it is. Of a simulator: what it simulates.
    kind: DeviceType,
    hardware: Hardware,
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
        let asked = DeviceName::parse(name);
        let unavailable = |missing: Missing| BackendError::Unavailable {
            backend: NAME,
            why: format!("device \"{name}\": {}", missing.why),
            cure: format!("{}.", missing.cure),
        };
        if let Some(plugin) = runtime.plugin(asked.provider)? {
            let offers = offers(runtime, &plugin).map_err(unavailable)?;
            let names: Vec<String> = offers.iter().map(|offer| offer.names[0].clone()).collect();
            let found = offers.into_iter().find(|offer| offer.names.iter().any(|known| known == name));
            let found = found.ok_or_else(|| {
                unavailable(Missing {
                    why: format!("the provider offers {}", names.join(", ")),
                    cure: "Ask for one of those".to_owned(),
                })
            })?;
            return Ok(Self::Plugin(plugin, found.index, found.kind));
        }
        let Some(built_in) = built_in::named(asked.provider) else {
            let names: Vec<&str> = BUILT_IN.iter().map(|built_in| built_in.name).collect();
            let why = format!(
                "it has no device \"{name}\": choose {CPU}, one of {}, or a provider named with --ep",
                names.join(", ")
            );
            return Err(BackendError::Unsupported { backend: NAME, why });
        };
        let index = asked.index.unwrap_or_default();
        let kind = built_in.kind.map(DeviceKind::name);
        if (index > 0 && built_in.name != CUDA) || asked.kind.is_some_and(|asked| Some(asked) != kind) {
            // It would run on the provider's default device, under another one's name.
            let why = format!(
                "{} as part of this library cannot be told which device to use: ask for \"{}\", or name a provider of your own \
                 with --ep",
                built_in.provider, built_in.name
            );
            return Err(BackendError::Unsupported { backend: NAME, why });
        }
        built_in.state(&runtime.environment, index).map_err(unavailable)?;
        Ok(Self::BuiltIn((built_in.make)(index), built_in.provider))
    }

    /// The name of the provider whose nodes count as run here.
    pub(crate) fn provider(&self) -> &str {
        match self {
            Self::Cpu => CPU_PROVIDER,
            Self::BuiltIn(_, provider) => provider,
            Self::Plugin(plugin, ..) => plugin.provider(),
        }
    }

    /// The precision in which a session computes here, given what the file asks for.
    pub(crate) fn numerics(&self, asked: Numerics) -> Numerics {
        match self {
            Self::Plugin(plugin, _, kind) => provider::numerics(&plugin.name, *kind, &plugin.told(*kind, 1), asked),
            // Told nothing, it does what it does by itself.
            Self::BuiltIn(_, registered) => {
                let name =
                    BUILT_IN.iter().find(|built_in| built_in.provider == *registered).map_or("", |found| found.name);
                provider::numerics(name, DeviceType::NPU, &[], asked)
            }
            Self::Cpu => asked,
        }
    }

    /// Makes the session run here, and nowhere else unless a fall-back is allowed.
    pub(crate) fn configure(
        &self,
        builder: SessionBuilder,
        runtime: &Runtime,
        threads: usize,
        allow_fallback: bool,
    ) -> Result<SessionBuilder, String> {
        let words = |error: ort::Error<SessionBuilder>| one_line(&error.to_string());
        let devices = runtime.environment.devices();
        let strict = |builder: SessionBuilder| {
            if allow_fallback { Ok(builder) } else { builder.with_disable_cpu_fallback().map_err(words) }
        };
        match self {
            Self::Cpu => {
                let cpu: Vec<_> = devices.filter(|device| device.ep().is_ok_and(|ep| ep == CPU_PROVIDER)).collect();
                if cpu.is_empty() {
                    // A library built without the list of devices.
                    return builder.with_auto_device(AutoDevicePolicy::PreferCPU).map_err(words);
                }
                builder.with_devices(cpu, None).map_err(words)
            }
            Self::BuiltIn(provider, _) => strict(builder)?.with_execution_providers([provider.clone()]).map_err(words),
            Self::Plugin(plugin, index, kind) => {
                let device = of_plugin(runtime, plugin).nth(*index);
                let device = device.ok_or_else(|| format!("the provider's device {index} has gone"))?;
                let options = plugin.options(device.ep().unwrap_or_default(), *kind, threads);
                let builder =
                    plugin.entries(*kind).into_iter().try_fold(strict(builder)?, |builder, (key, value)| {
                        builder.with_config_entry(key, value).map_err(words)
                    })?;
                builder.with_devices([device], Some(&options)).map_err(words)
            }
        }
    }
}

fn of_plugin<'a>(runtime: &'a Runtime, plugin: &Plugin) -> impl Iterator<Item = ort::device::Device<'a>> {
    let provider = plugin.provider().to_owned();
    runtime.environment.devices().filter(move |device| device.ep().is_ok_and(|ep| ep == provider))
}

/// What a provider's device is, given what ONNX Runtime says of the hardware: of a simulator it knows the processor alone, and so
/// of a GPU that it has not found by itself.
fn kind_of(provider: &str, hardware: DeviceType) -> DeviceType {
    match provider {
        QNN => DeviceType::NPU,
        WEBGPU => DeviceType::GPU,
        _ => hardware,
    }
}

/// What a kind is called in a device's name.
pub(crate) fn kind_name(kind: DeviceType) -> &'static str {
    match kind {
        DeviceType::CPU => "cpu",
        DeviceType::GPU => "gpu",
        DeviceType::NPU => "npu",
        DeviceType::FPGA => "fpga",
    }
}

/// What each device of a provider is called, given their kinds: its own name first, then others that mean it too.
fn names(provider: &str, kinds: &[DeviceType]) -> Vec<Vec<String>> {
    let with_kind = provider == OPENVINO || provider == QNN;
    (0..kinds.len())
        .map(|index| {
            let kind = kinds[index];
            let among = kinds[..index].iter().filter(|other| **other == kind).count();
            let alike = kinds.iter().filter(|other| **other == kind).count();
            let stem = format!("{}:{provider}", kind_name(kind));
            let mut names = Vec::new();
            let mut name = |name: String| {
                if !names.contains(&name) {
                    names.push(name);
                }
            };
            let (usual, number, several) =
                if with_kind { (stem.as_str(), among, alike) } else { (provider, index, kinds.len()) };
            name(if several == 1 { usual.to_owned() } else { format!("{usual}:{number}") });
            // Without a number, the first is meant.
            if among == 0 {
                name(stem.clone());
            }
            name(format!("{stem}:{among}"));
            if index == 0 {
                name(provider.to_owned());
            }
            name(format!("{provider}:{index}"));
            names
        })
        .collect()
}

/// A plugin's devices, once it is registered.
///
/// # Errors
/// It cannot be used, or has no device here; with the cure.
pub(crate) fn offers(runtime: &Runtime, plugin: &Plugin) -> Result<Vec<Offer>, Missing> {
    // What its library says is there may not be: the facts tell.
    runtime.register(plugin)?;
    let devices: Vec<_> = of_plugin(runtime, plugin).collect();
    let kinds: Vec<DeviceType> =
        devices.iter().map(|device| kind_of(&plugin.name, device.hardware_device().ty())).collect();
    let offers = names(&plugin.name, &kinds).into_iter().zip(&devices).zip(&kinds).enumerate();
    let offer = |(index, ((names, device), kind)): (usize, ((Vec<String>, _), &DeviceType))| {
        let hardware = facts::of_plugin(&plugin.name, &metadata::of(device))?;
        Ok(Offer { names, index, kind: *kind, hardware })
    };
    offers.map(offer).collect()
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
    let plugins = plugin::offered().unwrap_or_else(|why| {
        let missing = Missing { why, cure: format!("Correct {}", plugin::VARIABLE) };
        reports.push(DeviceFacts::new("providers", "named by the environment").in_state(Err(missing)));
        Vec::new()
    });
    for plugin in &plugins {
        match offers(&runtime, plugin) {
            Err(missing) => {
                let name = built_in::named(&plugin.name).map_or(plugin.name.as_str(), |known| known.usual_name());
                reports.push(DeviceFacts::new(name, &built_in::about(&plugin.name)).in_state(Err(missing)));
            }
            Ok(offers) => reports.extend(offers.into_iter().map(|offer| {
                let (name, aliases) = offer.names.split_first().expect("every device has a name");
                DeviceFacts {
                    aliases: aliases.to_vec(),
                    ..offer.hardware.facts(name, &plugin.name, facts::kind(offer.kind))
                }
            })),
        }
    }
    for built_in in BUILT_IN {
        if plugins.iter().any(|plugin| plugin.name == built_in.name) {
            continue;
        }
        let hardware = facts::of_built_in(built_in.name);
        let state = built_in.state(&runtime.environment, 0);
        // One that chooses among several is not called after one of them where it is there.
        let name = if state.is_ok() && built_in.kind.is_none() { built_in.name } else { built_in.usual_name() };
        reports.push(hardware.facts(name, built_in.name, built_in.kind).in_state(state));
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_provider_and_by_kind_where_a_provider_has_several() {
        use DeviceType::{CPU, GPU, NPU};
        let of = |provider, kinds: &[DeviceType]| names(provider, kinds);
        assert_eq!(of("webgpu", &[GPU]), [["webgpu", "gpu:webgpu", "gpu:webgpu:0", "webgpu:0"]]);
        let two = of("webgpu", &[GPU, GPU]);
        assert_eq!((two[0][0].as_str(), two[1][0].as_str()), ("webgpu:0", "webgpu:1"));
        assert!(two[0].contains(&"webgpu".to_owned()) && !two[1].contains(&"webgpu".to_owned()));
        assert_eq!(of("qnn", &[NPU])[0][0], "npu:qnn");
        assert!(of("qnn", &[NPU])[0].contains(&"qnn".to_owned()));
        let intel = of("openvino", &[CPU, GPU, GPU, NPU]);
        let first: Vec<&str> = intel.iter().map(|names| names[0].as_str()).collect();
        assert_eq!(first, ["cpu:openvino", "gpu:openvino:0", "gpu:openvino:1", "npu:openvino"]);
        assert!(intel[3].contains(&"openvino:3".to_owned()) && intel[0].contains(&"openvino".to_owned()));
        for names in [two, intel] {
            let all: Vec<&String> = names.iter().flatten().collect();
            assert!(all.iter().all(|name| all.iter().filter(|other| other == &name).count() == 1), "{all:?}");
        }
    }

    #[test]
    fn what_a_simulator_runs_on_is_not_what_it_simulates() {
        assert_eq!(kind_of("qnn", DeviceType::CPU), DeviceType::NPU);
        assert_eq!(kind_of("webgpu", DeviceType::CPU), DeviceType::GPU);
        assert_eq!(kind_of("openvino", DeviceType::CPU), DeviceType::CPU);
    }
}
