//! `ditbench run`: read the plan, show it, run it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::Common;
use super::format::Format;
use crate::host::adb::{PhoneOptions, Program, choose};
use crate::plan::{Axes, DEFAULT_PLAN, Images, Launches, Names, PlanFile, Seconds, Shard, Target};
use crate::run::judging::{DEFAULT_PLAN as JUDGING_PLAN, Wanted};
use crate::run::{self, ResumeOptions, Settings, Usual, WeightsChoice};

/// What to run: a plan file, flags over it.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// A plan file (TOML); flags override it. Without one, and without a flag that names cells, the default plan runs
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    axes: Axes,
    /// The prompt [default: turtle]
    #[arg(long)]
    prompt: Option<String>,
    /// Seed of the noise and of random weights [default: 7]
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX.cast_unsigned()))]
    seed: Option<u64>,
    /// At most this many images per launch [default: the plan's, else 30; ab and aa: the plan's, else 8; profile: 6]
    #[arg(long)]
    images: Option<Images>,
    /// Time for the whole run: 90s, 10m, 1h. Workloads and precisions that do not fit are left out; earlier ones in the plan have priority
    /// [default: the plan's, else 150s, and then every cell gets a launch; scale: likewise, else 10m; tune: the plan's, else
    /// 20m; ab and aa: the plan's, else none; 15m for their own default plan]
    #[arg(long, value_name = "TIME")]
    budget: Option<Seconds>,
    /// Weights: a safetensors file, or `random` [default: the checkpoint built into ditbench, else random from the seed]
    #[arg(long, value_name = "FILE|random")]
    weights: Option<WeightsChoice>,
}

/// What a run takes where neither flags nor the plan say.
const USUAL: Usual = Usual { launches: Launches::fixed(3), images: Images::fixed(30), budget: Seconds::fixed(150.0) };
/// The plan of a first look where no flag names cells: one group, to be filled by what the phone has.
const FIRST_LOOK: &str = "[[group]]\n";

/// How pictures are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Look {
    Reference,
    Full,
}

/// Arguments of `ditbench run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Where to run: local, adb (the one phone), adb:SERIAL, adb:* (all phones); several with commas [default: local]
    #[arg(long, value_delimiter = ',', value_name = "LIST", conflicts_with = "resume")]
    on: Option<Vec<Target>>,
    /// The settings of one machine of several, as a run of several machines writes them
    #[arg(long, value_name = "FILE", hide = true, conflicts_with_all = ["resume", "plan", "on"])]
    settings: Option<PathBuf>,
    #[command(flatten)]
    phone: PhoneOptions,
    /// At most this many launches (processes) per cell, the independent samples; beyond three, as many as the budget has time for
    /// [default: the plan's, else 3, or 1 with --sustained; profile: 1]
    #[arg(long, conflicts_with = "resume")]
    launches: Option<Launches>,
    /// Time limit per launch [default: 10m; with --resume: the run's]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Seconds>,
    /// Also make an image under each runtime's profiler, separate from the timed ones, to show where the time goes
    #[arg(long, conflicts_with = "resume")]
    profile: bool,
    /// Run only a part of the plan: 2/5 on the second of five machines; `ditbench merge` joins the parts
    #[arg(long, value_name = "I/N", conflicts_with = "resume")]
    shard: Option<Shard>,
    /// Keep each launch running this long, hot or not, and show how times settle: 10m, 30m
    #[arg(long, value_name = "TIME", conflicts_with = "resume")]
    sustained: Option<Seconds>,
    /// The first look at a phone: every cluster with as many threads as it has cores, f32 and q4, `small` unless --model says
    /// otherwise; then the fastest for ten minutes (or as --sustained says)
    #[arg(long, conflicts_with_all = ["resume", "plan", "dry_run", "print_plan", "shard", "quality", "launches"], help_heading = "Phones")]
    first_look: bool,
    /// Sensors (frequency, temperature, pressure, energy) and the processor's counters while workers run: on, or off to read
    /// sensors only before and after, and no counters
    #[arg(long, default_value = "on", value_parser = ["on", "off"], conflicts_with = "resume")]
    telemetry: String,
    /// How pictures are judged: reference (one image of each cell against the reference's), or full: 200 names and 50
    /// compositions from each cell of nano, judged by a network; nothing is timed
    #[arg(
        long,
        value_enum,
        default_value = "reference",
        hide_possible_values = true,
        value_name = "reference|full",
        conflicts_with = "resume"
    )]
    quality: Look,
    /// With --quality full: this many names, and a quarter as many compositions, instead of the whole list
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    prompts: Option<Names>,
    /// With --quality full: the judge's file (efficientnet-lite0-57934424.pth and no other), if you have it
    /// already
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    judge: Option<PathBuf>,
    /// Skip what does not change from launch to launch: the machine's peaks, the memory pass, comparing images
    #[arg(long, conflicts_with_all = ["profile", "resume"])]
    brief: bool,
    /// Let nodes that a device does not take run on the processor: such rows are marked. Without it they have no result but the
    /// operations that the device does not take
    #[arg(long, conflicts_with = "resume")]
    allow_fallback: bool,
    /// Directory for the run [default: runs/ID]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Also put each finished run into this history store: an SQLite file or a postgres:// URL
    #[arg(long, value_name = "FILE|URL")]
    store: Option<String>,
    /// Continue an interrupted run; finished work is not repeated
    #[arg(long, value_name = "RUN", conflicts_with = "plan")]
    resume: Option<PathBuf>,
    /// Show the plan with estimated times and memory, and stop (ONNX Runtime is fetched if the plan needs it)
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Print the plan as a plan file, and stop
    #[arg(long, conflicts_with = "resume")]
    print_plan: bool,
    /// Start even if the plan does not seem to fit in memory
    #[arg(long, conflicts_with = "resume")]
    force: bool,
}

/// Runs.
///
/// # Errors
/// A mistake in the plan or the environment; failures of cells are rows, not errors.
pub fn run(args: &RunArgs, common: &Common) -> Result<ExitCode> {
    if let Some(path) = &args.resume {
        if let Some(flags) = args.of_the_plan() {
            bail!("--resume continues the plan that the run began with: leave out {flags}");
        }
        let (budget_s, phone_binary) = (args.plan.budget, args.phone.phone_binary.as_deref());
        let options = ResumeOptions { timeout_s: args.timeout, budget_s, phone_binary };
        if run::fleet::is_fleet(path) {
            if args.plan.budget.is_some() {
                bail!("in a run on several machines, each continues with its own budget: leave out --budget");
            }
            run::fleet::resume(path, common, &options, args.store.as_deref())?;
            return Ok(ExitCode::SUCCESS);
        }
        run::resume(path, common, &options)?;
        args.keep(Some(path))?;
        super::scaled::answer(path, Format::default())?;
        // A search ends with its advice, whenever it ends.
        return Ok(run::tune::advise(path)?.unwrap_or(ExitCode::SUCCESS));
    }
    begin(args, common).map(|()| ExitCode::SUCCESS)
}

/// Begins a new run.
fn begin(args: &RunArgs, common: &Common) -> Result<()> {
    if let Some(path) = &args.settings {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut settings: Settings =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        // Of a run on several machines that goes on.
        let phone_binary = args.phone.phone_binary.as_deref();
        ResumeOptions { timeout_s: args.timeout, budget_s: args.plan.budget, phone_binary }.apply(&mut settings);
        return args.keep(run::start(settings, common, args.out.as_deref(), args.dry_run, args.force)?.as_deref());
    }
    let judging = args.judging()?;
    let default = match (args.first_look, judging.is_some()) {
        (true, _) => FIRST_LOOK,
        (false, true) => JUDGING_PLAN,
        (false, false) => DEFAULT_PLAN,
    };
    let mut plan = args.plan.plan_or(default, common)?;
    if judging.is_some() && plan.has_company() {
        bail!(
            "--company is for runs that time one prompt; --quality full makes the pictures of a fixed list: leave one of the two out"
        );
    }
    plan.launches = args.launches.or(plan.launches);
    // Of a sustained run nobody expects that it keeps to a budget; that of a first look is not the user's.
    let leaves_out = plan.budget.is_some() && args.sustained.is_none();
    if args.first_look {
        plan.launches = Some(Launches::fixed(1));
        plan.images = plan.images.or(Some(Images::fixed(6)));
        plan.budget = plan.budget.or(Some(Seconds::fixed(600.0)));
    }
    if args.print_plan {
        crate::text::data(&toml::to_string_pretty(&plan).context("writing the plan as TOML")?);
        return Ok(());
    }
    // The default plan's launches are meant to be short.
    if args.sustained.is_some() && args.launches.is_none() && args.plan.plan.is_none() {
        plan.launches = Some(Launches::fixed(1));
    }
    let first_look = args.first_look.then(|| args.sustained.unwrap_or(Seconds::fixed(600.0)));
    let sustained_s = args.sustained.filter(|_| !args.first_look);
    let settings = Settings {
        telemetry: args.telemetry == "on",
        sustained_s,
        shard: args.shard,
        timeout_s: args.timeout.unwrap_or(run::TIMEOUT),
        leaves_out,
        weights: args.plan.weights(),
        profile: args.profile,
        brief: args.brief,
        allow_fallback: args.allow_fallback,
        judging,
        phone: PhoneOptions {
            sustained: sustained_s.is_some(),
            no_telemetry: args.telemetry == "off",
            ..args.phone.clone()
        },
        ..Settings::of(plan, USUAL)
    };
    let wanted = args.on.clone().or_else(|| settings.plan.on.clone()).unwrap_or_default();
    let chosen = choose(&wanted, &Program::find())?;
    if let [_, _, ..] = chosen[..] {
        if args.first_look {
            bail!("--first-look is for one phone: name it with --on adb:SERIAL");
        }
        if args.dry_run {
            bail!("--dry-run shows the plan of one machine: name one with --on");
        }
        let orders = run::fleet::Orders { out: args.out.as_deref(), force: args.force, store: args.store.as_deref() };
        return run::fleet::start(&settings, &chosen, common, &orders);
    }
    let settings = Settings { on: chosen.into_iter().next(), ..settings };
    if let Some(sustained_s) = first_look {
        let dir = run::first_look::start(settings, sustained_s, common, args.out.as_deref(), args.force)?;
        return ["clusters", "sustained"].iter().try_for_each(|part| args.keep(Some(&dir.join(part))));
    }
    args.keep(run::start(settings, common, args.out.as_deref(), args.dry_run, args.force)?.as_deref())
}

impl RunArgs {
    /// A flag that says what a new run is, and that one which goes on cannot take.
    fn of_the_plan(&self) -> Option<String> {
        let (plan, phone) = (&self.plan, &self.phone);
        let given = [
            (plan.axes != Axes::default(), "--model, --backend and the like"),
            (plan.prompt.is_some(), "--prompt"),
            (plan.seed.is_some(), "--seed"),
            (plan.images.is_some(), "--images"),
            (plan.weights.is_some(), "--weights"),
            (phone.fixed_performance, "--fixed-performance"),
            (phone.task_profile.is_some(), "--task-profile"),
            (phone.perfetto, "--perfetto"),
            (phone.keep, "--keep"),
            (phone.phone_dir.is_some(), "--phone-dir"),
            (phone.patience.is_some(), "--patience"),
        ];
        let folders = phone.folders.words().into_iter().map(|(flag, _)| flag);
        given.into_iter().filter(|(given, _)| *given).map(|(_, flags)| flags.to_owned()).chain(folders).next()
    }

    /// Puts a finished run into the store that was named.
    fn keep(&self, run: Option<&Path>) -> Result<()> {
        match (&self.store, run) {
            (Some(store), Some(run)) => super::history::put(store, run),
            _ => Ok(()),
        }
    }

    /// What is asked of a run that judges pictures; `None` for one that times.
    fn judging(&self) -> Result<Option<Wanted>> {
        if self.quality != Look::Full {
            for (given, flag) in [(self.prompts.is_some(), "--prompts"), (self.judge.is_some(), "--judge")] {
                if given {
                    bail!("{flag} is for pictures that are judged: add --quality full");
                }
            }
            return Ok(None);
        }
        let timing = [
            (self.profile, "--profile"),
            (self.brief, "--brief"),
            (self.sustained.is_some(), "--sustained"),
            (self.shard.is_some(), "--shard"),
            (self.launches.is_some(), "--launches"),
            (self.plan.images.is_some(), "--images"),
            (self.plan.budget.is_some(), "--budget"),
            (self.plan.prompt.is_some(), "--prompt"),
        ];
        if let Some((_, flag)) = timing.into_iter().find(|(given, _)| *given) {
            bail!(
                "{flag} is for runs that time one prompt; --quality full makes the pictures of a fixed list: leave one of the two out"
            );
        }
        let whole = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        Ok(Some(Wanted { prompts: self.prompts, judge: self.judge.as_ref().map(whole) }))
    }

    /// Turns profiling on; what was not said becomes what a profile wants: one launch, a few images, no default plan.
    pub fn profiled(&mut self) {
        self.profile = true;
        // One that goes on has its plan.
        if self.resume.is_some() {
            return;
        }
        self.launches = self.launches.or(Some(Launches::fixed(1)));
        self.plan.images = self.plan.images.or(Some(Images::fixed(6)));
        if !self.first_look && self.plan.plan.is_none() && self.plan.axes == Axes::default() {
            self.plan.axes.model = Some(vec!["nano".to_owned()]);
        }
    }
}

impl PlanArgs {
    /// The plan file, or `default` where neither a file nor a flag names cells, with the flags over it.
    ///
    /// # Errors
    /// A plan that cannot be read.
    pub fn plan_or(&self, default: &str, common: &Common) -> Result<PlanFile> {
        let mut plan = match &self.plan {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the plan {}", path.display()))?;
                PlanFile::parse(&text, &path.display().to_string())?
            }
            // A flag that names cells asks for those cells, not for the default plan's groups.
            None if self.axes == Axes::default() => PlanFile::parse(default, "the default plan")?,
            None => PlanFile::default(),
        };
        plan.override_with(&self.axes);
        plan.make_paths_whole()?;
        plan.prompt = self.prompt.clone().or(plan.prompt);
        plan.seed = self.seed.or(plan.seed);
        plan.images = self.images.or(plan.images);
        plan.budget = self.budget.or(plan.budget);
        if !common.ep.is_empty() {
            plan.ep = Some(common.ep.clone());
        }
        Ok(plan)
    }

    /// Whether it names no cell and nothing else.
    pub fn says_nothing(&self) -> bool {
        let Self { plan, axes, prompt, seed, images, budget, weights } = self;
        let of_images = (prompt, seed, images, budget, weights) == (&None, &None, &None, &None, &None);
        plan.is_none() && *axes == Axes::default() && of_images
    }

    /// Which weights.
    pub fn weights(&self) -> WeightsChoice {
        self.weights.clone().unwrap_or_default()
    }
}
