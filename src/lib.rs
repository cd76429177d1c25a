//! The harness: from a plan to a record, on this machine or on a phone, and the command line on top.
//!
//! From the ground up: [`plan`] says what to run; [`host`] is where it runs; [`run`] makes launches, fills the record and
//! prints; [`ab`] plays two builds against each other; [`cli`] turns words into calls of these. The measured process itself
//! is `ditbench-worker`.

pub mod ab;
pub mod cli;
pub mod environment;
pub mod host;
pub mod naming;
pub mod paths;
pub mod plan;
pub mod provider;
pub mod run;
pub mod text;
