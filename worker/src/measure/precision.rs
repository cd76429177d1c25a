//! How well a launch knows its median so far: decides when it has timed enough images.

/// Half the width of the median's distribution-free 95 % interval, as a share of the median. Infinite for fewer than
/// six samples, which no such interval covers.
pub fn relative_half_width(samples: &[f64]) -> f64 {
    let n = samples.len();
    if n < 6 {
        return f64::INFINITY;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Ranks n/2 ± 0.98·√n enclose the median with 95 % (normal approximation of the binomial), rounded outwards.
    let reach = 0.98 * (n as f64).sqrt();
    let low = ((n as f64 / 2.0 - reach).floor().max(0.0)) as usize;
    let high = ((n as f64 / 2.0 + reach).ceil() as usize).min(n - 1);
    (sorted[high] - sorted[low]) / 2.0 / sorted[n / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_samples_are_known_exactly_and_few_are_not_known() {
        assert_eq!(relative_half_width(&[2.0; 8]), 0.0);
        assert_eq!(relative_half_width(&[2.0; 5]), f64::INFINITY);
    }

    #[test]
    fn one_outlier_does_not_widen_a_long_series() {
        let mut samples = vec![1.0; 40];
        samples[7] = 9.0;
        assert_eq!(relative_half_width(&samples), 0.0);
        assert!(relative_half_width(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5]) > 0.15);
    }
}
