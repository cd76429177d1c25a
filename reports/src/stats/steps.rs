//! Medians of what comes in steps: each step by itself, over images or launches.

use super::median;

/// The median of each step; of as many steps as all have.
pub fn steps_of(images: &[Vec<f64>]) -> Vec<f64> {
    let steps = images.iter().map(Vec::len).min().unwrap_or(0);
    (0..steps).filter_map(|step| step_of(images, step)).collect()
}

/// The median of one step over those that have it.
pub fn step_of(images: &[Vec<f64>], step: usize) -> Option<f64> {
    let values: Vec<f64> = images.iter().filter_map(|steps| steps.get(step).copied()).collect();
    median(&values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_own_median() {
        let images = [vec![1.0, 10.0, 7.0], vec![3.0, 30.0], vec![2.0, 20.0]];
        assert_eq!(steps_of(&images), [2.0, 20.0]);
        assert_eq!((step_of(&images, 2), step_of(&images, 3)), (Some(7.0), None));
        assert!(steps_of(&[]).is_empty());
    }
}
