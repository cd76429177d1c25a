//! A user's own model, as ONNX: an exported pipeline's folder, or a single graph.
//!
//! Contract: the files are read where they are and never changed; what they say, and what is not understood of them, comes
//! from `ditbench-onnx`. Choices of one model name it and carry its path: the name, not the content, is what a cell's key has,
//! so that comparisons and the history follow a model through new exports.

mod bridge;
mod folder;
mod given;
mod single;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_onnx::axes::InputSize;
use ditbench_onnx::model::{Arithmetic, Model, Precision};

use crate::edgedit;
use crate::pipeline::{OnnxFile, Pipeline, Role, Source};
use crate::{Axis, Choice, ImageSize, ModelInfo, Workload, WorkloadError};

pub use given::{Given, GivenError};

/// The workload's name.
pub const NAME: &str = "onnx";
/// The steps where nobody says: no file of a pipeline says how many it was distilled for.
pub const USUAL_STEPS: usize = 4;

/// The keys of a choice that are no axes.
const PATH: &str = "path";
const INPUTS: &str = "inputs";
const EXPECT: &str = "expect";
const SIZE_OF: &str = "input.";
const FILE_OF: &str = "file.";

/// What a plan may vary.
static AXES: [Axis; 2] = [
    edgedit::GUIDANCE,
    Axis {
        name: "t5-tokens",
        help: "Text tokens of a T5 in a pipeline of your own",
        default: "",
        parse: |text| match text.parse::<usize>() {
            Ok(count @ 2..=65536) => Ok(count.to_string()),
            _ => Err(format!("\"{text}\" is not a count of text tokens: write a number from 2 to 65536")),
        },
        show: |value| format!("{value} T5 tokens"),
    },
];

/// Models that a user brings.
pub struct Own;

/// What is said of a user's model besides its path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Sizes of a single graph's inputs.
    pub sizes: Vec<InputSize>,
    /// The graph of a component whose folder holds several: names and files.
    pub files: Vec<(String, String)>,
    /// Arrays to be fed in the place of made ones.
    pub inputs: Option<PathBuf>,
    /// Arrays that should come out.
    pub expect: Option<PathBuf>,
}

/// The choice of a user's model at its usual size and steps, or at those given. Reads the files' interfaces.
///
/// # Errors
/// What is missing or not understood, and what to do.
pub fn choice(
    given: &Given,
    options: &Options,
    size: Option<ImageSize>,
    steps: Option<usize>,
) -> Result<Choice, WorkloadError> {
    let path = std::path::absolute(&given.path).unwrap_or_else(|_| given.path.clone());
    let no_size = ImageSize { height: 0, width: 0 };
    let mut choice =
        Choice::new(NAME, &given.name, size.unwrap_or(no_size), steps.unwrap_or(USUAL_STEPS)).with(PATH, text(&path)?);
    for (key, file) in [(INPUTS, &options.inputs), (EXPECT, &options.expect)] {
        if let Some(file) = file {
            let whole = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            if !whole.is_file() {
                return Err(WorkloadError::Choice(format!("--{key}: {}: there is no such file", whole.display())));
            }
            choice = choice.with(key, text(&whole)?);
        }
    }
    for (component, file) in &options.files {
        choice = choice.with(&format!("{FILE_OF}{component}"), file);
    }
    if path.is_dir() {
        if let Some(size) = options.sizes.first() {
            let why = format!("--input {size} is for single graphs; a pipeline's inputs get their sizes from --size");
            return Err(WorkloadError::Choice(why));
        }
        if size.is_none() {
            choice.size = folder::usual_size(&choice)?;
        }
        return Ok(choice);
    }
    let refused = [(size.is_some(), "--size"), (steps.is_some(), "--steps"), (!options.files.is_empty(), "--file")];
    if let Some((_, flag)) = refused.into_iter().find(|(given, _)| *given) {
        let why = format!("{flag} is for pipelines; {} is a single graph, run once: leave it out", given.name);
        return Err(WorkloadError::Choice(why));
    }
    choice.steps = 1;
    for (name, size) in single::sizes(&path, &options.sizes, options.inputs.as_deref())? {
        choice = choice.with(&format!("{SIZE_OF}{name}"), &size);
    }
    Ok(choice)
}

/// A path as text, which a plan and an order to a worker are.
fn text(path: &Path) -> Result<&str, WorkloadError> {
    path.to_str()
        .ok_or_else(|| WorkloadError::Choice(format!("{}: its name is not UTF-8 text: rename it", path.display())))
}

/// Where the model of a choice is; `None` for a workload of ditbench's own.
pub fn path_of(choice: &Choice) -> Option<&Path> {
    (choice.workload == NAME).then(|| choice.own(PATH).map(Path::new)).flatten()
}

/// The file of what should come out, if there is one.
pub fn expected_of(choice: &Choice) -> Option<&Path> {
    (choice.workload == NAME).then(|| choice.own(EXPECT).map(Path::new)).flatten()
}

/// What else was said of a choice's model: what [`choice`] was given.
pub fn options_of(choice: &Choice) -> Options {
    let under = |prefix: &'static str| {
        choice.own.iter().filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_str())))
    };
    Options {
        sizes: under(SIZE_OF).filter_map(|(name, size)| format!("{name}={size}").parse().ok()).collect(),
        files: under(FILE_OF).map(|(name, file)| (name.to_owned(), file.to_owned())).collect(),
        inputs: choice.own(INPUTS).map(PathBuf::from),
        expect: choice.own(EXPECT).map(PathBuf::from),
    }
}

/// The same choice with its model elsewhere: on a phone, where neither arrays nor expectations are.
pub fn moved(choice: &Choice, path: &str) -> Choice {
    let mut moved = choice.clone().with(PATH, path);
    moved.own.remove(INPUTS);
    moved.own.remove(EXPECT);
    moved
}

/// Whether this is a single graph and no pipeline, so that there is no picture.
pub fn is_single(choice: &Choice) -> bool {
    choice.workload == NAME && choice.size.height == 0
}

/// The sizes of a single graph's inputs, as they tell two of its cells apart: `sample=1x4x64x64`.
pub fn shown_sizes(choice: &Choice) -> Option<String> {
    is_single(choice).then(|| options_of(choice).sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// The files of a user's model: graphs, weights beside them, and the JSON files that a worker reads; each with its place below
/// the model's folder.
pub fn files(pipeline: &Pipeline) -> Vec<(PathBuf, PathBuf)> {
    let Some(root) = path_of(&pipeline.choice) else { return Vec::new() };
    let base = if root.is_dir() { root } else { root.parent().unwrap_or(root) };
    let mut files: Vec<PathBuf> = Vec::new();
    for stage in &pipeline.stages {
        let Source::Onnx(OnnxFile { path, model, .. }) = &stage.source else { continue };
        let beside = path.parent().unwrap_or(base);
        files.push(path.clone());
        files.extend(model.data.iter().map(|data| beside.join(&data.location)));
        files.push(beside.join("config.json"));
    }
    if root.is_dir() {
        files.extend(["model_index.json", "scheduler/scheduler_config.json"].map(|name| base.join(name)));
        for tokenizer in ["tokenizer", "tokenizer_2", "tokenizer_3"] {
            files.extend(
                ["tokenizer_config.json", "special_tokens_map.json"].map(|name| base.join(tokenizer).join(name)),
            );
        }
    }
    let place = |path: PathBuf| {
        let below = path.strip_prefix(base).ok()?.to_owned();
        path.is_file().then_some((path, below))
    };
    files.into_iter().filter_map(place).collect()
}

impl Workload for Own {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "a user's own model, as ONNX: a pipeline's folder as optimum and diffusers export it, or a single graph"
    }

    /// They are the user's: a path, not a name of ours.
    fn models(&self) -> &'static [ModelInfo] {
        &[]
    }

    fn axes(&self) -> &'static [Axis] {
        &AXES
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let path = path_of(choice)
            .ok_or_else(|| WorkloadError::Choice(format!("{} has no path: it is not a user's model", choice.model)))?;
        if is_single(choice) { single::build(choice, path) } else { folder::build(choice, path) }
    }
}

/// The graph of each component whose folder holds several.
fn chosen_files(choice: &Choice) -> BTreeMap<String, String> {
    options_of(choice).files.into_iter().collect()
}

/// An error of the files, as a plan's.
fn wrong(error: impl std::fmt::Display) -> WorkloadError {
    WorkloadError::Choice(error.to_string())
}

/// What is read from one graph, for the record.
fn about(path: &Path, model: &Model) -> serde_json::Value {
    let data: u64 = model.data.iter().map(|file| file.needed).sum();
    serde_json::json!({
        "file": path.file_name().unwrap_or_default().to_string_lossy(),
        "bytes": model.bytes + data,
        "exporter": model.producer,
        "opset": model.opsets.get("").copied(),
        "nodes": model.nodes(),
        "weights": model.precision.weights(),
        "bits_per_weight": model.precision.bits_per_weight(),
        "stored": model.precision.shares().iter().map(|share| share.storage.to_string()).collect::<Vec<_>>(),
    })
}

/// Whether ONNX's definition of the operators decides every result: the files leave no rounding to the runtime.
fn is_defined<'a>(models: impl IntoIterator<Item = &'a Model>) -> bool {
    let rounds = |model: &Model| matches!(model.precision.arithmetic(), Arithmetic::Half | Arithmetic::Rounded);
    !models.into_iter().any(rounds)
}

/// What a graph without weights is said to compute in.
const NO_WEIGHTS: &str = "none";

impl Pipeline {
    /// The precision that a user's files have, by the weights of their denoiser; `None` for models of ours, whose precision
    /// a plan chooses.
    pub fn files_precision(&self) -> Option<String> {
        let of = |role: Option<Role>| {
            let stages = self.stages.iter().filter(|stage| role.is_none_or(|role| stage.role == role));
            let files = stages.filter_map(|stage| match &stage.source {
                Source::Onnx(file) => Some(&file.model.precision),
                Source::Graph(_) => None,
            });
            files.collect::<Vec<&Precision>>()
        };
        let denoisers = of(Some(Role::Denoiser));
        let files = if denoisers.is_empty() { of(None) } else { denoisers };
        let joined = (!files.is_empty()).then(|| Precision::joined(files))?;
        Some(joined.label().unwrap_or_else(|| NO_WEIGHTS.to_owned()))
    }
}

#[cfg(test)]
mod tests;
