//! Clusters: cores of one kind, told apart by capacity, or by highest frequency where the kernel gives no capacity.

use std::collections::BTreeMap;

use ditbench_record::Reading;
use serde::{Deserialize, Serialize};

use super::Files;

/// Folder of the cores.
pub const CPU: &str = "/sys/devices/system/cpu/cpu";
/// Files that tell clusters apart, below each core's folder.
pub const FILES: [&str; 3] = ["/cpu_capacity", "/cpufreq/cpuinfo_max_freq", "/cpufreq/scaling_max_freq"];

/// Cores of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// `little`, `mid`, `big`; `mid1`, `mid2` where there are four kinds; `all` where all cores are alike.
    pub name: String,
    /// Its cores.
    pub cpus: Vec<u32>,
    /// The kernel's measure of speed; the fastest core of the phone has 1024.
    pub capacity: Option<u64>,
    /// The hardware's highest frequency.
    pub max_mhz: Option<f64>,
    /// The highest frequency allowed now, which heat or a battery saver may have lowered.
    pub allowed_mhz: Option<f64>,
}

/// Groups cores, the slowest kind first.
pub fn group(files: &Files) -> Vec<Cluster> {
    let mut kinds: BTreeMap<(u64, u64), Cluster> = BTreeMap::new();
    let mut cpus: Vec<u32> = FILES
        .iter()
        .flat_map(|file| files.between(CPU, file))
        .filter(|(_, reading)| reading.value().is_some())
        .filter_map(|(cpu, _)| cpu.parse().ok())
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    for cpu in cpus {
        let number = |file: &str| files.number(&format!("{CPU}{cpu}{file}")).value().copied().filter(|n| *n > 0.0);
        let [capacity, max_khz, allowed_khz] = FILES.map(number);
        let key = (capacity.unwrap_or(0.0) as u64, if capacity.is_some() { 0 } else { max_khz.unwrap_or(0.0) as u64 });
        let cluster = kinds.entry(key).or_insert_with(|| Cluster {
            name: String::new(),
            cpus: Vec::new(),
            capacity: capacity.map(|n| n as u64),
            max_mhz: max_khz.map(|khz| khz / 1000.0),
            allowed_mhz: allowed_khz.map(|khz| khz / 1000.0),
        });
        cluster.cpus.push(cpu);
    }
    let mut clusters: Vec<Cluster> = kinds.into_values().collect();
    let last = clusters.len().saturating_sub(1);
    for (index, cluster) in clusters.iter_mut().enumerate() {
        cluster.name = match (index, last) {
            (_, 0) => "all".to_owned(),
            (0, _) => "little".to_owned(),
            (index, last) if index == last => "big".to_owned(),
            (_, 2) => "mid".to_owned(),
            (index, _) => format!("mid{index}"),
        };
    }
    clusters
}

impl Cluster {
    /// `0-3`, `4-6`, `7`, `0,2,5`: as the kernel writes lists of CPUs.
    pub fn range(&self) -> String {
        list(&self.cpus)
    }

    /// Its frequency now, in MHz: the cores of a cluster share a clock, so the first one that answers speaks for all.
    pub fn mhz(&self, files: &Files) -> Reading<f64> {
        let mut last = Reading::absent("the cluster has no core");
        for cpu in &self.cpus {
            match files.number(&format!("{CPU}{cpu}/cpufreq/scaling_cur_freq")) {
                Reading::Ok(khz) => return Reading::Ok(khz / 1000.0),
                other => last = other,
            }
        }
        last
    }
}

/// Numbers as the kernel writes lists of CPUs.
pub fn list(cpus: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &cpu in cpus {
        match parts.last_mut() {
            Some((_, end)) if cpu == end.saturating_add(1) => *end = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let part = |(a, b): (u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    parts.into_iter().map(part).collect::<Vec<_>>().join(",")
}

/// Reads a list of CPUs: `0-3,7`.
pub fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to > 4095 {
            return None;
        }
        cpus.extend(from..=to);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// The CPUs that `--cluster` means: a cluster's name, a list such as `4-7`, or a mask such as `0xf0`. `mid` means all
/// clusters between the slowest and the fastest.
///
/// # Errors
/// No such cluster or CPU; says which there are.
pub fn cpus_of(wanted: &str, clusters: &[Cluster]) -> Result<Vec<u32>, String> {
    let known: Vec<u32> = clusters.iter().flat_map(|cluster| cluster.cpus.iter().copied()).collect();
    let mut cpus: Vec<u32> = clusters
        .iter()
        .filter(|cluster| cluster.name == wanted || (wanted == "mid" && cluster.name.starts_with("mid")))
        .flat_map(|cluster| cluster.cpus.iter().copied())
        .collect();
    if cpus.is_empty() {
        let mask = wanted.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        cpus = match mask {
            Some(mask) => (0..64).filter(|cpu| mask >> cpu & 1 == 1).collect(),
            None => parse_list(wanted).unwrap_or_default(),
        };
    }
    let there: Vec<String> = clusters.iter().map(|cluster| format!("{} ({})", cluster.name, cluster.range())).collect();
    let there = if there.is_empty() { "none that it tells of".to_owned() } else { there.join(", ") };
    if cpus.is_empty() {
        return Err(format!(
            "--cluster {wanted}: this phone has {there}; give one of these, a list such as 4-7, or a mask such as 0xf0"
        ));
    }
    match cpus.iter().find(|cpu| !known.is_empty() && !known.contains(cpu)) {
        Some(cpu) => Err(format!("--cluster {wanted}: there is no CPU {cpu}; this phone has {there}")),
        None => Ok(cpus),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Capacities and highest frequencies, one a core.
    fn phone(cores: &[(Option<u64>, u64)]) -> Vec<Cluster> {
        let text: String = cores
            .iter()
            .enumerate()
            .map(|(cpu, (capacity, khz))| {
                let capacity = capacity.map_or_else(
                    || format!("grep: {CPU}{cpu}/cpu_capacity: No such file or directory\n"),
                    |capacity| format!("{CPU}{cpu}/cpu_capacity:{capacity}\n"),
                );
                format!("{capacity}{CPU}{cpu}/cpufreq/cpuinfo_max_freq:{khz}\n")
            })
            .collect();
        group(&Files::parse(&text))
    }

    #[test]
    fn three_kinds() {
        let mut cores = vec![(Some(160), 1_704_000); 4];
        cores.extend([(Some(498), 2_367_000); 4]);
        cores.push((Some(1024), 2_914_000));
        let clusters = phone(&cores);
        let said: Vec<String> = clusters.iter().map(|c| format!("{} {}", c.name, c.range())).collect();
        assert_eq!(said, ["little 0-3", "mid 4-7", "big 8"]);
        assert_eq!(clusters[2].max_mhz, Some(2914.0));
        assert_eq!(cpus_of("big", &clusters).unwrap(), [8]);
        assert_eq!(cpus_of("0x30", &clusters).unwrap(), [4, 5]);
        assert_eq!(cpus_of("0-1,8", &clusters).unwrap(), [0, 1, 8]);
        assert!(cpus_of("9", &clusters).unwrap_err().contains("no CPU 9"));
        assert!(cpus_of("huge", &clusters).unwrap_err().contains("little (0-3), mid (4-7), big (8)"));
    }

    #[test]
    fn frequency_stands_in_for_a_missing_capacity() {
        let clusters = phone(&[(None, 1_800_000), (None, 1_800_000), (None, 2_400_000)]);
        assert_eq!(clusters.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["little", "big"]);
    }

    #[test]
    fn four_kinds_and_one() {
        let four = phone(&[(Some(1), 1), (Some(2), 1), (Some(3), 1), (Some(4), 1)]);
        assert_eq!(four.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["little", "mid1", "mid2", "big"]);
        assert_eq!(cpus_of("mid", &four).unwrap(), [1, 2]);
        assert_eq!(phone(&[(Some(1024), 1), (Some(1024), 1)])[0].name, "all");
        assert!(group(&Files::default()).is_empty());
    }

    proptest! {
        #[test]
        fn lists_read_back(mut cpus in proptest::collection::vec(0u32..64, 1..20)) {
            cpus.sort_unstable();
            cpus.dedup();
            prop_assert_eq!(parse_list(&list(&cpus)), Some(cpus));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}", file in "(/sys/devices/system/cpu/cpu[0-9]{0,12}/cpu(_capacity|freq/cpuinfo_max_freq):.{0,30}\n){0,6}") {
            let _ = cpus_of(&text, &group(&Files::parse(&file)));
        }
    }
}
