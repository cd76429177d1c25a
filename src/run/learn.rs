//! What a run teaches for the estimates of the next: a file in the cache, to which each run adds what its cells took.
//!
//! Contract: only times that are the device's own teach: no simulator's, none of launches that a known cause spoiled, none of runs that
//! go on however hot it gets, none of cells that partly ran elsewhere, none of two builds or machines in one record. Lines are added whole, so
//! that runs beside each other do not disturb one another. A file that has grown large loses its older half, and what another run adds at that
//! moment may go with it. What cannot be read or written is said and changes nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ditbench_graph::hash::sha256;
use ditbench_record::{Build, Cell as Row, Git, Kind, Launch, Reading, Run, Warning, disturbed};
use ditbench_reports::history::series::fingerprint;
use ditbench_reports::metric::take;
use ditbench_reports::{estimate as headline, stats};

use super::resolve::Resolved;
use crate::host::Host;
use crate::plan::{Estimate, Experience, Remembered, Subject, Times, estimate};

/// The file's name in the cache.
const FILE: &str = "measured.jsonl";
/// Bytes beyond which the older half of the file is forgotten: some thousands of cells.
const MOST: u64 = 2 << 20;

/// The estimates of a run's cells, from what is remembered of the host's machine.
pub(super) fn estimates(cells: &[Resolved], host: &dyn Host, cache: Option<&Path>) -> Vec<Estimate> {
    let experience = cache.map(|cache| recall(cache, &fingerprint(&host.machine()))).unwrap_or_default();
    let peak = host.quick_peak();
    let (git, build) = (host.git(), host.build());
    let of = |cell: &Resolved| {
        let peak = peak * cell.cell.threads.get() as f64;
        let subject = subject(cell, (&git, &build));
        estimate((&cell.cell, subject), &cell.pipeline, cell.costs, peak, &experience)
    };
    cells.iter().map(of).collect()
}

/// What a cell's times are of, when a program of that revision and build runs it.
fn subject(cell: &Resolved, (git, build): (&Reading<Git>, &Build)) -> Subject {
    let program = serde_json::json!([env!("CARGO_PKG_VERSION"), git, build, cell.version]);
    let short = |what: &serde_json::Value| sha256(what.to_string().as_bytes())[..16].to_owned();
    Subject { key: cell.key.clone(), config: short(&cell.pipeline.config), program: short(&program) }
}

/// What the cache remembers of a machine; says what of it is not used.
fn recall(cache: &Path, machine: &str) -> Experience {
    let path = file(cache);
    let (experience, note) = match std::fs::read(&path) {
        Ok(bytes) => {
            let experience = Experience::parse(&String::from_utf8_lossy(&bytes), machine);
            let note = experience.note();
            (experience, note)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
        Err(error) => (Experience::default(), Some(format!("it cannot be read: {error}"))),
    };
    if let Some(note) = note {
        crate::text::tell(&format!("{}: {note} (estimates alone depend on it)", path.display()));
    }
    experience
}

/// Adds what the cells of a run took; says why where it cannot.
pub(super) fn remember(cache: &Path, run: &Run, cells: &[Resolved], estimates: &[Estimate]) {
    let lines: String = taught(run, cells, estimates)
        .iter()
        // Text and finite numbers only.
        .filter_map(|cell| serde_json::to_string(cell).ok())
        .map(|line| line + "\n")
        .collect();
    if lines.is_empty() {
        return;
    }
    if let Err(error) = append(&file(cache), &lines) {
        let path = file(cache);
        crate::text::tell(&format!(
            "{}: cannot be written: {error}. Later estimates will know nothing of this run",
            path.display()
        ));
    }
}

fn file(cache: &Path) -> PathBuf {
    cache.join(FILE)
}

fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    if file.metadata()?.len() > MOST {
        forget_half(path)?;
        file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    }
    // A line that a full disk cut off must not swallow the next.
    let gap = if ends_with_a_line(&mut file)? { "" } else { "\n" };
    file.write_all(format!("{gap}{lines}").as_bytes())
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Leaves the later half of the file's lines.
fn forget_half(path: &Path) -> io::Result<()> {
    let bytes = std::fs::read(path)?;
    let half = &bytes[bytes.len() / 2..];
    let whole = half.iter().position(|&byte| byte == b'\n').map_or(&half[..0], |end| &half[end + 1..]);
    let part = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&part, whole)?;
    std::fs::rename(&part, path)
}

/// What a run teaches, a line for each cell that does.
fn taught(run: &Run, cells: &[Resolved], estimates: &[Estimate]) -> Vec<Remembered> {
    let is_mixed = |warning: &Warning| matches!(warning, Warning::Of(Kind::ResumedAlthough { .. }));
    if run.is_sustained() || run.warnings.iter().any(is_mixed) {
        return Vec::new();
    }
    let machine = fingerprint(&run.machine);
    let of = |(cell, estimate): (&Resolved, &Estimate)| {
        let row = run.cell(&cell.key)?;
        let launches = sound(run, cell, row);
        let times = times(&launches)?;
        let (created, of) = (run.run.created.clone(), estimate.of.clone());
        let known = Remembered::new(machine.clone(), created, of, launches.len(), times);
        Some(Remembered {
            flops_per_image: estimate.flops_per_image,
            assumed_bytes: estimate.assumed_bytes,
            memory_bytes: take::peak_memory(row).0,
            ..known
        })
    };
    cells.iter().zip(estimates).filter_map(of).collect()
}

/// The launches of a cell whose times are its own.
fn sound<'a>(run: &Run, cell: &Resolved, row: &'a Row) -> Vec<&'a Launch> {
    let elsewhere = row.placement.iter().any(|stage| stage.share_on_asked().is_some_and(|share| share < 1.0));
    if !row.shows_speed() || elsewhere {
        return Vec::new();
    }
    // What slows the processor down is no reason to distrust another device.
    let spoiled =
        |launch: &Launch| cell.is_on_processor() && disturbed::spoiled(launch, &run.machine, row.key.threads).is_some();
    row.good_launches().filter(|launch| !spoiled(launch)).collect()
}

/// What the latest launch of a row took; `None` if it made no image.
pub(super) fn shown(row: &Row) -> Option<Times> {
    times(&[row.good_launches().last()?])
}

/// Medians over launches; `None` without one that made an image.
fn times(launches: &[&Launch]) -> Option<Times> {
    let firsts: Vec<f64> = launches.iter().filter_map(|launch| Some(launch.first()?.total_s)).collect();
    let ready = launches.iter().filter_map(|launch| {
        let first = launch.first()?;
        // Files for the runtime are written by a cell's first launch alone.
        let written_s: f64 = launch.compile.iter().map(|stage| stage.export_s).sum();
        Some((first.ended_s? - first.total_s - written_s).max(0.0))
    });
    Some(Times {
        ready_s: stats::median(&ready.collect::<Vec<f64>>()).unwrap_or(0.0),
        first_image_s: stats::median(&firsts)?,
        image_s: headline::of(launches.iter().copied(), |image| Some(image.total_s)).value().map(|known| known.p50),
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use ditbench_record::{
        Device, ForeignLoad, Machine, PlacementShare, RunInfo, Sample, StageCompile, StagePlacement, Status,
    };

    use super::*;
    use crate::plan::PlanFile;

    fn resolved() -> Resolved {
        let plan = "[[group]]\nmodel = 'nano'\nbackend = 'reference'\nprecision = 'f32'\nthreads = 1";
        Resolved::of(PlanFile::parse(plan, "t").unwrap().cells(1).unwrap().remove(0))
    }

    fn launch(first: f64, further: f64) -> Launch {
        let image = |image: u32| {
            let total_s = if image == 0 { first } else { further };
            Sample { image, total_s, ended_s: Some(0.5 + first + further * f64::from(image)), ..Sample::default() }
        };
        Launch { status: Status::Ok, samples: (0..4).map(image).collect(), ..Launch::default() }
    }

    /// What a run of one cell teaches, changed by `change`.
    fn of(change: impl FnOnce(&mut Run)) -> Option<Remembered> {
        let cell = resolved();
        let info = RunInfo { created: "2026-11-28T10:00:00Z".into(), ..RunInfo::default() };
        let row = Row {
            status: Status::Ok,
            launches: vec![launch(3.0, 2.0), launch(3.0, 2.2), launch(3.4, 2.1)],
            ..cell.row()
        };
        let mut run = Run { cells: vec![row], ..Run::new(info, Machine::default()) };
        change(&mut run);
        let subject = subject(&cell, (&run.run.git, &run.run.build));
        let estimate = estimate((&cell.cell, subject), &cell.pipeline, cell.costs, 1e11, &Experience::default());
        taught(&run, &[cell], &[estimate]).pop()
    }

    #[test]
    fn a_run_teaches_the_medians_of_its_launches() {
        let taught = of(|_| {}).unwrap();
        assert_eq!((taught.launches, taught.day()), (3, "2026-11-28"));
        let Times { ready_s, first_image_s, image_s } = taught.times;
        assert_eq!((first_image_s, image_s), (3.0, Some(2.1)));
        assert!((ready_s - 0.5).abs() < 1e-9, "{ready_s}");
        assert!(taught.flops_per_image > 0.0 && taught.assumed_bytes.is_some());
    }

    #[test]
    fn a_launch_shows_what_getting_ready_and_images_took() {
        let compile = vec![StageCompile { export_s: 0.3, ..StageCompile::default() }];
        let latest = Launch { compile, ..launch(3.0, 2.0) };
        let row = Row { launches: vec![launch(9.0, 8.0), latest], ..Row::default() };
        let Times { ready_s, first_image_s, image_s } = shown(&row).unwrap();
        assert_eq!((first_image_s, image_s), (3.0, Some(2.0)), "the latest");
        assert!((ready_s - 0.2).abs() < 1e-9, "without what it wrote for later launches: {ready_s}");
        assert_eq!(shown(&Row::default()), None);
    }

    #[test]
    fn other_revisions_builds_libraries_and_configs_are_other_subjects() {
        let (git, build) = (Git { revision: "a".into(), dirty: false }, Build::default());
        let of = |cell: &Resolved, git: &Git, build: &Build| subject(cell, (&Reading::Ok(git.clone()), build));
        let usual = of(&resolved(), &git, &build);
        assert_eq!(of(&resolved(), &git, &build), usual);
        let mut newer = resolved();
        newer.version.runtime = "2.0".to_owned();
        let programs = [
            of(&resolved(), &Git { dirty: true, ..git.clone() }, &build),
            of(&resolved(), &git, &Build { flags: "-C target-cpu=native".into(), ..build.clone() }),
            of(&newer, &git, &build),
        ];
        for other in programs {
            assert!(other.program != usual.program && other.config == usual.config, "{other:?}");
        }
        let mut wide = resolved();
        Rc::get_mut(&mut wide.pipeline).unwrap().config = serde_json::json!({ "width": 2 });
        let other = of(&wide, &git, &build);
        assert!(other.program == usual.program && other.config != usual.config);
    }

    #[test]
    fn what_is_not_the_devices_own_speed_teaches_nothing() {
        let busy = ForeignLoad { cpus: 2, wall_s: 100.0, busy_s: 150.0, ..ForeignLoad::default() };
        let one = of(|run| run.cells[0].launches[0].foreign = Reading::Ok(busy.clone())).unwrap();
        assert_eq!(one.launches, 2, "those that nothing spoiled");
        assert!((one.times.image_s() - 2.15).abs() < 1e-9, "{:?}", one.times);
        assert_eq!(
            of(|run| run.cells[0].launches.iter_mut().for_each(|l| l.foreign = Reading::Ok(busy.clone()))),
            None
        );
        assert_eq!(of(|run| run.run.sustained_s = Some(600.0)), None);
        let simulator = Device { nature: "simulator".into(), ..Device::default() };
        assert_eq!(of(|run| run.cells[0].device = Some(simulator)), None);
        let changed = Warning::from(Kind::ResumedAlthough { differs: "the build".into() });
        assert_eq!(of(|run| run.warnings.push(changed)), None);
        let entry = |device: &str| PlacementShare { device: device.into(), nodes: 1, time_share: None };
        let entries = vec![entry("npu"), entry("cpu")];
        let placed = StagePlacement { asked: "npu".into(), entries, ..StagePlacement::default() };
        assert_eq!(of(|run| run.cells[0].placement = vec![placed]), None);
        assert_eq!(of(|run| run.cells[0].launches.clear()), None);
    }

    #[test]
    fn the_file_grows_by_whole_lines_and_forgets_its_older_half() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        std::fs::write(&path, "cut off").unwrap();
        append(&path, "one\n").unwrap();
        append(&path, "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "cut off\none\ntwo\n");
        let many: String = (0..MOST / 8 + 1).map(|line| format!("{line:07}\n")).collect();
        std::fs::write(&path, many).unwrap();
        append(&path, "last\n").unwrap();
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(kept.len() as u64 <= MOST / 2 + 16 && kept.ends_with("last\n"), "{}", kept.len());
        assert!(kept.lines().next().is_some_and(|line| line.len() == 7), "whole lines");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(file(folder.path())).unwrap();
        assert_eq!(recall(folder.path(), "here"), Experience::default());
        remember(folder.path(), &Run::default(), &[], &[]);
        assert!(append(&file(folder.path()), "line\n").is_err());
    }
}
