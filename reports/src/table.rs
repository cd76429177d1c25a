//! The table: one row for each cell, and the paper's published rows. Every face of a report (HTML, CSV, JSON, Markdown,
//! terminal) shows these same values.
//!
//! Contract: made from records alone. A value that is not there is `None` or a [`Reading`] with its reason.

use serde::Serialize;

use crate::caution::{self, Caution};
use crate::estimate::{self, Estimate};
use crate::judged::JudgedRow;
use crate::record::{Cell, CellKey, Launch, Reading, Run, Sample, Status, conditions, cpus};
use crate::{roof, stats, whose};

/// The rows of one report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    /// One for each cell, runs in the order given, cells in the order of their record.
    pub rows: Vec<Row>,
    /// What the paper reports, on other hardware.
    pub published: Vec<Published>,
    /// Machines that were to run the plan and gave no record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
}

/// A machine without a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// As the plan names it: `adb:SERIAL`.
    pub machine: String,
    /// Why there is none, and what to do.
    pub reason: String,
}

/// One cell, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// [`crate::record::RunInfo::id`].
    pub run: String,
    /// 1, 2, … where a table is of several runs.
    pub run_number: Option<usize>,
    /// Whose it is: the machine's name, and where a table is of several runs what sets this one apart ([`whose::names`]).
    pub machine: String,
    /// Whether runs are told apart by their machines, rather than by a number.
    #[serde(skip)]
    pub by_machine: bool,
    /// What was unusual in how it was measured ([`conditions::unusual`]); empty as a rule.
    pub conditions: String,
    /// The cores that it was pinned to, by name where they have one: `big`, `mid+big`, `CPUs 0-1`.
    pub cores: Option<String>,
    /// What makes the cell different.
    pub key: CellKey,
    /// How it ended.
    pub status: Status,
    /// Why, unless ok.
    pub reason: Option<String>,
    /// The precision in which it really computed.
    pub numerics: Reading<String>,
    /// Seconds of one image (the whole batch), in the steady state.
    pub image_s: Reading<Estimate>,
    /// 90th percentile of seconds, where there are enough images.
    pub p90_s: Reading<f64>,
    /// 99th percentile of seconds, where there are enough images.
    pub p99_s: Reading<f64>,
    /// Median over launches of the first image.
    pub first_image_s: Option<f64>,
    /// Median over launches of making the sessions.
    pub compile_s: Option<f64>,
    /// Median of the text encoder's seconds.
    pub text_encoder_s: Option<f64>,
    /// Median seconds of each denoiser step.
    pub steps_s: Vec<f64>,
    /// Median of the decoder's seconds.
    pub decoder_s: Option<f64>,
    /// Median of the rest: sampler arithmetic, copies.
    pub rest_s: Option<f64>,
    /// The same stages for first images.
    pub first_stages_s: Option<StageSeconds>,
    /// The most resident memory, from the memory pass if there was one, else from the timed launches.
    pub peak_bytes: Option<u64>,
    /// Where `peak_bytes` is from.
    pub peak_source: &'static str,
    /// Bytes of weights on disk.
    pub weights_disk_bytes: Option<u64>,
    /// Bytes of weights as held by the sessions.
    pub weights_resident_bytes: Option<u64>,
    /// FLOPs of one image over its median time, in 10⁹ a second.
    pub gflops: Option<f64>,
    /// `gflops` over the roof of the cell's own mix of instructions; see [`crate::roof`].
    pub peak_share: Option<f64>,
    /// That roof: `f32, 2 threads: 163 GFLOP/s`; or why there is none.
    pub peak: Reading<String>,
    /// The cell that quality is measured against; or why there is none.
    pub reference: Reading<String>,
    /// Whether other cells' quality is measured against this one.
    pub is_reference: bool,
    /// Share of the nodes of all stages, 0..1, that ran on the device asked for; `None` if nothing is known.
    pub placement_share: Option<f64>,
    /// Relative L2 distance of the last latent.
    pub latent_relative_l2: Option<f64>,
    /// Relative L2 distance of the image.
    pub image_relative_l2: Option<f64>,
    /// Whether the image is the reference's, pixel for pixel.
    pub image_identical: Option<bool>,
    /// Peak signal-to-noise ratio of the image.
    pub psnr_db: Option<f64>,
    /// Structural similarity of the image.
    pub ssim: Option<f64>,
    /// SSIMULACRA2 of the image.
    pub ssimulacra2: Option<f64>,
    /// How its pictures of many prompts were judged, in a run that did that and timed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedRow>,
    /// What the reader should know.
    pub cautions: Vec<Caution>,
}

/// Median seconds by stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StageSeconds {
    /// The text encoder's.
    pub text_encoder_s: f64,
    /// Each denoiser step's.
    pub steps_s: Vec<f64>,
    /// The decoder's.
    pub decoder_s: f64,
    /// The rest's: sampler arithmetic, copies.
    pub rest_s: f64,
}

impl StageSeconds {
    /// All stages together.
    pub fn total_s(&self) -> f64 {
        self.text_encoder_s + self.steps_s.iter().sum::<f64>() + self.decoder_s + self.rest_s
    }

    /// The median of each stage by itself; their sum is near the median of the whole, not equal to it. `None` without samples.
    fn of(samples: &[&Sample]) -> Option<Self> {
        let median = |value: &dyn Fn(&Sample) -> f64| {
            let values: Vec<f64> = samples.iter().map(|sample| value(sample)).collect();
            stats::median(&values)
        };
        let steps = samples.iter().map(|sample| sample.steps_s.len()).min()?;
        Some(Self {
            text_encoder_s: median(&|sample| sample.text_encoder_s)?,
            steps_s: (0..steps).map(|step| median(&|sample| sample.steps_s[step])).collect::<Option<_>>()?,
            decoder_s: median(&|sample| sample.decoder_s)?,
            rest_s: median(&|sample| sample.harness_s)?.max(0.0),
        })
    }
}

impl Row {
    fn of(run: &Run, cell: &Cell) -> Self {
        let good: Vec<&Launch> = cell.good_launches().collect();
        let timed: Vec<&Sample> = good.iter().flat_map(|launch| launch.timed()).collect();
        let first: Vec<&Sample> = good.iter().filter_map(|launch| launch.first()).collect();
        let stages = StageSeconds::of(&timed);
        let totals: Vec<f64> = timed.iter().map(|sample| sample.total_s).collect();
        let image_s = estimate::of_launches(&good);
        let (peak_bytes, peak_source) = peak_memory(cell);
        let loaded = |pick: fn(&crate::record::StageCompile) -> Option<u64>| {
            let compile = &good.first()?.compile;
            compile.iter().map(pick).sum::<Option<u64>>().filter(|_| !compile.is_empty())
        };
        let flops = run.model(&cell.key).and_then(|model| model.flops_per_image(&cell.key));
        let gflops = match (&image_s, flops) {
            (Reading::Ok(estimate), Some(flops)) => Some(flops as f64 * f64::from(cell.key.batch) / estimate.p50 / 1e9),
            _ => None,
        };
        let roof = roof::of_cell(run, cell);
        let quality = cell.quality.value();
        let image = quality.and_then(|quality| quality.image.value());
        Self {
            run: run.run.id.clone(),
            run_number: None,
            machine: String::new(),
            by_machine: false,
            conditions: conditions::unusual(run, Some(cell)),
            cores: (!cell.key.cpus.is_empty()).then(|| cores(run, &cell.key.cpus)),
            key: cell.key.clone(),
            status: cell.status,
            reason: cell.reason.clone(),
            numerics: cell.numerics.clone(),
            p90_s: estimate::percentile(&totals, 90),
            p99_s: estimate::percentile(&totals, 99),
            first_image_s: stats::median(&first.iter().map(|sample| sample.total_s).collect::<Vec<_>>()),
            compile_s: stats::median(&good.iter().filter_map(|launch| launch.compile_s()).collect::<Vec<_>>()),
            text_encoder_s: stages.as_ref().map(|stages| stages.text_encoder_s),
            steps_s: stages.as_ref().map(|stages| stages.steps_s.clone()).unwrap_or_default(),
            decoder_s: stages.as_ref().map(|stages| stages.decoder_s),
            rest_s: stages.as_ref().map(|stages| stages.rest_s),
            first_stages_s: StageSeconds::of(&first),
            peak_bytes,
            peak_source,
            weights_disk_bytes: cell
                .weights
                .as_ref()
                .and_then(|w| w.disk_bytes)
                .or_else(|| loaded(|s| s.weight_file_bytes)),
            weights_resident_bytes: cell
                .weights
                .as_ref()
                .and_then(|w| w.resident_bytes)
                .or_else(|| loaded(|s| s.weight_resident_bytes)),
            gflops,
            peak_share: gflops.zip(roof.value()).map(|(gflops, roof)| gflops / roof.value),
            peak: match roof {
                Reading::Ok(roof) => Reading::Ok(roof.words),
                Reading::Denied { why } | Reading::Absent { why } => Reading::Absent { why },
            },
            reference: match &cell.quality {
                Reading::Ok(quality) => Reading::Ok(quality.reference.clone()),
                Reading::Denied { why } | Reading::Absent { why } => Reading::absent(why.clone()),
            },
            is_reference: is_reference(run, cell),
            placement_share: placement_share(cell),
            latent_relative_l2: quality.and_then(|quality| quality.latents.last()).map(|step| step.relative_l2),
            image_relative_l2: image.map(|image| image.relative_l2),
            image_identical: image.map(|image| image.identical),
            psnr_db: image.and_then(|image| image.psnr_db),
            ssim: image.and_then(|image| image.ssim.value().copied()),
            ssimulacra2: image.and_then(|image| image.ssimulacra2.value().copied()),
            judged: cell.judged.as_ref().map(JudgedRow::of),
            cautions: caution::of_cell(run, cell),
            image_s,
        }
    }

    /// The median seconds of one image, if the cell has one.
    pub fn p50_s(&self) -> Option<f64> {
        self.image_s.value().map(|estimate| estimate.p50)
    }

    /// The seconds that rows are ordered by: the steady image's, or the first image's where there is no other.
    pub fn best_s(&self) -> Option<f64> {
        self.p50_s().or(self.first_image_s)
    }

    /// Whether there is something to show: the cell ended well, or a later launch of it failed and the earlier ones count.
    pub fn has_figures(&self) -> bool {
        self.status == Status::Ok || self.first_image_s.is_some()
    }

    /// Whether the measured peak that the row belongs under does not look like one, so that no share of it is shown.
    pub fn has_doubtful_peak(&self) -> bool {
        self.cautions.iter().any(|caution| matches!(caution, Caution::DoubtfulPeak { .. }))
    }

    /// Whether other cells' quality is measured against this one.
    pub fn is_reference(&self) -> bool {
        self.is_reference
    }

    /// Median of the denoiser's steps.
    pub fn step_s(&self) -> Option<f64> {
        stats::median(&self.steps_s)
    }

    /// Backend and way: `ort int8`.
    pub fn who(&self) -> String {
        if self.key.device == "cpu" {
            format!("{} {}", self.key.backend, self.key.variant)
        } else {
            format!("{} {} on {}", self.key.backend, self.key.variant, self.key.device)
        }
    }

    /// Whose it is, in a table of several runs only: `Example Phone`, `run 2: Example Phone, CPUs 0-3`.
    pub fn whose(&self) -> Option<String> {
        let number = self.run_number?;
        Some(if self.by_machine { self.machine.clone() } else { format!("run\u{a0}{number}: {}", self.machine) })
    }

    /// Backend, way, precision, threads: `ort int8 · q4 · 2 threads`.
    pub fn label(&self) -> String {
        let run = match self.run_number {
            None => String::new(),
            Some(_) if self.by_machine => format!(" · {}", self.machine),
            Some(number) => format!(" · run\u{a0}{number}"),
        };
        format!("{} · {} · {}{run}", self.who(), self.key.precision, self.threads())
    }

    /// For a column of threads: `2`, `2 on big`.
    pub fn threads_column(&self) -> String {
        match &self.cores {
            Some(cores) => format!("{} on {cores}", self.key.threads),
            None => self.key.threads.to_string(),
        }
    }

    /// Threads, the cores that they are pinned to, and what memory is spent on unless it is speed: `2 threads`, `1 thread on big`,
    /// `1 thread · small memory`.
    pub fn threads(&self) -> String {
        let threads =
            if self.key.threads == 1 { "1\u{a0}thread".into() } else { format!("{}\u{a0}threads", self.key.threads) };
        let threads = match &self.cores {
            Some(cores) => format!("{threads} on {cores}"),
            None => threads,
        };
        if self.key.memory == "fast" { threads } else { format!("{threads} · {} memory", self.key.memory) }
    }
}

/// The names of the cores that a list of CPUs is, on this run's machine.
fn cores(run: &Run, list: &str) -> String {
    let wanted = cpus::parse(list).unwrap_or_default();
    let clusters = run.machine.phone.iter().flat_map(|phone| &phone.clusters);
    let known: Vec<(&str, Vec<u32>)> =
        clusters.filter_map(|cluster| Some((cluster.name.as_str(), cpus::parse(&cluster.cpus)?))).collect();
    let inside: Vec<&(&str, Vec<u32>)> =
        known.iter().filter(|(_, own)| own.iter().all(|cpu| wanted.contains(cpu))).collect();
    let mut together: Vec<u32> = inside.iter().flat_map(|(_, own)| own.iter().copied()).collect();
    together.sort_unstable();
    if wanted.is_empty() || together != wanted {
        return format!("CPUs\u{a0}{list}");
    }
    if inside.len() == known.len() && known.len() > 1 {
        return "all cores".to_owned();
    }
    inside.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("+")
}

/// What each run's machine is called: phones of one model by their serials too, as far as the plan has them.
pub fn machines(runs: &[&Run]) -> Vec<String> {
    let model = |run: &Run| {
        let phone = run.machine.phone.as_ref().and_then(|phone| phone.model.value());
        phone.or(run.machine.cpu_model.value()).map_or("a machine without a name", String::as_str).to_owned()
    };
    let name = |run: &&Run| {
        let name = model(run);
        let alike = runs.iter().filter(|other| other.machine.phone.is_some() && model(other) == name).count();
        let serial = run.run.plan["on"].as_str().and_then(|on| on.strip_prefix("adb:"));
        match serial.filter(|_| alike > 1 && run.machine.phone.is_some()) {
            Some(serial) => format!("{name} ({serial})"),
            None => name,
        }
    };
    runs.iter().map(name).collect()
}

/// What is the same for rows that can be compared: `tiny, 512×512, 4 steps, 77 text tokens`.
pub fn workload(key: &CellKey) -> String {
    let batch = if key.batch == 1 { String::new() } else { format!(", batch {}", key.batch) };
    let steps = if key.steps == 1 { "1 step".into() } else { format!("{} steps", key.steps) };
    let sampler = if key.sampler == "euler" { String::new() } else { format!(", {}", key.sampler) };
    format!("{}, {}×{}, {steps}{sampler}, {} text tokens{batch}", key.model, key.width, key.height, key.text_tokens)
}

/// Rows by workload, in the order in which each first appears; fastest first, what has no time last.
pub fn groups(table: &Table) -> Vec<(String, Vec<&Row>)> {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in &table.rows {
        let name = workload(&row.key);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((name, vec![row])),
        }
    }
    // Steady times first, then those of first images, then what has none: in the order of the record among themselves.
    for (_, rows) in &mut groups {
        let place = |row: &Row| (row.p50_s().is_none(), row.best_s().unwrap_or(f64::INFINITY));
        rows.sort_by(|a, b| place(a).0.cmp(&place(b).0).then(place(a).1.total_cmp(&place(b).1)));
    }
    groups
}

/// Other cells name it as their reference, or it says so itself (a run of one cell).
fn is_reference(run: &Run, cell: &Cell) -> bool {
    let id = cell.key.id();
    let named = run.cells.iter().filter_map(|other| other.quality.value()).any(|quality| quality.reference == id);
    named || cell.quality.why().is_some_and(|why| why.contains("this is the reference"))
}

/// Over all stages; a stage of which nothing is known makes the whole unknown.
fn placement_share(cell: &Cell) -> Option<f64> {
    let mut counts = (0.0, 0.0);
    for stage in &cell.placement {
        let nodes: u64 = stage.entries.iter().map(|entry| entry.nodes).sum();
        counts.0 += stage.share_on_asked()? * nodes as f64;
        counts.1 += nodes as f64;
    }
    (counts.1 > 0.0).then(|| counts.0 / counts.1)
}

fn peak_memory(cell: &Cell) -> (Option<u64>, &'static str) {
    if let Some(peak) = cell.memory_pass.value().and_then(crate::record::MemoryPass::peak_bytes) {
        return (Some(peak), "a process of its own");
    }
    let timed = cell.launches.iter().filter_map(|launch| {
        launch.memory.iter().filter_map(|mark| mark.high_water.max(mark.rss)).chain(launch.max_rss_bytes).max()
    });
    (timed.max(), "the timed processes")
}

/// The table of some runs.
pub fn of_runs(runs: &[&Run]) -> Table {
    // Where each run is another machine's, and phones are among them, the machine says more than a number.
    let mut apart = machines(runs);
    apart.sort_unstable();
    apart.dedup();
    let by_machine = apart.len() == runs.len() && runs.iter().any(|run| run.machine.phone.is_some());
    let names = whose::names(runs);
    let rows = (1..).zip(runs).zip(&names).flat_map(|((number, run), name)| {
        let run_number = (runs.len() > 1).then_some(number);
        let row = move |cell| Row { run_number, machine: name.clone(), by_machine, ..Row::of(run, cell) };
        run.cells.iter().map(row)
    });
    Table { rows: rows.collect(), published: published(), absent: Vec::new() }
}

/// A row of the paper: other hardware, other runtime, other size. Never to be read as a ranking against ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Published {
    /// Model.
    pub model: &'static str,
    /// What ran it.
    pub hardware: &'static str,
    /// Runtime.
    pub runtime: &'static str,
    /// Storage of the weights; `None` where unpublished.
    pub precision: Option<&'static str>,
    /// Image height and width in pixels.
    pub size: u32,
    /// Denoiser steps of the latency.
    pub steps: u32,
    /// Seconds of one denoiser step.
    pub step_s: f64,
    /// Seconds of the decoder (119 to 120 ms).
    pub decoder_s: f64,
    /// Seconds of all steps and the decoder.
    pub image_s: f64,
    /// DPG score at this step count; `None` where unpublished.
    pub dpg: Option<f64>,
    /// GenEval score at this step count; `None` where unpublished.
    pub geneval: Option<f64>,
    /// Where this is from.
    pub source: &'static str,
}

/// SnapGen++ on a phone, 4 steps throughout: the paper's headline quality is of 28 steps and is left out on purpose.
pub fn published() -> Vec<Published> {
    let source = "SnapGen++, arXiv 2601.08303v2";
    let row = |model, precision, step_s, image_s, dpg, geneval| Published {
        model,
        hardware: "iPhone 16 Pro Max",
        runtime: "Core ML",
        precision,
        size: 1024,
        steps: 4,
        step_s,
        decoder_s: 0.12,
        image_s,
        dpg,
        geneval,
        source,
    };
    vec![
        row("tiny", None, 0.280, 1.2, Some(81.6), Some(0.66)),
        row("small", None, 0.360, 1.8, Some(82.7), Some(0.69)),
        row("full", Some("4.3-bit palette"), 1.580, 6.7, Some(85.6), Some(0.76)),
    ]
}
