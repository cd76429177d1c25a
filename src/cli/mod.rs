//! The command line: one file per command.

pub mod ab;
pub mod advise;
pub mod compare;
pub mod devices;
pub mod doctor;
mod examples;
pub mod export;
mod format;
mod gate;
pub mod generate;
pub mod history;
pub mod inspect;
mod inspect_for;
mod inspect_own;
pub mod merge;
mod one_machine;
mod phones;
pub mod profile;
mod question;
pub mod report;
pub mod run;
pub mod scale;
mod scaled;
pub mod setup;
pub mod shell;
pub mod tune;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::environment::{Common, engines_file};
use ditbench_worker::output;

/// How to run a diffusion transformer on this machine: measure it, look at it, decide
///
/// ditbench runs the image pipelines of SnapGen++ (a three-stage diffusion transformer with sparse attention, 4-bit weights
/// and 4 steps), EdgeDiT, SnapGen and others, and your own models on candle, tract and ONNX Runtime, and reports latency,
/// memory and image quality.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// What all commands share.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ditbench run                                        the default plan, about 3 minutes, ends with a report
  ditbench run --model small --size 512 --backend candle,tract,ort --precision f32,q4 --threads 1,2
  ditbench run --plan plan.toml --dry-run             what a plan would do
  ditbench profile --backend candle,ort               where the time goes; --diff A B says what changed
  ditbench ab --base-rev main                         is this build slower, bigger or wrong? exit code 1 if so
  ditbench compare runs/BASE runs/HEAD                the same, from records
  ditbench advise runs/A runs/B --max-latency 2s      which configuration to ship, and why
  ditbench tune --max-latency 2s --budget 20m         search for it, with launches where it is close
  ditbench scale --size 64,96,128,192 --predict 512   what time grows as; what larger sizes would take
  ditbench history import runs/*/record.json          put runs into a store
  ditbench history page                               how numbers change from run to run
  ditbench generate \"turtle\" -o turtle.png --backend ort --precision q4
  ditbench inspect --model small --size 1024          parameters, operations, bytes
  ditbench export --model small --precision q4 DIR    ONNX files for other tools
  ditbench report runs/20261123T161500Z-5f3a          rebuild the report from the record
  ditbench setup webgpu                               what a device needs beyond its driver
  ditbench devices                                    what can run here, and what is missing; phones that adb sees
  ditbench doctor --on adb                            is the phone ready, and if not, what to do
  ditbench run --on adb --backend candle,tract        the same measurement on a phone

Exit codes: 0 done, or met (advise, tune); 1 regressed (ab, aa, compare), or not met (advise, tune); 2 not done, or not
finished: wrong usage or environment, an interruption, standard output on a full disk, nothing that could be measured or
compared; 3 inconclusive (ab, aa, compare), or not sure (advise, tune).";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a plan: measure, compare, report
    #[command(after_help = examples::RUN)]
    Run(Box<run::RunArgs>),
    /// Show where the time of an image goes, or which operation changed between two runs
    #[command(after_help = examples::PROFILE)]
    Profile(Box<profile::ProfileArgs>),
    /// Compare two builds on this machine, launch by launch, and say whether the newer one is slower, bigger or wrong
    #[command(after_help = examples::AB)]
    Ab(Box<ab::AbArgs>),
    /// Compare a build with itself, to measure this machine's noise and the thresholds that follow from it
    #[command(after_help = examples::AA)]
    Aa(Box<ab::AaArgs>),
    /// Judge a newer run against an older one, from their records alone
    #[command(after_help = examples::COMPARE)]
    Compare(Box<compare::CompareArgs>),
    /// Say which configuration to ship, under the bounds that you state, from records alone
    #[command(after_help = examples::ADVISE)]
    Advise(Box<advise::AdviseArgs>),
    /// Search what this machine can do for the configuration to ship, with launches where the decision is close
    #[command(after_help = examples::TUNE)]
    #[command(
        mut_arg("backend", tune::searched),
        mut_arg("precision", tune::searched),
        mut_arg("device", tune::searched)
    )]
    #[command(mut_arg("threads", tune::searched), mut_arg("memory", tune::searched))]
    Tune(Box<tune::TuneArgs>),
    /// Follow how costs grow with size, threads or rungs of a ladder, from records or a run: exponents, predictions, the papers' ratios
    #[command(after_help = examples::SCALE)]
    Scale(Box<scale::ScaleArgs>),
    /// Keep records in a store (SQLite, or PostgreSQL for a team), and see how numbers change from run to run
    #[command(after_help = examples::HISTORY)]
    History(history::HistoryArgs),
    /// Join the parts of a plan that were run with --shard
    #[command(after_help = examples::MERGE)]
    Merge(merge::MergeArgs),
    /// Make one image from a prompt
    #[command(after_help = examples::GENERATE)]
    Generate(generate::GenerateArgs),
    /// Count parameters, operations and bytes of a model, next to the paper's figures
    #[command(after_help = examples::INSPECT)]
    Inspect(inspect::InspectArgs),
    /// Write a model as ONNX files that other tools open
    #[command(after_help = examples::EXPORT)]
    Export(export::ExportArgs),
    /// Rebuild the report of one or more runs, from their records alone
    #[command(after_help = examples::REPORT)]
    Report(report::ReportArgs),
    /// List backends and devices: what can run here; for the rest, why not and how to get it
    #[command(after_help = examples::DEVICES)]
    Devices(devices::DevicesArgs),
    /// Fetch what a device needs beyond its driver: ONNX Runtime's provider for it, pinned by hash
    #[command(after_help = examples::SETUP)]
    Setup(setup::SetupArgs),
    /// Check a phone before a run: what is in the way, and the command that fixes it
    #[command(after_help = examples::DOCTOR)]
    Doctor(doctor::DoctorArgs),
    /// Print the completion script of a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(shell::CompletionsArgs),
    /// Print the man page, or write one for every command
    #[command(after_help = examples::MAN)]
    Man(shell::ManArgs),
    /// Questions of a host to this program on a phone; asked by `run --on adb:…`
    #[command(hide = true)]
    Agent {
        /// The question and what belongs to it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// One launch, told on standard input; started by `run`
    #[command(hide = true)]
    Worker,
    /// Threads that are kept busy until standard input ends; started by `run --company`
    #[command(hide = true)]
    Company {
        /// How many threads; on CPUs: on 4-7
        words: Vec<String>,
    },
}

impl Command {
    /// Whether it waits for other processes (workers, phones, a package client), and so must outlive Ctrl-C to end them.
    pub fn waits_for_others(&self) -> bool {
        match self {
            Self::Devices(args) => args.fetches(),
            Self::Inspect(args) => args.prepares(),
            Self::Setup(_) | Self::Run(_) | Self::Tune(_) | Self::Generate(_) | Self::Ab(_) | Self::Aa(_) => true,
            Self::Doctor(_) => true,
            Self::Profile(args) => args.runs(),
            Self::Scale(args) => args.measures(),
            _ => false,
        }
    }
}

/// Parses the command line, does what it asks, and turns errors into one clear line and an exit code.
pub fn main() -> ExitCode {
    ditbench_worker::probe::build::tell(ditbench_worker::told_by_build_script!());
    if let Some(file) = engines_file(std::env::args_os().skip(1)) {
        let file = std::path::absolute(&file).unwrap_or(file);
        // Workers, and runs of other machines, find it there too.
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(ditbench_worker::registry::ENGINES, file) };
    }
    // SAFETY: no other thread runs yet.
    unsafe { ditbench_worker::registry::set_environment() };
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are such an error too. Who reads them may be gone, or on a full disk.
        Err(said) => return exit_of_words(&said),
    };
    if matches!(cli.command, Command::Worker) {
        return ditbench_worker::worker::main();
    }
    if let Command::Company { words } = &cli.command {
        return ditbench_worker::company::main(words);
    }
    if let Command::Agent { words } = &cli.command {
        return output::exit(ditbench_worker::agent::main(words));
    }
    if cli.command.waits_for_others() {
        ditbench_worker::interrupt::listen();
    }
    let common = &cli.common;
    // What was named and is not right is a mistake, whether or not a plan needs it.
    if let (Some(_), Err(why)) = (&common.engines, ditbench_worker::registry::engines()) {
        output::tell(&format!("error: {why}"));
        return ExitCode::from(2);
    }
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    let result = match cli.command {
        Command::Run(args) => run::run(&args, common),
        Command::Profile(args) => profile::profile(*args, common),
        Command::Ab(args) => ab::ab(&args, common),
        Command::Aa(args) => ab::aa(&args, common),
        Command::Compare(args) => compare::compare(&args, common),
        Command::Advise(args) => advise::advise(&args),
        Command::Tune(args) => tune::tune(&args, common),
        Command::Scale(args) => done(scale::scale(&args, common)),
        Command::History(args) => done(history::history(&args)),
        Command::Merge(args) => done(merge::merge(&args)),
        Command::Generate(args) => done(generate::generate(&args, common)),
        Command::Inspect(args) => done(inspect::inspect(&args, common)),
        Command::Export(args) => done(export::export(&args, common)),
        Command::Report(args) => done(report::remake(&args)),
        Command::Devices(args) => done(devices::devices(&args, common)),
        Command::Setup(args) => done(setup::setup(&args, common)),
        Command::Doctor(args) => done(doctor::doctor(&args, common)),
        Command::Completions(args) => done(shell::completions(&args)),
        Command::Man(args) => done(shell::man(&args)),
        Command::Worker | Command::Company { .. } | Command::Agent { .. } => Ok(ExitCode::SUCCESS),
    };
    output::exit(result.unwrap_or_else(|error| {
        output::tell(&format!("error: {}", crate::text::causes(&error)));
        ExitCode::from(2)
    }))
}

/// Prints what the parser of the command line has to say; a reader that went away is no failure.
fn exit_of_words(said: &clap::Error) -> ExitCode {
    match said.print() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(2),
        _ => ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(2)),
    }
}
