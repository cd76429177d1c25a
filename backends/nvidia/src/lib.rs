//! NVIDIA's GPUs, as their driver tells of them: looked at before anything that would fail without it, by every backend that can use one.
//!
//! Contract: nothing of CUDA beyond the driver is needed, and nothing is put on a GPU. A driver that is missing, broken or too old is a
//! reason in words, never a panic.

mod cuda;
mod driver;

pub use cuda::facts;
pub use driver::{Driver, Gpu, present, read};
