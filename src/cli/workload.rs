//! Flags that name one workload, for the commands that take just one.

use clap::{ArgMatches, Command};
use ditbench_workloads::{Choice, workload};

use crate::plan::{OwnAxes, Size, Steps, own, parse_model};

/// One workload.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkloadArgs {
    /// Model: nano, tiny, small, full; edgedit-nano, edgedit-1, edgedit-6, dit-xl-2; snapgen-nano, snapgen-imagenet, snapgen, dreamlite
    #[arg(long, default_value = "nano", value_parser = parse_model)]
    pub model: String,
    /// Image size in pixels: 512, or WIDTHxHEIGHT [default: the model's usual: 64 for nano, 512 for small, 256 for edgedit-1]
    #[arg(long)]
    pub size: Option<Size>,
    /// Denoiser steps [default: the model's usual: 4, or 25 for edgedit-1]
    #[arg(long)]
    pub steps: Option<Steps>,
    #[command(flatten)]
    own: OneOfEach,
}

impl WorkloadArgs {
    /// The workload that the flags name.
    ///
    /// # Errors
    /// A flag of another workload's.
    pub fn choice(&self) -> anyhow::Result<Choice> {
        let (workload, info) = workload::of_model(&self.model)?;
        let size = self.size.map_or(info.usual_size, |size| size.0);
        let steps = self.steps.map_or(info.usual_steps, Steps::get);
        let mut choice = Choice::new(workload.name(), &self.model, size, steps);
        for name in self.own.0.names() {
            let Some(axis) = workload.axes().iter().find(|axis| axis.name == name) else {
                anyhow::bail!("{} has no --{name}: leave it out", self.model);
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
        own::all().into_iter().fold(command, |command, axis| command.arg(own::flag(axis).action(clap::ArgAction::Set)))
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
