//! What cells share, made once: weights and inputs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ditbench_graph::cost;
use ditbench_graph::hash::sha256;
use ditbench_graph::weights::Scheme;
use ditbench_graph::weights::prepare::{self, Prepared as PreparedWeights, Sensitivity};
use ditbench_graph::weights::scheme;
use ditbench_record::store::RunStore;
use ditbench_record::{
    CellKey, FormulaCounts, Inputs as InputsEntry, Kind, ModelEntry, PaperCounts, PaperTime, Stage, Warning, WeightFile,
};
use ditbench_workloads::{Choice, Inputs, Paper, Pipeline, Stage as PipelineStage, workload};

use super::Settings;
use super::own;
use super::progress::Progress;
use super::resolve::Resolved;
use super::sensitivity;
use super::weights::WeightsChoice;
use ditbench_protocol::{Counting, LaunchSpec, StopRule};
use ditbench_worker::registry;

/// What a launch needs on disk.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Weights, a safetensors file.
    pub weights: PathBuf,
    /// Its hash.
    pub weights_sha256: String,
    /// What the reader should know of these weights.
    pub notes: Vec<Warning>,
    /// Token ids, noise, time features.
    pub inputs: PathBuf,
    /// Folder in which backends keep what they make from a model.
    pub cache: PathBuf,
}

impl Prepared {
    /// A cell's launch: one prompt, nothing kept, nothing profiled. Callers change what they want otherwise.
    pub(super) fn spec(&self, cell: &Resolved, stop: StopRule) -> LaunchSpec {
        LaunchSpec {
            protocol: ditbench_protocol::VERSION,
            environment: BTreeMap::new(),
            // A plan names only backends that there are.
            engine: registry::engine(&cell.cell.backend.name).ok().flatten().cloned(),
            choice: cell.cell.choice.clone(),
            backend: cell.cell.backend.name.clone(),
            variant: cell.key.variant.clone(),
            device: cell.cell.device.clone(),
            allow_fallback: false,
            threads: cell.cell.threads.get(),
            memory: cell.cell.memory,
            weights: self.weights.clone(),
            inputs: self.inputs.clone(),
            cache: self.cache.clone(),
            outputs: None,
            stop,
            profile: false,
            counters: Counting::Off,
            placement: false,
            series: None,
            cpus: cell.cell.pinned.as_ref().map(|pinned| pinned.cpus.clone()),
            company: cell.key.company,
        }
    }
}

/// Prepares cells, each model × scheme and each workload once.
pub struct Preparer {
    cache: PathBuf,
    run_dir: PathBuf,
    prompt: String,
    seed: u64,
    choice: WeightsChoice,
    weights: HashMap<(String, Scheme), PreparedWeights>,
    inputs: HashMap<Choice, PathBuf>,
}

impl Preparer {
    /// Prepares into `cache`, and inputs into the run's directory.
    pub fn new(cache: PathBuf, settings: &Settings, run_dir: &Path) -> Self {
        Self {
            cache,
            run_dir: run_dir.to_owned(),
            prompt: settings.prompt.clone(),
            seed: settings.seed,
            choice: settings.weights.clone(),
            weights: HashMap::new(),
            inputs: HashMap::new(),
        }
    }

    /// Weights and inputs of a cell; the record learns of them when they are new.
    ///
    /// # Errors
    /// Weights that do not fit the model, a cache or run directory that cannot be written.
    pub fn prepare(&mut self, cell: &Resolved, store: &mut RunStore, progress: &Progress) -> Result<Prepared> {
        let weights = self.weights(cell, store, progress)?;
        let choice = &cell.cell.choice;
        if !self.inputs.contains_key(choice) {
            let made = cell.pipeline.drive.inputs(&self.prompt, self.seed)?;
            let path = save_inputs(cell, &made, &self.run_dir)?;
            store.update(|run| run.inputs.push(inputs_entry(cell, &made)))?;
            self.inputs.insert(choice.clone(), path);
        }
        Ok(self.prepared(weights, self.inputs[choice].clone()))
    }

    /// Where weights are kept.
    pub(super) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Weights of a cell with inputs of another's making.
    pub(super) fn prepared(&self, weights: PreparedWeights, inputs: PathBuf) -> Prepared {
        Prepared {
            notes: notes(&weights),
            weights: weights.path,
            weights_sha256: weights.sha256,
            inputs,
            cache: self.cache.clone(),
        }
    }

    /// Weights of a cell; the record learns of them and of the model when they are new.
    ///
    /// # Errors
    /// Weights that do not fit the model, a cache that cannot be written.
    pub(super) fn weights(
        &mut self,
        cell: &Resolved,
        store: &mut RunStore,
        progress: &Progress,
    ) -> Result<PreparedWeights> {
        // The whole config: two models of one name can differ in what their weights are.
        let key = (format!("{} {}", cell.pipeline.name, cell.pipeline.config), cell.cell.scheme);
        if !self.weights.contains_key(&key) {
            let made = weights_of(cell, &self.choice, self.seed, &self.cache, progress)?;
            self.weights.insert(key.clone(), made);
        }
        let weights = self.weights[&key].clone();
        let entry = model_entry(cell, store, &weights);
        store.update(|run| match run.models.iter_mut().find(|old| same_model(old, &entry)) {
            Some(old) => *old = entry,
            None => run.models.push(entry),
        })?;
        Ok(weights)
    }
}

/// Refuses weights for a model that has its own in its files.
///
/// # Errors
/// It has, and others were named.
pub(super) fn refuse_weights(cell: &Resolved, choice: &WeightsChoice) -> Result<()> {
    if cell.is_own() && *choice != WeightsChoice::Usual { own::refuse_weights(&cell.pipeline) } else { Ok(()) }
}

/// The weights of a cell: of a user's own model those in its files, else as [`prepare_weights`].
///
/// # Errors
/// As [`prepare_weights`]; a user's files that cannot be read.
pub(super) fn weights_of(
    cell: &Resolved,
    choice: &WeightsChoice,
    seed: u64,
    cache: &Path,
    progress: &Progress,
) -> Result<PreparedWeights> {
    if cell.is_own() {
        return own::weights(&cell.pipeline, progress);
    }
    prepare_weights(&cell.pipeline, choice, seed, cell.cell.scheme, cache, progress)
}

/// The weights of a model: a user's file, else a checkpoint that ditbench carries, else initialised from the seed.
///
/// # Errors
/// A file that does not fit the model, a cache that cannot be written.
pub fn prepare_weights(
    pipeline: &Pipeline,
    choice: &WeightsChoice,
    seed: u64,
    scheme: Scheme,
    cache: &Path,
    progress: &Progress,
) -> Result<PreparedWeights> {
    let source = choice.source(pipeline, seed, cache)?;
    let what = format!("{} weights in {}", pipeline.family, scheme.name());
    let measured = (scheme == Scheme::Mixed)
        .then(|| {
            let choice = pipeline.drive.measured_on().unwrap_or(&pipeline.choice);
            sensitivity::measure(choice, &source, cache, progress)
        })
        .transpose()
        .context("measuring what 4 bits cost each weight, for the mixed scheme")?;
    let sensitivity = measured.as_ref().map_or(Sensitivity::WeightError, |measured| Sensitivity::Measured {
        errors: &measured.errors,
        how: &measured.how,
    });
    let prepared = prepare::prepare_by(pipeline, &source, scheme, sensitivity, cache, |share| {
        progress.now(format!("making {what}: {:.0} %", 100.0 * share));
    })?;
    Ok(prepared)
}

/// What the reader should know of weights: how the mixed scheme chose, which is part of the result, and what of a checkpoint
/// the model does not read.
fn notes(weights: &PreparedWeights) -> Vec<Warning> {
    let choice = weights.choice.as_ref().map(|choice| {
        let eight_bit = choice.eight_bit.len() as u64;
        Kind::MixedWeights { eight_bit, average_bits: choice.average_bits, chosen_by: choice.measured.clone() }
    });
    let unread = unread(&weights.unread).map(|what| Kind::UnreadWeights { what });
    choice.into_iter().chain(unread).map(Warning::from).collect()
}

/// Tensors that a model does not read, in a few words; `None` if it reads all.
pub fn unread(tensors: &[String]) -> Option<String> {
    let more = tensors.len().saturating_sub(3);
    let shown = tensors[..tensors.len() - more].join(", ");
    match (tensors.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(shown),
        (_, more) => Some(format!("{shown} and {more} more")),
    }
}

/// The name of the inputs of a cell: by everything that they depend on. A user's model may be fed files of the user's own.
fn inputs_of(cell: &Resolved) -> String {
    let name = inputs_name(&cell.key);
    if !cell.is_own() {
        return name;
    }
    let choice = serde_json::to_vec(&cell.cell.choice).unwrap_or_default();
    let hash = sha256(&choice);
    format!("{name}-{}", &hash[..8])
}

/// The name of a workload's inputs, a file or a folder: by everything that they depend on.
pub(super) fn inputs_name(key: &CellKey) -> String {
    let CellKey { width, height, steps, batch, .. } = key;
    let batch = if *batch == 1 { String::new() } else { format!("-b{batch}") };
    let sampler = key.sampler().map(|sampler| format!("-{sampler}")).unwrap_or_default();
    format!("{}-{width}x{height}-s{steps}-x{}{batch}{sampler}", key.name(), key.text_tokens().unwrap_or(0))
}

/// Writes the inputs of a cell's workload below `folder` and gives the file.
///
/// # Errors
/// A folder that cannot be written.
pub fn save_inputs(cell: &Resolved, made: &Inputs, folder: &Path) -> Result<PathBuf> {
    let name = format!("{}.safetensors", inputs_of(cell));
    let folder = std::path::absolute(folder.join("inputs")).context("cannot resolve the run's directory")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(name);
    made.save(&path)?;
    Ok(path)
}

fn inputs_entry(cell: &Resolved, made: &Inputs) -> InputsEntry {
    InputsEntry {
        model: cell.key.name(),
        steps: cell.key.steps,
        sampler: cell.key.sampler().unwrap_or_default().to_owned(),
        height: cell.key.height,
        width: cell.key.width,
        batch: cell.key.batch,
        text_tokens: cell.key.text_tokens(),
        noise_sha256: made.noise_sha256(),
        tokens_sha256: made.tokens_sha256(),
        inputs_sha256: made.sha256(),
    }
}

fn same_model(a: &ModelEntry, b: &ModelEntry) -> bool {
    (&a.name, a.height, a.width, a.text_tokens) == (&b.name, b.height, b.width, b.text_tokens)
}

/// The record's entry of a cell's model, with this scheme's weights added to those known.
fn model_entry(cell: &Resolved, store: &RunStore, weights: &PreparedWeights) -> ModelEntry {
    let pipeline = &cell.pipeline;
    let mut files = store.run().model(&cell.key).map(|entry| entry.weights.clone()).unwrap_or_default();
    files.retain(|file| file.scheme != cell.key.precision);
    files.push(WeightFile {
        scheme: cell.key.precision.clone(),
        file: weights.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: weights.sha256.clone(),
        bytes: weights.bytes,
        bits_per_weight: weights.choice.as_ref().map(|choice| choice.average_bits),
        origin: weights.origin.clone(),
    });
    let choice = &pipeline.choice;
    let said = workload::named(&choice.workload).and_then(|workload| workload.paper(&choice.model));
    ModelEntry {
        name: cell.key.name(),
        height: cell.key.height,
        width: cell.key.width,
        text_tokens: cell.key.text_tokens(),
        config: pipeline.config.clone(),
        stages: pipeline.stages.iter().filter_map(stage).collect(),
        paper: said.as_ref().map(|said| paper(said, pipeline)),
        formula: said.as_ref().and_then(formula),
        weights: files,
    }
}

fn stage(stage: &PipelineStage) -> Option<Stage> {
    let graph = stage.graph()?;
    let total = cost::total(graph);
    Some(Stage {
        name: stage.id.clone(),
        graph_sha256: graph.sha256(),
        nodes: graph.nodes.len() as u64,
        parameters: graph.parameters() as u64,
        macs: total.macs,
        flops: total.flops,
        few_bit_flops: Some(2 * scheme::few_bit_macs(graph)),
        work: cost::by(graph, cost::work).into_iter().map(|(work, cost)| (work.to_owned(), cost.flops)).collect(),
        peak_activation_bytes: Some(cost::peak_activation_bytes(graph)),
    })
}

/// What the paper prints of a model's denoiser.
fn paper(said: &Paper, pipeline: &Pipeline) -> PaperCounts {
    // Of the model as the paper has it, not of another rung.
    let as_it_is = pipeline.family == pipeline.choice.model;
    PaperCounts {
        printed: said.printed.map(|printed| format!("parameters: {printed}")),
        parameters: said.parameters,
        macs: said.macs,
        source: format!("{}: {}", said.source, said.of),
        times: said.times.iter().filter(|_| as_it_is).map(paper_time).collect(),
    }
}

fn paper_time(time: &ditbench_workloads::paper::PaperTime) -> PaperTime {
    PaperTime {
        hardware: time.hardware.to_owned(),
        runtime: time.runtime.map(str::to_owned),
        size: time.side,
        step_s: time.seconds,
        decoder_s: time.decoder_s,
        steps: time.image.map(|(steps, _)| steps),
        image_s: time.image.map(|(_, seconds)| seconds),
    }
}

/// What our formula gives for it.
fn formula(said: &Paper) -> Option<FormulaCounts> {
    let counts = said.formula?;
    Some(FormulaCounts { parameters: counts.parameters, macs: counts.macs, of: format!("the denoiser, {}", said.of) })
}
