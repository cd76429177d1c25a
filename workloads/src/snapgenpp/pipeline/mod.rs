//! From a prompt to an image: tokenizer → text encoder → denoiser steps → decoder, whatever runs the stages.
//!
//! Contract: every stage is timed here, in the same way for every backend: from tensors in host memory to tensors in host
//! memory. The sampler's own arithmetic counts towards the image's total and towards no stage.

mod inputs;
mod sampler;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use ditbench_graph::Tensor;

use super::{DECODER, DENOISER, ModelConfig, TEXT_ENCODER};
use crate::{StageRunner, Times, Trace, run_stage};

pub use inputs::{Feed, Guidance};
pub use sampler::{Rule, TIMESTEPS, sigmas, time_features};

/// Makes one image.
///
/// # Errors
/// The runner's; a stage that does not give one tensor of the size that the next one wants.
pub fn generate<R: StageRunner + ?Sized>(
    config: &ModelConfig,
    inputs: &Feed,
    runner: &mut R,
) -> Result<Trace, R::Error> {
    let d = &config.denoiser;
    let shape = config.latent_shape(d.batch);
    let text_shape = [d.batch, d.text.clip.tokens, d.text.clip.width];
    let image_shape = [1, 3, config.image.height, config.image.width];
    let mut times = Times::default();
    let begun = Instant::now();
    let mut encoding = Duration::ZERO;
    let mut encode = |tokens: &Tensor, runner: &mut R| {
        run_stage(TEXT_ENCODER, std::slice::from_ref(tokens), &text_shape, runner, &mut encoding)
    };
    let text = encode(&inputs.tokens, runner)?;
    let unguided = inputs.guidance.as_ref().map(|guidance| encode(&guidance.tokens, runner)).transpose()?;
    times.push(TEXT_ENCODER, encoding);
    let mut x = inputs.noise.as_f32()?.to_vec();
    let mut latents = Vec::with_capacity(inputs.steps());
    for (step, pair) in inputs.sigmas.windows(2).enumerate() {
        let mut feed = vec![Tensor::f32(shape, x.clone())?, inputs.time_features[step].clone(), text.clone()];
        feed.extend(inputs.gemma.clone());
        let mut took = Duration::ZERO;
        let mut predicted = run_stage(DENOISER, &feed, &shape, runner, &mut took)?.into_f32()?;
        if let (Some(guidance), Some(unguided)) = (&inputs.guidance, &unguided) {
            feed[2] = unguided.clone();
            let without = run_stage(DENOISER, &feed, &shape, runner, &mut took)?;
            sampler::guide(&mut predicted, without.as_f32()?, guidance.scale);
        }
        times.push(DENOISER, took);
        let fresh = inputs.fresh.get(step).map(Tensor::as_f32).transpose()?.unwrap_or_default();
        sampler::step(inputs.rule, config.denoiser.prediction, &mut x, &predicted, fresh, pair[0], pair[1]);
        latents.push(x[..x.len() / config.denoiser.batch].to_vec());
    }
    let latent = Tensor::f32(config.latent_shape(1), x[..x.len() / config.denoiser.batch].to_vec())?;
    let mut decoding = Duration::ZERO;
    let image = run_stage(DECODER, &[latent], &image_shape, runner, &mut decoding)?.into_f32()?;
    times.push(DECODER, decoding);
    times.total = begun.elapsed();
    Ok(Trace { latents, image, size: Some(config.image), times })
}
