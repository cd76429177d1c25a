//! One launch: the spec for the worker, the worker's events, the row of the record.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ditbench_reports::record::{Calibration, Cell as Row, MemoryPass, Reading, Status, Telemetry, Version, WeightsUse};
use ditbench_reports::store::RunStore;

use super::collect::{Collected, status};
use super::profile;
use super::progress::Progress;
use super::resolve::Resolved;
use super::{Prepared, Settings, now};
use crate::host::local;
use crate::protocol::{Event, LaunchSpec, Outputs, StopRule};
use crate::{measure, probe, text};

/// Enough precision for a launch: the median's interval within ± 1 %.
const TIGHT: f64 = 0.01;

/// Makes launches and keeps their order.
pub struct Launcher<'a> {
    /// What was asked.
    pub settings: &'a Settings,
    /// ONNX Runtime's library, or why there is none.
    pub ort_lib: Result<Option<PathBuf>, String>,
    /// Where to say what is going on.
    pub progress: &'a Progress,
    /// Launches made so far in this run.
    pub order: u32,
    /// Cells of the run: each gets its share of the budget.
    pub cells: usize,
}

impl Launcher<'_> {
    /// Why a cell cannot run for want of ONNX Runtime.
    pub fn missing_library(&self, cell: &Resolved) -> Option<(Status, String)> {
        match &self.ort_lib {
            Err(why) if cell.cell.backend.name == "ort" => Some((Status::Unsupported, why.clone())),
            _ => None,
        }
    }

    /// Makes launch `index` of a cell and gives the cell's row with it added.
    ///
    /// # Errors
    /// The worker's log cannot be written, or no process started: the environment's fault, not the cell's.
    pub fn launch(&mut self, cell: &Resolved, prepared: &Prepared, index: usize, store: &mut RunStore) -> Result<Row> {
        let old = store.run().cell(&cell.key).cloned();
        let first = index == 0;
        let mut row = match old {
            Some(row) if !first => row,
            _ => Row { key: cell.key.clone(), variant_about: cell.about.clone(), ..Row::default() },
        };
        let name = cell.cell.key();
        let outputs = first.then(|| outputs(store, cell)).transpose()?;
        let share = self.settings.budget_s / (self.cells * self.settings.launches).max(1) as f64;
        let stop = StopRule { images: self.settings.images, seconds: share, relative_half_width: TIGHT };
        let spec = self.spec(cell, prepared, outputs, stop);
        let log = store.dir().join("logs").join(format!("{}-{index}.log", cell.key.id()));
        std::fs::create_dir_all(store.dir().join("logs")).context("cannot make the folder for workers' logs")?;
        let calibration_before = measure::calibrate::run();
        let before = probe::sensors::read();
        let (started, begun) = (now(), Instant::now());
        let deadline = begun + Duration::from_secs_f64(self.settings.timeout_s);
        let mut collected = Collected::default();
        self.progress.now(format!("{name}: compiling"));
        let exit = local::launch(&spec, &self.environment(), &log, deadline, |event| {
            if let Event::Image { index, total_s, .. } = &event {
                self.progress.now(format!("{name}: image {}, {}", index + 1, text::seconds(*total_s)));
            }
            collected.take(event);
        })
        .with_context(|| format!("cannot start a worker (log: {})", log.display()))?;
        let after = probe::sensors::read();
        let mut launch =
            collected.launch(u32::try_from(index).unwrap_or(u32::MAX), self.order, started, &exit.cause, exit.max_rss);
        launch.telemetry = vec![
            Telemetry { at_s: 0.0, moment: "before".to_owned(), readings: before },
            Telemetry { at_s: begun.elapsed().as_secs_f64(), moment: "after".to_owned(), readings: after },
        ];
        launch.calibration =
            Calibration { before_s: Reading::Ok(calibration_before), after_s: Reading::Ok(measure::calibrate::run()) };
        self.order += 1;
        let (status, reason) = status(&exit.cause);
        self.progress.launch_done(&name, &outcome(&collected, status, reason.as_deref()));
        row.status = status;
        row.reason = reason;
        if first {
            fill(&mut row, &collected, prepared);
            if self.settings.profile {
                profile::keep(&mut row, cell, &collected.profiled, store)?;
            }
        }
        if status == Status::Ok && launch.samples.iter().zip(&collected.same_bytes).any(|(_, same)| !same) {
            row.warnings.push("images of one launch differ in bytes: this backend is not deterministic".to_owned());
        }
        row.launches.push(launch);
        if self.settings.brief {
            row.memory_pass = Reading::absent("a brief run makes no pass of its own for memory");
        } else if first && status == Status::Ok && total_of_first(&row) < self.settings.budget_s / 100.0 {
            row.memory_pass = self.memory_pass(cell, prepared, store)?;
        } else if first {
            row.memory_pass = Reading::absent(
                "no pass of its own, because an image takes long; read the marks of the timed launches",
            );
        }
        Ok(row)
    }

    /// A launch in which nothing is timed and only memory is looked at.
    fn memory_pass(&self, cell: &Resolved, prepared: &Prepared, store: &RunStore) -> Result<Reading<MemoryPass>> {
        let stop = StopRule { images: 2, seconds: self.settings.timeout_s, relative_half_width: 0.0 };
        let spec = self.spec(cell, prepared, None, stop);
        let log = store.dir().join("logs").join(format!("{}-memory.log", cell.key.id()));
        let deadline = Instant::now() + Duration::from_secs_f64(self.settings.timeout_s);
        let mut collected = Collected::default();
        let exit = local::launch(&spec, &self.environment(), &log, deadline, |event| collected.take(event))
            .with_context(|| format!("cannot start a worker (log: {})", log.display()))?;
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

    fn spec(&self, cell: &Resolved, prepared: &Prepared, outputs: Option<Outputs>, stop: StopRule) -> LaunchSpec {
        // The launch that keeps its image is the one that is profiled too: the cell's first.
        let outputs_wanted = outputs.is_some();
        LaunchSpec {
            config: cell.model.config.clone(),
            backend: cell.cell.backend.name.clone(),
            variant: cell.key.variant.clone(),
            device: cell.cell.device.clone(),
            threads: cell.cell.threads,
            memory: cell.cell.memory,
            weights: prepared.weights.clone(),
            inputs: prepared.inputs.clone(),
            cache: prepared.cache.clone(),
            outputs,
            stop,
            profile: outputs_wanted && self.settings.profile,
        }
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let library = self.ort_lib.as_ref().ok().and_then(Option::as_ref);
        library.map(|path| ("ORT_DYLIB_PATH", path.clone().into_os_string())).into_iter().collect()
    }
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
fn fill(row: &mut Row, collected: &Collected, prepared: &Prepared) {
    if let Some(numerics) = collected.numerics() {
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
    for stage in &row.placement {
        if let Some(share) = stage.share_on_asked().filter(|&share| share < 1.0) {
            row.warnings.push(format!(
                "{}: only {:.1} % of the nodes ran on {}",
                stage.stage,
                100.0 * share,
                stage.asked
            ));
        }
    }
    let sum = |of: fn(&ditbench_backend_api::CompileReport) -> Option<u64>| {
        collected.compile.iter().map(|(_, report)| of(report)).sum()
    };
    // A way of running that does not run weights as they are stored says so in its description.
    let expands = ["unpacked", "widened"].iter().any(|word| row.variant_about.contains(word));
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
