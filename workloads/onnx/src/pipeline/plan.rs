//! One way of running a pipeline: every input of every graph with its size and its role.

use super::Pipeline;
use super::roles::{Part, Role, names, role};
use super::source::{Source, TextError};
use crate::axes::{AxesError, FixedInput, fix};
use crate::folder::{self, Defaults, Family, Kind};
use crate::model::{Dim, Model, Port};
use crate::scheduler::{self, Schedule, SchedulerError};

/// What a user may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Denoiser steps.
    pub steps: usize,
    /// Height and width in pixels; else what the files fix, else what the denoiser was trained for.
    pub size: Option<(usize, usize)>,
    /// Tokens of a T5's text; else what the files fix, else the pipeline's default.
    pub text_tokens: Option<usize>,
    /// The guidance scale. Without one there is no classifier-free guidance, and a denoiser that takes the scale as an
    /// input is told its pipeline's default.
    pub guidance: Option<f64>,
}

/// Why a pipeline cannot be run as requested.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A graph's sizes.
    #[error(transparent)]
    Axes(#[from] AxesError),
    /// The scheduler.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// An input that nobody knows how to fill.
    #[error(
        "{component}: input {port} is not one that ditbench fills in a pipeline (it knows {known}). Run this graph alone: --model {graph}"
    )]
    Input {
        /// The component.
        component: String,
        /// The input.
        port: String,
        /// The names that are known.
        known: String,
        /// The component's graph.
        graph: String,
    },
    /// A component that lacks what its place in the pipeline needs.
    #[error("{component}: {why}")]
    Component {
        /// The component.
        component: String,
        /// What it lacks.
        why: String,
    },
    /// A size of picture that cannot be.
    #[error("a picture of {0} x {1} pixels is not possible: height and width must be multiples of {2}", size.0, size.1, multiple)]
    Size {
        /// Height and width asked for.
        size: (usize, usize),
        /// Of what they must be multiples.
        multiple: usize,
    },
    /// Guidance where it is not known.
    #[error("{0}")]
    Guidance(String),
}

/// A component with its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its inputs, in the file's order, with their sizes.
    pub inputs: Vec<FixedInput>,
    /// What each input is for.
    pub(super) roles: Vec<Role>,
    /// Names of its outputs, in the file's order.
    pub outputs: Vec<String>,
}

/// A text encoder with its inputs, and how much text it reads.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoder {
    pub(super) component: Component,
    /// Tokens of a text.
    pub(super) tokens: usize,
}

/// How the guidance scale gets into the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Guidance {
    /// Not at all.
    Off,
    /// As an input of the denoiser.
    Inside(f64),
    /// Two passes a step, without and with the prompt.
    TwoPasses(f64),
}

/// One way of running a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(super) kind: Kind,
    pub(super) encoders: Vec<Encoder>,
    pub(super) denoiser: Component,
    pub(super) decoder: Component,
    pub(super) text: Source,
    pub(super) defaults: Defaults,
    pub(super) guidance: Guidance,
    /// Height and width of the latent.
    pub(super) latent: (usize, usize),
    /// Channels of the latent.
    pub(super) channels: usize,
    /// The steps.
    pub schedule: Schedule,
}

impl Pipeline {
    /// Fixes everything that a run needs.
    ///
    /// # Errors
    /// [`PlanError`]: an open axis, an input without a role, a scheduler, size or guidance that cannot be.
    pub fn plan(&self, request: &Request) -> Result<Plan, PlanError> {
        let folder = &self.folder;
        let (kind, defaults) = (folder.kind, &folder.defaults);
        self.check_scheduler()?;
        let (h, w) = self.latent(self.model(&folder.denoiser.name)?, request)?;
        let packed = (h / 2) * (w / 2);
        let encoders = self.encoders(request)?;
        let text = self.text()?;
        let counts: Vec<usize> = encoders.iter().map(|encoder| encoder.tokens).collect();
        let tokens = text.tokens(&counts);
        let channels = defaults.channels;
        let latent = [1, channels, h, w].map(Some);
        let batch = Some(1);
        let sizes = |port: &Port, role: Role| match (role, port.rank()) {
            (Role::Latent, _) if kind == Kind::Flux => vec![batch, Some(packed), Some(4 * channels)],
            (Role::Latent, _) => latent.to_vec(),
            (Role::Text, _) => vec![batch, Some(tokens), text.width],
            (Role::Pooled, _) => vec![batch, text.pooled_width],
            (Role::Mask, _) => vec![batch, Some(tokens)],
            (Role::Sizes, _) => vec![batch, Some(6)],
            (Role::Time, Some(2)) => vec![batch, batch],
            (Role::Time | Role::Guidance | Role::GuidanceFeatures, _) => vec![batch],
            // Older exports have a batch before the positions.
            (Role::ImagePositions, Some(3)) => vec![batch, Some(packed), Some(3)],
            (Role::ImagePositions, _) => vec![Some(packed), Some(3)],
            (Role::TextPositions, Some(3)) => vec![batch, Some(tokens), Some(3)],
            (Role::TextPositions, _) => vec![Some(tokens), Some(3)],
            (Role::Tokens, _) => Vec::new(),
        };
        let denoiser = self.component(&folder.denoiser.name, Part::Denoiser, &sizes)?;
        let decoder = self.component(&folder.decoder.name, Part::Decoder, &|_, _| latent.to_vec())?;
        let levels = match kind {
            Kind::Flux => scheduler::Plan::Even { tokens: packed },
            _ => scheduler::Plan::Own,
        };
        Ok(Plan {
            kind,
            guidance: guidance(kind, &denoiser, request.guidance)?,
            encoders,
            denoiser,
            decoder,
            text,
            defaults: defaults.clone(),
            latent: (h, w),
            channels,
            schedule: folder.scheduler.schedule(levels, request.steps)?,
        })
    }

    fn encoders(&self, request: &Request) -> Result<Vec<Encoder>, PlanError> {
        let (kind, defaults) = (self.folder.kind, &self.folder.defaults);
        let encoder = |encoder: &folder::Encoder| {
            let name = &encoder.component.name;
            let ports = &self.model(name)?.inputs;
            let port = ports.iter().find(|port| role(Part::Encoder, &port.name) == Some(Role::Tokens));
            let fixed = port.and_then(|port| extent(port, 1));
            let usual = || kind.t5_tokens(defaults.guidance_inside).min(encoder.longest.unwrap_or(usize::MAX));
            let tokens = match encoder.family {
                // CLIP has 77 learned positions.
                Family::Clip => fixed.unwrap_or(77),
                Family::T5 => request.text_tokens.or(fixed).unwrap_or_else(usual),
            };
            if !(2..=65536).contains(&tokens) {
                let why = format!("a text of {tokens} tokens is not possible; use 2 to 65536");
                return Err(PlanError::Component { component: name.clone(), why });
            }
            let component = self.component(name, Part::Encoder, &|_, _| vec![Some(1), Some(tokens)])?;
            Ok(Encoder { component, tokens })
        };
        self.folder.encoders.iter().map(encoder).collect()
    }

    fn text(&self) -> Result<Source, PlanError> {
        let names = self.folder.encoders.iter().map(|encoder| encoder.component.name.as_str());
        let models = names.clone().map(|name| self.model(name)).collect::<Result<Vec<_>, _>>()?;
        Source::of(self.folder.kind, &models).map_err(|TextError { encoder, why }| PlanError::Component {
            component: names.clone().nth(encoder).unwrap_or_default().to_owned(),
            why,
        })
    }

    fn model(&self, name: &str) -> Result<&Model, PlanError> {
        self.models
            .get(name)
            .ok_or_else(|| PlanError::Component { component: name.to_owned(), why: "it was not read".to_owned() })
    }

    /// Flow matching and diffusion do not move the same latents.
    fn check_scheduler(&self) -> Result<(), SchedulerError> {
        let (kind, scheduler) = (self.folder.kind, &self.folder.scheduler);
        let wants_flow = matches!(kind, Kind::Sd3 | Kind::Flux);
        if wants_flow == scheduler.is_flow() {
            return Ok(());
        }
        Err(SchedulerError::Pipeline {
            class: scheduler.class(),
            pipeline: self.folder.class.clone(),
            why: if wants_flow {
                "use FlowMatchEulerDiscreteScheduler"
            } else {
                "use one of the others that ditbench runs"
            }
            .to_owned(),
        })
    }

    /// Height and width of the latent: asked for, else fixed in the graph, else what it was trained for.
    fn latent(&self, denoiser: &Model, request: &Request) -> Result<(usize, usize), PlanError> {
        let defaults = &self.folder.defaults;
        let port = denoiser.inputs.iter().find(|port| role(Part::Denoiser, &port.name) == Some(Role::Latent));
        let fixed = |axis| port.filter(|port| port.rank() == Some(4)).and_then(|port| extent(port, axis));
        let usual = |axis| fixed(axis).unwrap_or(defaults.sample).saturating_mul(defaults.factor);
        let size = request.size.unwrap_or_else(|| (usual(2), usual(3)));
        let multiple = defaults.factor * defaults.multiple;
        let fits = |extent: usize| extent > 0 && extent.is_multiple_of(multiple) && extent <= 65536;
        if !fits(size.0) || !fits(size.1) {
            return Err(PlanError::Size { size, multiple });
        }
        Ok((size.0 / defaults.factor, size.1 / defaults.factor))
    }

    /// Fixes a component's inputs by their roles.
    fn component(
        &self,
        name: &str,
        part: Part,
        sizes: &dyn Fn(&Port, Role) -> Vec<Option<usize>>,
    ) -> Result<Component, PlanError> {
        let model = self.model(name)?;
        let graph = self.folder.components().find(|component| component.name == name);
        let roles = model.inputs.iter().map(|port| {
            role(part, &port.name).ok_or_else(|| PlanError::Input {
                component: name.to_owned(),
                port: port.to_string(),
                known: names(part),
                graph: graph.map(|component| component.graph.display().to_string()).unwrap_or_default(),
            })
        });
        let roles = roles.collect::<Result<Vec<_>, _>>()?;
        if let Some(missing) = part.needs().iter().find(|role| !roles.contains(role)) {
            let why = format!("it has no input for the {}", format!("{missing:?}").to_lowercase());
            return Err(PlanError::Component { component: name.to_owned(), why });
        }
        let implied = |port: &Port, axis: usize| {
            let sizes = role(part, &port.name).map(|role| sizes(port, role)).unwrap_or_default();
            sizes.get(axis).copied().flatten()
        };
        let inputs = fix(name, &model.inputs, &[], &implied)?;
        Ok(Component {
            name: name.to_owned(),
            inputs,
            roles,
            outputs: model.outputs.iter().map(|port| port.name.clone()).collect(),
        })
    }
}

/// A fixed extent of an input.
fn extent(port: &Port, axis: usize) -> Option<usize> {
    match port.dims.as_ref()?.get(axis)? {
        Dim::Fixed(extent) => Some(*extent),
        _ => None,
    }
}

fn guidance(kind: Kind, denoiser: &Component, scale: Option<f64>) -> Result<Guidance, PlanError> {
    if let Some(scale) = scale.filter(|scale| !scale.is_finite() || *scale < 0.0) {
        return Err(PlanError::Guidance(format!("a guidance scale of {scale} is not possible")));
    }
    let inside = denoiser.roles.iter().any(|role| matches!(role, Role::Guidance | Role::GuidanceFeatures));
    match scale {
        _ if inside => Ok(Guidance::Inside(scale.unwrap_or(kind.inside_guidance()))),
        // As in diffusers: up to 1 there is nothing to guide.
        None => Ok(Guidance::Off),
        Some(scale) if scale <= 1.0 => Ok(Guidance::Off),
        Some(_) if kind == Kind::Sdxl => Err(PlanError::Guidance(
            "classifier-free guidance is not supported for StableDiffusionXLPipeline: run it without".to_owned(),
        )),
        Some(_) if kind == Kind::Flux => Err(PlanError::Guidance(
            "this FLUX transformer takes no guidance scale (it is distilled): run it without".to_owned(),
        )),
        Some(scale) => Ok(Guidance::TwoPasses(scale)),
    }
}
