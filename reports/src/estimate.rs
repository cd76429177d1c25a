//! The headline number of a cell: a median and the interval in which it can be trusted to lie.
//!
//! Contract: the launch is the independent sample. With 6 launches or more the interval is of the launches' medians; with
//! two to five, which allow none, it is their range; with one it is of that launch's images, which says nothing of the
//! spread from launch to launch. The estimate says which. The median always lies in it.

use serde::Serialize;

use crate::record::{Launch, Reading, Sample};
use crate::stats;

/// What stands around a median.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Where the median over launches lies, with 95 %.
    OfLaunches,
    /// The lowest and the highest of the launches, which are too few for an interval.
    Range,
    /// Where the median of one launch's images lies, with 95 %: says nothing of how launches differ.
    OfImages,
    /// Nothing: there are too few samples.
    #[default]
    None,
}

impl Spread {
    /// Two ends in words that tell an interval from a range: `3.22 s to 3.26 s`, `range 3.22 s to 3.26 s`.
    pub fn says(self, low: &str, high: &str) -> String {
        match self {
            Self::OfLaunches => format!("{low} to {high}"),
            Self::Range => format!("range {low} to {high}"),
            Self::OfImages => format!("{low} to {high}, of one launch"),
            Self::None => String::new(),
        }
    }
}

/// A median with its interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Median of the launches' medians.
    pub p50: f64,
    /// Lower end of the interval; `None` where the count allows none.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// What the two ends are.
    pub spread: Spread,
    /// The same in words: `95 % of 6 launches`; or why there is none.
    pub interval: String,
    /// Launches that count.
    pub launches: usize,
    /// Timed images that count, over all launches.
    pub images: usize,
}

/// Why a cell has no number of launches.
pub(crate) const NO_LAUNCH: &str = "no launch succeeded";
/// Why a cell has no number of steady images.
pub(crate) const NO_STEADY_IMAGE: &str = "there are only first images; allow more --images or a larger --budget";

/// Samples below which no distribution-free 95 % interval of a median exists: 2·(1/2)⁶ ≤ 0.05 < 2·(1/2)⁵.
const FEWEST: usize = 6;

fn interval_of(values: &[f64]) -> Option<(f64, f64)> {
    stats::median_interval(values, 0.95).map(|interval| (interval.low, interval.high))
}

fn range_of(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some((low, values.iter().copied().reduce(f64::max)?))
}

/// The estimate of a cell, from its launches that ended well and something of each of their timed images.
pub fn of<'a>(launches: impl Iterator<Item = &'a Launch>, value: impl Fn(&Sample) -> Option<f64>) -> Reading<Estimate> {
    let per_launch: Vec<Vec<f64>> =
        launches.map(|launch| launch.timed().into_iter().filter_map(&value).collect::<Vec<f64>>()).collect();
    let medians: Vec<f64> = per_launch.iter().filter_map(|values| stats::median(values)).collect();
    let Some(p50) = stats::median(&medians) else {
        return Reading::absent(if per_launch.is_empty() { NO_LAUNCH } else { NO_STEADY_IMAGE });
    };
    let images: Vec<f64> = per_launch.into_iter().flatten().collect();
    let (spread, ends, interval) = match medians.len() {
        FEWEST.. => (Spread::OfLaunches, interval_of(&medians), format!("95 % of {} launches", medians.len())),
        // An interval of the images of all launches could even lie beside the median of the launches.
        2.. => (
            Spread::Range,
            range_of(&medians),
            format!("the range of {} launches: {FEWEST} would give a 95 % interval", medians.len()),
        ),
        _ if images.len() >= FEWEST => {
            (Spread::OfImages, interval_of(&images), format!("95 % of {} images of one launch", images.len()))
        }
        _ => {
            let are = if images.len() == 1 { "is" } else { "are" };
            (Spread::None, None, format!("no interval: {FEWEST} samples are needed, there {are} {}", images.len()))
        }
    };
    Reading::Ok(Estimate {
        p50,
        low: ends.map(|(low, _)| low),
        high: ends.map(|(_, high)| high),
        spread,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Sample, Status, Steady, SteadyState};

    fn launch(seconds: &[f64], steady: Steady) -> Launch {
        let sample = |(image, &total_s): (u32, &f64)| Sample { image, total_s, ..Sample::default() };
        Launch {
            status: Status::Ok,
            samples: (0..).zip(seconds).map(sample).collect(),
            steady: SteadyState { state: steady, from: Some(2), said: String::new() },
            ..Launch::default()
        }
    }

    fn estimate(launches: &[Launch]) -> Reading<Estimate> {
        of(launches.iter(), |image| Some(image.total_s))
    }

    #[test]
    fn the_launch_is_the_sample() {
        // One launch of many images does not outweigh the others; first images and warm-up (image 1) do not count.
        let mut launches = vec![launch(&[9.0, 5.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0], Steady::Steady)];
        launches.extend([1.0, 1.1, 1.2, 1.3, 1.4].map(|level| launch(&[9.0, 5.0, level], Steady::Steady)));
        let found = estimate(&launches);
        let found = found.value().unwrap();
        assert!((found.p50 - 1.25).abs() < 1e-12 && found.low == Some(1.0) && found.high == Some(2.0));
        assert_eq!((found.launches, found.images, found.interval.as_str()), (6, 12, "95 % of 6 launches"));
        // With fewer launches it is their range, and says so: an interval of all images could even lie beside the median.
        let few = estimate(&launches[..2]);
        let few = few.value().unwrap();
        assert_eq!((few.p50, few.low, few.high), (1.5, Some(1.0), Some(2.0)));
        assert_eq!(few.spread, Spread::Range);
        assert_eq!(few.interval, "the range of 2 launches: 6 would give a 95 % interval");
        let one = estimate(&launches[..1]);
        assert_eq!(one.value().unwrap().interval, "95 % of 7 images of one launch");
        // Not steady: every image but the first.
        let drifting = estimate(&[launch(&[9.0, 5.0, 3.0], Steady::Warming)]);
        assert_eq!((drifting.value().unwrap().p50, drifting.value().unwrap().low), (4.0, None));
    }

    #[test]
    fn too_little_is_said() {
        assert!(estimate(&[]).why().unwrap().contains("no launch"));
        assert!(estimate(&[launch(&[9.0], Steady::TooFew)]).why().unwrap().contains("only first images"));
        assert!(percentile(&[1.0; 63], 90).why().unwrap().contains("takes 64"));
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 90).value(), Some(&90.0));
        assert!(percentile(&values, 99).why().is_some());
    }
}
