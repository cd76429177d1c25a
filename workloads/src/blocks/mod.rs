//! Parts that several workloads are built from.

pub(crate) mod class;
pub(crate) mod clip;
pub(crate) mod enlarge;
pub(crate) mod flow;
pub(crate) mod patch;
pub(crate) mod pixart;
pub(crate) mod schedule;
pub(crate) mod taesd;
pub(crate) mod time;
#[cfg(test)]
pub(crate) mod to_zero;
pub(crate) mod tokenizer;
