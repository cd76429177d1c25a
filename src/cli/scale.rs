//! `ditbench scale`: what a cost grows as with size, threads and the like; of records, or of a run made for it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use ditbench_record::Run;
use ditbench_reports::advice::Question;
use ditbench_reports::scale::{self, Place, axis};

use super::Common;
use super::format::Format;
use super::one_machine::OneMachine;
use super::report;
use super::scaled::{answer, say};
use crate::plan::{Images, Launches, Seconds};
use crate::run::fleet::Results;
use crate::run::{self, Settings, Usual};

/// Four launches: the fewest on either side that give a ratio an interval.
const USUAL: Usual = Usual { launches: Launches::fixed(4), images: Images::fixed(30), budget: Seconds::fixed(600.0) };

/// Arguments of `ditbench scale`.
#[derive(Debug, clap::Args)]
pub struct ScaleArgs {
    /// Runs to read instead of measuring: their directories, or their record.json files
    #[arg(value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Also predict what was not measured: a size (2048, 768x512), or AXIS=VALUE with size, steps or text-tokens
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = axis::read)]
    predict: Vec<Place>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Directory for the run, or with RUN for the report; with scale.json and scale.md in it [default: runs/ID; with RUN nothing is
    /// written]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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
        return match measure(args, common)? {
            Some(dir) => answer(&dir, args.format),
            None => Ok(()),
        };
    }
    let profile = args.profile.then_some("--profile");
    if let Some(flag) = args.machine.given().or(profile) {
        bail!("{flag} is for measuring, and RUN for reading what was measured: leave one of the two out");
    }
    let Results { runs, absent } = report::read(&args.runs)?;
    let records: Vec<&Run> = runs.iter().map(|loaded| &loaded.run).collect();
    let scale = scale::of_runs(&records, &args.predict);
    if let Some(dir) = &args.out {
        ditbench_reports::report::answering(&Question::default(), &runs, &absent, dir)?;
    }
    say(&scale, args.format, args.out.as_deref())
}

/// Runs the plan, as `run` would, and gives its directory; `None` where it was only shown.
fn measure(args: &ScaleArgs, common: &Common) -> Result<Option<PathBuf>> {
    let otherwise = "a curve is of one machine: name it with --on; `ditbench run` measures on several, and `ditbench scale RUN…` reads them";
    let settings = Settings {
        profile: args.profile,
        scale: Some(args.predict.iter().map(Place::flag).collect()),
        ..args.machine.settings(common, USUAL, otherwise)?
    };
    run::start(settings, common, args.out.as_deref(), args.machine.dry_run, args.machine.force)
}
