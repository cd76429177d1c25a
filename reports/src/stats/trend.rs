//! Did the machine drift while launches were made? Kendall's test of value against order, and Theil and Sen's slope.
//!
//! Contract: each list is in the order in which it was measured; lists are looked at one by one and their evidence added, so a
//! step from one list to the next is no trend. Exact up to 30 values a list, else the normal approximation (Kendall 1938;
//! Mann 1945). Ties count half, against the distribution without ties, so a trend among many ties is seen late.

use super::{all_finite, normal, null, sorted};

/// Up to this many values in each list, the distribution is exact.
const EXACT: usize = 30;

/// A trend over order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// The median slope between any two values of a list, per place (Theil 1950, Sen 1968).
    pub slope: f64,
    /// The chance of so much order, in either direction, if there is no trend.
    pub p: f64,
}

/// The trend that all lists have in common. `None` if no list has two values, or one is not finite.
pub fn of(lists: &[Vec<f64>]) -> Option<Trend> {
    if lists.iter().any(|list| !all_finite(list)) {
        return None;
    }
    let (mut slopes, mut rising) = (Vec::new(), 0.0);
    for list in lists {
        for (i, early) in list.iter().enumerate() {
            for (j, late) in list.iter().enumerate().skip(i + 1) {
                slopes.push((late - early) / (j - i) as f64);
                rising += if late > early { 1.0 } else { f64::from(u8::from(late == early)) / 2.0 };
            }
        }
    }
    let slope = super::quantile(&sorted(&slopes), 0.5)?;
    let counts: Vec<usize> = lists.iter().map(Vec::len).filter(|count| *count > 1).collect();
    let p = if counts.iter().all(|count| *count <= EXACT) {
        // A half from a tie goes towards the middle: it shows less order, not more.
        let middle = slopes.len() as f64 / 2.0;
        let whole = if rising > middle { rising.floor() } else { rising.ceil() };
        null::two_sided(&null::inversions(&counts), whole as usize)
    } else {
        let variance: f64 = counts.iter().map(|&n| (n * (n - 1) * (2 * n + 5)) as f64 / 72.0).sum();
        (2.0 * normal::upper((rising - slopes.len() as f64 / 2.0).abs() / variance.sqrt())).min(1.0)
    };
    Some(Trend { slope, p })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases() {
        // Of the 120 orders of five values, two are monotone.
        let rising = of(&[vec![1.0, 2.0, 3.0, 4.0, 6.0]]).unwrap();
        assert!((rising.p - 2.0 / 120.0).abs() < 1e-15 && rising.slope == 1.0, "{rising:?}");
        // Two lists rise, the second from a lower level: the step between them is no trend.
        let both = of(&[vec![10.0, 11.0, 12.0], vec![1.0, 2.0, 3.0]]).unwrap();
        assert!((both.p - 2.0 / 36.0).abs() < 1e-15 && both.slope == 1.0, "{both:?}");
        let level = of(&[vec![2.0; 6]]).unwrap();
        assert!(level.slope == 0.0 && (level.p - 1.0).abs() < 1e-12, "{level:?}");
        assert_eq!(of(&[vec![1.0], Vec::new()]), None);
        assert_eq!(of(&[vec![1.0, f64::NAN]]), None);
    }

    #[test]
    fn the_approximation_meets_the_exact_distribution() {
        let list: Vec<f64> = (0..EXACT).map(|i| i as f64 * 0.06 + (i as f64 * 2.4).sin()).collect();
        let exact = of(std::slice::from_ref(&list)).unwrap().p;
        // A list too long to be exact, and without any order, beside it changes the way but hardly the answer.
        let longer: Vec<f64> = (0..=EXACT).map(|i| i as f64 * 0.06 + (i as f64 * 2.4).sin()).collect();
        let approximate = of(&[longer]).unwrap().p;
        assert!((0.0001..0.05).contains(&exact) && (approximate / exact - 1.0).abs() < 0.5, "{exact} {approximate}");
    }
}
