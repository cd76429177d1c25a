//! Company as a child process: started before a worker, ended after it.
//!
//! Contract: it dies with us, because its standard input ends; what became of it comes back as [`CompanyDone`], and one that did
//! not last until it was told to end is said to be lost, with the reason.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use ditbench_record::Reading;
use ditbench_record::disturbed::several;

use super::{CompanyDone, reap, this_program};
use crate::company::{COMMAND, DONE, FAILED, READY};
use crate::probe::load;
use crate::probe::phone::clusters;

/// Its threads touch a few MiB each, and on a busy machine that takes a while.
const TO_BEGIN: Duration = Duration::from_secs(20);
const TO_END: Duration = Duration::from_secs(20);
/// How long it is looked at alone.
const ALONE: Duration = Duration::from_secs(1);
/// A word of its own is short.
const LINE: u64 = 1000;

/// Threads that are at work beside us.
pub struct Company {
    /// `None` once it has ended.
    child: Option<Child>,
    words: Receiver<String>,
    threads: u32,
}

impl Company {
    /// Starts it, on these CPUs or as the system sees fit, and waits until every thread is at work.
    ///
    /// # Errors
    /// Why it could not start.
    pub fn start(threads: u32, cpus: &[u32]) -> Result<Self, String> {
        let mut command = Command::new(this_program().map_err(|error| error.to_string())?);
        command.arg(COMMAND).arg(threads.to_string());
        if !cpus.is_empty() {
            command.args(["on", &clusters::list(cpus)]);
        }
        Self::of(command, threads)
    }

    fn of(mut command: Command, threads: u32) -> Result<Self, String> {
        let failed = |why: &str| format!("{} could not start: {why}", named(threads));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C reaches the whole foreground group: who started it decides when it ends.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| failed(&error.to_string()))?;
        let Some(stdout) = child.stdout.take() else { return Err(failed("it has no standard output")) };
        let mut company = Self { child: Some(child), words: ditbench_pipe::lines(stdout, LINE), threads };
        match company.words.recv_timeout(TO_BEGIN) {
            Ok(word) if word == READY => Ok(company),
            Ok(word) => Err(failed(word.strip_prefix(FAILED).map_or(word.as_str(), str::trim))),
            Err(RecvTimeoutError::Timeout) => {
                Err(failed(&format!("it was not at work within {} seconds", TO_BEGIN.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(failed(&company.reap().0)),
        }
    }

    /// Whether it is no longer at work.
    pub fn is_lost(&self) -> bool {
        // It says nothing before it is told to end.
        !matches!(self.words.try_recv(), Err(TryRecvError::Empty))
    }

    /// Ends it.
    pub fn end(mut self) -> CompanyDone {
        if self.is_lost() {
            let (how, cpu_s) = self.reap();
            return CompanyDone::lost(format!("{} {how} before the launch was over", named(self.threads)), cpu_s);
        }
        drop(self.child.as_mut().and_then(|child| child.stdin.take()));
        let said = self.words.recv_timeout(TO_END);
        let (how, cpu_s) = self.reap();
        match said.as_deref().ok().and_then(rate) {
            Some(rate) => CompanyDone { units_per_s: Reading::Ok(rate), cpu_s, lost: None },
            None => CompanyDone::lost(format!("{} {how} without saying what it did", named(self.threads)), cpu_s),
        }
    }

    /// Waits for its end, which is made sure of; says how it ended, and the seconds of processor time that it used.
    fn reap(&mut self) -> (String, Reading<f64>) {
        let Some(mut child) = self.child.take() else { return ("ended".to_owned(), Reading::default()) };
        // One that has ended keeps what it ended with.
        let _ = child.kill();
        match reap::wait4(child.id()) {
            Ok((status, usage)) => {
                let how = match (status.signal(), status.code()) {
                    (Some(signal), _) => format!("was killed by signal {signal}"),
                    (None, Some(code)) => format!("exited with code {code}"),
                    (None, None) => "ended".to_owned(),
                };
                (how, Reading::Ok(load::cpu_s(&usage)))
            }
            Err(error) => ("ended".to_owned(), Reading::absent(error.to_string())),
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.reap();
    }
}

/// `the company (2 threads kept busy beside the worker)`.
fn named(threads: u32) -> String {
    format!("the company ({} kept busy beside the worker)", several(threads, "thread"))
}

/// Pieces of work a second, of its last word.
fn rate(word: &str) -> Option<f64> {
    let (pieces, seconds) = word.strip_prefix(DONE)?.trim().split_once(' ')?;
    let rate = pieces.parse::<u64>().ok()? as f64 / seconds.parse::<f64>().ok()?;
    rate.is_finite().then_some(rate)
}

/// How much such company gets done with nothing of ours beside it, in pieces of work a second.
///
/// # Errors
/// Why that is not known.
pub fn alone(threads: u32, cpus: &[u32]) -> Result<f64, String> {
    let company = Company::start(threads, cpus)?;
    std::thread::sleep(ALONE);
    match company.end() {
        CompanyDone { units_per_s: Reading::Ok(rate), .. } => Ok(rate),
        CompanyDone { lost, units_per_s, .. } => {
            Err(lost.or_else(|| units_per_s.why().map(str::to_owned)).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Company that a script plays.
    fn played(script: &str) -> Result<Company, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Company::of(command, 2)
    }

    #[test]
    fn what_it_did_is_known_when_it_was_told_to_end() {
        let done = played("echo ready; cat; echo done 50 2.5").unwrap().end();
        assert_eq!((done.units_per_s, done.lost), (Reading::Ok(20.0), None));
        assert!(done.cpu_s.value().is_some_and(|&seconds| seconds >= 0.0), "{:?}", done.cpu_s);
    }

    #[test]
    fn one_that_died_is_lost_and_says_how() {
        let company = played("echo ready; kill -9 $$").unwrap();
        // Its end is seen when its last word is.
        while !company.is_lost() {
            std::thread::yield_now();
        }
        let done = company.end();
        let why = done.lost.unwrap();
        assert!(why.contains("2 threads") && why.contains("killed by signal 9 before the launch was over"), "{why}");
        assert!(done.units_per_s.value().is_none() && done.cpu_s.value().is_some());
        let silent = played("echo ready; cat; exit 3").unwrap().end().lost.unwrap();
        assert!(silent.contains("exited with code 3 without saying what it did"), "{silent}");
    }

    #[test]
    fn one_that_cannot_start_says_why() {
        for (script, words) in [
            ("echo failed there is no such CPU; exit 2", "could not start: there is no such CPU"),
            ("exit 7", "could not start: exited with code 7"),
        ] {
            let why = played(script).err().unwrap();
            assert!(why.contains(words), "{why}");
        }
    }
}
