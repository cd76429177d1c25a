//! The exporters' folder layout: `model_index.json`, a folder for each component, scheduler and tokenizers.
//!
//! Contract: nothing is guessed that a file does not say or that diffusers does not take as its default. What is not
//! understood is an error that says what is, and how the parts run alone.

mod json;
mod kind;
#[cfg(test)]
pub(crate) mod tests;
mod tokenizer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub use json::JsonError;
pub use kind::{Family, Kind};
pub use tokenizer::{Tokenizer, TokenizerError, Tokens, clip_of};

use crate::scheduler::{Scheduler, SchedulerError};

/// The file that makes a folder a pipeline.
pub const INDEX: &str = "model_index.json";

/// A pipeline as an exporter wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The pipeline's class in diffusers.
    pub class: String,
    /// How its components work together.
    pub kind: Kind,
    /// The text encoders, in the order in which they are numbered.
    pub encoders: Vec<Encoder>,
    /// The denoiser: `unet` or `transformer`.
    pub denoiser: Component,
    /// The decoder of the VAE.
    pub decoder: Component,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// What the files say about sizes and scales.
    pub defaults: Defaults,
    /// Components of the index that making an image does not need.
    pub ignored: Vec<String>,
}

/// A component that is a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// The name of its folder.
    pub name: String,
    /// Its graph.
    pub graph: PathBuf,
}

/// A text encoder and its tokenizer's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoder {
    /// The graph.
    pub component: Component,
    /// What kind of model it is.
    pub family: Family,
    /// Where its tokenizer is.
    pub tokenizer: PathBuf,
    /// The longest text that its tokenizer makes, in tokens, if its files say one.
    pub longest: Option<usize>,
}

/// What the files say about sizes and scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Pixels of the picture along one axis for one element of the latent.
    pub factor: usize,
    /// Channels of the latent.
    pub channels: usize,
    /// The latent's height and width must be multiples of this.
    pub multiple: usize,
    /// Height and width of the latent that the denoiser was trained for.
    pub sample: usize,
    /// The latent is divided by this before it is decoded.
    pub scaling: f64,
    /// And this is then added.
    pub shift: f64,
    /// Whether the denoiser takes the guidance scale as an input.
    pub guidance_inside: bool,
}

/// Why a folder is not a pipeline that can be run.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// No index.
    #[error("{}: there is no {INDEX} in it. A pipeline is a folder as optimum and diffusers write it. {}", path.display(), alone(graphs))]
    NoIndex {
        /// The folder.
        path: PathBuf,
        /// Graphs in it.
        graphs: Vec<PathBuf>,
    },
    /// A pipeline that is not known.
    #[error("{}: {class} is a pipeline that ditbench does not run. It runs {}. {}", path.display(), Kind::classes(), alone(graphs))]
    Class {
        /// The folder.
        path: PathBuf,
        /// The class in the index.
        class: String,
        /// Graphs in it.
        graphs: Vec<PathBuf>,
    },
    /// A component that is missing, ambiguous or of another kind.
    #[error("{}: {why}", path.display())]
    Component {
        /// The component's folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A JSON file.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The scheduler.
    #[error("{}: {source}", path.display())]
    Scheduler {
        /// `scheduler_config.json`.
        path: PathBuf,
        /// What is wrong with it.
        source: SchedulerError,
    },
}

/// How to run graphs alone.
fn alone(graphs: &[PathBuf]) -> String {
    match graphs {
        [] => "There is no .onnx file in it or in its folders".to_owned(),
        [first, ..] => format!("Each graph runs alone: --model {}", first.display()),
    }
}

impl Folder {
    /// Reads a folder. `files` names a component's graph where its folder holds several.
    ///
    /// # Errors
    /// [`FolderError`] says what is missing or not understood.
    pub fn open(path: &Path, files: &BTreeMap<String, String>) -> Result<Self, FolderError> {
        let index = path.join(INDEX);
        if !index.is_file() {
            return Err(FolderError::NoIndex { path: path.to_owned(), graphs: graphs_below(path) });
        }
        let index = json::object(&index)?;
        let class = index.get("_class_name").and_then(Value::as_str).unwrap_or("a pipeline without a _class_name");
        let kind = Kind::of(class).ok_or_else(|| FolderError::Class {
            path: path.to_owned(),
            class: class.to_owned(),
            graphs: graphs_below(path),
        })?;
        let reader = Reader { path, index: &index, files };
        let encoders = kind.encoders().iter().map(|name| reader.encoder(name)).collect::<Result<_, _>>()?;
        let denoiser = reader.component(kind.denoiser())?;
        let decoder = reader.component("vae_decoder")?;
        let config = path.join("scheduler").join("scheduler_config.json");
        let scheduler = Scheduler::parse(&json::object(&config)?)
            .map_err(|source| FolderError::Scheduler { path: config, source })?;
        let defaults = Defaults::read(kind, &reader)?;
        let read = |name: &str| {
            kind.encoders().contains(&name)
                || name.starts_with('_')
                || name.starts_with("tokenizer")
                || [kind.denoiser(), "vae", "vae_decoder", "scheduler"].contains(&name)
        };
        // A component is a pair of library and class; one that is left out is a pair of nulls.
        let there = |value: &Value| value.as_array().is_some_and(|pair| pair.iter().any(|word| !word.is_null()));
        let ignored = index.iter().filter(|(name, value)| !read(name) && there(value)).map(|(name, _)| name.clone());
        Ok(Self {
            path: path.to_owned(),
            class: class.to_owned(),
            kind,
            encoders,
            denoiser,
            decoder,
            scheduler,
            defaults,
            ignored: ignored.collect(),
        })
    }

    /// All components that are graphs, in the order in which they run.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.encoders.iter().map(|encoder| &encoder.component).chain([&self.denoiser, &self.decoder])
    }
}

/// Graphs in a folder and in its folders, sorted.
fn graphs_below(path: &Path) -> Vec<PathBuf> {
    let mut graphs = graphs_in(path);
    let folders = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    graphs.extend(folders.filter(|path| path.is_dir()).flat_map(|path| graphs_in(&path)));
    graphs.sort();
    graphs
}

fn graphs_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut graphs: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "onnx") && path.is_file()).collect();
    graphs.sort();
    graphs
}

/// A folder whose index is read.
struct Reader<'a> {
    path: &'a Path,
    index: &'a Map<String, Value>,
    files: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn component(&self, name: &str) -> Result<Component, FolderError> {
        let folder = self.path.join(name);
        let fail = |why: String| Err(FolderError::Component { path: folder.clone(), why });
        if let Some(file) = self.files.get(name) {
            let graph = folder.join(file);
            if !graph.is_file() {
                return fail(format!("there is no {file} in it"));
            }
            return Ok(Component { name: name.to_owned(), graph });
        }
        let usual = folder.join("model.onnx");
        let graphs = graphs_in(&folder);
        let graph = match &graphs[..] {
            _ if usual.is_file() => usual,
            [] => return fail("this component has no .onnx file: export the whole pipeline".to_owned()),
            [graph] => graph.clone(),
            several => {
                let names: Vec<_> =
                    several.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
                return fail(format!("it has several graphs ({}): name one with --file {name}=NAME", names.join(", ")));
            }
        };
        Ok(Component { name: name.to_owned(), graph })
    }

    fn encoder(&self, name: &str) -> Result<Encoder, FolderError> {
        let class = self.index.get(name).and_then(|pair| pair.get(1)).and_then(Value::as_str);
        let family = class.and_then(Family::of).ok_or_else(|| FolderError::Component {
            path: self.path.join(name),
            why: match class {
                None => format!("{INDEX} names no {name}, which this pipeline needs"),
                Some(class) => format!("{class} is a text encoder that ditbench does not run. It runs CLIP and T5"),
            },
        })?;
        let tokenizer = self.path.join(name.replace("text_encoder", "tokenizer"));
        let longest = tokenizer::longest(&tokenizer::config(&tokenizer)?);
        Ok(Encoder { component: self.component(name)?, family, tokenizer, longest })
    }

    /// A component's `config.json`.
    fn config(&self, name: &str) -> Result<Config, FolderError> {
        let path = self.path.join(name).join("config.json");
        Ok(Config { fields: json::object(&path)?, path })
    }
}

/// The fields of a `config.json`.
struct Config {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl Config {
    fn fail(&self, why: String) -> FolderError {
        FolderError::Component { path: self.path.clone(), why }
    }

    fn number(&self, field: &str) -> Result<Option<f64>, FolderError> {
        match self.fields.get(field).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(self.fail(format!("{field} is {value}, not a number"))),
            },
        }
    }

    fn needed(&self, field: &str) -> Result<f64, FolderError> {
        self.number(field)?.ok_or_else(|| self.fail(format!("it does not say {field}, which is never guessed")))
    }

    fn count(&self, field: &str) -> Result<Option<usize>, FolderError> {
        let whole = |number: f64| number.fract() == 0.0 && (1.0..=65536.0).contains(&number);
        match self.number(field)? {
            None => Ok(None),
            Some(number) if whole(number) => Ok(Some(number as usize)),
            Some(number) => Err(self.fail(format!("{field} is {number}; it must be a whole number from 1 to 65536"))),
        }
    }

    /// By how much the levels of `block_out_channels` halve, together.
    fn halvings(&self) -> Result<usize, FolderError> {
        let blocks = ["block_out_channels", "encoder_block_out_channels"]
            .iter()
            .find_map(|field| self.fields.get(*field))
            .and_then(Value::as_array)
            .map(Vec::len);
        match blocks {
            Some(levels @ 1..=16) => Ok(1 << (levels - 1)),
            Some(levels) => Err(self.fail(format!("block_out_channels has {levels} levels"))),
            None => Err(self.fail("it does not say block_out_channels, which is never guessed".to_owned())),
        }
    }
}

impl Defaults {
    fn read(kind: Kind, reader: &Reader<'_>) -> Result<Self, FolderError> {
        let (denoiser, decoder) = (reader.config(kind.denoiser())?, reader.config("vae_decoder")?);
        let multiple = match kind {
            Kind::Sd | Kind::Lcm | Kind::Sdxl => denoiser.halvings()?,
            Kind::Sd3 | Kind::Pixart => denoiser.count("patch_size")?.unwrap_or(2),
            // FluxPipeline packs two by two elements into a token.
            Kind::Flux => 2,
        };
        let channels = decoder.count("latent_channels")?;
        let channels = channels.ok_or_else(|| decoder.fail("it does not say latent_channels".to_owned()))?;
        // FluxPipeline's own default.
        let sample = denoiser.count("sample_size")?.or((kind == Kind::Flux).then_some(128));
        let sample = sample.ok_or_else(|| denoiser.fail("it does not say sample_size".to_owned()))?;
        let guidance_inside = match kind {
            Kind::Lcm => true,
            Kind::Flux => denoiser.fields.get("guidance_embeds") == Some(&Value::Bool(true)),
            _ => false,
        };
        let scaling = decoder.needed("scaling_factor")?;
        if scaling == 0.0 {
            return Err(decoder.fail("scaling_factor is 0".to_owned()));
        }
        for field in ["latents_mean", "latents_std"] {
            if decoder.fields.get(field).is_some_and(|value| !value.is_null()) {
                return Err(decoder.fail(format!("{field} is not supported: ditbench scales latents by one factor")));
            }
        }
        Ok(Self {
            factor: decoder.halvings()?,
            channels,
            multiple,
            sample,
            scaling,
            shift: decoder.number("shift_factor")?.unwrap_or(0.0),
            guidance_inside,
        })
    }
}
