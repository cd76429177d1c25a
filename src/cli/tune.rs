//! `ditbench tune`: search what the machine can do for the configuration to ship, with few launches.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use ditbench_record::store;
use ditbench_reports::advice::{self, faces};

use super::Common;
use super::question::QuestionArgs;
use super::run::PlanArgs;
use crate::host::adb::{PhoneOptions, Program, choose};
use crate::plan::{Images, Launches, Seconds, Target};
use crate::run::{self, Settings, tune::open_up};
use crate::text;

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
    let mut settings = Settings {
        prompt: plan.prompt.clone().unwrap_or_else(|| "turtle".to_owned()),
        seed: plan.seed.unwrap_or(7),
        launches: args.launches.or(plan.launches).unwrap_or(LAUNCHES),
        images: plan.images.unwrap_or(IMAGES),
        budget_s: plan.budget.unwrap_or(BUDGET),
        timeout_s: args.timeout,
        profile: false,
        allow_fallback: false,
        brief: false,
        shard: None,
        telemetry: true,
        sustained_s: None,
        judging: None,
        tune: Some(question.clone()),
        weights: args.plan.weights(),
        on: chosen.into_iter().next(),
        phone: args.phone.clone(),
        plan,
    };
    settings.plan = open_up(&settings, common)?;
    let Some(dir) = run::start(settings, common, args.out.as_deref(), args.dry_run, args.force)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let found = store::read(&dir)?;
    let advice = advice::of_runs(&[&found.run], &[], &question);
    text::show(&format!("\n{}", faces::text::of_advice(&advice)));
    Ok(ExitCode::from(advice.outcome.exit_code()))
}
