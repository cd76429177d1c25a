//! From a prompt to an image by flow matching: text encoder, denoiser steps by Euler's rule, decoder.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;

use super::clip::TextSource;
use super::time::{TIMESTEPS, sigmas, sinusoids};
use super::tokenizer;
use crate::{Drive, ImageSize, Inputs, InputsError, RunError, StageRunner, Times, Trace, run_stage};

/// The stage that turns token ids into embeddings.
pub const TEXT_ENCODER: &str = "text_encoder";
/// The stage that runs in every step.
pub const DENOISER: &str = "denoiser";
/// The stage that turns the last latent into an image.
pub const DECODER: &str = "decoder";

/// The way from a prompt to an image. The denoiser reads latent, time features, the image's size where it wants that, and text, and
/// predicts the velocity.
pub(crate) struct Way {
    pub(crate) steps: usize,
    pub(crate) image: ImageSize,
    /// `[1, C, h, w]`.
    pub(crate) latent: [usize; 4],
    /// Entries of the text encoder's embedding; `None` where seeded noise stands for a text encoder that cannot be carried.
    pub(crate) vocabulary: Option<usize>,
    pub(crate) text: TextSource,
    /// Width of the time features.
    pub(crate) time_features: usize,
    /// Width of the features of the image's size, where the net reads them.
    pub(crate) size_features: Option<usize>,
    /// Shift of the noise levels towards noise.
    pub(crate) time_shift: f64,
}

fn features_name(step: usize) -> String {
    format!("time_features.{step:04}")
}

fn take<'a>(inputs: &'a Inputs, name: &str) -> Result<&'a Tensor, InputsError> {
    inputs.tensor(name).ok_or_else(|| InputsError::Wrong(format!("there is no tensor \"{name}\"")))
}

impl Drive for Way {
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let mut tensors = Vec::new();
        match self.vocabulary {
            Some(vocabulary) => {
                let ids = tokenizer::encode(vocabulary, self.text.tokens, prompt)
                    .map_err(|error| InputsError::Prompt(error.to_string()))?;
                tensors.push(("tokens".to_owned(), Tensor::i64([1, ids.len()], ids)?));
            }
            None => {
                let shape = [1, self.text.tokens, self.text.width];
                let features = normal("text", seed, shape.iter().product(), 0.0, 1.0);
                tensors.push(("text".to_owned(), Tensor::f32(shape, features)?));
            }
        }
        let noise = normal("noise", seed, self.latent.iter().product(), 0.0, 1.0);
        tensors.push(("noise".to_owned(), Tensor::f32(self.latent, noise)?));
        if let Some(width) = self.size_features {
            let sides = [self.image.height, self.image.width];
            let features = sides.iter().flat_map(|&side| sinusoids(side as f64, width / 2)).collect();
            tensors.push(("size_features".to_owned(), Tensor::f32([1, width], features)?));
        }
        for (step, sigma) in self.sigmas().into_iter().take(self.steps).enumerate() {
            let features = sinusoids(TIMESTEPS * sigma, self.time_features);
            tensors.push((features_name(step), Tensor::f32([1, self.time_features], features)?));
        }
        Ok(Inputs { tensors, about: BTreeMap::from([("sampler".to_owned(), "euler".to_owned())]) })
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = Instant::now();
        let mut times = Times::default();
        let text = if self.vocabulary.is_some() {
            let (tokens, mut took) = (take(inputs, "tokens")?, Duration::ZERO);
            let wanted = [1, self.text.tokens, self.text.width];
            let text = run_stage(TEXT_ENCODER, std::slice::from_ref(tokens), &wanted, runner, &mut took)?;
            times.push(TEXT_ENCODER, took);
            text
        } else {
            take(inputs, "text")?.clone()
        };
        let mut x = take(inputs, "noise")?.as_f32()?.to_vec();
        let mut latents = Vec::with_capacity(self.steps);
        for (step, pair) in self.sigmas().windows(2).enumerate() {
            let mut feed = vec![Tensor::f32(self.latent, x.clone())?, take(inputs, &features_name(step))?.clone()];
            if self.size_features.is_some() {
                feed.push(take(inputs, "size_features")?.clone());
            }
            feed.push(text.clone());
            let mut took = Duration::ZERO;
            let velocity = run_stage(DENOISER, &feed, &self.latent, runner, &mut took)?;
            times.push(DENOISER, took);
            let move_by = (pair[1] - pair[0]) as f32;
            x.iter_mut().zip(velocity.as_f32()?).for_each(|(x, v)| *x += move_by * v);
            latents.push(x.clone());
        }
        let mut took = Duration::ZERO;
        let wanted = [1, 3, self.image.height, self.image.width];
        let image = run_stage(DECODER, &[Tensor::f32(self.latent, x)?], &wanted, runner, &mut took)?.into_f32()?;
        times.push(DECODER, took);
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: Some(self.image), times })
    }

    fn sigmas(&self) -> Vec<f64> {
        sigmas(self.steps, self.time_shift)
    }
}
