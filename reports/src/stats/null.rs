//! Exact distributions of rank sums if nothing has changed, with and without ties.
//!
//! Contract: counts are sums of positive terms only, so the relative error is a few units in the last place however small a
//! probability is. Ranks are doubled, which makes midranks whole.

/// Counts as probabilities.
fn shares(mut counts: Vec<f64>) -> Vec<f64> {
    let total: f64 = counts.iter().sum();
    counts.iter_mut().for_each(|count| *count /= total);
    counts
}

/// P(U = u) for u = 0..=m·n of the Mann-Whitney statistic without ties: all C(m+n, m) orders are as likely.
///
/// Elements are placed in order; one of the first group counts those of the second before it (the Gaussian binomial
/// coefficient, built up without a division).
pub(super) fn mann_whitney(m: usize, n: usize) -> Vec<f64> {
    let (few, many) = (m.min(n), m.max(n));
    let width = few * many + 1;
    let mut ways = vec![0.0; (few + 1) * width];
    ways[0] = 1.0;
    for placed in 0..few + many {
        for first in (0..few.min(placed + 1)).rev() {
            let before = placed - first;
            if before > many {
                continue;
            }
            // Of `placed` elements, `first` were of the first group: now one more of it.
            let (from, to) = ways.split_at_mut((first + 1) * width);
            let (from, to) = (&from[first * width..], &mut to[..width]);
            for u in 0..=first * before {
                to[u + before] += from[u];
            }
        }
    }
    shares(ways.split_off(few * width))
}

/// P(sum = s) for s = 0, 1, … of the sum of `count` of the doubled ranks, each choice as likely.
pub(super) fn subset_sums(doubled: &[usize], count: usize) -> Vec<f64> {
    let mut largest = doubled.to_vec();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let width = largest.iter().take(count).sum::<usize>() + 1;
    let mut ways = vec![0.0; (count + 1) * width];
    ways[0] = 1.0;
    for (seen, &rank) in doubled.iter().enumerate() {
        for chosen in (0..count.min(seen + 1)).rev() {
            let (from, to) = ways.split_at_mut((chosen + 1) * width);
            let (from, to) = (&from[chosen * width..], &mut to[..width]);
            for sum in rank..width {
                to[sum] += from[sum - rank];
            }
        }
    }
    shares(ways.split_off(count * width))
}

/// P(sum = s) for s = 0, 1, … of the doubled ranks whose sign is plus, each sign as likely.
pub(super) fn signed_sums(doubled: &[usize]) -> Vec<f64> {
    let width = doubled.iter().sum::<usize>() + 1;
    let mut ways = vec![0.0; width];
    ways[0] = 1.0;
    let mut reach = 0;
    for &rank in doubled {
        for sum in (0..=reach).rev() {
            ways[sum + rank] += ways[sum];
        }
        reach += rank;
    }
    shares(ways)
}

/// P(count = c) for c = 0, 1, … of pairs in rising order, over lists of so many values each, every order of each as likely
/// (products of the Gaussian factorials).
pub(super) fn inversions(counts: &[usize]) -> Vec<f64> {
    let mut shares = vec![1.0];
    for &count in counts {
        for placed in 1..count {
            // The next value has 0..=placed of those before it below it, each as likely.
            let mut next = vec![0.0; shares.len() + placed];
            for (sum, share) in shares.iter().enumerate() {
                for more in 0..=placed {
                    next[sum + more] += share / (placed + 1) as f64;
                }
            }
            shares = next;
        }
    }
    shares
}

/// 2·min(P(≤ value), P(≥ value)), at most 1. Each tail is summed by itself, so that small ones keep their digits.
pub(super) fn two_sided(shares: &[f64], value: usize) -> f64 {
    let at_most: f64 = shares.iter().take(value + 1).sum();
    let at_least: f64 = shares.iter().skip(value).sum();
    (2.0 * at_most.min(at_least)).min(1.0)
}

/// How many values from 0 on have a cumulated probability of at most `miss`: the depth of the interval's ends.
pub(super) fn depth(shares: &[f64], miss: f64) -> usize {
    let mut below = 0.0;
    let within = |share: &&f64| {
        below += **share;
        below <= miss * (1.0 + 1e-12)
    };
    shares.iter().take_while(within).count()
}

/// Twice the midrank of each value among all (1-based ranks), and Σ(t³ − t) over groups of ties.
pub(super) fn doubled_midranks(values: &[f64]) -> (Vec<usize>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0; values.len()];
    let (mut from, mut ties) = (0, 0.0);
    while from < order.len() {
        let to = (from..order.len()).find(|&place| values[order[place]] != values[order[from]]).unwrap_or(order.len());
        for &place in &order[from..to] {
            // The mean of ranks from+1 ..= to, doubled.
            ranks[place] = from + 1 + to;
        }
        let t = (to - from) as f64;
        ties += t * t * t - t;
        from = to;
    }
    (ranks, ties)
}
