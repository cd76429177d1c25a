//! `ditbench scale`: what a cost grows as with size, threads and the like; of records, or of a run made for it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ditbench_record::Run;
use ditbench_record::store::{self, LoadedRun};
use ditbench_reports::advice::Question;
use ditbench_reports::scale::{self, Place, Scale, axis, faces};
use ditbench_reports::table::Absent;

use super::Common;
use super::format::Format;
use super::one_machine::OneMachine;
use super::report;
use super::run::PlanArgs;
use crate::plan::{Images, Launches, PlanFile, Seconds};
use crate::run::fleet::Results;
use crate::run::{self, Settings, Usual};
use crate::text;

/// What flags leave open is as in any run.
const OPEN: &str = "[[group]]\n";
const USUAL: Usual = Usual { launches: Launches::fixed(3), images: Images::fixed(30), budget: Seconds::fixed(600.0) };

/// Arguments of `ditbench scale`.
#[derive(Debug, clap::Args)]
pub struct ScaleArgs {
    /// Runs to read instead of measuring: their directories, or their record.json files
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Also predict what was not measured: a size (2048, 768x512), or AXIS=VALUE with size, batch, steps or text-tokens
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = axis::read)]
    predict: Vec<Place>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Directory for the run, or with RUN for the report; with scale.json and scale.md in it [default: runs/ID; with RUN nothing is
    /// written]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    /// At most this many launches (processes) per cell, the independent samples [default: the plan's, else 3]
    #[arg(long)]
    launches: Option<Launches>,
    /// Also make an image under each runtime's profiler: exponents of blocks and operations
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    machine: OneMachine,
}

impl ScaleArgs {
    /// Whether it starts other processes.
    pub fn measures(&self) -> bool {
        self.runs.is_empty()
    }
}

/// Measures unless there are records to read, then says what grows as what.
///
/// # Errors
/// A mistake in the plan or the environment, a record that cannot be read, records in which nothing varies.
pub fn scale(args: &ScaleArgs, common: &Common) -> Result<()> {
    if args.measures() {
        let Some(dir) = measure(args, common)? else { return Ok(()) };
        let found = store::read(&dir)?;
        let scale = scale::of_runs(&[&found.run], &args.predict);
        write(&scale, &dir)?;
        return print(args.format, &scale);
    }
    if let Some(flag) = args.of_a_plan() {
        bail!("{flag} is for measuring, and RUN for reading what was measured: leave one of the two out");
    }
    let Results { runs, absent } = report::read(&args.runs)?;
    let records: Vec<&Run> = runs.iter().map(|loaded| &loaded.run).collect();
    let scale = scale::of_runs(&records, &args.predict);
    if let Some(dir) = &args.out {
        beside_the_report(&scale, &runs, &absent, dir)?;
    }
    print(args.format, &scale)
}

/// Runs the plan, as `run` would, and gives its directory; `None` where it was only shown.
fn measure(args: &ScaleArgs, common: &Common) -> Result<Option<PathBuf>> {
    let mut plan = args.plan.plan_or(OPEN, common)?;
    plan.launches = args.launches.or(plan.launches);
    if !varies(&plan) {
        bail!(
            "nothing varies: give several values, as in --size 256,384,512,768 or --threads 1,2,4, or --ladder with several rungs; or give \
             runs to read"
        );
    }
    let otherwise = "a curve is of one machine: name it with --on; `ditbench run` measures on several, and `ditbench scale RUN…` reads them";
    let settings = Settings {
        profile: args.profile,
        weights: args.plan.weights(),
        ..args.machine.settings(plan, USUAL, otherwise)?
    };
    run::start(settings, common, args.out.as_deref(), args.machine.dry_run, args.machine.force)
}

/// Whether a plan has cells that differ in what costs are followed over.
fn varies(plan: &PlanFile) -> bool {
    let group = |group: &crate::plan::Axes| {
        let several = [
            group.size.as_ref().map(Vec::len),
            group.threads.as_ref().map(Vec::len),
            group.steps.as_ref().map(Vec::len),
            group.cluster.as_ref().map(Vec::len),
            group.model.as_ref().map(Vec::len),
        ];
        let own = group.own.names().filter_map(|name| group.own.get(name)).map(<[String]>::len);
        several.into_iter().flatten().chain(own).any(|count| count > 1)
    };
    plan.group.len() > 1 || plan.group.iter().any(group)
}

impl ScaleArgs {
    /// A flag that says what is measured.
    fn of_a_plan(&self) -> Option<&'static str> {
        let given = [
            (!self.plan.says_nothing(), "a flag of a plan (--model, --size, --plan and the like)"),
            (self.launches.is_some(), "--launches"),
            (self.profile, "--profile"),
            (self.machine.on.is_some(), "--on"),
            (self.machine.dry_run, "--dry-run"),
            (self.machine.force, "--force"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}

fn beside_the_report(scale: &Scale, runs: &[LoadedRun], absent: &[Absent], dir: &Path) -> Result<()> {
    ditbench_reports::report::answering(&Question::default(), runs, absent, dir)?;
    write(scale, dir)
}

fn write(scale: &Scale, dir: &Path) -> Result<()> {
    for (name, face) in [("scale.json", faces::json(scale)), ("scale.md", faces::markdown::of_scale(scale))] {
        let file = dir.join(name);
        std::fs::write(&file, face).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn print(format: Format, scale: &Scale) -> Result<()> {
    match format {
        Format::Text => text::show(&format!("\n{}", faces::text::of_scale(scale))),
        Format::Markdown => text::data(&faces::markdown::of_scale(scale)),
        Format::Json => text::data(&faces::json(scale)),
    }
    if scale.is_empty() {
        bail!(
            "nothing to follow: no two measured cells of one machine differ in size, threads, batch, steps or text tokens alone, and no two rungs of a ladder were measured"
        );
    }
    Ok(())
}
