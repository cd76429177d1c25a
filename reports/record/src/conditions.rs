//! What identifies a result, and what else must agree before two results are compared: written down here, once.
//!
//! Contract: a result is identified by its machine and its [`CellKey`](super::CellKey): with another key it is another result, and the two never
//! meet. Everything else that changes numbers while the program under test stays the same is a [`Condition`]. The verdict
//! (`verdict::fit`), the series of a history, a machine's noise and the table ask here, so that a condition added to
//! [`Condition::ALL`] reaches all of them. What a record does not say of a condition is `None`, and never taken for agreement.

use super::{Cell, Reading, Run, cpus};

/// Something that changes numbers and is not what is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The CPUs that it may run on: pinned to a cluster, or fewer by a container or `taskset`.
    Cpus,
    /// Whether launches end when enough is known, or go on however hot it gets.
    Duration,
    /// The frequency governor.
    Governor,
    /// CPU time that a container allows.
    CpuQuota,
    /// Memory that a container allows.
    MemoryLimit,
    /// Android's fixed-performance mode.
    FixedPerformance,
    /// The profile of Android's scheduling that workers were put into.
    TaskProfile,
    /// A phone's battery saver.
    BatterySaver,
    /// Whether sensors are read while workers are at work.
    Telemetry,
    /// Release or debug.
    Profile,
    /// What the program was compiled for.
    Target,
    /// Compiler flags beyond the profile's.
    Flags,
    /// CPU features that the compiler was allowed to use everywhere.
    Features,
    /// The compiler.
    Toolchain,
    /// The kernel's release.
    Kernel,
    /// What the machine runs on.
    Hypervisor,
    /// The build of a phone's system.
    SystemBuild,
    /// The group of CPUs that a phone's kernel had us in; the CPUs themselves are [`Condition::Cpus`].
    CpuGroup,
    /// Whether a phone's screen was on.
    Screen,
    /// The user that workers ran as on a phone.
    User,
}

/// What a condition is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// How the machine was treated, and what it allowed.
    Treatment,
    /// How the program was built.
    Build,
    /// What the machine runs beneath the program, and its state. It moves on by itself, so that a difference is named and forbids
    /// nothing.
    Platform,
}

impl Condition {
    /// Every condition, in the order in which they are told.
    pub const ALL: [Self; 20] = [
        Self::Cpus,
        Self::Duration,
        Self::Governor,
        Self::CpuQuota,
        Self::MemoryLimit,
        Self::FixedPerformance,
        Self::TaskProfile,
        Self::BatterySaver,
        Self::Telemetry,
        Self::Profile,
        Self::Target,
        Self::Flags,
        Self::Features,
        Self::Toolchain,
        Self::Kernel,
        Self::Hypervisor,
        Self::SystemBuild,
        Self::CpuGroup,
        Self::Screen,
        Self::User,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpus => "CPUs",
            Self::Duration => "duration",
            Self::Governor => "governor",
            Self::CpuQuota => "CPU quota",
            Self::MemoryLimit => "memory limit",
            Self::FixedPerformance => "fixed performance",
            Self::TaskProfile => "task profile",
            Self::BatterySaver => "battery saver",
            Self::Telemetry => "telemetry",
            Self::Profile => "profile",
            Self::Target => "target",
            Self::Flags => "compiler flags",
            Self::Features => "CPU features of the build",
            Self::Toolchain => "compiler",
            Self::Kernel => "kernel",
            Self::Hypervisor => "hypervisor",
            Self::SystemBuild => "system build",
            Self::CpuGroup => "group of CPUs",
            Self::Screen => "screen",
            Self::User => "user",
        }
    }

    /// What it is of.
    pub fn of(self) -> Of {
        match self {
            Self::Cpus
            | Self::Duration
            | Self::Governor
            | Self::CpuQuota
            | Self::MemoryLimit
            | Self::FixedPerformance
            | Self::TaskProfile
            | Self::BatterySaver
            | Self::Telemetry => Of::Treatment,
            Self::Profile | Self::Target | Self::Flags | Self::Features | Self::Toolchain => Of::Build,
            Self::Kernel | Self::Hypervisor | Self::SystemBuild | Self::CpuGroup | Self::Screen | Self::User => {
                Of::Platform
            }
        }
    }

    /// Its value in a record, or of a cell in it where cells have their own; `None` where the record does not say.
    pub fn value(self, run: &Run, cell: Option<&Cell>) -> Option<String> {
        let (machine, build, phone) = (&run.machine, &run.run.build, run.machine.phone.as_ref());
        // A record that names no compiler says nothing of flags either: none is not the same as not recorded.
        let built = !build.rustc.is_empty();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        match self {
            Self::Cpus => cell
                .and_then(cpus_of)
                .or_else(|| phone?.asked_cpus.clone())
                .or_else(|| machine.cpus_allowed.value().cloned()),
            Self::Duration => Some(match run.run.sustained_s {
                Some(seconds) => format!("sustained for {seconds} s"),
                None if run.is_sustained() => "sustained".to_owned(),
                None => "burst".to_owned(),
            }),
            Self::Governor => machine.governor.value().cloned(),
            Self::CpuQuota => limit(&machine.cpu_quota, |cores| format!("{cores} CPUs")),
            Self::MemoryLimit => limit(&machine.memory_limit_bytes, |bytes| format!("{} MiB", bytes >> 20)),
            Self::FixedPerformance => {
                // Older records have it in their plan only.
                let plan = || run.run.plan.pointer("/phone/fixed_performance")?.as_bool();
                phone.map_or(Some(false), |phone| phone.fixed_performance.or_else(plan)).map(on_off)
            }
            Self::TaskProfile => {
                Some(phone.and_then(|phone| phone.task_profile.clone()).unwrap_or_else(|| NONE.to_owned()))
            }
            Self::BatterySaver => phone.map_or(Some(false), |phone| phone.battery_saver.value().copied()).map(on_off),
            Self::Telemetry => run.run.telemetry.or_else(|| run.run.plan.get("telemetry")?.as_bool()).map(on_off),
            Self::Profile => some(&build.profile),
            Self::Target => some(&build.target),
            Self::Flags => built.then(|| some(&build.flags).unwrap_or_else(|| "none".to_owned())),
            Self::Features => {
                built.then(|| some(&build.target_features.join(",")).unwrap_or_else(|| "none".to_owned()))
            }
            Self::Toolchain => some(&build.rustc),
            Self::Kernel => machine.kernel.value().cloned(),
            Self::Hypervisor => limit(&machine.hypervisor, Clone::clone),
            Self::SystemBuild => phone?.fingerprint.value().cloned(),
            Self::CpuGroup => phone?.cpuset.value().cloned(),
            Self::Screen => phone?.screen.value().cloned(),
            Self::User => phone?.uid.value().map(u32::to_string),
        }
    }

    /// How a value reads among what is unusual of a result; `None` for what is usual, and for what does not set series of a
    /// history apart: a new compiler, kernel or system goes on with the same one.
    fn unusual(self, value: &str, run: &Run) -> Option<String> {
        let says = match self {
            Self::Cpus if is_all(value, run) => return None,
            Self::Cpus => format!("CPUs {value}"),
            Self::Duration if value == "burst" => return None,
            Self::Duration => value.to_owned(),
            Self::Governor => format!("governor {value}"),
            Self::CpuQuota | Self::MemoryLimit if value == NONE => return None,
            Self::CpuQuota | Self::MemoryLimit => format!("{} {value}", self.name()),
            Self::FixedPerformance | Self::BatterySaver if value == OFF => return None,
            Self::FixedPerformance | Self::BatterySaver => self.name().to_owned(),
            Self::TaskProfile if value == NONE => return None,
            Self::TaskProfile => format!("{} {value}", self.name()),
            Self::Telemetry if value == OFF => "no telemetry".to_owned(),
            Self::Telemetry => return None,
            Self::Profile if value == "release" => return None,
            Self::Profile => format!("{value} build"),
            Self::Target if USUAL_TARGETS.iter().any(|usual| value.ends_with(usual)) => return None,
            Self::Target => format!("built for {value}"),
            Self::Flags if value == NONE => return None,
            Self::Flags => format!("built with {value}"),
            // Flags say it where there are any.
            Self::Features if !run.run.build.flags.is_empty() || BASELINES.contains(&value) => return None,
            Self::Features => format!("built with {value}"),
            Self::Toolchain
            | Self::Kernel
            | Self::Hypervisor
            | Self::SystemBuild
            | Self::CpuGroup
            | Self::Screen
            | Self::User => return None,
        };
        Some(says)
    }
}

/// What is unusual in the conditions of a cell's result: `CPUs 0-3; sustained for 600 s`. Empty where nothing is. Results of one
/// key whose texts differ are of two series.
pub fn unusual(run: &Run, cell: Option<&Cell>) -> String {
    // A key that names its CPUs says it already.
    let known =
        |condition: &Condition| *condition != Condition::Cpus || cell.is_none_or(|cell| cell.key.cpus.is_empty());
    let says = |condition: Condition| condition.unusual(&condition.value(run, cell)?, run);
    Condition::ALL.into_iter().filter(known).filter_map(says).collect::<Vec<_>>().join("; ")
}

/// What is unusual in all cells of a run; what is not a cell's own where they differ.
pub fn unusual_in_all(run: &Run) -> String {
    let mut found: Vec<String> = run.cells.iter().map(|cell| unusual(run, Some(cell))).collect();
    found.dedup();
    match found.as_slice() {
        [one] => one.clone(),
        _ => unusual(run, None),
    }
}

const NONE: &str = "none";
const OFF: &str = "off";
/// Where the C library is the one that everybody has.
const USUAL_TARGETS: [&str; 4] = ["-linux-gnu", "-linux-android", "-apple-darwin", "-windows-msvc"];
/// What compilers use without being told.
const BASELINES: [&str; 4] = [NONE, "fxsr,sse,sse2", "neon", "fxsr,sse,sse2,sse3,sse4.1,ssse3"];

fn on_off(on: bool) -> String {
    if on { "on".to_owned() } else { OFF.to_owned() }
}

/// A limit that is not there is none; one that was never looked for is not known.
fn limit<T: PartialEq>(reading: &Reading<T>, show: impl Fn(&T) -> String) -> Option<String> {
    match reading {
        Reading::Ok(value) => Some(show(value)),
        Reading::Absent { .. } if *reading != Reading::default() => Some(NONE.to_owned()),
        Reading::Absent { .. } | Reading::Denied { .. } => None,
    }
}

/// The CPUs of a cell's launches: those of all, if they are the same for all.
fn cpus_of(cell: &Cell) -> Option<String> {
    let allowed = cell.good_launches().filter_map(|launch| launch.cpus.as_ref()?.allowed.clone());
    let mut lists: Vec<String> = allowed.collect();
    lists.sort_unstable();
    lists.dedup();
    (!lists.is_empty()).then(|| lists.join(" or "))
}

/// Whether a list of CPUs is all that there are: those of the clusters where those are known, else as many from 0 on as the process
/// has threads of execution (or more: a quota lets it use fewer).
fn is_all(list: &str, run: &Run) -> bool {
    let clusters = run.machine.phone.iter().flat_map(|phone| &phone.clusters);
    let in_clusters = clusters.filter_map(|cluster| cpus::parse(&cluster.cpus)?.last().copied()).max();
    let highest = in_clusters.or_else(|| run.machine.logical_cores.value()?.checked_sub(1)).unwrap_or(0);
    cpus::parse(list).is_some_and(|list| list.iter().copied().eq(0..list.len() as u32) && list.last() >= Some(&highest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CpusUsed, Launch, Status};

    fn on(cpus: &[&str], threads: u32) -> (Run, Cell) {
        let launch = |allowed: &&str| Launch {
            status: Status::Ok,
            cpus: Some(CpusUsed { allowed: Some((*allowed).to_owned()), seen: Vec::new() }),
            ..Launch::default()
        };
        let mut run = Run::default();
        run.machine.logical_cores = Reading::Ok(threads);
        (run, Cell { launches: cpus.iter().map(launch).collect(), ..Cell::default() })
    }

    #[test]
    fn all_cpus_are_usual_and_some_are_not() {
        for (cpus, threads, says) in [
            (&["0-7"][..], 8, ""),
            (&["0"], 1, ""),
            (&["0-63"], 2, ""),
            (&["0-3"], 8, "CPUs 0-3"),
            (&["4-7"], 8, "CPUs 4-7"),
            (&["0,2"], 2, "CPUs 0,2"),
            (&["0-7", "0-6", "0-7"], 8, "CPUs 0-6 or 0-7"),
        ] {
            let (run, cell) = on(cpus, threads);
            assert_eq!(unusual(&run, Some(&cell)), says, "{cpus:?} of {threads}");
        }
    }

    #[test]
    fn no_limit_is_not_the_same_as_an_unknown_one() {
        let mut run = Run::default();
        let quota = |run: &Run| Condition::CpuQuota.value(run, None);
        assert_eq!(quota(&run), None);
        run.machine.cpu_quota = Reading::absent("the control group sets no limit");
        assert_eq!(quota(&run).as_deref(), Some("none"));
        run.machine.cpu_quota = Reading::denied("not readable");
        assert_eq!(quota(&run), None);
        run.machine.cpu_quota = Reading::Ok(1.5);
        assert_eq!(quota(&run).as_deref(), Some("1.5 CPUs"));
        assert_eq!(unusual(&run, None), "CPU quota 1.5 CPUs");
    }

    #[test]
    fn older_records_have_what_was_asked_in_their_plan() {
        let mut run = Run::default();
        run.run.plan = serde_json::json!({ "telemetry": false, "phone": { "fixed_performance": true } });
        run.machine.phone = Some(crate::PhoneFacts::default());
        assert_eq!(unusual(&run, None), "fixed performance; no telemetry");
    }
}
