//! Cautions: what a reader should know before trusting a row, each with what to do about it.
//!
//! Contract: a kind and its facts; the words are made when they are shown.

mod find;
mod words;

use serde::Serialize;

use crate::record::ForeignLoad;

pub use find::of_cell;

/// Launches below which an interval over launches cannot reach 95 % (see [`crate::estimate`]).
pub const FEW_LAUNCHES: usize = 6;

/// How much a caution matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Good to know.
    Note,
    /// The row is less certain.
    Uncertain,
    /// The row's time or result may mislead.
    Grave,
}

/// Something that makes a row less certain.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Caution {
    /// Some launches never became steady.
    NotSteady {
        /// How many.
        launches: usize,
        /// Of how many.
        of: usize,
        /// What they did.
        state: &'static str,
    },
    /// Sustained launches that still became slower or faster in the part that counts as settled.
    NotSettled {
        /// How many.
        launches: usize,
        /// Of how many.
        of: usize,
        /// How much slower, as a share, in the one that changed most; below 0: faster.
        change: f64,
    },
    /// Too few launches for an interval over launches.
    FewLaunches {
        /// How many there are.
        launches: usize,
    },
    /// Launches fall into two groups.
    Bimodal {
        /// Median of the faster group.
        fast_s: f64,
        /// Median of the slower group.
        slow_s: f64,
    },
    /// The machine held launches back while measuring.
    HeldBack {
        /// How many.
        launches: usize,
        /// Of how many.
        of: usize,
        /// By what, each cause at its worst.
        what: String,
        /// Whether that is part of what was measured.
        sustained: bool,
    },
    /// Other programs ran on the same CPUs.
    Busy {
        /// In how many launches.
        launches: usize,
        /// Of how many.
        of: usize,
        /// What was counted in the busiest of them.
        load: ForeignLoad,
    },
    /// A hypervisor gave the CPUs to other machines.
    Stolen {
        /// In how many launches.
        launches: usize,
        /// Of how many.
        of: usize,
        /// The largest share of the CPUs, 0..1.
        share: f64,
    },
    /// Whether other programs ran on the same CPUs is not known.
    LoadUnknown {
        /// Why not.
        why: String,
    },
    /// More threads than CPUs: they take turns.
    MoreThreads {
        /// Threads of the cell.
        threads: u32,
        /// CPUs that it may use.
        cpus: u32,
    },
    /// Tasks of the machine waited for memory.
    ShortOfMemory {
        /// The largest share of ten seconds, in percent.
        percent: f64,
    },
    /// The measured peak that the cell belongs under does not look like one.
    DoubtfulPeak {
        /// Which, and why.
        why: String,
    },
    /// The device is not there itself: its times are left out.
    Unreal {
        /// Why they are.
        why: String,
        /// `simulator`, `software`.
        nature: String,
    },
    /// Not every node ran on the device asked for.
    FallBack {
        /// Stage.
        stage: String,
        /// Share of nodes on the device asked for, 0..1.
        share: f64,
        /// The device asked for.
        asked: String,
    },
    /// Some launches failed, though the cell has a result.
    FailedLaunches {
        /// How many.
        launches: usize,
        /// Of how many.
        of: usize,
        /// The first one's reason.
        reason: String,
    },
    /// Samples were left out for a known cause.
    Removed {
        /// How many.
        samples: usize,
        /// Why, each cause once.
        causes: Vec<String>,
    },
    /// Outliers among the timed images; labelled, not removed.
    Outliers {
        /// How many.
        samples: usize,
        /// Of how many.
        of: usize,
    },
    /// The weights are held in another form than they are stored in.
    Expanded {
        /// What was done.
        what: String,
    },
    /// The result is further from that of a certain reference than any rounding explains.
    WrongResult {
        /// How far.
        why: String,
    },
    /// The same from a reference that may be the wrong one.
    DisputedResult {
        /// How far.
        why: String,
    },
    /// A second run of the same cell gave other bytes.
    NotRepeatable,
    /// Said by the harness or the backend.
    Said {
        /// In its own words.
        what: String,
    },
}
