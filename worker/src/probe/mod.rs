//! What a machine says of itself: processor, memory, sensors, the build that runs on it.
//!
//! Contract: every source is asked; what does not answer is `Denied` or `Absent` with a reason, never zero.

pub mod build;
pub mod machine;
pub mod memory;
pub mod phone;
pub mod sensors;
