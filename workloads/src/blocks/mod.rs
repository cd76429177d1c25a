//! Parts that several workloads are built from.

pub(crate) mod clip;
pub(crate) mod patch;
pub(crate) mod taesd;
pub(crate) mod time;
pub(crate) mod tokenizer;
