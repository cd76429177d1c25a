//! From a prompt to an image: text encoder, denoiser steps, decoder.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;

use super::config::ModelConfig;
use super::{DECODER, DENOISER, TEXT_ENCODER};
use crate::blocks::time::{TIMESTEPS, sigmas, sinusoids};
use crate::blocks::tokenizer;
use crate::{Drive, Inputs, InputsError, RunError, StageRunner, Times, Trace, run_stage};

/// The way from a prompt to an image.
pub(super) struct Way {
    pub(super) config: ModelConfig,
    pub(super) steps: usize,
}

fn features_name(step: usize) -> String {
    format!("time_features.{step:04}")
}

fn take<'a>(inputs: &'a Inputs, name: &str) -> Result<&'a Tensor, InputsError> {
    inputs.tensor(name).ok_or_else(|| InputsError::Wrong(format!("there is no tensor \"{name}\"")))
}

impl Drive for Way {
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let d = &self.config.denoiser;
        let shape = self.config.latent_shape();
        let mut tensors = Vec::new();
        match &self.config.text_encoder {
            Some(encoder) => {
                let ids = tokenizer::encode(encoder.vocabulary, d.text.tokens, prompt)
                    .map_err(|error| InputsError::Prompt(error.to_string()))?;
                tensors.push(("tokens".to_owned(), Tensor::i64([1, ids.len()], ids)?));
            }
            None => {
                let shape = [1, d.text.tokens, d.text.width];
                let features = normal("text", seed, shape.iter().product(), 0.0, 1.0);
                tensors.push(("text".to_owned(), Tensor::f32(shape, features)?));
            }
        }
        let noise = normal("noise", seed, shape.iter().product(), 0.0, 1.0);
        tensors.push(("noise".to_owned(), Tensor::f32(shape, noise)?));
        if let Some(width) = d.size_features {
            let sides = [self.config.image.height, self.config.image.width];
            let features = sides.iter().flat_map(|&side| sinusoids(side as f64, width / 2)).collect();
            tensors.push(("size_features".to_owned(), Tensor::f32([1, width], features)?));
        }
        for (step, sigma) in self.sigmas().into_iter().take(self.steps).enumerate() {
            let features = sinusoids(TIMESTEPS * sigma, d.time_features);
            tensors.push((features_name(step), Tensor::f32([1, d.time_features], features)?));
        }
        Ok(Inputs { tensors, about: BTreeMap::from([("sampler".to_owned(), "euler".to_owned())]) })
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = Instant::now();
        let d = &self.config.denoiser;
        let shape = self.config.latent_shape();
        let mut times = Times::default();
        let text = if self.config.text_encoder.is_some() {
            let (tokens, mut took) = (take(inputs, "tokens")?, Duration::ZERO);
            let wanted = [1, d.text.tokens, d.text.width];
            let text = run_stage(TEXT_ENCODER, std::slice::from_ref(tokens), &wanted, runner, &mut took)?;
            times.push(TEXT_ENCODER, took);
            text
        } else {
            take(inputs, "text")?.clone()
        };
        let mut x = take(inputs, "noise")?.as_f32()?.to_vec();
        let mut latents = Vec::with_capacity(self.steps);
        for (step, pair) in self.sigmas().windows(2).enumerate() {
            let mut feed = vec![Tensor::f32(shape, x.clone())?, take(inputs, &features_name(step))?.clone()];
            if d.size_features.is_some() {
                feed.push(take(inputs, "size_features")?.clone());
            }
            feed.push(text.clone());
            let mut took = Duration::ZERO;
            let velocity = run_stage(DENOISER, &feed, &shape, runner, &mut took)?;
            times.push(DENOISER, took);
            let move_by = (pair[1] - pair[0]) as f32;
            x.iter_mut().zip(velocity.as_f32()?).for_each(|(x, v)| *x += move_by * v);
            latents.push(x.clone());
        }
        let mut took = Duration::ZERO;
        let wanted = [1, 3, self.config.image.height, self.config.image.width];
        let image = run_stage(DECODER, &[Tensor::f32(shape, x)?], &wanted, runner, &mut took)?.into_f32()?;
        times.push(DECODER, took);
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: Some(self.config.image), times })
    }

    fn sigmas(&self) -> Vec<f64> {
        sigmas(self.steps, self.config.denoiser.time_shift)
    }
}
