//! From a class to an image, stage by stage: each starts from noise, and all but the first read the image of the one before, with noise put on
//! it where their nets were trained so, enlarged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;

use super::config::{DENOISERS, ModelConfig, StageConfig};
use crate::blocks::enlarge::bilinear;
use crate::blocks::schedule::ddim_of_pixels;
use crate::blocks::time::sinusoids;
use crate::{Drive, Inputs, InputsError, RunError, StageRunner, Times, Trace, run_stage};

/// The way from a class to an image.
pub(super) struct Way {
    pub(super) config: ModelConfig,
    /// Of each stage.
    pub(super) steps: usize,
    pub(super) class: usize,
}

/// The name of an input of a stage: the first's are called plainly, the others' by their stage.
fn name(stage: &StageConfig, what: &str) -> String {
    if stage.id == DENOISERS[0] { what.to_owned() } else { format!("{}.{what}", stage.id) }
}

fn features_name(stage: &StageConfig, step: usize) -> String {
    name(stage, &format!("time_features.{step:04}"))
}

/// The tensor of that name, if it has the shape wanted.
fn take<'a>(inputs: &'a Inputs, name: &str, shape: &[usize]) -> Result<&'a Tensor, InputsError> {
    match inputs.tensor(name) {
        Some(tensor) if tensor.shape() == shape => Ok(tensor),
        Some(tensor) => Err(InputsError::Wrong(format!("\"{name}\" is {:?}, not {shape:?}", tensor.shape()))),
        None => Err(InputsError::Wrong(format!("there is no tensor \"{name}\""))),
    }
}

impl Way {
    /// The signal's share at each step of a stage, one more than steps.
    fn signal(&self, stage: &StageConfig) -> Vec<f64> {
        let schedule = &stage.unet.schedule;
        schedule.signal(&schedule.timesteps_of(self.steps))
    }

    fn shape(&self, stage: &StageConfig) -> [usize; 4] {
        let [h, w] = self.config.size(stage);
        [1, 3, h, w]
    }

    /// The image of the stage before, as this one reads it: with noise on it, then enlarged.
    fn smaller(
        &self,
        inputs: &Inputs,
        (before, mut image): (&StageConfig, Vec<f32>),
        stage: &StageConfig,
    ) -> Result<Tensor, RunError> {
        if let Some(level) = stage.augmentation {
            let noise = take(inputs, &name(stage, "augmentation"), &self.shape(before))?.as_f32()?;
            // Non-truncated: the smaller image is finished first.
            let signal = stage.unet.schedule.signal(&[level])[0];
            for (pixel, noise) in image.iter_mut().zip(noise) {
                *pixel = (signal.sqrt() * f64::from(*pixel) + (1.0 - signal).sqrt() * f64::from(*noise)) as f32;
            }
        }
        let enlarged = bilinear(&image, self.config.size(before), self.config.size(stage));
        Ok(Tensor::f32(self.shape(stage), enlarged)?)
    }
}

impl Drive for Way {
    /// The class stands in the place of a prompt, which is not read.
    fn inputs(&self, _prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let mut tensors = vec![("class".to_owned(), Tensor::i64([1, 1], vec![self.class as i64])?)];
        let mut push = |name: String, shape: &[usize], values: Vec<f32>| -> Result<(), InputsError> {
            tensors.push((name, Tensor::f32(shape, values)?));
            Ok(())
        };
        let mut before = None;
        for stage in &self.config.stages {
            let shape = self.shape(stage);
            let noise = |what: &str, shape: &[usize]| {
                let name = name(stage, what);
                (name.clone(), normal(&name, seed, shape.iter().product(), 0.0, 1.0))
            };
            let (key, values) = noise("noise", &shape);
            push(key, &shape, values)?;
            let width = stage.unet.channels;
            if let Some((level, before)) = stage.augmentation.zip(before) {
                let smaller = self.shape(before);
                let (key, values) = noise("augmentation", &smaller);
                push(key, &smaller, values)?;
                push(name(stage, "level_features"), &[1, width], sinusoids(level as f64, width))?;
            }
            for (step, &t) in stage.unet.schedule.timesteps_of(self.steps).iter().enumerate() {
                push(features_name(stage, step), &[1, width], sinusoids(t as f64, width))?;
            }
            before = Some(stage);
        }
        Ok(Inputs { tensors, about: BTreeMap::from([("sampler".to_owned(), "ddim".to_owned())]) })
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = Instant::now();
        let class = take(inputs, "class", &[1, 1])?;
        let (mut times, mut latents) = (Times::default(), Vec::new());
        let mut before: Option<(&StageConfig, Vec<f32>)> = None;
        for (stage, id) in self.config.stages.iter().zip(DENOISERS) {
            let shape = self.shape(stage);
            let width = [1, stage.unet.channels];
            let smaller = before.take().map(|before| self.smaller(inputs, before, stage)).transpose()?;
            let mut x = take(inputs, &name(stage, "noise"), &shape)?.as_f32()?.to_vec();
            for (step, pair) in self.signal(stage).windows(2).enumerate() {
                let features = take(inputs, &features_name(stage, step), &width)?.clone();
                let mut feed = vec![Tensor::f32(shape, x.clone())?];
                feed.extend(smaller.clone());
                feed.extend([features, class.clone()]);
                if stage.augmentation.is_some() {
                    feed.push(take(inputs, &name(stage, "level_features"), &width)?.clone());
                }
                let mut took = Duration::ZERO;
                let noise = run_stage(id, &feed, &shape, runner, &mut took)?;
                times.push(id, took);
                ddim_of_pixels(&mut x, noise.as_f32()?, pair[0], pair[1]);
                latents.push(x.clone());
            }
            before = Some((stage, x));
        }
        let image = before.map_or_else(Vec::new, |(_, x)| x.into_iter().map(|v| 0.5 * (v + 1.0)).collect());
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: Some(self.config.image), times })
    }

    /// The share of noise in an image of unit variance at each step of each stage, √(1 − ᾱ), and nothing behind the last.
    fn sigmas(&self) -> Vec<f64> {
        let of_stage = |stage: &StageConfig| self.signal(stage).into_iter().take(self.steps);
        let signal = self.config.stages.iter().flat_map(of_stage);
        signal.map(|signal| (1.0 - signal).sqrt()).chain([0.0]).collect()
    }
}
