//! The adapters that Vulkan lists: what WebGPU runs on here.
//!
//! Contract: nothing is computed. WebGPU's provider does not say which adapter it took; where Vulkan lists hardware, that is assumed.
//! Software adapters, which compute on the processor, are told by their type, which their drivers give of themselves.

use std::ffi::CStr;

use ash::vk;

use ditbench_backend_api::Missing;

/// A device that Vulkan lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Adapter {
    /// `NVIDIA GeForce RTX 4090`, `llvmpipe (LLVM 15.0.6, 512 bits)`.
    pub(crate) name: String,
    /// Whether it is the processor, with a driver that computes in software.
    pub(crate) is_software: bool,
    /// Whether its shaders compute in 16-bit floats and read them from buffers, as WebGPU wants both.
    pub(crate) has_half: bool,
    /// Bytes of the largest heap of its own.
    pub(crate) memory_bytes: Option<u64>,
    /// The driver and its version: `llvmpipe, Mesa 25.0.7`.
    pub(crate) driver: String,
}

const CURE: &str = "Install the GPU's driver; without a GPU, a software adapter (Debian's mesa-vulkan-drivers) shows whether results are right";

/// The adapters, those that are hardware first.
///
/// # Errors
/// There is no Vulkan here, or no adapter.
pub(crate) fn adapters() -> Result<Vec<Adapter>, Missing> {
    let missing = |why: String| Missing { why, cure: CURE.to_owned() };
    // SAFETY: loading the system's Vulkan loader runs what it does at its start.
    let entry = unsafe { ash::Entry::load() }.map_err(|error| {
        missing(format!("Vulkan's loader is not installed ({})", crate::words::one_line(&error.to_string())))
    })?;
    let mut adapters = list(&entry).map_err(|error| missing(format!("Vulkan cannot list its devices ({error})")))?;
    if adapters.is_empty() {
        return Err(missing("Vulkan lists no device".to_owned()));
    }
    adapters.sort_by_key(|adapter| adapter.is_software);
    Ok(adapters)
}

fn list(entry: &ash::Entry) -> Result<Vec<Adapter>, vk::Result> {
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_1);
    let information = vk::InstanceCreateInfo::default().application_info(&application);
    // SAFETY: the structures live over the calls; the instance is destroyed after the last use of it and of its devices' handles.
    unsafe {
        let instance = match entry.create_instance(&information, None) {
            // No driver is installed at all.
            Err(vk::Result::ERROR_INCOMPATIBLE_DRIVER) => return Ok(Vec::new()),
            made => made?,
        };
        let listed = instance.enumerate_physical_devices();
        let adapters = listed.map(|devices| devices.into_iter().map(|device| adapter(&instance, device)).collect());
        instance.destroy_instance(None);
        adapters
    }
}

/// # Safety
/// The device is the instance's, and both live.
unsafe fn adapter(instance: &ash::Instance, device: vk::PhysicalDevice) -> Adapter {
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
    // A driver that does not know these leaves them as they are: false.
    let mut arithmetic = vk::PhysicalDeviceShaderFloat16Int8Features::default();
    let mut storage = vk::PhysicalDevice16BitStorageFeatures::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut arithmetic).push_next(&mut storage);
    // SAFETY: by this function's contract; the structures live over the calls.
    let memory = unsafe {
        instance.get_physical_device_properties2(device, &mut properties);
        instance.get_physical_device_features2(device, &mut features);
        instance.get_physical_device_memory_properties(device)
    };
    let properties = properties.properties;
    let heaps = &memory.memory_heaps[..memory.memory_heap_count as usize];
    let own = heaps.iter().filter(|heap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL));
    let text = |bytes: Result<&CStr, _>| bytes.map(|text: &CStr| text.to_string_lossy().into_owned()).ok();
    let name = text(properties.device_name_as_c_str().map_err(drop)).unwrap_or_default();
    let named = [text(driver.driver_name_as_c_str().map_err(drop)), text(driver.driver_info_as_c_str().map_err(drop))];
    let named: Vec<String> = named.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    Adapter {
        name,
        is_software: properties.device_type == vk::PhysicalDeviceType::CPU,
        has_half: [
            arithmetic.shader_float16,
            storage.storage_buffer16_bit_access,
            storage.uniform_and_storage_buffer16_bit_access,
        ]
        .iter()
        .all(|known| *known != vk::FALSE),
        memory_bytes: own.map(|heap| heap.size).max(),
        driver: named.join(", "),
    }
}
