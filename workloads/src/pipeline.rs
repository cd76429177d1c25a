//! A workload at one point of its choices: stages that a backend runs, and the host's part between them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ditbench_graph::tensor::TensorError;
use ditbench_graph::weights::file::WeightFile;
use ditbench_graph::weights::{Net, Weights, WeightsError};
use ditbench_graph::{Graph, Tensor, cost};
use ditbench_onnx::axes::FixedInput;
use ditbench_onnx::model::Model;

use crate::published::Published;
use crate::{Choice, ImageSize, Inputs, InputsError, Trace};

/// What a stage is for: decides which column its times stand in, whatever the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Before the steps: text to embeddings.
    Encoder,
    /// Runs in every step.
    Denoiser,
    /// After the steps: latent to image.
    Decoder,
    /// Anything else, such as a single graph of a user's own.
    Other,
}

/// What a stage is made from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A graph in our language.
    Graph(Graph),
    /// A user's own ONNX file, with its weights.
    Onnx(OnnxFile),
}

/// A user's own ONNX file.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its inputs with the sizes that they are run at, in the file's order.
    pub inputs: Vec<FixedInput>,
    /// What is in it.
    pub model: Model,
}

/// One part of a pipeline: what a backend makes a session of.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name in events, records and tables: `text_encoder`, `denoiser`, `denoiser_256`.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// What it is made from.
    pub source: Source,
    /// Passes that one image takes.
    pub passes: usize,
}

impl Stage {
    /// Its graph, where it is one of ours.
    pub fn graph(&self) -> Option<&Graph> {
        match &self.source {
            Source::Graph(graph) => Some(graph),
            Source::Onnx(_) => None,
        }
    }
}

/// The error of whatever runs a stage.
pub type RunError = Box<dyn std::error::Error + Send + Sync>;

/// Something that runs stages.
pub trait StageRunner {
    /// Why a stage failed.
    type Error: From<TensorError>;

    /// One pass of a stage: tensors in the order of its graph's inputs, results in the order of its outputs.
    ///
    /// # Errors
    /// The runner's own.
    fn run(&mut self, stage: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, Self::Error>;

    /// How long the last pass took, where the runner's own clock counts and not ours: it had to bring the tensors to another
    /// process and back.
    fn took(&self) -> Option<Duration> {
        None
    }
}

/// Runs a pass of a stage and adds its time to `took`: what every [`Drive`] does it with.
///
/// # Errors
/// The runner's.
pub fn timed<R: StageRunner + ?Sized>(
    runner: &mut R,
    stage: &str,
    inputs: &[Tensor],
    took: &mut Duration,
) -> Result<Vec<Tensor>, R::Error> {
    let begun = Instant::now();
    let outputs = runner.run(stage, inputs);
    let waited = begun.elapsed();
    *took += runner.took().unwrap_or(waited);
    outputs
}

/// Runs a pass of a stage that has one output, and adds its time to `took` as [`timed`] does.
///
/// # Errors
/// The runner's; [`TensorError`] where the stage does not give one tensor of the shape that the next one wants.
pub fn run_stage<R: StageRunner + ?Sized>(
    stage: &'static str,
    feed: &[Tensor],
    wanted: &[usize],
    runner: &mut R,
    took: &mut Duration,
) -> Result<Tensor, R::Error> {
    let mut outputs = timed(runner, stage, feed, took)?;
    match outputs.pop() {
        Some(output) if outputs.is_empty() && output.shape() == wanted => Ok(output),
        last => {
            let found = outputs.iter().chain(&last).map(|tensor| tensor.shape().to_vec()).collect();
            Err(TensorError::Output { maker: stage, wanted: wanted.to_vec(), found }.into())
        }
    }
}

/// The host's part of a pipeline: what stages are fed, and what happens between them.
///
/// Contract: every pass of a stage is timed in the same way whatever the workload and the backend: from tensors in host
/// memory to tensors in host memory ([`timed`]). The host's own arithmetic counts towards the image's total and towards no
/// stage; so does the way of tensors to a process of their own and back, whose clock then times the stage.
pub trait Drive: Send + Sync {
    /// Makes the inputs of one image: the same bytes on every machine.
    ///
    /// # Errors
    /// A prompt that this workload cannot take.
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError>;

    /// Makes one image.
    ///
    /// # Errors
    /// Inputs of another workload; the runner's; a stage that does not give what the next one wants.
    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError>;

    /// Noise levels of an image, one more than steps; empty where there is no such thing.
    fn sigmas(&self) -> Vec<f64> {
        Vec::new()
    }

    /// The weights of these graphs in a file. A workload whose nets can be cut from a larger one overrides this.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    fn fit(&self, file: WeightFile, path: &Path, graphs: &[&Graph]) -> Result<Weights, WeightsError> {
        let weights = Weights::new(file);
        weights.check(graphs, path)?;
        Ok(weights)
    }

    /// The name under which graphs know a tensor of a checkpoint; the nets that can be cut from one may each have a copy.
    fn shared_name<'a>(&self, tensor: &'a str) -> &'a str {
        tensor
    }

    /// Graphs of which the file holds the weights too, though this pipeline does not run them: of nets that run another part of the same file.
    fn held(&self) -> &[Graph] {
        &[]
    }

    /// What the mixed scheme's sensitivities are measured on, where this pipeline does not itself run every weight that the scheme quantizes.
    fn measured_on(&self) -> Option<&Choice> {
        None
    }

    /// The trained checkpoint that the program carries for exactly this model, if there is one.
    fn checkpoint(&self) -> Option<Published> {
        None
    }
}

/// A workload at one point of its choices.
pub struct Pipeline {
    /// What was chosen.
    pub choice: Choice,
    /// The model's whole name, with what sets it apart from the usual: `small`, `small-6-20-10-w0.5`.
    pub name: String,
    /// What prepared files of its weights are called by.
    pub family: String,
    /// What else of the choice tells its cells from others: names and values that a cell's key carries.
    pub own: Vec<(String, String)>,
    /// The image's size.
    pub image: ImageSize,
    /// Images made at once.
    pub batch: usize,
    /// Every size and choice of the model, for the record and for what is cached by it.
    pub config: serde_json::Value,
    /// What a backend makes sessions of, in the order in which an image first passes through them.
    pub stages: Vec<Stage>,
    /// The host's part.
    pub drive: Box<dyn Drive>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pipeline({}, {} stages)", self.choice, self.stages.len())
    }
}

impl Pipeline {
    /// The stage of that id.
    pub fn stage(&self, id: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// The graphs of all stages that are ours, in order.
    pub fn graphs(&self) -> Vec<&Graph> {
        self.stages.iter().filter_map(Stage::graph).collect()
    }

    /// The first graph of a role.
    pub fn graph_of(&self, role: Role) -> Option<&Graph> {
        self.stages.iter().filter(|stage| stage.role == role).find_map(Stage::graph)
    }

    /// Passes of a stage for each step: two of a denoiser with classifier-free guidance.
    pub fn passes_per_step(&self, stage: &str) -> usize {
        let passes = self.stage(stage).map_or(0, |stage| stage.passes);
        passes.checked_div(self.choice.steps).unwrap_or(0).max(1)
    }

    /// Floating-point operations of one image, counted from the graphs.
    pub fn flops_per_image(&self) -> u64 {
        let each = self.stages.iter().filter_map(|stage| Some((stage.passes as u64, stage.graph()?)));
        each.map(|(passes, graph)| passes * cost::total(graph).flops).sum()
    }
}

impl Net for Pipeline {
    fn family(&self) -> &str {
        &self.family
    }

    fn graphs(&self) -> Vec<&Graph> {
        Self::graphs(self).into_iter().chain(self.drive.held()).collect()
    }

    fn reads(&self, tensor: &str) -> bool {
        let shared = self.drive.shared_name(tensor);
        Net::graphs(self).into_iter().flat_map(|graph| &graph.weights).any(|spec| spec.name == shared)
    }

    fn fit(&self, file: WeightFile, path: &Path) -> Result<Weights, WeightsError> {
        self.drive.fit(file, path, &Net::graphs(self))
    }
}
