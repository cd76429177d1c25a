//! Kernel distance: how unlike two sets of pictures are, by the features of a network.
//!
//! The unbiased squared maximum mean discrepancy with the kernel (x·y ÷ width + 1)³ (the form of KID, Bińkowski et al. 2018,
//! with another network). Unbiased: sets of one kind give about 0, also a little below. Told times 1000.
//!
//! The sets are paired: picture `i` of both is of one name, so the two are alike beyond what their kinds are. A picture is held
//! against every picture of both sets but its own partner, as it is not held against itself within its set; else the figure
//! would fall by about 1 ÷ n.

use crate::quality::features::{Features, dot};
use crate::stats::Interval;
use crate::stats::random::Random;
use crate::stats::{quantile, sorted};

/// Draws of half of the pictures of each set.
const DRAWS: usize = 1000;
const SEED: u64 = 1;
/// The fewest pictures of a set: half of them must have a pair.
pub const FEWEST: usize = 4;

/// The kernel between all pictures of two sets.
#[derive(Clone, Debug)]
pub struct KernelDistance {
    made: Square,
    data: Square,
    between: Square,
}

/// A matrix of kernel values.
#[derive(Clone, Debug)]
struct Square {
    size: usize,
    values: Vec<f64>,
}

impl Square {
    fn of(rows: &[Vec<f64>], columns: &[Vec<f64>]) -> Self {
        let kernel = |a: &Vec<f64>, b: &Vec<f64>| (dot(a, b) / a.len() as f64 + 1.0).powi(3);
        let values = rows.iter().flat_map(|a| columns.iter().map(move |b| kernel(a, b))).collect();
        Self { size: columns.len(), values }
    }

    /// The mean over these rows and columns, each name's own pair left out.
    fn mean(&self, rows: &[usize], columns: &[usize]) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0usize);
        for &row in rows {
            let values = &self.values[row * self.size..(row + 1) * self.size];
            for &column in columns.iter().filter(|column| **column != row) {
                sum += values[column];
                pairs += 1;
            }
        }
        sum / pairs as f64
    }
}

impl KernelDistance {
    /// Of as many pictures of each set. `None` below [`FEWEST`], or where sizes differ.
    pub fn new(made: &Features, data: &Features) -> Option<Self> {
        if made.len() < FEWEST || made.len() != data.len() || made.width() != data.width() {
            return None;
        }
        let wide = |set: &Features| -> Vec<Vec<f64>> {
            set.rows().map(|row| row.iter().map(|&value| f64::from(value)).collect()).collect()
        };
        let (made, data) = (wide(made), wide(data));
        Some(Self { made: Square::of(&made, &made), data: Square::of(&data, &data), between: Square::of(&made, &data) })
    }

    /// The distance of all pictures, times 1000.
    pub fn value(&self) -> f64 {
        let all: Vec<usize> = (0..self.made.size).collect();
        self.of(&all, &all)
    }

    fn of(&self, rows: &[usize], columns: &[usize]) -> f64 {
        let within = self.made.mean(rows, rows) + self.data.mean(columns, columns);
        1000.0 * (within - 2.0 * self.between.mean(rows, columns))
    }

    /// Distances of draws of half the pictures of each set, without putting back: they scatter about the whole's value as
    /// the whole's would about the truth. The same draws for every set of this size, so that sets can be compared in pairs.
    fn draws(&self) -> Vec<f64> {
        let mut random = Random::new(SEED);
        let n = self.made.size;
        let mut half = || {
            let mut order: Vec<usize> = (0..n).collect();
            random.shuffle(&mut order);
            order.truncate(n / 2);
            order
        };
        (0..DRAWS).map(|_| (half(), half())).map(|(rows, columns)| self.of(&rows, &columns)).collect()
    }

    /// 95 % interval of [`KernelDistance::value`].
    pub fn interval(&self) -> Option<Interval> {
        between_percentiles(&self.draws())
    }

    /// This distance less another's on the same prompts and data, and its 95 % interval, from the same draws.
    pub fn less(&self, other: &Self) -> Option<(f64, Interval)> {
        if self.made.size != other.made.size {
            return None;
        }
        let draws: Vec<f64> = self.draws().iter().zip(other.draws()).map(|(ours, other)| ours - other).collect();
        Some((self.value() - other.value(), between_percentiles(&draws)?))
    }
}

fn between_percentiles(draws: &[f64]) -> Option<Interval> {
    let draws = sorted(draws);
    Some(Interval { low: quantile(&draws, 0.025)?, high: quantile(&draws, 0.975)? })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Features by arithmetic alone, so that scripts can make the same ones.
    pub(in crate::quality) fn made_up(rows: usize, width: usize, shift: f64, seed: u64) -> Features {
        let value = |row: usize, column: usize| {
            let place =
                (row as u64 * 7919 + column as u64 * 104_729 + seed * 1_299_709) * 2_654_435_761 % 4_294_967_296;
            // Sixteen bits: exact in f32.
            ((place >> 16) as f64 / 65_536.0 + shift) as f32
        };
        Features::new(width, (0..rows * width).map(|at| value(at / width, at % width)).collect()).unwrap()
    }

    #[test]
    fn distances_against_numpy() {
        // scripts/golden_distance.py prints these numbers.
        let distance = KernelDistance::new(&made_up(30, 8, 0.5, 2), &made_up(30, 8, 0.0, 1)).unwrap();
        assert!((distance.value() / GOLDEN_FAR - 1.0).abs() < 1e-9, "{}", distance.value());
        let near = KernelDistance::new(&made_up(30, 8, 0.0, 2), &made_up(30, 8, 0.0, 1)).unwrap();
        assert!((near.value() - GOLDEN_NEAR).abs() < 1e-9 * GOLDEN_FAR, "{}", near.value());
        let interval = near.interval().unwrap();
        assert!(interval.holds(near.value()) && interval.half_width() > 0.0, "{interval:?}");
    }
    const GOLDEN_FAR: f64 = 3205.072154573454;
    const GOLDEN_NEAR: f64 = -33.76821652148499;

    /// Features of names: what both pictures of a name share, and what each has of its own, alike in kind.
    fn paired(names: usize, random: &mut Random) -> (Features, Features) {
        const WIDTH: usize = 8;
        let mut normal = |size: f64| (0..names * WIDTH).map(|_| size * random.normal()).collect::<Vec<f64>>();
        let (shared, ours, theirs) = (normal(0.9), normal(0.4), normal(0.4));
        let of =
            |own: &[f64]| Features::new(WIDTH, shared.iter().zip(own).map(|(a, b)| (a + b) as f32).collect()).unwrap();
        (of(&ours), of(&theirs))
    }

    #[test]
    fn data_against_themselves_are_at_no_distance_however_many_names_there_are() {
        for names in [20, 200] {
            let data = made_up(names, 8, 0.0, 1);
            let distance = KernelDistance::new(&data, &data).unwrap();
            assert!(distance.value().abs() < 1e-9 * distance.data.values[0].abs() * 1000.0, "{}", distance.value());
            let interval = distance.interval().unwrap();
            assert!(interval.holds(0.0), "{interval:?}");
        }
    }

    /// Two sets of one kind are 0 apart on average, however alike the pictures of one name are.
    #[test]
    fn paired_sets_of_one_kind_are_at_no_distance_on_average() {
        let mut random = Random::new(5);
        for (names, repeats) in [(20, 400), (200, 40)] {
            let (mut found, mut own_pairs) = (Vec::new(), 0.0);
            for _ in 0..repeats {
                let (made, data) = paired(names, &mut random);
                let distance = KernelDistance::new(&made, &data).unwrap();
                found.push(distance.value());
                // By how much the figure would fall, did each name's own pair count.
                let all: Vec<usize> = (0..names).collect();
                let own: f64 = all.iter().map(|&i| distance.between.values[i * names + i]).sum::<f64>() / names as f64;
                own_pairs += 2000.0 * (own - distance.between.mean(&all, &all)) / names as f64 / f64::from(repeats);
            }
            let mean = found.iter().sum::<f64>() / found.len() as f64;
            let variance = found.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (found.len() - 1) as f64;
            let error = (variance / found.len() as f64).sqrt();
            assert!(mean.abs() < 4.0 * error, "{names} names: {mean} ± {error}");
            assert!(own_pairs > 8.0 * error, "{names} names: own pairs, {own_pairs}, would not be seen in {error}");
        }
    }

    #[test]
    fn a_paired_difference_holds_and_is_tighter_than_the_two() {
        let (data, ours) = (made_up(40, 8, 0.0, 1), made_up(40, 8, 0.2, 2));
        let moved = Features::new(8, ours.values().iter().map(|value| value + 0.01).collect()).unwrap();
        let (ours, moved) = (KernelDistance::new(&ours, &data).unwrap(), KernelDistance::new(&moved, &data).unwrap());
        let (difference, interval) = moved.less(&ours).unwrap();
        assert!(difference > 0.0 && interval.holds(difference) && interval.low > 0.0, "{difference} {interval:?}");
        assert!(interval.half_width() < moved.interval().unwrap().half_width() / 2.0);
        assert!(KernelDistance::new(&data.first(3), &data.first(3)).is_none());
    }
}
