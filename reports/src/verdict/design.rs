//! How launches of two sides belong together.

use serde::{Deserialize, Serialize};

/// How launches of both sides belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// They do not: records of different times.
    #[default]
    Independent,
    /// Launches of the same index, in records at the same place of their sides, were made next to each other (A B B A): the
    /// machine's drift falls out of their difference. Launches without a partner are left out.
    Paired,
}
