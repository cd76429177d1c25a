//! What this program does when it runs on a phone for a host: it is asked in words, answers in JSON, and looks after a
//! worker that goes on when the cable is out.
//!
//! Contract: hidden from users (`ditbench agent …` is started by a host's `ditbench run --on adb:…` through `adb shell`).
//! Every answer is one JSON value on one line. Nothing is written outside the folder that the host names.

mod answers;
mod fixed_performance;
mod follow;
mod hold;
mod journal;
mod sampler;
mod supervise;

use std::path::PathBuf;
use std::process::ExitCode;

pub use answers::{BackendFacts, Description, facts_of};
pub use fixed_performance::RESTORE;
pub use follow::{BEAT, GONE};
pub use hold::{BUSY, CLOCK, HELD};
pub use journal::Line;
pub use supervise::Order;

/// What a host may ask.
#[derive(Debug, clap::Args)]
pub struct AgentArgs {
    #[command(subcommand)]
    ask: Ask,
}

#[derive(Debug, clap::Subcommand)]
enum Ask {
    /// Who the phone is, and what can run there
    Describe,
    /// Its peaks at these thread counts
    Peaks {
        /// Thread counts
        #[arg(value_delimiter = ',')]
        threads: Vec<usize>,
    },
    /// Seconds of the fixed piece of work
    Calibrate,
    /// All sensors now
    Sensors,
    /// Hold the phone for one host for as long as standard input is open, and tell the time when asked
    Hold {
        /// Folder of ours on the phone
        folder: PathBuf,
        /// The run that wants it
        #[arg(long)]
        run: String,
        /// Who to name to another host
        #[arg(long)]
        owner: String,
    },
    /// Start a launch that goes on without us
    Start {
        /// The launch's folder
        folder: PathBuf,
    },
    /// The launch itself, in a session of its own
    Supervise {
        /// The launch's folder
        folder: PathBuf,
    },
    /// Hand on what a launch has said, from a byte on, until it ends
    Follow {
        /// The launch's folder
        folder: PathBuf,
        /// Bytes that the host has already
        from: u64,
    },
}

/// Does what was asked.
pub fn main(args: &AgentArgs) -> ExitCode {
    let done = match &args.ask {
        Ask::Describe => answers::describe(),
        Ask::Peaks { threads } => answers::peaks(threads),
        Ask::Calibrate => answers::calibrate(),
        Ask::Sensors => answers::sensors(),
        Ask::Hold { folder, run, owner } => hold::hold(folder, run, owner),
        Ask::Start { folder } => supervise::start(folder),
        Ask::Supervise { folder } => supervise::supervise(folder),
        Ask::Follow { folder, from } => follow::follow(folder, *from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", crate::text::causes(&error));
            ExitCode::from(2)
        }
    }
}
