//! ditbench: parse, dispatch, and turn errors into one clear line and an exit code.

mod ab;
mod agent;
mod cli;
mod host;
mod interrupt;
mod measure;
mod paths;
mod plan;
mod probe;
mod protocol;
mod registry;
mod run;
mod text;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Worker) {
        return worker::main();
    }
    if let Command::Agent(args) = &cli.command {
        return agent::main(args);
    }
    if cli.command.starts_workers() {
        interrupt::listen();
    } else {
        // `ditbench inspect | head` ends quietly. A run must instead survive a worker that closes its pipe.
        // SAFETY: no other thread runs yet.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    let common = &cli.common;
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    let result = match cli.command {
        Command::Run(args) => done(cli::run::run(&args, common)),
        Command::Profile(args) => done(cli::profile::profile(*args, common)),
        Command::Ab(args) => cli::ab::ab(&args, common),
        Command::Aa(args) => cli::ab::aa(&args, common),
        Command::Compare(args) => cli::compare::compare(&args, common),
        Command::History(args) => done(cli::history::history(&args)),
        Command::Merge(args) => done(cli::merge::merge(&args)),
        Command::Generate(args) => done(cli::generate::generate(&args, common)),
        Command::Inspect(args) => done(cli::inspect::inspect(&args)),
        Command::Export(args) => done(cli::export::export(&args, common)),
        Command::Report(args) => done(cli::report::remake(&args)),
        Command::Devices(args) => done(cli::devices::devices(&args, common)),
        Command::Doctor(args) => done(cli::doctor::doctor(&args, common)),
        Command::Worker | Command::Agent(_) => Ok(ExitCode::SUCCESS),
    };
    match result {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("error: {}", text::causes(&error));
            ExitCode::from(2)
        }
    }
}
