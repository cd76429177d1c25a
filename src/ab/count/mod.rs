//! Counting in place of timing: one image of each build, instruction by instruction, in valgrind's callgrind.
//!
//! Contract: each build's worker gets the order that the build itself wrote for its check, changed to two images on one thread, of
//! which the second counts. Both sides run the same way: program and files under the same names, in folders whose paths are as long, with
//! the same environment and, unless the system forbids that, no randomness of addresses, because where things lie decides which way a
//! copy goes. What cannot be counted is absent with the reason, and the verdict is then inconclusive.

mod callgrind;
mod names;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
#[cfg(target_os = "linux")]
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ditbench_fetch::child;
use ditbench_protocol::{Counting, EVENTS_FD, Event};
use ditbench_record::{Counted, FunctionCount, Reading, StageCounts};
use ditbench_worker::interrupt;

use callgrind::Part;

/// Time for valgrind to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Functions are kept that have at least this share of the image's instructions.
const LEAST: f64 = 0.0001;
/// As many functions are kept at most.
const MOST: usize = 120;
/// How a backend begins to tell the instruction set of our kernels, in a line of what it says of itself.
const KERNELS: &str = "ditbench kernels, ";

/// Where valgrind is not on the path.
const HOW: &str = "on Debian and Ubuntu `apt install valgrind`, on Fedora `dnf install valgrind`, on Alpine `apk add valgrind`; \
                   there is no maintained valgrind for macOS and Windows, so count in a Linux container or virtual machine there";

/// Valgrind, as it was found.
#[derive(Clone, Debug)]
pub struct Valgrind {
    program: PathBuf,
    /// `valgrind-3.19.0`.
    version: String,
}

impl Valgrind {
    /// The one on the path.
    ///
    /// # Errors
    /// There is none, or it does not start; how to get it.
    pub fn find() -> Result<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&folders).map(|folder| folder.join("valgrind")).find(|file| file.is_file());
        let Some(program) = found else { bail!("--count needs valgrind, which is not on the path: {HOW}") };
        let said = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let said = said.with_context(|| format!("{} does not start; --count needs it: {HOW}", program.display()))?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        if !said.status.success() || !version.starts_with("valgrind-") {
            bail!(
                "{} is not valgrind: asked for its version, it said \"{version}\". To get one: {HOW}",
                program.display()
            );
        }
        Ok(Self { program, version })
    }

    /// Counts an image of a build.
    ///
    /// `order` is the order of its check, `folder` a new folder for what comes of it.
    ///
    /// # Errors
    /// Files that cannot be written; Ctrl-C. That it could not be counted is no error.
    pub fn count(&self, program: &Path, order: &Path, folder: &Path) -> Result<Reading<Counted>> {
        let text = match std::fs::read_to_string(order) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Reading::absent(
                    "this build keeps no orders in specs/, from which a count is made: it is older than `ab --count`",
                ));
            }
            read => read.with_context(|| format!("cannot read {}", order.display()))?,
        };
        let order = match changed(&text).with_context(|| format!("cannot read {}", order.display()))? {
            Reading::Ok(order) => order,
            Reading::Denied { why } | Reading::Absent { why } => return Ok(Reading::absent(why)),
        };
        let cannot = |file: &Path| format!("cannot write {}", file.display());
        std::fs::create_dir_all(folder).with_context(|| cannot(folder))?;
        let file = folder.join("order.json");
        std::fs::write(&file, order).with_context(|| cannot(&file))?;
        std::os::unix::fs::symlink(program, folder.join("program")).with_context(|| cannot(folder))?;
        let mut command = Command::new(&self.program);
        command.args([
            "--tool=callgrind",
            "--instr-atstart=no",
            "--dump-line=no",
            // A generic function's instances differ in their hash alone.
            "--demangle=no",
            "--callgrind-out-file=part",
            // What is compared may be a script that starts the program.
            "--trace-children=yes",
        ]);
        command.args(["./program", "worker"]).current_dir(folder).env_remove(EVENTS_FD);
        without_randomness(&mut command);
        let order = File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let ended = child::fed(&mut command, order, &interrupt::requested, GRACE);
        if interrupt::requested() {
            bail!("interrupted while instructions were counted");
        }
        let ended = ended.with_context(|| format!("cannot start {}", self.program.display()))?;
        for (name, said) in [("events.jsonl", &ended.stdout), ("valgrind.log", &ended.stderr)] {
            let file = folder.join(name);
            std::fs::write(&file, said).with_context(|| cannot(&file))?;
        }
        let told = Told::of(&String::from_utf8_lossy(&ended.stdout));
        if let Some(why) = told.failed {
            return Ok(Reading::absent(format!("under {} the worker failed: {why}", self.version)));
        }
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Ok(Reading::absent(format!(
                "under {} the worker ended with {}: {last}",
                self.version, ended.status
            )));
        }
        match parts(folder)? {
            Ok(parts) => Ok(self.sum(&parts, told.said)),
            Err(why) => Ok(Reading::absent(why)),
        }
    }

    /// Sums the parts of an image up; `said` is what its worker said of itself.
    fn sum(&self, parts: &[Part], said: Vec<String>) -> Reading<Counted> {
        if parts.is_empty() {
            return Reading::absent(format!(
                "the worker gave {} nothing to count: this build is older than `ab --count`, or this valgrind is for \
                 another kind of processor",
                self.version
            ));
        }
        let kernels = said.iter().find_map(|line| Some(line[line.find(KERNELS)?..].to_owned()));
        let instructions = parts.iter().map(|part| part.instructions).sum();
        let mut stages: Vec<StageCounts> = Vec::new();
        let mut functions: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for part in parts {
            for (name, count) in &part.functions {
                *functions.entry((part.stage.as_deref().unwrap_or(""), name)).or_default() += count;
            }
            let Some(id) = &part.stage else { continue };
            // Exact up to 2⁵³.
            let count = part.instructions as f64;
            match stages.iter_mut().find(|stage| stage.stage == *id) {
                Some(stage) => stage.instructions.push(count),
                None => stages.push(StageCounts { stage: id.clone(), instructions: vec![count] }),
            }
        }
        let mut functions: Vec<FunctionCount> = functions
            .into_iter()
            .filter(|(_, count)| *count as f64 >= LEAST * instructions as f64)
            .map(|((stage, function), instructions)| FunctionCount {
                stage: stage.to_owned(),
                function: function.to_owned(),
                op: names::operation(function).map(str::to_owned),
                instructions,
            })
            .collect();
        functions.sort_by_key(|one| std::cmp::Reverse(one.instructions));
        functions.truncate(MOST);
        Reading::Ok(Counted {
            by: format!("callgrind of {}", self.version),
            runtime: said.into_iter().filter(|line| !line.contains(KERNELS)).collect(),
            kernels,
            at_random_addresses: !fixes_addresses(),
            instructions,
            stages,
            functions,
        })
    }
}

/// The order of a check as that of a count; why there is nothing to count.
fn changed(text: &str) -> Result<Reading<String>> {
    let mut order: serde_json::Value = serde_json::from_str(text)?;
    if !order["engine"].is_null() {
        return Ok(Reading::absent(
            "an engine outside ditbench computes in a process of its own, which is not counted",
        ));
    }
    if order["device"] != "cpu" {
        return Ok(Reading::absent(
            "only the processor's instructions can be counted, and this cell computes elsewhere",
        ));
    }
    order["stop"] = serde_json::json!({"images": 2, "seconds": 1e9, "relative_half_width": 0.0});
    order["outputs"] = serde_json::Value::Null;
    order["counters"] = serde_json::to_value(Counting::Off)?;
    for unwanted in ["profile", "placement"] {
        order[unwanted] = false.into();
    }
    Ok(Reading::Ok(serde_json::to_string_pretty(&order)?))
}

/// What a worker said of itself.
#[derive(Default)]
struct Told {
    /// Its backend's versions and the instruction set of its kernels, each in a line.
    said: Vec<String>,
    failed: Option<String>,
}

impl Told {
    fn of(events: &str) -> Self {
        let mut told = Self::default();
        // Between them is whatever a library prints.
        for event in events.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok()) {
            match event {
                Event::Started { version, .. } => {
                    told.said = std::iter::once(version.runtime).chain(version.details).collect();
                }
                Event::Failed { why, .. } => told.failed = Some(why),
                _ => {}
            }
        }
        told
    }
}

/// The parts that marks made, in order; or which file is not what it should be.
fn parts(folder: &Path) -> Result<Result<Vec<Part>, String>> {
    let mut files: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix("part.")?.parse().ok());
        files.extend(number.map(|number| (number, path)));
    }
    files.sort();
    let mut parts = Vec::new();
    for (_, file) in files {
        // Names of symbols may be of any bytes.
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        match callgrind::read(&String::from_utf8_lossy(&text)) {
            Ok(part) => parts.extend(part),
            Err(error) => return Ok(Err(format!("{}: {error}", file.display()))),
        }
    }
    Ok(Ok(parts))
}

/// Has the program's memory lie at the same places every time, where [`fixes_addresses`].
fn without_randomness(command: &mut Command) {
    #[cfg(target_os = "linux")]
    // SAFETY: the closure runs between fork and exec and makes one async-signal-safe system call.
    unsafe {
        command.pre_exec(|| {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            Ok(())
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Whether the system lets a program's memory lie at the same places every time: some containers forbid it. Tried on the calling thread,
/// which is then as it was.
fn fixes_addresses() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes a number and changes how programs that this thread starts are laid out, nothing in this process.
    unsafe {
        let before = libc::personality(0xffff_ffff);
        let is_set = before != -1 && libc::personality((before | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong) != -1;
        if is_set {
            libc::personality(before as libc::c_ulong);
        }
        is_set
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_becomes_two_images_and_nothing_else() {
        let order = r#"{"backend": "candle", "engine": null, "device": "cpu", "threads": 1, "environment": {"RAYON_NUM_THREADS": "1"},
            "outputs": {"image": "a.png"}, "stop": {"images": 1}, "profile": true, "placement": true}"#;
        let Reading::Ok(text) = changed(order).unwrap() else { panic!() };
        let order: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&order["stop"]["images"], &order["outputs"]), (&2.into(), &serde_json::Value::Null));
        assert_eq!((&order["profile"], &order["placement"]), (&false.into(), &false.into()));
        assert_eq!(order["counters"], "off", "what reads counters in the image would be counted");
        assert_eq!(order["environment"]["RAYON_NUM_THREADS"], "1");
        for (elsewhere, words) in
            [(r#"{"engine": {"name": "x"}, "device": "cpu"}"#, "engine"), (r#"{"device": "gpu:cuda"}"#, "elsewhere")]
        {
            assert!(changed(elsewhere).unwrap().why().unwrap().contains(words));
        }
        assert!(changed("{").is_err());
    }

    #[test]
    fn parts_become_stages_in_order_and_functions_by_stage() {
        let part = |stage: Option<&str>, functions: &[(&str, u64)]| Part {
            stage: stage.map(str::to_owned),
            instructions: functions.iter().map(|(_, count)| count).sum(),
            functions: functions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        };
        let parts = [
            part(None, &[("sampler", 500)]),
            part(Some("denoiser"), &[("ditbench_kernels::linear::driver::run", 40_000), ("tiny", 1)]),
            part(Some("denoiser"), &[("ditbench_kernels::linear::driver::run", 50_000)]),
            part(Some("decoder"), &[("ditbench_kernels::linear::driver::run", 10_000)]),
        ];
        let valgrind = Valgrind { program: "valgrind".into(), version: "valgrind-3.19.0".into() };
        let said = ["candle 1", "tuned variants: ditbench kernels, avx2+fma"].map(str::to_owned).to_vec();
        let Reading::Ok(counted) = valgrind.sum(&parts, said) else { panic!() };
        assert_eq!(counted.runtime, ["candle 1"]);
        assert_eq!(counted.kernels.as_deref(), Some("ditbench kernels, avx2+fma"));
        assert_eq!((counted.instructions, counted.by.as_str()), (100_501, "callgrind of valgrind-3.19.0"));
        let stages: Vec<(&str, &[f64])> =
            counted.stages.iter().map(|stage| (stage.stage.as_str(), &stage.instructions[..])).collect();
        assert_eq!(stages, [("denoiser", &[40_001.0, 50_000.0][..]), ("decoder", &[10_000.0][..])]);
        let functions: Vec<(&str, Option<&str>, u64)> =
            counted.functions.iter().map(|one| (one.stage.as_str(), one.op.as_deref(), one.instructions)).collect();
        let want = [("denoiser", Some("Linear"), 90_000), ("decoder", Some("Linear"), 10_000), ("", None, 500)];
        assert_eq!(functions, want, "what has less than a ten-thousandth is left out");
        assert!(valgrind.sum(&[], Vec::new()).why().unwrap().contains("older than `ab --count`"));
    }

    #[test]
    fn a_build_that_keeps_no_orders_is_not_counted_and_says_so() {
        let valgrind = Valgrind { program: "/no/such/valgrind".into(), version: "valgrind-3.19.0".into() };
        let dir = tempfile::tempdir().unwrap();
        let counted =
            valgrind.count(Path::new("/bin/true"), &dir.path().join("specs/a-0.json"), &dir.path().join("counts"));
        let why = counted.unwrap().why().unwrap().to_owned();
        assert!(why.contains("specs/") && why.contains("older than `ab --count`"), "{why}");
    }

    /// Whatever the system allows, this thread's own layout is untouched.
    #[cfg(target_os = "linux")]
    #[test]
    fn trying_whether_addresses_can_be_fixed_changes_nothing() {
        // SAFETY: it asks for the present value.
        let now = || unsafe { libc::personality(0xffff_ffff) };
        let before = now();
        let fixed = fixes_addresses();
        assert_eq!(now(), before);
        // What it says is what a program that is started sees.
        let mut command = Command::new("cat");
        command.arg("/proc/self/personality").stdin(Stdio::null());
        without_randomness(&mut command);
        let said = command.output().unwrap();
        let said = u32::from_str_radix(String::from_utf8_lossy(&said.stdout).trim(), 16);
        if let Ok(said) = said {
            assert_eq!(said & libc::ADDR_NO_RANDOMIZE as u32 != 0, fixed);
        }
    }

    #[test]
    fn what_a_worker_told_is_found_between_what_a_library_prints() {
        let told = Told::of("hello\n{\"event\":\"failed\",\"unsupported\":false,\"why\":\"no such file\"}\n");
        assert_eq!(told.failed.as_deref(), Some("no such file"));
    }
}
