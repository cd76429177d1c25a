//! How much each weight suffers from 4 bits: what the `mixed` scheme chooses its 8-bit weights by.
//!
//! Contract: measured on the 64-bit reference, with a prompt and a noise of its own (never those of the run, so that the
//! choice is not made on what it is then judged by). Small models are measured as the paper says, one weight at a time
//! against the model's output; where that would take too long, each layer against its own output, in one pass. The
//! result says which. It is kept in the cache: the same model and weights are measured once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use ditbench_backend_api::{BackendError, Session};
use ditbench_graph::weights::prepare::Source;
use ditbench_graph::weights::scheme::is_quantizable;
use ditbench_graph::weights::{WeightData, WeightStore, WeightTensor, Weights, init, quantize};
use ditbench_graph::{Graph, Tensor};
use ditbench_graph::{Op, WeightSpec, cost};
use ditbench_reference::{Array, ReferenceSession, Step};
use ditbench_workloads::models::{Model, ModelConfig};
use ditbench_workloads::pipeline::{self, Inputs, Rule, Stage, StageRunner};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::progress::Progress;

/// What calibration draws, and its noise.
const PROMPT: &str = "a green tree";
const SEED: u64 = 0x5eed_ca1b;
/// Noise levels looked at: σ = 1 and the middle of the schedule.
const STEPS: usize = 2;
/// FLOPs in 64 bits that one-at-a-time measuring may take: about two minutes of one slow core.
const PATIENCE: f64 = 5e11;
/// Rows of a layer's input that its own error is taken over.
const ROWS: usize = 64;
/// Raised whenever the way of measuring changes.
const VERSION: u32 = 1;

/// The error that 4 bits in one weight alone cause, by weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivities {
    /// What was measured, in words.
    pub how: String,
    /// By weight.
    pub errors: BTreeMap<String, f64>,
}

/// Measures, or finds what was measured before.
///
/// # Errors
/// Weights that do not fit the model, a cache that cannot be written.
pub fn measure(config: &ModelConfig, source: &Source, cache: &Path, progress: &Progress) -> Result<Sensitivities> {
    let mut config = config.clone();
    // Weights do not depend on the image's size; the smallest image that the model takes is the quickest to measure on.
    config.image = smallest(&config);
    let model = Model::build(&config).context("building the model at its calibration size")?;
    let path = cache_path(&model, source, cache)?;
    if let Some(found) = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(found);
    }
    let inputs = Inputs::make(&config, PROMPT, SEED, STEPS, Rule::Euler)?;
    let exact = store(&model, source)?;
    let names: Vec<String> = [&model.text_encoder, &model.denoiser]
        .into_iter()
        .flat_map(|graph| &graph.weights)
        .filter(|spec| is_quantizable(spec))
        .map(|spec| spec.name.clone())
        .collect();
    let flops = (cost::total(&model.text_encoder).flops + cost::total(&model.denoiser).flops) as f64;
    let measured = if names.len() as f64 * STEPS as f64 * flops <= PATIENCE {
        one_at_a_time(&model, &inputs, exact, &names, progress)?
    } else {
        layer_by_layer(&model, &inputs, exact, progress)?
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // A sibling renamed into place: a reader never sees half of it.
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    std::fs::write(&partial, serde_json::to_vec_pretty(&measured)?)
        .and_then(|()| std::fs::rename(&partial, &path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(measured)
}

/// The smallest square image, from 64 pixels up, at which the model can be built.
fn smallest(config: &ModelConfig) -> ditbench_workloads::models::ImageSize {
    let own = config.image;
    let square = |side| ditbench_workloads::models::ImageSize { height: side, width: side };
    let fits = |size: &_| Model::build(&ModelConfig { image: *size, ..config.clone() }).is_ok();
    [64, 128, 256].map(square).into_iter().find(fits).unwrap_or(own)
}

fn cache_path(model: &Model, source: &Source, cache: &Path) -> Result<PathBuf> {
    let origin = match source {
        Source::Seed(seed) => format!("seed {seed}"),
        Source::File(path) => {
            let meta = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
            let changed = meta.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            format!("{} {} {changed:?}", path.display(), meta.len())
        }
    };
    let hash = Sha256::new()
        .chain_update(VERSION.to_le_bytes())
        .chain_update(serde_json::to_vec(&model.config)?)
        .chain_update(origin)
        .finalize();
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache.join("sensitivities").join(format!("{}-{hex}.json", model.config.name)))
}

/// The weights as they are before any scheme: made as they are asked for, so that the largest model fits.
fn store(model: &Model, source: &Source) -> Result<Box<dyn WeightStore>> {
    Ok(match source {
        Source::File(path) => Box::new(Weights::open_for(path, model)?),
        Source::Seed(seed) => {
            let specs = model.graphs().into_iter().flat_map(|graph| &graph.weights);
            let specs = specs.map(|spec| (spec.name.clone(), spec.clone())).collect();
            Box::new(Seeded { specs, seed: *seed })
        }
    })
}

struct Seeded {
    specs: BTreeMap<String, WeightSpec>,
    seed: u64,
}

impl WeightStore for Seeded {
    fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
        let spec = self.specs.get(name)?;
        let values = init::init_tensor(spec, self.seed);
        Some(WeightTensor { shape: spec.shape.clone(), data: WeightData::F32(values.into()) })
    }

    fn names(&self) -> Vec<String> {
        self.specs.keys().cloned().collect()
    }
}

/// The exact weights, but for one that is in 4 bits.
struct OneInFourBits {
    exact: Box<dyn WeightStore>,
    only: Mutex<Option<String>>,
}

/// What both sessions read.
struct Shared(Arc<OneInFourBits>);

impl WeightStore for Shared {
    fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
        let tensor = self.0.exact.get(name)?;
        let only = self.0.only.lock().unwrap_or_else(PoisonError::into_inner);
        if only.as_deref() != Some(name) {
            return Some(tensor);
        }
        let groups = quantize::q4(&tensor.to_f32(), *tensor.shape.last()?).ok()?;
        Some(WeightTensor { shape: tensor.shape.clone(), data: WeightData::Q4(groups.into()) })
    }

    fn names(&self) -> Vec<String> {
        self.0.exact.names()
    }
}

/// The paper's measure: one weight in 4 bits, everything else exact, and how far the result moves.
fn one_at_a_time(
    model: &Model,
    inputs: &Inputs,
    exact: Box<dyn WeightStore>,
    names: &[String],
    progress: &Progress,
) -> Result<Sensitivities> {
    let store = Arc::new(OneInFourBits { exact, only: Mutex::new(None) });
    let weights = Weights::new(Shared(Arc::clone(&store)));
    let mut runner = Runner::new(model, &weights)?;
    let truth = pipeline::generate(&model.config, inputs, &mut runner)?.latents;
    let mut errors = BTreeMap::new();
    for (done, name) in names.iter().enumerate() {
        progress.now(format!("measuring what 4 bits cost, weight {} of {}", done + 1, names.len()));
        *store.only.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.clone());
        let in_text = model.text_encoder.weights.iter().any(|spec| spec.name == *name);
        runner.text = if in_text { None } else { runner.exact_text.clone() };
        let moved = pipeline::generate(&model.config, inputs, &mut runner)?.latents;
        let squares = truth.iter().flatten().zip(moved.iter().flatten());
        errors.insert(name.clone(), squares.map(|(a, b)| f64::from(a - b).powi(2)).sum());
    }
    let how = "squared error of the latents with this weight alone in 4 bits, measured".to_owned();
    Ok(Sensitivities { how, errors })
}

/// Text encoder and denoiser on the reference; the decoder, which no scheme quantizes, is left out.
struct Runner {
    text_encoder: ReferenceSession,
    denoiser: ReferenceSession,
    /// What the text encoder gives, where that is known.
    text: Option<Vec<Tensor>>,
    exact_text: Option<Vec<Tensor>>,
    image: [usize; 4],
}

impl Runner {
    fn new(model: &Model, weights: &Weights) -> Result<Self, BackendError> {
        let threads = ditbench_worker::probe::machine::cores();
        let size = model.config.image;
        Ok(Self {
            text_encoder: ReferenceSession::new(&model.text_encoder, weights, threads)?,
            denoiser: ReferenceSession::new(&model.denoiser, weights, threads)?,
            text: None,
            exact_text: None,
            image: [1, 3, size.height, size.width],
        })
    }
}

impl StageRunner for Runner {
    type Error = BackendError;

    fn run(&mut self, stage: Stage, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        match (stage, &self.text) {
            (Stage::TextEncoder, Some(text)) => Ok(text.clone()),
            (Stage::TextEncoder, None) => {
                let text = self.text_encoder.run(inputs)?;
                // The first pass of all is the exact one.
                self.exact_text.get_or_insert_with(|| text.clone());
                Ok(text)
            }
            (Stage::Denoiser, _) => self.denoiser.run(inputs),
            (Stage::Decoder, _) => Ok(vec![Tensor::f32(self.image, vec![0.0; self.image.iter().product()])?]),
        }
    }
}

/// For models too large for that: each layer's own output, in one pass, relative to its size.
fn layer_by_layer(
    model: &Model,
    inputs: &Inputs,
    exact: Box<dyn WeightStore>,
    progress: &Progress,
) -> Result<Sensitivities> {
    let store = Arc::new(OneInFourBits { exact, only: Mutex::new(None) });
    let weights = Weights::new(Shared(Arc::clone(&store)));
    let runner = Runner::new(model, &weights)?;
    let mut errors = BTreeMap::new();
    let mut look = |graph: &Graph, session: &ReferenceSession, feed: &[Tensor]| -> Result<Vec<Array>, BackendError> {
        let nodes = graph.nodes.len();
        session.run_traced(feed, &mut |step: Step<'_>| {
            progress.now(format!("measuring what 4 bits cost, {} node {} of {nodes}", graph.name, step.index + 1));
            if let Op::Linear { weight, .. } = &step.node.op {
                let spec = graph.weight(*weight);
                if let Some(error) = is_quantizable(spec).then(|| own_error(&store, spec, step.inputs[0])).flatten() {
                    *errors.entry(spec.name.clone()).or_insert(0.0) += error;
                }
            }
        })
    };
    let text = look(&model.text_encoder, &runner.text_encoder, std::slice::from_ref(&inputs.tokens))?;
    let mut feed = vec![inputs.noise.clone(), inputs.time_features[0].clone()];
    feed.extend(text.iter().map(Array::to_tensor).collect::<Result<Vec<_>, _>>()?);
    feed.extend(inputs.gemma.clone());
    look(&model.denoiser, &runner.denoiser, &feed)?;
    let how = "relative squared error of the layer's own output with its weight in 4 bits, measured in one pass";
    Ok(Sensitivities { how: how.to_owned(), errors })
}

/// ‖X·(W − W₄)ᵀ‖² / ‖X·Wᵀ‖² over some rows of the layer's input. `None` where the weight cannot be read or quantized.
fn own_error(store: &OneInFourBits, spec: &WeightSpec, x: &Array) -> Option<f64> {
    let tensor = store.exact.get(&spec.name)?;
    let (exact, k) = (tensor.to_f32(), spec.shape[1]);
    let groups = quantize::q4(&exact, k).ok()?;
    let four = WeightTensor { shape: spec.shape.clone(), data: WeightData::Q4(groups.into()) };
    let four = four.to_f32();
    let rows = x.data.len() / k;
    let stride = rows.div_ceil(ROWS).max(1);
    let (mut error, mut size) = (0.0, 0.0);
    for row in x.data.chunks_exact(k).step_by(stride) {
        for (w, w4) in exact.chunks_exact(k).zip(four.chunks_exact(k)) {
            let (mut y, mut d) = (0.0, 0.0);
            for ((&x, &w), &w4) in row.iter().zip(w).zip(w4) {
                y += x * f64::from(w);
                d += x * f64::from(w - w4);
            }
            error += d * d;
            size += y * y;
        }
    }
    Some(if size == 0.0 { 0.0 } else { error / size })
}

#[cfg(test)]
mod tests {
    use ditbench_workloads::models::{ImageSize, Variant};

    use super::*;

    /// A linear layer whose weight is a multiple of a 4-bit step loses nothing; any other loses something.
    #[test]
    fn what_four_bits_hold_exactly_costs_nothing() {
        let spec = |name: &str| WeightSpec {
            name: name.to_owned(),
            shape: vec![2, 32],
            init: ditbench_graph::Init::Zeros,
            role: ditbench_graph::WeightRole::Linear,
        };
        let tensor = |f: fn(usize) -> f32| WeightTensor {
            shape: vec![2, 32],
            data: WeightData::F32((0..64).map(f).collect::<Vec<_>>().into()),
        };
        let exact: BTreeMap<String, WeightTensor<'static>> = BTreeMap::from([
            ("steps".to_owned(), tensor(|i| (i % 16) as f32 - 8.0)),
            ("between".to_owned(), tensor(|i| (i as f32 * 0.7).sin())),
        ]);
        let store = OneInFourBits { exact: Box::new(exact), only: Mutex::new(None) };
        let x = Array { shape: vec![3, 32], data: (0..96).map(|i| f64::from(i).cos()).collect() };
        assert_eq!(own_error(&store, &spec("steps"), &x), Some(0.0));
        let error = own_error(&store, &spec("between"), &x).unwrap();
        assert!(error > 1e-5 && error < 0.05, "{error}");
    }

    #[test]
    fn every_weight_that_the_scheme_quantizes_is_measured_in_one_pass() {
        let config = Variant::Nano.config(ImageSize { height: 64, width: 64 });
        let model = Model::build(&config).unwrap();
        let inputs = Inputs::make(&config, PROMPT, SEED, STEPS, Rule::Euler).unwrap();
        let exact = store(&model, &Source::Seed(7)).unwrap();
        let measured = layer_by_layer(&model, &inputs, exact, &Progress::new(1)).unwrap();
        let wanted: Vec<&String> = model
            .graphs()
            .into_iter()
            .flat_map(|graph| &graph.weights)
            .filter(|spec| is_quantizable(spec))
            .map(|spec| &spec.name)
            .collect();
        assert!(!wanted.is_empty());
        for name in wanted {
            let error = measured.errors.get(name).unwrap_or_else(|| panic!("{name} was not measured"));
            assert!(*error > 1e-4 && *error < 0.1, "{name}: {error}");
        }
    }
}
