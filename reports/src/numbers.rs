//! The few statistics that a table needs.

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The middle value, or the mean of the two middle ones. `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The narrowest pair of order statistics that holds the median with at least this confidence, whatever the
/// distribution. `None` where there are too few values.
pub fn median_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let sorted = sorted(values);
    let n = sorted.len();
    // Cumulative binomial(n, 1/2), in logarithms so that large n does not underflow to a wrong answer.
    let (mut term, mut below, mut depth) = (-(n as f64) * std::f64::consts::LN_2, 0.0, 0);
    for k in 0..n / 2 {
        below += term.exp();
        if 2.0 * below > 1.0 - confidence {
            break;
        }
        depth = k + 1;
        term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (depth > 0).then(|| Interval { low: sorted[depth - 1], high: sorted[n - depth] })
}

/// Positions of values beyond Tukey's fences (1.5 interquartile ranges outside the quartiles); none below 5 values.
pub fn tukey_outliers(values: &[f64]) -> Vec<usize> {
    if values.len() < 5 {
        return Vec::new();
    }
    let sorted = sorted(values);
    let quantile = |share: f64| {
        let place = share * (sorted.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        sorted[low] + part * (sorted[(low + 1).min(sorted.len() - 1)] - sorted[low])
    };
    let (q1, q3) = (quantile(0.25), quantile(0.75));
    let reach = 1.5 * (q3 - q1);
    (0..values.len()).filter(|&i| values[i] < q1 - reach || values[i] > q3 + reach).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(median_interval(&values[..5], 0.95), None);
        assert_eq!(median_interval(&values[..6], 0.95), Some(Interval { low: 1.0, high: 6.0 }));
        // Tables of the sign test: n = 10 gives the second and the ninth (97.9 %).
        assert_eq!(median_interval(&values, 0.95), Some(Interval { low: 2.0, high: 9.0 }));
        assert_eq!(tukey_outliers(&[1.0, 1.1, 0.9, 1.0, 5.0]), [4]);
    }
}
