//! Flags that name one workload, for the commands that take just one.

use clap::{ArgMatches, Command};
use ditbench_workloads::{Choice, Workload, own, workload};

use crate::plan::{Brought, OwnAxes, Size, Steps, choice_of, own as axes, parse_model};

/// One workload.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkloadArgs {
    /// Model: nano, tiny, small, full; edgedit-nano, edgedit-1, edgedit-6, dit-xl-2; snapgen-nano, snapgen-imagenet, snapgen,
    /// dreamlite; elastic-nano, elastic-nano-lite-half, elastic-lite-half, elastic-lite, elastic-full-half, elastic-full; cdm-nano, adm-64-256,
    /// adm-64, adm-128, adm-256, cdm-32, cdm-32-64, cdm-32-64-256;
    /// or your own: a pipeline's folder or an .onnx file, as PATH or NAME=PATH
    #[arg(long, default_value = "nano", value_parser = parse_model)]
    pub model: String,
    /// Image size in pixels: 512, or WIDTHxHEIGHT [default: the model's usual: 64 for nano, 512 for small, 256 for edgedit-1]
    #[arg(long)]
    pub size: Option<Size>,
    /// Denoiser steps [default: the model's usual: 4, or 25 for edgedit-1]
    #[arg(long)]
    pub steps: Option<Steps>,
    #[command(flatten)]
    brought: Brought,
    #[command(flatten)]
    own: OneOfEach,
}

impl WorkloadArgs {
    /// The workload that the flags name.
    ///
    /// # Errors
    /// A flag of another workload's.
    pub fn choice(&self) -> anyhow::Result<Choice> {
        let (size, steps) = (self.size.map(|size| size.0), self.steps.map(Steps::get));
        let (workload, mut choice) = match choice_of(&self.model, &self.brought, size, steps)? {
            Some(choice) => (&own::Own as &dyn Workload, choice),
            None => {
                let (workload, info) = workload::of_model(&self.model)?;
                let (size, steps) = (size.unwrap_or(info.usual_size), steps.unwrap_or(info.usual_steps));
                (workload, Choice::new(workload.name(), &self.model, size, steps))
            }
        };
        for name in self.own.0.names() {
            let Some(axis) = workload.axes().iter().find(|axis| axis.name == name) else {
                anyhow::bail!("{} has no --{name}: leave it out", choice.model);
            };
            if let Some([value]) = self.own.0.get(name)
                && value != axis.default
            {
                choice = choice.with(name, value);
            }
        }
        Ok(choice)
    }
}

/// The axes that only some workloads have, one value each.
#[derive(Clone, Debug, Default)]
struct OneOfEach(OwnAxes);

impl clap::Args for OneOfEach {
    fn augment_args(command: Command) -> Command {
        axes::all()
            .into_iter()
            .fold(command, |command, axis| command.arg(axes::flag(axis).action(clap::ArgAction::Set)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for OneOfEach {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        OwnAxes::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}
