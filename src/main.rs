//! ditbench: parse, dispatch, and turn errors into one clear line and an exit code.

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
    let result = match cli.command {
        Command::Run(args) => cli::run::run(&args, common),
        Command::Profile(args) => cli::profile::profile(*args, common),
        Command::Generate(args) => cli::generate::generate(&args, common),
        Command::Inspect(args) => cli::inspect::inspect(&args),
        Command::Export(args) => cli::export::export(&args, common),
        Command::Report(args) => cli::report::remake(&args),
        Command::Devices(args) => cli::devices::devices(&args, common),
        Command::Doctor(args) => cli::doctor::doctor(&args, common),
        Command::Worker | Command::Agent(_) => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
