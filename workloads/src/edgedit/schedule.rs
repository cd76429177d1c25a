//! Noise levels of a net that was trained on discrete timesteps to predict the noise, and the step of DDIM.

use serde::{Deserialize, Serialize};

/// Betas that rise evenly from timestep to timestep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// How many timesteps.
    pub timesteps: usize,
    /// The first timestep's beta.
    pub first_beta: f64,
    /// The last timestep's beta.
    pub last_beta: f64,
}

impl Schedule {
    /// The timesteps of so many steps, evenly spread from the last to 0; of one step, the last.
    pub fn timesteps_of(&self, steps: usize) -> Vec<usize> {
        let last = (self.timesteps - 1) as f64;
        let of = |i: usize| (last * (steps - 1 - i) as f64 / (steps - 1) as f64).round() as usize;
        if steps <= 1 { vec![self.timesteps - 1; steps] } else { (0..steps).map(of).collect() }
    }

    /// The share ᾱ of the signal's variance at each of these timesteps, and 1 behind the last: the clean latent's.
    pub fn signal(&self, timesteps: &[usize]) -> Vec<f64> {
        let gaps = (self.timesteps.max(2) - 1) as f64;
        let beta = |t: usize| self.first_beta + (self.last_beta - self.first_beta) * t as f64 / gaps;
        let until = |t: &usize| (0..=*t).map(|t| 1.0 - beta(t)).product();
        timesteps.iter().map(until).chain([1.0]).collect()
    }
}

/// One step of DDIM without noise, in place: from the signal's share `now` to `next`, given the predicted noise.
pub fn ddim(x: &mut [f32], noise: &[f32], now: f64, next: f64) {
    let keep = (next / now).sqrt();
    let add = (1.0 - next).sqrt() - keep * (1.0 - now).sqrt();
    for (x, &noise) in x.iter_mut().zip(noise) {
        *x = (keep * f64::from(*x) + add * f64::from(noise)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIT: Schedule = Schedule { timesteps: 1000, first_beta: 1e-4, last_beta: 0.02 };

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
    fn a_perfect_prediction_ends_at_the_clean_latent() {
        let (clean, noise) = ([0.3f32, -1.2], [0.9f32, 0.4]);
        for steps in [1, 2, 25] {
            let signal = DIT.signal(&DIT.timesteps_of(steps));
            let at =
                |a: f64, i: usize| (a.sqrt() * f64::from(clean[i]) + (1.0 - a).sqrt() * f64::from(noise[i])) as f32;
            let mut x = [at(signal[0], 0), at(signal[0], 1)];
            for pair in signal.windows(2) {
                ddim(&mut x, &noise, pair[0], pair[1]);
                let wanted = [at(pair[1], 0), at(pair[1], 1)];
                // The first level holds one part in 160 of the clean latent: f32 keeps four digits of it.
                assert!(
                    x.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-3),
                    "{steps} steps: {x:?}, wanted {wanted:?}"
                );
            }
        }
    }
}
