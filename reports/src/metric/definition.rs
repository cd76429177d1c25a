//! What is to be known of a number, before anything is measured.

use serde::{Deserialize, Serialize};

use super::taken::Taken;

/// Everything that is to be known of a number. No field may be left open: what a face leaves out, it says why.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name in files and on command lines, with the unit in it: `image_s`.
    pub name: &'static str,
    /// In words, inside a sentence: `steady image`.
    pub title: &'static str,
    /// At the head of a column: `Image, p50`.
    pub heading: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// How a change is expressed.
    pub scale: Scale,
    /// How it is taken from a record.
    pub taken: Taken,
    /// How the built-in gate judges it.
    pub gate: Judged,
    /// Whether it is followed from run to run.
    pub history: Followed,
    /// Where people see it.
    pub shown: Shown,
    /// Where it stands in the CSV of a table.
    pub csv: Csv,
    /// What it means, in a sentence or two.
    pub glossary: &'static str,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Bytes.
    Bytes,
    /// Joules.
    Joules,
    /// 10⁹ floating-point operations a second.
    Gigaflops,
    /// A share of a whole, 0 to 1, shown in per cent.
    Share,
    /// A share of questions answered rightly, 0 to 1, shown with three decimals.
    Hits,
    /// A distance as a share of a length: relative L2.
    Relative,
    /// Decibels.
    Decibels,
    /// Structural similarity: 1 for equal pictures.
    Similarity,
    /// Points of SSIMULACRA2: 100 for equal pictures.
    Points,
    /// A distance of sets, times 1000.
    Thousandths,
    /// How many.
    Count,
    /// How many of something of which there are millions: instructions, misses.
    Events,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// How a change is expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// As a share of the base: 0.05 is 5 % more.
    Relative,
    /// In the number's own unit.
    Absolute,
}

/// What the samples are, and so what may be said of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// One number of each launch: independent samples, judged by their interval.
    Launches,
    /// Iterations of one process: not independent of each other (layout, caches and clocks are shared), so the interval is
    /// narrower than the truth, and the threshold must leave room for what differs from process to process.
    Iterations,
    /// One number of each record, the same whenever it is measured again: judged by its value.
    Value,
    /// Instructions of one image, counted one by one in a simulator: the same again but for what chance decides in a program, such as
    /// the order of a hash table. Judged by its value, where time is not sure.
    Counted,
}

impl Basis {
    /// Whether there is one number of each side, so that no chance and no interval is to be spoken of.
    pub fn is_by_value(self) -> bool {
        match self {
            Self::Value | Self::Counted => true,
            Self::Launches | Self::Iterations => false,
        }
    }
}

/// What a number's outcome means for the whole verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforce {
    /// A regression fails; undecided is inconclusive.
    Strict,
    /// A regression fails; undecided passes.
    Alarm,
    /// Never fails.
    Show,
}

/// How the gate judges a number where no `gate.toml` says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judged {
    /// By a rule.
    By {
        /// What its outcome means for the whole.
        enforce: Enforce,
        /// The largest change for the worse that passes: a share, or in the number's unit where its scale is absolute.
        max_change: f64,
        /// Changes smaller than this, in the number's unit, pass whatever their share.
        floor: f64,
        /// Why these numbers.
        reason: &'static str,
    },
    /// Not at all.
    Not {
        /// Why not, and what is judged in its place.
        why: &'static str,
    },
}

/// Whether a number is followed from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// As a series of each cell.
    As {
        /// What the ids of its series are made from. Never change it: every series would begin anew.
        id: &'static str,
        /// The version of the store since which it is followed: a store of an older version takes its points anew.
        since: i64,
        /// What stands beside each point.
        detail: Detail,
    },
    /// Not.
    Not {
        /// Why not.
        why: &'static str,
    },
}

/// What a point of a series says of itself besides its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Nothing,
    /// Its interval, what that is of, and how many launches were steady.
    Interval,
    /// Where memory was measured: not all points of a series need be alike.
    Source,
    /// Which cell was the reference: likewise.
    Reference,
}

/// Where people see a number. Files have them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A column of the main tables: terminal, Markdown, page.
    Main,
    /// With all others, below: Markdown, page.
    More,
    /// Where pictures of many prompts were judged, in a table of their own.
    Pictures,
    /// In verdicts only: no cell has it.
    Verdicts,
}

/// Where a number stands in the CSV of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Csv {
    /// In a column of its name.
    Column(
        /// Its place among all columns, ascending. Columns are only ever added at the end.
        u16,
    ),
    /// In three, the second and third with the ends of its interval: `…_low`, `…_high`.
    Bounded(
        /// As above.
        u16,
    ),
    /// In a column of its name, where some row has it: what few runs measure leaves the files of all others as they were.
    WhereKnown(
        /// As above, behind all that are always there.
        u16,
    ),
    /// In none: no cell has it.
    Not,
}
