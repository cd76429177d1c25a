//! A child process that can be called off.
//!
//! Contract: the child has a process group of its own, so that Ctrl-C reaches it through us and once. Called off, it is asked
//! to end, and after a while it is made to, with all that it started; nothing of it is left when this returns. It dies with
//! us, also when we are killed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often is looked whether the child has ended or is to end.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a command to its end and gives what it said; its standard input is empty. Once `stop` says so it is interrupted, as by
/// Ctrl-C, and after `grace` killed.
///
/// # Errors
/// It cannot be started or waited for. [`io::ErrorKind::Interrupted`] if it had to be killed.
pub fn output(command: &mut Command, stop: &dyn Fn() -> bool, grace: Duration) -> io::Result<Output> {
    with_input(command, Stdio::null(), stop, grace)
}

/// The same with a file as its standard input.
///
/// # Errors
/// As [`output`].
pub fn fed(command: &mut Command, input: File, stop: &dyn Fn() -> bool, grace: Duration) -> io::Result<Output> {
    with_input(command, input.into(), stop, grace)
}

fn with_input(command: &mut Command, input: Stdio, stop: &dyn Fn() -> bool, grace: Duration) -> io::Result<Output> {
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    die_with_parent(command);
    let mut child = command.spawn()?;
    let group = child.id().cast_signed();
    let said = [reader(child.stdout.take()), reader(child.stderr.take())];
    let mut asked: Option<Instant> = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        match asked {
            None if stop() => {
                signal(group, libc::SIGINT);
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() >= grace => {
                signal(group, libc::SIGKILL);
                child.wait()?;
                break None;
            }
            _ => std::thread::sleep(LOOK),
        }
    };
    if asked.is_some() {
        // What it had started may not have heard, or not have listened; and it holds the pipes open.
        signal(group, libc::SIGKILL);
    }
    let [stdout, stderr] = said.map(|reader| reader.join().unwrap_or_default());
    let killed = || io::Error::new(io::ErrorKind::Interrupted, "it was cancelled and did not exit by itself");
    let status: ExitStatus = status.ok_or_else(killed)?;
    Ok(Output { status, stdout, stderr })
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a failure is what there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Signals all processes of a group that we made; one that is gone is no failure.
fn signal(group: i32, signal: i32) {
    // SAFETY: a plain system call.
    unsafe { libc::kill(-group, signal) };
}

fn die_with_parent(command: &mut Command) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = command;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_it_says_comes_back_with_its_status() {
        let output = output(&mut shell("echo out; echo err >&2; exit 3"), &|| false, Duration::ZERO).unwrap();
        assert_eq!(
            (output.status.code(), &output.stdout[..], &output.stderr[..]),
            (Some(3), &b"out\n"[..], &b"err\n"[..])
        );
    }

    #[test]
    fn it_reads_the_file_that_it_is_fed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input");
        std::fs::write(&file, "from a file").unwrap();
        let output = fed(&mut shell("cat"), File::open(&file).unwrap(), &|| false, Duration::ZERO).unwrap();
        assert_eq!(output.stdout, b"from a file");
    }

    #[test]
    fn called_off_it_ends_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        // Two that do not listen, of which one is the other's child and holds the pipes.
        for (script, killed) in [
            ("trap 'exit 7' INT; echo > F; while :; do sleep 0.01; done", false),
            ("trap '' INT; sh -c 'echo $$ > F; exec sleep 1000' & wait; wait", true),
        ] {
            let file = folder.path().join(if killed { "stubborn" } else { "polite" });
            let stop = AtomicBool::new(false);
            let script = script.replace('F', &file.display().to_string());
            let there = || {
                if std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
                    stop.store(true, Ordering::SeqCst);
                }
                stop.load(Ordering::SeqCst)
            };
            let ended = output(&mut shell(&script), &there, Duration::from_millis(if killed { 100 } else { 60_000 }));
            if killed {
                assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::Interrupted);
                let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
                let gone =
                    || std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"));
                let deadline = Instant::now() + Duration::from_secs(20);
                while !gone() {
                    assert!(Instant::now() < deadline, "the child's child lives on");
                    std::thread::yield_now();
                }
            } else {
                assert_eq!(ended.unwrap().status.code(), Some(7));
            }
        }
    }
}
