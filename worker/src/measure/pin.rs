//! Which CPUs a worker runs on: pinning, and what the kernel then allows.

use crate::probe::phone::{clusters, sources};

/// Lets this process, and threads that it starts from now on, run on these CPUs only.
///
/// # Errors
/// The kernel refuses: a CPU that is not there or off, or one that this process's group may not use.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn to(cpus: &[u32]) -> Result<(), String> {
    // SAFETY: cpu_set_t is plain data for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // An `int` on Linux, a `size_t` on Android.
    for &cpu in cpus.iter().filter(|&&cpu| u64::from(cpu) < libc::CPU_SETSIZE as u64) {
        // SAFETY: the number is below the set's size.
        unsafe { libc::CPU_SET(cpu as usize, &mut set) };
    }
    // SAFETY: the set lives over the call and its size is given.
    if unsafe { libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    let allowed = allowed().unwrap_or_else(|| "unknown".to_owned());
    Err(format!("cannot run on CPUs {} only: {error}; this process may use {allowed}", clusters::list(cpus)))
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
