//! What every cell of a workload is fed: token ids, noise, time features. Made once, by the host, kept in one small file.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

use super::sampler::{Rule, sigmas, time_features};
use super::tokenizer::{self, TokenizerError};
use crate::models::ModelConfig;
use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;

/// The inputs of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
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

/// Why inputs cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum InputsError {
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The file cannot be read or written.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Numbers that do not fit their shape: a mistake of ours.
    #[error(transparent)]
    Tensor(#[from] ditbench_graph::tensor::TensorError),
}

impl Inputs {
    /// Makes the inputs of one image: the same bytes on every machine.
    ///
    /// # Errors
    /// A prompt that cannot be tokenized.
    pub fn make(config: &ModelConfig, prompt: &str, seed: u64, steps: usize, rule: Rule) -> Result<Self, InputsError> {
        let d = &config.denoiser;
        let ids = tokenizer::encode(config, prompt)?;
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
    /// As [`Inputs::make`].
    pub fn with_guidance(mut self, config: &ModelConfig, scale: f32) -> Result<Self, InputsError> {
        let ids = tokenizer::encode(config, "")?;
        let tokens = Tensor::i64([config.denoiser.batch, ids.len()], ids.repeat(config.denoiser.batch))?;
        self.guidance = Some(Guidance { tokens, scale });
        Ok(self)
    }

    /// Number of denoiser steps.
    pub fn steps(&self) -> usize {
        self.time_features.len()
    }

    /// SHA-256 of the first latent, little-endian f32, in hex.
    pub fn noise_sha256(&self) -> String {
        hash(&bytes(&self.noise))
    }

    /// SHA-256 of the token ids, little-endian i64, in hex.
    pub fn tokens_sha256(&self) -> String {
        hash(&bytes(&self.tokens))
    }

    /// SHA-256 over everything that a session is fed, in hex.
    pub fn sha256(&self) -> String {
        let all: Vec<u8> =
            self.named().into_iter().flat_map(|(name, tensor)| [name.into_bytes(), bytes(tensor)].concat()).collect();
        hash(&all)
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

    /// Writes the inputs to a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), InputsError> {
        let fail = |why: &dyn std::fmt::Display| InputsError::File {
            path: path.to_owned(),
            why: format!("cannot write: {why}"),
        };
        let scale = self.guidance.as_ref().map(|guidance| guidance.scale);
        let sigmas = serde_json::to_string(&(&self.sigmas, self.rule, scale)).map_err(|error| fail(&error))?;
        save_tensors(path, &self.named(), HashMap::from([("sampler".to_owned(), sigmas)])).map_err(|why| fail(&why))
    }

    /// Reads inputs that [`Inputs::save`] wrote.
    ///
    /// # Errors
    /// The file cannot be read or is not one of inputs.
    pub fn load(path: &Path) -> Result<Self, InputsError> {
        let fail = |why: &dyn std::fmt::Display| InputsError::File { path: path.to_owned(), why: why.to_string() };
        let data = std::fs::read(path).map_err(|error| fail(&error))?;
        let (_, metadata) = SafeTensors::read_metadata(&data).map_err(|error| fail(&error))?;
        let sampler = metadata.metadata().as_ref().and_then(|entries| entries.get("sampler"));
        let sampler = sampler.ok_or_else(|| fail(&"this is no file of inputs"))?;
        let (sigmas, rule, scale): (Vec<f64>, Rule, Option<f32>) =
            serde_json::from_str(sampler).map_err(|error| fail(&error))?;
        let mut tensors = load_tensors(&data).map_err(|why| fail(&why))?;
        let series = |tensors: &HashMap<String, Tensor>, prefix: &str| {
            let mut names: Vec<&String> = tensors.keys().filter(|name| name.starts_with(prefix)).collect();
            names.sort();
            names.into_iter().filter_map(|name| tensors.get(name).cloned()).collect::<Vec<_>>()
        };
        let (time_features, fresh) = (series(&tensors, "time_features."), series(&tensors, "fresh."));
        let gemma = tensors.remove("gemma");
        // A file of ours has them; one that was cut and mended by hand must not end in a wrong image.
        let wanted = match rule {
            Rule::Euler => 0,
            Rule::Renoise => time_features.len(),
        };
        if sigmas.len() != time_features.len() + 1 || fresh.len() != wanted {
            let (levels, steps, fresh) = (sigmas.len(), time_features.len(), fresh.len());
            return Err(fail(&format!(
                "{levels} noise levels, time features of {steps} steps and {fresh} fresh noises do not fit together"
            )));
        }
        let mut take = |name: &str| tensors.remove(name).ok_or_else(|| fail(&format!("it has no tensor \"{name}\"")));
        let guidance = match scale {
            Some(scale) => Some(Guidance { tokens: take("empty_tokens")?, scale }),
            None => None,
        };
        Ok(Self { tokens: take("tokens")?, noise: take("noise")?, gemma, fresh, rule, sigmas, time_features, guidance })
    }
}

/// A tensor's elements, little-endian.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        ditbench_graph::TensorData::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ditbench_graph::TensorData::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// SHA-256 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes tensors to a safetensors file.
pub(super) fn save_tensors(
    path: &Path,
    tensors: &[(String, &Tensor)],
    metadata: HashMap<String, String>,
) -> Result<(), String> {
    let stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = if tensor.dtype() == ditbench_graph::tensor::DType::F32 { Dtype::F32 } else { Dtype::I64 };
            (name.clone(), dtype, tensor.shape().to_vec(), bytes(tensor))
        })
        .collect();
    let views = stored
        .iter()
        .map(|(name, dtype, shape, data)| Ok((name.clone(), TensorView::new(*dtype, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| error.to_string())?;
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|error| error.to_string())
}

/// Reads the f32 and i64 tensors of a safetensors file.
pub(super) fn load_tensors(data: &[u8]) -> Result<HashMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(data).map_err(|error| error.to_string())?;
    file.iter()
        .map(|(name, view)| {
            let shape = view.shape().to_vec();
            let tensor = match view.dtype() {
                Dtype::F32 => Tensor::f32(shape, elements(view.data(), f32::from_le_bytes)),
                Dtype::I64 => Tensor::i64(shape, elements(view.data(), i64::from_le_bytes)),
                other => return Err(format!("tensor \"{name}\" is of type {other:?}")),
            };
            Ok((name.to_owned(), tensor.map_err(|error| error.to_string())?))
        })
        .collect()
}

fn elements<T, const N: usize>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|chunk| from(std::array::from_fn(|i| chunk[i]))).collect()
}
