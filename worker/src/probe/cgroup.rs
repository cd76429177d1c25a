//! What the control group of this process allows, in version 1 and version 2: memory, and processor time.
//!
//! Contract: a limit holds for a group and all below it, so every group from ours up to what this process can see is asked, and the
//! tightest counts. Where nothing is limited the answer says so; where a group may not be looked at, what is not limited is not
//! known (`Denied`).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ditbench_record::Reading;

/// Version 1 writes "no limit" as the largest multiple of a page.
const NO_LIMIT: u64 = 1 << 60;

/// The groups of this process that can say something of `controller`, its own first.
struct Groups {
    version: u8,
    folders: Vec<PathBuf>,
}

/// Why the groups of this process say nothing.
enum Silent {
    /// There are none.
    NoGroups(String),
    /// They may not be looked at.
    Unread(String),
}

impl Groups {
    fn of(root: &Path, controller: &str) -> Result<Self, Silent> {
        let own = match text(&root.join("proc/self/cgroup")).map_err(Silent::Unread)? {
            Some(own) => own,
            None => return Err(Silent::NoGroups("this kernel has no control groups".to_owned())),
        };
        let none =
            || Silent::NoGroups(format!("this process is in no control group that could limit its {controller}"));
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
            None => (2, path_in(&|number, controllers| number == "0" && controllers.is_empty()).ok_or_else(none)?),
        };
        let mount = Mount::find(&mounts, version, controller);
        let top = root.join(mount.at.trim_start_matches('/'));
        if let Err(error) = fs::read_dir(&top) {
            return Err(Silent::Unread(format!("{}: {error}", top.display())));
        }
        // Of a group outside what is mounted here nothing can be read but the mount itself.
        let below = path.strip_prefix(mount.of.as_str().trim_end_matches('/')).unwrap_or("").trim_start_matches('/');
        let mut folder = top.join(below);
        if !folder.is_dir() {
            folder.clone_from(&top);
        }
        let folders = folder.ancestors().take_while(|above| above.starts_with(&top)).map(Path::to_path_buf).collect();
        Ok(Self { version, folders })
    }

    /// What each group says, and the first file that may not be read. A group has no file of a controller that is not switched on
    /// for it, and the topmost has no limits at all.
    fn ask<T>(&self, of: impl Fn(&Path) -> Result<Option<T>, String>) -> (Vec<T>, Option<String>) {
        let (mut found, mut unread) = (Vec::new(), None);
        for folder in &self.folders {
            match of(folder) {
                Ok(said) => found.extend(said),
                Err(why) => unread = unread.or(Some(why)),
            }
        }
        (found, unread)
    }
}

/// What is in a file; `None` if there is no such file.
///
/// # Errors
/// It is there, or may be, and cannot be read.
fn text(file: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// The tightest of what groups say. Where one may not be read and the others set no limit, whether there is one is not known.
fn answer<T>(tightest: Option<T>, unread: Option<String>) -> Reading<T> {
    match (tightest, unread) {
        (Some(limit), _) => Reading::Ok(limit),
        (None, Some(why)) => Reading::Denied { why },
        (None, None) => Reading::absent("no control group of this process sets a limit"),
    }
}

impl Silent {
    fn answer<T>(self) -> Reading<T> {
        match self {
            Self::NoGroups(why) => Reading::Absent { why },
            Self::Unread(why) => Reading::Denied { why },
        }
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

/// Every limit of memory that holds for this process and can be read, and the first file that cannot.
fn memory_limits(root: &Path) -> Result<(Vec<MemoryLimit>, Option<String>), Silent> {
    let groups = Groups::of(root, "memory")?;
    let (limits, used, cached): (&[&str], _, _) = match groups.version {
        // Above `memory.high` a group is not killed but made to wait for memory again and again.
        2 => (&["memory.max", "memory.high"], "memory.current", "inactive_file"),
        _ => (&["memory.limit_in_bytes"], "memory.usage_in_bytes", "total_inactive_file"),
    };
    let number = |file: PathBuf| Ok::<_, String>(text(&file)?.and_then(|text| text.trim().parse::<u64>().ok()));
    Ok(groups.ask(|folder| {
        let mut limit = None;
        for file in limits {
            limit = [limit, number(folder.join(file))?].into_iter().flatten().min();
        }
        let Some(limit) = limit.filter(|&limit| limit < NO_LIMIT) else { return Ok(None) };
        // What is used is told on the way: without it the whole limit counts as left.
        let used = number(folder.join(used)).ok().flatten().unwrap_or(0);
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cached = stat.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse::<u64>().ok()).unwrap_or(0);
        Ok(Some(MemoryLimit { limit, left: limit.saturating_sub(used.saturating_sub(cached)) }))
    }))
}

/// The limit of memory that leaves least, of those that can be read.
pub fn memory(root: &Path) -> Option<MemoryLimit> {
    memory_limits(root).ok()?.0.into_iter().min_by_key(|limit| limit.left)
}

/// The smallest limit of memory, for the record.
pub fn memory_limit(root: &Path) -> Reading<u64> {
    match memory_limits(root) {
        Ok((limits, unread)) => answer(limits.into_iter().map(|limit| limit.limit).min(), unread),
        Err(silent) => silent.answer(),
    }
}

/// Processor time that is allowed, in CPUs.
pub fn cpu_quota(root: &Path) -> Reading<f64> {
    let groups = match Groups::of(root, "cpu") {
        Ok(groups) => groups,
        Err(silent) => return silent.answer(),
    };
    let (quotas, unread) = groups.ask(|folder| {
        let said = |file: &str| Ok::<_, String>(text(&folder.join(file))?.unwrap_or_default());
        Ok(match groups.version {
            2 => quota(&said("cpu.max")?),
            _ => quota(&format!("{} {}", said("cpu.cfs_quota_us")?.trim(), said("cpu.cfs_period_us")?)),
        })
    });
    answer(quotas.into_iter().min_by(f64::total_cmp), unread)
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
        assert!(matches!(cpu_quota(&dir.path().join("nowhere")), Reading::Absent { .. }), "a kernel without groups");
        let elsewhere = tree(&[("proc/self/cgroup", "5:cpuset:/\n")]);
        assert!(matches!(memory_limit(elsewhere.path()), Reading::Absent { .. }), "a process in no such group");
    }

    #[test]
    fn what_may_not_be_read_is_not_known() {
        // A folder in the place of a file: not even root reads it as one.
        let dir = tree(&[
            ("proc/self/cgroup", "0::/job\n"),
            ("sys/fs/cgroup/job/memory.max/no", "file"),
            ("sys/fs/cgroup/job/cpu.max/no", "file"),
        ]);
        let denied = |why: Option<&str>, file: &str| why.is_some_and(|why| why.contains(file));
        let (limit, quota) = (memory_limit(dir.path()), cpu_quota(dir.path()));
        assert!(matches!(limit, Reading::Denied { .. }) && denied(limit.why(), "job/memory.max"), "{limit:?}");
        assert!(matches!(quota, Reading::Denied { .. }) && denied(quota.why(), "job/cpu.max"), "{quota:?}");
        // A limit of a group above is one all the same.
        std::fs::write(dir.path().join("sys/fs/cgroup/memory.max"), "7000\n").unwrap();
        assert_eq!(memory_limit(dir.path()), Reading::Ok(7000));
        // Groups whose folder is not to be seen from here, as in some containers.
        let unseen = tree(&[("proc/self/cgroup", "0::/job\n")]);
        let quota = cpu_quota(unseen.path());
        assert!(matches!(quota, Reading::Denied { .. }) && denied(quota.why(), "sys/fs/cgroup"), "{quota:?}");
    }
}
