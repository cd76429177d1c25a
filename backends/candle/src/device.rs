//! Where a session computes: the processor, or a GPU that candle was built for.
//!
//! Contract: what a GPU lacks is looked for before candle is asked to use it, because there it would be a panic.

use candle_core::Device;
use ditbench_backend_api::{BackendError, DeviceFacts};
use ditbench_graph::weights::Scheme;

use crate::{DEVICE, NAME, STOCK};

/// The name of Apple's GPU; those of NVIDIA's are counted.
const METAL: &str = "metal";
/// Whose kernels: ditbench's are for the processor.
const CUDA_ABOUT: &str = "an NVIDIA GPU, with candle's own kernels alone (stock)";
const METAL_ABOUT: &str = "an Apple GPU, with candle's own kernels alone (stock)";

/// A device by the name that it was asked for by.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) device: Device,
}

impl Place {
    /// The processor.
    pub(crate) fn cpu() -> Self {
        Self { name: DEVICE.to_owned(), device: Device::Cpu }
    }
}

/// All devices, those included that this build or this machine is without.
pub(crate) fn facts() -> Vec<DeviceFacts> {
    let ways = || Scheme::ALL.map(|scheme| (scheme.name().to_owned(), STOCK.to_owned())).into();
    let gpus = cuda().into_iter().chain(metal()).map(|gpu| DeviceFacts { ways: ways(), ..gpu });
    std::iter::once(DeviceFacts::cpu("the processor")).chain(gpus).collect()
}

/// The device of that name.
///
/// # Errors
/// There is none of that name; this build or this machine is without it, and the cure; candle cannot open it.
pub(crate) fn open(name: &str) -> Result<Place, BackendError> {
    if name == DEVICE {
        return Ok(Place::cpu());
    }
    let found = DeviceFacts::usable(facts(), NAME, name)?;
    let number = found.name.rsplit_once(':').and_then(|(_, number)| number.parse().ok()).unwrap_or(0);
    let opened = if found.name == METAL { Device::new_metal(number) } else { Device::new_cuda(number) };
    let device = opened.map_err(|error| BackendError::runtime(NAME, format!("opening {name}"), error))?;
    Ok(Place { name: name.to_owned(), device })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Vec<DeviceFacts> {
    vec![DeviceFacts::not_built("cuda", CUDA_ABOUT, "candle-cuda")]
}

/// NVIDIA's GPUs. The libraries of CUDA's that candle wants are there: it links with them, and the program would not have started.
#[cfg(feature = "cuda")]
fn cuda() -> Vec<DeviceFacts> {
    ditbench_nvidia::facts(CUDA_ABOUT, INTERFACE)
}

/// The oldest version of CUDA's interface that cudarc can be built for, 11.4. What the toolkit of this build needs, the driver itself will
/// say.
#[cfg(feature = "cuda")]
const INTERFACE: i32 = 11040;

#[cfg(not(all(feature = "metal", target_vendor = "apple")))]
fn metal() -> Vec<DeviceFacts> {
    vec![DeviceFacts::not_built(METAL, METAL_ABOUT, METAL)]
}

/// Apple's GPU. Not tried yet: there was no Mac.
#[cfg(all(feature = "metal", target_vendor = "apple"))]
fn metal() -> Vec<DeviceFacts> {
    use candle_metal_kernels::metal::Device;
    use ditbench_backend_api::{DeviceKind, Missing};

    let none = || Missing { why: "this machine has no Metal device".to_owned(), cure: "Use a Mac with one".to_owned() };
    let state = if Device::all().is_empty() { Err(none()) } else { Ok(()) };
    vec![DeviceFacts::new(METAL, METAL_ABOUT).of_kind(DeviceKind::Gpu).in_state(state)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_opened_or_the_reason_is_told() {
        assert_eq!(open("cpu").unwrap().name, "cpu");
        let error = open("tpu").unwrap_err().to_string();
        assert!(error.contains("no device \"tpu\"; it has cpu, cuda"), "{error}");
        // Of a GPU that is not here: never a panic, never the processor in its place.
        for gpu in facts().into_iter().filter(|device| device.name != "cpu") {
            assert_eq!(gpu.ways.len(), Scheme::ALL.len());
            match (open(&gpu.name), gpu.state) {
                (Ok(place), Ok(())) => assert!(!place.device.is_cpu(), "{place:?}"),
                (Err(error), Err(missing)) => assert!(error.to_string().contains(&missing.why), "{error}"),
                (opened, state) => panic!("{state:?}, and {opened:?}"),
            }
        }
    }
}
