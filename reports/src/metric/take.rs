//! How a number is taken: from an image, a launch, a cell, a run.
//!
//! Contract: the launch is the sample. What is timed in images gives one number for each launch, the median over its timed
//! images; a cell's number is the median of its launches'. A verdict judges the launches' numbers and a table shows the
//! cell's, so both say the same. What is not there is absent with its reason, and never zero.

use serde::Serialize;
use serde::ser::SerializeMap;

use super::{ALL, Metric};
use crate::estimate::{self, Estimate, NO_LAUNCH, NO_STEADY_IMAGE};
use crate::judged::JudgedRow;
use crate::record::{Bounded, Cell, Judged, Launch, Reading, Role, Run, Sample, StageCompile};
use crate::roof;
use crate::stats::median;
use crate::withheld;

/// How a number is taken, and so what its samples are.
#[derive(Clone, Copy)]
pub enum Taken {
    /// A number of each launch.
    Launch(fn(&Launch) -> Reading<f64>),
    /// A number of each timed image; a launch has the median of its images'.
    Image(fn(&Sample) -> f64),
    /// The seconds of each timed image in all stages of a role; a launch has the median of its images'.
    Stage(Role),
    /// A number of each step of each timed image in the stages of a role. A launch has for each step the median over its images,
    /// and for all steps together the median of those.
    Steps(Role),
    /// One number of the cell.
    Cell(fn(&Cell) -> Reading<Figure>),
    /// One number of the cell, for which the run's models and peaks are needed.
    Run(fn(&Run, &Cell) -> Reading<Figure>),
    /// One number of the pictures of many prompts.
    Pictures(fn(&JudgedRow) -> Reading<Figure>),
    /// The time of an iteration of a criterion benchmark: not of a cell.
    Benchmark,
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Launch(_) => "Launch",
            Self::Image(_) => "Image",
            Self::Stage(_) => "Stage",
            Self::Steps(_) => "Steps",
            Self::Cell(_) => "Cell",
            Self::Run(_) => "Run",
            Self::Pictures(_) => "Pictures",
            Self::Benchmark => "Benchmark",
        })
    }
}

/// A value, and the interval in which it lies where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self { value, low: None, high: None }
    }
}

impl From<Bounded> for Figure {
    fn from(Bounded { value, low, high }: Bounded) -> Self {
        Self { value, low: Some(low), high: Some(high) }
    }
}

impl From<&Estimate> for Figure {
    fn from(estimate: &Estimate) -> Self {
        Self { value: estimate.p50, low: estimate.low, high: estimate.high }
    }
}

/// The number of one of the cell's launches; `None` if it has none, or the number is not of launches.
pub fn of_launch(metric: Metric, cell: &Cell, launch: &Launch) -> Option<f64> {
    let of_images =
        |of: &dyn Fn(&Sample) -> Option<f64>| median(&launch.timed().into_iter().filter_map(of).collect::<Vec<_>>());
    match metric.definition().taken {
        Taken::Launch(of) => of(launch).value().copied(),
        Taken::Image(of) => of_images(&|image| Some(of(image))),
        Taken::Stage(role) => of_images(&|image| cell.seconds(image, role)),
        Taken::Steps(role) => {
            let images: Vec<Vec<f64>> =
                launch.timed().into_iter().map(|image| image.by_role(&cell.stages, role)).collect();
            match metric.of_step() {
                Some(step) => step_of(&images, step as usize),
                None => median(&steps_of(&images)),
            }
        }
        Taken::Cell(_) | Taken::Run(_) | Taken::Pictures(_) | Taken::Benchmark => None,
    }
}

/// The median of each step over these images.
pub(crate) fn steps_of(images: &[Vec<f64>]) -> Vec<f64> {
    let steps = images.iter().map(Vec::len).min().unwrap_or(0);
    (0..steps).filter_map(|step| step_of(images, step)).collect()
}

fn step_of(images: &[Vec<f64>], step: usize) -> Option<f64> {
    let values: Vec<f64> = images.iter().filter_map(|steps| steps.get(step).copied()).collect();
    median(&values)
}

/// The cell's number that takes no run to know; `None` if it has none, or the number is of launches.
pub fn of_cell(metric: Metric, cell: &Cell) -> Option<f64> {
    match metric.definition().taken {
        Taken::Cell(of) => of(cell).value().map(|figure| figure.value),
        Taken::Pictures(of) => of(&JudgedRow::of(cell.judged.as_ref()?)).value().map(|figure| figure.value),
        Taken::Launch(_) | Taken::Image(_) | Taken::Stage(_) | Taken::Steps(_) | Taken::Run(_) | Taken::Benchmark => {
            None
        }
    }
}

/// The cell's number, whatever it is taken from.
pub fn of(metric: Metric, run: &Run, cell: &Cell) -> Reading<Figure> {
    figure(metric, run, cell)
}

fn figure(metric: Metric, run: &Run, cell: &Cell) -> Reading<Figure> {
    if let Some(why) = withheld::why(metric, cell) {
        return Reading::absent(why);
    }
    match metric.definition().taken {
        Taken::Image(of) => estimate::of(cell.good_launches(), |image| Some(of(image))).map(|estimate| estimate.into()),
        Taken::Stage(role) | Taken::Steps(role) if lacks(cell, role) => {
            Reading::absent(format!("this model has no {}", role.name()))
        }
        Taken::Stage(role) => {
            estimate::of(cell.good_launches(), |image| cell.seconds(image, role)).map(|estimate| estimate.into())
        }
        Taken::Launch(of) => over_launches(metric, cell, |launch| of(launch).why().map(str::to_owned)),
        Taken::Steps(_) => over_launches(metric, cell, |_| Some(NO_STEADY_IMAGE.to_owned())),
        Taken::Cell(of) => of(cell),
        Taken::Run(of) => of(run, cell),
        Taken::Pictures(of) => match &cell.judged {
            Some(judged) => of(&JudgedRow::of(judged)),
            None => Reading::absent("no pictures of many prompts were judged (`run --quality full`)"),
        },
        Taken::Benchmark => Reading::absent("criterion's benchmarks have it, cells do not"),
    }
}

/// Whether it is known what stages a cell has, and none is of that role.
fn lacks(cell: &Cell, role: Role) -> bool {
    !cell.stages.is_empty() && !cell.has_role(role)
}

/// The median over launches; the first launch's reason where none has it.
fn over_launches(metric: Metric, cell: &Cell, why: impl Fn(&Launch) -> Option<String>) -> Reading<Figure> {
    let values: Vec<f64> = cell.good_launches().filter_map(|launch| of_launch(metric, cell, launch)).collect();
    match median(&values) {
        Some(value) => Reading::Ok(value.into()),
        None => Reading::absent(cell.good_launches().next().and_then(why).unwrap_or_else(|| NO_LAUNCH.to_owned())),
    }
}

/// Every number of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures(Vec<Reading<Figure>>);

impl Figures {
    /// Takes them.
    pub fn of(run: &Run, cell: &Cell) -> Self {
        Self(Metric::all().map(|metric| figure(metric, run, cell)).collect())
    }

    /// Those of pictures that no cell made: of the data, of random weights.
    pub fn of_pictures(judged: &Judged) -> Self {
        let cell = Cell { judged: Some(judged.clone()), ..Cell::default() };
        Self::of(&Run::default(), &cell)
    }

    /// One of them.
    pub fn get(&self, metric: Metric) -> &Reading<Figure> {
        &self.0[metric.place()]
    }

    /// Its value; of identical pictures a PSNR is infinite.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.get(metric).value().map(|figure| figure.value)
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self(vec![Reading::default(); ALL.len()])
    }
}

/// By name, each a reading. What is not finite (the PSNR of identical pictures) is `null`.
impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for metric in Metric::all() {
            map.serialize_entry(metric.definition().name, self.get(metric))?;
        }
        map.end()
    }
}

fn bytes(value: Option<u64>, why: &str) -> Reading<Figure> {
    // Exact up to 2⁵³ bytes.
    Reading::or_absent(value.map(|bytes| Figure::from(bytes as f64)), why)
}

pub(super) fn first_image(launch: &Launch) -> Reading<f64> {
    let first = launch.first().filter(|image| image.removed.is_none());
    Reading::or_absent(first.map(|image| image.total_s), "the launch's first image is not recorded")
}

fn compile(launch: &Launch, part: fn(&StageCompile) -> f64) -> Reading<f64> {
    let parts = (!launch.compile.is_empty()).then(|| launch.compile.iter().map(part).sum());
    Reading::or_absent(parts, "how long loading took is not recorded")
}

/// Both, as [`Launch::compile_s`].
pub(super) fn export_and_load(launch: &Launch) -> Reading<f64> {
    compile(launch, |stage| stage.export_s + stage.load_s)
}

pub(super) fn export(launch: &Launch) -> Reading<f64> {
    compile(launch, |stage| stage.export_s)
}

pub(super) fn load(launch: &Launch) -> Reading<f64> {
    compile(launch, |stage| stage.load_s)
}

/// The most that was resident in one timed launch.
fn resident(launch: &Launch) -> Option<u64> {
    launch.memory.iter().filter_map(|mark| mark.high_water.max(mark.rss)).chain(launch.max_rss_bytes).max()
}

pub(super) fn peak_of_launch(launch: &Launch) -> Reading<f64> {
    Reading::or_absent(resident(launch).map(|bytes| bytes as f64), "the kernel did not report how much was resident")
}

/// Where the peak of a cell was measured, and how much it was.
pub(crate) fn peak_memory(cell: &Cell) -> (Option<u64>, &'static str) {
    if let Some(peak) = cell.memory_pass.value().and_then(crate::record::MemoryPass::peak_bytes) {
        return (Some(peak), "a process of its own");
    }
    (cell.launches.iter().filter_map(resident).max(), "the timed processes")
}

pub(super) fn peak(cell: &Cell) -> Reading<Figure> {
    bytes(peak_memory(cell).0, "the kernel did not report how much was resident")
}

fn of_pass(cell: &Cell, of: impl Fn(&crate::record::MemoryPass) -> Option<u64>, why: &str) -> Reading<Figure> {
    cell.memory_pass.and_then(|pass| bytes(of(pass), why))
}

pub(super) fn memory_pass(cell: &Cell) -> Reading<Figure> {
    of_pass(cell, crate::record::MemoryPass::peak_bytes, "the kernel did not report how much was resident")
}

pub(super) fn anonymous(cell: &Cell) -> Reading<Figure> {
    let most = |pass: &crate::record::MemoryPass| pass.marks.iter().filter_map(|mark| mark.rss_anon).max();
    of_pass(cell, most, "the kernel does not report anonymous memory separately")
}

pub(super) fn runtime_peak(cell: &Cell) -> Reading<Figure> {
    of_pass(cell, |pass| pass.runtime_peak_bytes, "the runtime does not count its memory")
}

/// The cell's own sum; in records without it, that of its first good launch.
fn weights(
    cell: &Cell,
    of: fn(&crate::record::WeightsUse) -> Option<u64>,
    of_stage: fn(&StageCompile) -> Option<u64>,
) -> Option<u64> {
    let loaded = || {
        let compile = &cell.good_launches().next()?.compile;
        compile.iter().map(of_stage).sum::<Option<u64>>().filter(|_| !compile.is_empty())
    };
    cell.weights.as_ref().and_then(of).or_else(loaded)
}

pub(super) fn weights_on_disk(cell: &Cell) -> Reading<Figure> {
    bytes(weights(cell, |w| w.disk_bytes, |stage| stage.weight_file_bytes), "the backend does not say")
}

pub(super) fn weights_resident(cell: &Cell) -> Reading<Figure> {
    bytes(weights(cell, |w| w.resident_bytes, |stage| stage.weight_resident_bytes), "the backend does not say")
}

/// Floating-point operations of one image of the whole batch over its median seconds, in 10⁹ a second.
fn rate(run: &Run, cell: &Cell) -> Reading<f64> {
    figure(Metric::IMAGE, run, cell).and_then(|image| {
        let flops = run.model(&cell.key).and_then(|model| model.flops_per_image(cell));
        let rate = flops.map(|flops| flops as f64 * f64::from(cell.key.batch) / image.value / 1e9);
        Reading::or_absent(rate, "the record has no counts of this model's operations")
    })
}

pub(super) fn gigaflops(run: &Run, cell: &Cell) -> Reading<Figure> {
    rate(run, cell).map(|&rate| rate.into())
}

pub(super) fn peak_share(run: &Run, cell: &Cell) -> Reading<Figure> {
    rate(run, cell).and_then(|rate| roof::of_cell(run, cell).map(|roof| (rate / roof.value).into()))
}

pub(super) fn percentile(cell: &Cell, percent: u32) -> Reading<Figure> {
    let images = cell.good_launches().flat_map(|launch| launch.timed());
    let seconds: Vec<f64> = images.map(|image| image.total_s).collect();
    estimate::percentile(&seconds, percent).map(|&seconds| seconds.into())
}

pub(super) fn latent(cell: &Cell) -> Reading<Figure> {
    cell.quality.and_then(|quality| {
        let last = quality.latents.last().map(|step| Figure::from(step.relative_l2));
        Reading::or_absent(last, "no latents were kept")
    })
}

fn of_image(cell: &Cell, of: impl Fn(&crate::record::ImageQuality) -> Reading<f64>) -> Reading<Figure> {
    cell.quality.and_then(|quality| quality.image.and_then(of)).map(|&value| value.into())
}

pub(super) fn image_distance(cell: &Cell) -> Reading<Figure> {
    of_image(cell, |image| Reading::Ok(image.relative_l2))
}

/// Infinite where every pixel is equal.
pub(super) fn psnr(cell: &Cell) -> Reading<Figure> {
    of_image(cell, |image| {
        let db = if image.identical { Some(f64::INFINITY) } else { image.psnr_db };
        Reading::or_absent(db, "the record has none")
    })
}

pub(super) fn ssim(cell: &Cell) -> Reading<Figure> {
    of_image(cell, |image| image.ssim.clone())
}

pub(super) fn ssimulacra2(cell: &Cell) -> Reading<Figure> {
    of_image(cell, |image| image.ssimulacra2.clone())
}

/// Over all stages; a stage of which nothing is known makes the whole unknown.
pub(super) fn placement(cell: &Cell) -> Reading<Figure> {
    let mut counts = (0.0, 0.0);
    for stage in &cell.placement {
        let Some(share) = stage.share_on_asked() else {
            return Reading::absent(format!(
                "it is not known where the nodes of the {} ran",
                stage.stage.replace('_', " ")
            ));
        };
        let nodes = stage.entries.iter().map(|entry| entry.nodes).sum::<u64>() as f64;
        counts = (counts.0 + share * nodes, counts.1 + nodes);
    }
    let share = (counts.1 > 0.0).then(|| Figure::from(counts.0 / counts.1));
    Reading::or_absent(share, "where its nodes ran was not recorded")
}

pub(super) fn kernel_distance(judged: &JudgedRow) -> Reading<Figure> {
    judged.kernel_distance_x1000.map(|&distance| distance.into())
}

pub(super) fn psnr_to_data(judged: &JudgedRow) -> Reading<Figure> {
    Reading::or_absent(judged.psnr_to_data_db.map(Figure::from), "there are no data pictures of these names")
}

/// From the comparison with the reference's pictures.
pub(super) fn fidelity(judged: &JudgedRow, of: fn(&crate::judged::FidelityRow) -> Option<f64>) -> Reading<Figure> {
    judged.fidelity.and_then(|row| Reading::or_absent(of(row).map(Figure::from), "no prompt was compared"))
}
