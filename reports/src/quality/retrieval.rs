//! Retrieval: is a picture made from a prompt nearer to the prompt's own data picture than to all others?
//!
//! Contract: nearness is the cosine of features from which the mean of all data features is taken. Chance is k ÷ (number of
//! data pictures); the data themselves have 1. The figure is of one network at one picture size, and is named by them.

use crate::quality::features::{Features, dot};
use crate::stats::Interval;
use crate::stats::random::Random;
use crate::stats::{quantile, sorted};

/// Where a prompt's own data picture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// How many data pictures lie nearer to the made picture: 0 is a hit.
    pub nearer: u32,
    /// The data picture that lies nearest.
    pub nearest: usize,
}

/// The rank of each made picture; picture i was made from the prompt whose own data picture is row i of the data. `None`
/// if there are more made pictures than data, or their features are of other lengths.
pub fn ranks(made: &Features, data: &Features) -> Option<Vec<Rank>> {
    if made.len() > data.len() || made.width() != data.width() {
        return None;
    }
    let mean = data.mean();
    let data: Vec<Vec<f64>> = data.rows().map(|row| direction(row, &mean)).collect();
    let rank = |(own, row): (usize, &[f32])| {
        let made = direction(row, &mean);
        let near: Vec<f64> = data.iter().map(|row| dot(&made, row)).collect();
        let nearer = near.iter().filter(|&&other| other > near[own]).count();
        // Of equally near ones the prompt's own, else the first.
        let nearest =
            if nearer == 0 { own } else { (0..near.len()).max_by(|&a, &b| near[a].total_cmp(&near[b])).unwrap_or(own) };
        Rank { nearer: u32::try_from(nearer).unwrap_or(u32::MAX), nearest }
    };
    Some(made.rows().enumerate().map(rank).collect())
}

/// A row without the mean, of length 1; all zero where nothing is left.
fn direction(row: &[f32], mean: &[f64]) -> Vec<f64> {
    let centred: Vec<f64> = row.iter().zip(mean).map(|(&value, mean)| f64::from(value) - mean).collect();
    let length = dot(&centred, &centred).sqrt();
    centred.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
}

/// The share of prompts whose own picture is among the `k` nearest. `None` of no prompts.
pub fn retrieval(nearer: &[u32], k: u32) -> Option<f64> {
    let hits = nearer.iter().filter(|&&nearer| nearer < k).count();
    (!nearer.is_empty()).then(|| hits as f64 / nearer.len() as f64)
}

/// 95 % interval of a share of `n` independent yes-or-no answers (Wilson 1927): unlike the bootstrap it does not shrink to a
/// point when all answers are alike.
pub fn wilson(share: f64, n: usize) -> Interval {
    const Z: f64 = 1.959_963_984_540_054;
    let n = n as f64;
    let centre = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// Resamplings of a bootstrap.
const RESAMPLINGS: usize = 10_000;
const SEED: u64 = 1;

/// Retrieval@k of `ours` less that of `other`, on the same prompts with the same noise, and its 95 % interval: percentile
/// bootstrap over prompts, each drawn with both answers. `None` of no prompts, or of other numbers of them.
pub fn retrieval_difference(ours: &[u32], other: &[u32], k: u32) -> Option<(f64, Interval)> {
    if ours.is_empty() || ours.len() != other.len() {
        return None;
    }
    let hit = |nearer: u32| i32::from(nearer < k);
    let differences: Vec<i32> = ours.iter().zip(other).map(|(&a, &b)| hit(a) - hit(b)).collect();
    let n = differences.len();
    let mut random = Random::new(SEED);
    let mean = |sum: i32| f64::from(sum) / n as f64;
    let draws: Vec<f64> = (0..RESAMPLINGS).map(|_| mean((0..n).map(|_| differences[random.below(n)]).sum())).collect();
    let draws = sorted(&draws);
    let interval = Interval { low: quantile(&draws, 0.025)?, high: quantile(&draws, 0.975)? };
    Some((mean(differences.iter().sum()), interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::kernel_distance::tests::made_up;

    #[test]
    fn the_data_find_themselves_and_strangers_do_not() {
        let data = made_up(40, 16, 0.0, 1);
        let own = ranks(&data.first(10), &data).unwrap();
        assert!(own.iter().enumerate().all(|(i, rank)| *rank == Rank { nearer: 0, nearest: i }));
        let strangers = ranks(&made_up(10, 16, 0.0, 2), &data).unwrap();
        let nearer: Vec<u32> = strangers.iter().map(|rank| rank.nearer).collect();
        assert!(retrieval(&nearer, 1).unwrap() < 0.3);
        assert!(ranks(&data, &data.first(10)).is_none());
    }

    #[test]
    fn ranks_against_numpy() {
        // scripts/golden_distance.py prints these numbers.
        let found = ranks(&made_up(12, 8, 0.5, 2), &made_up(30, 8, 0.0, 1)).unwrap();
        let nearer: Vec<u32> = found.iter().map(|rank| rank.nearer).collect();
        assert_eq!(nearer, GOLDEN_RANKS);
        assert_eq!(retrieval(&nearer, 5), Some(nearer.iter().filter(|&&n| n < 5).count() as f64 / 12.0));
        assert_eq!(retrieval(&[], 1), None);
    }
    const GOLDEN_RANKS: [u32; 12] = [12, 15, 29, 25, 22, 8, 23, 21, 28, 17, 15, 15];

    #[test]
    fn intervals_hold_the_share_and_know_how_many_prompts_there_were() {
        let interval = wilson(0.95, 200);
        assert!((interval.low - 0.910_422).abs() < 1e-5 && (interval.high - 0.972_617).abs() < 1e-5, "{interval:?}");
        let all = wilson(1.0, 200);
        assert!(all.high == 1.0 && (all.low - 0.981_155).abs() < 1e-5, "{all:?}");
    }

    #[test]
    fn a_paired_difference_is_tighter_than_what_it_is_of() {
        let ours: Vec<u32> = (0..200).map(|i| u32::from(i % 4 == 0)).collect();
        let other: Vec<u32> = (0..200).map(|i| u32::from(i % 4 == 0 || i == 7)).collect();
        let (difference, interval) = retrieval_difference(&ours, &other, 1).unwrap();
        assert!((difference - 0.005).abs() < 1e-12);
        assert!(interval.low == 0.0 && interval.high <= 0.015, "one prompt of 200: {interval:?}");
        assert_eq!(retrieval_difference(&ours, &ours, 1).unwrap(), (0.0, Interval { low: 0.0, high: 0.0 }));
        assert!(retrieval_difference(&ours, &other[1..], 1).is_none());
    }
}
