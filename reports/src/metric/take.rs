//! What a launch or a record gives: the functions that rows of [`super::ALL`] name.
//!
//! Contract: what is not there is absent with its reason, and never zero.

use super::taken::Figure;
use crate::estimate;
use crate::pictures::{FidelityRow, JudgedRow};
use crate::record::{Cell, Company, ImageQuality, Launch, MemoryPass, Reading, Run, StageCompile, WeightsUse};
use crate::roof;

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

pub(super) fn company_share(launch: &Launch) -> Reading<f64> {
    launch.company.as_ref().map_or_else(|| Reading::absent("it was alone"), Company::share)
}

pub(super) fn peak_of_launch(launch: &Launch) -> Reading<f64> {
    Reading::or_absent(resident(launch).map(|bytes| bytes as f64), "the kernel did not report how much was resident")
}

/// Where the peak of a cell was measured, and how much it was.
pub fn peak_memory(cell: &Cell) -> (Option<u64>, &'static str) {
    if let Some(peak) = cell.memory_pass.value().and_then(MemoryPass::peak_bytes) {
        return (Some(peak), "a process of its own");
    }
    (cell.launches.iter().filter_map(resident).max(), "the timed processes")
}

pub(super) fn peak(cell: &Cell) -> Reading<Figure> {
    bytes(peak_memory(cell).0, "the kernel did not report how much was resident")
}

fn of_pass(cell: &Cell, of: impl Fn(&MemoryPass) -> Option<u64>, why: &str) -> Reading<Figure> {
    cell.memory_pass.and_then(|pass| bytes(of(pass), why))
}

pub(super) fn memory_pass(cell: &Cell) -> Reading<Figure> {
    of_pass(cell, MemoryPass::peak_bytes, "the kernel did not report how much was resident")
}

pub(super) fn anonymous(cell: &Cell) -> Reading<Figure> {
    let most = |pass: &MemoryPass| pass.marks.iter().filter_map(|mark| mark.rss_anon).max();
    of_pass(cell, most, "the kernel does not report anonymous memory separately")
}

pub(super) fn runtime_peak(cell: &Cell) -> Reading<Figure> {
    of_pass(cell, |pass| pass.runtime_peak_bytes, "the runtime does not count its memory")
}

/// The cell's own sum; in records without it, that of its first good launch.
fn weights(cell: &Cell, of: fn(&WeightsUse) -> Option<u64>, of_stage: fn(&StageCompile) -> Option<u64>) -> Option<u64> {
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
    estimate::of(cell.good_launches(), |image| Some(image.total_s)).and_then(|image| {
        let flops = run.model(&cell.key).and_then(|model| model.flops_per_image(cell));
        let rate = flops.map(|flops| flops as f64 * f64::from(cell.key.batch) / image.p50 / 1e9);
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

fn of_image(cell: &Cell, of: impl Fn(&ImageQuality) -> Reading<f64>) -> Reading<Figure> {
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
pub(super) fn fidelity(judged: &JudgedRow, of: fn(&FidelityRow) -> Option<f64>) -> Reading<Figure> {
    judged.fidelity.and_then(|row| Reading::or_absent(of(row).map(Figure::from), "no prompt was compared"))
}
