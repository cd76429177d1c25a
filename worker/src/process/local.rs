//! A worker as a child process on this machine.
//!
//! Contract: the child dies with us, at its deadline, or when it is done; whatever happened comes back as an [`Ended`]
//! with the child's own resource usage (`wait4`), never as our own failure.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ditbench_protocol::{EVENTS_FD, Event, LaunchSpec, newer_events};
use ditbench_record::{ForeignLoad, Reading};

use super::company::Company;
use super::reap::wait4;
use super::{Cause, CompanyDone};
use crate::interrupt;
use crate::probe;
use crate::probe::cpus;
use crate::probe::load::{self, Snapshot};
use crate::registry;

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// What ended it.
    pub cause: Cause,
    /// Largest resident set over the child's life, bytes, by the kernel's account.
    pub max_rss: Option<u64>,
    /// What else ran on the CPUs that the child was allowed.
    pub foreign: Reading<ForeignLoad>,
    /// What became of its company, where the order wanted some.
    pub company: Option<CompanyDone>,
}

/// Starts a worker of this same program, gives it `spec` with the environment variables that its backend wants and these, and
/// hands on its events until it ends. Company that the order wants is at work before it starts, and until it has ended; without it the
/// launch has failed. The order as the worker gets it is also written to `kept`: `ditbench worker < FILE` repeats the launch.
///
/// # Errors
/// Only when no child can be started, or its log or order cannot be written: everything else is an [`Ended`].
pub fn launch(
    spec: &LaunchSpec,
    environment: &BTreeMap<String, String>,
    log: &Path,
    kept: Option<&Path>,
    deadline: Instant,
    mut on_event: impl FnMut(Event),
) -> Result<Ended> {
    let order = order(spec, environment)?;
    if let Some(file) = kept {
        keep(&order, file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut errors = std::fs::OpenOptions::new().create(true).truncate(true).read(true).write(true).open(log)?;
    let oom_before = crate::probe::memory::oom_kills();
    let mut command = Command::new(super::this_program()?);
    // What is printed, by whomever, goes to the log; events have a way of their own.
    command.arg("worker").stdin(Stdio::piped()).stdout(errors.try_clone()?).stderr(errors.try_clone()?);
    // Ctrl-C reaches the whole foreground group: the run decides what becomes of its workers.
    command.process_group(0);
    let before = Snapshot::take(probe::root());
    let mut company = match spec.company {
        0 => None,
        threads => match Company::start(threads, spec.cpus.as_deref().unwrap_or_default()) {
            Ok(company) => Some(company),
            Err(why) => {
                let foreign = Reading::absent("no worker was started");
                let company = Some(CompanyDone::lost(why.clone(), Reading::default()));
                return Ok(Ended { cause: Cause::Failed { unsupported: false, why }, max_rss: None, foreign, company });
            }
        },
    };
    let (mut child, events) = ditbench_pipe::spawn(&mut command, EVENTS_FD)?;
    let pid = child.id();
    let events = ditbench_pipe::lines(events, u64::MAX);
    if let Some(mut stdin) = child.stdin.take() {
        // A child that died at once closes the pipe: its exit says more than our write error.
        let _ = stdin.write_all(&order);
    }
    let (mut said, mut garbled, mut forced) = (None, None, None);
    let mut ended_company: Option<CompanyDone> = None;
    let mut engine = EngineMemory::default();
    // A worker that does not say is allowed what we are.
    let mut allowed = cpus::allowed(probe::root());
    let started = Instant::now();
    let patience = deadline.saturating_duration_since(started);
    let mut deadline = deadline;
    loop {
        match events.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => match serde_json::from_str::<Event>(&line) {
                Ok(Event::Finished) => said = Some(Cause::Finished),
                Ok(Event::Failed { unsupported, why }) => said = Some(Cause::Failed { unsupported, why }),
                Ok(event) => {
                    // A series takes as long as it has prompts: what is limited is the time to the next image.
                    if matches!(event, Event::Made { .. }) {
                        deadline = Instant::now() + patience;
                    }
                    if let Event::Started { protocol, .. } = &event
                        && let Some(why) = newer_events(*protocol)
                    {
                        forced = Some(Cause::Failed { unsupported: false, why });
                        let _ = child.kill();
                        break;
                    }
                    engine.see(pid, &event);
                    if let Event::Started { cpus_allowed: Some(list), .. } = &event {
                        allowed = ditbench_record::cpus::parse(list).unwrap_or_default();
                    }
                    on_event(event);
                }
                // The last words of a worker that was killed may be cut off. Of one that ended well there is no such line, or
                // what it measured would be lost without a word.
                Err(error) => {
                    garbled =
                        Some(format!("the worker printed \"{}\", which is not an event: {error}", beginning(&line)));
                }
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if forced.is_none() {
            forced = if company.as_ref().is_some_and(Company::is_lost) {
                // Why is known when it is reaped.
                let done = company.take().map(Company::end).unwrap_or_default();
                let why = done.lost.clone().unwrap_or_default();
                ended_company = Some(done);
                Some(Cause::Failed { unsupported: false, why })
            } else if interrupt::requested() {
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
    let (status, usage) = wait4(pid)?;
    let company = ended_company.or_else(|| company.map(Company::end));
    let lost = company.as_ref().and_then(|done| done.lost.clone());
    let cause = match forced.unwrap_or_else(|| explain(status, said, &mut errors, oom_before)) {
        Cause::Finished => garbled.or(lost).map_or(Cause::Finished, |why| Cause::Failed { unsupported: false, why }),
        cause => cause,
    };
    let foreign = match company.as_ref().map(|done| &done.cpu_s) {
        // What is ours cannot be told from what is foreign.
        Some(Reading::Denied { why } | Reading::Absent { why }) => Reading::absent(format!("of the company: {why}")),
        known => {
            let company_s = known.and_then(Reading::value).copied().unwrap_or_default();
            before.until(&Snapshot::take(probe::root()), &allowed, load::cpu_s(&usage) + company_s)
        }
    };
    // Linux counts ru_maxrss in KiB.
    let max_rss = u64::try_from(usage.ru_maxrss).ok().and_then(|kib| kib.checked_mul(1024));
    Ok(Ended { cause, max_rss: engine.max_rss(max_rss), foreign, company })
}

/// The order as the worker gets it: JSON that a person can read.
fn order(spec: &LaunchSpec, environment: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut spec = spec.clone();
    // A backend that this build has not got is the worker's to tell.
    if let Ok(backend) = registry::of(&spec) {
        spec.environment.extend(backend.environment(spec.threads));
    }
    spec.environment.extend(environment.clone());
    let mut order = serde_json::to_vec_pretty(&spec).context("writing the launch's order")?;
    order.push(b'\n');
    Ok(order)
}

fn keep(order: &[u8], file: &Path) -> std::io::Result<()> {
    file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(file, order)
}

/// Where a launch's order is kept: beside the folder of logs, `specs/ID.json` for `logs/ID.log`.
pub fn order_file(log: &Path) -> Option<PathBuf> {
    Some(log.parent()?.parent()?.join("specs").join(log.file_stem()?).with_added_extension("json"))
}

/// The memory of an engine outside the program, by its worker's word: `wait4` knows the worker's alone.
#[derive(Default)]
struct EngineMemory {
    computes: bool,
    most: Option<u64>,
}

impl EngineMemory {
    fn see(&mut self, worker: u32, event: &Event) {
        match event {
            Event::Started { pid, .. } => self.computes = *pid != worker,
            Event::Memory(mark) => self.most = self.most.max(mark.high_water),
            _ => {}
        }
    }

    /// The most that was resident in the process that computed.
    fn max_rss(&self, workers: Option<u64>) -> Option<u64> {
        if self.computes { self.most } else { workers }
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(80).collect()
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
        return Cause::OutOfMemory(format!(
            "the kernel killed the worker because {}",
            crate::probe::memory::what_ran_out()
        ));
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

#[cfg(test)]
mod tests {
    use ditbench_record::MemoryMark;

    use super::*;

    #[test]
    fn a_worker_starts_with_what_its_own_backend_wants_and_with_what_was_found() {
        let environment = |backend: &str, engine: serde_json::Value| {
            let spec = serde_json::json!({
                "choice": {"workload": "snapgenpp", "model": "nano", "size": {"height": 64, "width": 64}, "steps": 4},
                "backend": backend, "engine": engine, "variant": "", "device": "cpu", "threads": 3, "memory": "fast",
                "weights": "", "inputs": "", "cache": "", "outputs": null, "profile": false,
                "stop": {"images": 1, "seconds": 1.0, "relative_half_width": 0.0},
            });
            let found = BTreeMap::from([("A_LIBRARY".to_owned(), "/lib.so".to_owned())]);
            let order = order(&serde_json::from_value(spec).unwrap(), &found).unwrap();
            serde_json::from_slice::<LaunchSpec>(&order).unwrap().environment
        };
        let wanted = |names: &[&str]| {
            let threads = names.iter().map(|name| ((*name).to_owned(), "3".to_owned()));
            threads.chain([("A_LIBRARY".to_owned(), "/lib.so".to_owned())]).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(environment("reference", serde_json::Value::Null), wanted(&["RAYON_NUM_THREADS"]));
        let engine = serde_json::json!({"name": "toy", "command": ["true"]});
        assert_eq!(environment("toy", engine), wanted(&["RAYON_NUM_THREADS", "OMP_NUM_THREADS"]));
        // The worker tells why it has no such backend.
        assert_eq!(environment("no such backend", serde_json::Value::Null), wanted(&[]));
    }

    #[test]
    fn an_order_lies_beside_its_log() {
        assert_eq!(order_file(Path::new("runs/x/logs/a.b-0.log")), Some("runs/x/specs/a.b-0.json".into()));
    }

    #[test]
    fn memory_is_that_of_the_process_that_computes() {
        let started = |pid| Event::Started {
            protocol: 1,
            pid,
            version: Default::default(),
            cpus_allowed: None,
            counters: Default::default(),
        };
        let marks = [Some(70), Some(90), None]
            .map(|high_water| Event::Memory(MemoryMark { high_water, ..MemoryMark::default() }));
        for (pid, wanted) in [(5, Some(1000)), (6, Some(90))] {
            let mut memory = EngineMemory::default();
            std::iter::once(&started(pid)).chain(&marks).for_each(|event| memory.see(5, event));
            assert_eq!(memory.max_rss(Some(1000)), wanted);
        }
    }
}
