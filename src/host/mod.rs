//! Where a worker runs.

pub mod local;
