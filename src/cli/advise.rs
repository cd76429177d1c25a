//! `ditbench advise`: which configuration to ship, from records alone.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use ditbench_record::Run;
use ditbench_reports::advice::{self, faces};

use super::format::{Faces, Format};
use super::question::QuestionArgs;
use super::report;

/// Arguments of `ditbench advise`.
#[derive(Debug, clap::Args)]
pub struct AdviseArgs {
    /// Runs: their directories, or their record.json files; of one machine or of several
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    question: QuestionArgs,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Directory for the advice in every format (advice.json, advice.md), with the report that it is drawn in
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Advises.
///
/// # Errors
/// A record that cannot be read, a question without an answer, a file that cannot be written.
pub fn advise(args: &AdviseArgs) -> Result<ExitCode> {
    let question = args.question.question()?;
    let found = report::read(&args.runs)?;
    let records: Vec<&Run> = found.runs.iter().map(|loaded| &loaded.run).collect();
    let advice = advice::of_runs(&records, &found.absent, &question);
    let faces = Faces {
        text: faces::text::of_advice(&advice),
        markdown: faces::markdown::of_advice(&advice),
        json: faces::json(&advice),
    };
    if let Some(dir) = &args.out {
        ditbench_reports::report::answering(&question, &found.runs, &found.absent, dir)?;
        faces.write(dir, "advice")?;
    }
    faces.print(args.format);
    Ok(ExitCode::from(advice.outcome.exit_code()))
}
