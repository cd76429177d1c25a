//! Clusters: cores that share a clock (a policy of the kernel's cpufreq), named by the kind of their cores.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ditbench_record::Reading;
pub use ditbench_record::cpus::{list, parse as parse_list};
use serde::{Deserialize, Serialize};

use super::cores::{self, Kind};
use super::cpufreq::{ALLOWED, CHANGING, CPU, FILES, HARDWARE, POLICY};
use super::{Files, Sources};

/// Capacity up to which a core of an unknown kind counts as little; the fastest of a phone has 1024.
const LITTLE: u64 = 512;

/// Cores that share a clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// `little` for cores that run instructions in their order, `big` for the fastest, `mid` for what is between; `mid1`, `mid2`
    /// where there are several; `all` where all cores share a clock.
    pub name: String,
    /// Its cores.
    pub cpus: Vec<u32>,
    /// The cores' kind, `Cortex-A55`, where it is one that we know.
    #[serde(default)]
    pub core: Option<String>,
    /// The kernel's measure of speed; the fastest core of the phone has 1024. Some kernels give every core 1024.
    pub capacity: Option<u64>,
    /// The hardware's highest frequency.
    pub max_mhz: Option<f64>,
}

/// Groups cores, the slowest first.
pub fn group(sources: &Sources) -> Vec<Cluster> {
    let files = &sources.files;
    let kinds = cores::parse(&sources.cpuinfo);
    let mut cpus: Vec<u32> = FILES
        .iter()
        .chain(&CHANGING)
        .flat_map(|file| files.between(CPU, file))
        .filter(|(_, reading)| reading.value().is_some())
        .filter_map(|(cpu, _)| cpu.parse().ok())
        .collect();
    cpus.sort_unstable();
    cpus.dedup();
    let mut policies: BTreeMap<(String, u64, u64), (Cluster, Option<Kind>)> = BTreeMap::new();
    for cpu in cpus {
        let number = |file: &str| files.number(&format!("{CPU}{cpu}{file}")).value().copied().filter(|n| *n > 0.0);
        let (capacity, max_khz) = (number(FILES[0]).map(|n| n as u64), number(HARDWARE));
        let policy = files.value(&format!("{CPU}{cpu}{POLICY}")).unwrap_or_default();
        // Without a policy, cores of one speed count as sharing their clock.
        let key = if policy.is_empty() {
            (String::new(), capacity.unwrap_or(0), max_khz.unwrap_or(0.0) as u64)
        } else {
            (policy.to_owned(), 0, 0)
        };
        let kind = kinds.get(&cpu).copied();
        let cluster = Cluster {
            core: kind.map(|kind| kind.name.to_owned()),
            capacity,
            max_mhz: max_khz.map(|khz| khz / 1000.0),
            ..Cluster::default()
        };
        policies.entry(key).or_insert((cluster, kind)).0.cpus.push(cpu);
    }
    let mut clusters: Vec<(Cluster, Option<Kind>)> = policies.into_values().collect();
    clusters.sort_by(|a, b| slower(&a.0, &b.0));
    name(clusters)
}

/// By capacity, then by frequency, then by number.
fn slower(a: &Cluster, b: &Cluster) -> Ordering {
    let mhz = |cluster: &Cluster| cluster.max_mhz.unwrap_or(0.0);
    a.capacity.cmp(&b.capacity).then(mhz(a).total_cmp(&mhz(b))).then(a.cpus.cmp(&b.cpus))
}

/// Gives each its name; they come the slowest first.
fn name(clusters: Vec<(Cluster, Option<Kind>)>) -> Vec<Cluster> {
    let last = clusters.len().saturating_sub(1);
    let capacities: Vec<Option<u64>> = clusters.iter().map(|(cluster, _)| cluster.capacity).collect();
    // The same capacity for all says nothing.
    let telling = capacities.iter().any(|capacity| *capacity != capacities[0]);
    let of = |index: usize, cluster: &Cluster, kind: Option<Kind>| match (kind, cluster.capacity.filter(|_| telling)) {
        _ if last == 0 => "all",
        _ if index == last => "big",
        (Some(kind), _) => ["mid", "little"][usize::from(kind.in_order)],
        (None, Some(capacity)) => ["mid", "little"][usize::from(capacity <= LITTLE)],
        (None, None) => ["mid", "little"][usize::from(index == 0)],
    };
    let names: Vec<&str> = clusters.iter().enumerate().map(|(i, (cluster, kind))| of(i, cluster, *kind)).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut named = Vec::new();
    for ((cluster, _), name) in clusters.into_iter().zip(&names) {
        let number = seen.entry(name).or_default();
        *number += 1;
        let alike = names.iter().filter(|other| *other == name).count();
        let name = if alike == 1 { (*name).to_owned() } else { format!("{name}{number}") };
        named.push(Cluster { name, ..cluster });
    }
    named
}

impl Cluster {
    /// `0-3`, `4-6`, `7`, `0,2,5`: as the kernel writes lists of CPUs.
    pub fn range(&self) -> String {
        list(&self.cpus)
    }

    /// What a person wants to know of it: `big 7 Cortex-X3 3.2 GHz`.
    pub fn said(&self) -> String {
        let core = self.core.as_ref().map(|core| format!(" {core}")).unwrap_or_default();
        let clock = self.max_mhz.map(|mhz| format!(" {:.1} GHz", mhz / 1000.0)).unwrap_or_default();
        format!("{} {}{core}{clock}", self.name, self.range())
    }

    /// Its frequency now, in MHz.
    pub fn mhz(&self, files: &Files) -> Reading<f64> {
        self.clock(files, CHANGING[0])
    }

    /// The highest frequency that is allowed now, in MHz.
    pub fn allowed_mhz(&self, files: &Files) -> Reading<f64> {
        self.clock(files, ALLOWED)
    }

    /// The cores of a cluster share a clock, so the first one that answers speaks for all.
    fn clock(&self, files: &Files, file: &str) -> Reading<f64> {
        let mut last = Reading::absent("the cluster has no core");
        for cpu in &self.cpus {
            match files.number(&format!("{CPU}{cpu}{file}")) {
                Reading::Ok(khz) => return Reading::Ok(khz / 1000.0),
                other => last = other,
            }
        }
        last
    }
}

/// The CPUs that `--cluster` means: a cluster's name, `all`, a list such as `4-7`, a mask such as `0xf0`, or several of these with a
/// plus between them. `mid` means all clusters that are neither little nor the fastest.
///
/// # Errors
/// No such cluster or CPU; says which there are.
pub fn cpus_of(wanted: &str, clusters: &[Cluster]) -> Result<Vec<u32>, String> {
    let known: Vec<u32> = clusters.iter().flat_map(|cluster| cluster.cpus.iter().copied()).collect();
    let there: Vec<String> = clusters.iter().map(|cluster| format!("{} ({})", cluster.name, cluster.range())).collect();
    let there = if there.is_empty() { "none that it tells of".to_owned() } else { there.join(", ") };
    let mut cpus = Vec::new();
    for part in wanted.split('+').map(str::trim) {
        let found = one(part, clusters, &known);
        if found.is_empty() {
            return Err(format!(
                "--cluster {wanted}: this phone has {there}; give one of these, several as in mid+big, all, a list such as 4-7, or a mask such as 0xf0"
            ));
        }
        cpus.extend(found);
    }
    cpus.sort_unstable();
    cpus.dedup();
    match cpus.iter().find(|cpu| !known.is_empty() && !known.contains(cpu)) {
        Some(cpu) => Err(format!("--cluster {wanted}: there is no CPU {cpu}; this phone has {there}")),
        None => Ok(cpus),
    }
}

/// The CPUs of one part of a choice; empty if it means none.
fn one(part: &str, clusters: &[Cluster], known: &[u32]) -> Vec<u32> {
    let is = |cluster: &Cluster| {
        let kind = ["little", "mid"].into_iter().find(|kind| *kind == part);
        cluster.name == part || kind.is_some_and(|kind| cluster.name.starts_with(kind))
    };
    let named: Vec<u32> = clusters.iter().filter(|c| is(c)).flat_map(|cluster| cluster.cpus.iter().copied()).collect();
    if !named.is_empty() {
        return named;
    }
    if part == "all" {
        return known.to_vec();
    }
    match part.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
        Some(mask) => (0..64).filter(|cpu| mask >> cpu & 1 == 1).collect(),
        None => parse_list(part).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A core: capacity, highest frequency, part.
    type Core = (Option<u64>, u64, Option<u32>);

    /// A phone of policies with so many cores each.
    fn phone(policies: &[(usize, Core)]) -> Vec<Cluster> {
        let (mut files, mut cpuinfo, mut cpu) = (String::new(), String::new(), 0);
        for &(count, (capacity, khz, part)) in policies {
            let related: Vec<String> = (cpu..cpu + count).map(|cpu| cpu.to_string()).collect();
            for _ in 0..count {
                files += &capacity.map_or_else(
                    || format!("grep: {CPU}{cpu}/cpu_capacity: No such file or directory\n"),
                    |capacity| format!("{CPU}{cpu}/cpu_capacity:{capacity}\n"),
                );
                files += &format!("{CPU}{cpu}{HARDWARE}:{khz}\n{CPU}{cpu}{POLICY}:{}\n", related.join(" "));
                if let Some(part) = part {
                    cpuinfo += &format!("processor: {cpu}\nCPU implementer: 0x41\nCPU part: {part:#x}\n");
                }
                cpu += 1;
            }
        }
        group(&Sources { files: Files::parse(&files), cpuinfo, ..Sources::default() })
    }

    fn said(clusters: &[Cluster]) -> Vec<String> {
        clusters.iter().map(|c| format!("{} {}", c.name, c.range())).collect()
    }

    #[test]
    fn three_kinds() {
        let clusters = phone(&[
            (4, (Some(160), 1_704_000, Some(0xd05))),
            (4, (Some(498), 2_367_000, Some(0xd41))),
            (1, (Some(1024), 2_914_000, Some(0xd44))),
        ]);
        assert_eq!(said(&clusters), ["little 0-3", "mid 4-7", "big 8"]);
        assert_eq!(clusters[2].said(), "big 8 Cortex-X1 2.9 GHz");
        assert_eq!(cpus_of("big", &clusters).unwrap(), [8]);
        assert_eq!(cpus_of("big+mid", &clusters).unwrap(), [4, 5, 6, 7, 8]);
        assert_eq!(cpus_of("all", &clusters).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(cpus_of("0x30", &clusters).unwrap(), [4, 5]);
        assert_eq!(cpus_of("0-1,8", &clusters).unwrap(), [0, 1, 8]);
        assert!(cpus_of("9", &clusters).unwrap_err().contains("no CPU 9"));
        for wrong in ["huge", "big+huge", "big+", ""] {
            let error = cpus_of(wrong, &clusters).unwrap_err();
            assert!(error.contains("little (0-3), mid (4-7), big (8)"), "{error}");
        }
    }

    #[test]
    fn a_policy_is_a_cluster_whatever_the_capacities_say() {
        // A kernel without the properties from which capacities are made gives every core 1024.
        let alike = phone(&[(4, (Some(1024), 2_000_000, None)), (4, (Some(1024), 2_600_000, None))]);
        assert_eq!(said(&alike), ["little 0-3", "big 4-7"]);
        assert_eq!(alike[0].max_mhz, Some(2000.0));
        // Two policies of one capacity have a clock each.
        let twins = phone(&[
            (4, (Some(300), 1_900_000, Some(0xd80))),
            (2, (Some(800), 2_000_000, Some(0xd81))),
            (1, (Some(800), 3_100_000, Some(0xd81))),
            (1, (Some(1024), 3_300_000, Some(0xd82))),
        ]);
        assert_eq!(said(&twins), ["little 0-3", "mid1 4-5", "mid2 6", "big 7"]);
        assert_eq!((twins[1].max_mhz, twins[2].max_mhz), (Some(2000.0), Some(3100.0)));
        assert_eq!(cpus_of("mid", &twins).unwrap(), [4, 5, 6]);
    }

    #[test]
    fn only_cores_that_run_in_order_are_little() {
        let dimensity = phone(&[
            (4, (Some(500), 2_000_000, Some(0xd81))),
            (3, (Some(900), 2_850_000, Some(0xd82))),
            (1, (Some(1024), 3_250_000, Some(0xd82))),
        ]);
        assert_eq!(said(&dimensity), ["mid1 0-3", "mid2 4-6", "big 7"]);
        // Cores of a kind that nobody knows, by their capacity.
        let elite = phone(&[(6, (Some(792), 3_532_800, None)), (2, (Some(1024), 4_473_600, None))]);
        assert_eq!(said(&elite), ["mid 0-5", "big 6-7"]);
    }

    #[test]
    fn frequency_stands_in_for_a_missing_capacity() {
        let clusters = phone(&[(2, (None, 1_800_000, None)), (1, (None, 2_400_000, None))]);
        assert_eq!(said(&clusters), ["little 0-1", "big 2"]);
    }

    #[test]
    fn one_kind_and_none() {
        assert_eq!(phone(&[(2, (Some(1024), 1, None))])[0].name, "all");
        assert!(group(&Sources::default()).is_empty());
    }

    #[test]
    fn without_policies_cores_of_one_speed_belong_together() {
        let text: String =
            [(0, 512), (1, 512), (2, 1024)].map(|(cpu, n)| format!("{CPU}{cpu}/cpu_capacity:{n}\n")).concat();
        let clusters = group(&Sources { files: Files::parse(&text), ..Sources::default() });
        assert_eq!(said(&clusters), ["little 0-1", "big 2"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}", file in "(/sys/devices/system/cpu/cpu[0-9]{0,12}/cpu(_capacity|freq/(cpuinfo_max_freq|related_cpus)):.{0,30}\n){0,6}") {
            let sources = Sources { files: Files::parse(&file), cpuinfo: text.clone(), ..Sources::default() };
            let _ = cpus_of(&text, &group(&sources));
        }
    }
}
