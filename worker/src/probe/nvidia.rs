//! NVIDIA's GPUs by NVIDIA's management library (NVML): clock, temperature, power, load and memory.
//!
//! Contract: the library comes with the driver and is loaded when it is first asked for, so that this program starts without it. The
//! readings are of the whole GPU, whoever uses it. Of the first GPU they are called `gpu_…`, of the next ones `gpu1_…`, `gpu2_…`, in
//! NVML's order, which is that of the bus.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::OnceLock;

use ditbench_record::Reading;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

/// Under the name by which drivers install it: the one without a number comes with the development files.
const LIBRARY: &str = if cfg!(windows) { "nvml.dll" } else { "libnvidia-ml.so.1" };

/// A reading: what it is called after the GPU's own name, and how it is taken.
type Sensor = (&'static str, fn(&Device<'_>) -> Result<f64, NvmlError>);

const SENSORS: [Sensor; 6] = [
    ("mhz", |gpu| gpu.clock_info(Clock::SM).map(f64::from)),
    ("c", |gpu| gpu.temperature(TemperatureSensor::Gpu).map(f64::from)),
    ("power_w", |gpu| gpu.power_usage().map(|milliwatts| f64::from(milliwatts) / 1e3)),
    ("load_percent", |gpu| gpu.utilization_rates().map(|rates| f64::from(rates.gpu))),
    // Exact up to 2⁵³ bytes and millijoules.
    ("memory_bytes", |gpu| gpu.memory_info().map(|memory| memory.used as f64)),
    ("energy_j", |gpu| gpu.total_energy_consumption().map(|millijoules| millijoules as f64 / 1e3)),
];

/// All of them now. Where there is no library, why, under the names of the first GPU.
pub fn read() -> BTreeMap<String, Reading<f64>> {
    static NVML: OnceLock<Result<Nvml, String>> = OnceLock::new();
    of(NVML.get_or_init(|| open(OsStr::new(LIBRARY))).as_ref())
}

fn open(library: &OsStr) -> Result<Nvml, String> {
    Nvml::builder().lib_path(library).init().map_err(|error| match error {
        NvmlError::LibloadingError(error) => {
            // The system's own words stand behind the first ones.
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("there is no NVIDIA driver ({why})")
        }
        error => format!("NVIDIA's driver does not answer: {error}"),
    })
}

fn of(nvml: Result<&Nvml, &String>) -> BTreeMap<String, Reading<f64>> {
    let absent = |why: &str| -> BTreeMap<String, Reading<f64>> {
        SENSORS.iter().map(|(name, _)| (format!("gpu_{name}"), Reading::absent(why))).collect()
    };
    let nvml = match nvml {
        Ok(nvml) => nvml,
        Err(why) => return absent(why),
    };
    match nvml.device_count() {
        Ok(0) => absent("NVIDIA's driver lists no GPU"),
        Ok(count) => (0..count).flat_map(|index| of_gpu(nvml, index)).collect(),
        Err(error) => absent(&format!("NVIDIA's driver does not answer: {error}")),
    }
}

fn of_gpu(nvml: &Nvml, index: u32) -> BTreeMap<String, Reading<f64>> {
    let gpu = nvml.device_by_index(index);
    let value = |read: fn(&Device<'_>) -> Result<f64, NvmlError>| match gpu.as_ref().map(read) {
        Ok(Ok(value)) => Reading::Ok(value),
        Ok(Err(error)) => refused(&error),
        Err(error) => refused(error),
    };
    SENSORS.iter().map(|(name, read)| (format!("{}_{name}", called(index)), value(*read))).collect()
}

/// What the readings of a GPU begin with.
fn called(index: u32) -> String {
    if index == 0 { "gpu".to_owned() } else { format!("gpu{index}") }
}

fn refused(error: &NvmlError) -> Reading<f64> {
    match error {
        NvmlError::NoPermission => Reading::denied("NVIDIA's driver does not let this process read it"),
        NvmlError::NotSupported => Reading::absent("this GPU has no such sensor"),
        error => Reading::absent(format!("NVIDIA's driver does not tell: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn without_the_library_every_reading_says_so() {
        let why = open(OsStr::new("/no/such/libnvidia-ml.so.1")).err().unwrap();
        assert!(why.contains("no NVIDIA driver") && why.contains("No such file"), "{why}");
        let readings = of(Err(&why));
        assert_eq!(readings.len(), SENSORS.len());
        assert!(readings.values().all(|reading| matches!(reading, Reading::Absent { .. })), "{readings:?}");
        assert_eq!(readings["gpu_power_w"].why(), Some(why.as_str()));
    }

    /// Two GPUs, the second of which tells less.
    const FAKE: &str = r#"
        typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory;
        typedef struct { unsigned gpu, memory; } rates;
        static int gpus[2] = {0, 1};
        int nvmlInit_v2(void) { return 0; }
        int nvmlShutdown(void) { return 0; }
        int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **gpu) { *gpu = &gpus[index]; return 0; }
        int nvmlDeviceGetClockInfo(int *gpu, int kind, unsigned *mhz) { *mhz = kind == 1 ? 1980 - *gpu : 7; return 0; }
        int nvmlDeviceGetTemperature(int *gpu, int sensor, unsigned *c) { *c = 61 + *gpu; return 0; }
        int nvmlDeviceGetPowerUsage(int *gpu, unsigned *mw) { *mw = 412500; return *gpu ? 3 : 0; }
        int nvmlDeviceGetUtilizationRates(int *gpu, rates *out) { out->gpu = 97; out->memory = 1; return *gpu ? 4 : 0; }
        int nvmlDeviceGetMemoryInfo_v2(int *gpu, memory *out) { out->free = 2; out->used = 7; return 0; }
        int nvmlDeviceGetTotalEnergyConsumption(int *gpu, unsigned long long *mj) { *mj = 2500; return 0; }
    "#;

    #[test]
    fn what_the_driver_says_is_read_gpu_by_gpu() {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("fake.c"), dir.path().join("libnvidia-ml.so.1"));
        std::fs::write(&source, FAKE).unwrap();
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).arg(&library).arg(&source).status();
        match compiled {
            Ok(status) => assert!(status.success(), "the fake library does not compile"),
            Err(error) => {
                // Not by the macro, whose output cargo hides for tests that pass.
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("NOT RUN: there is no C compiler to make NVIDIA's library of ({error})\n"),
                );
                return;
            }
        }
        let nvml = open(library.as_os_str()).unwrap();
        let readings = of(Ok(&nvml));
        let value = |name: &str| readings[name].value().copied();
        assert_eq!((value("gpu_mhz"), value("gpu1_mhz")), (Some(1980.0), Some(1979.0)));
        assert_eq!((value("gpu_c"), value("gpu1_c")), (Some(61.0), Some(62.0)));
        assert_eq!((value("gpu_power_w"), value("gpu_load_percent")), (Some(412.5), Some(97.0)));
        assert_eq!((value("gpu_memory_bytes"), value("gpu_energy_j")), (Some(7.0), Some(2.5)));
        assert!(readings["gpu1_power_w"].why().unwrap().contains("no such sensor"), "{:?}", readings["gpu1_power_w"]);
        assert!(matches!(readings["gpu1_load_percent"], Reading::Denied { .. }), "{:?}", readings["gpu1_load_percent"]);
        assert_eq!(readings.len(), 2 * SENSORS.len());
    }
}
