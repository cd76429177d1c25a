//! The CPUs that this process may use, and what they say of themselves: cores, clock, governor.
//!
//! Contract: only of those CPUs. A container's process is not told of the rest of its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ditbench_record::{Reading, cpus};

use super::phone::sources;
use super::read::first_line;

/// The CPUs that the kernel lets this process use, by its `Cpus_allowed_list`. Empty where it does not say.
pub fn allowed(root: &Path) -> Vec<u32> {
    let status = fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    sources::cpus_allowed(&status).and_then(|list| cpus::parse(&list)).unwrap_or_default()
}

/// Cores among the CPUs, hyper-threads counted once; `None` where the kernel does not tell them apart.
pub fn cores(root: &Path, cpus: &[u32]) -> Option<u32> {
    let siblings = |cpu: &u32| {
        let path = root.join(format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"));
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    };
    let cores: BTreeSet<String> = cpus.iter().map(siblings).collect::<Option<_>>()?;
    u32::try_from(cores.len()).ok().filter(|&cores| cores > 0)
}

/// Mean frequency of the CPUs now, in MHz.
pub fn mhz(root: &Path, cpus: &[u32]) -> Reading<f64> {
    let of = |cpu: &u32| {
        let path = root.join(format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"));
        fs::read_to_string(path).ok()?.trim().parse::<f64>().ok()
    };
    let khz: Vec<f64> = cpus.iter().filter_map(of).collect();
    if let Some(mean) = mean(&khz) {
        return Reading::Ok(mean / 1000.0);
    }
    let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    if is_virtual(&cpuinfo) {
        return Reading::absent(
            "a virtual machine without cpufreq: what /proc/cpuinfo gives is the processor's nominal clock, which never changes",
        );
    }
    Reading::or_absent(mean(&of_cpuinfo(&cpuinfo, cpus)), "neither cpufreq nor /proc/cpuinfo gives a frequency")
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Whether the processor says that it is a hypervisor's.
pub fn is_virtual(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// `cpu MHz` of these CPUs: each stands below its `processor` line.
fn of_cpuinfo(cpuinfo: &str, cpus: &[u32]) -> Vec<f64> {
    let mut found = Vec::new();
    let mut ours = false;
    for (name, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        match name.trim() {
            "processor" => ours = value.trim().parse().is_ok_and(|cpu: u32| cpus.contains(&cpu)),
            "cpu MHz" if ours => found.extend(value.trim().parse::<f64>()),
            _ => {}
        }
    }
    found
}

/// The frequency governor; with the CPUs of each where they differ.
pub fn governor(root: &Path, cpus: &[u32]) -> Reading<String> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut refused = Reading::absent("the kernel does not say which CPUs this process may use");
    for &cpu in cpus {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        match first_line(root.join(path)) {
            Reading::Ok(governor) => found.entry(governor).or_default().push(cpu),
            other => refused = other,
        }
    }
    match found.len() {
        0 => refused,
        1 => Reading::or_absent(found.into_keys().next(), "no governor"),
        _ => {
            let each = found.iter().map(|(governor, cpus)| format!("{governor} (CPUs {})", cpus::list(cpus)));
            Reading::Ok(each.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn the_cpus_of_a_container_are_its_own() {
        let dir = tree(&[("proc/self/status", "Name:\tx\nCpus_allowed_list:\t2-3,8\nMems_allowed:\t1\n")]);
        assert_eq!(allowed(dir.path()), [2, 3, 8]);
        assert!(allowed(&dir.path().join("nowhere")).is_empty());
    }

    #[test]
    fn a_clock_is_that_of_the_cpus_that_may_be_used() {
        let file = |cpu, khz| (format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"), khz);
        let files = [file(0, "800000\n"), file(1, "800000\n"), file(2, "3000000\n"), file(3, "2000000\n")];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, khz)| (name.as_str(), *khz)).collect();
        let dir = tree(&files);
        assert_eq!(mhz(dir.path(), &[2, 3]), Reading::Ok(2500.0));
    }

    #[test]
    fn without_cpufreq_the_processor_is_asked_but_not_a_virtual_one() {
        let bare = "processor\t: 0\nflags\t\t: fpu avx2\ncpu MHz\t\t: 800.0\n\nprocessor\t: 1\ncpu MHz\t\t: 3000.0\n";
        let dir = tree(&[("proc/cpuinfo", bare)]);
        assert_eq!(mhz(dir.path(), &[1]), Reading::Ok(3000.0), "of CPU 1 alone");
        assert_eq!(mhz(dir.path(), &[0, 1]), Reading::Ok(1900.0));
        let nominal = bare.replace("avx2", "avx2 hypervisor");
        let dir = tree(&[("proc/cpuinfo", &nominal)]);
        assert!(
            mhz(dir.path(), &[1]).why().is_some_and(|why| why.contains("never changes")),
            "a constant is no reading"
        );
        assert!(mhz(&dir.path().join("nowhere"), &[0]).why().is_some());
    }

    #[test]
    fn cores_are_counted_among_the_cpus_that_may_be_used() {
        let file = |cpu, list| (format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"), list);
        let files = [file(0, "0,2\n"), file(1, "1,3\n"), file(2, "0,2\n"), file(3, "1,3\n")];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, list)| (name.as_str(), *list)).collect();
        let dir = tree(&files);
        assert_eq!(cores(dir.path(), &[0, 1, 2, 3]), Some(2));
        assert_eq!(cores(dir.path(), &[0, 2]), Some(1), "two threads of one core");
        assert_eq!(cores(dir.path(), &[0, 9]), None);
        assert_eq!(cores(dir.path(), &[]), None);
    }

    #[test]
    fn a_governor_is_that_of_the_cpus_that_may_be_used() {
        let file = |cpu, name| (format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"), name);
        let files = [file(0, "powersave\n"), file(1, "performance\n"), file(2, "performance\n")];
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let dir = tree(&files);
        assert_eq!(governor(dir.path(), &[1, 2]), Reading::Ok("performance".to_owned()));
        assert_eq!(
            governor(dir.path(), &[0, 1, 2]),
            Reading::Ok("performance (CPUs 1-2), powersave (CPUs 0)".to_owned())
        );
        assert!(governor(dir.path(), &[7]).why().is_some_and(|why| why.contains("cpu7")));
        assert!(governor(dir.path(), &[]).why().is_some());
    }
}
