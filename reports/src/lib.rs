//! What comes out of a run: statistics, verdicts, history and reports, made from records alone (`ditbench-record`).
//!
//! Contract: this crate knows no backend and no model. A record read from disk is all that it needs.

pub mod advice;
pub mod caution;
pub mod company;
pub mod csv;
mod device_memory;
pub mod energy;
pub mod estimate;
pub mod first_pass;
pub mod headline;
pub mod history;
pub mod html;
pub mod judged;
pub mod markdown;
pub mod merge;
pub mod metric;
pub mod pictures;
pub mod plots;
pub mod profile;
pub mod published;
pub mod quality;
pub mod report;
pub mod roof;
pub mod sample;
pub mod sample_judged;
pub mod sample_phone;
pub mod scale;
pub mod stages;
pub mod stats;
pub mod sustained;
pub mod table;
pub mod text;
pub mod tolerance;
pub mod urgent;
pub mod verdict;
pub mod whose;
pub mod withheld;

use ditbench_record as record;
pub use image;
