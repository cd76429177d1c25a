//! `ditbench tune`: search what the machine can do for the configuration to ship, with few launches.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::Common;
use super::one_machine::OneMachine;
use super::question::QuestionArgs;
use crate::plan::{Images, Launches, Seconds};
use crate::run::{self, Settings, Usual};

const USUAL: Usual = Usual { launches: Launches::fixed(10), images: Images::fixed(30), budget: Seconds::fixed(1200.0) };

/// Arguments of `ditbench tune`.
#[derive(Debug, clap::Args)]
pub struct TuneArgs {
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    machine: OneMachine,
    /// Directory for the run [default: runs/ID]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The help of a flag of the plan, with what a search does where it is not given, instead of a run.
pub fn searched(flag: clap::Arg) -> clap::Arg {
    let all = match flag.get_id().as_str() {
        "backend" => "all that can be used here, each in every way",
        "precision" => "all",
        "device" => "all that show their own speed",
        "threads" => "one, half of the cores, and all of them",
        "memory" => "both",
        _ => return flag,
    };
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let (before, rest) = help.split_once("[default: ").unwrap_or((&help, ""));
    let after = rest.split_once(']').map_or("", |(_, after)| after);
    let help = format!("{before}[default: {all}]{after}");
    flag.help(help)
}

/// Searches everything that the flags and the plan leave open, and advises.
///
/// # Errors
/// A mistake in the plan, the question or the environment; failures of cells are rows, not errors.
pub fn tune(args: &TuneArgs, common: &Common) -> Result<ExitCode> {
    let question = args.question.question()?;
    let otherwise = "a search is of one machine: name it with --on; `ditbench advise` decides over the runs of several";
    let settings =
        Settings { leaves_out: true, tune: Some(question), ..args.machine.settings(common, USUAL, otherwise)? };
    let begun = run::tune::start(settings, common, args.out.as_deref(), args.machine.dry_run, args.machine.force)?;
    Ok(begun.map(|dir| run::tune::advise(&dir)).transpose()?.flatten().unwrap_or(ExitCode::SUCCESS))
}
