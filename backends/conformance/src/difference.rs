//! How far a result is from the truth.

/// The distance of one tensor from the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// ‖found − wanted‖ / ‖wanted‖ over all elements; the plain distance where the reference is all zero. Not a number
    /// if either holds one.
    pub relative_l2: f64,
    /// The largest difference of an element.
    pub max_abs: f64,
}

impl Difference {
    /// Of `found` from `wanted`. Tensors of different lengths are infinitely far apart.
    pub fn between(found: &[f32], wanted: &[f64]) -> Self {
        if found.len() != wanted.len() {
            return Self { relative_l2: f64::INFINITY, max_abs: f64::INFINITY };
        }
        let (mut error, mut norm, mut max_abs) = (0.0, 0.0, 0.0f64);
        for (&found, &wanted) in found.iter().zip(wanted) {
            let difference = f64::from(found) - wanted;
            error += difference * difference;
            norm += wanted * wanted;
            max_abs = max_abs.max(difference.abs());
        }
        let scale = if norm == 0.0 { 1.0 } else { norm.sqrt() };
        Self { relative_l2: error.sqrt() / scale, max_abs }
    }

    /// Whether it is within a bound. What is not a number never is.
    pub fn is_within(&self, bound: f64) -> bool {
        self.relative_l2 <= bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_relative_and_nan_is_never_near() {
        let difference = Difference::between(&[3.0, 4.5], &[3.0, 4.0]);
        assert_eq!(difference, Difference { relative_l2: 0.1, max_abs: 0.5 });
        assert!(!Difference::between(&[f32::NAN], &[1.0]).is_within(f64::INFINITY));
        assert_eq!(Difference::between(&[0.25], &[0.0]).relative_l2, 0.25);
        assert!(!Difference::between(&[1.0], &[1.0, 1.0]).is_within(1.0));
    }
}
