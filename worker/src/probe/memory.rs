//! Memory of a process, from the kernel's own books (`/proc/PID/status`, `/proc/PID/smaps_rollup`), and what there is for another:
//! `/proc/meminfo` and the control groups.
//!
//! Contract: reading costs microseconds (`status`) to milliseconds (`smaps_rollup`) and is done between timed stages only.

use std::fs;
use std::path::Path;

use ditbench_record::MemoryMark;

use super::cgroup;

/// The value of `key:` in a `/proc` file of lines such as `VmRSS:   1234 kB`, in bytes.
pub fn kib_field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))?;
    let number = line.split_whitespace().nth(1)?;
    number.parse::<u64>().ok()?.checked_mul(1024)
}

/// A process's memory now, under the name of a moment: `started`, `compiled`, `first_image`, … `None` is this process.
pub fn mark(process: Option<u32>, name: &str) -> MemoryMark {
    let process = process.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let file = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let (status, rollup) = (file("status"), file("smaps_rollup"));
    MemoryMark {
        name: name.to_owned(),
        rss: kib_field(&status, "VmRSS"),
        rss_anon: kib_field(&status, "RssAnon"),
        rss_file: kib_field(&status, "RssFile"),
        swap: kib_field(&status, "VmSwap"),
        pss: kib_field(&rollup, "Pss"),
        high_water: kib_field(&status, "VmHWM"),
    }
}

/// Memory that a new process could use now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// Bytes.
    pub bytes: u64,
    /// The control group's limit, where that and not the machine leaves so little.
    pub group_limit: Option<u64>,
}

/// What a new process could use now without swapping, by the kernel's estimate and by what its control groups allow; `None` where
/// the kernel does not say.
pub fn available() -> Option<Available> {
    available_in(super::root())
}

fn available_in(root: &Path) -> Option<Available> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok();
    let machine = meminfo.and_then(|text| kib_field(&text, "MemAvailable"));
    match (machine, cgroup::memory(root)) {
        (Some(bytes), Some(group)) if group.left >= bytes => Some(Available { bytes, group_limit: None }),
        (_, Some(group)) => Some(Available { bytes: group.left, group_limit: Some(group.limit) }),
        (machine, None) => machine.map(|bytes| Available { bytes, group_limit: None }),
    }
}

/// Why the kernel killed for want of memory: `the machine ran out of memory`, or its control group did.
pub fn what_ran_out() -> String {
    match available().and_then(|available| available.group_limit) {
        Some(limit) => format!("its control group ran out of memory: it allows {:.0} MB", limit as f64 / 1e6),
        None => "the machine ran out of memory".to_owned(),
    }
}

/// How many processes the kernel has killed for want of memory since it started.
pub fn oom_kills() -> Option<u64> {
    let vmstat = fs::read_to_string("/proc/vmstat").ok()?;
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn fields_are_matched_whole() {
        let text = "VmRSSx:\t7 kB\nVmRSS:\t  12 kB\nRssAnon: junk\n";
        assert_eq!(kib_field(text, "VmRSS"), Some(12 * 1024));
        assert_eq!(kib_field(text, "RssAnon"), None);
        assert_eq!(kib_field(text, "Pss"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_uses_memory() {
        let here = mark(None, "here");
        assert!(here.rss.unwrap() > 0 && here.high_water >= here.rss);
        assert!(available().unwrap().bytes > 0);
    }

    #[test]
    fn what_is_free_is_what_the_control_group_leaves() {
        let meminfo = ("proc/meminfo", "MemTotal: 24000000 kB\nMemAvailable: 20000000 kB\n");
        let free = 20_000_000 * 1024;
        let machine = tree(&[meminfo]);
        assert_eq!(available_in(machine.path()), Some(Available { bytes: free, group_limit: None }));
        let group = |limit: &str| {
            let dir = tree(&[
                meminfo,
                ("proc/self/cgroup", "4:memory:/hunt\n0::/\n"),
                ("sys/fs/cgroup/memory/hunt/memory.limit_in_bytes", limit),
                ("sys/fs/cgroup/memory/hunt/memory.usage_in_bytes", "1000000\n"),
            ]);
            available_in(dir.path())
        };
        assert_eq!(group("300000000\n"), Some(Available { bytes: 299_000_000, group_limit: Some(300_000_000) }));
        assert_eq!(group("900000000000\n"), Some(Available { bytes: free, group_limit: None }), "more than there is");
        let two = tree(&[
            meminfo,
            ("proc/self/cgroup", "0::/job\n"),
            ("sys/fs/cgroup/job/memory.max", "300000000\n"),
            ("sys/fs/cgroup/job/memory.current", "1000000\n"),
        ]);
        assert_eq!(available_in(two.path()), Some(Available { bytes: 299_000_000, group_limit: Some(300_000_000) }));
        assert_eq!(available_in(&two.path().join("nowhere")), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_process_has_memory_of_its_own() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (theirs, here) = (mark(Some(child.id()), "there"), mark(None, "here"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(theirs.rss.unwrap() > 0 && theirs.rss_anon < here.rss_anon, "{theirs:?} {here:?}");
        assert_eq!(mark(Some(u32::MAX), "nobody").rss, None, "what cannot be read is not known, and not 0");
    }
}
