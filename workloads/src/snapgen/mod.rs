//! SnapGen and its sibling DreamLite: U-Nets for text to image on phones, of depthwise and pointwise convolutions and multi-query attention.
//! Sources: SnapGen, arXiv 2412.09619; DreamLite's public code.

mod config;
mod decoder;
mod denoiser;
#[cfg(test)]
mod tests;

use ditbench_graph::{Graph, GraphError, cost};

use self::config::Rung;
use crate::blocks::{clip, flow, taesd};
use crate::paper::{Counts, PaperTime};
use crate::spec::{ModelInfo, Workload, WorkloadError};
use crate::{Axis, Choice, ImageSize, Paper, Pipeline, Role, Source, Stage};

pub use crate::blocks::flow::{DECODER, DENOISER, TEXT_ENCODER};
pub use config::{Convolution, DecoderConfig, DenoiserConfig, ModelConfig};

/// The workload's name.
pub const NAME: &str = "snapgen";

/// The workload.
#[derive(Clone, Copy, Debug)]
pub struct SnapGen;

const fn square(side: usize) -> ImageSize {
    ImageSize { height: side, width: side }
}

static MODELS: [ModelInfo; 4] = [
    ModelInfo {
        name: "snapgen-nano",
        about: "ours, for small machines and tests",
        usual_size: square(64),
        usual_steps: 4,
    },
    ModelInfo {
        name: "snapgen-imagenet",
        about: "the paper's net of its ladder, at 256×256",
        usual_size: square(256),
        usual_steps: 4,
    },
    ModelInfo { name: "snapgen", about: "the paper's", usual_size: square(512), usual_steps: 4 },
    ModelInfo { name: "dreamlite", about: "its sibling with public code", usual_size: square(512), usual_steps: 4 },
];

static AXES: [Axis; 1] = [Axis {
    name: "ladder",
    help: "Rungs of SnapGen's ladder: thin, no-high-sa, sep1, sep2, ffn3, mqa, final",
    default: "final",
    parse: |text| Rung::named(text).map(|_| text.to_owned()),
    show: str::to_owned,
}];

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
    let latent = config.latent_shape();
    match &config.decoder {
        DecoderConfig::Separable { channels, blocks } => decoder::build(channels, blocks, &latent),
        DecoderConfig::Taesd(taesd) => taesd::build(taesd, &latent),
    }
}

/// The config of a choice.
fn config_of(choice: &Choice) -> Result<ModelConfig, WorkloadError> {
    let wrong = WorkloadError::Choice;
    if let Some(other) = choice.own.keys().find(|name| AXES.iter().all(|axis| axis.name != **name)) {
        return Err(wrong(format!("{NAME} has no axis \"{other}\"")));
    }
    let mut config = ModelConfig::of(&choice.model, choice.size).ok_or_else(|| {
        let names = MODELS.map(|model| model.name).join(", ");
        wrong(format!("unknown model \"{}\": choose one of {names}", choice.model))
    })?;
    if let Some(rung) = choice.own("ladder") {
        Rung::named(rung).map_err(wrong)?.apply(&mut config.denoiser);
        config.name = format!("{}-{rung}", config.name);
    }
    Ok(config)
}

impl Workload for SnapGen {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "SnapGen (arXiv 2412.09619) and DreamLite: U-Nets for text to image on phones, 4 steps"
    }

    fn models(&self) -> &'static [ModelInfo] {
        &MODELS
    }

    fn axes(&self) -> &'static [Axis] {
        &AXES
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let config = config_of(choice)?;
        let stage =
            |id: &str, role, graph, passes| Stage { id: id.to_owned(), role, source: Source::Graph(graph), passes };
        let way = flow::Way {
            steps: choice.steps,
            image: config.image,
            latent: config.latent_shape(),
            vocabulary: config.text_encoder.as_ref().map(|encoder| encoder.vocabulary),
            text: config.denoiser.text,
            time_features: config.denoiser.time_features,
            size_features: config.denoiser.size_features,
            time_shift: config.denoiser.time_shift,
        };
        let encoder = config.text_encoder.as_ref().map(|encoder| clip::build(encoder, config.denoiser.text, 1));
        let encoder = encoder.transpose()?.map(|graph| stage(TEXT_ENCODER, Role::Encoder, graph, 1));
        let net = [
            stage(DENOISER, Role::Denoiser, denoiser(&config)?, choice.steps),
            stage(DECODER, Role::Decoder, decoder(&config)?, 1),
        ];
        Ok(Pipeline {
            choice: choice.clone(),
            name: config.name.clone(),
            family: config.name.clone(),
            own: [
                ("text_tokens", Some(config.denoiser.text.tokens.to_string())),
                ("sampler", Some("euler".to_owned())),
                ("ladder", choice.own("ladder").map(str::to_owned)),
            ]
            .into_iter()
            .filter_map(|(axis, value)| Some((axis.to_owned(), value?)))
            .collect(),
            image: config.image,
            batch: 1,
            // Numbers and words only: it cannot fail.
            config: serde_json::to_value(&config).unwrap_or_default(),
            stages: encoder.into_iter().chain(net).collect(),
            drive: Box::new(way),
        })
    }

    fn paper(&self, model: &str) -> Option<Paper> {
        let snapgen = "SnapGen, arXiv 2412.09619";
        let (source, parameters, side, times) = match model {
            "snapgen" => {
                let time = PaperTime {
                    hardware: "iPhone 16 Pro Max",
                    runtime: Some("Core ML"),
                    side: 1024,
                    seconds: 0.274,
                    decoder_s: Some(0.119),
                    image: Some((4, 1.4)),
                };
                (snapgen, 379_000_000, 1024, vec![time])
            }
            "snapgen-imagenet" => (snapgen, 372_000_000, 256, Vec::new()),
            "dreamlite" => ("DreamLite", 390_000_000, 1024, Vec::new()),
            _ => return None,
        };
        let graph = denoiser(&ModelConfig::of(model, square(side))?).ok()?;
        // The projection of our text encoder's embeddings is ours; DreamLite's own is part of it.
        let left_out = |name: &str| model != "dreamlite" && name.starts_with("text_in.");
        let parts = cost::by(&graph, |node| left_out(&node.name));
        let kept = graph.weights.iter().filter(|weight| !left_out(&weight.name));
        let of = if side == 1024 { "one forward pass at 1024×1024" } else { "one forward pass at 256×256" };
        Some(Paper {
            source,
            of,
            printed: None,
            parameters: Some(parameters),
            macs: None,
            formula: None,
            ours: Counts {
                parameters: kept.map(|weight| weight.len() as u64).sum(),
                macs: parts.get(&false).map_or(0, |cost| cost.macs),
            },
            times,
        })
    }
}
