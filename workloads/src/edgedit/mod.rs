//! EdgeDiT and its teacher DiT-XL/2: class-conditional diffusion transformers with adaLN-Zero and DDIM, 256×256.
//! Sources: EdgeDiT, arXiv 2603.28405; DiT, arXiv 2212.09748 and its public code.

mod axes;
mod config;
mod denoiser;
mod drive;
#[cfg(test)]
mod tests;

use ditbench_graph::{Graph, GraphError, cost};

use self::axes::Guidance;
use crate::blocks::{class, taesd};
use crate::paper::{Counts, PaperTime};
use crate::spec::{ModelInfo, Workload, WorkloadError};
use crate::{Axis, Choice, ImageSize, Paper, Pipeline, Role, Source, Stage};

pub(crate) use self::axes::GUIDANCE;
pub use crate::blocks::schedule::{Betas, Schedule};
pub use crate::blocks::taesd::DecoderConfig;
pub use config::{DenoiserConfig, ModelConfig};

/// The workload's name.
pub const NAME: &str = "edgedit";
/// The stage that runs in every step.
pub const DENOISER: &str = "denoiser";
/// The stage that turns the last latent into an image.
pub const DECODER: &str = "decoder";

/// The workload.
#[derive(Clone, Copy, Debug)]
pub struct EdgeDit;

const fn square(side: usize) -> ImageSize {
    ImageSize { height: side, width: side }
}

static MODELS: [ModelInfo; 4] = [
    ModelInfo {
        name: "edgedit-nano",
        about: "ours, for small machines and tests",
        usual_size: square(128),
        usual_steps: 4,
    },
    ModelInfo { name: "edgedit-1", about: "25 blocks with narrow MLPs", usual_size: square(256), usual_steps: 25 },
    ModelInfo { name: "edgedit-6", about: "25 blocks with narrow attention", usual_size: square(256), usual_steps: 25 },
    ModelInfo { name: "dit-xl-2", about: "the teacher, DiT-XL/2", usual_size: square(256), usual_steps: 25 },
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
    taesd::build(&config.decoder, &config.latent_shape(1))
}

impl Workload for EdgeDit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "EdgeDiT (arXiv 2603.28405) and its teacher DiT-XL/2: class-conditional diffusion transformers, 25 steps of DDIM"
    }

    fn models(&self) -> &'static [ModelInfo] {
        &MODELS
    }

    fn axes(&self) -> &'static [Axis] {
        &axes::AXES
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let wrong = WorkloadError::Choice;
        if let Some(other) = choice.own.keys().find(|name| axes::AXES.iter().all(|axis| axis.name != **name)) {
            return Err(wrong(format!("{NAME} has no axis \"{other}\"")));
        }
        let mut config = ModelConfig::of(&choice.model, choice.size).ok_or_else(|| {
            let names = MODELS.map(|model| model.name).join(", ");
            wrong(format!("unknown model \"{}\": choose one of {names}", choice.model))
        })?;
        let guidance: Guidance = choice.own("guidance").unwrap_or("none").parse().map_err(wrong)?;
        config.denoiser.batch = if guidance.batched { 2 } else { 1 };
        let classes = config.denoiser.classes;
        let usual = class::usual(classes);
        let class = class::of(choice, classes).map_err(wrong)?;
        let passes = if guidance.scale().is_some() && !guidance.batched { 2 } else { 1 };
        let stage =
            |id: &str, role, graph, passes| Stage { id: id.to_owned(), role, source: Source::Graph(graph), passes };
        // A batch of two has other counts than one.
        let mut name = choice.model.clone();
        if class != usual {
            name.push_str(&format!("-class{class}"));
        }
        if guidance.batched {
            name.push_str("-batched");
        }
        let mut own = vec![("sampler".to_owned(), guidance.sampler())];
        if class != usual {
            own.push(("class".to_owned(), class.to_string()));
        }
        Ok(Pipeline {
            choice: choice.clone(),
            name,
            family: config.name.clone(),
            own,
            image: config.image,
            batch: 1,
            // Numbers and words only: it cannot fail.
            config: serde_json::to_value(&config).unwrap_or_default(),
            stages: vec![
                stage(DENOISER, Role::Denoiser, denoiser(&config)?, passes * choice.steps),
                stage(DECODER, Role::Decoder, decoder(&config)?, 1),
            ],
            drive: Box::new(drive::Way { config, steps: choice.steps, class, guidance }),
        })
    }

    /// The paper's "G" are FLOPs, two a multiply-accumulate: the teacher's agree with DiT's own count only so.
    fn paper(&self, model: &str) -> Option<Paper> {
        let (parameters, flops, iphone_ms, galaxy_ms) = match model {
            "dit-xl-2" => (675_000_000, 237_340_000_000, 118.56, 129.00),
            "edgedit-1" => (471_000_000, 143_960_000_000, 70.86, 86.13),
            "edgedit-6" => (530_000_000, 169_970_000_000, 72.53, 89.22),
            _ => return None,
        };
        let graph = denoiser(&ModelConfig::of(model, square(256))?).ok()?;
        let time = |hardware, ms: f64| PaperTime {
            hardware,
            runtime: None,
            side: 256,
            seconds: ms / 1e3,
            decoder_s: None,
            image: None,
        };
        Some(Paper {
            source: "EdgeDiT, arXiv 2603.28405",
            of: "one forward pass at 256×256, its FLOPs halved",
            printed: None,
            parameters: Some(parameters),
            macs: Some(flops / 2),
            formula: None,
            ours: Counts { parameters: graph.parameters() as u64, macs: cost::total(&graph).macs },
            times: vec![time("iPhone (model not named)", iphone_ms), time("Galaxy S25 Ultra", galaxy_ms)],
        })
    }
}
