//! The machine: what it says of itself, and what it was measured to reach.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ForeignLoad, Reading};

/// The machine that a run ran on. No host name, no user name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    #[serde(default)]
    pub cpu_model: Reading<String>,
    /// `x86_64`, `aarch64`, …
    #[serde(default)]
    pub architecture: String,
    /// Cores of the machine, hyper-threads counted once.
    #[serde(default)]
    pub physical_cores: Reading<u32>,
    /// Cores that this process may use, hyper-threads counted once.
    #[serde(default)]
    pub usable_cores: Reading<u32>,
    /// Threads of execution that this process may use.
    #[serde(default)]
    pub logical_cores: Reading<u32>,
    /// Instruction-set extensions that matter to kernels: `avx2`, `avx512_vnni`, `neon`, `dotprod`, …
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Main memory.
    #[serde(default)]
    pub memory_bytes: Reading<u64>,
    /// Memory that was available when the run began.
    #[serde(default)]
    pub memory_available_bytes: Reading<u64>,
    /// Swap space, zram included.
    #[serde(default)]
    pub swap_bytes: Reading<u64>,
    /// Memory that a container allows this process.
    #[serde(default)]
    pub memory_limit_bytes: Reading<u64>,
    /// CPU time that a container allows, in cores.
    #[serde(default)]
    pub cpu_quota: Reading<f64>,
    /// CPUs that the program may use, as the kernel writes lists: `0-3`. What a launch was pinned to is in the launch.
    #[serde(default)]
    pub cpus_allowed: Reading<String>,
    /// Operating system and its version.
    #[serde(default)]
    pub os: Reading<String>,
    /// Kernel release.
    #[serde(default)]
    pub kernel: Reading<String>,
    /// Frequency governor of the CPUs that this process may use.
    #[serde(default)]
    pub governor: Reading<String>,
    /// The hypervisor or container runtime under it.
    #[serde(default)]
    pub hypervisor: Reading<String>,
    /// Anything else that it says, by name with the unit in it: `cpu_max_mhz`, `load_1min`.
    #[serde(default)]
    pub readings: BTreeMap<String, Reading<f64>>,
    /// What only a phone has; `None` for any other machine.
    #[serde(default)]
    pub phone: Option<PhoneFacts>,
    /// Measured peaks: the roof under which achieved rates are put.
    #[serde(default)]
    pub peaks: Vec<Peak>,
    /// The fixed calibration loop around the run: did the machine slow down on its own?
    #[serde(default)]
    pub calibration: Calibration,
}

impl Machine {
    /// The measured peak of a kind (`f32`, `q4`, `q8`, `int8`, `bandwidth`) at a thread count, on these CPUs.
    pub fn peak(&self, kind: &str, threads: u32, cpus: &str) -> Option<&Peak> {
        self.peaks.iter().find(|peak| peak.kind == kind && peak.threads == threads && peak.cpus == cpus)
    }
}

/// A phone: who it is, and how it was treated. No serial number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhoneFacts {
    /// Maker and model.
    #[serde(default)]
    pub model: Reading<String>,
    /// System on a chip, by the maker's name or the board's.
    #[serde(default)]
    pub soc: Reading<String>,
    /// Android's version.
    #[serde(default)]
    pub android: Reading<String>,
    /// Android's API level.
    #[serde(default)]
    pub sdk: Reading<u32>,
    /// `arm64-v8a`.
    #[serde(default)]
    pub abi: Reading<String>,
    /// The build of its system.
    #[serde(default)]
    pub fingerprint: Reading<String>,
    /// Cores by kind, the slowest first.
    #[serde(default)]
    pub clusters: Vec<Cluster>,
    /// CPUs that all workers were pinned to, in records of older programs: `4-7`. Newer ones have them in each cell's key.
    #[serde(default)]
    pub asked_cpus: Option<String>,
    /// Whether heat was part of what was measured: launches that were held back count, and none is made again.
    #[serde(default)]
    pub sustained: bool,
    /// Whether the screen was on when the run began: Android's word for it, `Awake`, `Asleep`, `Dozing`.
    #[serde(default)]
    pub screen: Reading<String>,
    /// Whether the battery saver was on.
    #[serde(default)]
    pub battery_saver: Reading<bool>,
    /// The user that workers ran as: 2000 is the shell, 0 is root.
    #[serde(default)]
    pub uid: Reading<u32>,
    /// The group of CPUs that the kernel had the shell in: `/`, `/foreground`, `/background`.
    #[serde(default)]
    pub cpuset: Reading<String>,
    /// The profile of Android's scheduling that workers were put into: `MaxPerformance`; `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_profile: Option<String>,
    /// From which temperatures on Android does more against heat, by sensor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<HotThreshold>,
    /// Whether Android's fixed-performance mode was asked for; `None` in older records.
    #[serde(default)]
    pub fixed_performance: Option<bool>,
}

/// Where a sensor makes Android act.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HotThreshold {
    /// The vendor's name for the sensor.
    pub sensor: String,
    /// Whether it is of the surface that a hand feels.
    #[serde(default)]
    pub skin: bool,
    /// Degrees Celsius from which on each status holds, by its number; `None` where there is no such step.
    #[serde(default)]
    pub celsius: Vec<Option<f64>>,
}

/// Cores that share a clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// `little`, `mid`, `big`, `all`; `mid1`, `mid2` where there are several.
    pub name: String,
    /// Its CPUs, as the kernel writes lists: `0-3`.
    #[serde(default)]
    pub cpus: String,
    /// The kernel's measure of speed; the fastest core has 1024.
    #[serde(default)]
    pub capacity: Option<u64>,
    /// The hardware's highest frequency.
    #[serde(default)]
    pub max_mhz: Option<f64>,
    /// The cores' kind: `Cortex-A55`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<String>,
}

/// What a small loop of our own reached on this machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// A multiply-add counts as 2. `f32`: fused multiply-adds. `q4`, `q8`: 8-bit products as linears with weights in few bits need
    /// them, in groups of 32 with scales in f32. `int8`: 8-bit products alone. `bandwidth`: bytes read.
    pub kind: String,
    /// Threads that ran it.
    pub threads: u32,
    /// CPUs that they were pinned to: `4-7`; empty where they were not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cpus: String,
    /// The best of `samples`: what disturbs a peak lowers it.
    pub value: f64,
    /// `GFLOP/s`, `GOP/s`, `GB/s` (10⁹).
    pub unit: String,
    /// Every repetition: their spread says how steady the machine is.
    #[serde(default)]
    pub samples: Vec<f64>,
    /// What was run, in a sentence.
    #[serde(default)]
    pub method: String,
    /// What else ran meanwhile on the CPUs that it was allowed.
    #[serde(default)]
    pub foreign: Reading<ForeignLoad>,
}

/// Seconds that one fixed piece of work took before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Before measuring.
    #[serde(default)]
    pub before_s: Reading<f64>,
    /// After measuring.
    #[serde(default)]
    pub after_s: Reading<f64>,
}

impl Calibration {
    /// After over before: above 1.10 the machine itself slowed down (androidx's rule). `None` if either is missing.
    pub fn slowdown(&self) -> Option<f64> {
        let (before, after) = (*self.before_s.value()?, *self.after_s.value()?);
        (before > 0.0).then(|| after / before)
    }
}
