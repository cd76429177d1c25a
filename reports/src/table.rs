//! The table: one row for each cell, and the paper's published rows. Every face of a report (HTML, CSV, JSON, Markdown,
//! terminal) shows these same values.
//!
//! Contract: made from records alone. A value that is not there is `None` or a [`Reading`] with its reason.

use serde::Serialize;

use crate::caution::{self, Caution};
use crate::estimate::{self, Estimate};
use crate::first_pass::{self, FirstPass};
use crate::metric::{Figures, Metric, Shown, Taken, take};
use crate::pictures::JudgedRow;
use crate::published::{self, Published};
use crate::record::disturbed::several;
use crate::record::{Cell, CellKey, Device, Launch, Reading, Role, Run, Status, conditions, cpus};
use crate::stages::StageTimes;
use crate::{roof, stats, sustained, whose, withheld};

/// The processor, as a device.
const PROCESSOR: &str = "cpu";

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
    /// What it ran on, where that is known and not the processor alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// How it ended.
    pub status: Status,
    /// Why, unless ok.
    pub reason: Option<String>,
    /// The precision in which it really computed.
    pub numerics: Reading<String>,
    /// Seconds of one image (the whole batch), in the steady state, with all that is to be said of them.
    pub image_s: Reading<Estimate>,
    /// Every number, by name: its value, or why there is none.
    pub numbers: Figures,
    /// Median seconds of each denoiser step.
    pub steps_s: Vec<f64>,
    /// Median seconds by stage of steady images, if there are any.
    pub stages_s: Option<StageTimes>,
    /// The same of first images.
    pub first_stages_s: Option<StageTimes>,
    /// What the first pass of each stage took beyond a steady one; empty where that is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first_passes: Vec<FirstPass>,
    /// Where `peak_bytes` is from.
    pub peak_source: &'static str,
    /// What held its launches back, each cause at its worst; empty where nothing did.
    pub held_back: Reading<Vec<String>>,
    /// The roof under which the rate is put: `f32, 2 threads: 163 GFLOP/s`; or why there is none.
    pub peak: Reading<String>,
    /// The cell that quality is measured against; or why there is none.
    pub reference: Reading<String>,
    /// Whether other cells' quality is measured against this one.
    pub is_reference: bool,
    /// How its pictures of many prompts were judged, in a run that did that and timed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedRow>,
    /// What the reader should know.
    pub cautions: Vec<Caution>,
}

impl Row {
    fn of(run: &Run, cell: &Cell) -> Self {
        let first = cell.good_launches().map(|launch| launch.first().into_iter().collect()).collect::<Vec<_>>();
        let timed = cell.good_launches().map(Launch::timed).collect::<Vec<_>>();
        let withheld = withheld::why(Metric::IMAGE, cell);
        let (first, timed) = if withheld.is_none() { (first, timed) } else { Default::default() };
        let first_passes = if withheld.is_none() { first_pass::of_cell(cell) } else { Vec::new() };
        let stages_s = StageTimes::of(cell, &timed);
        Self {
            run: run.run.id.clone(),
            run_number: None,
            machine: String::new(),
            by_machine: false,
            conditions: conditions::unusual(run, Some(cell)),
            cores: (!cell.key.cpus.is_empty()).then(|| cores(run, &cell.key.cpus)),
            key: cell.key.clone(),
            device: cell.device.clone().filter(|_| cell.key.device != PROCESSOR),
            status: cell.status,
            reason: cell.reason.clone(),
            numerics: cell.numerics.clone(),
            image_s: withheld
                .clone()
                .map_or_else(|| estimate::of(cell.good_launches(), |image| Some(image.total_s)), Reading::absent),
            numbers: Figures::of(run, cell),
            steps_s: stages_s.iter().flat_map(|stages| stages.by_role(Role::Denoiser)).collect(),
            stages_s,
            first_stages_s: StageTimes::of(cell, &first),
            first_passes,
            peak_source: take::peak_memory(cell).1,
            held_back: sustained::held_back(run, cell),
            peak: roof::of_cell(run, cell).map(|roof| roof.words.clone()),
            reference: cell.quality.map(|quality| quality.reference.clone()),
            is_reference: is_reference(run, cell),
            judged: cell.judged.as_ref().map(JudgedRow::of),
            cautions: caution::of_cell(run, cell),
        }
    }

    /// One of its numbers, if it has it.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.numbers.value(metric)
    }

    /// The same with its unit.
    pub fn shown(&self, metric: Metric) -> Option<String> {
        self.value(metric).map(|value| metric.show(value))
    }

    /// What a column has to say of one of its numbers: the value with its unit; `reference` where others are held against this
    /// cell; of a cell that had time for one image, that image's, marked.
    pub fn says(&self, metric: Metric) -> Option<String> {
        if metric == Metric::LATENT && self.is_reference {
            return Some("reference".to_owned());
        }
        // Why a peak is doubtful stands among the cautions.
        if metric == Metric::PEAK_SHARE && self.has_doubtful_peak() {
            return Some("doubtful".to_owned());
        }
        // Where sensors told, and nothing held it back, that is an answer.
        let held = self.held_back.value().filter(|_| metric == Metric::FIRST_CAP && self.is_sustained());
        if held.is_some_and(Vec::is_empty) {
            return Some("never".to_owned());
        }
        let first = || self.of_first_image(metric).map(|value| format!("{} (first)", metric.show(value)));
        self.shown(metric).or_else(first)
    }

    /// What belongs to one of its numbers wherever that is shown: of an energy, the readings that it is made of.
    pub fn beside(&self, metric: Metric) -> Option<String> {
        if metric != Metric::ENERGY {
            return None;
        }
        match self.value(Metric::ENERGY_SAMPLES)? {
            0.0 => Some("by the battery's charge before and after".to_owned()),
            1.0 => Some("1 reading".to_owned()),
            count => Some(format!("{count:.0} readings")),
        }
    }

    /// Whether it went on, hot or not, because that was what was measured.
    pub fn is_sustained(&self) -> bool {
        self.value(Metric::SETTLED).is_some()
    }

    /// A part of the first image, for cells that had time for no other: their columns say so.
    pub fn of_first_image(&self, metric: Metric) -> Option<f64> {
        let stages = self.first_stages_s.as_ref().filter(|_| self.p50_s().is_none())?;
        match metric.definition().taken {
            Taken::Stage(role) => stages.seconds(role),
            Taken::Steps(role) => stats::median(&stages.by_role(role)),
            Taken::Launch(_)
            | Taken::LaunchOf(_)
            | Taken::Image(_)
            | Taken::Sustained(_)
            | Taken::Cell(_)
            | Taken::Counted(_)
            | Taken::Run(_)
            | Taken::Pictures(_)
            | Taken::Benchmark => None,
        }
    }

    /// The median seconds of one image, if the cell has one.
    pub fn p50_s(&self) -> Option<f64> {
        self.value(Metric::IMAGE)
    }

    /// The seconds that rows are ordered by: the settled image's of a sustained run, else the steady image's, or the first image's
    /// where there is no other.
    pub fn best_s(&self) -> Option<f64> {
        self.value(Metric::SETTLED).or(self.p50_s()).or(self.first_image_s())
    }

    /// Where it stands among rows of its workload: settled times first, then steady ones, those of first images, and what has none
    /// or computed something else; the fastest of each first.
    pub fn rank(&self) -> (u8, f64) {
        let kind = match (self.is_sustained(), self.p50_s(), self.first_image_s()) {
            _ if self.is_wrong() => 3,
            (true, ..) => 0,
            (false, Some(_), _) => 1,
            (false, None, Some(_)) => 2,
            (false, None, None) => 3,
        };
        (kind, self.best_s().unwrap_or(f64::INFINITY))
    }

    /// Whether there is something to show: the cell ended well, or a later launch of it failed and the earlier ones count.
    pub fn has_figures(&self) -> bool {
        self.status == Status::Ok || self.first_image_s().is_some()
    }

    /// Whether the measured peak that the row belongs under does not look like one, so that no share of it is shown.
    pub fn has_doubtful_peak(&self) -> bool {
        self.cautions.iter().any(|caution| matches!(caution, Caution::DoubtfulPeak { .. }))
    }

    /// Whether what it computed is not what was asked for.
    pub fn is_wrong(&self) -> bool {
        self.cautions.iter().any(|caution| matches!(caution, Caution::WrongResult { .. }))
    }

    /// Whether its times are the device's: not those of a simulator or of a driver in software, which are left out.
    pub fn shows_speed(&self) -> bool {
        self.device.as_ref().is_none_or(Device::shows_speed)
    }

    /// Whether threads are something that it has: a GPU and an NPU have none of ours.
    fn has_threads(&self) -> bool {
        self.device.as_ref().is_none_or(|device| device.kind.is_none() || device.is_processor())
    }

    /// Whether other cells' quality is measured against this one.
    pub fn is_reference(&self) -> bool {
        self.is_reference
    }

    /// The seconds of a process's first image, if the cell has one.
    pub fn first_image_s(&self) -> Option<f64> {
        self.value(Metric::FIRST_IMAGE)
    }

    /// Whether the image is the reference's, pixel for pixel.
    pub fn is_identical(&self) -> bool {
        self.value(Metric::PSNR) == Some(f64::INFINITY)
    }

    /// Backend and way: `ort int8`.
    pub fn who(&self) -> String {
        if self.key.device == PROCESSOR {
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

    /// Backend, way, precision, threads: `ort int8 · q4 · 2 threads`, `ort int8 · q4 · 2 threads · in company of 1`.
    pub fn label(&self) -> String {
        let run = match self.run_number {
            None => String::new(),
            Some(_) if self.by_machine => format!(" · {}", self.machine),
            Some(number) => format!(" · run\u{a0}{number}"),
        };
        let threads = self.threads();
        let threads = if threads.is_empty() { threads } else { format!(" · {threads}") };
        let company = self.key.in_company().map(|company| format!(" · {company}")).unwrap_or_default();
        format!("{} · {}{threads}{company}{run}", self.who(), self.key.precision)
    }

    /// For a column of threads: `2`, `2 on big`.
    pub fn threads_column(&self) -> String {
        match &self.cores {
            _ if !self.has_threads() => "-".to_owned(),
            Some(cores) => format!("{} on {cores}", self.key.threads),
            None => self.key.threads.to_string(),
        }
    }

    /// Threads, the cores that they are pinned to, and what memory is spent on unless it is speed: `2 threads`, `1 thread on big`,
    /// `1 thread · small memory`; of a key whose threads are blank (0) the rest.
    pub fn threads(&self) -> String {
        let threads = match self.key.threads {
            0 => None,
            1 => Some("1\u{a0}thread".to_owned()),
            threads => Some(format!("{threads}\u{a0}threads")),
        };
        let cores = self.cores.as_ref().map(|cores| format!("on {cores}"));
        let who = threads.into_iter().chain(cores).collect::<Vec<_>>().join(" ");
        let who = Some(who).filter(|who| self.has_threads() && !who.is_empty());
        let memory = (self.key.memory != "fast").then(|| format!("{} memory", self.key.memory));
        who.into_iter().chain(memory).collect::<Vec<_>>().join(" · ")
    }
}

/// What a cell of a run is called among the others of its run: `ort int8 · q4 · 2 threads`.
pub(crate) fn label(run: &Run, key: &CellKey) -> String {
    let cores = (!key.cpus.is_empty()).then(|| cores(run, &key.cpus));
    Row { key: key.clone(), cores, ..Row::default() }.label()
}

/// The same without what each machine sets for itself (threads, cores): `ort int8 · q4`.
pub(crate) fn ships(key: &CellKey) -> String {
    Row { key: CellKey { threads: 0, ..key.alone() }, ..Row::default() }.label()
}

/// What is run and what runs it, each once: the workload, and a label without the company that the workload names. What cells of
/// a curve differ in is blank in its key, and not said.
pub(crate) fn setting(run: &Run, key: &CellKey) -> (String, String) {
    (workload(key), label(run, &key.alone()))
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

/// The numbers of a place that some of these rows have.
pub fn columns(rows: &[&Row], place: Shown) -> Vec<Metric> {
    Metric::shown(place).filter(|metric| rows.iter().any(|row| row.says(*metric).is_some())).collect()
}

/// What is the same for rows that can be compared: `tiny, 512×512, 4 steps, 77 text tokens`. What is in company is apart; what is
/// blank in the key is not said.
pub fn workload(key: &CellKey) -> String {
    let parts = [
        // Of no model, what stands behind its name is left.
        Some(key.name().trim_start_matches('-').to_owned()).filter(|name| !name.is_empty()),
        // A single graph of a user's own makes no image.
        (key.width > 0).then(|| format!("{}×{}", key.width, key.height)),
        (key.steps > 0).then(|| several(key.steps, "step")),
        key.unusual_sampler().map(str::to_owned),
        // A model without text has none to tell.
        key.text_tokens().map(|tokens| format!("{tokens} text tokens")),
        (key.batch > 1).then(|| format!("batch {}", key.batch)),
        key.in_company(),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What rows of one table share: the workload and, where that is not the processor, the device.
pub(crate) fn group(row: &Row) -> String {
    let workload = workload(&row.key);
    if row.key.device == PROCESSOR {
        return workload;
    }
    let words = row.device.as_ref().map(Device::words).filter(|words| !words.is_empty());
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    format!("{workload}, on {}{words}", row.key.device)
}

/// Rows by workload and device, in the order in which each first appears; fastest first, what has no time last.
pub fn groups(table: &Table) -> Vec<(String, Vec<&Row>)> {
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in &table.rows {
        let name = group(row);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((name, vec![row])),
        }
    }
    // What is alike stays in the order of the record.
    for (_, rows) in &mut groups {
        rows.sort_by(|a, b| a.rank().0.cmp(&b.rank().0).then(a.rank().1.total_cmp(&b.rank().1)));
    }
    groups
}

/// Other cells name it as their reference, or it says so itself (a run of one cell).
pub(crate) fn is_reference(run: &Run, cell: &Cell) -> bool {
    // A reference is of the size of those that are held against it.
    let size = |key: &CellKey| (key.width, key.height);
    let others = || run.cells.iter().filter(|other| size(&other.key) == size(&cell.key));
    let by_image = others().filter_map(|other| Some(&other.quality.value()?.reference));
    let by_pictures = others().filter_map(|other| Some(&other.judged.as_ref()?.fidelity.value()?.reference));
    cell.is_reference || by_image.chain(by_pictures).any(|reference| cell.key.is_called(reference))
}

/// The table of some runs.
pub fn of_runs(runs: &[&Run]) -> Table {
    // Where each run is another machine's, and phones are among them, the machine says more than a number.
    let mut apart = whose::machines(runs);
    apart.sort_unstable();
    apart.dedup();
    let by_machine = apart.len() == runs.len() && runs.iter().any(|run| run.machine.phone.is_some());
    let names = whose::names(runs);
    let rows = (1..).zip(runs).zip(&names).flat_map(|((number, run), name)| {
        let run_number = (runs.len() > 1).then_some(number);
        let row = move |cell| Row { run_number, machine: name.clone(), by_machine, ..Row::of(run, cell) };
        run.cells.iter().map(row)
    });
    Table { rows: rows.collect(), published: published::of_runs(runs), absent: Vec::new() }
}
