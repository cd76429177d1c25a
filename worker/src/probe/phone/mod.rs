//! What a phone says of itself: properties, clusters, heat, battery, memory. Pure functions from text to values.
//!
//! Contract: the same parsers read what `adb shell` prints (before anything of ours is on the phone) and what our own
//! program reads there. Vendors' formats differ and text may be cut off anywhere: whatever is not understood is missing,
//! and nothing panics.

pub mod battery;
pub mod clusters;
pub mod cores;
pub mod cpufreq;
pub mod files;
#[cfg(test)]
mod fixtures;
pub mod gpu;
pub mod props;
pub mod readings;
pub mod sources;
pub mod thermal;

pub use clusters::Cluster;
pub use files::Files;
pub use props::Identity;
pub use sources::Sources;
