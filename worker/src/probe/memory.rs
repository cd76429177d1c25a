//! Memory of a process, from the kernel's own books: `/proc/PID/status`, `/proc/PID/smaps_rollup`, `/proc/meminfo`.
//!
//! Contract: reading costs microseconds (`status`) to milliseconds (`smaps_rollup`) and is done between timed stages only.

use std::fs;

use ditbench_record::MemoryMark;

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

/// Bytes that a new process could use now without swapping, by the kernel's estimate; `None` where it does not say.
pub fn available() -> Option<u64> {
    kib_field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable")
}

/// How many processes the kernel has killed for want of memory since it started.
pub fn oom_kills() -> Option<u64> {
    let vmstat = fs::read_to_string("/proc/vmstat").ok()?;
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
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
        assert!(available().unwrap() > 0);
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
