//! Student's distribution: what stands for the normal one where the spread itself is known from a few values only.

/// P(T ≤ t) with so many degrees of freedom, by the finite sums for whole numbers of them (Abramowitz and Stegun 1964, 26.7.3 and
/// 26.7.4). NaN without a degree of freedom.
pub fn cdf(t: f64, freedom: usize) -> f64 {
    if freedom == 0 || t.is_nan() {
        return f64::NAN;
    }
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // Terms c, 2/3·c³, 2·4/(3·5)·c⁵, … where odd; 1, 1/2·c², 1·3/(2·4)·c⁴, … where even.
    let first = if odd { cosine } else { 1.0 };
    let terms = if odd { (freedom - 1) / 2 } else { freedom / 2 };
    let (mut term, mut sum) = (first, 0.0);
    for place in 1..=terms {
        sum += term;
        let (over, under) = if odd { (2 * place, 2 * place + 1) } else { (2 * place - 1, 2 * place) };
        term *= over as f64 / under as f64 * cosine * cosine;
    }
    // P(−t ≤ T ≤ t), with the sign of t.
    let within = if odd { 2.0 / std::f64::consts::PI * (angle + sine * sum) } else { sine * sum };
    0.5 * (1.0 + within)
}

/// The t below which a share of the distribution lies; `None` without a degree of freedom, or outside 0..1.
pub fn quantile(share: f64, freedom: usize) -> Option<f64> {
    if freedom == 0 || !(share > 0.0 && share < 1.0) {
        return None;
    }
    if share < 0.5 {
        return quantile(1.0 - share, freedom).map(|t| -t);
    }
    let mut high = 1.0;
    while cdf(high, freedom) < share && high < 1e12 {
        high *= 2.0;
    }
    let mut low = 0.0;
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if cdf(middle, freedom) < share { low = middle } else { high = middle }
    }
    Some(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::normal;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, wanted) in
            [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (10, 2.22814), (30, 2.04227)]
        {
            let found = quantile(0.975, freedom).unwrap();
            assert!((found - wanted).abs() < 5e-5 * wanted, "{freedom}: {found}");
            assert!((cdf(found, freedom) - 0.975).abs() < 1e-9);
            assert_eq!(quantile(0.025, freedom), Some(-found));
        }
        let (many, limit) = (quantile(0.975, 100_000).unwrap(), normal::quantile(0.975));
        assert!((many - limit).abs() < 1e-4, "{many} {limit}");
        assert_eq!(
            (quantile(0.975, 0), quantile(1.0, 3), quantile(0.5, 3).map(|t| t.abs() < 1e-9)),
            (None, None, Some(true))
        );
    }
}
