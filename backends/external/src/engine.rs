//! The engine's process: started once, asked one thing at a time, gone when we are.
//!
//! Contract: whatever the process does (nothing, too late, nonsense, dying) is an error with its reason, and never an endless
//! wait. After that it is killed and every further question has the same answer: half an engine is none.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ditbench_backend_api::BackendError;
use serde::de::DeserializeOwned;

use crate::row::Row;
use crate::wire::{Answer, Ask, Description, Kind, Refusal, Request, VERSION};

/// The environment variable that names the descriptor for answers.
pub const ANSWERS_FD: &str = "DITBENCH_ANSWERS_FD";

/// No answer is longer: a profile of many thousand nodes has a few megabytes.
const LONGEST: u64 = 256 << 20;
/// How long an engine may take to start and describe itself: what imports half a gigabyte of libraries still does.
const START: Duration = Duration::from_secs(60);
/// How long an engine may take to end when asked to, or to say what it died of.
const PATIENCE: Duration = Duration::from_secs(3);

/// An engine at work.
pub(crate) struct Engine {
    pub name: &'static str,
    pub pid: u32,
    pub description: Description,
    timeout: Duration,
    sessions: AtomicU64,
    talk: Mutex<Talk>,
}

/// Both ends of the conversation.
struct Talk {
    child: Child,
    questions: UnixStream,
    answers: Receiver<String>,
    words: Arc<Mutex<VecDeque<String>>>,
    asked: u64,
    broken: Option<String>,
}

impl Engine {
    /// Starts a row's process and has it describe itself. What it prints goes to our standard error, or nowhere if `quiet`.
    pub fn start(name: &'static str, row: &Row, quiet: bool) -> Result<Self, BackendError> {
        let timeout = Duration::from_secs_f64(row.timeout_s);
        let mut talk = Talk::start(row, quiet).map_err(|error| cannot_start(name, row, &error))?;
        let description = talk.describe(name, timeout.min(START))?;
        Ok(Self {
            name,
            pid: talk.child.id(),
            description,
            timeout,
            sessions: AtomicU64::new(0),
            talk: Mutex::new(talk),
        })
    }

    /// A number that no session of this engine has.
    pub fn new_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks, and gives the answer with the seconds that we waited for it. `what` says what is being done.
    pub fn ask<T: DeserializeOwned>(&self, what: &str, ask: &Ask) -> Result<(T, f64), BackendError> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let answer = talk.ask(self.name, what, ask, self.timeout)?;
        let waited = begun.elapsed().as_secs_f64();
        Ok((talk.read(self.name, what, answer)?, waited))
    }

    /// Has the engine forget a session. One that does not know how keeps it until it ends.
    pub fn close(&self, session: u64) {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = talk.ask(self.name, "closing a session", &Ask::Close { session }, PATIENCE);
    }

    /// Checks the engine's own time of something against ours.
    pub fn own_time(&self, what: &str, seconds: f64, waited: f64) -> Result<f64, BackendError> {
        // Two clocks of one machine agree to better than this.
        if seconds >= 0.0 && seconds <= waited + 1e-3 {
            return Ok(seconds);
        }
        let why = format!("it reported {seconds} seconds, but only {waited:.6} passed: times must be in seconds");
        Err(BackendError::runtime(self.name, what, why))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let talk = self.talk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if talk.broken.is_none() {
            let _ = talk.ask(self.name, "ending", &Ask::Quit, PATIENCE).map(drop);
        }
        talk.end();
    }
}

fn cannot_start(name: &'static str, row: &Row, error: &std::io::Error) -> BackendError {
    let (program, folder) = (row.command.first().map_or("", String::as_str), row.folder.display());
    match error.kind() {
        ErrorKind::NotFound => BackendError::Unavailable {
            backend: name,
            why: format!("its program \"{program}\" is not there (started in {folder})"),
            cure: "Install it, or correct the engine's command in engines.toml".to_owned(),
        },
        ErrorKind::PermissionDenied => BackendError::Unavailable {
            backend: name,
            why: format!("its program \"{program}\" may not be run (started in {folder})"),
            cure: "Make it executable, or name its interpreter first in the engine's command".to_owned(),
        },
        _ => BackendError::runtime(name, format!("starting \"{program}\""), error),
    }
}

impl Talk {
    fn start(row: &Row, quiet: bool) -> std::io::Result<Self> {
        let Some((program, arguments)) = row.command.split_first() else {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "its command is empty"));
        };
        // A name without a slash is looked up in PATH; a path is meant from the row's folder.
        let program = if program.contains('/') { row.folder.join(program) } else { program.into() };
        let (ours, theirs) = UnixStream::pair()?;
        let (printed, print) = std::io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&row.folder).envs(&row.environment);
        // A pair of sockets and not a pipe: writing to one whose other end is gone is an error, not the end of this process.
        command.stdin(OwnedFd::from(theirs)).stdout(print.try_clone()?).stderr(print);
        let (child, answers) = ditbench_pipe::spawn(&mut command, ANSWERS_FD)?;
        // It holds the child's ends of socket and pipe.
        drop(command);
        let words: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let kept = Arc::clone(&words);
        std::thread::spawn(move || {
            for line in ditbench_pipe::lines(printed, LONGEST) {
                if !quiet {
                    // Nobody may be listening any more: that ends nothing.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if !line.trim().is_empty() {
                    kept.push_back(line.trim().to_owned());
                }
                if kept.len() > 3 {
                    kept.pop_front();
                }
            }
        });
        let answers = ditbench_pipe::lines(answers, LONGEST);
        Ok(Self { child, questions: ours, answers, words, asked: 0, broken: None })
    }

    fn describe(&mut self, name: &'static str, timeout: Duration) -> Result<Description, BackendError> {
        let what = "describing itself";
        let answer = self.ask(name, what, &Ask::Describe { protocol: VERSION }, timeout)?;
        // Before the rest: a newer protocol may say it in other words.
        match answer.get("protocol").and_then(serde_json::Value::as_u64) {
            Some(theirs) if theirs > u64::from(VERSION) => {
                let why = format!(
                    "it speaks engine protocol {theirs}, and this ditbench speaks up to {VERSION}: use a newer ditbench or an older engine"
                );
                return Err(self.break_off(name, what, why));
            }
            Some(_) => {}
            None => {
                let why = "it does not say which protocol it speaks".to_owned();
                return Err(self.break_off(name, what, why));
            }
        }
        let description: Description = self.read(name, what, answer)?;
        description.check().map_err(|why| self.break_off(name, what, why))
    }

    /// Asks and waits for the answer, which is a refusal or what is given back.
    fn ask(
        &mut self,
        name: &'static str,
        what: &str,
        ask: &Ask,
        timeout: Duration,
    ) -> Result<serde_json::Map<String, serde_json::Value>, BackendError> {
        if let Some(why) = &self.broken {
            return Err(BackendError::runtime(name, what, format!("the engine is gone: {why}")));
        }
        self.asked += 1;
        let mut line = serde_json::to_vec(&Request { id: self.asked, ask })
            .map_err(|error| BackendError::runtime(name, what, format!("the question cannot be written: {error}")))?;
        line.push(b'\n');
        // An engine that is gone breaks the pipe; how it ended says more than that. One that does not read says nothing either.
        let _ = self.questions.set_write_timeout(Some(timeout));
        let _ = self.questions.write_all(&line);
        let said = match self.answers.recv_timeout(timeout) {
            Ok(said) => said,
            Err(RecvTimeoutError::Timeout) => {
                let why = format!("no answer within {} s", timeout.as_secs_f64());
                return Err(self.break_off(name, what, why));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let why = self.how_it_ended();
                return Err(self.break_off(name, what, why));
            }
        };
        let answer: Answer = match serde_json::from_str(&said) {
            Ok(answer) => answer,
            Err(error) => {
                let why = format!("its answer \"{}\" is not of the protocol: {error}", beginning(&said));
                return Err(self.break_off(name, what, why));
            }
        };
        if answer.id != self.asked {
            let why = format!("it answered question {} when asked question {}", answer.id, self.asked);
            return Err(self.break_off(name, what, why));
        }
        match answer.error {
            Some(refusal) => Err(refused(name, what, refusal)),
            None => Ok(answer.rest),
        }
    }

    /// Reads an answer as what was asked for.
    fn read<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        what: &str,
        answer: serde_json::Map<String, serde_json::Value>,
    ) -> Result<T, BackendError> {
        let said = serde_json::Value::Object(answer);
        serde_json::from_value(said.clone()).map_err(|error| {
            let why = format!("its answer \"{}\" is not of the protocol: {error}", beginning(&said.to_string()));
            self.break_off(name, what, why)
        })
    }

    /// From now on nothing is asked any more.
    fn break_off(&mut self, name: &'static str, what: &str, why: String) -> BackendError {
        let error = BackendError::runtime(name, what, &why);
        self.broken = Some(why);
        let _ = self.child.kill();
        error
    }

    /// Why there is no answer any more, in our words and its last ones.
    fn how_it_ended(&mut self) -> String {
        let how = match self.wait(PATIENCE) {
            Some(status) => format!("the engine ended ({status}) before it answered"),
            None => "the engine closed the descriptor for its answers".to_owned(),
        };
        // They come by another way than the answers, and may still be on it.
        let until = Instant::now() + Duration::from_millis(500);
        while Arc::strong_count(&self.words) > 1 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.is_empty() { how } else { format!("{how}: {}", words.join(" | ")) }
    }

    fn wait(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }

    /// Gone for certain, and not left as a zombie.
    fn end(&mut self) {
        let _ = self.questions.shutdown(std::net::Shutdown::Both);
        if self.broken.is_some() || self.wait(PATIENCE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// An engine's refusal in the words that all backends use.
fn refused(backend: &'static str, what: &str, refusal: Refusal) -> BackendError {
    let Refusal { kind, why, cure } = refusal;
    let both = || if cure.is_empty() { why.clone() } else { format!("{why}. {cure}") };
    match kind {
        Kind::Unsupported => BackendError::Unsupported { backend, why: both() },
        Kind::Unavailable => BackendError::Unavailable { backend, why: why.trim_end_matches('.').to_owned(), cure },
        Kind::Failed => BackendError::runtime(backend, what, both()),
    }
}

fn beginning(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// The folder in which tensors change hands: in memory where the system has such a place.
pub(crate) fn hand_over_folder() -> std::io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!("ditbench-engine-{}-", std::process::id());
    let builder = builder.prefix(&prefix);
    let memory = Path::new("/dev/shm");
    sweep(memory);
    if memory.is_dir()
        && let Ok(folder) = builder.tempdir_in(memory)
    {
        return Ok(folder);
    }
    builder.tempdir()
}

/// Removes what killed processes left: folders whose process is gone and that are an hour old. Both, because a container may
/// share the memory and not the processes.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("ditbench-engine-")?.split('-').next()?.parse().ok());
        let Some(pid): Option<u32> = pid else { continue };
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        let running = Path::new("/proc").join(pid.to_string()).exists();
        if !running && age.is_some_and(|age| age > Duration::from_secs(3600)) {
            // Best effort: it costs space, not correctness.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
