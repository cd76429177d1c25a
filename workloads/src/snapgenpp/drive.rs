//! SnapGen++ as a workload: from a choice to stages, and the way from a prompt to an image.

use std::path::Path;

use ditbench_graph::weights::file::WeightFile;
use ditbench_graph::weights::{Net, Weights, WeightsError};
use ditbench_graph::{Graph, cost};

use super::axes::{self, LayoutChoice, Sampler, TextTokens, Width, parse_rung};
use super::pipeline::{Feed, generate, sigmas};
use super::{DECODER, DENOISER, Model, ModelConfig, Rung, TEXT_ENCODER, TextSource, Variant};
use crate::paper::{Counts, Paper};
use crate::published::{self, Published};
use crate::{
    Axis, Choice, Drive, ImageSize, Inputs, InputsError, ModelInfo, Pipeline, Role, RunError, Source, Stage,
    StageRunner, Trace, Workload, WorkloadError,
};

/// The workload's name.
pub const NAME: &str = "snapgenpp";

/// The workload.
#[derive(Clone, Copy, Debug)]
pub struct SnapGenPp;

const fn square(side: usize) -> ImageSize {
    ImageSize { height: side, width: side }
}

static MODELS: [ModelInfo; 4] = [
    ModelInfo {
        name: "nano",
        about: "ours, for small machines and tests; trained",
        usual_size: square(64),
        usual_steps: 4,
    },
    ModelInfo { name: "tiny", about: "the paper's 0.375 of full width", usual_size: square(512), usual_steps: 4 },
    ModelInfo { name: "small", about: "the paper's half width", usual_size: square(512), usual_steps: 4 },
    ModelInfo { name: "full", about: "the paper's full width", usual_size: square(512), usual_steps: 4 },
];

/// The values that a choice has on the axes of this workload.
struct Own {
    rung: Rung,
    layout: Option<LayoutChoice>,
    width: Width,
    text_tokens: TextTokens,
    sampler: Sampler,
}

impl Own {
    fn of(choice: &Choice) -> Result<Self, WorkloadError> {
        if let Some(other) = choice.own.keys().find(|name| axes::AXES.iter().all(|axis| axis.name != **name)) {
            return Err(WorkloadError::Choice(format!("{NAME} has no axis \"{other}\"")));
        }
        let value = |name: &str| {
            let usual = axes::AXES.iter().find(|axis| axis.name == name).map_or("", |axis| axis.default);
            choice.own(name).unwrap_or(usual).to_owned()
        };
        let layout = Some(value("layout")).filter(|text| !text.is_empty()).map(|text| text.parse()).transpose();
        Ok(Self {
            rung: parse_rung(&value("rung")).map_err(WorkloadError::Choice)?,
            layout: layout.map_err(WorkloadError::Choice)?,
            width: value("width").parse().map_err(WorkloadError::Choice)?,
            text_tokens: value("text-tokens").parse().map_err(WorkloadError::Choice)?,
            sampler: value("sampler").parse().map_err(WorkloadError::Choice)?,
        })
    }

    /// What of it a cell's key has.
    fn in_key(&self, tokens: usize) -> Vec<(String, String)> {
        let rung = (self.rung != Rung::Final).then(|| ("rung", self.rung.name().to_owned()));
        let layout = self.layout.map(|layout| ("layout", layout.to_string()));
        let width = (self.width != Width::FULL).then(|| ("width", self.width.to_string()));
        let always = [("text_tokens", tokens.to_string()), ("sampler", self.sampler.to_string())];
        let all = always.into_iter().chain(rung).chain(layout).chain(width);
        all.map(|(axis, value)| (axis.to_owned(), value)).collect()
    }

    /// The model's name with what sets it apart from the usual: `small`, `small-assa`, `small-6-20-10`.
    fn model_name(&self, model: &str) -> String {
        let mut name = model.to_owned();
        if self.rung != Rung::Final {
            name.push('-');
            name.push_str(self.rung.name());
        }
        if let Some(layout) = self.layout {
            name.push_str(&format!("-{layout}"));
        }
        if self.width != Width::FULL {
            name.push_str(&format!("-w{}", self.width));
        }
        name
    }
}

/// The config of a choice.
///
/// # Errors
/// No such model or value; a width that leaves no whole number of heads.
pub fn config_of(choice: &Choice) -> Result<ModelConfig, WorkloadError> {
    config(choice, &Own::of(choice)?)
}

fn config(choice: &Choice, own: &Own) -> Result<ModelConfig, WorkloadError> {
    let variant: Variant = choice.model.parse().map_err(|error| WorkloadError::Choice(format!("{error}")))?;
    let mut config = variant.config(choice.size);
    own.rung.apply(&mut config);
    if let Some(layout) = own.layout {
        config.denoiser.layout = layout.0;
    }
    if own.text_tokens == TextTokens::ClipAndGemma {
        config.denoiser.text.gemma = Some(TextSource { tokens: 256, width: 2560 });
    }
    Ok(if own.width == Width::FULL { config } else { config.narrowed(own.width.share())? })
}

impl Workload for SnapGenPp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "SnapGen++ (arXiv 2601.08303): a three-stage diffusion transformer with adaptive sparse attention, 4 steps"
    }

    fn models(&self) -> &'static [ModelInfo] {
        &MODELS
    }

    fn axes(&self) -> &'static [Axis] {
        &axes::AXES
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let own = Own::of(choice)?;
        let config = config(choice, &own)?;
        let Model { text_encoder, denoiser, decoder, .. } = Model::build(&config)?;
        // Guidance encodes two prompts and runs every step twice.
        let passes = if own.sampler.guidance().is_some() { 2 } else { 1 };
        let stage =
            |id: &str, role, graph, passes| Stage { id: id.to_owned(), role, source: Source::Graph(graph), passes };
        Ok(Pipeline {
            choice: choice.clone(),
            name: own.model_name(&choice.model),
            family: config.name.clone(),
            own: own.in_key(config.denoiser.text.tokens()),
            image: config.image,
            batch: config.denoiser.batch,
            // Numbers and words only: it cannot fail.
            config: serde_json::to_value(&config).unwrap_or_default(),
            stages: vec![
                stage(TEXT_ENCODER, Role::Encoder, text_encoder, passes),
                stage(DENOISER, Role::Denoiser, denoiser, passes * choice.steps),
                stage(DECODER, Role::Decoder, decoder, 1),
            ],
            drive: Box::new(Way { config, steps: choice.steps, sampler: own.sampler }),
        })
    }

    fn paper(&self, model: &str) -> Option<Paper> {
        let variant: Variant = model.parse().ok()?;
        let ((parameters, macs), printed) = variant.formula().zip(variant.published_parameters())?;
        let mut config = variant.config(square(1024));
        config.denoiser.text.gemma = Some(TextSource { tokens: 256, width: 2560 });
        let denoiser = Model::build(&config).ok()?.denoiser;
        let counted = cost::by(&denoiser, |node| is_left_out(&node.name));
        Some(Paper {
            source: "SnapGen++, arXiv 2601.08303v2",
            of: "one forward pass at 1024×1024 with 333 text tokens",
            printed: Some(printed),
            parameters: None,
            macs: None,
            formula: Some(Counts { parameters, macs }),
            ours: Counts {
                parameters: denoiser.parameters() as u64,
                macs: counted.get(&false).map_or(0, |cost| cost.macs),
            },
            // They stand in the report's published rows, with the whole image's.
            times: Vec::new(),
        })
    }
}

/// What the formula leaves out of the multiply-accumulates.
fn is_left_out(name: &str) -> bool {
    name.starts_with("time.") || name.starts_with("text_in.")
}

/// The way from a prompt to an image.
struct Way {
    config: ModelConfig,
    steps: usize,
    sampler: Sampler,
}

impl Drive for Way {
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let mut feed = Feed::make(&self.config, prompt, seed, self.steps, self.sampler.rule)?;
        if let Some(scale) = self.sampler.guidance() {
            feed = feed.with_guidance(&self.config, scale)?;
        }
        Ok(Inputs::from(&feed))
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        generate(&self.config, &Feed::try_from(inputs)?, runner)
    }

    fn sigmas(&self) -> Vec<f64> {
        sigmas(self.steps, self.config.denoiser.time_shift)
    }

    fn fit(&self, file: WeightFile, path: &Path, graphs: &[&Graph]) -> Result<Weights, WeightsError> {
        super::elastic::fit(file, path, graphs, self.config.denoiser.width)
    }

    fn shared_name<'a>(&self, tensor: &'a str) -> &'a str {
        super::elastic::shared_name(tensor)
    }

    /// Nano's, at the widths that it holds and at any image size.
    fn checkpoint(&self) -> Option<Published> {
        let checkpoint = published::nano();
        let nano = Variant::Nano.config(self.config.image);
        let fits = |share: &f64| match *share {
            1.0 => nano == self.config,
            share => nano.narrowed(share).is_ok_and(|narrower| narrower == self.config),
        };
        checkpoint.widths.iter().any(fits).then_some(checkpoint)
    }
}

impl Net for Model {
    fn family(&self) -> &str {
        &self.config.name
    }

    fn graphs(&self) -> Vec<&Graph> {
        Self::graphs(self).to_vec()
    }

    fn reads(&self, tensor: &str) -> bool {
        let shared = super::elastic::shared_name(tensor);
        Self::graphs(self).into_iter().flat_map(|graph| &graph.weights).any(|spec| spec.name == shared)
    }

    fn fit(&self, file: WeightFile, path: &Path) -> Result<Weights, WeightsError> {
        super::elastic::fit(file, path, &Self::graphs(self), self.config.denoiser.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nano_is_trained_at_its_three_widths_and_nothing_else_is() {
        let nano = Choice::new(NAME, "nano", square(64), 4);
        let trained = |choice: &Choice| crate::workload::build(choice).unwrap().drive.checkpoint().is_some();
        for width in ["1", "0.5", "0.375"] {
            assert!(trained(&nano.clone().with("width", width)), "{width}");
        }
        assert!(trained(&Choice { size: ImageSize { height: 32, width: 96 }, ..nano.clone() }));
        assert!(!trained(&nano.clone().with("rung", "pixart-mqa")));
        assert!(!trained(&nano.with("text-tokens", "333")));
        assert!(!trained(&Choice::new(NAME, "tiny", square(256), 4)));
    }

    #[test]
    fn what_sets_a_model_apart_is_in_its_name_and_in_the_key() {
        let choice = Choice::new(NAME, "nano", square(64), 8).with("width", "0.5").with("sampler", "euler+cfg4");
        let pipeline = SnapGenPp.build(&choice.with("text-tokens", "333")).unwrap();
        assert_eq!(pipeline.name, "nano-w0.5");
        let own = [("text_tokens", "272"), ("sampler", "euler+cfg4"), ("width", "0.5")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pipeline.own, own);
        assert_eq!(pipeline.stages.iter().map(|stage| stage.passes).collect::<Vec<_>>(), [2, 16, 1]);
        assert_eq!(pipeline.passes_per_step(DENOISER), 2);
        assert_eq!(
            pipeline.choice.to_string(),
            "nano 64×64 width 0.5 with a language model's 256 tokens euler+cfg4 8 steps"
        );
        let error = SnapGenPp.build(&Choice::new(NAME, "nano", square(64), 4).with("class", "3")).unwrap_err();
        assert!(error.to_string().contains("class"));
    }
}
