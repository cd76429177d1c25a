//! The headline number of a cell: a median and the interval in which it can be trusted to lie.
//!
//! Contract: the launch is the independent sample. With 6 launches or more the interval is of the launches' medians; with
//! fewer it is of the images, which says nothing of the spread from launch to launch, and the estimate says so; with
//! fewer than 6 of either there is none.

use serde::Serialize;

use crate::numbers as stats;
use crate::record::{Launch, Reading};

/// A median with its interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Median of the launches' medians, in seconds.
    pub p50: f64,
    /// Lower end of the interval; `None` where the count allows none.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// What the interval is: `95 % of 6 launches`; or why there is none.
    pub interval: String,
    /// Launches that count.
    pub launches: usize,
    /// Timed images that count, over all launches.
    pub images: usize,
}

/// Samples below which no distribution-free 95 % interval of a median exists: 2·(1/2)⁶ ≤ 0.05 < 2·(1/2)⁵.
const FEWEST: usize = 6;

/// The estimate of a cell, from its launches that ended well.
pub fn of_launches(launches: &[&Launch]) -> Reading<Estimate> {
    let per_launch: Vec<Vec<f64>> = launches
        .iter()
        .map(|launch| launch.timed().iter().map(|sample| sample.total_s).collect::<Vec<f64>>())
        .filter(|totals| !totals.is_empty())
        .collect();
    let medians: Vec<f64> = per_launch.iter().filter_map(|totals| stats::median(totals)).collect();
    let Some(p50) = stats::median(&medians) else {
        return Reading::absent(if launches.is_empty() {
            "no launch ended well"
        } else {
            "no image but the first of each launch; give more images or a larger --budget"
        });
    };
    let images: Vec<f64> = per_launch.into_iter().flatten().collect();
    let (of, what) =
        if medians.len() >= FEWEST { (&medians, "launches") } else { (&images, "images, not of launches") };
    let found = stats::median_interval(of, 0.95).map(|interval| (interval.low, interval.high));
    let interval = match found {
        Some(_) => format!("95 % of {} {what}", of.len()),
        None => format!(
            "no interval: {FEWEST} samples are needed, there {}",
            match images.len() {
                1 => "is 1".to_owned(),
                count => format!("are {count}"),
            }
        ),
    };
    Reading::Ok(Estimate {
        p50,
        low: found.map(|(low, _)| low),
        high: found.map(|(_, high)| high),
        interval,
        launches: medians.len(),
        images: images.len(),
    })
}

/// A high percentile (90 or 99), or how many samples it would take (MLPerf loadgen's early stopping: 64 and 662).
pub fn percentile(samples: &[f64], percent: u32) -> Reading<f64> {
    let needed = if percent >= 99 { 662 } else { 64 };
    if samples.len() < needed {
        return Reading::absent(format!("p{percent} takes {needed} images, there are {}", samples.len()));
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    // The nearest-rank percentile: the smallest sample that `percent` of all samples do not exceed.
    let rank = (f64::from(percent) / 100.0 * sorted.len() as f64).ceil() as usize;
    Reading::Ok(sorted[rank.clamp(1, sorted.len()) - 1])
}
