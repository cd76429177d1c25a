//! `ditbench tune`: search what the machine can do for the configuration to ship, with few launches.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::Common;
use super::question::QuestionArgs;
use super::run::PlanArgs;
use crate::host::adb::{PhoneOptions, Program, choose};
use crate::plan::{Images, Launches, Seconds, Target};
use crate::run::{self, Settings};

/// Everything that the flags and the plan leave open is searched.
const OPEN: &str = "[[group]]\n";
const BUDGET: Seconds = Seconds::fixed(1200.0);
const LAUNCHES: Launches = Launches::fixed(10);
const IMAGES: Images = Images::fixed(30);

/// Arguments of `ditbench tune`.
#[derive(Debug, clap::Args)]
pub struct TuneArgs {
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// At most this many launches per cell, for those that the decision hangs on [default: the plan's, else 10]
    #[arg(long)]
    launches: Option<Launches>,
    /// Where to search: local, adb (the one phone) or adb:SERIAL [default: local]
    #[arg(long, value_name = "MACHINE")]
    on: Option<Target>,
    #[command(flatten)]
    phone: PhoneOptions,
    /// Time limit per launch
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: Seconds,
    /// Directory for the run [default: runs/ID]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show the cells that would be searched, and stop
    #[arg(long)]
    dry_run: bool,
    /// Start even if a cell does not seem to fit in memory
    #[arg(long)]
    force: bool,
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

/// Searches, and advises.
///
/// # Errors
/// A mistake in the plan, the question or the environment; failures of cells are rows, not errors.
pub fn tune(args: &TuneArgs, common: &Common) -> Result<ExitCode> {
    let question = args.question.question()?;
    let mut plan = args.plan.plan_or(OPEN)?;
    if !common.ep.is_empty() {
        plan.ep = Some(common.ep.clone());
    }
    let wanted = args.on.clone().map(|on| vec![on]).or_else(|| plan.on.clone()).unwrap_or_default();
    let chosen = choose(&wanted, &Program::find())?;
    if chosen.len() > 1 {
        bail!("a search is of one machine: name it with --on; `ditbench advise` decides over the runs of several");
    }
    let settings = Settings {
        prompt: plan.prompt.clone().unwrap_or_else(|| "turtle".to_owned()),
        seed: plan.seed.unwrap_or(7),
        launches: args.launches.or(plan.launches).unwrap_or(LAUNCHES),
        images: plan.images.unwrap_or(IMAGES),
        budget_s: plan.budget.unwrap_or(BUDGET),
        leaves_out: true,
        timeout_s: args.timeout,
        profile: false,
        allow_fallback: false,
        brief: false,
        shard: None,
        telemetry: true,
        sustained_s: None,
        judging: None,
        tune: Some(question),
        weights: args.plan.weights(),
        on: chosen.into_iter().next(),
        phone: args.phone.clone(),
        plan,
    };
    let begun = run::tune::start(settings, common, args.out.as_deref(), args.dry_run, args.force)?;
    Ok(begun.map(|dir| run::tune::advise(&dir)).transpose()?.flatten().unwrap_or(ExitCode::SUCCESS))
}
