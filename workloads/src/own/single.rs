//! A single graph as a workload: one stage, run once for an "image".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ditbench_graph::Tensor;
use ditbench_graph::weights::init::normal;
use ditbench_onnx::axes::{FixedInput, InputSize, Origin, by_name, fix};
use ditbench_onnx::model::{Dim, Model, Port, ReadError};
use ditbench_onnx::{DType, Value, arrays};

use super::bridge::{floats, tensor};
use super::{about, is_defined, options_of, wrong};
use crate::pipeline::{OnnxFile, Pipeline, Role, Source, Stage, timed};
use crate::{Choice, Drive, Inputs, InputsError, RunError, StageRunner, Times, Trace, WorkloadError};

/// The one stage.
pub const STAGE: &str = "model";

fn open(path: &Path) -> Result<Model, WorkloadError> {
    let model = Model::open(path).map_err(wrong)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    model.check_data(beside).map_err(|fault| wrong(ReadError { path: path.to_owned(), fault }))?;
    Ok(model)
}

/// The size of every input as a choice carries it: given, or an array's, or what the file and the names of axes say.
pub(super) fn sizes(
    path: &Path,
    given: &[InputSize],
    inputs: Option<&Path>,
) -> Result<Vec<(String, String)>, WorkloadError> {
    let model = open(path)?;
    let arrays = inputs.map(|file| arrays::read(file).map_err(wrong)).transpose()?.unwrap_or_default();
    let mut all: Vec<InputSize> = model
        .inputs
        .iter()
        .filter(|port| given.iter().all(|size| size.name != port.name))
        .filter_map(|port| Some((port, arrays.get(&port.name)?)))
        .map(|(port, array)| InputSize { name: port.name.clone(), shape: array.shape().to_vec(), dtype: None })
        .collect();
    all.extend(given.iter().cloned());
    let fixed = fixed(path, &model, &all)?;
    if let (Some(file), false) = (inputs, fixed.iter().any(|input| arrays.contains_key(&input.name))) {
        let names = |words: Vec<&str>| words.join(", ");
        return Err(wrong(format!(
            "{}: holds none of the inputs of {} ({}); it has {}",
            file.display(),
            path.display(),
            names(fixed.iter().map(|input| input.name.as_str()).collect()),
            names(arrays.keys().map(String::as_str).collect())
        )));
    }
    let size = |input: &FixedInput| {
        let size = InputSize { name: String::new(), shape: input.shape.clone(), dtype: Some(input.dtype) };
        (input.name.clone(), size.to_string().trim_start_matches('=').to_owned())
    };
    Ok(fixed.iter().map(size).collect())
}

fn fixed(path: &Path, model: &Model, given: &[InputSize]) -> Result<Vec<FixedInput>, WorkloadError> {
    let implied = |port: &Port, axis: usize| match port.dims.as_ref()?.get(axis)? {
        Dim::Named(name) => by_name(name),
        _ => None,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fixed = fix(&name, &model.inputs, given, &implied);
    fixed.map_err(|error| {
        wrong(format!("{error}{}", if given.is_empty() { " with --input, or give --inputs FILE.npz" } else { "" }))
    })
}

/// A choice carries the size of every input, whoever gave it. What the name of an axis says, and what another input with an axis of
/// that name has said before, was given by nobody.
fn with_origins(model: &Model, mut inputs: Vec<FixedInput>) -> Vec<FixedInput> {
    let mut named: Vec<&str> = Vec::new();
    for (port, input) in model.inputs.iter().zip(&mut inputs) {
        let extents = input.shape.iter().zip(&mut input.origins);
        for (dim, (extent, origin)) in port.dims.iter().flatten().zip(extents) {
            let (Dim::Named(name), Origin::Given) = (dim, *origin) else { continue };
            if by_name(name) == Some(*extent) || named.contains(&name.as_str()) {
                *origin = Origin::Implied;
            } else {
                named.push(name);
            }
        }
    }
    inputs
}

/// Builds the one stage.
pub(super) fn build(choice: &Choice, path: &Path) -> Result<Pipeline, WorkloadError> {
    if let Some(axis) = ["guidance", "t5-tokens"].into_iter().find(|axis| choice.own(axis).is_some()) {
        return Err(wrong(format!(
            "--{axis} is for pipelines; {} is a single graph, run once: leave it out",
            choice.model
        )));
    }
    let model = open(path)?;
    let options = options_of(choice);
    let inputs = with_origins(&model, fixed(path, &model, &options.sizes)?);
    let config = serde_json::json!({ "defined": is_defined([&model]), "files": { STAGE: about(path, &model) } });
    let drive =
        Graph { file: path.to_owned(), given: options.inputs, inputs: inputs.clone(), outputs: model.outputs.len() };
    let source = Source::Onnx(OnnxFile { path: path.to_owned(), inputs, model });
    Ok(Pipeline {
        choice: choice.clone(),
        name: choice.model.clone(),
        family: choice.model.clone(),
        own: Vec::new(),
        image: choice.size,
        batch: 1,
        config,
        stages: vec![Stage { id: STAGE.to_owned(), role: Role::Other, source, passes: 1 }],
        drive: Box::new(drive),
    })
}

/// One pass.
struct Graph {
    file: PathBuf,
    given: Option<PathBuf>,
    inputs: Vec<FixedInput>,
    outputs: usize,
}

impl Graph {
    /// What an input is filled with: the user's array; else seeded normals, or ones for a mask.
    fn filled(&self, input: &FixedInput, given: &BTreeMap<String, Value>, seed: u64) -> Result<Tensor, InputsError> {
        let fail = |why: String| {
            let shape = &input.shape;
            InputsError::Prompt(format!(
                "{}: input \"{}\" {shape:?} {}: {why}",
                self.file.display(),
                input.name,
                input.dtype
            ))
        };
        let count: usize = input.shape.iter().product();
        let shape = input.shape.clone();
        if let Some(value) = given.get(&input.name) {
            if value.shape() != shape {
                return Err(fail(format!("the array given is {:?}", value.shape())));
            }
            let value = value.cast(input.dtype).map_err(|error| fail(error.to_string()))?;
            return tensor(&value).map_err(|error| fail(error.to_string()));
        }
        let is_mask = input.dtype == DType::Bool || input.name.to_lowercase().contains("mask");
        match (input.dtype.is_float(), is_mask) {
            (true, false) => Ok(Tensor::f32(shape, normal(&input.name, seed, count, 0.0, 1.0))?),
            (true, true) => Ok(Tensor::f32(shape, vec![1.0; count])?),
            (false, true) => Ok(Tensor::i64(shape, vec![1; count])?),
            (false, false) => Err(fail(
                "which whole numbers mean something is not known, and random ones may lie outside a table: give them with --inputs FILE.npz".to_owned(),
            )),
        }
    }
}

impl Drive for Graph {
    /// There is no prompt to read.
    fn inputs(&self, _prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let read = |file: &PathBuf| arrays::read(file).map_err(|error| InputsError::Prompt(error.to_string()));
        let given = self.given.as_ref().map(read).transpose()?.unwrap_or_default();
        let named = |input: &FixedInput| Ok((input.name.clone(), self.filled(input, &given, seed)?));
        let tensors = self.inputs.iter().map(named).collect::<Result<Vec<_>, InputsError>>()?;
        Ok(Inputs { tensors, about: BTreeMap::new() })
    }

    /// The outputs stand where other workloads have their latents, in the file's order.
    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = Instant::now();
        let take = |input: &FixedInput| {
            let tensor = inputs.tensor(&input.name).cloned();
            tensor.ok_or_else(|| InputsError::Wrong(format!("there is no tensor \"{}\"", input.name)))
        };
        let feed = self.inputs.iter().map(take).collect::<Result<Vec<Tensor>, _>>()?;
        let mut took = Duration::ZERO;
        let outputs = timed(runner, STAGE, &feed, &mut took)?;
        if outputs.len() != self.outputs {
            return Err(
                format!("{STAGE} gave {} tensors, and the file has {} outputs", outputs.len(), self.outputs).into()
            );
        }
        let mut times = Times::default();
        times.push(STAGE, took);
        let latents = outputs.into_iter().map(floats).collect::<Result<Vec<Vec<f32>>, _>>()?;
        let image = latents.concat();
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: None, times })
    }
}
