//! Memory of this process, from the kernel's own books: `/proc/self/status`, `/proc/self/smaps_rollup`, `/proc/meminfo`.
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

/// This process's memory now, under the name of a moment: `started`, `compiled`, `first_image`, …
pub fn mark(name: &str) -> MemoryMark {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
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
        let mark = mark("here");
        assert!(mark.rss.unwrap() > 0 && mark.high_water >= mark.rss);
        assert!(available().unwrap() > 0);
    }
}
