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
use ditbench_graph::weights::file::WeightFile;
use ditbench_graph::weights::prepare::Source;
use ditbench_graph::weights::scheme::is_quantizable;
use ditbench_graph::weights::{WeightData, WeightStore, WeightTensor, Weights, init, quantize};
use ditbench_graph::{Graph, Tensor};
use ditbench_graph::{Op, WeightSpec, cost};
use ditbench_reference::{Array, ReferenceSession, Step};
use ditbench_workloads::{Choice, ImageSize, Pipeline, Role, RunError, Stage, StageRunner, Trace, workload};
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
pub fn measure(choice: &Choice, source: &Source, cache: &Path, progress: &Progress) -> Result<Sensitivities> {
    // The smallest image that the model takes with these weights is the quickest to measure on.
    let pipeline = smallest(choice, STEPS).context("building the model at its calibration size")?;
    let path = cache_path(&pipeline, source, cache)?;
    if let Some(found) = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(found);
    }
    let exact = store(&pipeline, source)?;
    let looked_at: Vec<&Graph> =
        pipeline.stages.iter().filter(|stage| is_looked_at(stage)).filter_map(Stage::graph).collect();
    let names: Vec<String> = looked_at
        .iter()
        .flat_map(|graph| &graph.weights)
        .filter(|spec| is_quantizable(spec))
        .map(|spec| spec.name.clone())
        .collect();
    let flops: u64 = looked_at.iter().map(|graph| cost::total(graph).flops).sum();
    let measured = if names.len() as f64 * STEPS as f64 * flops as f64 <= PATIENCE {
        one_at_a_time(&pipeline, exact, &names, progress)?
    } else {
        // At the first noise level alone.
        let pipeline = smallest(choice, 1).context("building the model at its calibration size")?;
        layer_by_layer(&pipeline, exact, progress)?
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

/// Encoders and denoisers; a decoder, which no scheme quantizes, is left out.
fn is_looked_at(stage: &Stage) -> bool {
    matches!(stage.role, Role::Encoder | Role::Denoiser)
}

/// The model at the smallest square image, from 64 pixels up, at which it can be built of the same weights; without guidance.
fn smallest(choice: &Choice, steps: usize) -> Result<Pipeline> {
    let mut choice = Choice { steps, ..choice.clone() };
    choice.own.remove("sampler");
    choice.own.remove("guidance");
    // A table of positions has a row for each token of one size.
    let weights = |pipeline: &Pipeline| -> BTreeMap<String, Vec<usize>> {
        let specs = pipeline.graphs().into_iter().flat_map(|graph| &graph.weights);
        specs.map(|spec| (spec.name.clone(), spec.shape.clone())).collect()
    };
    let asked = workload::build(&choice)?;
    let wanted = weights(&asked);
    let at = |size| workload::build(&Choice { size, ..choice.clone() });
    let square = |side| ImageSize { height: side, width: side };
    let same = |size| at(size).ok().filter(|pipeline| weights(pipeline) == wanted);
    Ok([64, 128, 256].map(square).into_iter().find_map(same).unwrap_or(asked))
}

fn cache_path(pipeline: &Pipeline, source: &Source, cache: &Path) -> Result<PathBuf> {
    let origin = match source {
        Source::Seed(seed) => format!("seed {seed}"),
        // By content, as the weights themselves are kept: a file may be replaced by another of its length and time.
        Source::File(path) => WeightFile::open(path)?.sha256(),
    };
    let hash = Sha256::new()
        .chain_update(VERSION.to_le_bytes())
        .chain_update(pipeline.config.to_string())
        .chain_update(origin)
        .finalize();
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache.join("sensitivities").join(format!("{}-{hex}.json", pipeline.family)))
}

/// The weights as they are before any scheme: made as they are asked for, so that the largest model fits.
fn store(pipeline: &Pipeline, source: &Source) -> Result<Box<dyn WeightStore>> {
    Ok(match source {
        Source::File(path) => Box::new(Weights::open_for(path, pipeline)?),
        Source::Seed(seed) => {
            let specs = pipeline.graphs().into_iter().flat_map(|graph| &graph.weights);
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
    pipeline: &Pipeline,
    exact: Box<dyn WeightStore>,
    names: &[String],
    progress: &Progress,
) -> Result<Sensitivities> {
    let store = Arc::new(OneInFourBits { exact, only: Mutex::new(None) });
    let weights = Weights::new(Shared(Arc::clone(&store)));
    let mut runner = Runner::new(pipeline, &weights)?;
    let truth = runner.image(pipeline)?.latents;
    let mut errors = BTreeMap::new();
    for (done, name) in names.iter().enumerate() {
        progress.now(format!("measuring what 4 bits cost, weight {} of {}", done + 1, names.len()));
        *store.only.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.clone());
        runner.changed = Some(name.clone());
        let moved = runner.image(pipeline)?.latents;
        let squares = truth.iter().flatten().zip(moved.iter().flatten());
        errors.insert(name.clone(), squares.map(|(a, b)| f64::from(a - b).powi(2)).sum());
    }
    let how = "squared error of the latents with this weight alone in 4 bits, measured".to_owned();
    Ok(Sensitivities { how, errors })
}

/// Encoders and denoisers on the reference. What a decoder would give is left at zero.
struct Runner<'a> {
    stages: Vec<(&'a Stage, Option<ReferenceSession>)>,
    /// What each encoder gave with exact weights, pass by pass.
    exact: BTreeMap<String, Vec<Vec<Tensor>>>,
    /// The weight that is in 4 bits; `None` for the exact first image.
    changed: Option<String>,
    /// Passes of this image so far, by stage.
    passes: BTreeMap<String, usize>,
}

impl<'a> Runner<'a> {
    fn new(pipeline: &'a Pipeline, weights: &Weights) -> Result<Self, BackendError> {
        let threads = ditbench_worker::probe::machine::cores();
        let session = |stage: &'a Stage| -> Result<_, BackendError> {
            let graph = stage.graph().filter(|_| is_looked_at(stage));
            Ok((stage, graph.map(|graph| ReferenceSession::new(graph, weights, threads)).transpose()?))
        };
        let stages = pipeline.stages.iter().map(session).collect::<Result<_, _>>()?;
        Ok(Self { stages, exact: BTreeMap::new(), changed: None, passes: BTreeMap::new() })
    }

    fn image(&mut self, pipeline: &Pipeline) -> Result<Trace> {
        self.passes.clear();
        draw(pipeline, self)
    }
}

/// One image of the calibration prompt.
fn draw(pipeline: &Pipeline, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace> {
    let inputs = pipeline.drive.inputs(PROMPT, SEED)?;
    pipeline.drive.image(&inputs, runner).map_err(anyhow::Error::from_boxed)
}

/// What a stage that is not run would give.
fn zeros(graph: &Graph) -> Result<Vec<Tensor>, RunError> {
    let zero = |port: &ditbench_graph::Port| Tensor::zeros(graph.value(port.value).shape.clone());
    Ok(graph.outputs.iter().map(zero).collect())
}

impl StageRunner for Runner<'_> {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let pass = self.passes.entry(stage.to_owned()).or_insert(0);
        let this = *pass;
        *pass += 1;
        let found = self.stages.iter_mut().find(|(known, _)| known.id == stage);
        let Some((known, session)) = found else { return Err(format!("no stage \"{stage}\"").into()) };
        let Some(graph) = known.graph() else { return Err(format!("{stage} is not one of our graphs").into()) };
        let Some(session) = session else { return zeros(graph) };
        let exact = match &self.changed {
            None => true,
            Some(name) => graph.weights.iter().all(|spec| spec.name != *name),
        };
        let encodes = known.role == Role::Encoder;
        if let Some(outputs) = self.exact.get(stage).and_then(|passes| passes.get(this)).filter(|_| exact && encodes) {
            return Ok(outputs.clone());
        }
        let outputs = session.run(inputs)?;
        if exact && encodes {
            self.exact.entry(stage.to_owned()).or_default().push(outputs.clone());
        }
        Ok(outputs)
    }
}

/// For models too large for that: each layer's own output, in one pass, relative to its size.
fn layer_by_layer(pipeline: &Pipeline, exact: Box<dyn WeightStore>, progress: &Progress) -> Result<Sensitivities> {
    let store = Arc::new(OneInFourBits { exact, only: Mutex::new(None) });
    let weights = Weights::new(Shared(Arc::clone(&store)));
    let Runner { stages, .. } = Runner::new(pipeline, &weights)?;
    let mut looker = Looker { stages, store: &store, errors: BTreeMap::new(), progress };
    draw(pipeline, &mut looker)?;
    let how = "relative squared error of the layer's own output with its weight in 4 bits, measured in one pass";
    Ok(Sensitivities { how: how.to_owned(), errors: looker.errors })
}

/// Runs stages exactly and adds up, layer by layer, what 4 bits would have cost.
struct Looker<'a> {
    stages: Vec<(&'a Stage, Option<ReferenceSession>)>,
    store: &'a OneInFourBits,
    errors: BTreeMap<String, f64>,
    progress: &'a Progress,
}

impl StageRunner for Looker<'_> {
    type Error = RunError;

    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let found = self.stages.iter().find(|(known, _)| known.id == stage);
        let Some((known, session)) = found else { return Err(format!("no stage \"{stage}\"").into()) };
        let Some(graph) = known.graph() else { return Err(format!("{stage} is not one of our graphs").into()) };
        let Some(session) = session else { return zeros(graph) };
        let (store, errors, progress) = (self.store, &mut self.errors, self.progress);
        let nodes = graph.nodes.len();
        let outputs = session.run_traced(inputs, &mut |step: Step<'_>| {
            progress.now(format!("measuring what 4 bits cost, {} node {} of {nodes}", graph.name, step.index + 1));
            if let Op::Linear { weight, .. } = &step.node.op {
                let spec = graph.weight(*weight);
                if let Some(error) = is_quantizable(spec).then(|| own_error(store, spec, step.inputs[0])).flatten() {
                    *errors.entry(spec.name.clone()).or_insert(0.0) += error;
                }
            }
        })?;
        Ok(outputs.iter().map(Array::to_tensor).collect::<Result<_, _>>()?)
    }
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
        let nano = Choice::new("snapgenpp", "nano", ImageSize { height: 64, width: 64 }, 4);
        let pipeline = smallest(&nano, 1).unwrap();
        let exact = store(&pipeline, &Source::Seed(7)).unwrap();
        let measured = layer_by_layer(&pipeline, exact, &Progress::new(1)).unwrap();
        let wanted: Vec<&String> = pipeline
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
