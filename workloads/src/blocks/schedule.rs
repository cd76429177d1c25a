//! Noise levels of a net that was trained on discrete timesteps to predict the noise, and the step of DDIM.

use serde::{Deserialize, Serialize};

/// How much of the signal each timestep of the training leaves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Betas {
    /// Betas that rise evenly from timestep to timestep (DDPM, arXiv 2006.11239).
    Linear {
        /// The first timestep's.
        first: f64,
        /// The last timestep's.
        last: f64,
    },
    /// Betas of a signal that falls as a squared cosine (arXiv 2102.09672).
    Cosine {
        /// Keeps the first betas from vanishing.
        offset: f64,
        /// No beta is larger.
        most: f64,
    },
}

impl Betas {
    /// DDPM's and its followers' over 1000 timesteps.
    pub const LINEAR: Self = Self::Linear { first: 1e-4, last: 0.02 };
    /// Improved DDPM's.
    pub const COSINE: Self = Self::Cosine { offset: 0.008, most: 0.999 };
}

/// The timesteps of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// How many timesteps.
    pub timesteps: usize,
    /// Their betas.
    pub betas: Betas,
}

impl Schedule {
    /// The timesteps of so many steps, evenly spread from the last to 0; of one step, the last.
    pub fn timesteps_of(&self, steps: usize) -> Vec<usize> {
        let last = (self.timesteps - 1) as f64;
        let of = |i: usize| (last * (steps - 1 - i) as f64 / (steps - 1) as f64).round() as usize;
        if steps <= 1 { vec![self.timesteps - 1; steps] } else { (0..steps).map(of).collect() }
    }

    fn beta(&self, t: usize) -> f64 {
        match self.betas {
            Betas::Linear { first, last } => first + (last - first) * t as f64 / (self.timesteps.max(2) - 1) as f64,
            Betas::Cosine { offset, most } => {
                let left = |t: usize| {
                    let share = t as f64 / self.timesteps as f64;
                    libm::cos((share + offset) / (1.0 + offset) * std::f64::consts::FRAC_PI_2).powi(2)
                };
                (1.0 - left(t + 1) / left(t)).min(most)
            }
        }
    }

    /// The share ᾱ of the signal's variance at each of these timesteps, and 1 behind the last: the clean latent's.
    pub fn signal(&self, timesteps: &[usize]) -> Vec<f64> {
        let until = |t: &usize| (0..=*t).map(|t| 1.0 - self.beta(t)).product();
        timesteps.iter().map(until).chain([1.0]).collect()
    }
}

/// One step of DDIM without noise, in place: from the signal's share `now` to `next`, given the predicted noise.
pub(crate) fn ddim(x: &mut [f32], noise: &[f32], now: f64, next: f64) {
    let keep = (next / now).sqrt();
    let add = (1.0 - next).sqrt() - keep * (1.0 - now).sqrt();
    for (x, &noise) in x.iter_mut().zip(noise) {
        *x = (keep * f64::from(*x) + add * f64::from(noise)) as f32;
    }
}

/// The same for pixels, which lie in −1..1: the clean image that the prediction means is held to that, and the noise made to fit it, as ADM's
/// code does.
pub(crate) fn ddim_of_pixels(x: &mut [f32], noise: &[f32], now: f64, next: f64) {
    let (signal, share) = (now.sqrt(), (1.0 - now).sqrt());
    for (x, &noise) in x.iter_mut().zip(noise) {
        let clean = ((f64::from(*x) - share * f64::from(noise)) / signal).clamp(-1.0, 1.0);
        let noise = (f64::from(*x) - signal * clean) / share;
        *x = (next.sqrt() * clean + (1.0 - next).sqrt() * noise) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIT: Schedule = Schedule { timesteps: 1000, betas: Betas::LINEAR };
    const ADM_64: Schedule = Schedule { timesteps: 1000, betas: Betas::COSINE };

    // By scripts/golden_ddim.py, from the formulas of ADM's code.
    const COSINE_SIGNAL: [f64; 4] = [2.42876690703e-09, 2.46000558077e-01, 7.41974753107e-01, 9.99958715775e-01];
    const COSINE_STEPS: [[f32; 3]; 4] = [
        [0.930107, -1.581356, 2.232604],
        [0.798166, -1.353026, 1.787878],
        [0.519268, -0.877971, 1.011699],
        [0.516404, -0.873105, 1.0],
    ];
    const LINEAR_STEPS: [[f32; 3]; 4] = [
        [0.595744, -1.341629, 2.087513],
        [0.869962, -1.591063, 2.210167],
        [0.433085, -0.782512, 0.910293],
        [0.429409, -0.775808, 0.901346],
    ];

    #[test]
    fn timesteps_go_from_the_last_to_the_first() {
        assert_eq!(DIT.timesteps_of(4), [999, 666, 333, 0]);
        assert_eq!(DIT.timesteps_of(1), [999]);
        let many = DIT.timesteps_of(25);
        assert_eq!((many.len(), many[1], many[24]), (25, 957, 0));
    }

    #[test]
    fn signal_is_what_the_betas_leave() {
        let signal = DIT.signal(&[999, 0]);
        // The product over all timesteps, as DDPM's linear schedule is known to end: 4.0358e-5.
        assert!((signal[0] / 4.035_829_765_375_676e-5 - 1.0).abs() < 1e-9, "{}", signal[0]);
        assert_eq!(signal[1..], [1.0 - 1e-4, 1.0]);
    }

    #[test]
    fn signal_of_the_cosine_is_the_published_codes() {
        let wanted = COSINE_SIGNAL;
        for (found, wanted) in ADM_64.signal(&[999, 666, 333, 0]).into_iter().zip(wanted) {
            assert!((found / wanted - 1.0).abs() < 1e-9, "{found}, wanted {wanted}");
        }
    }

    #[test]
    fn steps_of_pixels_are_the_published_codes() {
        for (schedule, wanted) in [(ADM_64, COSINE_STEPS), (DIT, LINEAR_STEPS)] {
            let signal = schedule.signal(&schedule.timesteps_of(4));
            let mut x = [0.5f32, -1.25, 2.0];
            for (pair, wanted) in signal.windows(2).zip(wanted) {
                // A net that says something of everything that it is fed.
                let noise: Vec<f32> = x.iter().enumerate().map(|(i, x)| 0.9 * x + 0.05 * i as f32 - 0.02).collect();
                ddim_of_pixels(&mut x, &noise, pair[0], pair[1]);
                assert!(x.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 2e-6), "{x:?}, wanted {wanted:?}");
            }
        }
    }

    #[test]
    fn a_perfect_prediction_ends_at_the_clean_latent() {
        let (clean, noise) = ([0.3f32, -0.8], [0.9f32, 0.4]);
        for (steps, step) in [1, 2, 25].into_iter().flat_map(|steps| [(steps, ddim as Step), (steps, ddim_of_pixels)]) {
            let signal = DIT.signal(&DIT.timesteps_of(steps));
            let at =
                |a: f64, i: usize| (a.sqrt() * f64::from(clean[i]) + (1.0 - a).sqrt() * f64::from(noise[i])) as f32;
            let mut x = [at(signal[0], 0), at(signal[0], 1)];
            for pair in signal.windows(2) {
                step(&mut x, &noise, pair[0], pair[1]);
                let wanted = [at(pair[1], 0), at(pair[1], 1)];
                // The first level holds one part in 160 of the clean latent: f32 keeps four digits of it.
                assert!(
                    x.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-3),
                    "{steps} steps: {x:?}, wanted {wanted:?}"
                );
            }
        }
    }

    type Step = fn(&mut [f32], &[f32], f64, f64);
}
