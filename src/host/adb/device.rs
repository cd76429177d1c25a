//! One phone: shell commands whose end is certain, and how to reach it again.
//!
//! Contract: `adb shell` exits with 0 when the phone goes away in the middle of a command, so a command counts as ended
//! only when its last line, which carries its exit status, has arrived. Every call names the phone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::program::{Adb, Limit, Output, Stream};
use super::{AdbError, list};
use ditbench_worker::interrupt;

/// A shell call that only asks for something.
pub const CALL: Duration = Duration::from_secs(20);
/// The least that is asked, to see whether the phone answers at all.
const ANSWER: Duration = Duration::from_secs(10);
/// Begins the last line of every command.
const STATUS: &str = "ditbench-status:";
/// Begins the first line of every command.
const PID: &str = "ditbench-pid:";

/// A phone, by its serial.
#[derive(Clone)]
pub struct Device {
    adb: Arc<dyn Adb>,
    serial: String,
}

/// What a command on the phone said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its exit status.
    pub status: i32,
    /// Its output.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

impl Device {
    /// A phone that adb may or may not see.
    pub fn new(adb: Arc<dyn Adb>, serial: &str) -> Self {
        Self { adb, serial: serial.to_owned() }
    }

    /// Its serial, as `adb devices` gives it.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Runs a script and gives what it said, whatever its exit status.
    ///
    /// # Errors
    /// The phone went away, does not answer, or may not be used.
    pub fn shell(&self, doing: &str, script: &str, limit: Limit) -> Result<Reply, AdbError> {
        // A subshell, so that `exit` in the script ends the script only; a newline, so that the status begins a line.
        let wrapped = format!("echo {PID}$$; (\n{script}\n); s=$?; echo; echo {STATUS}$s");
        match self.adb.call(&["-s", &self.serial, "shell", &wrapped], limit) {
            Ok(output) => self.reply(doing, &output),
            Err(error) => {
                if let AdbError::Slow { said, .. } = &error {
                    self.kill_remains(said);
                }
                Err(self.hung(doing, error))
            }
        }
    }

    /// As [`Device::shell`], and the status must be 0.
    ///
    /// # Errors
    /// Also [`AdbError::Failed`], with the end of what was said.
    pub fn ask(&self, doing: &str, script: &str) -> Result<String, AdbError> {
        self.ask_within(doing, script, Limit::work(CALL))
    }

    /// As [`Device::ask`] with a limit of one's own.
    ///
    /// # Errors
    /// As [`Device::ask`].
    pub fn ask_within(&self, doing: &str, script: &str, limit: Limit) -> Result<String, AdbError> {
        let reply = self.shell(doing, script, limit)?;
        if reply.status == 0 { Ok(reply.stdout) } else { Err(self.failed(doing, &reply)) }
    }

    /// The error that a bad exit status is.
    pub fn failed(&self, doing: &str, reply: &Reply) -> AdbError {
        let words = if reply.stderr.trim().is_empty() { &reply.stdout } else { &reply.stderr };
        let lines: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let said = lines[lines.len().saturating_sub(3)..].join(" | ");
        AdbError::Failed { serial: self.serial.clone(), doing: doing.to_owned(), status: reply.status, said }
    }

    /// Starts a command that keeps talking.
    ///
    /// # Errors
    /// No adb.
    pub fn open(&self, script: &str) -> Result<Stream, AdbError> {
        // Not "shell -T": version 1 of the shell protocol does not know it.
        self.adb.open(&["-s", &self.serial, "shell", script])
    }

    /// Any other call that names this phone.
    ///
    /// # Errors
    /// As [`Adb::call`]; a limit that ran out is [`AdbError::Hung`].
    pub fn call(&self, doing: &str, arguments: &[&str], limit: Limit) -> Result<Output, AdbError> {
        let said = self.adb.call(&[&["-s", &self.serial], arguments].concat(), limit);
        said.map_err(|error| self.hung(doing, error))
    }

    /// A call that moves a file, which may rightly take minutes: ended early if the phone answers nothing else meanwhile.
    ///
    /// # Errors
    /// As [`Device::call`].
    pub fn transfer(&self, doing: &str, arguments: &[&str], limit: Limit) -> Result<Output, AdbError> {
        let mut alive = || self.ask_within(doing, "true", Limit::work(ANSWER)).map(|_| ());
        let said = self.adb.call_while(&[&["-s", &self.serial], arguments].concat(), limit, &mut alive);
        said.map_err(|error| self.hung(doing, error))
    }

    fn hung(&self, doing: &str, error: AdbError) -> AdbError {
        match error {
            AdbError::Slow { limit, .. } => {
                AdbError::Hung { serial: self.serial.clone(), doing: doing.to_owned(), limit }
            }
            error => error,
        }
    }

    /// The phone went away, or is in a state that adb names.
    pub fn lost(&self, doing: &str, said: &str) -> AdbError {
        AdbError::of_state(&self.serial, said)
            .unwrap_or_else(|| AdbError::Lost { serial: self.serial.clone(), doing: doing.to_owned() })
    }

    fn reply(&self, doing: &str, output: &Output) -> Result<Reply, AdbError> {
        let stdout = output.stdout.replace("\r\n", "\n");
        let parsed = stdout.trim_end().rsplit_once('\n').and_then(|(before, last)| {
            let status = last.strip_prefix(STATUS)?.trim().parse().ok()?;
            // A shell may print lines of its own first: a linker's warning, a greeting.
            let begins = before.match_indices(PID).find(|(at, _)| *at == 0 || before[..*at].ends_with('\n'));
            let body = begins.and_then(|(at, _)| before[at..].split_once('\n')).map_or("", |(_, body)| body);
            Some(Reply { status, stdout: body.to_owned(), stderr: output.stderr.clone() })
        });
        parsed.ok_or_else(|| self.lost(doing, &output.stderr))
    }

    /// What a killed adb left running on the phone, as far as it still listens.
    fn kill_remains(&self, said: &str) {
        let pid = said.lines().find_map(|line| line.trim().strip_prefix(PID)?.parse::<u32>().ok());
        if let Some(pid) = pid {
            let script = format!("kill -9 -{pid} || kill -9 {pid}");
            // Best effort: a phone that hangs does not take this either.
            let _ = self.adb.call(&["-s", &self.serial, "shell", &script], Limit::always(Duration::from_secs(3)));
        }
    }

    /// Whether adb can use it now.
    ///
    /// # Errors
    /// What adb says of it instead.
    pub fn state(&self) -> Result<(), AdbError> {
        let output = self.call("asking for its state", &["get-state"], Limit::always(ANSWER))?;
        match output.stdout.trim() {
            "device" => Ok(()),
            "" if output.stderr.contains("not found") => {
                let known = list::list(self.adb.as_ref())?;
                Err(AdbError::Unknown { serial: self.serial.clone(), known: list::names(&known) })
            }
            "" => Err(self.lost("asking for its state", &output.stderr)),
            state => Err(AdbError::of_state(&self.serial, state).unwrap_or_else(|| AdbError::State {
                serial: self.serial.clone(),
                state: state.to_owned(),
                cure: "Start Android on it, or wait until it has started",
            })),
        }
    }

    /// Tries once to reach a phone that went away, by the rules of its connection.
    ///
    /// # Errors
    /// It is still away, or does not answer.
    pub fn reach(&self) -> Result<(), AdbError> {
        let short = Limit::work(ANSWER);
        if self.serial.contains(':') {
            // A connection that broke stays "already connected" and offline until it is taken down.
            if self.state().is_err() {
                let _ = self.adb.call(&["disconnect", &self.serial], short);
                let _ = self.adb.call(&["connect", &self.serial], short);
            }
        } else if matches!(self.state(), Err(AdbError::State { state, .. }) if state == "offline") {
            let _ = self.adb.call(&["reconnect", "offline"], short);
        }
        self.state()?;
        // A hung phone is still in state "device": only an answer counts.
        self.ask_within("seeing whether it answers", "true", short).map(|_| ())
    }

    /// Tries until the phone answers or patience ends.
    ///
    /// # Errors
    /// The last thing that was in the way.
    pub fn reach_within(&self, patience: Duration) -> Result<(), AdbError> {
        let end = Instant::now() + patience;
        loop {
            match self.reach() {
                Ok(()) => return Ok(()),
                Err(AdbError::Interrupted) => return Err(AdbError::Interrupted),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) if interrupt::requested() => return Err(AdbError::Interrupted),
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }
}

/// A word for the phone's shell.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Plays back answers, one for each call.
    struct Tape(Mutex<Vec<Result<Output, AdbError>>>);

    impl Adb for Tape {
        fn call_while(
            &self,
            _: &[&str],
            _: Limit,
            _: &mut dyn FnMut() -> Result<(), AdbError>,
        ) -> Result<Output, AdbError> {
            self.0.lock().expect("one thread").remove(0)
        }

        fn open(&self, _: &[&str]) -> Result<Stream, AdbError> {
            Err(AdbError::NoDevice)
        }
    }

    fn device(answers: Vec<Output>) -> Device {
        Device::new(Arc::new(Tape(Mutex::new(answers.into_iter().map(Ok).collect()))), "X")
    }

    fn said(stdout: &str, stderr: &str) -> Output {
        Output { code: Some(0), stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn the_last_line_carries_the_status() {
        let text = "ditbench-pid:7\nhello\nno newline\nditbench-status:42\n";
        let reply = device(vec![said(text, "")]).shell("testing", "x", Limit::always(CALL)).unwrap();
        assert_eq!((reply.status, reply.stdout.as_str()), (42, "hello\nno newline"));
    }

    #[test]
    fn lines_that_the_shell_prints_first_are_not_the_answer() {
        let text =
            "WARNING: linker: /vendor/lib64/x.so: unused DT entry\nWelcome\nditbench-pid:7\nhello\nditbench-status:0\n";
        let reply = device(vec![said(text, "")]).shell("testing", "x", Limit::always(CALL)).unwrap();
        assert_eq!((reply.status, reply.stdout.as_str()), (0, "hello"));
        let empty = device(vec![said("hm\nditbench-pid:7\nditbench-status:0\n", "")]).ask("testing", "x").unwrap();
        assert_eq!(empty, "");
    }

    #[test]
    fn an_answer_without_a_last_line_is_a_lost_phone_although_adb_exits_with_0() {
        for text in ["", "ditbench-pid:7\n", "ditbench-pid:7\nhalf a li", "ditbench-pid:7\nx\nditbench-status:"] {
            let error = device(vec![said(text, "")]).ask("reading a file", "x").unwrap_err();
            assert_eq!(error, AdbError::Lost { serial: "X".into(), doing: "reading a file".into() }, "{text:?}");
        }
        let error = device(vec![said("", "error: device unauthorized.")]).ask("reading", "x").unwrap_err();
        assert!(matches!(error, AdbError::State { .. }), "{error}");
    }

    #[test]
    fn a_bad_status_gives_the_end_of_what_was_said() {
        let error = device(vec![said("ditbench-pid:1\n\nditbench-status:1\n", "rm: /x: Permission denied\n")])
            .ask("removing files", "x")
            .unwrap_err();
        assert_eq!(error.to_string(), "X: removing files failed with status 1: rm: /x: Permission denied");
    }

    #[test]
    fn words_are_quoted() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}
