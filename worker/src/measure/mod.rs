//! Measuring the machine: its peaks, the precision reached so far, and the fixed piece of work that tells whether the machine itself slowed down.

pub mod calibrate;
pub mod counters;
pub mod peaks;
pub mod pin;
pub mod precision;
pub mod valgrind;
