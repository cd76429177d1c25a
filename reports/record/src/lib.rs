//! The schema of a run: what `record.json` holds, documented field by field in `docs/FORMAT.md`.
//!
//! Contract: plain types only (strings, numbers, lists), so that a record read from disk is all that a report needs. What
//! could not be known is a [`Reading`] or an `Option` with its reason beside it, never zero. Units are in the names:
//! `_s` seconds, `_bytes` bytes, `_db` decibels. Additions within a schema version are optional fields with a default;
//! anything else raises [`SCHEMA_VERSION`].

mod cell;
mod company;
pub mod conditions;
pub mod counts;
pub mod cpus;
pub mod csv;
mod device;
pub mod disturbed;
mod file;
mod foreign;
pub mod held;
mod home;
mod inert;
mod judged;
mod key;
mod launch;
mod load;
mod machine;
mod model;
mod naming;
mod quality;
mod reading;
mod run;
mod stage;
mod status;
pub mod store;
pub mod v1;
mod warning;

use serde::{Deserialize, Serialize};

pub use cell::{Cell, PlacementShare, ProfileRow, StagePlacement, Version, WeightsUse};
pub use company::Company;
pub use conditions::Condition;
pub use counts::{Count, Counted, Counter, Counters, FunctionCount, StageCounts};
pub use device::Device;
pub use file::open_regular;
pub use foreign::ForeignLoad;
pub use home::Home;
pub use inert::{inert, one_line};
pub use judged::{Bounded, Difference, Judged, Judging, PromptFidelity, SeriesInputs};
pub use key::CellKey;
pub use launch::{
    ClockOffset, CpusUsed, Launch, MemoryMark, MemoryPass, Sample, StageCompile, Steady, SteadyState, Telemetry,
};
pub use load::{RecordError, parse};
pub use machine::{Calibration, Cluster, HotThreshold, Machine, Peak, PhoneFacts};
pub use model::{FormulaCounts, ModelEntry, PaperCounts, PaperTime, Stage, WeightFile};
pub use naming::{SAMPLER, TEXT_TOKENS};
pub use quality::{ImageQuality, Quality, StepDivergence};
pub use run::{Build, Git, Inputs, Run, RunInfo};
pub use stage::{CellStage, Role, StageSeconds};
pub use status::Status;
pub use warning::{Kept, Kind, Warning};

/// The version of the schema that this program writes, and the newest that it reads. Version 1 is read too.
pub const SCHEMA_VERSION: u32 = 2;

/// A value that may not be there to read, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// The value.
    Ok(T),
    /// It exists, but this process may not read it.
    Denied {
        /// Who refused, and what would allow it.
        why: String,
    },
    /// It does not exist here, or was not measured.
    Absent {
        /// Why not.
        why: String,
    },
}

impl<T> Reading<T> {
    /// Not there, because.
    pub fn absent(why: impl Into<String>) -> Self {
        Self::Absent { why: why.into() }
    }

    /// There, but not for us, because.
    pub fn denied(why: impl Into<String>) -> Self {
        Self::Denied { why: why.into() }
    }

    /// The value, or `Absent` with this reason.
    pub fn or_absent(value: Option<T>, why: impl Into<String>) -> Self {
        value.map_or_else(|| Self::absent(why), Self::Ok)
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Ok(value) => Some(value),
            Self::Denied { .. } | Self::Absent { .. } => None,
        }
    }

    /// Something made of the value; without one, the same reason.
    pub fn map<U>(&self, make: impl FnOnce(&T) -> U) -> Reading<U> {
        self.and_then(|value| Reading::Ok(make(value)))
    }

    /// Something that may be missing itself, made of the value; without one, the same reason.
    pub fn and_then<U>(&self, make: impl FnOnce(&T) -> Reading<U>) -> Reading<U> {
        match self {
            Self::Ok(value) => make(value),
            Self::Denied { why } => Reading::Denied { why: why.clone() },
            Self::Absent { why } => Reading::Absent { why: why.clone() },
        }
    }

    /// Why there is no value; `None` if there is one.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Ok(_) => None,
            Self::Denied { why } | Self::Absent { why } => Some(why),
        }
    }
}

/// Absent: "not recorded". What an older record of the same schema version lacks reads as this.
impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self::absent("not recorded")
    }
}
