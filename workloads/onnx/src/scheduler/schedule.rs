//! The steps of one image: noise levels, what the denoiser is fed, and where its prediction moves the latent.

use super::{Clip, Diffusion, Prediction, Rule, Scheduler, SchedulerError, Shift, Spacing};

/// What a pipeline says about its noise levels. The scheduler's file alone does not decide them: StableDiffusion3Pipeline
/// takes the ends of the table of training, FluxPipeline hands over levels of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The scheduler's own levels.
    Own,
    /// Evenly from 1 to 1/steps, to be shifted for an image of so many latent tokens.
    Even {
        /// Latent tokens.
        tokens: usize,
    },
}

/// The steps of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What the denoiser is told at each step, in the scheduler's unit (0 to 1000).
    pub timesteps: Vec<f64>,
    /// Noise levels σ, one more than steps; empty where the rule has none (LCM, DDIM).
    pub sigmas: Vec<f64>,
    /// The first latent is standard normal noise times this.
    pub first_scale: f64,
    moves: Vec<Move>,
}

/// How one step moves the latent.
#[derive(Clone, Debug, PartialEq)]
enum Move {
    /// Along the direction of the noise from one level to another, then with fresh noise of a scale.
    Euler { sigma: f64, to: f64, fresh: Option<f64>, prediction: Prediction },
    /// Along the predicted velocity.
    Flow { by: f64 },
    /// To the clean latent, and back to `to` with fresh noise if there is a step to come.
    Lcm { alpha: f64, to: Option<f64>, clean: f64, skip: f64, clip: Clip, prediction: Prediction },
    /// To the clean latent, and back to `to` with the predicted noise.
    Ddim { alpha: f64, to: f64, clip: Clip, prediction: Prediction },
}

impl Scheduler {
    /// The steps of one image.
    ///
    /// # Errors
    /// [`SchedulerError::Steps`] for none or too many, [`SchedulerError::Pipeline`] for a plan that this scheduler has no
    /// rule for.
    pub fn schedule(&self, plan: Plan, steps: usize) -> Result<Schedule, SchedulerError> {
        let fail = |why: String| SchedulerError::Steps { class: self.class(), steps, why };
        let most = match &self.rule {
            Rule::Euler { diffusion, .. } | Rule::Ddim { diffusion, .. } => diffusion.alphas.len(),
            Rule::Lcm { original_steps, .. } => *original_steps,
            Rule::Flow { train_steps, .. } => *train_steps,
        };
        if steps == 0 || steps > most {
            return Err(fail(format!("use 1 to {most}")));
        }
        let pipeline = |pipeline: &str, why: &str| SchedulerError::Pipeline {
            class: self.class(),
            pipeline: pipeline.to_owned(),
            why: why.to_owned(),
        };
        match (&self.rule, plan) {
            (Rule::Flow { train_steps, shift }, plan) => flow(*train_steps, *shift, plan, steps).ok_or_else(|| {
                pipeline("StableDiffusion3Pipeline", "use_dynamic_shifting is known for FluxPipeline alone")
            }),
            (_, Plan::Even { .. }) => Err(pipeline("FluxPipeline", "use FlowMatchEulerDiscreteScheduler")),
            (Rule::Euler { diffusion, spacing, offset, ancestral, last_is_lowest }, Plan::Own) => {
                let times = spaced(*spacing, diffusion.alphas.len(), steps, *offset);
                let last = if *last_is_lowest { level(diffusion.alphas[0]) } else { 0.0 };
                let sigmas: Option<Vec<f64>> = times.iter().map(|&time| diffusion.sigma(time)).collect();
                let sigmas = sigmas.ok_or_else(|| fail(beyond(&times)))?;
                let leading = *spacing == Spacing::Leading;
                Ok(euler(times, sigmas, last, diffusion.prediction, *ancestral, leading))
            }
            (Rule::Lcm { diffusion, original_steps, scaling, clip }, Plan::Own) => {
                Ok(lcm(diffusion, *original_steps, *scaling, *clip, steps))
            }
            (Rule::Ddim { diffusion, spacing, offset, clip, last_is_one }, Plan::Own) => {
                let last = if *last_is_one { 1.0 } else { diffusion.alphas[0] };
                let times: Vec<f64> = spaced(*spacing, diffusion.alphas.len(), steps, *offset)
                    .iter()
                    .map(|time| time.round_ties_even())
                    .collect();
                let back = diffusion.alphas.len() / steps;
                let moves = times.iter().map(|&time| {
                    let to = match time - back as f64 {
                        to if to >= 0.0 => *diffusion.alphas.get(to as usize)?,
                        _ => last,
                    };
                    let alpha = *diffusion.alphas.get(time as usize)?;
                    Some(Move::Ddim { alpha, to, clip: *clip, prediction: diffusion.prediction })
                });
                let moves = moves.collect::<Option<Vec<_>>>().ok_or_else(|| fail(beyond(&times)))?;
                Ok(Schedule { timesteps: times, sigmas: Vec::new(), first_scale: 1.0, moves })
            }
        }
    }
}

fn beyond(times: &[f64]) -> String {
    let first = times.first().copied().unwrap_or_default();
    format!("the first timestep would be {first}, beyond those of training (see steps_offset)")
}

impl Schedule {
    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.moves.len()
    }

    /// What the latent is divided by before the denoiser sees it at a step.
    pub fn input_divisor(&self, step: usize) -> f64 {
        match self.moves.get(step) {
            Some(Move::Euler { sigma, .. }) => (sigma * sigma + 1.0).sqrt(),
            _ => 1.0,
        }
    }

    /// Whether a step draws fresh noise. The last step of EulerAncestral draws some too and multiplies it by 0, as in
    /// diffusers: a stored series of noises holds it.
    pub fn is_noisy(&self, step: usize) -> bool {
        match self.moves.get(step) {
            Some(Move::Euler { fresh, .. }) => fresh.is_some(),
            Some(Move::Lcm { to, .. }) => to.is_some(),
            _ => false,
        }
    }

    /// Moves one element of the latent by its prediction; `fresh` is noise of its own where [`Schedule::is_noisy`], and
    /// read nowhere else. A step that there is not moves nothing.
    pub fn step(&self, step: usize, x: f64, predicted: f64, fresh: f64) -> f64 {
        match self.moves.get(step) {
            None => x,
            Some(&Move::Flow { by }) => x + by * predicted,
            Some(&Move::Euler { sigma, to, fresh: scale, prediction }) => {
                let direction = match prediction {
                    Prediction::Epsilon => predicted,
                    Prediction::Sample => (x - predicted) / sigma,
                    Prediction::Velocity => {
                        let whole = sigma * sigma + 1.0;
                        (x - (x / whole - predicted * sigma / whole.sqrt())) / sigma
                    }
                };
                let moved = x + direction * (to - sigma);
                scale.map_or(moved, |scale| moved + fresh * scale)
            }
            Some(&Move::Lcm { alpha, to, clean, skip, clip, prediction }) => {
                let (x0, _) = clean_and_noise(prediction, alpha, x, predicted);
                let denoised = clean * clipped(clip, x0) + skip * x;
                to.map_or(denoised, |to| to.sqrt() * denoised + (1.0 - to).sqrt() * fresh)
            }
            Some(&Move::Ddim { alpha, to, clip, prediction }) => {
                let (x0, noise) = clean_and_noise(prediction, alpha, x, predicted);
                to.sqrt() * clipped(clip, x0) + (1.0 - to).sqrt() * noise
            }
        }
    }
}

fn clipped(clip: Clip, x0: f64) -> f64 {
    clip.map_or(x0, |range| x0.clamp(-range, range))
}

/// The clean latent and the noise that a prediction means.
fn clean_and_noise(prediction: Prediction, alpha: f64, x: f64, predicted: f64) -> (f64, f64) {
    let (a, b) = (alpha.sqrt(), (1.0 - alpha).sqrt());
    match prediction {
        Prediction::Epsilon => ((x - b * predicted) / a, predicted),
        Prediction::Sample => (predicted, (x - a * predicted) / b),
        Prediction::Velocity => (a * x - b * predicted, a * predicted + b * x),
    }
}

/// σ at ᾱ, rounded to f32 as the table of diffusers is.
fn level(alpha: f64) -> f64 {
    f64::from(((1.0 - alpha) / alpha).sqrt() as f32)
}

impl Diffusion {
    /// σ at a timestep, between two of training by a straight line.
    fn sigma(&self, time: f64) -> Option<f64> {
        let (below, share) = (time.floor(), time.fract());
        let at = |index: f64| self.alphas.get(index as usize).map(|&alpha| level(alpha));
        let low = at(below)?;
        let sigma = if share == 0.0 { low } else { low + share * (at(below + 1.0)? - low) };
        Some(f64::from(sigma as f32))
    }
}

/// Timesteps of `steps` steps among `train` of training, highest first.
fn spaced(spacing: Spacing, train: usize, steps: usize, offset: usize) -> Vec<f64> {
    let (train, count) = (train as f64, steps as f64);
    (0..steps)
        .map(|index| index as f64)
        .map(|index| match spacing {
            // Of one step, numpy's linspace is its beginning.
            Spacing::Linspace if steps == 1 => 0.0,
            Spacing::Linspace => f64::from(((count - 1.0 - index) * ((train - 1.0) / (count - 1.0))) as f32),
            Spacing::Leading => (count - 1.0 - index) * (train / count).floor() + offset as f64,
            Spacing::Trailing => (train - index * (train / count)).round_ties_even() - 1.0,
        })
        .collect()
}

fn euler(
    timesteps: Vec<f64>,
    mut sigmas: Vec<f64>,
    last: f64,
    prediction: Prediction,
    ancestral: bool,
    leading: bool,
) -> Schedule {
    let highest = sigmas.iter().copied().fold(0.0, f64::max);
    let first_scale = if leading { (highest * highest + 1.0).sqrt() } else { highest };
    sigmas.push(last);
    let moves = sigmas
        .windows(2)
        .map(|pair| {
            let (sigma, next) = (pair[0], pair[1]);
            let (to, fresh) = match ancestral {
                false => (next, None),
                true => {
                    let up = (next * next * (sigma * sigma - next * next) / (sigma * sigma)).sqrt();
                    ((next * next - up * up).max(0.0).sqrt(), Some(up))
                }
            };
            Move::Euler { sigma, to, fresh, prediction }
        })
        .collect();
    Schedule { timesteps, sigmas, first_scale, moves }
}

fn lcm(diffusion: &Diffusion, original: usize, scaling: f64, clip: Clip, steps: usize) -> Schedule {
    /// The standard deviation of data that the boundary condition assumes.
    const DATA: f64 = 0.5;
    let apart = diffusion.alphas.len() / original;
    // Of the levels that it was distilled at, evenly from the highest on.
    let stride = original as f64 / steps as f64;
    let times: Vec<usize> =
        (0..steps).map(|index| (original - (index as f64 * stride).floor() as usize) * apart - 1).collect();
    let moves = times.iter().enumerate().map(|(index, &time)| {
        let scaled = time as f64 * scaling;
        let whole = scaled * scaled + DATA * DATA;
        Move::Lcm {
            alpha: diffusion.alphas[time],
            to: times.get(index + 1).map(|&next| diffusion.alphas[next]),
            clean: scaled / whole.sqrt(),
            skip: DATA * DATA / whole,
            clip,
            prediction: diffusion.prediction,
        }
    });
    let moves = moves.collect();
    let timesteps = times.into_iter().map(|time| time as f64).collect();
    Schedule { timesteps, sigmas: Vec::new(), first_scale: 1.0, moves }
}

fn flow(train_steps: usize, shift: Shift, plan: Plan, steps: usize) -> Option<Schedule> {
    let (train, count) = (train_steps as f64, steps as f64);
    let evenly = |last: f64, index: usize| match steps {
        1 => 1.0,
        _ => 1.0 + (last - 1.0) * index as f64 / (count - 1.0),
    };
    let fixed = |s: f64, sigma: f64| s * sigma / (1.0 + (s - 1.0) * sigma);
    let shifted = |index: usize| match (plan, shift) {
        // The table of training is shifted already, and its ends are shifted again.
        (Plan::Own, Shift::Fixed(s)) => Some(fixed(s, evenly(fixed(s, 1.0 / train), index))),
        (Plan::Own, Shift::ByTokens { .. }) => None,
        (Plan::Even { .. }, Shift::Fixed(s)) => Some(fixed(s, evenly(1.0 / count, index))),
        (Plan::Even { tokens }, Shift::ByTokens { base, most, exponential }) => {
            let slope = (most.1 - base.1) / (most.0 - base.0);
            let mu = base.1 + slope * (tokens as f64 - base.0);
            let mu = if exponential { mu.exp() } else { mu };
            Some(mu / (mu + (1.0 / evenly(1.0 / count, index) - 1.0)))
        }
    };
    let mut sigmas: Vec<f64> = (0..steps).map(shifted).collect::<Option<_>>()?;
    sigmas.iter_mut().for_each(|sigma| *sigma = f64::from(*sigma as f32));
    let timesteps = sigmas.iter().map(|sigma| sigma * train).collect();
    sigmas.push(0.0);
    let moves = sigmas.windows(2).map(|pair| Move::Flow { by: pair[1] - pair[0] }).collect();
    Some(Schedule { timesteps, sigmas, first_scale: 1.0, moves })
}
