//! Several machines side by side: a run of its own for each, one report over all.
//!
//! Contract: each machine's run is a process and a directory of its own (`DIR/NAME/record.json`), so one that fails or
//! hangs stops no other, and each can be resumed alone. What they say appears as it comes, with the machine's name before it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ditbench_record::store::{self, LoadedRun, RECORD_FILE};
use ditbench_reports::advice::Question;
use ditbench_reports::table::Absent;
use serde::{Deserialize, Serialize};

use super::{ResumeOptions, Settings};
use crate::environment::Common;
use crate::plan::Target;
use ditbench_worker::interrupt;

/// The file that makes a directory one of several machines.
const FLEET: &str = "fleet.json";

/// The machines of a run, and where each one's run is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Fleet {
    machines: Vec<Member>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Member {
    /// `local`, `adb:SERIAL`.
    on: Target,
    /// Its directory, below the fleet's.
    dir: String,
    /// What it said last, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// What became of the machines of a run.
pub struct Results {
    /// Of those with a record, however far it goes.
    pub runs: Vec<LoadedRun>,
    /// The others.
    pub absent: Vec<Absent>,
}

/// Reads what the machines of a run have measured.
///
/// # Errors
/// The list of machines cannot be read.
pub fn results(dir: &Path) -> Result<Results> {
    Ok(Fleet::read(dir)?.results(dir))
}

impl Fleet {
    fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FLEET);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("writing the list of machines")?;
        // Whole or not at all: without it the run cannot be gone on with.
        Ok(store::replace_file(&dir.join(FLEET), |file| file.write_all(text.as_bytes()))?)
    }

    fn results(&self, dir: &Path) -> Results {
        let mut found = Results { runs: Vec::new(), absent: Vec::new() };
        for member in &self.machines {
            let run = dir.join(&member.dir);
            let absent = |reason: String| Absent { machine: member.on.to_string(), reason };
            if !run.join(RECORD_FILE).is_file() {
                let reason = member.failed.clone().unwrap_or_else(|| "it has not been run yet".to_owned());
                found.absent.push(absent(reason));
                continue;
            }
            match store::read(&run) {
                Ok(run) => found.runs.push(run),
                Err(error) => found.absent.push(absent(error.to_string())),
            }
        }
        found
    }
}

/// Whether a directory holds a run of several machines.
pub fn is_fleet(dir: &Path) -> bool {
    dir.join(FLEET).is_file()
}

/// What else was asked of a run of several machines.
pub struct Orders<'a> {
    /// Its directory.
    pub out: Option<&'a Path>,
    /// Whether to start where the plan does not seem to fit in memory.
    pub force: bool,
    /// The history store that each machine's run goes into as it ends.
    pub store: Option<&'a str>,
}

/// Runs the plan on every machine.
///
/// # Errors
/// A directory that cannot be written; at the end, machines that failed.
pub fn start(settings: &Settings, targets: &[Target], common: &Common, orders: &Orders) -> Result<()> {
    let dir = orders.out.map_or_else(|| Path::new("runs").join(super::new_id()), Path::to_path_buf);
    crate::paths::must_be_text(&dir, "choose another directory with --out DIR")?;
    if dir.join(FLEET).exists() || dir.join(RECORD_FILE).exists() {
        bail!("{} already holds a run. Give another directory, or continue this one with --resume", dir.display());
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut fleet = Fleet::default();
    for target in targets {
        let dir_name = file_name(target);
        let settings = Settings { on: Some(target.clone()), ..settings.clone() };
        let text = serde_json::to_string_pretty(&settings).context("writing the plan")?;
        let path = dir.join(format!("{dir_name}.settings.json"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fleet.machines.push(Member { on: target.clone(), dir: dir_name, failed: None });
    }
    fleet.write(&dir)?;
    go(&dir, fleet, common, orders.store, |member| {
        let settings = dir.join(format!("{}.settings.json", member.dir));
        let mut arguments =
            vec!["--settings".into(), settings.into_os_string(), "--out".into(), dir.join(&member.dir).into()];
        if orders.force {
            arguments.push("--force".into());
        }
        arguments
    })
}

/// Goes on with every machine's run.
///
/// # Errors
/// As [`start`].
pub fn resume(dir: &Path, common: &Common, options: &ResumeOptions, store: Option<&str>) -> Result<()> {
    go(dir, Fleet::read(dir)?, common, store, |member| {
        let run = dir.join(&member.dir);
        if run.join(RECORD_FILE).is_file() {
            return ["--resume".into(), run.into()].into_iter().chain(options.flags()).collect();
        }
        // It failed before it had a record.
        let settings = dir.join(format!("{}.settings.json", member.dir));
        let begin = ["--settings".into(), settings.into(), "--out".into(), run.into()];
        begin.into_iter().chain(options.flags()).collect()
    })
}

/// Runs all at once and reports over what there is.
fn go(
    dir: &Path,
    mut fleet: Fleet,
    common: &Common,
    store: Option<&str>,
    arguments: impl Fn(&Member) -> Vec<std::ffi::OsString>,
) -> Result<()> {
    let mut children = Vec::new();
    for member in &fleet.machines {
        let mut command = Command::new(ditbench_worker::process::this_program().context("finding this program")?);
        command.arg("run").args(arguments(member));
        command.args(common.words().into_iter().flat_map(|(flag, value)| [flag.into(), value]));
        command.args(store.iter().flat_map(|store| ["--store", store]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is passed on once, by us; a second one would keep it from cleaning up.
        command.process_group(0);
        let mut child = command.spawn().context("starting the run of a machine")?;
        let name = member.on.to_string();
        let echoes = [echo(&name, child.stdout.take()), echo(&name, child.stderr.take())];
        children.push((child, echoes));
    }
    let mut told = false;
    while children.iter_mut().any(|(child, _)| matches!(child.try_wait(), Ok(None))) {
        if interrupt::requested() && !told {
            told = true;
            children.iter().for_each(|(child, _)| pass_on(child));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for (member, (mut child, echoes)) in fleet.machines.iter_mut().zip(children) {
        let said: Vec<String> = echoes.into_iter().filter_map(|echo| echo.join().ok().flatten()).collect();
        let good = child.wait().is_ok_and(|status| status.success());
        member.failed =
            (!good).then(|| said.into_iter().next_back().unwrap_or_else(|| "it ended without a message".into()));
    }
    fleet.write(dir)?;
    let failed: Vec<String> =
        fleet.machines.iter().filter(|member| member.failed.is_some()).map(|member| member.on.to_string()).collect();
    let found = fleet.results(dir);
    if found.runs.is_empty() {
        bail!("no machine produced a result: {}", failed.join(", "));
    }
    let page: PathBuf = super::print::write(&Question::default(), &found.runs, &found.absent, dir)?;
    crate::text::show(&format!("{}\n", page.display()));
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} machines did not finish: {}. What was measured is in the report; continue with: {}",
        failed.len(),
        fleet.machines.len(),
        failed.join(", "),
        super::resume::command(dir, common)
    )
}

/// Prints what a run says, line by line, with its machine's name before it; gives the last error that it told of.
fn echo(name: &str, pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Option<String>> {
    let name = name.to_owned();
    std::thread::spawn(move || {
        let mut error = None;
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
            crate::text::tell(&format!("[{name}] {line}"));
            if let Some(words) = line.strip_prefix("error: ") {
                error = Some(words.to_owned());
            }
        }
        error
    })
}

fn pass_on(child: &Child) {
    // SAFETY: a signal to a process that we started and have not reaped.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGINT) };
}

/// A target as a directory's name.
fn file_name(target: &Target) -> String {
    let text = target.to_string();
    let text = text.strip_prefix("adb:").unwrap_or(&text);
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_become_safe_names() {
        assert_eq!(file_name(&Target::Phone("192.168.1.7:5555".into())), "192.168.1.7_5555");
        assert_eq!(file_name(&Target::Phone("../x".into())), ".._x");
        assert_eq!(file_name(&Target::Local), "local");
    }
}
