//! The `adb` program: calls with a deadline, and streams of lines.
//!
//! Contract: no call blocks for longer than its limit; a program that is still at work then is killed. What the phone ran
//! is not killed with it (adb leaves it running): whoever started something there ends it there.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::AdbError;
use ditbench_worker::interrupt;

/// From one question to the next whether a call that takes long should go on.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// What one call said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The program's exit code; `None` if a signal ended it. Says little: adb exits with 0 when a phone is lost.
    pub code: Option<i32>,
    /// Its output.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

/// How long a call may take, and whether Ctrl-C ends it before.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// After this the program is killed.
    pub time: Duration,
    /// Clean-up after Ctrl-C must not itself be ended by it.
    pub interruptible: bool,
}

impl Limit {
    /// For work that the user may break off.
    pub fn work(time: Duration) -> Self {
        Self { time, interruptible: true }
    }

    /// For what has to be done in any case.
    pub fn always(time: Duration) -> Self {
        Self { time, interruptible: false }
    }
}

/// Something that takes adb's arguments.
pub trait Adb: Send + Sync {
    /// Runs `adb ARGUMENTS` to its end.
    ///
    /// # Errors
    /// [`AdbError::NoProgram`]; [`AdbError::Slow`] at the limit, with what was said until then; [`AdbError::Interrupted`].
    fn call(&self, arguments: &[&str], limit: Limit) -> Result<Output, AdbError> {
        self.call_while(arguments, limit, &mut || Ok(()))
    }

    /// As [`Adb::call`], and asks every few seconds whether going on makes sense: for transfers, which may rightly take
    /// long, to a phone that may have stopped answering.
    ///
    /// # Errors
    /// As [`Adb::call`]; what `alive` gave, after which the program is killed.
    fn call_while(
        &self,
        arguments: &[&str],
        limit: Limit,
        alive: &mut dyn FnMut() -> Result<(), AdbError>,
    ) -> Result<Output, AdbError>;

    /// Starts `adb ARGUMENTS` and leaves it running.
    ///
    /// # Errors
    /// [`AdbError::NoProgram`].
    fn open(&self, arguments: &[&str]) -> Result<Stream, AdbError>;
}

/// The real program.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// The one that `$ADB` names, else the one on the path, else the one of an Android SDK.
    pub fn find() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = variable("ADB") {
            return Self { path };
        }
        let on_path = variable("PATH")
            .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join("adb").is_file()));
        let sdk = ["ANDROID_HOME", "ANDROID_SDK_ROOT"]
            .into_iter()
            .filter_map(variable)
            .map(|home| home.join("platform-tools/adb"))
            .find(|path| path.is_file());
        Self { path: if on_path { "adb".into() } else { sdk.unwrap_or_else(|| "adb".into()) } }
    }

    /// In a process group of its own: Ctrl-C is for us to act on, not for adb to die of in the middle of a clean-up.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments.iter().map(OsStr::new)).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, AdbError> {
        command.spawn().map_err(|error| AdbError::NoProgram { why: format!("{}: {error}", self.path.display()) })
    }
}

impl Adb for Program {
    fn call_while(
        &self,
        arguments: &[&str],
        limit: Limit,
        alive: &mut dyn FnMut() -> Result<(), AdbError>,
    ) -> Result<Output, AdbError> {
        let mut child = self.spawn(&mut self.command(arguments))?;
        let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
        let started = Instant::now();
        let mut asked = started;
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                // A server that adb started may keep the pipes open: what has come by now is all that there is.
                let wait = Duration::from_secs(2);
                return Ok(Output {
                    code: status.code(),
                    stdout: stdout.recv_timeout(wait).unwrap_or_default(),
                    stderr: stderr.recv_timeout(wait).unwrap_or_default(),
                });
            }
            let interrupted = limit.interruptible && interrupt::requested();
            if interrupted || started.elapsed() > limit.time {
                let _ = child.kill();
                let _ = child.wait();
                if interrupted {
                    return Err(AdbError::Interrupted);
                }
                let said = stdout.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
                return Err(AdbError::Slow { limit: limit.time, said });
            }
            if asked.elapsed() > ALIVE_EVERY {
                if let Err(error) = alive() {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(error);
                }
                asked = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(if started.elapsed().as_millis() < 100 { 2 } else { 20 }));
        }
    }

    fn open(&self, arguments: &[&str]) -> Result<Stream, AdbError> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.spawn(&mut command)?;
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Stream { stdin: child.stdin.take(), lines, child })
    }
}

/// Reads all of a pipe in a thread of its own.
fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks ends the text there.
            let _ = pipe.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A program that keeps talking. Killed when it is dropped.
#[derive(Debug)]
pub struct Stream {
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    child: Child,
}

/// What a stream gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A line.
    Line(String),
    /// Nothing, for as long as one was willing to wait.
    Nothing,
    /// It is over.
    End,
}

impl Stream {
    /// The next line, waited for until `limit`.
    pub fn next(&self, limit: Duration) -> Said {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Said::Line(line.trim_end_matches('\r').to_owned()),
            Err(RecvTimeoutError::Timeout) => Said::Nothing,
            Err(RecvTimeoutError::Disconnected) => Said::End,
        }
    }

    /// Sends a line to the other end; false if it is gone.
    pub fn say(&mut self, line: &str) -> bool {
        let Some(stdin) = self.stdin.as_mut() else { return false };
        writeln!(stdin, "{line}").and_then(|()| stdin.flush()).is_ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Program {
        Program { path: "/bin/sh".into() }
    }

    #[test]
    fn a_call_gives_what_was_said() {
        let output = shell()
            .call(&["-c", "echo out; echo err >&2; exit 3"], Limit::always(Duration::from_secs(20)))
            .expect("a shell");
        assert_eq!(output, Output { code: Some(3), stdout: "out\n".into(), stderr: "err\n".into() });
    }

    #[test]
    fn a_call_that_hangs_ends_at_its_limit_and_keeps_what_was_said() {
        let limit = Limit::always(Duration::from_millis(300));
        match shell().call(&["-c", "echo first; exec sleep 600"], limit) {
            Err(AdbError::Slow { said, .. }) => assert_eq!(said, "first\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Program { path: "/nowhere/adb".into() }
            .call(&["devices"], Limit::always(Duration::from_secs(5)))
            .unwrap_err();
        assert!(error.to_string().contains("/nowhere/adb") && error.to_string().contains("ADB="), "{error}");
    }

    #[test]
    fn a_stream_talks_both_ways() {
        let mut stream = shell().open(&["-c", "read a; echo got $a"]).expect("a shell");
        assert!(stream.say("this"));
        assert_eq!(stream.next(Duration::from_secs(20)), Said::Line("got this".into()));
        assert_eq!(stream.next(Duration::from_secs(20)), Said::End);
    }
}
