//! How cells and launches end.

use serde::{Deserialize, Serialize};

/// How a cell or a launch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did all that was asked.
    Ok,
    /// The backend or the worker failed.
    Error,
    /// It was killed for want of memory, or refused memory.
    Oom,
    /// It took longer than allowed.
    Timeout,
    /// The backend cannot do this here.
    Unsupported,
    /// The run was stopped, or has not come to it.
    #[default]
    Interrupted,
}

impl Status {
    /// The word that records and tables use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Unsupported => "unsupported",
            Self::Interrupted => "interrupted",
        }
    }
}
