//! What comes out of a run: the record and its store, statistics, and reports made from records alone.
//!
//! Contract: this crate knows no backend and no model. A record read from disk is all that it needs.

pub mod csv;
pub mod quality;
pub mod record;
pub mod sample;
pub mod store;

pub use image;
