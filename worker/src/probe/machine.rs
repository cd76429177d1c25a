//! What this machine is: processor, memory, system, limits of a container. No host name, no user name.

use std::fs;
use std::path::Path;

use ditbench_record::{Calibration, Machine, Reading};

use super::read::first_line;
use super::{cgroup, cpus, memory};

/// Everything but the measured peaks and the calibration.
pub fn probe() -> Machine {
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing()
            .with_cpu(sysinfo::CpuRefreshKind::nothing())
            .with_memory(sysinfo::MemoryRefreshKind::everything()),
    );
    let root = super::root();
    let allowed = cpus::allowed(root);
    let known = system.as_ref().map(sysinfo::System::cpus).unwrap_or_default();
    let cpu_model = known.first().map(|cpu| cpu.brand().trim().to_owned()).filter(|brand| !brand.is_empty());
    Machine {
        cpu_model: Reading::or_absent(cpu_model, "the system does not name its processor"),
        architecture: std::env::consts::ARCH.to_owned(),
        physical_cores: Reading::or_absent(
            sysinfo::System::physical_core_count().ok().and_then(|n| u32::try_from(n).ok()),
            "the system does not distinguish cores from hyper-threads",
        ),
        usable_cores: Reading::or_absent(
            cpus::cores(root, &allowed),
            "the kernel does not distinguish cores from hyper-threads among the CPUs that this process may use",
        ),
        logical_cores: Reading::or_absent(u32::try_from(cores()).ok(), "more cores than we can count"),
        cpu_features: cpu_features(),
        memory_bytes: Reading::or_absent(
            system.as_ref().ok().map(sysinfo::System::total_memory).filter(|&bytes| bytes > 0),
            "the system does not say",
        ),
        memory_available_bytes: Reading::or_absent(
            memory::available().map(|available| available.bytes),
            "/proc/meminfo has no MemAvailable",
        ),
        swap_bytes: Reading::or_absent(
            system.as_ref().ok().map(sysinfo::System::total_swap),
            "the system does not say",
        ),
        memory_limit_bytes: cgroup::memory_limit(root),
        cpu_quota: cgroup::cpu_quota(root),
        cpus_allowed: Reading::or_absent(crate::measure::pin::allowed(), "/proc/self/status has no Cpus_allowed_list"),
        os: Reading::or_absent(sysinfo::System::long_os_version().ok(), "the system does not say"),
        kernel: Reading::or_absent(sysinfo::System::kernel_version().ok(), "the system does not say"),
        governor: cpus::governor(root, &allowed),
        hypervisor: hypervisor(root),
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

fn hypervisor(root: &Path) -> Reading<String> {
    let dmi = ["sys_vendor", "product_name"].map(|file| first_line(root.join("sys/class/dmi/id").join(file)));
    let names: Vec<&str> =
        dmi.iter().filter_map(|line| line.value().map(String::as_str)).filter(|name| !name.is_empty()).collect();
    let flagged = fs::read_to_string(root.join("proc/cpuinfo")).is_ok_and(|text| cpus::is_virtual(&text));
    match (flagged, names.is_empty()) {
        (true, true) => Reading::Ok("a virtual machine of unknown make".to_owned()),
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
        "avx512fp16",
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
    fn a_missing_file_says_which() {
        assert!(first_line("/nowhere/at/all").why().is_some_and(|why| why.starts_with("/nowhere/at/all")));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(probe().memory_bytes.value().is_some_and(|&bytes| bytes > 0));
    }
}
