//! Which CPUs a worker runs on: pinning, and what the kernel then allows.

use crate::probe::phone::sources;

/// Lets this process, and threads that it starts from now on, run on these CPUs only.
///
/// # Errors
/// The kernel refuses, or allows only some of them: a CPU that is not there, or one that this process's group may not use.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn to(cpus: &[u32]) -> Result<(), String> {
    // SAFETY: cpu_set_t is plain data for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // An `int` on Linux, a `size_t` on Android.
    for &cpu in cpus {
        if u64::from(cpu) >= libc::CPU_SETSIZE as u64 {
            return Err(refused(cpus, "there is no such CPU"));
        }
        // SAFETY: the number is below the set's size.
        unsafe { libc::CPU_SET(cpu as usize, &mut set) };
    }
    // SAFETY: the set lives over the call and its size is given.
    if unsafe { libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set) } != 0 {
        return Err(refused(cpus, &std::io::Error::last_os_error().to_string()));
    }
    // As long as one CPU is left, the kernel takes away what the group may not use without a word.
    let known = allowed().and_then(|list| ditbench_record::cpus::parse(&list));
    match known {
        Some(known) if !cpus.iter().all(|cpu| known.contains(cpu)) => {
            Err(refused(cpus, "some of them do not exist, or its control group may not use them"))
        }
        _ => Ok(()),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn refused(cpus: &[u32], why: &str) -> String {
    let allowed = allowed().unwrap_or_else(|| "unknown".to_owned());
    let cpus = crate::probe::phone::clusters::list(cpus);
    format!("cannot run only on CPUs {cpus}: {why}; this process may use {allowed}")
}

/// Other systems have no such call.
///
/// # Errors
/// Always.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn to(_: &[u32]) -> Result<(), String> {
    Err("this system does not let a process choose its CPUs".to_owned())
}

/// CPUs that this process may use, as the kernel says it: `0-3`.
pub fn allowed() -> Option<String> {
    sources::cpus_allowed(&std::fs::read_to_string("/proc/self/status").ok()?)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_refused_also_beside_one_that_is() {
        // A thread of its own: it must not keep what it is pinned to.
        let pinned = |cpus: Vec<u32>| std::thread::spawn(move || to(&cpus)).join().unwrap();
        let first = ditbench_record::cpus::parse(&allowed().unwrap()).unwrap()[0];
        for none in [1000, 1_000_000] {
            let why = pinned(vec![first, none]).unwrap_err();
            assert!(why.contains("only") && why.contains(&none.to_string()), "{why}");
        }
    }
}
