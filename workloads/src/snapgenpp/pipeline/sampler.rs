//! The sampler: noise levels, time features, and how a prediction moves the latent.
//!
//! Flow matching: x_t = (1 − σ)·x0 + σ·ε; the velocity is v = ε − x0 = dx/dσ.

use crate::blocks::time::sinusoids;
pub use crate::blocks::time::{TIMESTEPS, sigmas};
use crate::snapgenpp::Prediction;

/// The time features of a noise level, `[width]`: sinusoids of its timestep.
pub fn time_features(sigma: f64, width: usize) -> Vec<f32> {
    sinusoids(TIMESTEPS * sigma, width)
}

/// How a step moves the latent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// x ← x + (σ' − σ)·v.
    #[default]
    Euler,
    /// x ← (1 − σ')·x̂0 + σ'·ε', with fresh noise ε' (DMD2).
    Renoise,
}

/// One step in place: `x` `[n]` at level `sigma` to level `next`, given the denoiser's prediction and, for
/// [`Rule::Renoise`], fresh noise.
pub fn step(
    rule: Rule,
    prediction: Prediction,
    x: &mut [f32],
    predicted: &[f32],
    fresh: &[f32],
    sigma: f64,
    next: f64,
) {
    let (sigma, next) = (sigma as f32, next as f32);
    match rule {
        Rule::Euler => {
            let delta = next - sigma;
            for (x, &p) in x.iter_mut().zip(predicted) {
                let v = match prediction {
                    Prediction::Velocity => p,
                    Prediction::X0 => (*x - p) / sigma,
                };
                *x += delta * v;
            }
        }
        Rule::Renoise => {
            for ((x, &p), &noise) in x.iter_mut().zip(predicted).zip(fresh) {
                let clean = match prediction {
                    Prediction::Velocity => *x - sigma * p,
                    Prediction::X0 => p,
                };
                *x = (1.0 - next) * clean + next * noise;
            }
        }
    }
}

/// Classifier-free guidance in place: the prediction without the prompt, plus `scale` times what the prompt adds to it.
pub fn guide(predicted: &mut [f32], without: &[f32], scale: f32) {
    for (p, &u) in predicted.iter_mut().zip(without) {
        *p = u + scale * (*p - u);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_steps_are_the_papers() {
        for (shift, levels) in [(3.0, [1.0, 0.9, 0.75, 0.5, 0.0]), (1.0, [1.0, 0.75, 0.5, 0.25, 0.0])] {
            for (found, wanted) in sigmas(4, shift).iter().zip(levels) {
                assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
            }
        }
        let many = sigmas(28, 3.0);
        assert!(many.len() == 29 && many.windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn a_perfect_prediction_ends_at_the_clean_latent_by_either_rule() {
        let (clean, noise) = ([0.3f32, -1.2], [0.9f32, 0.4]);
        for rule in [Rule::Euler, Rule::Renoise] {
            for prediction in [Prediction::Velocity, Prediction::X0] {
                let levels = sigmas(4, 3.0);
                let mut x = noise;
                let mut current_noise = noise;
                for pair in levels.windows(2) {
                    let fresh = [0.1f32, -0.7];
                    let predicted: Vec<f32> = (0..2)
                        .map(|i| if prediction == Prediction::X0 { clean[i] } else { current_noise[i] - clean[i] })
                        .collect();
                    step(rule, prediction, &mut x, &predicted, &fresh, pair[0], pair[1]);
                    if rule == Rule::Renoise {
                        current_noise = fresh;
                    }
                }
                assert!(x.iter().zip(clean).all(|(a, b)| (a - b).abs() < 1e-5), "{rule:?} {prediction:?} {x:?}");
            }
        }
    }

    #[test]
    fn features_at_zero_are_ones_and_zeros() {
        let features = time_features(0.0, 8);
        assert_eq!(features, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((f64::from(time_features(0.5, 256)[128]) - 500f64.sin()).abs() < 1e-6);
    }
}
