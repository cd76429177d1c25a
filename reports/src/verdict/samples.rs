//! From records to samples: what each launch, or each record, has to say of a metric.
//!
//! Contract: a launch gives one number, the median over its timed images; the launch is the independent sample. What a launch
//! or a record lacks gives no sample, never a zero.

use crate::record::{Cell, Launch, MemoryMark, Reading, Sample};
use crate::stats::median;

use super::metric::{Metric, PSNR_CAP_DB};

/// A sample and where it is from: which record of its side, which launch of the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taken {
    pub record: usize,
    pub launch: u32,
    /// [`Launch::order`]: when, within its record.
    pub order: u32,
    pub value: f64,
}

/// Every sample of a metric in the cells of one side, one cell for each record that has it.
pub(super) fn of_cells(metric: Metric, cells: &[(usize, &Cell)]) -> Vec<Taken> {
    let mut taken = Vec::new();
    for &(record, cell) in cells {
        if metric.is_time() || metric == Metric::PeakRss {
            let of_launch = |launch: &Launch| {
                let value = of_launch(metric, launch)?;
                Some(Taken { record, launch: launch.index, order: launch.order, value })
            };
            taken.extend(cell.good_launches().filter_map(of_launch));
        } else if let Some(value) = of_cell(metric, cell) {
            taken.push(Taken { record, launch: 0, order: 0, value });
        }
    }
    taken.retain(|sample| sample.value.is_finite());
    taken
}

/// The fixed piece of work around each launch: mean of before and after, or the one that there is.
pub(super) fn calibrations(cells: &[(usize, &Cell)]) -> Vec<f64> {
    let of_launch = |launch: &Launch| {
        let readings = [&launch.calibration.before_s, &launch.calibration.after_s];
        let values: Vec<f64> = readings.into_iter().filter_map(Reading::value).copied().collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    cells.iter().flat_map(|(_, cell)| cell.good_launches()).filter_map(of_launch).collect()
}

/// How many steps the timed images have.
pub(super) fn steps(cells: &[(usize, &Cell)]) -> u32 {
    let launches = cells.iter().flat_map(|(_, cell)| cell.good_launches());
    let most = launches.flat_map(|launch| &launch.samples).map(|sample| sample.steps_s.len()).max();
    u32::try_from(most.unwrap_or(0)).unwrap_or(u32::MAX)
}

fn of_launch(metric: Metric, launch: &Launch) -> Option<f64> {
    let of_images = |value: &dyn Fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = launch.timed().into_iter().filter_map(value).collect();
        median(&values)
    };
    match metric {
        Metric::Image => of_images(&|image| Some(image.total_s)),
        Metric::FirstImage => launch.first().filter(|image| image.removed.is_none()).map(|image| image.total_s),
        Metric::TextEncoder => of_images(&|image| Some(image.text_encoder_s)),
        Metric::DenoiserStep => of_images(&|image| median(&image.steps_s)),
        Metric::Step(step) => of_images(&|image| image.steps_s.get(step as usize).copied()),
        Metric::Decoder => of_images(&|image| Some(image.decoder_s)),
        Metric::Rest => of_images(&|image| Some(image.harness_s)),
        Metric::Compile => (!launch.compile.is_empty()).then(|| launch.compile.iter().map(|stage| stage.load_s).sum()),
        Metric::PeakRss => {
            let marks = launch.memory.iter().filter_map(|mark| mark.high_water.max(mark.rss));
            marks.chain(launch.max_rss_bytes).max().map(|bytes| bytes as f64)
        }
        _ => None,
    }
}

fn of_cell(metric: Metric, cell: &Cell) -> Option<f64> {
    let pass = cell.memory_pass.value();
    let quality = cell.quality.value();
    let image = quality.and_then(|quality| quality.image.value());
    // Bytes are exact up to 2⁵³.
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    match metric {
        Metric::MemoryPass => bytes(pass?.peak_bytes()),
        Metric::Anonymous => bytes(pass?.marks.iter().filter_map(|mark: &MemoryMark| mark.rss_anon).max()),
        Metric::RuntimePeak => bytes(pass?.runtime_peak_bytes),
        Metric::WeightsResident => bytes(cell.weights.as_ref()?.resident_bytes),
        Metric::Latent => Some(quality?.latents.last()?.relative_l2),
        Metric::Psnr => {
            let image = image?;
            let db = if image.identical { Some(PSNR_CAP_DB) } else { image.psnr_db };
            db.map(|db| db.min(PSNR_CAP_DB))
        }
        Metric::Ssim => image?.ssim.value().copied(),
        Metric::Ssimulacra2 => image?.ssimulacra2.value().copied(),
        Metric::Retrieval => Some(cell.judged.as_ref()?.retrieval_at_1.value),
        Metric::Placement => placement(cell),
        _ => None,
    }
}

/// Over the stages of which something is known; `None` if nothing is.
fn placement(cell: &Cell) -> Option<f64> {
    let mut counts = (0.0, 0.0);
    for stage in &cell.placement {
        let Some(share) = stage.share_on_asked() else { continue };
        let nodes = stage.entries.iter().map(|entry| entry.nodes).sum::<u64>() as f64;
        counts = (counts.0 + share * nodes, counts.1 + nodes);
    }
    (counts.1 > 0.0).then(|| counts.0 / counts.1)
}
