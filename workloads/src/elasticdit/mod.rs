//! After ElasticDiT: a diffusion transformer for text to image whose tokens and blocks are chosen when it is run, from one file of weights, with
//! attention in shifted sparse blocks and a decoder that ends in a wavelet. Source: arXiv 2605.15684, of which only the abstract could be read;
//! [`config`](ModelConfig) says what is stated and what is ours.

mod config;
mod decoder;
mod denoiser;
mod drive;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ditbench_graph::{Graph, GraphError, cost};

use crate::blocks::{clip, flow};
use crate::paper::Counts;
use crate::spec::{ModelInfo, Workload, WorkloadError};
use crate::{Axis, Choice, ImageSize, Paper, Pipeline, Role, Source, Stage};

pub use crate::blocks::flow::{DECODER, DENOISER, TEXT_ENCODER};
pub use config::{DecoderConfig, DenoiserConfig, ModelConfig, SparseConfig};

/// The workload's name.
pub const NAME: &str = "elasticdit";

/// The workload.
#[derive(Clone, Copy, Debug)]
pub struct ElasticDit;

const fn square(side: usize) -> ImageSize {
    ImageSize { height: side, width: side }
}

const fn model(name: &'static str, about: &'static str, side: usize) -> ModelInfo {
    ModelInfo { name, about, usual_size: square(side), usual_steps: 4 }
}

static MODELS: [ModelInfo; 6] = [
    model("elastic-nano", "ours, for small machines and tests: all tokens, all blocks", 128),
    model("elastic-nano-lite-half", "the same weights: a quarter of the tokens, half of the blocks", 128),
    model("elastic-lite-half", "a quarter of the tokens, half of the blocks", 512),
    model("elastic-lite", "a quarter of the tokens, all blocks", 512),
    model("elastic-full-half", "all tokens, half of the blocks", 512),
    model("elastic-full", "all tokens, all blocks", 512),
];

/// The denoiser of a config.
///
/// # Errors
/// What in the config cannot be built.
pub fn denoiser(config: &ModelConfig) -> Result<Graph, GraphError> {
    config.check()?;
    denoiser::build(config)
}

/// The decoder of a config.
///
/// # Errors
/// What in the config cannot be built.
pub fn decoder(config: &ModelConfig) -> Result<Graph, GraphError> {
    config.check()?;
    decoder::build(&config.decoder, &config.latent_shape())
}

/// The denoisers whose weights are all that the file holds of one: every block, with each patch.
///
/// # Errors
/// What in the config cannot be built.
fn whole(config: &ModelConfig) -> Result<Vec<Graph>, GraphError> {
    config.denoiser.patches.iter().map(|&patch| denoiser::build(&config.whole(patch))).collect()
}

/// The parameters of the denoiser that the file holds, of which a model reads its part.
fn held_parameters(config: &ModelConfig) -> Result<u64, GraphError> {
    let whole = whole(config)?;
    let weights = whole.iter().flat_map(|graph| &graph.weights);
    let each: BTreeMap<&str, u64> = weights.map(|weight| (weight.name.as_str(), weight.len() as u64)).collect();
    Ok(each.values().sum())
}

impl Workload for ElasticDit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "After ElasticDiT (arXiv 2605.15684): tokens and blocks chosen at run time from one file, shifted sparse attention, 4 steps"
    }

    fn models(&self) -> &'static [ModelInfo] {
        &MODELS
    }

    fn axes(&self) -> &'static [Axis] {
        &[]
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let wrong = WorkloadError::Choice;
        if let Some(other) = choice.own.keys().next() {
            return Err(wrong(format!("{NAME} has no axis \"{other}\"")));
        }
        let config = ModelConfig::of(&choice.model, choice.size).ok_or_else(|| {
            let names = MODELS.map(|model| model.name).join(", ");
            wrong(format!("unknown model \"{}\": choose one of {names}", choice.model))
        })?;
        let d = &config.denoiser;
        let stage =
            |id: &str, role, graph, passes| Stage { id: id.to_owned(), role, source: Source::Graph(graph), passes };
        let stages = vec![
            stage(TEXT_ENCODER, Role::Encoder, clip::build(&config.text_encoder, d.text, 1)?, 1),
            stage(DENOISER, Role::Denoiser, denoiser(&config)?, choice.steps),
            stage(DECODER, Role::Decoder, decoder(&config)?, 1),
        ];
        let way = flow::Way {
            steps: choice.steps,
            image: config.image,
            latent: config.latent_shape(),
            vocabulary: Some(config.text_encoder.vocabulary),
            text: d.text,
            time_features: d.time_features,
            size_features: None,
            time_shift: d.time_shift,
        };
        // Of the models that share a file, one that runs every block with the fewest tokens.
        let whole_model = if config.family == "elastic" { "elastic-lite" } else { "elastic-nano" };
        let measured_on = Choice { model: whole_model.to_owned(), ..choice.clone() };
        Ok(Pipeline {
            choice: choice.clone(),
            name: config.name.clone(),
            family: config.family.clone(),
            own: vec![
                ("text_tokens".to_owned(), d.text.tokens.to_string()),
                ("sampler".to_owned(), "euler".to_owned()),
            ],
            image: config.image,
            batch: 1,
            // Numbers and words only: it cannot fail.
            config: serde_json::to_value(&config).unwrap_or_default(),
            stages,
            drive: Box::new(drive::Way { flow: way, held: whole(&config)?, measured_on }),
        })
    }

    fn paper(&self, model: &str) -> Option<Paper> {
        let config = ModelConfig::of(model, square(1024)).filter(|config| config.family == "elastic")?;
        Some(Paper {
            source: "ElasticDiT, arXiv 2605.15684, its size as a co-author gives it elsewhere; what is counted is our net after its abstract",
            of: "one forward pass at 1024×1024 with 77 text tokens; parameters are those of the file, of which half of the blocks leave half unread",
            printed: Some("1.3 B"),
            parameters: Some(1_300_000_000),
            macs: None,
            formula: None,
            ours: Counts {
                parameters: held_parameters(&config).ok()?,
                macs: cost::total(&denoiser(&config).ok()?).macs,
            },
            times: Vec::new(),
        })
    }
}
