//! A child process that speaks on a descriptor of its own, so that what a library prints can neither spoil nor swallow a
//! word of it.
//!
//! Contract: the parent starts the child with [`spawn`] and reads [`lines`]; an environment variable tells the child the
//! descriptor's number. The child takes it with [`take`], and what it starts itself does not inherit it: the lines end when
//! the child does. The child does not outlive its parent.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, PipeReader, Read, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};

/// Starts a child with a pipe to write to, whose descriptor `variable` names to it. It dies when the thread that starts it
/// does.
///
/// # Errors
/// No pipe, or no process.
pub fn spawn(command: &mut Command, variable: &str) -> Result<(Child, PipeReader)> {
    let (reader, writer) = std::io::pipe()?;
    let descriptor = writer.as_raw_fd();
    command.env(variable, descriptor.to_string());
    // SAFETY: the closure runs between fork and exec and makes async-signal-safe system calls only.
    unsafe {
        command.pre_exec(move || {
            die_with_parent()?;
            inherit(descriptor, true)
        });
    }
    let child = command.spawn()?;
    // Ours must go, or the lines would never end.
    drop(writer);
    Ok((child, reader))
}

/// Whether processes that this one starts get a descriptor of ours.
fn inherit(descriptor: RawFd, yes: bool) -> Result<()> {
    // SAFETY: fcntl with F_SETFD has no preconditions; a descriptor that is not open is an error.
    match unsafe { libc::fcntl(descriptor, libc::F_SETFD, if yes { 0 } else { libc::FD_CLOEXEC }) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The child's half: even a parent that is killed with signal 9 takes it along.
fn die_with_parent() -> Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: prctl with these arguments has no preconditions.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(())
}

/// In a child: the descriptor that `variable` names, for us alone. `None` where the variable is not set: a person has
/// started us.
///
/// # Errors
/// The variable names no open descriptor.
pub fn take(variable: &str) -> Result<Option<File>> {
    let Some(number) = std::env::var_os(variable) else { return Ok(None) };
    let wrong = || {
        let said = number.to_string_lossy();
        Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{variable} is \"{said}\", which is not an open descriptor; unset \
                                                     it"
            ),
        )
    };
    // Not 0, 1 or 2: those belong to the standard library.
    let descriptor = number.to_str().and_then(|text| text.parse::<RawFd>().ok()).filter(|&fd| fd > 2);
    let descriptor = descriptor.ok_or_else(wrong)?;
    inherit(descriptor, false).map_err(|_| wrong())?;
    // SAFETY: it is open, and the parent gave it to us to own; nobody else in this process knows of it.
    Ok(Some(unsafe { File::from_raw_fd(descriptor) }))
}

/// Standard output under a descriptor of its own, and from now on whatever is printed goes to standard error.
///
/// # Errors
/// Standard output or standard error is closed.
pub fn take_standard_output() -> Result<File> {
    // SAFETY: fcntl has no preconditions; what it gives is a new descriptor that we own.
    let own = unsafe {
        match libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 3) {
            -1 => return Err(Error::last_os_error()),
            descriptor => OwnedFd::from_raw_fd(descriptor),
        }
    };
    print_to_standard_error()?;
    Ok(own.into())
}

/// From now on whatever is printed goes to standard error.
///
/// # Errors
/// Standard error is closed.
pub fn print_to_standard_error() -> Result<()> {
    // SAFETY: dup2 has no preconditions; descriptor 1 stays open throughout.
    match unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Lines as they come, from a thread of their own; the receiver is told when they end. One longer than `limit` bytes comes
/// in pieces, and bytes that are no text are replaced.
pub fn lines(reader: impl Read + Send + 'static, limit: u64) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(limit).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    let text = line.strip_suffix(b"\n").unwrap_or(&line);
                    if sender.send(String::from_utf8_lossy(text).into_owned()).is_err() {
                        break;
                    }
                }
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    const VARIABLE: &str = "DITBENCH_PIPE_TEST";

    fn said(script: &str) -> Vec<String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (mut child, reader) = spawn(&mut command, VARIABLE).unwrap();
        let lines = lines(reader, 16).into_iter().collect();
        child.wait().unwrap();
        lines
    }

    #[test]
    fn what_is_printed_is_not_what_is_said() {
        let script = format!(
            "printf '{{half a line'; echo one > /dev/fd/${VARIABLE}; echo noise; echo two > /dev/fd/${VARIABLE}"
        );
        assert_eq!(said(&script), ["one", "two"]);
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces() {
        let script = format!("printf 'aaaaaaaaaaaaaaaaaaaabbb\\nc' > /dev/fd/${VARIABLE}");
        assert_eq!(said(&script), ["aaaaaaaaaaaaaaaa", "aaaabbb", "c"]);
    }

    #[test]
    fn a_number_that_is_no_descriptor_is_told() {
        // Each test of this process would see the variable: a child looks in our place.
        for number in ["x", "", "-1", "1", "98765"] {
            let exe = std::env::current_exe().unwrap();
            let mut command = Command::new(exe);
            command
                .args(["--exact", "tests::as_a_child", "--ignored", "--nocapture"])
                .env("DITBENCH_TAKE_TEST", number);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains(&format!("DITBENCH_TAKE_TEST is \"{number}\"")), "{number}: {said}");
        }
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn as_a_child() {
        if let Err(error) = take("DITBENCH_TAKE_TEST") {
            use std::io::Write as _;
            // In a process of its own, whose output the test reads.
            writeln!(std::io::stdout(), "{error}").unwrap();
        }
    }
}
