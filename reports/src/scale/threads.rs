//! What more threads bring: times as fast as the fewest, the share of each thread that is of use, and the share of the work that no
//! thread shares (Amdahl 1967).

use serde::Serialize;

use super::axis::Place;
use super::ratio::{Ratio, ratio};
use crate::record::Reading;
use crate::stats::median;

/// What more threads bring.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Threads {
    /// Each number of threads against the fewest, which are 1 by definition and have no interval.
    pub steps: Vec<Speedup>,
    /// The share of the work at one thread that does not get faster, 0..1.
    pub serial: Reading<Serial>,
}

/// One number of threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speedup {
    /// How many.
    pub threads: u32,
    /// How many times as fast as the fewest.
    pub speedup: Ratio,
    /// The speed-up over how many times as many threads they are: 1 where twice as many are twice as fast.
    pub efficiency: f64,
}

/// Amdahl's law, fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Serial {
    /// Share of the time of one thread that no other thread shortens, 0..1.
    pub share: f64,
    /// How far the point that is farthest off lies from the law, as a share; 0 of two points, which every such law goes through.
    pub off: f64,
    /// Points that it is of.
    pub points: usize,
}

/// From the launches' values at each number of threads, the fewest first; `cores` are those that could run them, where that is known.
pub fn of(points: &[(Place, Vec<f64>)], cores: Option<u32>) -> Option<Threads> {
    let (fewest, base) = points.first()?;
    let step = |(place, values): &(Place, Vec<f64>)| {
        let speedup = if place == fewest { Ratio { value: 1.0, interval: None } } else { ratio(values, base)? };
        let efficiency = speedup.value * fewest.x / place.x;
        Some(Speedup { threads: place.x as u32, speedup, efficiency })
    };
    let within: Vec<(f64, f64)> = points
        .iter()
        .filter(|(place, _)| cores.is_none_or(|cores| place.x <= f64::from(cores)))
        .filter_map(|(place, values)| Some((place.x, median(values)?)))
        .collect();
    Some(Threads { steps: points.iter().filter_map(step).collect(), serial: serial(&within) })
}

/// t = α + β/n with the least squares of relative distances: what is α/(α+β)?
fn serial(points: &[(f64, f64)]) -> Reading<Serial> {
    if points.len() < 2 {
        return Reading::absent("it takes two numbers of threads that the machine has cores for");
    }
    // 1 ≈ α/t + β/(n·t).
    let rows = || points.iter().map(|(n, t)| (1.0 / t, 1.0 / (n * t)));
    let sum = |of: fn((f64, f64)) -> f64| rows().map(of).sum::<f64>();
    let (aa, ab, bb) = (sum(|(a, _)| a * a), sum(|(a, b)| a * b), sum(|(_, b)| b * b));
    let (a1, b1) = (sum(|(a, _)| a), sum(|(_, b)| b));
    let determinant = aa * bb - ab * ab;
    let (alpha, beta) = ((a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant);
    let share = alpha / (alpha + beta);
    if !share.is_finite() || share > 1.0 {
        return Reading::absent("more threads are not faster");
    }
    if share < 0.0 {
        return Reading::absent(
            "threads bring more than their number (more caches, for one): there is no serial share",
        );
    }
    let off = points.iter().map(|(n, t)| ((alpha + beta / n) / t - 1.0).abs()).fold(0.0, f64::max);
    Reading::Ok(Serial { share, off: if points.len() > 2 { off } else { 0.0 }, points: points.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::axis::Axis;

    fn at(n: u32, seconds: f64) -> (Place, Vec<f64>) {
        (Place { axis: Axis::Threads, x: f64::from(n), says: n.to_string() }, vec![seconds; 6])
    }

    #[test]
    fn a_planted_serial_share_is_found_and_more_threads_than_cores_do_not_count() {
        let amdahl = |n: u32| 2.0 * (0.2 + 0.8 / f64::from(n));
        let mut points: Vec<_> = [1, 2, 4].map(|n| at(n, amdahl(n))).to_vec();
        points.push(at(8, 5.0));
        let found = of(&points, Some(4)).unwrap();
        let serial = found.serial.value().unwrap();
        assert!((serial.share - 0.2).abs() < 1e-9 && serial.off < 1e-9 && serial.points == 3, "{serial:?}");
        assert_eq!(found.steps.len(), 4);
        assert_eq!(found.steps[0].speedup, Ratio { value: 1.0, interval: None }, "it is held against itself");
        let two = &found.steps[1];
        assert!((two.speedup.value - 1.0 / 0.6).abs() < 1e-9 && (two.efficiency - 1.0 / 1.2).abs() < 1e-9, "{two:?}");
        assert!((of(&points, None).unwrap().serial.value().unwrap().share - 0.2).abs() > 0.05, "it would bend the law");
    }

    #[test]
    fn what_has_no_serial_share_says_why() {
        let why = |points: &[(Place, Vec<f64>)]| of(points, None).unwrap().serial.why().unwrap_or_default().to_owned();
        assert!(why(&[at(1, 1.0)]).contains("two numbers"));
        assert!(why(&[at(1, 1.0), at(2, 1.4)]).contains("not faster"));
        assert!(why(&[at(1, 1.0), at(2, 0.4)]).contains("more than their number"));
    }
}
