//! One launch: the spec for the worker, the worker's events, the row of the record.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use ditbench_record::disturbed;
use ditbench_record::store::RunStore;
use ditbench_record::{
    Calibration, Cell as Row, Company, CpusUsed, Kept, Kind, Launch, MemoryPass, Reading, Status, Telemetry, Version,
    Warning, WeightsUse,
};

use super::collect::{Collected, status};
use super::profile;
use super::progress::Progress;
use super::resolve::Resolved;
use super::schedule::Turn;
use super::{Prepared, Settings, now};
use ditbench_worker::interrupt;
use ditbench_worker::process::{Cause, Exit};

use crate::host::{Host, NotCool, Order};
use crate::plan::Seconds;
use crate::text;
use ditbench_protocol::{Counting, Event, LaunchSpec, Outputs, StopRule};
use ditbench_workloads::own;

/// Enough precision for a launch: the median's interval within ± 1 %.
const TIGHT: f64 = 0.01;

/// How often a cell's launches that a known cause spoiled are made again.
const REDO: usize = 2;

/// Makes launches and keeps their order.
pub struct Launcher<'a> {
    /// What was asked.
    pub settings: &'a Settings,
    /// Where workers run.
    pub host: &'a mut dyn Host,
    /// Where to say what is going on.
    pub progress: &'a Progress,
    /// Launches made so far in this run.
    pub order: u32,
    /// Seconds that each launch took beside its process: until the machine was cool and quiet, for launches that were made again, for sending files.
    pub around_s: Vec<f64>,
    /// When the budget ends: until then a launch that was spoiled can be made again.
    pub until: Instant,
    /// What company gets done alone, by its threads and CPUs: measured once.
    pub company_alone: BTreeMap<(u32, Vec<u32>), Reading<f64>>,
}

impl Launcher<'_> {
    /// Makes launch `index` of a cell and gives the cell's row with it added.
    ///
    /// # Errors
    /// The worker's log cannot be written, or no process started: the environment's fault, not the cell's.
    pub fn launch(
        &mut self,
        cell: &Resolved,
        prepared: &Prepared,
        (index, turn): (usize, Turn),
        store: &mut RunStore,
    ) -> Result<Row> {
        let old = store.run().cell(&cell.key).cloned();
        let first = index == 0;
        let mut row = match old {
            Some(mut row) if !first => {
                // What was interrupted is made again.
                row.launches.truncate(index);
                row
            }
            _ => cell.row(),
        };
        let name = cell.cell.key();
        let outputs = first.then(|| outputs(store, cell)).transpose()?;
        let Turn { images_s: seconds, least, .. } = turn;
        let stop = match self.settings.sustained_s.filter(|_| !cell.cell.is_yardstick) {
            Some(time) => StopRule { images: usize::MAX, seconds: time.get(), relative_half_width: 0.0, least: 1 },
            _ if cell.cell.is_yardstick => StopRule { images: 1, seconds, relative_half_width: TIGHT, least: 1 },
            None => StopRule { images: self.settings.images.get(), seconds, relative_half_width: TIGHT, least },
        };
        let spec = self.spec(cell, prepared, outputs, stop);
        let log = store.dir().join("logs").join(format!("{}-{index}.log", cell.key.id()));
        std::fs::create_dir_all(store.dir().join("logs")).context("cannot make the folder for workers' logs")?;
        let id = format!("{}.{}.{index}", store.run().run.id, cell.key.id());
        let all_begun = Instant::now();
        let ((exit, launch, collected), cool) = loop {
            let begun = Instant::now();
            let (made, cool) = self.attempt(cell, &spec, &id, &log, index)?;
            // Without the company that it was to have it is another measurement.
            let lost = made.0.observed.company.as_ref().and_then(|company| company.lost.clone());
            if let Some(why) = lost.filter(|_| row.discarded.len() < REDO && !interrupt::requested()) {
                self.progress.line(&format!("{name}: {why}; the launch will be repeated"));
                row.discarded.push(Launch { reason: Some(why), ..made.1 });
                continue;
            }
            let spoiled = disturbed::spoiled(&made.1, &store.run().machine, cell.key.threads);
            // What slows the processor down is no reason to distrust another device.
            let spoiled = spoiled.filter(|_| cell.is_on_processor());
            let Some(cause) = spoiled.filter(|_| !self.host.wants_throttling()) else { break (made, cool) };
            let why = cause.to_string();
            // One that cools down when it is left alone will; a machine with other work to do may never have time for us.
            let in_time = self.host.recovers_alone() || Instant::now() + begun.elapsed() <= self.until;
            let host = &mut self.host;
            if let Some(because) = counts(&cause, row.discarded.len(), in_time, || host.becomes_quiet()) {
                row.warnings.push(kept(index, why, because));
                break (made, cool);
            }
            self.progress.line(&format!("{name}: {why}; the launch will be repeated"));
            row.discarded.push(Launch { reason: Some(why), ..made.1 });
        };
        // The last that is known of it is from its end.
        let process_s = launch.telemetry.last().map_or(0.0, |after| after.at_s);
        self.around_s.push((all_begun.elapsed().as_secs_f64() - process_s).max(0.0));
        let (status, reason) = status(&exit.cause);
        self.progress.launch_done(&name, &outcome(&collected, status, reason.as_deref()));
        row.status = status;
        row.reason = reason;
        if matches!(exit.cause, Cause::Lost(_)) {
            // What there is of it is still on the machine that we lost, and is collected when we have it again.
            return Ok(row);
        }
        if first {
            fill(&mut row, &collected, prepared, cell.way.expands);
            if own::is_single(&cell.cell.choice) {
                // What it gives are numbers: there is no file of a picture.
                row.image = None;
            }
            if self.settings.profile {
                profile::keep(&mut row, cell, &collected.profiled, store)?;
            }
        }
        let differs = (status == Status::Ok && launch.same_bytes == Some(false)).then_some(Kind::NotDeterministic);
        for warning in differs.into_iter().chain(cool.map(|cool| not_cool(launch.index, cool))).map(Warning::from) {
            if !row.warnings.contains(&warning) {
                row.warnings.push(warning);
            }
        }
        row.launches.push(launch);
        if self.settings.brief {
            row.memory_pass = Reading::absent("a brief run makes no memory pass");
        } else if first && status == Status::Ok && total_of_first(&row) < memory_pass_below_s(self.settings) {
            row.memory_pass = self.memory_pass(cell, prepared, store)?;
        } else if first {
            row.memory_pass = Reading::absent(
                "there was no memory pass, because an image takes long; see the marks of the timed launches",
            );
        }
        if first && status == Status::Ok && self.settings.phone.perfetto {
            row.system_trace = Some(self.trace_pass(cell, prepared, store)?);
        }
        Ok(row)
    }

    /// One process of a cell, with the machine looked at before and after.
    fn attempt(
        &mut self,
        cell: &Resolved,
        spec: &LaunchSpec,
        id: &str,
        log: &Path,
        index: usize,
    ) -> Result<((Exit, Launch, Collected), Option<NotCool>)> {
        let name = cell.cell.key();
        let progress = self.progress;
        let say = |message: String| progress.now(format!("{name}: {message}"));
        let alone = self.company_alone(spec);
        let cool = self.host.cool_down(&|message| progress.line(&format!("{name}: {message}")));
        let calibration_before = self.host.calibrate();
        let before = self.host.sensors();
        let (started, begun) = (now(), Instant::now());
        let mut collected = Collected::default();
        progress.now(format!("{name}: compiling"));
        let sustained = self.settings.sustained_s.map(Seconds::duration).unwrap_or_default();
        let timeout = self.settings.timeout_s.duration() + sustained;
        let id = id.to_owned();
        let order = Order { id, spec, pipeline: &cell.pipeline, log, timeout, system_trace: None, say: &say };
        let exit = self.host.launch(&order, &mut |at_s, event| {
            if let Event::Image { index, total_s, .. } = &event {
                progress.now(format!("{name}: image {}, {}", index + 1, text::seconds(*total_s)));
            }
            collected.take(at_s, event);
        })?;
        let mut exit = in_company(spec, exit);
        // Elsewhere, sending files came before the launch began, and that machine's clock is the one that counts.
        let at_s = if self.host.is_remote() { collected.at_s } else { begun.elapsed().as_secs_f64() };
        let mut launch =
            collected.launch(u32::try_from(index).unwrap_or(u32::MAX), self.order, started, &exit.cause, exit.max_rss);
        self.order += 1;
        let gone = self.host.gone();
        let (after, calibration_after) = match &gone {
            Some(why) => (BTreeMap::new(), Reading::absent(why)),
            None => (self.host.sensors(), self.host.calibrate()),
        };
        launch.telemetry = vec![Telemetry { at_s: 0.0, moment: "before".to_owned(), readings: before }];
        launch.telemetry.append(&mut exit.observed.telemetry);
        launch.telemetry.push(Telemetry { at_s, moment: "after".to_owned(), readings: after });
        launch.calibration = Calibration { before_s: calibration_before, after_s: calibration_after };
        launch.cpus = collected
            .cpus_allowed
            .clone()
            .map(|allowed| CpusUsed { allowed: Some(allowed), seen: exit.observed.cpus_seen.clone() });
        launch.clock = exit.observed.clock.clone();
        launch.foreign = exit.observed.foreign.clone();
        launch.company = exit.observed.company.as_ref().zip(alone).map(|(done, alone_units_per_s)| Company {
            threads: spec.company,
            units_per_s: done.units_per_s.clone(),
            alone_units_per_s,
            cpu_s: done.cpu_s.clone(),
        });
        launch.notes.append(&mut exit.observed.notes);
        Ok(((exit, launch, collected), cool))
    }

    /// What the company of a launch gets done with nothing beside it; `None` for a launch that has none.
    fn company_alone(&mut self, spec: &LaunchSpec) -> Option<Reading<f64>> {
        let (threads, cpus) = (spec.company, spec.cpus.clone().unwrap_or_default());
        if threads == 0 {
            return None;
        }
        let host = &mut self.host;
        let alone = self.company_alone.entry((threads, cpus));
        Some(alone.or_insert_with_key(|(threads, cpus)| host.company_alone(*threads, cpus)).clone())
    }

    /// A launch in which nothing is timed and only memory is looked at.
    fn memory_pass(&mut self, cell: &Resolved, prepared: &Prepared, store: &RunStore) -> Result<Reading<MemoryPass>> {
        let stop = StopRule { images: 2, seconds: self.settings.timeout_s.get(), relative_half_width: 0.0, least: 1 };
        let spec = self.spec(cell, prepared, None, stop);
        let log = store.dir().join("logs").join(format!("{}-memory.log", cell.key.id()));
        let progress = self.progress;
        let order = Order {
            id: format!("{}.{}.memory", store.run().run.id, cell.key.id()),
            spec: &spec,
            pipeline: &cell.pipeline,
            log: &log,
            timeout: self.settings.timeout_s.duration(),
            system_trace: None,
            say: &|message| progress.now(message),
        };
        let mut collected = Collected::default();
        let exit = self.host.launch(&order, &mut |at_s, event| collected.take(at_s, event))?;
        if let (status, Some(reason)) = status(&exit.cause) {
            return Ok(Reading::absent(format!("the memory pass ended with {}: {reason}", status.name())));
        }
        let sum = |of: fn(&ditbench_backend_api::MemoryReport) -> Option<u64>| {
            collected.runtime_memory.iter().map(of).sum::<Option<u64>>().filter(|&bytes| bytes > 0)
        };
        Ok(Reading::Ok(MemoryPass {
            pid: collected.pid,
            runtime_peak_bytes: sum(|report| report.peak),
            runtime_reserved_bytes: sum(|report| report.reserved),
            marks: collected.memory,
            max_rss_bytes: exit.max_rss,
        }))
    }

    pub(super) fn spec(
        &self,
        cell: &Resolved,
        prepared: &Prepared,
        outputs: Option<Outputs>,
        stop: StopRule,
    ) -> LaunchSpec {
        // The launch that keeps its image is the one that is asked for the rest too: the cell's first.
        let placement = outputs.is_some();
        LaunchSpec {
            outputs,
            profile: placement && self.settings.profile,
            counters: counting(self.settings, placement),
            placement,
            allow_fallback: self.settings.allow_fallback,
            ..prepared.spec(cell, stop)
        }
    }
}

/// What of the processor's counters is read in a cell's first launch, or in another.
fn counting(settings: &Settings, is_first: bool) -> Counting {
    match (settings.telemetry, is_first && !settings.brief) {
        (false, _) => Counting::Off,
        (true, false) => Counting::Images,
        (true, true) => Counting::Stages,
    }
}

/// A launch as it counts for its company: a program that knows of none has kept none, whatever it measured.
fn in_company(spec: &LaunchSpec, mut exit: Exit) -> Exit {
    let is_told = exit.observed.company.is_some() || !matches!(exit.cause, Cause::Finished);
    if spec.company > 0 && !is_told {
        let why = "the program there is older and keeps no company: build both from the same source".to_owned();
        exit.cause = Cause::Failed { unsupported: true, why };
    }
    exit
}

/// Seconds of a first image below which a cell has a pass of its own for memory.
pub(super) fn memory_pass_below_s(settings: &Settings) -> f64 {
    if settings.brief { 0.0 } else { settings.budget_s.get() / 100.0 }
}

/// That a spoiled launch counts, and why it was not made again.
fn kept(launch: usize, why: String, kept: Kept) -> Warning {
    Kind::SpoiledLaunch { launch: u32::try_from(launch).unwrap_or(u32::MAX), why, kept }.into()
}

/// That a launch may not have begun cool.
fn not_cool(launch: u32, cool: NotCool) -> Kind {
    match cool {
        NotCool::StillWarm { what, waited } => Kind::BeganWarm { launch, what, waited_s: waited.as_secs() },
        NotCool::NotKnown { why } => Kind::WarmthNotKnown { why },
    }
}

/// Why a launch that was spoiled counts all the same; `None`: it is made again.
fn counts(
    cause: &disturbed::Cause,
    discarded: usize,
    in_time: bool,
    becomes_quiet: impl FnOnce() -> bool,
) -> Option<Kept> {
    if matches!(cause, disturbed::Cause::HeldBack(held) if held.before) {
        return Some(Kept::SoBefore);
    }
    if !in_time {
        return Some(Kept::NoTime);
    }
    if discarded >= REDO {
        return Some(Kept::EveryTime { times: REDO as u32 + 1 });
    }
    // Asked last: it takes a while.
    let futile = matches!(cause, disturbed::Cause::Foreign { .. }) && !becomes_quiet();
    futile.then_some(Kept::WentOn)
}

/// Where the first launch of a cell writes its image and its latents.
fn outputs(store: &RunStore, cell: &Resolved) -> Result<Outputs> {
    let dir = std::path::absolute(store.dir()).context("cannot resolve the run's directory")?;
    let latents = dir.join("latents");
    std::fs::create_dir_all(&latents).with_context(|| format!("cannot make {}", latents.display()))?;
    let id = cell.key.id();
    Ok(Outputs { image: dir.join(format!("{id}.png")), latents: latents.join(format!("{id}.safetensors")) })
}

/// What the first launch of a cell tells of the cell as a whole.
pub(super) fn fill(row: &mut Row, collected: &Collected, prepared: &Prepared, expands: bool) {
    if let Some(numerics) = collected.numerics(&row.stages) {
        let name = serde_json::to_value(numerics).ok().and_then(|value| value.as_str().map(str::to_owned));
        row.numerics = Reading::or_absent(name, "the worker named a precision that this program does not know");
    }
    if let Some(version) = &collected.version {
        row.versions = vec![Version {
            name: row.key.backend.clone(),
            version: version.runtime.clone(),
            details: version.details.clone(),
        }];
    }
    row.placement = collected.stage_placement();
    // Of a worker that died before all stages were there the sum would be a part, or nothing.
    let whole = !row.stages.is_empty() && collected.compile.len() == row.stages.len();
    let sum = |of: fn(&ditbench_backend_api::CompileReport) -> Option<u64>| {
        if whole { collected.compile.iter().map(|(_, report)| of(report)).sum() } else { None }
    };
    let expanded = if expands { vec![row.variant_about.clone()] } else { Vec::new() };
    row.warnings.extend(prepared.notes.iter().cloned());
    row.weights = Some(WeightsUse {
        sha256: prepared.weights_sha256.clone(),
        disk_bytes: sum(|report| report.weight_file_bytes),
        resident_bytes: sum(|report| report.weight_resident_bytes),
        expanded,
    });
    row.image = collected.image_sha256.as_ref().map(|_| format!("{}.png", row.key.id()));
}

fn total_of_first(row: &Row) -> f64 {
    row.launches.first().and_then(|launch| launch.first()).map_or(f64::INFINITY, |sample| sample.total_s)
}

fn outcome(collected: &Collected, status: Status, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{}: {reason}", status.name()),
        None => {
            let totals: Vec<f64> = collected.samples.iter().map(|sample| sample.total_s).collect();
            let first = totals.first().copied().unwrap_or_default();
            match totals.len() {
                0 | 1 => format!("first image {}", text::seconds(first)),
                n => format!(
                    "first image {}, then {} (fastest of {})",
                    text::seconds(first),
                    text::seconds(totals[1..].iter().copied().fold(f64::INFINITY, f64::min)),
                    n - 1
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ditbench_backend_api::CompileReport;
    use ditbench_record::held::{self, HeldBack};
    use ditbench_record::{CellStage, ForeignLoad, Role};

    use super::*;
    use crate::plan::{Images, Launches, PlanFile};
    use crate::run::Usual;

    #[test]
    fn an_image_more_for_the_stages_is_made_in_a_cells_first_launch_alone() {
        let asked = |telemetry, brief| {
            let (launches, images, budget) = (Launches::fixed(1), Images::fixed(1), Seconds::fixed(1.0));
            let usual = Usual { launches, images, budget };
            let settings = Settings { telemetry, brief, ..Settings::of(PlanFile::default(), usual) };
            [true, false].map(|is_first| counting(&settings, is_first))
        };
        assert_eq!(asked(true, false), [Counting::Stages, Counting::Images]);
        assert_eq!(asked(true, true), [Counting::Images; 2]);
        assert_eq!(asked(false, false), [Counting::Off; 2]);
    }

    #[test]
    fn a_spoiled_launch_is_made_again_within_limits() {
        let held = |before| {
            disturbed::Cause::HeldBack(HeldBack { causes: vec![held::Cause::Slower(1.5)], first_s: None, before })
        };
        let slower = held(false);
        let foreign = disturbed::Cause::Foreign { load: ForeignLoad::default() };
        let asked = std::cell::Cell::new(0);
        let becomes = |quiet: bool| {
            asked.set(asked.get() + 1);
            quiet
        };
        assert_eq!(counts(&slower, 0, true, || becomes(false)), None);
        assert_eq!(asked.get(), 0, "heat does not go by waiting for other programs");
        assert_eq!(counts(&foreign, 1, true, || becomes(true)), None);
        let why = counts(&foreign, 1, true, || becomes(false));
        assert_eq!(why, Some(Kept::WentOn), "somebody who goes on would spoil the next one too");
        assert_eq!(counts(&foreign, REDO, true, || becomes(true)), Some(Kept::EveryTime { times: 3 }));
        assert_eq!(counts(&slower, 0, false, || becomes(true)), Some(Kept::NoTime));
        assert_eq!(asked.get(), 2);
        assert_eq!(counts(&held(true), 0, true, || becomes(true)), Some(Kept::SoBefore));
    }

    #[test]
    fn weights_of_a_worker_that_died_while_it_loaded_are_not_known() {
        let report =
            CompileReport { weight_file_bytes: Some(100), weight_resident_bytes: Some(50), ..CompileReport::default() };
        let bytes = |stages: &[&str]| {
            let collected = Collected {
                compile: stages.iter().map(|stage| ((*stage).to_owned(), report)).collect(),
                ..Collected::default()
            };
            let stage = |id: &str| CellStage { id: id.to_owned(), role: Role::Other, passes: 1 };
            let mut row = Row { stages: ["text_encoder", "denoiser", "decoder"].map(stage).to_vec(), ..Row::default() };
            fill(&mut row, &collected, &Prepared::default(), false);
            row.weights.map(|weights| (weights.disk_bytes, weights.resident_bytes))
        };
        assert_eq!(bytes(&[]), Some((None, None)));
        assert_eq!(bytes(&["text_encoder"]), Some((None, None)));
        let all = ["text_encoder", "denoiser", "decoder"];
        assert_eq!(bytes(&all), Some((Some(300), Some(150))));
    }
}
