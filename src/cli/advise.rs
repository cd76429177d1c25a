//! `ditbench advise`: which configuration to ship, from records alone.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use ditbench_record::Run;
use ditbench_reports::advice::{self, Advice, faces};

use super::format::Format;
use super::question::QuestionArgs;
use super::report;
use crate::text;

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
    if let Some(dir) = &args.out {
        ditbench_reports::report::answering(&question, &found.runs, &found.absent, dir)?;
        for (name, face) in [("advice.json", faces::json(&advice)), ("advice.md", faces::markdown::of_advice(&advice))]
        {
            let file = dir.join(name);
            std::fs::write(&file, face).with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    print(args.format, &advice);
    Ok(ExitCode::from(advice.outcome.exit_code()))
}

fn print(format: Format, advice: &Advice) {
    match format {
        Format::Text => text::show(&faces::text::of_advice(advice)),
        Format::Markdown => text::data(&faces::markdown::of_advice(advice)),
        Format::Json => text::data(&faces::json(advice)),
    }
}
