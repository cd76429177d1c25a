//! From a prompt to an image: tokenizer → text encoder → denoiser steps → decoder, whatever runs the stages.
//!
//! Contract: every stage is timed here, in the same way for every backend: from tensors in host memory to tensors in host
//! memory. The sampler's own arithmetic counts towards the image's total and towards no stage.

mod image;
mod inputs;
mod sampler;
#[cfg(test)]
mod tests;
pub mod tokenizer;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

pub use image::{ImageError, to_rgb};
pub use inputs::{Guidance, Inputs, InputsError};
pub use sampler::{Rule, TIMESTEPS, sigmas, time_features};

use crate::models::ModelConfig;
use ditbench_graph::Tensor;
use ditbench_graph::tensor::TensorError;

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

impl Stage {
    /// The name that messages use: the graph's.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEncoder => "text_encoder",
            Self::Denoiser => "denoiser",
            Self::Decoder => "decoder",
        }
    }
}

/// Something that runs the stages.
pub trait StageRunner {
    /// Why a stage failed.
    type Error: From<TensorError>;

    /// One pass of a stage: tensors in the order of its graph's inputs, results in the order of its outputs.
    ///
    /// # Errors
    /// The runner's own.
    fn run(&mut self, stage: Stage, inputs: &[Tensor]) -> Result<Vec<Tensor>, Self::Error>;
}

/// How long an image took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// The text encoder; with guidance, both prompts.
    pub text_encoder: Duration,
    /// Each denoiser step; with guidance, both passes.
    pub steps: Vec<Duration>,
    /// The decoder.
    pub decoder: Duration,
    /// Everything, the sampler's arithmetic included.
    pub total: Duration,
}

impl Times {
    /// What belongs to no stage: the sampler's arithmetic and the copies between stages.
    pub fn outside_stages(&self) -> Duration {
        self.total.saturating_sub(self.text_encoder + self.steps.iter().sum::<Duration>() + self.decoder)
    }
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
/// The runner's; [`TensorError`] where a stage does not give one tensor of the size that the next one wants.
pub fn generate<R: StageRunner>(config: &ModelConfig, inputs: &Inputs, runner: &mut R) -> Result<Trace, R::Error> {
    let d = &config.denoiser;
    let shape = config.latent_shape(d.batch);
    let text_shape = [d.batch, d.text.clip.tokens, d.text.clip.width];
    let image_shape = [1, 3, config.image.height, config.image.width];
    let mut times = Times::default();
    let begun = Instant::now();
    let mut encode = |tokens: &Tensor, runner: &mut R| {
        run(Stage::TextEncoder, std::slice::from_ref(tokens), &text_shape, runner, &mut times.text_encoder)
    };
    let text = encode(&inputs.tokens, runner)?;
    let unguided = inputs.guidance.as_ref().map(|guidance| encode(&guidance.tokens, runner)).transpose()?;
    let mut x = inputs.noise.as_f32()?.to_vec();
    let mut latents = Vec::with_capacity(inputs.steps());
    for (step, pair) in inputs.sigmas.windows(2).enumerate() {
        let mut feed = vec![Tensor::f32(shape, x.clone())?, inputs.time_features[step].clone(), text.clone()];
        feed.extend(inputs.gemma.clone());
        let mut took = Duration::ZERO;
        let mut predicted = run(Stage::Denoiser, &feed, &shape, runner, &mut took)?.into_f32()?;
        if let (Some(guidance), Some(unguided)) = (&inputs.guidance, &unguided) {
            feed[2] = unguided.clone();
            let without = run(Stage::Denoiser, &feed, &shape, runner, &mut took)?;
            sampler::guide(&mut predicted, without.as_f32()?, guidance.scale);
        }
        times.steps.push(took);
        let fresh = inputs.fresh.get(step).map(Tensor::as_f32).transpose()?.unwrap_or_default();
        sampler::step(inputs.rule, config.denoiser.prediction, &mut x, &predicted, fresh, pair[0], pair[1]);
        latents.push(x[..x.len() / config.denoiser.batch].to_vec());
    }
    let latent = Tensor::f32(config.latent_shape(1), x[..x.len() / config.denoiser.batch].to_vec())?;
    let image = run(Stage::Decoder, &[latent], &image_shape, runner, &mut times.decoder)?.into_f32()?;
    times.total = begun.elapsed();
    Ok(Trace { latents, image, times })
}

/// Runs a stage, adds its time to `took`, and gives the one output that every graph of the pipeline has.
fn run<R: StageRunner>(
    stage: Stage,
    feed: &[Tensor],
    wanted: &[usize],
    runner: &mut R,
    took: &mut Duration,
) -> Result<Tensor, R::Error> {
    let begun = Instant::now();
    let outputs = runner.run(stage, feed);
    *took += begun.elapsed();
    let mut outputs = outputs?;
    match outputs.pop() {
        Some(output) if outputs.is_empty() && output.shape() == wanted => Ok(output),
        last => {
            let found = outputs.iter().chain(&last).map(|tensor| tensor.shape().to_vec()).collect();
            Err(TensorError::Output { maker: stage.name(), wanted: wanted.to_vec(), found }.into())
        }
    }
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
        let mut tensors = numbered(&self.latents)?;
        tensors.push(("image".to_owned(), Tensor::f32([self.image.len()], self.image.clone())?));
        save(path, &tensors)
    }

    /// SHA-256 of the decoder's output, little-endian f32, in hex.
    pub fn image_sha256(&self) -> String {
        inputs::hash(&self.image.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }
}

/// Writes latents of many images, one each, to a safetensors file.
///
/// # Errors
/// The file cannot be written.
pub fn save_latents(path: &Path, latents: &[Vec<f32>]) -> Result<(), InputsError> {
    save(path, &numbered(latents)?)
}

fn numbered(latents: &[Vec<f32>]) -> Result<Vec<(String, Tensor)>, TensorError> {
    let tensor = |(index, values): (usize, &Vec<f32>)| {
        Ok((format!("latent.{index:04}"), Tensor::f32([values.len()], values.clone())?))
    };
    latents.iter().enumerate().map(tensor).collect()
}

fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), InputsError> {
    let named: Vec<(String, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor)).collect();
    inputs::save_tensors(path, &named, HashMap::new())
        .map_err(|why| InputsError::File { path: path.to_owned(), why: format!("cannot write: {why}") })
}

/// Reads what [`Trace::save_latents`] or [`save_latents`] wrote: the latent after each step, or of each image, in order.
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

/// The decoder's output from a file that [`Trace::save_latents`] wrote.
///
/// # Errors
/// The file cannot be read, or holds no image.
pub fn load_image(path: &Path) -> Result<Vec<f32>, InputsError> {
    let fail = |why: String| InputsError::File { path: path.to_owned(), why };
    let data = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let tensors = inputs::load_tensors(&data).map_err(fail)?;
    let image = tensors.get("image").ok_or_else(|| fail("it holds no image".to_owned()))?;
    Ok(image.as_f32()?.to_vec())
}
