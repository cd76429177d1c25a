//! The few statistics that a table needs, by their short names; they live in [`crate::stats`].

pub use crate::stats::outliers::tukey_outliers;
pub use crate::stats::{median, median_interval};
