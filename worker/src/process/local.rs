//! A worker as a child process on this machine.
//!
//! Contract: the child dies with us, at its deadline, or when it is done; whatever happened comes back as an [`Ended`]
//! with the child's own resource usage (`wait4`), never as our own failure.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ditbench_protocol::{Event, LaunchSpec};

use super::Cause;
use crate::interrupt;

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// What ended it.
    pub cause: Cause,
    /// Largest resident set over the child's life, bytes, by the kernel's account.
    pub max_rss: Option<u64>,
}

/// Starts a worker of this same program, gives it `spec`, and hands on its events until it ends.
///
/// # Errors
/// Only when no child can be started or its log cannot be written: everything else is an [`Ended`].
pub fn launch(
    spec: &LaunchSpec,
    environment: &[(&str, OsString)],
    log: &Path,
    deadline: Instant,
    mut on_event: impl FnMut(Event),
) -> std::io::Result<Ended> {
    let orders = serde_json::to_vec(spec)?;
    let mut errors = std::fs::OpenOptions::new().create(true).truncate(true).read(true).write(true).open(log)?;
    let oom_before = crate::probe::memory::oom_kills();
    let mut command = Command::new(super::this_program()?);
    command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
    command.env("RAYON_NUM_THREADS", spec.threads.to_string()).env("CANDLE_NUM_THREADS", spec.threads.to_string());
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    die_with_parent(&mut command);
    let mut child = command.spawn()?;
    let pid = child.id();
    if let Some(mut stdin) = child.stdin.take() {
        // A child that died at once closes the pipe: its exit says more than our write error.
        let _ = stdin.write_all(&orders).and_then(|()| stdin.flush());
    }
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        // A library may print bytes that are no text: they go to the log and end nothing.
        for line in stdout.into_iter().flat_map(|out| BufReader::new(out).split(b'\n')).map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    let mut said = None;
    let mut forced = None;
    let started = Instant::now();
    let patience = deadline.saturating_duration_since(started);
    let mut deadline = deadline;
    loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => match serde_json::from_str::<Event>(&line) {
                Ok(Event::Finished) => said = Some(Cause::Finished),
                Ok(Event::Failed { unsupported, why }) => said = Some(Cause::Failed { unsupported, why }),
                Ok(event) => {
                    // A series takes as long as it has prompts: what is limited is the time to the next image.
                    if matches!(event, Event::Made { .. }) {
                        deadline = Instant::now() + patience;
                    }
                    on_event(event);
                }
                // A library that prints to standard output must not spoil the run; its words go to the log.
                Err(_) => writeln!(errors, "[stdout] {line}")?,
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if forced.is_none() {
            forced = if interrupt::requested() {
                Some(Cause::Interrupted)
            } else if Instant::now() > deadline {
                Some(Cause::TimedOut(started.elapsed()))
            } else {
                None
            };
            if forced.is_some() {
                let _ = child.kill();
            }
        }
    }
    let _ = reader.join();
    let (status, usage) = wait4(pid)?;
    let cause = forced.unwrap_or_else(|| explain(status, said, &mut errors, oom_before));
    Ok(Ended {
        cause,
        // Linux counts ru_maxrss in KiB.
        max_rss: u64::try_from(usage.ru_maxrss).ok().and_then(|kib| kib.checked_mul(1024)),
    })
}

/// What a child's end means.
fn explain(status: ExitStatus, said: Option<Cause>, errors: &mut std::fs::File, oom_before: Option<u64>) -> Cause {
    match said {
        Some(Cause::Finished) if status.success() => return Cause::Finished,
        Some(cause @ Cause::Failed { .. }) => return cause,
        _ => {}
    }
    let tail = tail(errors);
    let killed_for_memory =
        matches!((oom_before, crate::probe::memory::oom_kills()), (Some(before), Some(after)) if after > before);
    if status.signal() == Some(libc::SIGKILL) && killed_for_memory {
        return Cause::OutOfMemory("the kernel killed the worker because the machine ran out of memory".to_owned());
    }
    if tail.contains("memory allocation of") || tail.contains("bad_alloc") {
        return Cause::OutOfMemory(format!("the worker could not get memory: {tail}"));
    }
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("the worker was killed by signal {signal}"),
        (None, Some(code)) => format!("the worker exited with code {code} before it was done"),
        (None, None) => "the worker ended before it was done".to_owned(),
    };
    Cause::Failed { unsupported: false, why: if tail.is_empty() { how } else { format!("{how}: {tail}") } }
}

/// The last lines of the child's error output, on one line.
fn tail(errors: &mut std::fs::File) -> String {
    let mut bytes = Vec::new();
    let length = errors.metadata().map_or(0, |meta| meta.len());
    let _ = errors.seek(SeekFrom::Start(length.saturating_sub(2000)));
    let _ = errors.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note: run with")).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

/// Reaps the child and gives its own resource usage, which the standard library's wait does not.
fn wait4(pid: u32) -> std::io::Result<(ExitStatus, libc::rusage)> {
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

/// A worker must not outlive the run, even if the run is killed with signal 9.
fn die_with_parent(command: &mut Command) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    // Ctrl-C reaches the whole foreground group: the run decides what becomes of its workers.
    command.process_group(0);
}
