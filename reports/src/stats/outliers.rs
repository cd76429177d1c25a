//! Outliers: labelled, never dropped.
//!
//! Contract: a label says that a value lies far from the rest by a named rule. Only a known cause (heat, an interruption)
//! may remove a sample, and that is not decided here.

use serde::{Deserialize, Serialize};

use super::{all_finite, median, quantile, sorted};

/// Values from which a label means something: with fewer, quartiles are the values themselves.
pub const FEWEST: usize = 5;

/// A label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// With the rest.
    #[default]
    Inside,
    /// Beyond the inner fences: 1.5 interquartile ranges outside the quartiles.
    Mild,
    /// Beyond the outer fences: 3 interquartile ranges.
    Severe,
}

/// Tukey's fences (*Exploratory Data Analysis*, 1977), quartiles by linear interpolation; all inside below [`FEWEST`].
pub fn tukey(values: &[f64]) -> Vec<Label> {
    let sorted = sorted(values);
    let quartiles = quantile(&sorted, 0.25).zip(quantile(&sorted, 0.75));
    let Some((q1, q3)) = quartiles.filter(|_| values.len() >= FEWEST && all_finite(values)) else {
        return vec![Label::Inside; values.len()];
    };
    let range = q3 - q1;
    let label = |value: &f64| match (q1 - value).max(value - q3) {
        far if far > 3.0 * range => Label::Severe,
        far if far > 1.5 * range => Label::Mild,
        _ => Label::Inside,
    };
    values.iter().map(label).collect()
}

/// Positions of values beyond Tukey's inner fences; none below [`FEWEST`] values.
pub fn tukey_outliers(values: &[f64]) -> Vec<usize> {
    tukey(values).iter().enumerate().filter(|(_, label)| **label != Label::Inside).map(|(place, _)| place).collect()
}

/// The median absolute deviation from the median, times 1.4826: of normal values it estimates the standard deviation.
/// `None` of nothing.
pub fn mad(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    let far: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    Some(1.482_602_218_505_602 * median(&far)?)
}

/// Positions whose modified z-score is over 3.5 (Iglewicz and Hoaglin 1993): more than 3.5 [`mad`]s from the median. None
/// below [`FEWEST`] values, and none where more than half of the values are equal, because there the measure is zero.
pub fn mad_outliers(values: &[f64]) -> Vec<usize> {
    let scale = mad(values).filter(|scale| *scale > 0.0 && values.len() >= FEWEST && all_finite(values));
    let Some((scale, middle)) = scale.zip(median(values)) else { return Vec::new() };
    // 0.6745 / 3.5 in the book's rounding; 1.4826 is the inverse of 0.6745.
    (0..values.len()).filter(|&place| (values[place] - middle).abs() > 3.5 * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_values_are_labelled() {
        assert_eq!(tukey_outliers(&[1.0, 1.1, 0.9, 1.0, 5.0]), [4]);
        let values = [10.0, 11.0, 12.0, 13.0, 14.0, 19.0, 40.0];
        assert_eq!(tukey(&values)[5..], [Label::Inside, Label::Severe]);
        assert_eq!(tukey(&[10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 22.0])[6], Label::Mild);
        assert_eq!(mad_outliers(&values), [6]);
        assert!(mad_outliers(&[1.0, 1.0, 1.0, 1.0, 9.0]).is_empty());
        assert!(tukey_outliers(&[1.0, 1.0, 1.0, 9.0]).is_empty());
        assert!((mad(&[1.0, 2.0, 3.0, 4.0, 100.0]).unwrap() - 1.482_602_218_505_602).abs() < 1e-15);
    }
}
