//! A launch that goes on when nobody listens: started in a session of its own, it looks after the worker and writes down
//! what happens.
//!
//! Contract: everything of a launch is in its folder: `order.json` (from the host), `pid`, `journal.jsonl`, `worker.log`,
//! the image and latents. The worker dies with this process, at its deadline, and on SIGTERM.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ditbench_record::Reading;
use serde::{Deserialize, Serialize};

use super::fixed_performance::FixedPerformance;
use super::journal::{Journal, Line};
use super::perfetto::Trace;
use super::sampler::Sampler;
use crate::interrupt;
use crate::process::{Cause, local};
use crate::process::{Exit, Observed};
use ditbench_protocol::{Event, LaunchSpec};

/// What the host wants done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// For the worker; paths are the phone's.
    pub spec: LaunchSpec,
    /// Environment variables of the worker.
    pub environment: Vec<(String, String)>,
    /// Seconds after which the worker is given up.
    pub timeout_s: f64,
    /// Whether to read sensors while the worker is at work.
    pub telemetry: bool,
    /// Whether to switch fixed-performance mode on meanwhile.
    pub fixed_performance: bool,
    /// The profile of Android's scheduling to put the worker into.
    #[serde(default)]
    pub task_profile: Option<String>,
    /// Whether to have the whole system traced meanwhile.
    #[serde(default)]
    pub system_trace: bool,
}

const ORDER: &str = "order.json";
const PID: &str = "pid";
/// Folder of all launches, below ours.
const LAUNCHES: &str = "launches";

/// Starts the launch and comes back at once.
pub(super) fn start(folder: &Path) -> Result<()> {
    let log = std::fs::File::create(folder.join("supervisor.log"))
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.arg("agent").arg("supervise").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call.
    unsafe {
        // A session of its own: the end of the shell that started it is not its end.
        command.pre_exec(|| if libc::setsid() < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) });
    }
    let child = command.spawn().context("starting the launch")?;
    // Written here already, so that the launch is known to be there before we have said so.
    std::fs::write(folder.join(PID), child.id().to_string()).context("writing the launch's process id")?;
    crate::output::data(&format!("{}\n", child.id()));
    Ok(())
}

/// Runs the launch to its end.
pub(super) fn supervise(folder: &Path) -> Result<()> {
    interrupt::listen();
    let path = folder.join(ORDER);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let order: Order = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
    let mut observed = Observed::default();
    let ours = folder.parent().and_then(Path::parent).unwrap_or(folder);
    let fixed = order.fixed_performance.then(|| FixedPerformance::on(ours));
    match &fixed {
        Some(Ok(_)) => observed.notes.push("fixed-performance mode was on".to_owned()),
        Some(Err(why)) => observed.notes.push(why.clone()),
        None => {}
    }
    let begun = Instant::now();
    let journal = Arc::new(Journal::create(folder)?);
    let sampler = order.telemetry.then(|| Sampler::start(Arc::clone(&journal), begun));
    let environment: BTreeMap<String, String> = order.environment.iter().cloned().collect();
    let timeout = Duration::try_from_secs_f64(order.timeout_s).context("the order's time limit")?;
    let deadline = begun.checked_add(timeout).context("the order's time limit is too long")?;
    let trace = order.system_trace.then(|| Trace::start("perfetto", folder, timeout));
    let mut profiled = None;
    // The order is there already, as the host sent it.
    let log = folder.join("worker.log");
    let ended = local::launch(&order.spec, &environment, &log, None, deadline, |event| {
        if let (Event::Started { pid, .. }, Some(sampler)) = (&event, &sampler) {
            sampler.watch(*pid);
        }
        // At once, so that the threads that it starts from now on are in it too.
        if let (Event::Started { pid, .. }, Some(profile)) = (&event, &order.task_profile) {
            profiled = Some(put_into(*pid, profile));
        }
        journal.add(&Line::Event { at_s: begun.elapsed().as_secs_f64(), event });
    });
    observed.notes.extend(profiled);
    observed.system_trace = trace.map(|trace| trace.map_or_else(Reading::absent, Trace::stop));
    if let Some((cpus, cost)) = sampler.map(Sampler::stop) {
        observed.cpus_seen = cpus;
        observed.notes.push(cost);
    }
    let failed = |why: String| Cause::Failed { unsupported: false, why };
    let (cause, max_rss) = match ended {
        Ok(exit) => {
            observed.foreign = exit.foreign;
            observed.company = exit.company.map(Box::new);
            (exit.cause, exit.max_rss)
        }
        Err(error) => (failed(format!("cannot start a worker on the phone: {error:#}")), None),
    };
    let cause = match journal.broken() {
        Some(why) => failed(format!("the phone could not write the worker's output: {why}. Free some space on it")),
        None => cause,
    };
    drop(fixed);
    let journal = Arc::into_inner(journal).context("the sampler still holds the journal")?;
    journal.end(Exit { cause, max_rss, observed })
}

/// Puts a worker into a profile of Android's scheduling; says what came of it.
fn put_into(pid: u32, profile: &str) -> String {
    let done = Command::new("settaskprofile").args([&pid.to_string(), profile]).stdin(Stdio::null()).output();
    match done {
        Ok(output) if output.status.success() => format!("the worker was in the task profile {profile}"),
        Ok(output) => {
            let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
            format!("the task profile {profile} was refused: {}", words.concat())
        }
        Err(error) => format!(
            "the task profile {profile} could not be set (Android 13 and later have it): settaskprofile: {error}"
        ),
    }
}

/// The process of a launch, if it is still at work.
pub(super) fn pid(folder: &Path) -> Option<u32> {
    let pid: u32 = std::fs::read_to_string(folder.join(PID)).ok()?.trim().parse().ok()?;
    // A number may have gone to another process since, above all after a restart of the phone.
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let ours = command.split(|&byte| byte == 0).any(|word| word == b"supervise");
    let folder = folder.file_name()?.to_str()?.as_bytes();
    (ours && command.windows(folder.len()).any(|window| window == folder)).then_some(pid)
}

/// Launches below `ours` that are still at work: name and process.
pub(super) fn alive(ours: &Path) -> Vec<(String, u32)> {
    let folders = std::fs::read_dir(ours.join(LAUNCHES)).into_iter().flatten().flatten();
    folders.filter_map(|entry| Some((entry.file_name().into_string().ok()?, pid(&entry.path())?))).collect()
}
