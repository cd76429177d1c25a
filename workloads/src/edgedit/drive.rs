//! From a class to an image: denoiser steps, then the decoder.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;

use super::axes::Guidance;
use super::config::ModelConfig;
use super::{DECODER, DENOISER};
use crate::blocks::schedule::ddim;
use crate::blocks::time::sinusoids;
use crate::{Drive, Inputs, InputsError, RunError, StageRunner, Times, Trace, run_stage};

/// The way from a class to an image.
pub(super) struct Way {
    pub(super) config: ModelConfig,
    pub(super) steps: usize,
    pub(super) class: usize,
    pub(super) guidance: Guidance,
}

fn features_name(step: usize) -> String {
    format!("time_features.{step:04}")
}

impl Way {
    /// The signal's share at each step, one more than steps.
    fn signal(&self) -> Vec<f64> {
        self.config.schedule.signal(&self.config.schedule.timesteps_of(self.steps))
    }

    /// The tensor of that name, if it has the shape wanted.
    fn take<'a>(inputs: &'a Inputs, name: &str, shape: &[usize]) -> Result<&'a Tensor, InputsError> {
        match inputs.tensor(name) {
            Some(tensor) if tensor.shape() == shape => Ok(tensor),
            Some(tensor) => Err(InputsError::Wrong(format!("\"{name}\" is {:?}, not {shape:?}", tensor.shape()))),
            None => Err(InputsError::Wrong(format!("there is no tensor \"{name}\""))),
        }
    }
}

impl Drive for Way {
    /// The class stands in the place of a prompt, which is not read.
    fn inputs(&self, _prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let d = &self.config.denoiser;
        let shape = self.config.latent_shape(1);
        let noise = Tensor::f32(shape, normal("noise", seed, shape.iter().product(), 0.0, 1.0))?;
        let mut tensors = vec![
            ("class".to_owned(), Tensor::i64([1, 1], vec![self.class as i64])?),
            ("no_class".to_owned(), Tensor::i64([1, 1], vec![d.classes as i64])?),
            ("noise".to_owned(), noise),
        ];
        for (step, &t) in self.config.schedule.timesteps_of(self.steps).iter().enumerate() {
            let features = sinusoids(t as f64, d.time_features);
            tensors.push((features_name(step), Tensor::f32([1, d.time_features], features)?));
        }
        Ok(Inputs { tensors, about: BTreeMap::from([("sampler".to_owned(), self.guidance.sampler())]) })
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = Instant::now();
        let d = &self.config.denoiser;
        let shape = self.config.latent_shape(d.batch);
        let one = self.config.latent_shape(1);
        let class = Self::take(inputs, "class", &[1, 1])?.as_i64()?;
        let none = Self::take(inputs, "no_class", &[1, 1])?.as_i64()?;
        let mut x = Self::take(inputs, "noise", &one)?.as_f32()?.to_vec();
        let (mut times, mut latents) = (Times::default(), Vec::with_capacity(self.steps));
        for (step, pair) in self.signal().windows(2).enumerate() {
            let features = Self::take(inputs, &features_name(step), &[1, d.time_features])?.as_f32()?;
            let mut took = Duration::ZERO;
            let mut predict = |classes: Vec<i64>, took: &mut Duration| -> Result<Vec<f32>, RunError> {
                let feed = [
                    Tensor::f32(shape, x.repeat(d.batch))?,
                    Tensor::f32([d.batch, d.time_features], features.repeat(d.batch))?,
                    Tensor::i64([d.batch, 1], classes)?,
                ];
                Ok(run_stage(DENOISER, &feed, &shape, runner, took)?.into_f32()?)
            };
            let (mut predicted, without) = match self.guidance.scale() {
                None => (predict(class.to_vec(), &mut took)?, None),
                Some(scale) if self.guidance.batched => {
                    let mut both = predict([class, none].concat(), &mut took)?;
                    let without = both.split_off(both.len() / 2);
                    (both, Some((without, scale)))
                }
                Some(scale) => {
                    let with = predict(class.to_vec(), &mut took)?;
                    (with, Some((predict(none.to_vec(), &mut took)?, scale)))
                }
            };
            times.push(DENOISER, took);
            if let Some((without, scale)) = without {
                let guided = d.guided_channels * one[2] * one[3];
                for (p, &u) in predicted.iter_mut().zip(&without).take(guided) {
                    *p = u + scale * (*p - u);
                }
            }
            ddim(&mut x, &predicted, pair[0], pair[1]);
            latents.push(x.clone());
        }
        let mut took = Duration::ZERO;
        let wanted = [1, 3, self.config.image.height, self.config.image.width];
        let image = run_stage(DECODER, &[Tensor::f32(one, x)?], &wanted, runner, &mut took)?.into_f32()?;
        times.push(DECODER, took);
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: Some(self.config.image), times })
    }

    /// The share of noise in a latent of unit variance at each step: √(1 − ᾱ).
    fn sigmas(&self) -> Vec<f64> {
        self.signal().iter().map(|signal| (1.0 - signal).sqrt()).collect()
    }
}
