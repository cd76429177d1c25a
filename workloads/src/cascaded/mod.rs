//! Cascades: several denoisers in one pipeline, each of a larger image, class-conditional, in pixels. ADM's at 64 pixels and its upsampler to 256,
//! whose sizes are public; CDM's, whose sizes are recalled. Sources: Cascaded Diffusion Models, arXiv 2106.15282; ADM, arXiv 2105.05233, and its
//! public code.

mod axes;
mod config;
mod denoiser;
mod drive;
#[cfg(test)]
mod tests;

use ditbench_graph::{Graph, GraphError, Init, cost};

use self::denoiser::Reads;
use crate::blocks::class;
use crate::paper::Counts;
use crate::spec::{ModelInfo, Workload, WorkloadError};
use crate::{Axis, Choice, ImageSize, Paper, Pipeline, Role, Source, Stage};

pub use crate::blocks::schedule::{Betas, Schedule};
pub use config::{DENOISERS, Heads, ModelConfig, Resampling, StageConfig, UnetConfig};

/// The workload's name.
pub const NAME: &str = "cascaded";

/// The workload.
#[derive(Clone, Copy, Debug)]
pub struct Cascaded;

const fn square(side: usize) -> ImageSize {
    ImageSize { height: side, width: side }
}

const fn model(name: &'static str, about: &'static str, side: usize, steps: usize) -> ModelInfo {
    ModelInfo { name, about, usual_size: square(side), usual_steps: steps }
}

static MODELS: [ModelInfo; 8] = [
    model("cdm-nano", "ours, for small machines and tests: 16 to 32 pixels", 32, 4),
    model("adm-64-256", "ADM at 64 pixels, then its upsampler to 256: the usual cascade", 256, 25),
    model("adm-64", "its first stage alone", 64, 25),
    model("adm-128", "ADM at 128 pixels in one stage", 128, 25),
    model("adm-256", "ADM at 256 pixels in one stage", 256, 25),
    model("cdm-32", "CDM's first stage alone; its size is recalled, unverified", 32, 25),
    model("cdm-32-64", "CDM's first two stages; their sizes are recalled, unverified", 64, 25),
    model("cdm-32-64-256", "CDM's three stages; their sizes are recalled, unverified", 256, 25),
];

/// The denoiser of a stage of a config.
///
/// # Errors
/// What in the config cannot be built.
pub fn denoiser(config: &ModelConfig, stage: usize) -> Result<Graph, GraphError> {
    config.check()?;
    let Some(it) = config.stages.get(stage) else {
        return Err(GraphError::Config(format!("model {} has no stage {stage}", config.name)));
    };
    let reads = Reads { smaller: stage > 0, level: it.augmentation.is_some() };
    let mut graph = denoiser::build(&it.unet, &it.id, config.size(it), reads)?;
    if stage > 0 {
        // One file holds the weights of all stages.
        graph.weights.iter_mut().for_each(|weight| weight.name = format!("{}.{}", it.id, weight.name));
    }
    Ok(graph)
}

/// The denoisers of all stages.
fn denoisers(config: &ModelConfig) -> Result<Vec<Graph>, GraphError> {
    (0..config.stages.len()).map(|stage| denoiser(config, stage)).collect()
}

/// Parameters that are trained, and operations of one pass.
fn counts(graph: &Graph) -> Counts {
    let trained = graph.weights.iter().filter(|weight| weight.init != Init::Ones);
    Counts { parameters: trained.map(|weight| weight.len() as u64).sum(), macs: cost::total(graph).macs }
}

/// The config of a choice.
fn config_of(choice: &Choice) -> Result<ModelConfig, WorkloadError> {
    let wrong = WorkloadError::Choice;
    if let Some(other) = choice.own.keys().find(|name| axes::AXES.iter().all(|axis| axis.name != **name)) {
        return Err(wrong(format!("{NAME} has no axis \"{other}\"")));
    }
    let mut config = ModelConfig::of(&choice.model, choice.size).ok_or_else(|| {
        let names = MODELS.map(|model| model.name).join(", ");
        wrong(format!("unknown model \"{}\": choose one of {names}", choice.model))
    })?;
    if let Some(thousandths) = choice.own("augmentation").and_then(|text| text.parse::<usize>().ok()) {
        let read = config.stages.iter_mut().filter_map(|stage| {
            let timesteps = stage.unet.schedule.timesteps;
            stage.augmentation.as_mut().map(|level| (level, timesteps))
        });
        let changed = read.map(|(level, timesteps)| *level = thousandths * timesteps / 1000).count();
        if changed == 0 {
            return Err(wrong(format!("{} reads no level of augmentation: leave --augmentation out", choice.model)));
        }
    }
    Ok(config)
}

impl Workload for Cascaded {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "Cascades of denoisers in pixels: ADM (arXiv 2105.05233) and CDM (arXiv 2106.15282), class-conditional, 25 steps of DDIM a stage"
    }

    fn models(&self) -> &'static [ModelInfo] {
        &MODELS
    }

    fn axes(&self) -> &'static [Axis] {
        &axes::AXES
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let config = config_of(choice)?;
        let class = class::of(choice, config.stages[0].unet.classes).map_err(WorkloadError::Choice)?;
        let stages = denoisers(&config)?.into_iter().map(|graph| Stage {
            id: graph.name.clone(),
            role: Role::Denoiser,
            source: Source::Graph(graph),
            passes: choice.steps,
        });
        let mut name = config.name.clone();
        let mut own = vec![("sampler".to_owned(), "ddim".to_owned())];
        if class != class::usual(config.stages[0].unet.classes) {
            name.push_str(&format!("-class{class}"));
            own.push(("class".to_owned(), class.to_string()));
        }
        if let Some(level) = choice.own("augmentation") {
            name.push_str(&format!("-augmentation{level}"));
            own.push(("augmentation".to_owned(), level.to_owned()));
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
            stages: stages.collect(),
            drive: Box::new(drive::Way { config, steps: choice.steps, class }),
        })
    }

    /// Counts of ADM's nets, as its paper is recalled; CDM's paper gives none. No paper gives times.
    fn paper(&self, model: &str) -> Option<Paper> {
        let (of, printed, millions) = match model {
            "adm-64" => ("one forward pass at 64×64", "296 M", 296),
            "adm-128" => ("one forward pass at 128×128", "422 M", 422),
            "adm-256" => ("one forward pass at 256×256", "554 M", 554),
            "adm-64-256" => ("one forward pass of each stage, at 64×64 and at 256×256", "296 M and 312 M", 608),
            _ => return None,
        };
        let size = MODELS.iter().find(|known| known.name == model)?.usual_size;
        let graphs = denoisers(&ModelConfig::of(model, size)?).ok()?;
        let each: Vec<Counts> = graphs.iter().map(counts).collect();
        Some(Paper {
            source: "ADM, arXiv 2105.05233, its counts recalled and not looked up",
            of,
            printed: Some(printed),
            parameters: Some(millions * 1_000_000),
            macs: None,
            formula: None,
            ours: Counts {
                parameters: each.iter().map(|counts| counts.parameters).sum(),
                macs: each.iter().map(|counts| counts.macs).sum(),
            },
            times: Vec::new(),
        })
    }
}
