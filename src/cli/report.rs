//! `ditbench report`: the report again, from records alone.

use std::path::PathBuf;

use anyhow::{Result, bail};
use ditbench_record::store::{self, LoadedRun};
use ditbench_reports::table::Absent;

use super::question::QuestionArgs;
use crate::run::fleet::{self, Results};
use crate::run::print;
use crate::text;

/// Arguments of `ditbench report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Runs: their directories, or their record.json files
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    question: QuestionArgs,
    /// Folder to write to [default: the first run's directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Reads the records and writes the report.
///
/// # Errors
/// A record that cannot be read, a folder that cannot be written.
pub fn remake(args: &ReportArgs) -> Result<()> {
    let question = args.question.question()?;
    let Results { runs, absent } = read(&args.runs)?;
    let out = args.out.clone().unwrap_or_else(|| match &args.runs[0] {
        fleet if fleet::is_fleet(fleet) => fleet.clone(),
        _ => runs[0].dir.clone(),
    });
    let page = print::write(&question, &runs, &absent, &out)?;
    text::show(&format!("{}\n", page.display()));
    Ok(())
}

/// The records of these directories; of a run of several machines, all of them, and the machines that gave none.
///
/// # Errors
/// A record that cannot be read; not one machine with a result.
pub fn read(paths: &[PathBuf]) -> Result<Results> {
    let (mut runs, mut absent): (Vec<LoadedRun>, Vec<Absent>) = (Vec::new(), Vec::new());
    for path in paths {
        if fleet::is_fleet(path) {
            let found = fleet::results(path)?;
            runs.extend(found.runs);
            absent.extend(found.absent);
        } else {
            runs.push(store::read(path)?);
        }
    }
    if let ([], Some(first)) = (runs.as_slice(), absent.first()) {
        bail!("no machine produced a result. {}: {}", first.machine, first.reason);
    }
    Ok(Results { runs, absent })
}
