//! One host at a time on a phone, and the two clocks compared.
//!
//! Contract: the lock is the kernel's, on a file; it is released when this process ends, and this process ends when the
//! host's connection does, however that breaks. A launch that outlives its host's connection keeps other hosts away too.

use std::io::{BufRead, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::supervise;

/// The phone is ours.
pub const HELD: &str = "held";
/// The phone is another's; the rest of the line says whose.
pub const BUSY: &str = "busy ";
/// The time here, in seconds since 1970, is the rest of the line.
pub const CLOCK: &str = "clock ";

const FILE: &str = "lock";

pub(super) fn hold(folder: &Path, run: &str, owner: &str) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(FILE);
    let file = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.with_context(|| format!("cannot open {}", path.display()))?;
    let mut out = std::io::stdout().lock();
    // SAFETY: the descriptor is of a file that lives over the call.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let other = std::fs::read_to_string(&path).unwrap_or_default();
        let other = other.lines().next().filter(|line| !line.is_empty()).unwrap_or("another run of ditbench");
        writeln!(out, "{BUSY}{other}")?;
        return Ok(());
    }
    if let Some((name, pid)) = supervise::alive(folder).into_iter().find(|(name, _)| !is_of(name, run)) {
        writeln!(
            out,
            "{BUSY}the launch {name}, whose host has lost contact (continue there with run --resume, or stop it here \
             with: adb shell kill {pid})"
        )?;
        return Ok(());
    }
    file.set_len(0)?;
    // Our number too: a host can then ask whether we are still here without a program of its own.
    writeln!(file, "{owner}\n{}", std::process::id())?;
    writeln!(out, "{HELD}")?;
    out.flush()?;
    // The host asks with any line, and closes its end when it is done or gone.
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        if writeln!(out, "{CLOCK}{now:.6}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(())
}

/// Launches are named after their run.
fn is_of(launch: &str, run: &str) -> bool {
    launch.strip_prefix(run).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_launch_belongs_to_the_run_that_its_name_begins_with() {
        assert!(super::is_of("20260101T000000Z-ab12.nano.0", "20260101T000000Z-ab12"));
        assert!(!super::is_of("20260101T000000Z-ab123.nano.0", "20260101T000000Z-ab12"));
    }
}
