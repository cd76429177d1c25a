//! `ditbench ab` and `ditbench aa`: two builds, or one against itself, launch by launch.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ditbench_record::Home;
use ditbench_reports::verdict::Difference;
use ditbench_reports::verdict::noise::Noise;
use ditbench_reports::verdict::plan::Settings as PlanSettings;

use super::Common;
use super::gate::{GateArgs, noise_file};
use super::run::PlanArgs;
use crate::ab::build::{self, Commit};
use crate::ab::{self, Comparison, Program, SingleCell, Valgrind};
use crate::host::ThisMachine;
use crate::plan::{Images, PlanFile, Seconds, Threads};
use crate::text::{self, seconds, table, tell};

/// Arguments of `ditbench ab`.
#[derive(Debug, clap::Args)]
pub struct AbArgs {
    /// The older program
    #[arg(long, value_name = "BIN", required_unless_present = "base_rev", conflicts_with = "base_rev")]
    base: Option<PathBuf>,
    /// The older revision of this git repository, which is checked out, built and kept; for a branch, its tip
    #[arg(long, value_name = "REV")]
    base_rev: Option<String>,
    /// Use the commit where this checkout (or --head-rev) left --base-rev, instead of its tip: what others have done to that branch since
    /// does not count
    #[arg(long, requires = "base_rev")]
    merge_base: bool,
    /// The newer program [default: this one]
    #[arg(long, value_name = "BIN", conflicts_with = "head_rev")]
    head: Option<PathBuf>,
    /// The newer revision
    #[arg(long, value_name = "REV")]
    head_rev: Option<String>,
    /// Count the instructions of one image of each cell on one thread, in valgrind's callgrind, and judge those: deterministic, so that
    /// a busy machine is no obstacle. Nothing is timed unless --pairs says so; where a time is decided, that decides
    #[arg(long)]
    count: bool,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    gate: GateArgs,
}

/// Arguments of `ditbench aa`.
#[derive(Debug, clap::Args)]
pub struct AaArgs {
    /// The program [default: this one]
    #[arg(long, value_name = "BIN")]
    program: Option<PathBuf>,
    /// Read sensors and the processor's counters during the launches of one side only; the difference is what telemetry itself costs
    #[arg(long)]
    telemetry: bool,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    gate: GateArgs,
}

/// What both measure, and how much.
#[derive(Debug, clap::Args)]
struct MeasureArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Pairs of launches (one of each build) before the first look at the results; `aa` makes all its pairs and looks once
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    first: u32,
    /// At most this many pairs of launches [default: 20; ab --count: none]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pairs: Option<u32>,
    /// Directory for the comparison: records of both sides, and the verdict [default: runs/ab-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Pairs of launches at most, where nobody says.
const PAIRS: u32 = 20;
/// Images of a launch, unless the plan says.
const IMAGES: Images = Images::fixed(8);
/// Ways in which `aa` deals its launches to two sides.
const DEALS: usize = 1000;

/// Compares two builds.
///
/// # Errors
/// A build that cannot be made or run; Ctrl-C.
pub fn ab(args: &AbArgs, common: &Common) -> Result<ExitCode> {
    // Before anything is built.
    let count = args.count.then(Valgrind::find).transpose()?;
    let head_commit = args.head_rev.as_deref().map(build::commit).transpose()?;
    let base_commit = args.base_rev.as_deref().map(|name| args.base_commit(name, head_commit.as_ref())).transpose()?;
    let base = program(args.base.as_deref(), base_commit.as_ref(), &args.measure, common)?;
    let head = program(args.head.as_deref(), head_commit.as_ref(), &args.measure, common)?;
    let comparison = args.measure.comparison((base, head), count, &args.gate, common)?;
    let dir = comparison.dir.clone();
    let verdict = ab::compare(comparison)?;
    args.gate.publish(&verdict, Some(&dir))
}

impl AbArgs {
    /// The commit of the older revision. Without --merge-base, whoever names a branch that went on is told what that means.
    fn base_commit(&self, name: &str, head: Option<&Commit>) -> Result<Commit> {
        let tip = build::commit(name)?;
        let head = head.map_or_else(|| build::commit("HEAD"), |head| Ok(head.clone()));
        if self.merge_base {
            return build::merge_base(&tip, &head?);
        }
        if let Some(says) = head.ok().and_then(|head| build::charged_to_head(&tip, &head)) {
            tell(&says);
        }
        Ok(tip)
    }
}

/// Compares a build with itself.
///
/// # Errors
/// As [`ab()`]; the noise cannot be stored.
pub fn aa(args: &AaArgs, common: &Common) -> Result<ExitCode> {
    let base = program(args.program.as_deref(), None, &args.measure, common)?;
    let mut head = base.clone();
    head.label.push_str(" again");
    let mut base = base;
    if args.telemetry {
        base.flags = ["--telemetry", "off"].map(str::to_owned).to_vec();
        base.label.push_str(" without telemetry");
        head.label.push_str(", with telemetry");
    }
    let mut comparison = args.measure.comparison((base, head), None, &args.gate, common)?;
    // The gate's own thresholds: noise that was found before must not hide what is found now.
    comparison.options.noise = None;
    if args.telemetry {
        comparison.options.allow.insert(Difference::Conditions);
    }
    let dir = comparison.dir.clone();
    let (noise, verdict) = ab::against_itself(comparison, DEALS, 1)?;
    // With --telemetry the sides differ on purpose: that is no noise to take thresholds from.
    let kept = if args.telemetry { Ok(None) } else { keep(&noise, &dir, common).map(Some) };
    let exit = args.gate.publish(&verdict, Some(&dir));
    show(&noise);
    if let Some(file) = kept? {
        let file = file.display();
        text::show(&format!("Stored in {file}: from now on `ditbench ab` and `ditbench compare` use it.\n"));
    }
    exit
}

/// Writes the machine's noise beside the verdict, and where the next comparison looks for it; gives that file.
fn keep(noise: &Noise, dir: &Path, common: &Common) -> Result<PathBuf> {
    let kept = noise_file(&crate::paths::cache(common.cache.as_ref())?);
    for file in [&dir.join("noise.json"), &kept] {
        std::fs::write(file, noise.to_json()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(kept)
}

/// The machine's noise, a line a series.
fn show(noise: &Noise) {
    text::show(&format!(
        "\nVariation by chance alone on this machine, from dealing the same launches to two sides \
                         {DEALS} times:\n\n"
    ));
    let rows = noise.series.iter().map(|series| {
        vec![
            series.cell.clone(),
            series.metric.name(),
            series.launches.to_string(),
            format!("{:.2} %", 100.0 * series.p90),
            noise
                .threshold(&series.cell, series.metric)
                .map_or_else(|| "-".to_owned(), |(threshold, _)| format!("{:.2} %", 100.0 * threshold)),
            format!("{:.1} %", 100.0 * series.false_positives),
        ]
    });
    let header = ["cell", "number", "launches", "p90 of changes", "resulting threshold", "false alarms"];
    text::show(&table(&header, rows));
    text::show(&format!(
        "\nThe gate, all numbers together, would have failed in {:.1} % of the {DEALS} (without a confirming block).\n\n",
        100.0 * noise.false_alarms
    ));
}

fn program(file: Option<&Path>, commit: Option<&Commit>, measure: &MeasureArgs, common: &Common) -> Result<Program> {
    let (label, file) = match (file, commit) {
        (Some(file), _) if !file.is_file() => bail!("{}: there is no such program", file.display()),
        (Some(file), _) => (Home::of_user().hide(&file.display().to_string()), std::path::absolute(file)?),
        (None, Some(commit)) => {
            let cache = crate::paths::cache(common.cache.as_ref())?;
            (commit.label.clone(), build::build(commit, &cache)?)
        }
        (None, None) => ("this program".to_owned(), std::env::current_exe().context("where this program is")?),
    };
    let made = std::fs::metadata(&file).and_then(|found| Ok((found.len(), found.modified()?)));
    let made = made.with_context(|| format!("cannot look at {}", file.display()))?;
    Ok(Program { label, file, common: common.clone(), weights: measure.plan.weights(), flags: Vec::new(), made })
}

impl MeasureArgs {
    fn comparison(
        &self,
        (base, head): (Program, Program),
        count: Option<Valgrind>,
        gate: &GateArgs,
        common: &Common,
    ) -> Result<Comparison> {
        let mut plan = self.plan.plan_or(COMPARED, common)?;
        if count.is_some() {
            on_one_thread(&mut plan)?;
        }
        let dir = self.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("ab-{}", stamp())));
        crate::paths::must_be_text(&dir, "choose another directory with --out DIR")?;
        if dir.exists() {
            bail!("{} already exists: choose another directory with --out DIR", dir.display());
        }
        let cells = single_cells(&plan, common)?;
        let most = self.pairs.or(count.is_none().then_some(PAIRS));
        let settings = most.map(|most| PlanSettings {
            first: self.first.min(most),
            most,
            budget: plan.budget.map(Seconds::duration),
            ..PlanSettings::default()
        });
        let timed = cells.iter().filter(|cell| cell.timed).count();
        let counted = count.as_ref().map(|_| "one image of each build counted".to_owned());
        let launched = settings.map(|settings| {
            let budget = plan.budget.map_or_else(String::new, |budget| format!(", {} at most", seconds(budget.get())));
            format!("{} to {} pairs of launches each{budget}", settings.first, settings.most)
        });
        text::show(&format!(
            "{timed} {}, {}.\nbase: {}\nhead: {}\n\n",
            if timed == 1 { "cell" } else { "cells" },
            counted.into_iter().chain(launched).collect::<Vec<_>>().join(", "),
            base.label,
            head.label,
        ));
        Ok(Comparison {
            base,
            head,
            images: plan.images.unwrap_or(IMAGES).get(),
            cells,
            plan: settings,
            count,
            options: gate.options(common)?,
            dir: std::path::absolute(&dir)?,
        })
    }
}

/// What is compared when nobody says: every backend on the small model.
const COMPARED: &str = "\
budget = '15m'
[[group]]
model = 'nano'
backend = 'reference'
precision = 'f32'
[[group]]
model = 'nano'
";

/// A count is of one thread: with more, how long they wait for each other would be in it.
fn on_one_thread(plan: &mut PlanFile) -> Result<()> {
    for group in &mut plan.group {
        let threads = group.threads.get_or_insert_with(|| vec![Threads::fixed(1)]);
        if threads.iter().any(|threads| threads.get() != 1) {
            bail!("--count counts on one thread: leave --threads out, or say --threads 1");
        }
    }
    Ok(())
}

/// Each cell of a plan as a plan of its own, its way of running named: two builds may have different defaults.
fn single_cells(plan: &PlanFile, common: &Common) -> Result<Vec<SingleCell>> {
    let common = &common.with_providers(plan.ep.as_deref());
    let cells = plan.cells(ditbench_worker::probe::machine::cores())?;
    let resolved = crate::run::resolve(cells, &mut ThisMachine::default(), common, &|message| tell(&message))?;
    let mut cells = Vec::new();
    for cell in resolved {
        if let Some((status, why)) = &cell.refusal {
            tell(&format!("left out: {}: {}: {why}", cell.cell.key(), status.name()));
            continue;
        }
        let mut single = PlanFile { group: vec![cell.cell.axes(&cell.key.variant)], ..plan.clone() };
        (single.launches, single.images, single.budget) = (None, None, None);
        cells.push(SingleCell { id: cell.key.id(), key: cell.key, plan: single, timed: !cell.is_reference });
    }
    if !cells.iter().any(|cell| cell.timed) {
        bail!("nothing to compare: no cell of the plan can run here");
    }
    Ok(cells)
}

fn stamp() -> String {
    crate::run::now().chars().filter(|c| !matches!(c, '-' | ':')).collect()
}
