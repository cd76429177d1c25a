//! What the control group of this process allows, in version 1 and version 2: memory, and processor time.
//!
//! Contract: a limit holds for a group and all below it, so every group from ours up to what this process can see is asked, and the
//! tightest counts. Where nothing is limited the answer says so.

use std::fs;
use std::path::{Path, PathBuf};

use ditbench_record::Reading;

/// Version 1 writes "no limit" as the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 60;

/// The groups of this process that can say something of `controller`, its own first.
struct Groups {
    version: u8,
    folders: Vec<PathBuf>,
}

impl Groups {
    /// `None` if this process is in no group that it can see.
    fn of(root: &Path, controller: &str) -> Option<Self> {
        let own = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
        // `4:memory:/path` is version 1's, `0::/path` version 2's. A controller is in one of the two.
        let path_in = |wanted: &dyn Fn(&str, &str) -> bool| {
            own.lines().find_map(|line| {
                let (number, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                wanted(number, controllers).then_some(path)
            })
        };
        let first = path_in(&|_, controllers| controllers.split(',').any(|one| one == controller));
        let (version, path) = match first {
            Some(path) => (1, path),
            None => (2, path_in(&|number, controllers| number == "0" && controllers.is_empty())?),
        };
        let mount = Mount::find(&mounts, version, controller);
        let top = root.join(mount.at.trim_start_matches('/'));
        // Of a group outside what is mounted here nothing can be read but the mount itself.
        let below = path.strip_prefix(mount.of.as_str().trim_end_matches('/')).unwrap_or("").trim_start_matches('/');
        let mut folder = top.join(below);
        if !folder.is_dir() {
            folder.clone_from(&top);
        }
        let folders = folder.ancestors().take_while(|above| above.starts_with(&top)).map(Path::to_path_buf).collect();
        Some(Self { version, folders })
    }
}

/// Where a hierarchy of groups is mounted, and which part of it.
struct Mount {
    at: String,
    of: String,
}

impl Mount {
    fn find(mounts: &str, version: u8, controller: &str) -> Self {
        let found = mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (of, at) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1).unwrap_or_default());
            let ours = if version == 2 {
                kind == "cgroup2"
            } else {
                kind == "cgroup" && options.split(',').any(|option| option == controller)
            };
            ours.then(|| Self { at: at.to_owned(), of: of.to_owned() })
        });
        let usual = if version == 2 { "/sys/fs/cgroup".to_owned() } else { format!("/sys/fs/cgroup/{controller}") };
        found.unwrap_or(Self { at: usual, of: "/".to_owned() })
    }
}

/// A limit of memory, and how much of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes that the group may use.
    pub limit: u64,
    /// Bytes of them that a new process could use now: what is not used, and what is only kept of files that nobody reads.
    pub left: u64,
}

/// Every limit of memory that holds for this process.
fn memory_limits(root: &Path) -> Vec<MemoryLimit> {
    let Some(groups) = Groups::of(root, "memory") else { return Vec::new() };
    let (limits, used, cached): (&[&str], _, _) = match groups.version {
        // Above `memory.high` a group is not killed but made to wait for memory again and again.
        2 => (&["memory.max", "memory.high"], "memory.current", "inactive_file"),
        _ => (&["memory.limit_in_bytes"], "memory.usage_in_bytes", "total_inactive_file"),
    };
    let number = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let of_group = |folder: &PathBuf| {
        let limit = limits.iter().filter_map(|file| number(folder.join(file))).min()?;
        let used = number(folder.join(used)).unwrap_or(0);
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cached = stat.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse::<u64>().ok()).unwrap_or(0);
        (limit < NO_LIMIT).then(|| MemoryLimit { limit, left: limit.saturating_sub(used.saturating_sub(cached)) })
    };
    groups.folders.iter().filter_map(of_group).collect()
}

/// The limit of memory that leaves least.
pub fn memory(root: &Path) -> Option<MemoryLimit> {
    memory_limits(root).into_iter().min_by_key(|limit| limit.left)
}

/// The smallest limit of memory, for the record.
pub fn memory_limit(root: &Path) -> Reading<u64> {
    let smallest = memory_limits(root).into_iter().map(|limit| limit.limit).min();
    Reading::or_absent(smallest, "no control group of this process sets a limit")
}

/// Processor time that is allowed, in CPUs.
pub fn cpu_quota(root: &Path) -> Reading<f64> {
    let none = "no control group of this process sets a limit";
    let Some(groups) = Groups::of(root, "cpu") else { return Reading::absent(none) };
    let text = |folder: &PathBuf, file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let quotas = groups.folders.iter().filter_map(|folder| match groups.version {
        2 => quota(&text(folder, "cpu.max")),
        _ => quota(&format!("{} {}", text(folder, "cpu.cfs_quota_us").trim(), text(folder, "cpu.cfs_period_us"))),
    });
    Reading::or_absent(quotas.min_by(f64::total_cmp), none)
}

/// `max 100000`, `150000 100000`, `-1 100000`: microseconds of processor time in each period; no limit is `max` or negative.
fn quota(text: &str) -> Option<f64> {
    let mut parts = text.split_whitespace().map(str::parse::<f64>);
    let (quota, period) = (parts.next()?.ok()?, parts.next()?.ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_quota_is_in_cpus() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!((quota("max 100000"), quota("-1 100000"), quota(" "), quota("x y")), (None, None, None, None));
    }

    #[test]
    fn version_2_is_asked_up_to_the_top() {
        let dir = tree(&[
            ("proc/self/cgroup", "0::/user.slice/job\n"),
            ("proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/user.slice/memory.current", "900000000\n"),
            ("sys/fs/cgroup/user.slice/memory.stat", "anon 1\ninactive_file 100000000\n"),
            ("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/user.slice/job/memory.max", "max\n"),
            ("sys/fs/cgroup/user.slice/job/memory.high", "300000000\n"),
            ("sys/fs/cgroup/user.slice/job/memory.current", "20000000\n"),
            ("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n"),
        ]);
        // Ours allows 300 MB, but the one above has only 200 MB left for all.
        assert_eq!(memory(dir.path()), Some(MemoryLimit { limit: 1_000_000_000, left: 200_000_000 }));
        assert_eq!(memory_limit(dir.path()), Reading::Ok(300_000_000));
        assert_eq!(cpu_quota(dir.path()), Reading::Ok(1.5));
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let dir = tree(&[
            ("proc/self/cgroup", "11:cpuset:/\n5:cpu,cpuacct:/hunt\n4:memory:/hunt\n0::/elsewhere\n"),
            (
                "proc/self/mountinfo",
                "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                 32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000000000\n"),
            ("sys/fs/cgroup/memory/hunt/memory.limit_in_bytes", "300000000\n"),
            ("sys/fs/cgroup/memory/hunt/memory.usage_in_bytes", "50000000\n"),
            ("sys/fs/cgroup/memory/hunt/memory.stat", "inactive_file 1\ntotal_inactive_file 10000000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/hunt/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/hunt/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(memory(dir.path()), Some(MemoryLimit { limit: 300_000_000, left: 260_000_000 }));
        assert_eq!(cpu_quota(dir.path()), Reading::Ok(0.5));
    }

    #[test]
    fn a_container_sees_its_own_part_alone() {
        // Without a namespace of its own the path is the host's, and what is mounted is the container's part of it.
        let dir = tree(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n"),
            ("proc/self/mountinfo", "31 24 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000000\n"),
        ]);
        assert_eq!(memory(dir.path()), Some(MemoryLimit { limit: 4_000_000, left: 4_000_000 }));
        // A path that leads out of what is mounted.
        let dir = tree(&[("proc/self/cgroup", "0::/../other\n"), ("sys/fs/cgroup/memory.max", "7000\n")]);
        assert_eq!(memory_limit(dir.path()), Reading::Ok(7000));
    }

    #[test]
    fn no_limit_is_said_and_is_no_number() {
        let dir = tree(&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")]);
        assert_eq!(memory(dir.path()), None);
        assert!(memory_limit(dir.path()).why().is_some_and(|why| why.contains("sets a limit")));
        assert!(cpu_quota(&dir.path().join("nowhere")).why().is_some());
    }
}
