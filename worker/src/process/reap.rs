//! Waiting for a child's end with the kernel's account of what it used.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Reaps the child and gives its own resource usage, which the standard library's wait does not.
///
/// # Errors
/// There is no such child, or it was reaped before.
pub fn wait4(pid: u32) -> std::io::Result<(ExitStatus, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is plain data for which all zeros is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to locals that live over the call; the pid is of a child that nobody else reaps.
        let reaped = unsafe { libc::wait4(pid.cast_signed(), &mut status, 0, &mut usage) };
        if reaped >= 0 {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
