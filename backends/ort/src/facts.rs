//! What is known of a provider's device: from the provider, from Vulkan, from NVIDIA's driver.

use std::collections::BTreeMap;
use std::path::Path;

use ditbench_backend_api::{DeviceFacts, DeviceKind, DeviceNature, Missing};
use ort::memory::DeviceType;

use crate::provider::{CUDA, QNN, WEBGPU};
use crate::vulkan::{self, Adapter};
use crate::{built_in, dialect, provider};

/// What is known of the hardware behind a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hardware {
    name: Option<String>,
    memory_bytes: Option<u64>,
    driver: Option<String>,
    nature: DeviceNature,
    /// Whether it is known to lack 16-bit floats in its shaders.
    lacks_half: bool,
}

impl Hardware {
    /// A device of that name with what is known of it.
    pub(crate) fn facts(self, name: &str, provider: &str, kind: Option<DeviceKind>) -> DeviceFacts {
        DeviceFacts {
            hardware: self.name,
            memory_bytes: self.memory_bytes,
            driver: self.driver,
            nature: self.nature,
            ways: dialect::ways(provider, self.lacks_half),
            ..DeviceFacts::new(name, &built_in::about(provider)).of_kind(kind)
        }
    }
}

/// The hardware behind a device of a plugin's, given what the plugin says of it.
///
/// # Errors
/// There is none, though the plugin's library would say that there is.
pub(crate) fn of_plugin(provider: &str, said: &BTreeMap<String, String>) -> Result<Hardware, Missing> {
    let get = |key: &str| said.get(key).filter(|value| !value.is_empty()).cloned();
    match provider {
        WEBGPU if cfg!(any(target_os = "linux", target_os = "android")) => Ok(of_adapters(&vulkan::adapters()?)),
        QNN if provider::simulates() => Ok(of_simulator()),
        _ => Ok(Hardware {
            name: get("FULL_DEVICE_NAME"),
            driver: get("version").map(|version| format!("{} {version}", provider::registered(provider))),
            ..Hardware::default()
        }),
    }
}

fn of_simulator() -> Hardware {
    Hardware {
        name: Some("Qualcomm's simulator of the Hexagon NPU, on this machine's processor".to_owned()),
        nature: DeviceNature::Simulator,
        ..Hardware::default()
    }
}

/// That of a provider which is part of the library.
pub(crate) fn of_built_in(name: &str) -> Hardware {
    if name == QNN && provider::simulates() {
        return of_simulator();
    }
    if name != CUDA {
        return Hardware::default();
    }
    let Some(driver) = ditbench_nvidia::read(Path::new("/proc")) else { return Hardware::default() };
    Hardware {
        // CUDA has an order of its own: which of different GPUs has this index is not known.
        name: driver
            .gpus
            .first()
            .filter(|first| driver.gpus.iter().all(|gpu| gpu.name == first.name))
            .map(|gpu| gpu.name.clone()),
        driver: driver.version.map(|version| format!("NVIDIA {version}")),
        ..Hardware::default()
    }
}

/// The one adapter, or what is common to those of which one was chosen: hardware comes first, and is chosen where there is any.
fn of_adapters(adapters: &[Adapter]) -> Hardware {
    let hardware: Vec<&Adapter> = adapters.iter().filter(|adapter| !adapter.is_software).collect();
    let choice = if hardware.is_empty() { adapters.iter().collect() } else { hardware };
    let [first, others @ ..] = choice.as_slice() else { return Hardware::default() };
    let nature = if first.is_software { DeviceNature::Software } else { DeviceNature::Real };
    let lacks_half = !choice.iter().all(|adapter| adapter.has_half);
    if others.is_empty() {
        let driver = Some(first.driver.clone()).filter(|driver| !driver.is_empty());
        return Hardware {
            name: Some(first.name.clone()),
            memory_bytes: first.memory_bytes,
            driver,
            nature,
            lacks_half,
        };
    }
    let names: Vec<&str> = choice.iter().map(|adapter| adapter.name.as_str()).collect();
    Hardware { name: Some(format!("one of {}", names.join(", "))), nature, lacks_half, ..Hardware::default() }
}

/// The kind, as facts say it.
pub(crate) fn kind(hardware: DeviceType) -> Option<DeviceKind> {
    match hardware {
        DeviceType::CPU => Some(DeviceKind::Cpu),
        DeviceType::GPU => Some(DeviceKind::Gpu),
        DeviceType::NPU => Some(DeviceKind::Npu),
        DeviceType::FPGA => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, is_software: bool) -> Adapter {
        let driver = "Mesa 25".to_owned();
        Adapter { name: name.to_owned(), is_software, has_half: true, memory_bytes: Some(8), driver }
    }

    #[test]
    fn a_software_adapter_is_one_whatever_the_provider_calls_it() {
        let lavapipe = of_adapters(&[adapter("llvmpipe", true)]).facts("webgpu", "webgpu", Some(DeviceKind::Gpu));
        assert_eq!((lavapipe.nature, lavapipe.hardware.as_deref()), (DeviceNature::Software, Some("llvmpipe")));
        assert!(!lavapipe.nature.shows_speed());
        let beside = of_adapters(&[adapter("NVIDIA H200", false), adapter("llvmpipe", true)]);
        assert_eq!((beside.nature, beside.name.as_deref()), (DeviceNature::Real, Some("NVIDIA H200")));
    }

    #[test]
    fn halves_are_run_as_they_are_only_where_the_shaders_have_them() {
        let old = Adapter { has_half: false, ..adapter("old", false) };
        let ways = |adapters: &[Adapter]| of_adapters(adapters).facts("webgpu", "webgpu", Some(DeviceKind::Gpu)).ways;
        assert_eq!(ways(&[adapter("new", false)]).get("f16").map(String::as_str), Some(dialect::HALF));
        assert!(ways(std::slice::from_ref(&old)).is_empty());
        // Of several it may be the one that has none; a software adapter beside them is not chosen.
        assert!(ways(&[adapter("new", false), old.clone()]).is_empty());
        let software = Adapter { is_software: true, ..old };
        assert!(!ways(&[adapter("new", false), software]).is_empty());
    }

    #[test]
    fn which_of_several_adapters_was_chosen_is_not_guessed() {
        let two = of_adapters(&[adapter("A", false), adapter("B", false)]);
        assert_eq!((two.name.as_deref(), two.memory_bytes, two.driver), (Some("one of A, B"), None, None));
    }

    #[test]
    fn an_intel_device_is_what_openvino_says() {
        let said = [("FULL_DEVICE_NAME", "Intel(R) AI Boost"), ("version", "1.8.1")];
        let said = said.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let npu = of_plugin("openvino", &said).unwrap();
        assert_eq!(npu.name.as_deref(), Some("Intel(R) AI Boost"));
        assert_eq!(npu.driver.as_deref(), Some("OpenVINOExecutionProvider 1.8.1"));
        assert_eq!(npu.nature, DeviceNature::Real);
    }
}
