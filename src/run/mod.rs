//! A run: prepare weights and inputs, make launches, put what they say into the record, compare, report.
//!
//! Contract: a cell that fails is a row and the run goes on; the record on disk is whole after every launch; an
//! interrupted run is resumed, not repeated.

mod budget;
mod collect;
mod fidelity;
pub mod first_look;
pub mod fleet;
mod host;
pub mod judging;
mod launch;
mod learn;
pub mod one_image;
mod own;
mod prepare;
pub mod print;
mod profile;
mod progress;
mod resolve;
mod resume;
mod schedule;
mod sensitivity;
mod settings;
mod show;
mod system_trace;
pub mod tune;
mod weights;
mod yardstick;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ditbench_record::disturbed;
use ditbench_record::store::RunStore;
use ditbench_record::{Calibration, Cell as Row, CellKey, Reading, Run, RunInfo, Status, Warning};
use ditbench_reports::scale::can_follow;

pub use fidelity::compare as compare_images;
pub use prepare::{Prepared, Preparer, prepare_weights, unread};
pub use progress::Progress;
pub use settings::{Settings, TIMEOUT, Usual};
pub use show::report;
pub use weights::WeightsChoice;

use crate::environment::Common;
use crate::host::{Host, PeakOf};
use crate::plan::{Estimate, Seconds};
use ditbench_worker::{interrupt, probe};

use crate::paths;
use launch::Launcher;
use resolve::Resolved;
pub use resolve::resolve;
pub use resume::{ResumeOptions, resume};
use schedule::{CellState, Schedule, Terms, Turn};
use tune::Search;

/// Starts a run and gives its directory, or only shows it.
///
/// # Errors
/// A mistake in the plan or in the environment.
pub fn start(
    settings: Settings,
    common: &Common,
    out: Option<&Path>,
    dry_run: bool,
    force: bool,
) -> Result<Option<PathBuf>> {
    let id = new_id();
    let dir = place(out, &id, dry_run)?;
    let host = host::open(&settings, &id)?;
    start_on((host, id), settings, common, (!dry_run).then_some(dir), force)
}

/// The directory of a run.
fn place(out: Option<&Path>, id: &str, dry_run: bool) -> Result<PathBuf> {
    let dir = out.map_or_else(|| Path::new("runs").join(id), Path::to_path_buf);
    if !dry_run {
        paths::must_be_text(&dir, "choose another directory with --out DIR")?;
    }
    Ok(dir)
}

/// As [`start`], on a machine that was opened for the run of that id; `None` for the directory only shows it.
fn start_on(
    (mut host, id): (Box<dyn Host>, String),
    settings: Settings,
    common: &Common,
    dir: Option<PathBuf>,
    force: bool,
) -> Result<Option<PathBuf>> {
    let resolved = host::resolve_for(&settings, host.as_mut(), common)?;
    if settings.scale.is_some() {
        something_varies(&resolved)?;
    }
    check_weights(&settings.weights, &resolved)?;
    if let Some(wanted) = &settings.judging {
        judging::show_plan(wanted, &resolved, host.as_ref())?;
    }
    // A dry run makes no folder, and says nothing of one that cannot be made.
    let cache = paths::cache_place(common.cache.as_ref()).ok();
    let estimates = learn::estimates(&resolved, host.as_ref(), cache.as_deref());
    show::plan(&settings, &resolved, &estimates, host.as_ref());
    let Some(dir) = dir else { return Ok(None) };
    show::refuse_what_does_not_fit(&resolved, &estimates, force, host.as_ref())?;
    // What is wrong with the cache is said before there is a run's directory that holds nothing.
    paths::cache(common.cache.as_ref())?;
    if let Some(wanted) = &settings.judging {
        judging::check(wanted, common)?;
    }
    let info = RunInfo {
        id,
        created: now(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        git: host.git(),
        build: host.build(),
        // What is no UTF-8 stands as a replacement character in it: a record is text.
        command_line: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        on: settings.on.as_ref().map(ToString::to_string),
        plan: serde_json::to_value(&settings).context("writing the plan into the record")?,
        prompt: match &settings.judging {
            Some(wanted) => wanted.said()?,
            None => settings.prompt.clone(),
        },
        seed: settings.seed,
        weights_seed: resolved.iter().any(|cell| settings.weights.are_random(&cell.pipeline)).then_some(settings.seed),
        steps: same(resolved.iter().map(|cell| cell.key.steps)).unwrap_or_default(),
        sampler: same(resolved.iter().map(|cell| cell.key.sampler().unwrap_or_default().to_owned()))
            .unwrap_or_default(),
        sigmas: same(resolved.iter().map(Resolved::sigmas)).unwrap_or_default(),
        sustained_s: settings.sustained_s.map(Seconds::get),
        telemetry: Some(settings.telemetry),
        ..RunInfo::default()
    };
    let mut run = Run::new(info, host.machine());
    let root = probe::root();
    if root != Path::new("/") {
        run.warnings.push(Warning::Said(format!(
            "system files were read below {}, not from this machine ({})",
            root.display(),
            probe::ROOT
        )));
    }
    let store = RunStore::create(&dir, run)?;
    go(settings, (resolved, estimates), store, common, host.as_mut())?;
    Ok(Some(dir))
}

/// Refuses to measure what no curve and no ladder can come of: what is asked for may be one cell here, or cannot run.
fn something_varies(cells: &[Resolved]) -> Result<()> {
    let cells = || cells.iter().filter(|cell| !cell.cell.is_yardstick).map(|cell| (cell, (&cell.key, cell.is_own())));
    if can_follow(cells().filter(|(cell, _)| cell.refusal.is_none()).map(|(_, key)| key)) {
        return Ok(());
    }
    match cells().find_map(|(cell, _)| cell.refusal.as_ref()) {
        Some((_, why)) if can_follow(cells().map(|(_, key)| key)) => {
            bail!("too few of these cells can run here for a curve: {why}")
        }
        _ => bail!(
            "nothing here varies in a way that gives a curve: give several values, as in --size 256,384,512,768 or --threads 1,2,4 (of the processor), or \
             --ladder with several rungs; or give runs to read"
        ),
    }
}

/// Looks the user's weights over for every model of a run, and says what of them no cell will read.
fn check_weights(weights: &WeightsChoice, cells: &[Resolved]) -> Result<()> {
    let mut said = Vec::new();
    for cell in cells {
        prepare::refuse_weights(cell, weights)?;
        if let Some(what) = prepare::unread(&weights.check(&cell.pipeline)?).filter(|what| !said.contains(what)) {
            crate::text::tell(&format!("{weights}: not used by the model: {what}"));
            said.push(what);
        }
    }
    Ok(())
}

/// Times cells, or judges their pictures.
fn go(
    settings: Settings,
    (resolved, estimates): (Vec<Resolved>, Vec<Estimate>),
    store: RunStore,
    common: &Common,
    host: &mut dyn Host,
) -> Result<()> {
    match settings.judging.clone() {
        Some(wanted) => judging::work(&settings, &wanted, &resolved, store, common, host),
        None => work(settings, (resolved, estimates), store, common, host),
    }
}

/// Makes all launches, then compares and reports.
fn work(
    settings: Settings,
    (resolved, estimates): (Vec<Resolved>, Vec<Estimate>),
    mut store: RunStore,
    common: &Common,
    host: &mut dyn Host,
) -> Result<()> {
    let cache = paths::cache(common.cache.as_ref())?;
    let progress = Progress::new(planned(&settings, &resolved));
    progress.now("measuring this machine's peaks".to_owned());
    let calibration_before = host.calibrate();
    let wanted = |cell: &Resolved| PeakOf {
        threads: cell.cell.threads.get(),
        cpus: cell.cell.pinned.as_ref().map(|pinned| pinned.cpus.clone()).unwrap_or_default(),
    };
    // No other device stands under the processor's peaks.
    let wanted: Vec<PeakOf> = resolved.iter().filter(|cell| cell.is_on_processor()).map(wanted).collect();
    let peaks = if settings.brief { Vec::new() } else { host.peaks(&wanted) };
    store.update(|run| {
        run.machine.peaks = peaks;
        run.machine.calibration = Calibration { before_s: calibration_before, ..Calibration::default() };
    })?;
    let machine = &store.run().machine;
    for peak in &machine.peaks {
        if let Some(why) = disturbed::doubtful_peak(machine, peak) {
            let threads = disturbed::several(peak.threads, "thread");
            progress.line(&format!("the {} peak of {threads} is doubtful: {why}", peak.kind));
        }
    }
    let mut preparer = Preparer::new(cache.clone(), &settings, store.dir());
    let started = Instant::now();
    let budget = settings.budget_s.duration();
    let mut launcher = Launcher {
        settings: &settings,
        host,
        progress: &progress,
        order: resume::next_order(store.run()),
        around_s: Vec::new(),
        until: started + budget,
        company_alone: BTreeMap::new(),
    };
    let keys: Vec<CellKey> = resolved.iter().map(|cell| cell.key.clone()).collect();
    let yardsticks: Vec<CellKey> =
        resolved.iter().filter(|cell| cell.cell.is_yardstick).map(|cell| cell.key.clone()).collect();
    let mut states: Vec<CellState> = resolved.iter().map(|cell| resume::state(&store, cell)).collect();
    budget::prepare(&mut states, &resolved, &estimates);
    for (index, cell) in resolved.iter().enumerate() {
        if let Some((status, why)) = cell.refusal.clone() {
            states[index].failed = true;
            progress.launch_done(&cell.cell.key(), &format!("{}: {why}", status.name()));
            if resume::keep_results(&mut store, &keys, &cell.key, &why)? {
                continue;
            }
            store.put_cell(Row {
                variant_about: cell.way.about.clone(),
                device: cell.recorded_device(),
                ..Row::failed(cell.key.clone(), status, why)
            })?;
        }
    }
    // What a search will find is not known before: each launch has the same share.
    let images_s = settings.budget_s.get() / planned(&settings, &resolved).max(1) as f64;
    let mut search = settings.tune.as_ref().map(|question| Search::new(question, &resolved, &estimates, &settings));
    loop {
        let left = budget.saturating_sub(started.elapsed());
        let turn = match &mut search {
            Some(search) => {
                let place = search.next(&mut store, &states, left)?;
                place.map(|place| Turn { place, images_s, least: 1 })
            }
            None => Schedule::new(&states, Terms::of(&settings, left, &launcher.around_s)).next(),
        };
        let Some(turn) = turn else { break };
        let index = turn.place;
        if interrupt::requested() || launcher.host.gone().is_some() {
            break;
        }
        let cell = &resolved[index];
        let prepared = match preparer.prepare(cell, &mut store, &progress) {
            Ok(prepared) => prepared,
            Err(error) => {
                states[index].failed = true;
                let why = crate::text::causes(&error);
                progress.launch_done(&cell.cell.key(), &format!("{}: {why}", Status::Error.name()));
                if !resume::keep_results(&mut store, &keys, &cell.key, &why)? {
                    let failed = Row::failed(cell.key.clone(), Status::Error, why);
                    store.put_cell(Row { device: cell.recorded_device(), ..failed })?;
                }
                continue;
            }
        };
        let measured = Instant::now();
        let row = launcher.launch(cell, &prepared, (states[index].made, turn), &mut store)?;
        states[index].made += 1;
        states[index].longest = states[index].longest.max(Some(measured.elapsed()));
        states[index].shown = learn::shown(&row);
        states[index].failed = row.status != Status::Ok;
        store.put_cell(row)?;
    }
    if !settings.brief {
        progress.now("comparing images".to_owned());
        fidelity::compare(&mut store, &keys, &own::expected(&resolved))?;
    }
    let gone = launcher.host.gone();
    let interrupted = interrupt::requested() || gone.is_some();
    match &search {
        _ if interrupted => {}
        Some(search) => search.close(&mut store, &states)?,
        None => {
            let terms = Terms::of(&settings, budget.saturating_sub(started.elapsed()), &launcher.around_s);
            budget::close(&mut store, (&states, terms), &resolved, &settings, common)?;
        }
    }
    learn::remember(&cache, store.run(), &resolved, &estimates);
    let after = gone.as_ref().map_or_else(|| launcher.host.calibrate(), Reading::absent);
    store.update(|run| {
        run.machine.calibration.after_s = after;
        if !interrupted {
            run.run.finished = Some(now());
        }
    })?;
    progress.finish();
    let page = show::report(&store, &settings.tune.clone().unwrap_or_default())?;
    if let Some(why) = gone {
        bail!("{why}. What was measured is kept. Continue with: {}", resume::command(store.dir(), common));
    }
    if interrupted {
        bail!("interrupted; what was measured is kept. Continue with: {}", resume::command(store.dir(), common));
    }
    crate::text::show(&format!("{}\n", page.display()));
    something_was_measured(&store, &yardsticks)
}

/// Launches that the budget is meant for: a search makes one of each cell, and most of the others of a few.
fn planned(settings: &Settings, cells: &[Resolved]) -> usize {
    let launches = settings.launches.get();
    let once = cells.iter().filter(|cell| cell.cell.is_yardstick).count();
    let whole = once + (cells.len() - once) * launches;
    if settings.tune.is_some() { whole.min(cells.len() + SEARCHED * launches) } else { whole }
}

/// Cells that a search measures well, roughly.
const SEARCHED: usize = 4;

/// A run of failures is no success for the script that started it.
fn something_was_measured(store: &RunStore, yardsticks: &[CellKey]) -> Result<()> {
    if store.run().cells.iter().all(|cell| !cell.has_result() || yardsticks.contains(&cell.key)) {
        bail!("no cell could be measured; each row of the table has its reason");
    }
    Ok(())
}

/// What all agree on; `None` if they do not, or if there are none.
fn same<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// RFC 3339, UTC, to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// `20261123T161500Z-5f3a`: when, and enough of chance to tell two runs of one second apart.
pub fn new_id() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let stamp: String = now().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{stamp}-{:04x}", RandomState::new().build_hasher().finish() & 0xffff)
}
