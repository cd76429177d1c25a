//! What this machine is: processor, memory, system, limits of a container. No host name, no user name.

use std::fs;
use std::path::Path;

use ditbench_record::{Calibration, Machine, Reading};

use super::memory;

/// Everything but the measured peaks and the calibration.
pub fn probe() -> Machine {
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing()
            .with_cpu(sysinfo::CpuRefreshKind::nothing())
            .with_memory(sysinfo::MemoryRefreshKind::everything()),
    );
    let cpus = system.as_ref().map(sysinfo::System::cpus).unwrap_or_default();
    let cpu_model = cpus.first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty());
    Machine {
        cpu_model: Reading::or_absent(cpu_model, "the system does not name its processor"),
        architecture: std::env::consts::ARCH.to_owned(),
        physical_cores: Reading::or_absent(
            sysinfo::System::physical_core_count().ok().and_then(|n| u32::try_from(n).ok()),
            "the system does not tell cores from hyper-threads",
        ),
        logical_cores: Reading::or_absent(u32::try_from(cores()).ok(), "more cores than we can count"),
        cpu_features: cpu_features(),
        memory_bytes: Reading::or_absent(
            system.as_ref().ok().map(sysinfo::System::total_memory).filter(|&bytes| bytes > 0),
            "the system does not say",
        ),
        memory_available_bytes: Reading::or_absent(memory::available(), "/proc/meminfo has no MemAvailable"),
        swap_bytes: Reading::or_absent(
            system.as_ref().ok().map(sysinfo::System::total_swap),
            "the system does not say",
        ),
        memory_limit_bytes: cgroup("memory.max").map_or_else(absent_cgroup, |text| {
            Reading::or_absent(text.trim().parse().ok(), format!("the control group sets no limit ({})", text.trim()))
        }),
        cpu_quota: cgroup("cpu.max").map_or_else(absent_cgroup, |text| quota(&text)),
        cpus_allowed: Reading::or_absent(crate::measure::pin::allowed(), "/proc/self/status has no Cpus_allowed_list"),
        os: Reading::or_absent(sysinfo::System::long_os_version().ok(), "the system does not say"),
        kernel: Reading::or_absent(sysinfo::System::kernel_version().ok(), "the system does not say"),
        governor: first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        hypervisor: hypervisor(),
        readings: super::sensors::read(),
        phone: None,
        peaks: Vec::new(),
        calibration: Calibration::default(),
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn absent_cgroup<T>() -> Reading<T> {
    Reading::absent("this process is in no control group (version 2) that says")
}

/// A file of this process's control group.
fn cgroup(file: &str) -> Option<String> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/');
    let root = Path::new("/sys/fs/cgroup");
    [root.join(path).join(file), root.join(file)].iter().find_map(|path| fs::read_to_string(path).ok())
}

/// `max 100000` or `150000 100000`: microseconds of processor time per period.
fn quota(text: &str) -> Reading<f64> {
    let mut parts = text.split_whitespace();
    match (parts.next().map(str::parse::<f64>), parts.next().map(str::parse::<f64>)) {
        (Some(Ok(quota)), Some(Ok(period))) if period > 0.0 => Reading::Ok(quota / period),
        _ => Reading::absent("the control group sets no limit"),
    }
}

/// The first line of a file of the system's, or why it cannot be read.
pub(super) fn first_line(path: &str) -> Reading<String> {
    match fs::read_to_string(path) {
        Ok(text) => {
            Reading::or_absent(text.lines().next().map(|line| line.trim().to_owned()), format!("{path} is empty"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Reading::denied(format!("{path}: {error}"))
        }
        Err(error) => Reading::absent(format!("{path}: {error}")),
    }
}

fn hypervisor() -> Reading<String> {
    let dmi = [first_line("/sys/class/dmi/id/sys_vendor"), first_line("/sys/class/dmi/id/product_name")];
    let names: Vec<&str> =
        dmi.iter().filter_map(|line| line.value().map(String::as_str)).filter(|name| !name.is_empty()).collect();
    let flagged = fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        text.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
    });
    match (flagged, names.is_empty()) {
        (true, true) => Reading::Ok("a virtual machine that does not name its maker".to_owned()),
        (true, false) => Reading::Ok(names.join(" ")),
        (false, _) => Reading::absent("the processor flags no hypervisor"),
    }
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<String> {
    macro_rules! present {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name))),*]
        };
    }
    named(&present![
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512vnni",
        "avx512bf16",
        "avxvnni"
    ])
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<String> {
    macro_rules! present {
        ($($name:tt),*) => {
            [$(($name, std::arch::is_aarch64_feature_detected!($name))),*]
        };
    }
    named(&present!["neon", "dotprod", "fp16", "i8mm", "bf16", "sve"])
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<String> {
    Vec::new()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn named(features: &[(&str, bool)]) -> Vec<String> {
    features.iter().filter(|(_, present)| *present).map(|(name, _)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_in_cores() {
        assert_eq!(quota("150000 100000\n"), Reading::Ok(1.5));
        assert_eq!(quota("max 100000").value(), None);
        assert_eq!(quota("").value(), None);
    }

    #[test]
    fn a_missing_file_says_which() {
        assert!(first_line("/nowhere/at/all").why().is_some_and(|why| why.starts_with("/nowhere/at/all")));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(probe().memory_bytes.value().is_some_and(|&bytes| bytes > 0));
    }
}
