//! What one image is made from: token ids, noise, time features.

use std::collections::BTreeMap;

use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;

use super::sampler::{Rule, sigmas, time_features};
use crate::blocks::tokenizer;
use crate::snapgenpp::ModelConfig;
use crate::{Inputs, InputsError};

/// The inputs of one image, each in its place; [`Inputs`] is their form on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// Token ids `[B, T]`.
    pub tokens: Tensor,
    /// Seeded noise in place of the language model's features, `[B, T', D']`, where the model reads them.
    pub gemma: Option<Tensor>,
    /// The first latent, `[B, C, h, w]`.
    pub noise: Tensor,
    /// Fresh noise for each step of [`Rule::Renoise`]; empty for Euler.
    pub fresh: Vec<Tensor>,
    /// How a step moves the latent.
    pub rule: Rule,
    /// Noise levels, one more than steps.
    pub sigmas: Vec<f64>,
    /// `[B, F]` for each step.
    pub time_features: Vec<Tensor>,
    /// Classifier-free guidance, for a model that is not distilled: each step is then two passes.
    pub guidance: Option<Guidance>,
}

/// Classifier-free guidance: v = v₀ + scale·(v − v₀), v₀ being the prediction for the empty prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Guidance {
    /// Token ids of the empty prompt `[B, T]`.
    pub tokens: Tensor,
    /// How strongly the prompt counts; 1 is no guidance.
    pub scale: f32,
}

fn encode(config: &ModelConfig, prompt: &str) -> Result<Vec<i64>, InputsError> {
    let length = config.denoiser.text.clip.tokens;
    tokenizer::encode(config.text_encoder.vocabulary, length, prompt)
        .map_err(|error| InputsError::Prompt(error.to_string()))
}

impl Feed {
    /// Makes the inputs of one image: the same bytes on every machine.
    ///
    /// # Errors
    /// A prompt that cannot be tokenized.
    pub fn make(config: &ModelConfig, prompt: &str, seed: u64, steps: usize, rule: Rule) -> Result<Self, InputsError> {
        let d = &config.denoiser;
        let ids = encode(config, prompt)?;
        let tokens = Tensor::i64([d.batch, ids.len()], ids.repeat(d.batch))?;
        let shape = config.latent_shape(d.batch);
        let latent = |name: &str| Tensor::f32(shape, normal(name, seed, shape.iter().product(), 0.0, 1.0));
        let gemma = d.text.gemma.map(|source| {
            let shape = [d.batch, source.tokens, source.width];
            Tensor::f32(shape, normal("text_gemma", seed, shape.iter().product(), 0.0, 1.0))
        });
        let levels = sigmas(steps, d.time_shift);
        let features = levels[..steps].iter().map(|&sigma| {
            Tensor::f32([d.batch, d.time_features], time_features(sigma, d.time_features).repeat(d.batch))
        });
        let fresh = match rule {
            Rule::Euler => Vec::new(),
            Rule::Renoise => (0..steps).map(|step| latent(&format!("fresh.{step}"))).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            tokens,
            gemma: gemma.transpose()?,
            noise: latent("noise")?,
            fresh,
            rule,
            time_features: features.collect::<Result<_, _>>()?,
            sigmas: levels,
            guidance: None,
        })
    }

    /// The same inputs for a base model that wants guidance (4.0 assumed for the paper's, with 28 steps). Only the text
    /// changes between the two passes; the seeded stand-in for the language model's features stays.
    ///
    /// # Errors
    /// As [`Feed::make`].
    pub fn with_guidance(mut self, config: &ModelConfig, scale: f32) -> Result<Self, InputsError> {
        let ids = encode(config, "")?;
        let tokens = Tensor::i64([config.denoiser.batch, ids.len()], ids.repeat(config.denoiser.batch))?;
        self.guidance = Some(Guidance { tokens, scale });
        Ok(self)
    }

    /// Number of denoiser steps.
    pub fn steps(&self) -> usize {
        self.time_features.len()
    }

    /// All tensors by name, in a fixed order.
    fn named(&self) -> Vec<(String, &Tensor)> {
        let fixed =
            [Some(("tokens", &self.tokens)), Some(("noise", &self.noise)), self.gemma.as_ref().map(|t| ("gemma", t))];
        let empty = self.guidance.as_ref().map(|guidance| ("empty_tokens", &guidance.tokens));
        let mut named: Vec<(String, &Tensor)> =
            fixed.into_iter().chain([empty]).flatten().map(|(name, t)| (name.to_owned(), t)).collect();
        named.extend(self.time_features.iter().enumerate().map(|(i, t)| (format!("time_features.{i:04}"), t)));
        named.extend(self.fresh.iter().enumerate().map(|(i, t)| (format!("fresh.{i:04}"), t)));
        named
    }
}

impl From<&Feed> for Inputs {
    fn from(feed: &Feed) -> Self {
        let scale = feed.guidance.as_ref().map(|guidance| guidance.scale);
        // Numbers and short words: there is nothing in it that JSON cannot hold but a number that is none, which reads as null.
        let sampler = serde_json::to_string(&(&feed.sigmas, feed.rule, scale)).unwrap_or_default();
        let tensors = feed.named().into_iter().map(|(name, tensor)| (name, tensor.clone())).collect();
        Self { tensors, about: BTreeMap::from([("sampler".to_owned(), sampler)]) }
    }
}

impl TryFrom<&Inputs> for Feed {
    type Error = InputsError;

    fn try_from(inputs: &Inputs) -> Result<Self, InputsError> {
        let wrong = |why: String| InputsError::Wrong(why);
        let sampler = inputs.about.get("sampler").ok_or_else(|| wrong("they do not say their sampler".to_owned()))?;
        let (sigmas, rule, scale): (Vec<f64>, Rule, Option<f32>) =
            serde_json::from_str(sampler).map_err(|error| wrong(format!("their sampler cannot be read: {error}")))?;
        let series = |prefix: &str| {
            let mut found: Vec<&(String, Tensor)> =
                inputs.tensors.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            found.into_iter().map(|(_, tensor)| tensor.clone()).collect::<Vec<_>>()
        };
        let (time_features, fresh) = (series("time_features."), series("fresh."));
        // A file of ours has them; one that was cut and mended by hand must not end in a wrong image.
        let wanted = match rule {
            Rule::Euler => 0,
            Rule::Renoise => time_features.len(),
        };
        if sigmas.len() != time_features.len() + 1 || fresh.len() != wanted {
            let (levels, steps, fresh) = (sigmas.len(), time_features.len(), fresh.len());
            return Err(wrong(format!(
                "{levels} noise levels, time features of {steps} steps and {fresh} fresh noises do not fit together"
            )));
        }
        let take =
            |name: &str| inputs.tensor(name).cloned().ok_or_else(|| wrong(format!("there is no tensor \"{name}\"")));
        let guidance = match scale {
            Some(scale) => Some(Guidance { tokens: take("empty_tokens")?, scale }),
            None => None,
        };
        let gemma = inputs.tensor("gemma").cloned();
        Ok(Self { tokens: take("tokens")?, noise: take("noise")?, gemma, fresh, rule, sigmas, time_features, guidance })
    }
}
