//! One launch on a phone: sent, started, followed through drops of the connection, collected.
//!
//! Contract: the launch's folder is there from before it starts until its results are here. A folder that is already
//! there means that we lost touch with this very launch: it is followed and not started again.

use std::path::Path;
use std::time::{Duration, Instant};

use ditbench_record::Telemetry;

use super::device::quote;
use super::program::Said;
use super::push::pull;
use super::session::Session;
use super::{AdbError, Limit};
use ditbench_worker::agent::{self, Line};
use ditbench_worker::process::{Cause, Exit, Observed, local};

use crate::host::Order;
use ditbench_protocol::{Event, LaunchSpec, Outputs};
use ditbench_worker::interrupt;
use ditbench_workloads::own;

/// A sign of life comes every second; after so long without one the connection is taken for broken.
const SILENCE: Duration = Duration::from_secs(12);
/// A launch's own deadline is kept on the phone; we wait so much longer for word of it.
const GRACE: Duration = Duration::from_secs(30);

/// Another one after every start of the phone.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What was sent for a launch, as paths on the phone.
pub struct Sent {
    /// A user's own model.
    pub model: Option<String>,
    /// Weights; empty for a user's own model, which has its own.
    pub weights: String,
    /// Inputs.
    pub inputs: String,
}

/// Whether the launch is there already, from before a drop.
///
/// # Errors
/// The phone went away.
pub fn is_there(session: &Session, id: &str) -> Result<bool, AdbError> {
    let order = quote(&format!("{}/launches/{id}/pid", session.folder()));
    let reply =
        session.device.shell("looking for the launch", &format!("[ -f {order} ]"), Limit::work(super::device::CALL))?;
    Ok(reply.status == 0)
}

/// Starts a launch.
///
/// # Errors
/// The phone went away or has no room.
pub fn start(session: &Session, order: &Order, sent: Sent) -> Result<(), AdbError> {
    let folder = format!("{}/launches/{}", session.folder(), order.id);
    let mut spec = order.spec.clone();
    if let Some(model) = &sent.model {
        spec.choice = own::moved(&spec.choice, model);
    }
    spec.weights = sent.weights.into();
    spec.inputs = sent.inputs.into();
    spec.cache = format!("{}/cache", session.folder()).into();
    spec.outputs = order.spec.outputs.as_ref().map(|_| Outputs {
        image: format!("{folder}/image.png").into(),
        latents: format!("{folder}/latents.safetensors").into(),
    });
    let orders = agent::Order {
        spec,
        environment: session.environment.clone().into_iter().collect(),
        timeout_s: order.timeout.as_secs_f64(),
        telemetry: !session.options.no_telemetry,
        fixed_performance: session.options.fixed_performance,
        task_profile: session.options.task_profile.clone(),
        system_trace: order.system_trace.is_some(),
    };
    let text = serde_json::to_string(&orders).map_err(|error| AdbError::Failed {
        serial: session.device.serial().to_owned(),
        doing: "writing the launch's order".to_owned(),
        status: 1,
        said: error.to_string(),
    })?;
    if let Err(error) = keep(&orders.spec, order.log) {
        // The launch does not need it: whoever wants to repeat it does.
        (order.say)(format!("the launch's order was not kept: {error}"));
    }
    // A folder without a process is of a start that broke off.
    let script = format!(
        "rm -rf {0} && mkdir -p {0} {1}/cache && {{ cat {BOOT_ID} > {0}/boot 2>/dev/null; cat > {0}/order.json; }} <<'DITBENCH_END'\n{text}\nDITBENCH_END\n[ $? = 0 ] && {2} start {0}",
        quote(&folder),
        quote(session.folder()),
        session.agent()
    );
    match session.device.ask("starting the launch", &script) {
        Err(AdbError::Failed { said, .. }) if said.contains("No space left") => Err(AdbError::Full {
            serial: session.device.serial().to_owned(),
            what: "the launch's order".to_owned(),
            dir: session.folder().to_owned(),
        }),
        other => other.map(|_| ()),
    }
}

/// Keeps the order beside the launch's log. Its paths are the phone's.
fn keep(spec: &LaunchSpec, log: &Path) -> std::io::Result<()> {
    let Some(file) = local::order_file(log) else { return Ok(()) };
    file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(file, serde_json::to_vec_pretty(spec)?)
}

/// How following ended.
pub enum Followed {
    /// The launch is over.
    Over(Box<Exit>),
    /// The phone stayed away; the launch may still be at work.
    Away(AdbError),
}

/// Hands on what a launch says until it is over.
pub fn follow(session: &mut Session, order: &Order, on_event: &mut dyn FnMut(f64, Event)) -> Followed {
    let folder = format!("{}/launches/{}", session.folder(), order.id);
    let begun = Instant::now();
    let mut place: u64 = 0;
    let mut telemetry: Vec<Telemetry> = Vec::new();
    let mut drops = 0u32;
    let over = |cause: Cause| Followed::Over(Box::new(Exit { cause, max_rss: None, observed: Observed::default() }));
    loop {
        let script = format!("exec {} agent follow {} {place}", quote(&session.program), quote(&folder));
        let stream = match session.device.open(&script) {
            Ok(stream) => stream,
            Err(error) => return Followed::Away(error),
        };
        let mut heard = Instant::now();
        loop {
            if interrupt::requested() {
                session.stop_launches();
                return over(Cause::Interrupted);
            }
            if begun.elapsed() > order.timeout + GRACE {
                session.stop_launches();
                return over(Cause::TimedOut(begun.elapsed()));
            }
            match stream.next(Duration::from_millis(200)) {
                Said::Line(line) if line == agent::BEAT => heard = Instant::now(),
                Said::Line(line) if line == agent::GONE => return over(gone(session, &folder)),
                // Not of the journal: a shell may print lines of its own.
                Said::Line(line) if !line.starts_with('{') => heard = Instant::now(),
                Said::Line(line) => {
                    heard = Instant::now();
                    place += line.len() as u64 + 1;
                    match serde_json::from_str::<Line>(&line) {
                        Ok(Line::Event { at_s, event }) => on_event(at_s, event),
                        Ok(Line::Sample(sample)) => telemetry.push(sample),
                        Ok(Line::Exit(mut exit)) => {
                            exit.observed.telemetry = telemetry;
                            if drops > 0 {
                                exit.observed
                                    .notes
                                    .push(format!("the connection to the phone broke {drops} times during the launch"));
                            }
                            return Followed::Over(exit);
                        }
                        // A line that a full disk cut off; the launch's end says so.
                        Err(_) => {}
                    }
                }
                Said::Nothing if heard.elapsed() > SILENCE => break,
                Said::Nothing => {}
                Said::End => break,
            }
        }
        drop(stream);
        drops += 1;
        (order.say)(format!("{} does not answer: waiting for it", session.device.serial()));
        match session.again() {
            Ok(()) => {}
            Err(AdbError::Interrupted) => {}
            Err(error) => return Followed::Away(error),
        }
    }
}

/// A launch whose process is gone and which wrote no end.
fn gone(session: &Session, folder: &str) -> Cause {
    let script = format!(
        "echo \"$(cat {BOOT_ID}) $(cat {0}/boot)\"; echo \"$(cat /proc/uptime)\"; tail -n 3 {0}/supervisor.log {0}/worker.log 2>/dev/null",
        quote(folder)
    );
    let said = session.device.shell("asking how the launch ended", &script, Limit::work(super::device::CALL));
    let said = said.map(|reply| reply.stdout).unwrap_or_default();
    Cause::Failed { unsupported: false, why: why_gone(&said) }
}

/// Reads the ids of this boot and of the launch's on one line, then the seconds since the boot, then the ends of logs.
fn why_gone(said: &str) -> String {
    let mut lines = said.lines();
    let boots: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let up: Option<f64> = lines.next().and_then(|line| line.split_whitespace().next()?.parse().ok());
    let restarted = match boots[..] {
        [now, then] => now != then,
        // Not every phone lets the shell read the id.
        _ => up.is_some_and(|up| up < 600.0),
    };
    let why = match (restarted, up) {
        (true, Some(up)) => format!("the phone restarted ({up:.0} s ago) and took the launch with it"),
        (true, None) => "the phone restarted and took the launch with it".to_owned(),
        (false, _) => "the launch was killed on the phone: by Android because memory ran out, or by hand".to_owned(),
    };
    let words = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("==>"));
    std::iter::once(why.as_str()).chain(words).collect::<Vec<_>>().join(" | ")
}

/// Fetches what a launch wrote, then removes its folder.
///
/// # Errors
/// The phone went away: the folder is still there, and the launch is collected again.
pub fn collect(session: &Session, order: &Order, finished: bool) -> Result<(), AdbError> {
    let folder = format!("{}/launches/{}", session.folder(), order.id);
    let wants = |name: &str| format!("{folder}/{name}");
    fetch_if_there(session, &wants("worker.log"), order.log)?;
    if let (Some(outputs), true) = (&order.spec.outputs, finished) {
        fetch_if_there(session, &wants("image.png"), &outputs.image)?;
        fetch_if_there(session, &wants("latents.safetensors"), &outputs.latents)?;
    }
    if let (Some(trace), true) = (order.system_trace, finished) {
        fetch_if_there(session, &wants(agent::TRACE), trace)?;
    }
    session.device.ask("removing the launch's folder", &format!("rm -rf {}", quote(&folder))).map(|_| ())
}

/// A launch that failed early has written less.
fn fetch_if_there(session: &Session, remote: &str, local: &Path) -> Result<(), AdbError> {
    let there = session.device.shell(
        "looking for a result",
        &format!("[ -f {} ]", quote(remote)),
        Limit::work(super::device::CALL),
    )?;
    if there.status == 0 { pull(&session.device, remote, local) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::why_gone;

    #[test]
    fn a_restart_is_told_from_a_launch_that_was_killed() {
        let restarted = "the phone restarted";
        assert!(why_gone("b2 a1\n5000.1 9\n").starts_with(restarted), "another boot, however long ago");
        assert!(why_gone("a1 a1\n30.5 9\nworker: out\n").starts_with("the launch was killed on the phone"));
        assert!(why_gone("a1 a1\n30.5 9\n==> x <==\nout\n").ends_with("by hand | out"));
        assert_eq!(why_gone(" \n30.5 9\n"), "the phone restarted (30 s ago) and took the launch with it");
        assert!(why_gone(" \n7000.5 9\n").starts_with("the launch was killed"));
        assert!(
            why_gone("").starts_with("the launch was killed"),
            "a phone that says nothing has not restarted for that"
        );
    }
}
