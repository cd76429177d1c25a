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
mod perfetto;
mod sampler;
mod supervise;

use std::path::PathBuf;
use std::process::ExitCode;

pub use answers::Description;
pub use fixed_performance::RESTORE;
pub use follow::{BEAT, GONE};
pub use hold::{BUSY, CLOCK, HELD};
pub use journal::Line;
pub use perfetto::TRACE;
pub use supervise::Order;

/// What a host may ask.
#[derive(Debug, PartialEq, Eq)]
enum Ask {
    /// Who the phone is, and what can run there: `describe`.
    Describe,
    /// Its peaks at these thread counts: `peaks 1,2,4`; pinned to CPUs: `peaks 4 on 4-7`.
    Peaks { threads: Vec<usize>, cpus: Vec<u32> },
    /// Seconds of the fixed piece of work: `calibrate`.
    Calibrate,
    /// How much company gets done alone: `company 2`; pinned to CPUs: `company 2 on 4-7`.
    Company { threads: u32, cpus: Vec<u32> },
    /// All sensors now: `sensors`.
    Sensors,
    /// Hold the phone for one host for as long as standard input is open, and tell the time when asked:
    /// `hold FOLDER --run RUN --owner OWNER`.
    Hold { folder: PathBuf, run: String, owner: String },
    /// Start a launch that goes on without us: `start FOLDER`.
    Start(PathBuf),
    /// The launch itself, in a session of its own: `supervise FOLDER`.
    Supervise(PathBuf),
    /// Hand on what a launch has said, from a byte on, until it ends: `follow FOLDER BYTES`.
    Follow { folder: PathBuf, from: u64 },
}

impl Ask {
    fn parse(words: &[String]) -> Option<Self> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Some(match words.as_slice() {
            ["describe"] => Self::Describe,
            ["peaks", threads, on @ ..] => Self::Peaks {
                threads: threads.split(',').map(str::parse).collect::<Result<_, _>>().ok()?,
                cpus: cpus(on)?,
            },
            ["calibrate"] => Self::Calibrate,
            ["company", threads, on @ ..] => Self::Company { threads: threads.parse().ok()?, cpus: cpus(on)? },
            ["sensors"] => Self::Sensors,
            ["hold", folder, "--run", run, "--owner", owner] => {
                Self::Hold { folder: folder.into(), run: (*run).to_owned(), owner: (*owner).to_owned() }
            }
            ["start", folder] => Self::Start(folder.into()),
            ["supervise", folder] => Self::Supervise(folder.into()),
            ["follow", folder, from] => Self::Follow { folder: folder.into(), from: from.parse().ok()? },
            _ => return None,
        })
    }
}

/// Where, behind a question: `on 4-7`; nothing: as the system sees fit.
fn cpus(on: &[&str]) -> Option<Vec<u32>> {
    match on {
        [] => Some(Vec::new()),
        ["on", cpus] => ditbench_record::cpus::parse(cpus),
        _ => None,
    }
}

/// Does what was asked.
pub fn main(words: &[String]) -> ExitCode {
    let Some(ask) = Ask::parse(words) else {
        crate::output::tell(&format!(
            "error: `agent {}` is not a question of a host; the versions there and here may differ",
            words.join(" ")
        ));
        return ExitCode::from(2);
    };
    let done = match &ask {
        Ask::Describe => answers::describe(),
        Ask::Peaks { threads, cpus } => answers::peaks(threads, cpus),
        Ask::Calibrate => answers::calibrate(),
        Ask::Company { threads, cpus } => answers::company(*threads, cpus),
        Ask::Sensors => answers::sensors(),
        Ask::Hold { folder, run, owner } => hold::hold(folder, run, owner),
        Ask::Start(folder) => supervise::start(folder),
        Ask::Supervise(folder) => supervise::supervise(folder),
        Ask::Follow { folder, from } => follow::follow(folder, *from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::output::tell(&format!("error: {}", crate::causes(&error)));
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Option<Ask> {
        Ask::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn questions_are_understood_whole_or_not_at_all() {
        assert_eq!(ask("peaks 1,2,4"), Some(Ask::Peaks { threads: vec![1, 2, 4], cpus: Vec::new() }));
        assert_eq!(ask("peaks 2 on 4-5"), Some(Ask::Peaks { threads: vec![2], cpus: vec![4, 5] }));
        assert_eq!(ask("company 2 on 0,3"), Some(Ask::Company { threads: 2, cpus: vec![0, 3] }));
        assert_eq!(ask("follow /x 12"), Some(Ask::Follow { folder: "/x".into(), from: 12 }));
        let hold = Ask::Hold { folder: "/x".into(), run: "r".to_owned(), owner: "me".to_owned() };
        assert_eq!(ask("hold /x --run r --owner me"), Some(hold));
        for line in [
            "",
            "peaks",
            "peaks 1,x",
            "peaks 1 on",
            "peaks 1 at 2",
            "company",
            "company 1 on",
            "follow /x -1",
            "describe now",
            "dance",
        ] {
            assert_eq!(ask(line), None, "{line}");
        }
    }
}
