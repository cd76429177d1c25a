//! From features and pictures to the figures of the record.

use anyhow::{Context, Result};
use ditbench_judge::FEATURES;
use ditbench_judge::data::Seen;
use ditbench_record::{Bounded, Judged, Reading};
use ditbench_reports::image::RgbImage;
use ditbench_reports::quality::features::Features;
use ditbench_reports::quality::kernel_distance::{FEWEST, KernelDistance};
use ditbench_reports::quality::psnr;
use ditbench_reports::quality::retrieval::{ranks, retrieval, wilson};
use ditbench_reports::stats::Interval;

/// PSNR that stands for a picture equal to the data's in all pixels, so that a mean can be taken.
const EQUAL_DB: f64 = 100.0;

/// The data that pictures are held against.
pub struct Data {
    /// Features of all data pictures.
    pub features: Features,
    /// What they show.
    pub names: Vec<String>,
    /// The prompt list's pictures.
    pub pictures: Vec<RgbImage>,
}

impl Data {
    /// From what the program carries.
    ///
    /// # Errors
    /// It does not hold together: a mistake of ours.
    pub fn new(seen: Seen, pictures: Vec<RgbImage>) -> Result<Self> {
        let features = Features::new(FEATURES, seen.features).context("the data's features are not finite numbers")?;
        Ok(Self { features, names: seen.names, pictures })
    }
}

/// Figures of the pictures of the first names; without fidelity and differences, which take other cells.
///
/// # Errors
/// More pictures than data: a mistake of ours.
pub fn of_features(made: &Features, data: &Data) -> Result<Judged> {
    let found = ranks(made, &data.features).context("there are more pictures than data")?;
    let nearer: Vec<u32> = found.iter().map(|rank| rank.nearer).collect();
    let names = found.iter().map(|rank| data.names.get(rank.nearest).cloned().unwrap_or_default()).collect();
    let share = |k: u32| -> Result<Bounded> {
        let value = retrieval(&nearer, k).context("there are no pictures")?;
        Ok(bounded(value, wilson(value, nearer.len())))
    };
    Ok(Judged {
        retrieval_at_1: share(1)?,
        retrieval_at_5: share(5)?,
        kernel_distance_x1000: match distance(made, data).and_then(|d| Some(bounded(d.value(), d.interval()?))) {
            Some(distance) => Reading::Ok(distance),
            None => Reading::absent(format!("the kernel distance needs {FEWEST} pictures; there are {}", made.len())),
        },
        nearer,
        nearest: names,
        ..Judged::default()
    })
}

/// The kernel distance to the data pictures of the same names.
pub fn distance(made: &Features, data: &Data) -> Option<KernelDistance> {
    KernelDistance::new(made, &data.features.first(made.len()))
}

/// Mean PSNR of pictures to the data's of the same names.
///
/// # Errors
/// Pictures of other sizes.
pub fn psnr_to_data(pictures: &[RgbImage], data: &Data) -> Result<Option<f64>> {
    let pairs = pictures.iter().zip(&data.pictures);
    let values =
        pairs.map(|(ours, theirs)| Ok(psnr(ours, theirs)?.unwrap_or(EQUAL_DB))).collect::<Result<Vec<f64>>>()?;
    Ok((!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64))
}

/// A figure with its interval.
pub fn bounded(value: f64, interval: Interval) -> Bounded {
    Bounded { value, low: interval.low, high: interval.high }
}
