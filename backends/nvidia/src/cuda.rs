//! The GPUs that programs may use through CUDA, in CUDA's own order, asked of the driver's library.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::Path;

use ditbench_backend_api::{DeviceFacts, DeviceKind, Missing};
use libloading::Library;

use crate::driver;

/// What to do where there is no driver.
const CURE: &str = "Install the driver of an NVIDIA GPU";

/// The name of the first device.
const NAME: &str = "cuda";

/// What a call gives when all went well.
const SUCCESS: c_int = 0;
/// What it gives where there is a driver and no GPU.
const NO_DEVICE: c_int = 100;

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gpu {
    name: Option<String>,
    memory_bytes: Option<u64>,
}

/// The devices `cuda`, `cuda:1`, …, for a program that was built for a version of CUDA's interface: 13000 is 13.0. Where there is none,
/// `cuda` with the reason.
pub fn facts(about: &str, interface: i32) -> Vec<DeviceFacts> {
    let version = driver::read(Path::new("/proc")).and_then(|driver| driver.version);
    facts_of(gpus(driver::LIBRARY.as_ref(), interface), about, version)
}

fn facts_of(gpus: Result<Vec<Gpu>, Missing>, about: &str, version: Option<String>) -> Vec<DeviceFacts> {
    let device = |name: &str| DeviceFacts::new(name, about).of_kind(DeviceKind::Gpu);
    let of = |(index, gpu): (usize, Gpu)| {
        let numbered = format!("{NAME}:{index}");
        let (name, aliases) = if index == 0 { (NAME, vec![numbered]) } else { (numbered.as_str(), Vec::new()) };
        DeviceFacts {
            aliases,
            hardware: gpu.name,
            memory_bytes: gpu.memory_bytes,
            driver: version.as_ref().map(|version| format!("NVIDIA {version}")),
            ..device(name)
        }
    };
    match gpus {
        Ok(gpus) => gpus.into_iter().enumerate().map(of).collect(),
        Err(missing) => vec![device(NAME).in_state(Err(missing))],
    }
}

/// All GPUs that CUDA lists.
///
/// # Errors
/// There is no driver, it does not start, it is too old for the interface, or it has no GPU.
fn gpus(library: &Path, interface: i32) -> Result<Vec<Gpu>, Missing> {
    let library = driver::open(library).map_err(|why| driver::no_driver(&why, CURE))?;
    // What has been started must stay: taking the driver's library out again is not safe.
    let library: &'static Library = Box::leak(Box::new(library));
    list(library, interface).map_err(|(why, cure)| Missing { why, cure: cure.to_owned() })
}

fn list(library: &Library, interface: i32) -> Result<Vec<Gpu>, (String, &'static str)> {
    let repair = "Repair the installation of NVIDIA's driver";
    let asked = |name: &str, status: Option<c_int>| match status {
        Some(SUCCESS) => Ok(()),
        Some(NO_DEVICE) => Err(("the NVIDIA driver has no GPU".to_owned(), "Give this process access to one")),
        Some(error) => Err((format!("the NVIDIA driver does not work: {name} gives error {error}"), repair)),
        None => Err((format!("the NVIDIA driver has no {name}"), repair)),
    };
    // SAFETY: the functions have these types in every version of the driver, and get places for what they give.
    let get = |name: &str, out: &mut c_int| unsafe {
        asked(name, library.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(name).ok().map(|call| call(out)))
    };
    // SAFETY: as above.
    let started = unsafe { library.get::<unsafe extern "C" fn(c_uint) -> c_int>("cuInit").ok().map(|start| start(0)) };
    asked("cuInit", started)?;
    let mut version = 0;
    get("cuDriverGetVersion", &mut version)?;
    if version < interface {
        let words = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
        let why =
            format!("the NVIDIA driver is for CUDA {}, and this build needs {}", words(version), words(interface));
        return Err((why, "Install a newer driver"));
    }
    let mut count = 0;
    get("cuDeviceGetCount", &mut count)?;
    if count == 0 {
        asked("cuDeviceGetCount", Some(NO_DEVICE))?;
    }
    Ok((0..count).map(|index| gpu(library, index)).collect())
}

/// What is told of one GPU.
fn gpu(library: &Library, index: c_int) -> Gpu {
    let (mut gpu, mut name, mut bytes) = (0, [0 as c_char; 256], 0usize);
    // SAFETY: the functions have these types in every version of the driver, and get places for what they give; a name is ended by a zero
    // within the length that is given.
    unsafe {
        let found = library
            .get::<unsafe extern "C" fn(*mut c_int, c_int) -> c_int>("cuDeviceGet")
            .is_ok_and(|get| get(&mut gpu, index) == SUCCESS);
        let named = library
            .get::<unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int>("cuDeviceGetName")
            .is_ok_and(|get| found && get(name.as_mut_ptr(), name.len() as c_int - 1, gpu) == SUCCESS);
        let sized = library
            .get::<unsafe extern "C" fn(*mut usize, c_int) -> c_int>("cuDeviceTotalMem_v2")
            .is_ok_and(|get| found && get(&mut bytes, gpu) == SUCCESS);
        Gpu {
            name: named.then(|| CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned()),
            memory_bytes: sized.then_some(bytes as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two GPUs, the second of which does not say how much memory it has.
    const FAKE: &str = r#"
        #include <string.h>
        int cuInit(unsigned flags) { return STARTS; }
        int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
        int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
        int cuDeviceGet(int *gpu, int index) { *gpu = 7 + index; return 0; }
        int cuDeviceGetName(char *name, int length, int gpu) { strncpy(name, gpu == 7 ? "NVIDIA H200" : "NVIDIA L4", length); return 0; }
        int cuDeviceTotalMem_v2(unsigned long *bytes, int gpu) { *bytes = 42; return gpu == 7 ? 0 : 1; }
    "#;

    /// A driver that starts so and has so many GPUs. Building ditbench takes a C compiler anyway (SQLite).
    fn fake(folder: &Path, starts: i32, count: i32) -> std::path::PathBuf {
        let (source, library) = (folder.join("fake.c"), folder.join(format!("libcuda-{starts}-{count}.so")));
        std::fs::write(&source, FAKE).unwrap();
        let defined = [format!("-DSTARTS={starts}"), format!("-DCOUNT={count}")];
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-w"]).args(defined).arg("-o").arg(&library).arg(&source);
        assert!(compiler.status().expect("there is a C compiler").success(), "the fake library does not compile");
        library
    }

    #[test]
    fn without_a_driver_there_is_one_device_with_the_reason() {
        let facts = facts_of(gpus(Path::new("/no/such/libcuda.so.1"), 13000), "a GPU", None);
        let [device] = &facts[..] else { panic!("{facts:?}") };
        let missing = device.state.as_ref().unwrap_err();
        assert_eq!((device.name.as_str(), missing.cure.as_str()), ("cuda", CURE));
        assert!(missing.why.contains("no NVIDIA driver") && missing.why.contains("No such file"), "{missing:?}");
    }

    #[test]
    fn what_the_driver_says_is_read_gpu_by_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let library = fake(folder.path(), 0, 2);
        let facts = facts_of(gpus(&library, 12000), "a GPU", Some("580.95.05".to_owned()));
        let told = |facts: &DeviceFacts| (facts.name.clone(), facts.hardware.clone().unwrap(), facts.memory_bytes);
        assert_eq!(told(&facts[0]), ("cuda".to_owned(), "NVIDIA H200".to_owned(), Some(42)));
        assert_eq!(told(&facts[1]), ("cuda:1".to_owned(), "NVIDIA L4".to_owned(), None));
        assert!(facts[0].is_called("cuda:0") && !facts[1].is_called("cuda"));
        assert!(facts.iter().all(|facts| facts.state.is_ok() && facts.driver.as_deref() == Some("NVIDIA 580.95.05")));
    }

    #[test]
    fn a_driver_that_is_of_no_use_says_why() {
        let folder = tempfile::tempdir().unwrap();
        for (starts, count, interface, why) in [
            (0, 2, 13000, "for CUDA 12.4, and this build needs 13.0"),
            (100, 0, 12000, "has no GPU"),
            (0, 0, 12000, "has no GPU"),
            (999, 1, 12000, "cuInit gives error 999"),
        ] {
            let library = fake(folder.path(), starts, count);
            let missing = gpus(&library, interface).unwrap_err();
            assert!(missing.why.contains(why), "{missing:?}");
        }
        let none = gpus(Path::new("libc.so.6"), 12000);
        assert!(none.is_err(), "that is no driver: {none:?}");
    }
}
