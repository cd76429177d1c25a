//! Where does a series change its level? E-divisive (Matteson and James, *J. Am. Stat. Assoc.* 109, 2014), as used by
//! MongoDB (Daly et al., ICPE 2020) and Apache Otava for benchmark histories.
//!
//! Contract: no distribution is assumed. The series is split where the energy distance between both sides is largest, and
//! the split is kept if a permutation test says that chance seldom does as well; then each part is looked at in turn. Seeded:
//! the same series always gives the same answer. Takes n² numbers of memory and about `permutations`·n² steps for each change.

use super::all_finite;
use super::random::Random;

/// How changes are looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The chance with which a series without a change may show one. 0.01 by default: a history holds many series.
    pub significance: f64,
    /// Permutations in each test; 1 ÷ (permutations + 1) must not exceed the significance.
    pub permutations: usize,
    /// The fewest values in a level: one odd run is not a level.
    pub least: usize,
    /// Changes of the level's median by a smaller share than this are left out.
    pub least_change: f64,
    /// Seed of the permutations.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { significance: 0.01, permutations: 199, least: 3, least_change: 0.0, seed: 1 }
    }
}

/// Series are looked at in stretches of this many values at the end, so that memory and time stay bounded.
const LONGEST: usize = 2000;

/// Positions of the first value of each new level, ascending, none of them 0. Empty if a value is not finite.
pub fn changes(values: &[f64], options: &Options) -> Vec<usize> {
    if !all_finite(values) {
        return Vec::new();
    }
    let skipped = values.len().saturating_sub(LONGEST);
    let values = &values[skipped..];
    let mut random = Random::new(options.seed);
    let mut open = vec![(0, values.len())];
    let mut found = Vec::new();
    while let Some((from, to)) = open.pop() {
        let Some(at) = split(&values[from..to], options, &mut random) else { continue };
        found.push(from + at);
        open.push((from, from + at));
        open.push((from + at, to));
    }
    found.sort_unstable();
    drop_small(&mut found, values, options.least_change);
    found.into_iter().map(|at| at + skipped).collect()
}

/// A detector for the page of a history.
pub fn detector(options: Options) -> impl Fn(&[f64]) -> Vec<usize> {
    move |values| changes(values, &options)
}

/// The best split of a stretch, if it is significant.
fn split(values: &[f64], options: &Options, random: &mut Random) -> Option<usize> {
    let (at, strength) = best_split(values, options.least)?;
    let mut shuffled = values.to_vec();
    let allowed = (options.significance * (options.permutations + 1) as f64 + 1e-9).floor() as usize;
    // The observed order counts as one of the permutations (Phipson and Smyth 2010): p is never 0.
    let mut as_good = 1;
    for _ in 0..options.permutations {
        if as_good > allowed {
            return None;
        }
        random.shuffle(&mut shuffled);
        let by_chance = best_split(&shuffled, options.least).map_or(0.0, |(_, strength)| strength);
        as_good += usize::from(by_chance >= strength);
    }
    (as_good <= allowed).then_some(at)
}

/// The split with the largest scaled energy distance, and that distance; `None` if the stretch is too short or constant.
pub fn best_split(values: &[f64], least: usize) -> Option<(usize, f64)> {
    let (n, least) = (values.len(), least.max(1));
    if n < 2 * least {
        return None;
    }
    let distance = |a: usize, b: usize| (values[a] - values[b]).abs();
    // Sums of distances between, and within, both sides; moved along as the split moves by one.
    let (mut across, mut left, mut right) = (0.0, 0.0, 0.0);
    for a in 0..n {
        for b in a + 1..n {
            right += distance(a, b);
        }
    }
    let mut best: Option<(usize, f64)> = None;
    for at in 1..n {
        let moved = at - 1;
        let to_left: f64 = (0..moved).map(|other| distance(moved, other)).sum();
        let to_right: f64 = (at..n).map(|other| distance(moved, other)).sum();
        left += to_left;
        right -= to_right;
        across += to_right - to_left;
        if at < least || n - at < least {
            continue;
        }
        let strength = energy(across, left, right, at as f64, (n - at) as f64);
        if strength > 0.0 && best.is_none_or(|(_, most)| strength > most) {
            best = Some((at, strength));
        }
    }
    best
}

/// The scaled sample divergence of Matteson and James with exponent 1: m·n ÷ (m+n) · (2·mean across − mean within left −
/// mean within right).
fn energy(across: f64, left: f64, right: f64, m: f64, n: f64) -> f64 {
    let within = |sum: f64, count: f64| if count > 1.0 { 2.0 * sum / (count * (count - 1.0)) } else { 0.0 };
    m * n / (m + n) * (2.0 * across / (m * n) - within(left, m) - within(right, n))
}

/// Leaves out changes between levels whose medians are nearly the same, the smallest first, because each removal joins two levels.
fn drop_small(found: &mut Vec<usize>, values: &[f64], least_change: f64) {
    while !found.is_empty() {
        let bounds: Vec<usize> = [0].into_iter().chain(found.iter().copied()).chain([values.len()]).collect();
        let levels: Vec<f64> = bounds.windows(2).filter_map(|b| super::median(&values[b[0]..b[1]])).collect();
        let size =
            |place: usize| (levels[place + 1] - levels[place]).abs() / levels[place].abs().max(f64::MIN_POSITIVE);
        let smallest = (0..found.len()).min_by(|&a, &b| size(a).total_cmp(&size(b)));
        match smallest.filter(|&place| size(place) < least_change) {
            Some(place) => drop(found.remove(place)),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(levels: &[(usize, f64)], noise: f64, seed: u64) -> Vec<f64> {
        let mut random = Random::new(seed);
        levels
            .iter()
            .flat_map(|&(count, level)| vec![level; count])
            .map(|level| level * (1.0 + noise * random.normal()))
            .collect()
    }

    #[test]
    fn steps_are_found_where_they_are() {
        let values = series(&[(30, 1.0), (25, 1.1), (40, 1.02)], 0.01, 5);
        assert_eq!(changes(&values, &Options::default()), [30, 55]);
        // In a short series too, from three values on.
        assert_eq!(changes(&series(&[(20, 1.0), (3, 1.3)], 0.01, 6), &Options::default()), [20]);
        assert!(changes(&values, &Options { least_change: 0.2, ..Options::default() }).is_empty());
    }

    #[test]
    fn noise_and_single_outliers_are_no_change() {
        let mut wrong = 0;
        for seed in 0..100 {
            let mut values = series(&[(40, 1.0)], 0.03, 100 + seed);
            values[seed as usize % 40] *= 2.0;
            wrong += usize::from(!changes(&values, &Options::default()).is_empty());
        }
        assert!(wrong <= 4, "{wrong} of 100");
        assert!(changes(&[1.0; 50], &Options::default()).is_empty());
        assert!(changes(&[1.0, 9.0, 1.0, f64::NAN], &Options::default()).is_empty());
        assert!(changes(&[], &Options::default()).is_empty());
    }

    #[test]
    fn the_same_series_gives_the_same_answer() {
        let values = series(&[(15, 1.0), (15, 1.02)], 0.02, 9);
        let (detect, again) = (detector(Options::default()), detector(Options::default()));
        assert_eq!(detect(&values), again(&values));
    }
}
