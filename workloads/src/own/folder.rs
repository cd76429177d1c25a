//! An exported pipeline as a workload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ditbench_graph::Tensor;
use ditbench_graph::hash::sha256;
use ditbench_graph::weights::init::normal;
use ditbench_onnx::folder::{Family, Folder, Tokenizer, Tokens};
use ditbench_onnx::pipeline::{DriveError, Inputs as Fed, Pipeline as Files, Plan, Request};
use ditbench_onnx::{DType, Data, Value, arrays};

use super::bridge::{Bridge, tensor};
use super::{about, chosen_files, is_defined, path_of, wrong};
use crate::pipeline::{OnnxFile, Pipeline, Role, Source, Stage};
use crate::{Choice, Drive, ImageSize, Inputs, InputsError, RunError, StageRunner, Times, Trace, WorkloadError};

/// The size at which a pipeline is run where nobody says.
pub(super) fn usual_size(choice: &Choice) -> Result<ImageSize, WorkloadError> {
    let path = path_of(choice).unwrap_or(Path::new(""));
    let files = Files::open(path, &chosen_files(choice)).map_err(wrong)?;
    let (height, width) = files.plan(&request(choice, None)?).map_err(wrong)?.picture();
    Ok(ImageSize { height, width })
}

fn request(choice: &Choice, size: Option<(usize, usize)>) -> Result<Request, WorkloadError> {
    let scale = |text: &str| {
        text.parse::<f64>()
            .map_err(|_| wrong(format!("{} has no guidance \"{text}\": give its scale, as in 7.5", choice.model)))
    };
    Ok(Request {
        steps: choice.steps,
        size,
        // The axis has read it.
        text_tokens: choice.own("t5-tokens").and_then(|count| count.parse().ok()),
        guidance: choice.own("guidance").filter(|text| *text != "none").map(scale).transpose()?,
    })
}

/// Builds the stages of a folder.
pub(super) fn build(choice: &Choice, path: &Path) -> Result<Pipeline, WorkloadError> {
    let mut files = Files::open(path, &chosen_files(choice)).map_err(wrong)?;
    if choice.own("t5-tokens").is_some() && files.folder.encoders.iter().all(|encoder| encoder.family != Family::T5) {
        return Err(wrong(format!("{} has no T5: leave --t5-tokens out", choice.model)));
    }
    let image = choice.size;
    let plan = files.plan(&request(choice, Some((image.height, image.width)))?).map_err(wrong)?;
    let config = config(&files);
    let sampler = sampler(&files.folder, &plan);
    let tokens = plan.denoiser_tokens();
    let passes = if plan.reads_empty_prompt() { 2 } else { 1 };
    let stages = plan.components().filter_map(|component| {
        let model = files.models.remove(&component.name)?;
        let graph = files.folder.components().find(|graph| graph.name == component.name)?.graph.clone();
        let (role, passes) = match &component.name {
            name if *name == files.folder.denoiser.name => (Role::Denoiser, passes * choice.steps),
            name if *name == files.folder.decoder.name => (Role::Decoder, 1),
            _ => (Role::Encoder, passes),
        };
        let source = Source::Onnx(OnnxFile { path: graph, inputs: component.inputs.clone(), model });
        Some(Stage { id: component.name.clone(), role, source, passes })
    });
    let stages = stages.collect();
    let of = |encoder: &ditbench_onnx::folder::Encoder| {
        (encoder.component.name.clone(), (encoder.tokenizer.clone(), encoder.family))
    };
    let drive = Way {
        tokenizers: files.folder.encoders.iter().map(of).collect(),
        denoiser: files.folder.denoiser.name.clone(),
        given: choice.own(super::INPUTS).map(PathBuf::from),
        sampler: sampler.clone(),
        image,
        plan,
    };
    Ok(Pipeline {
        choice: choice.clone(),
        name: choice.model.clone(),
        family: choice.model.clone(),
        own: vec![("sampler".to_owned(), sampler), ("text_tokens".to_owned(), tokens.to_string())],
        image,
        batch: 1,
        config,
        stages,
        drive: Box::new(drive),
    })
}

/// The scheduler, and the guidance behind it; records read two passes a step from `+cfg`.
fn sampler(folder: &Folder, plan: &Plan) -> String {
    let class = folder.scheduler.class();
    match plan.guidance() {
        None => class.to_owned(),
        Some((scale, true)) => format!("{class}+cfg{scale}"),
        Some((scale, false)) => format!("{class}+embedded{scale}"),
    }
}

/// What the files say, for the record.
fn config(files: &Files) -> serde_json::Value {
    let folder = &files.folder;
    let graphs = folder.components().filter_map(|component| {
        Some((component.name.clone(), about(&component.graph, files.models.get(&component.name)?)))
    });
    serde_json::json!({
        "class": folder.class,
        "scheduler": folder.scheduler.class(),
        "scheduler_fields_ignored": folder.scheduler.ignored,
        "components_ignored": folder.ignored,
        "architecture": architecture(folder),
        "defined": is_defined(files.models.values()),
        "files": graphs.collect::<serde_json::Map<_, _>>(),
    })
}

/// SHA-256 over what all exports of one model share whatever their precision: their configs, scheduler and tokenizers.
fn architecture(folder: &Folder) -> String {
    let beside = folder.components().filter_map(|component| Some(component.graph.parent()?.join("config.json")));
    let scheduler = folder.path.join("scheduler").join("scheduler_config.json");
    let mut all = folder.class.clone().into_bytes();
    for file in beside.chain([scheduler]) {
        // Spaces and the order of keys are the exporter's.
        let text = std::fs::read(file).unwrap_or_default();
        let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&text).unwrap_or_default();
        let said = fields.into_iter().filter(|(key, _)| !PASSING.contains(&key.as_str()));
        all.extend(said.flat_map(|(key, value)| format!("{key}={value};").into_bytes()));
    }
    sha256(&all)
}

/// Fields of a config that say who wrote it and how its weights lay there, not what the model is.
const PASSING: [&str; 6] =
    ["_name_or_path", "_diffusers_version", "transformers_version", "torch_dtype", "dtype", "quantization_config"];

/// The way from a prompt to a picture.
struct Way {
    plan: Plan,
    /// Folder and family of each text encoder's tokenizer.
    tokenizers: BTreeMap<String, (PathBuf, Family)>,
    denoiser: String,
    /// A file of arrays in the place of noise and tokens.
    given: Option<PathBuf>,
    sampler: String,
    image: ImageSize,
}

const NOISE: &str = "noise";

fn fresh(index: usize) -> String {
    format!("fresh.{index:04}")
}

impl Way {
    /// Tokens of a prompt for each text encoder.
    fn texts(&self, prompt: &str) -> Result<BTreeMap<String, Tokens>, InputsError> {
        let text = |(encoder, count): (&str, usize)| {
            let (folder, family) = &self.tokenizers[encoder];
            let tokenizer = Tokenizer::open(folder, *family).map_err(prompt_error)?;
            Ok((encoder.to_owned(), tokenizer.encode(prompt, count).map_err(prompt_error)?))
        };
        self.plan.text_tokens().map(text).collect()
    }

    /// Tokens of a prompt, those of a user's file first.
    fn prompt(&self, prompt: &str, given: &Given) -> Result<BTreeMap<String, Tokens>, InputsError> {
        let counts: Vec<(&str, usize)> = self.plan.text_tokens().collect();
        let has = |encoder: &str| given.arrays.contains_key(&tokens_name(encoder));
        if counts.iter().any(|(encoder, _)| !has(encoder)) {
            return self.texts(prompt);
        }
        let text = |(encoder, count): (&str, usize)| {
            let ids = given.i64(&tokens_name(encoder), &[1, count])?;
            // A T5 pads with 0, and its mask ends there; CLIP reads all.
            let attended = match self.tokenizers[encoder].1 {
                Family::T5 => ids.iter().rposition(|&id| id != 0).map_or(0, |last| last + 1),
                Family::Clip => count,
            };
            Ok((encoder.to_owned(), Tokens { ids, attended }))
        };
        counts.into_iter().map(text).collect()
    }

    fn read_texts(&self, inputs: &Inputs, what: &str) -> Result<BTreeMap<String, Tokens>, InputsError> {
        let text = |(encoder, _): (&str, usize)| {
            let ids = take(inputs, &format!("{what}.{encoder}"))?.as_i64()?.to_vec();
            let attended = take(inputs, &format!("{what}_attended.{encoder}"))?.as_i64()?;
            let attended = attended.first().and_then(|&count| usize::try_from(count).ok()).unwrap_or(ids.len());
            Ok((encoder.to_owned(), Tokens { ids, attended }))
        };
        self.plan.text_tokens().map(text).collect()
    }

    fn read(&self, inputs: &Inputs) -> Result<Fed, InputsError> {
        let floats = |name: &str| Ok::<_, InputsError>(take(inputs, name)?.as_f32()?.to_vec());
        let empty = if self.plan.reads_empty_prompt() { self.read_texts(inputs, "empty")? } else { BTreeMap::new() };
        Ok(Fed {
            tokens: self.read_texts(inputs, "tokens")?,
            empty,
            noise: floats(NOISE)?,
            fresh: (0..self.plan.fresh_noises()).map(|index| floats(&fresh(index))).collect::<Result<_, _>>()?,
        })
    }
}

fn prompt_error(error: impl std::fmt::Display) -> InputsError {
    InputsError::Prompt(error.to_string())
}

/// What a file of arrays calls the tokens of a text encoder: by its tokenizer, as diffusers does.
fn tokens_name(encoder: &str) -> String {
    format!("tokens.{}", encoder.replace("text_encoder", "tokenizer"))
}

fn take<'a>(inputs: &'a Inputs, name: &str) -> Result<&'a Tensor, InputsError> {
    inputs.tensor(name).ok_or_else(|| InputsError::Wrong(format!("there is no tensor \"{name}\"")))
}

/// A user's file of arrays.
struct Given {
    path: PathBuf,
    arrays: BTreeMap<String, Value>,
}

impl Given {
    fn open(path: Option<&PathBuf>) -> Result<Self, InputsError> {
        let Some(path) = path else { return Ok(Self { path: PathBuf::new(), arrays: BTreeMap::new() }) };
        let arrays = arrays::read(path).map_err(prompt_error)?;
        let known = |name: &str| name == NOISE || ["fresh.", "tokens."].iter().any(|begin| name.starts_with(begin));
        if !arrays.keys().any(|name| known(name)) {
            let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
            return Err(InputsError::Prompt(format!(
                "{}: holds nothing that a pipeline is fed: it reads noise, fresh.0000, tokens.tokenizer and the like, and the file has {}",
                path.display(),
                names.join(", ")
            )));
        }
        Ok(Self { path: path.clone(), arrays })
    }

    fn array(&self, name: &str, shape: &[usize], dtype: DType) -> Result<Option<Value>, InputsError> {
        let fail = |why: String| InputsError::Prompt(format!("{}: array \"{name}\" {why}", self.path.display()));
        let Some(value) = self.arrays.get(name) else { return Ok(None) };
        if value.shape() != shape {
            return Err(fail(format!("is {:?}, and this pipeline reads {shape:?}", value.shape())));
        }
        value.cast(dtype).map(Some).map_err(|error| fail(error.to_string()))
    }

    fn i64(&self, name: &str, shape: &[usize]) -> Result<Vec<i64>, InputsError> {
        match self.array(name, shape, DType::I64)?.as_ref().map(Value::data) {
            Some(Data::I64(ids)) => Ok(ids.clone()),
            _ => Err(InputsError::Wrong(format!("there is no array \"{name}\""))),
        }
    }

    /// Standard normal noise: the file's, else that of the seed.
    fn noise(&self, name: &str, shape: &[usize], seed: u64) -> Result<Tensor, InputsError> {
        match self.array(name, shape, DType::F32)? {
            Some(value) => tensor(&value).map_err(prompt_error),
            None => Ok(Tensor::f32(shape, normal(name, seed, shape.iter().product(), 0.0, 1.0))?),
        }
    }
}

impl Drive for Way {
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let given = Given::open(self.given.as_ref())?;
        let mut tensors = Vec::new();
        let mut put = |what: &str, texts: BTreeMap<String, Tokens>| -> Result<(), InputsError> {
            for (encoder, Tokens { ids, attended }) in texts {
                tensors.push((format!("{what}_attended.{encoder}"), Tensor::i64([1], vec![attended as i64])?));
                tensors.push((format!("{what}.{encoder}"), Tensor::i64([1, ids.len()], ids)?));
            }
            Ok(())
        };
        put("tokens", self.prompt(prompt, &given)?)?;
        if self.plan.reads_empty_prompt() {
            put("empty", self.texts("")?)?;
        }
        let shape = self.plan.noise_shape();
        tensors.push((NOISE.to_owned(), given.noise(NOISE, &shape, seed)?));
        for index in 0..self.plan.fresh_noises() {
            tensors.push((fresh(index), given.noise(&fresh(index), &shape, seed)?));
        }
        Ok(Inputs { tensors, about: BTreeMap::from([("sampler".to_owned(), self.sampler.clone())]) })
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = Instant::now();
        let made = self.plan.image(&self.read(inputs)?, &mut Bridge::new(runner)).map_err(|error| match error {
            // The runner's own error names the stage.
            DriveError::Run { source, .. } => source,
            other => other.into(),
        })?;
        let finite = |value: &Value| value.to_f64().iter().all(|number| number.is_finite());
        if let Some(component) = &made.not_finite
            && !(finite(&made.picture) && made.latents.iter().all(finite))
        {
            return Err(format!(
                "{component} gives values that are not finite, and so does the pipeline. 16-bit floats end at 65504: try a 32-bit export, or another --backend"
            )
            .into());
        }
        let per_step = if self.plan.reads_empty_prompt() { 2 } else { 1 };
        let mut times = Times::default();
        for stage in &made.stages {
            // One entry for each step; for what is no part of the steps, one in all.
            let together = if stage.component == self.denoiser { per_step } else { stage.seconds.len().max(1) };
            for passes in stage.seconds.chunks(together) {
                times.push(&stage.component, Duration::from_secs_f64(passes.iter().sum()));
            }
        }
        let floats = |value: &Value| -> Result<Vec<f32>, RunError> { Ok(tensor(value)?.into_f32()?) };
        let latents = made.latents.iter().map(floats).collect::<Result<_, _>>()?;
        let image = floats(&made.picture)?;
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: Some(self.image), times })
    }

    fn sigmas(&self) -> Vec<f64> {
        self.plan.schedule.sigmas.clone()
    }
}
