//! A phone held by us: locked, our program on it, and cleaned up when we let go.
//!
//! Contract: what is on the phone of ours lies in one folder. Dropping the session stops what we started, restores what we
//! changed and removes the folder, unless it was to be kept, or a launch is still to be collected.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ditbench_record::{ClockOffset, HotThreshold, Reading};

use super::cool::Cool;
use super::device::quote;
use super::program::{Said, Stream};
use super::push::{Pusher, part};
use super::{AdbError, Device, Limit, PhoneOptions, binary};
use crate::plan::ClusterChoice;
use ditbench_worker::agent;
use ditbench_worker::probe::phone::{Cluster, Identity, Sources, clusters, props, readings, sources, thermal};

/// In what state a phone was found.
pub struct State {
    /// Android's word for the screen's state.
    pub screen: Reading<String>,
    /// Whether the battery saver was on.
    pub battery_saver: Reading<bool>,
    /// The shell's user.
    pub uid: Reading<u32>,
    /// The shell's group of CPUs.
    pub cpuset: Reading<String>,
}

/// A phone that is ours for now.
pub struct Session {
    /// The phone.
    pub device: Device,
    /// Flags.
    pub options: PhoneOptions,
    /// Who it is.
    pub identity: Identity,
    /// Its cores by kind.
    pub clusters: Vec<Cluster>,
    /// In what state it was found.
    pub state: State,
    /// Where Android does more against heat.
    pub thresholds: Vec<HotThreshold>,
    /// What counts as cool there.
    pub cool: Cool,
    /// Our program's path there.
    pub program: String,
    /// Sends files.
    pub pusher: Pusher,
    /// Environment variables of our program there.
    pub environment: BTreeMap<String, String>,
    /// The run's id.
    run: String,
    lock: Option<Stream>,
    /// Whether we have held the lock, so that what is on the phone is ours to remove.
    ours: bool,
    /// Set when a launch may still be at work there, or is to be collected: then nothing is removed.
    pub leave: bool,
}

/// All that a phone tells before anything of ours is on it.
///
/// # Errors
/// The phone went away.
pub fn read_sources(device: &Device) -> Result<Sources, AdbError> {
    let text = device.shell("asking who it is", &sources::script(), Limit::work(Duration::from_secs(60)))?.stdout;
    Ok(sources::parse(&text))
}

impl Session {
    /// Reaches the phone, looks whether it has the cores that are wanted and is free, sends our program, takes the lock.
    ///
    /// # Errors
    /// The phone cannot be used; there is no program for it; it has no such cores; another host has it.
    pub fn open(
        device: Device,
        options: &PhoneOptions,
        wanted: &[ClusterChoice],
        run: &str,
        say: &dyn Fn(String),
    ) -> Result<Self, AdbError> {
        say(format!("reaching {}", device.serial()));
        device.reach()?;
        let opened = Self::prepare_through_drops(&device, options, wanted, run, say);
        if let Err(error) = &opened {
            sweep(&device, options, error.is_drop());
        }
        opened
    }

    fn prepare_through_drops(
        device: &Device,
        options: &PhoneOptions,
        wanted: &[ClusterChoice],
        run: &str,
        say: &dyn Fn(String),
    ) -> Result<Self, AdbError> {
        // Once it has answered, a drop is waited out: everything here may be done twice.
        for _ in 0..3 {
            match Self::prepare(device, options, wanted, run, say) {
                Err(error) if error.is_drop() => {
                    say(format!("{error}; trying again"));
                    device.reach_within(options.patience())?;
                }
                other => return other,
            }
        }
        Self::prepare(device, options, wanted, run, say)
    }

    fn prepare(
        device: &Device,
        options: &PhoneOptions,
        wanted: &[ClusterChoice],
        run: &str,
        say: &dyn Fn(String),
    ) -> Result<Self, AdbError> {
        let device = device.clone();
        let sources = read_sources(&device)?;
        let identity = Identity::of(&props::parse(&sources.props));
        let abi = identity.abi.value().map_or("unknown", String::as_str);
        let file = binary::find(options.phone_binary.as_deref(), abi)?;
        let clusters = clusters::group(&sources);
        for choice in wanted {
            clusters::cpus_of(choice.as_str(), &clusters).map_err(AdbError::NoSuchCores)?;
        }
        look_for_others(&device, options, run)?;
        let mut pusher = Pusher::default();
        let program = pusher.put(&device, &file, &format!("{}/bin", options.folder()), "0700", say)?;
        runs(&device, &program, &file)?;
        let thresholds = thermal::parse(sources.thermal.as_deref().unwrap_or_default()).thresholds;
        let mut session = Self {
            device,
            options: options.clone(),
            identity,
            cool: Cool::of(&readings::all(&sources, &clusters), &clusters, &thresholds),
            clusters,
            state: State {
                screen: sources.screen(),
                battery_saver: sources.battery_saver(),
                uid: sources.uid(),
                cpuset: sources.cpuset(),
            },
            thresholds,
            program,
            pusher,
            environment: BTreeMap::new(),
            run: run.to_owned(),
            lock: None,
            ours: false,
            leave: false,
        };
        session.take_lock()?;
        session.tidy();
        Ok(session)
    }

    /// Our folder on the phone.
    pub fn folder(&self) -> &str {
        self.options.folder()
    }

    /// Our program there, to be told what to do. Libraries that leave files where temporary ones go (ONNX Runtime does) leave
    /// them in our folder.
    pub fn agent(&self) -> String {
        agent(self.folder(), &self.environment, &self.program)
    }

    /// Asks our program there something that it answers at once.
    ///
    /// # Errors
    /// The phone went away, or the program failed.
    pub fn ask(&self, question: &str, limit: Duration) -> Result<String, AdbError> {
        let script = format!("{} {question}", self.agent());
        self.device.ask_within(&format!("asking it to {question}"), &script, Limit::work(limit))
    }

    /// Takes the lock, and tries a little while: our own, of a connection that broke, may not be released yet.
    ///
    /// # Errors
    /// Another host holds it.
    pub fn take_lock(&mut self) -> Result<(), AdbError> {
        let owner = format!("{}, run {}", owner(), self.run);
        let script = format!(
            "exec {} agent hold {} --run {} --owner {}",
            quote(&self.program),
            quote(self.folder()),
            quote(&self.run),
            quote(&owner)
        );
        let mut last = String::new();
        for _ in 0..5 {
            self.lock = None;
            let stream = self.device.open(&script)?;
            let mut said = stream.next(Duration::from_secs(10));
            // A shell may print lines of its own first.
            while matches!(&said, Said::Line(line) if line != agent::HELD && !line.starts_with(agent::BUSY)) {
                said = stream.next(Duration::from_secs(10));
            }
            match said {
                Said::Line(line) if line == agent::HELD => {
                    self.lock = Some(stream);
                    self.ours = true;
                    return Ok(());
                }
                Said::Line(line) => match line.strip_prefix(agent::BUSY) {
                    // Ours from before a drop goes away by itself; anybody else's does not.
                    Some(other) if other != owner => {
                        return Err(AdbError::Locked {
                            serial: self.device.serial().to_owned(),
                            owner: other.to_owned(),
                        });
                    }
                    _ => last = line,
                },
                Said::Nothing => {
                    return Err(AdbError::Hung {
                        serial: self.device.serial().to_owned(),
                        doing: "taking the lock".to_owned(),
                        limit: Duration::from_secs(10),
                    });
                }
                Said::End => return Err(self.device.lost("taking the lock", "")),
            }
            std::thread::sleep(Duration::from_millis(700));
        }
        Err(AdbError::Locked { serial: self.device.serial().to_owned(), owner: last })
    }

    /// The phone's clock against ours: the middle of the quickest of several questions. `None` if it does not answer.
    pub fn clock(&mut self) -> Option<ClockOffset> {
        let lock = self.lock.as_mut()?;
        let mut best: Option<ClockOffset> = None;
        for _ in 0..8 {
            let before = Instant::now();
            let ours = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
            if !lock.say("time") {
                break;
            }
            let Said::Line(line) = lock.next(Duration::from_secs(2)) else { break };
            let Some(theirs) = line.strip_prefix(agent::CLOCK).and_then(|text| text.trim().parse::<f64>().ok()) else {
                continue;
            };
            let half = before.elapsed().as_secs_f64() / 2.0;
            if best.as_ref().is_none_or(|best| half < best.uncertainty_s) {
                best = Some(ClockOffset { offset_s: theirs - (ours + half), uncertainty_s: half });
            }
        }
        best
    }

    /// Reaches a phone that went away, and takes the lock again.
    ///
    /// # Errors
    /// It stays away, or somebody else has it now.
    pub fn again(&mut self) -> Result<(), AdbError> {
        self.device.reach_within(self.options.patience())?;
        self.take_lock()
    }

    /// Stops launches of this run that are still at work.
    pub fn stop_launches(&self) {
        // The launch ends its worker when asked; the worker dies with it if it must be killed.
        let script = format!(
            "cd {}/launches 2>/dev/null || exit 0; for d in {}.*; do [ -f \"$d/pid\" ] && pids=\"$pids $(cat \"$d/pid\")\"; done; \
             [ -n \"$pids\" ] || exit 0; kill $pids 2>/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $pids 2>/dev/null || exit 0; sleep 0.3; done; kill -9 $pids 2>/dev/null; exit 0",
            quote(self.folder()),
            quote(&self.run)
        );
        // Best effort: a phone that is gone is told of in the run's own words.
        let _ = self.device.ask_within("stopping the launch", &script, Limit::always(Duration::from_secs(20)));
    }

    /// What a host or a launch that was killed left: half-sent files, and the phone's mode. A launch of ours that is still
    /// at work keeps its mode.
    fn tidy(&self) {
        let script = format!(
            "cd {} || exit 0; rm -rf files/.*.part cache/*.part; for p in launches/*/pid; do [ -f \"$p\" ] && kill -0 \"$(cat \"$p\")\" 2>/dev/null && exit 3; done; exit 0",
            quote(self.folder())
        );
        let limit = Limit::work(Duration::from_secs(20));
        if self.device.shell("looking for what is left", &script, limit).is_ok_and(|reply| reply.status == 0) {
            self.restore();
        }
    }

    /// Switches off what a launch that was killed left on.
    fn restore(&self) {
        let note = quote(&format!("{}/{}", self.folder(), agent::RESTORE));
        // The command is silent when it works; else the note stays, for the next host to try again.
        let script = format!(
            "[ -f {note} ] || exit 0; said=$(cmd power set-fixed-performance-mode-enabled false 2>&1); [ -n \"$said\" ] || rm -f {note}"
        );
        let _ = self.device.ask_within("restoring the phone", &script, Limit::always(Duration::from_secs(20)));
    }

    /// Removes what is ours; a launch of another run that is still to be collected stays.
    fn remove(&self) {
        let script = format!(
            "cd {} 2>/dev/null || exit 0; rm -rf bin files cache launches/{}.*; rmdir launches 2>/dev/null; [ -d launches ] || {{ cd ..; rm -rf {}; }}; exit 0",
            quote(self.folder()),
            quote(&self.run),
            quote(self.folder())
        );
        let _ = self.device.ask_within("removing our files", &script, Limit::always(Duration::from_secs(60)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ours {
            return;
        }
        if self.leave || (self.lock.is_none() && self.device.state().is_err()) {
            crate::text::tell(&format!(
                "{0}: our files are left in {1} for `ditbench run --resume`; to remove them: adb -s {0} shell rm -r {1}",
                self.device.serial(),
                self.folder()
            ));
            return;
        }
        self.stop_launches();
        self.restore();
        if !self.options.keep {
            self.remove();
        }
    }
}

/// Whether another host measures there, before anything is sent that would disturb it. The lock itself is taken later: this
/// only asks who holds it, and which launches are at work.
fn look_for_others(device: &Device, options: &PhoneOptions, run: &str) -> Result<(), AdbError> {
    // A process that is there under its number and is ours: a number may have gone to another one since.
    let script = format!(
        "cd {folder} 2>/dev/null || exit 0; is() {{ tr '\\0' ' ' < /proc/$1/cmdline 2>/dev/null | grep -q \"agent $2\"; }}; \
         {{ read -r owner; read -r pid; }} < lock 2>/dev/null; [ -n \"$pid\" ] && is \"$pid\" hold && echo \"$owner\" && exit 0; \
         for d in launches/*/; do d=${{d%/}}; case ${{d#launches/}} in {run}.*) continue;; esac; pid=$(cat \"$d/pid\" 2>/dev/null) || continue; \
         is \"$pid\" supervise && echo \"the launch ${{d#launches/}}, whose host has lost contact (continue there with run --resume, or stop it here with: adb shell kill $pid)\"; done; exit 0",
        folder = quote(options.folder()),
        run = run,
    );
    let said = device.ask("looking for other hosts", &script)?;
    match said.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(owner) => Err(AdbError::Locked { serial: device.serial().to_owned(), owner: owner.to_owned() }),
        None => Ok(()),
    }
}

/// Takes back what was sent to a phone that then could not be had: our half of a file, and, where nobody has ever held
/// the phone, the program.
fn sweep(device: &Device, options: &PhoneOptions, away: bool) {
    let folder = options.folder();
    let program = if options.keep { "" } else { "[ -e lock ] || rm -rf bin;" };
    let script = format!(
        "cd {0} 2>/dev/null || exit 0; rm -f bin/.*.{1}; {program} rmdir bin 2>/dev/null; cd ..; rmdir {0} 2>/dev/null; exit 0",
        quote(folder),
        part(),
    );
    let done = device.ask_within("removing our files", &script, Limit::always(Duration::from_secs(10)));
    if away && done.is_err() {
        let serial = device.serial();
        crate::text::tell(&format!(
            "{serial}: what was sent may still be in {folder}; to remove it: adb -s {serial} shell rm -r {folder}"
        ));
    }
}

/// Whether the program starts there at all.
///
/// # Errors
/// It does not, and the likely reason.
pub fn runs(device: &Device, program: &str, file: &std::path::Path) -> Result<(), AdbError> {
    let reply = device.shell(
        "starting our program",
        &format!("{} --version", quote(program)),
        Limit::work(Duration::from_secs(20)),
    )?;
    if reply.status == 0 && reply.stdout.contains("ditbench") {
        return Ok(());
    }
    let said = format!("{} {}", reply.stdout.trim(), reply.stderr.trim());
    if said.contains("denied") {
        let dir = program.rsplit_once('/').map_or(program, |(dir, _)| dir).to_owned();
        return Err(AdbError::NotExecutable { serial: device.serial().to_owned(), dir });
    }
    Err(AdbError::Binary(format!(
        "{}: {} does not start there (status {}: {}); it may be linked to libraries that Android lacks: build it with \
         scripts/android/build.sh",
        device.serial(),
        file.display(),
        reply.status,
        said.trim()
    )))
}

/// Who we are, for another host to read. Stays on the phone and goes with our files.
fn owner() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "a computer" } else { host.trim() };
    format!("ditbench on {host} (process {})", std::process::id())
}

/// The words that ask our program on a phone, each as its shell takes it.
fn agent(folder: &str, environment: &BTreeMap<String, String>, program: &str) -> String {
    let variables = environment.iter().map(|(name, value)| format!("{name}={} ", quote(value)));
    format!("TMPDIR={} {}{} agent", quote(folder), variables.collect::<String>(), quote(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_and_more_is_one_word_of_the_phones_shell() {
        let path = "/data/local/tmp/it's; rm -rf $HOME/lib.so".to_owned();
        let words =
            agent("/data/my files", &[("ORT_DYLIB_PATH".to_owned(), path.clone())].into(), "/data/my files/ditbench");
        let script = format!("set -- {words}; for word; do echo \"$word\"; done");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let want = ["TMPDIR=/data/my files", &format!("ORT_DYLIB_PATH={path}"), "/data/my files/ditbench", "agent"];
        assert_eq!(said.lines().collect::<Vec<_>>(), want);
        assert!(agent("/a", &BTreeMap::new(), "/b").ends_with("'/a' '/b' agent"));
    }
}
