//! From a prompt to an image: tokenizer → text encoder → denoiser steps → decoder, whatever runs the stages.
//!
//! Contract: every stage is timed here, in the same way for every backend: from tensors in host memory to tensors in host
//! memory. The sampler's own arithmetic counts towards the image's total and towards no stage.

mod image;
mod inputs;
mod sampler;
pub mod tokenizer;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub use image::{ImageError, to_rgb};
pub use inputs::{Inputs, InputsError};
pub use sampler::{Rule, SHIFT, TIMESTEPS, sigmas, time_features};

use crate::Tensor;
use crate::models::ModelConfig;

/// A stage of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Token ids to text embeddings.
    TextEncoder,
    /// One step.
    Denoiser,
    /// Latent to image.
    Decoder,
}

/// Something that runs the stages.
pub trait StageRunner {
    /// Why a stage failed.
    type Error: From<crate::tensor::TensorError>;

    /// One pass of a stage: tensors in the order of its graph's inputs, results in the order of its outputs.
    ///
    /// # Errors
    /// The runner's own.
    fn run(&mut self, stage: Stage, inputs: &[Tensor]) -> Result<Vec<Tensor>, Self::Error>;
}

/// How long an image took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// The text encoder.
    pub text_encoder: Duration,
    /// Each denoiser step.
    pub steps: Vec<Duration>,
    /// The decoder.
    pub decoder: Duration,
    /// Everything, the sampler's arithmetic included.
    pub total: Duration,
}

/// One image and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The latent after each step, `[C·h·w]` of the batch's first.
    pub latents: Vec<Vec<f32>>,
    /// The decoder's output, `[3, H, W]`, 0..1 where the model is trained.
    pub image: Vec<f32>,
    /// How long it took.
    pub times: Times,
}

/// Makes one image.
///
/// # Errors
/// The runner's.
pub fn generate<R: StageRunner>(config: &ModelConfig, inputs: &Inputs, runner: &mut R) -> Result<Trace, R::Error> {
    let mut times = Times::default();
    let begun = Instant::now();
    let text =
        first(timed(&mut times.text_encoder, || runner.run(Stage::TextEncoder, std::slice::from_ref(&inputs.tokens)))?);
    let shape = config.latent_shape(config.denoiser.batch);
    let mut x = inputs.noise.as_f32()?.to_vec();
    let mut latents = Vec::with_capacity(inputs.steps());
    for (step, pair) in inputs.sigmas.windows(2).enumerate() {
        let mut feed = vec![Tensor::f32(shape, x.clone())?, inputs.time_features[step].clone(), text.clone()];
        feed.extend(inputs.gemma.clone());
        let mut took = Duration::ZERO;
        let predicted = first(timed(&mut took, || runner.run(Stage::Denoiser, &feed))?).into_f32()?;
        times.steps.push(took);
        let fresh = inputs.fresh.get(step).map(Tensor::as_f32).transpose()?.unwrap_or_default();
        sampler::step(inputs.rule, config.denoiser.prediction, &mut x, &predicted, fresh, pair[0], pair[1]);
        latents.push(x[..x.len() / config.denoiser.batch].to_vec());
    }
    let latent = Tensor::f32(config.latent_shape(1), x[..x.len() / config.denoiser.batch].to_vec())?;
    let image = first(timed(&mut times.decoder, || runner.run(Stage::Decoder, &[latent]))?).into_f32()?;
    times.total = begun.elapsed();
    Ok(Trace { latents, image, times })
}

fn timed<T>(took: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    *took = begun.elapsed();
    result
}

/// The one output that every graph of the pipeline has.
fn first(mut outputs: Vec<Tensor>) -> Tensor {
    if outputs.is_empty() { Tensor::zeros([0]) } else { outputs.swap_remove(0) }
}

impl Trace {
    /// Writes the image as PNG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_image(&self, config: &ModelConfig, path: &Path) -> Result<(), ImageError> {
        let rgb = to_rgb(&self.image, config.image);
        rgb.save_with_format(path, ::image::ImageFormat::Png)
            .map_err(|error| ImageError { path: path.to_owned(), why: error.to_string() })
    }

    /// Writes the latents after each step and the decoder's output to a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save_latents(&self, path: &Path) -> Result<(), InputsError> {
        let tensor = |values: &Vec<f32>| Tensor::f32([values.len()], values.clone());
        let mut tensors = Vec::new();
        for (step, latent) in self.latents.iter().enumerate() {
            tensors.push((format!("latent.{step:04}"), tensor(latent)?));
        }
        tensors.push(("image".to_owned(), tensor(&self.image)?));
        let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
        inputs::save_tensors(path, &named, HashMap::new())
            .map_err(|why| InputsError::File { path: path.to_owned(), why: format!("cannot write: {why}") })
    }

    /// SHA-256 of the decoder's output, little-endian f32, in hex.
    pub fn image_sha256(&self) -> String {
        inputs::hash(&self.image.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }
}

/// Reads what [`Trace::save_latents`] wrote: the latent after each step, in order.
///
/// # Errors
/// The file cannot be read.
pub fn load_latents(path: &Path) -> Result<Vec<Vec<f32>>, InputsError> {
    let fail = |why: String| InputsError::File { path: path.to_owned(), why };
    let data = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let tensors = inputs::load_tensors(&data).map_err(fail)?;
    let mut names: Vec<&String> = tensors.keys().filter(|name| name.starts_with("latent.")).collect();
    names.sort();
    names.into_iter().map(|name| Ok(tensors[name].as_f32()?.to_vec())).collect()
}
