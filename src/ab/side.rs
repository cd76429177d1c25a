//! One build under comparison: a program that is asked to run, and the record of all that it did.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use ditbench_fetch::child;
use ditbench_record::store::{self, RunStore};
use ditbench_record::{CellKey, Kind, Launch, Reading, Run, Status, Warning};
use ditbench_worker::interrupt;

use super::count::Valgrind;
use crate::environment::Common;
use crate::plan::PlanFile;
use crate::run::WeightsChoice;
use crate::text;

/// Time for a run that is asked to stop: it ends its worker, compares what it has and writes its report.
const GRACE: Duration = Duration::from_secs(60);

/// A ditbench program.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called in the verdict.
    pub label: String,
    /// The file.
    pub file: PathBuf,
    /// The cache and the libraries, as this program was given them.
    pub common: Common,
    /// Which weights.
    pub weights: WeightsChoice,
    /// Further flags of its `run`.
    pub flags: Vec<String>,
    /// Length and time of the file when the comparison began: a build that is replaced meanwhile is another build.
    pub made: (u64, SystemTime),
}

/// A plan of one cell, and its id in records.
#[derive(Clone, Debug)]
pub struct SingleCell {
    /// [`CellKey::id`].
    pub id: String,
    /// Its key.
    pub key: CellKey,
    /// A plan with just this cell.
    pub plan: PlanFile,
    /// Whether it is compared in time; else it is only there to hold the others against.
    pub timed: bool,
}

/// One side: its program, its record.
pub struct Side {
    program: Program,
    store: RunStore,
    made: u32,
}

impl Side {
    /// Lets the program make one image of every cell, with these further flags; launches of that are not kept, they were made one side after the
    /// other.
    ///
    /// # Errors
    /// The program cannot be run, or refuses the plan.
    pub fn check(program: Program, cells: &[SingleCell], dir: &Path, more: &[&str]) -> Result<Self> {
        let mut plan = cells.first().map(|cell| cell.plan.clone()).unwrap_or_default();
        plan.group = cells.iter().flat_map(|cell| cell.plan.group.clone()).collect();
        program.run(&plan, 1, dir, more)?;
        let mut store = RunStore::resume(dir)
            .with_context(|| format!("{} succeeded but left no readable record: is it a ditbench?", program.label))?;
        store.update(|run| {
            for cell in &mut run.cells {
                cell.launches.clear();
            }
            // A side holds what is compared; the reference has served.
            run.cells.retain(|cell| cells.iter().any(|wanted| wanted.timed && wanted.key == cell.key));
        })?;
        Ok(Self { program, store, made: 0 })
    }

    /// Makes one launch of a cell, as number `index`; gives what became of it, in words.
    ///
    /// # Errors
    /// The program cannot be run, or its record not be read. A launch that fails is no error: it is in the record.
    pub fn launch(&mut self, cell: &SingleCell, index: u32, images: usize) -> Result<String> {
        let dir = self.store.dir().join("launches").join(format!("{}-{index}", cell.id));
        self.program.run(&cell.plan, images, &dir, &["--brief"])?;
        let made = store::read(&dir)?.run;
        let Some(found) = made.cell(&cell.key) else {
            bail!("{}: {} did not run {}", dir.display(), self.program.label, cell.id)
        };
        let order = self.made;
        self.made += 1;
        let found = found.clone();
        let (status, reason) = (found.status, found.reason.clone());
        self.store.update(|run| {
            let Some(mine) = run.cells.iter_mut().find(|mine| mine.key == cell.key) else { return };
            // What a known cause spoiled, and was made again, stays in the record with its cause.
            for (from, to) in [(&found.launches, &mut mine.launches), (&found.discarded, &mut mine.discarded)] {
                to.extend(from.iter().cloned().map(|launch| Launch { index, order, ..launch }));
            }
            // Made alone, it was launch 0 there.
            let spoiled = found.warnings.iter().filter_map(|warning| match warning.kind()? {
                Kind::SpoiledLaunch { why, kept, .. } => {
                    Some(Warning::from(Kind::SpoiledLaunch { launch: index, why: why.clone(), kept: *kept }))
                }
                Kind::BeganWarm { what, waited_s, .. } => {
                    Some(Warning::from(Kind::BeganWarm { launch: index, what: what.clone(), waited_s: *waited_s }))
                }
                _ => None,
            });
            mine.warnings.extend(spoiled);
            if status != Status::Ok {
                (mine.status, mine.reason) = (status, reason.clone());
            }
        })?;
        let images = found.launches.iter().flat_map(|launch| &launch.samples).map(|sample| sample.total_s);
        Ok(match reason {
            Some(reason) => format!("{}: {reason}", status.name()),
            None => format!("fastest image {}", text::seconds(images.fold(f64::INFINITY, f64::min))),
        })
    }

    /// Counts the instructions of an image of a cell that ended well; gives what became of it, in words.
    ///
    /// # Errors
    /// Files that cannot be read or written, Ctrl-C. That it cannot be counted is no error: it is in the record.
    pub fn count(&mut self, cell: &SingleCell, valgrind: &Valgrind) -> Result<String> {
        let ended_well = self.store.run().cell(&cell.key).is_some_and(|mine| mine.status == Status::Ok);
        if !ended_well {
            return Ok("not counted: it does not work".to_owned());
        }
        let dir = std::path::absolute(self.store.dir()).context("resolving the folder of the comparison")?;
        let order = dir.join("specs").join(format!("{}-0.json", cell.id));
        self.program.must_be_as_it_was()?;
        let counted = valgrind.count(&self.program.file, &order, &dir.join("counts").join(&cell.id))?;
        let says = match &counted {
            Reading::Ok(counted) => format!("{} instructions", text::count(counted.instructions as f64)),
            Reading::Denied { why } | Reading::Absent { why } => format!("not counted: {why}"),
        };
        self.store.update(|run| {
            if let Some(mine) = run.cells.iter_mut().find(|mine| mine.key == cell.key) {
                mine.counted = Some(counted);
            }
        })?;
        Ok(says)
    }

    /// Its record so far.
    pub fn run(&self) -> &Run {
        self.store.run()
    }

    /// What it is called.
    pub fn label(&self) -> &str {
        &self.program.label
    }

    /// Where its record is.
    pub fn dir(&self) -> &Path {
        self.store.dir()
    }

    /// Marks the record as finished.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&mut self) -> Result<()> {
        Ok(self.store.update(|run| run.run.finished = Some(crate::run::now()))?)
    }
}

impl Program {
    /// `run` with this plan, one launch a cell.
    fn run(&self, plan: &PlanFile, images: usize, dir: &Path, more: &[&str]) -> Result<()> {
        let folder = dir.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join(format!("{}.toml", dir.file_name().unwrap_or_default().to_string_lossy()));
        std::fs::write(&file, toml::to_string(plan)?).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(&self.file);
        command.arg("run").arg("--plan").arg(&file).arg("--out").arg(dir);
        command.args(["--launches", "1", "--images", &images.to_string()]).args(more).args(&self.flags);
        command.args(self.common.words().into_iter().flat_map(|(flag, value)| [flag.into(), value]));
        if self.weights != WeightsChoice::Usual {
            command.arg("--weights").arg(self.weights.to_string());
        }
        self.must_be_as_it_was()?;
        // Asked to stop, the run keeps what it has measured and ends by itself.
        let output = child::output(&mut command, &interrupt::requested, GRACE);
        let output = output.with_context(|| format!("cannot start {}", self.file.display()))?;
        // A run in which no cell could be measured ends with an error too; its record came to its end and says why.
        let told = || store::read(dir).is_ok_and(|made| made.run.run.finished.is_some());
        if !output.status.success() && !told() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            bail!("{} ({}) ended with {}: {last}", self.label, self.file.display(), output.status);
        }
        Ok(())
    }

    fn must_be_as_it_was(&self) -> Result<()> {
        let made = std::fs::metadata(&self.file).and_then(|found| Ok((found.len(), found.modified()?)));
        if made.ok() != Some(self.made) {
            bail!(
                "{} is no longer the program with which this comparison began: it was rebuilt or removed. Compare \
                 again, or compare copies of the programs",
                self.file.display()
            );
        }
        Ok(())
    }
}
