//! A run: what was asked, by which program, of which machine, and what came out.

use serde::{Deserialize, Serialize};

use super::{Cell, CellKey, Judging, Machine, ModelEntry, Reading, SCHEMA_VERSION, Warning};

/// One run of a plan on one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// What was asked, and by which program.
    pub run: RunInfo,
    /// The machine that it ran on.
    pub machine: Machine,
    /// The models that cells refer to by [`ModelEntry::name`] and size.
    #[serde(default)]
    pub models: Vec<ModelEntry>,
    /// The prompts, tokens and noise that cells were fed.
    #[serde(default)]
    pub inputs: Vec<Inputs>,
    /// By what pictures of many prompts were judged, where that was asked for: such a run times nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judging: Option<Judging>,
    /// One row each, in the order in which they were first started. Failed cells are rows too.
    #[serde(default)]
    pub cells: Vec<Cell>,
    /// What the reader should know of the run as a whole.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

impl Run {
    /// An empty run of the current schema version.
    pub fn new(run: RunInfo, machine: Machine) -> Self {
        Self { schema_version: SCHEMA_VERSION, run, machine, ..Self::default() }
    }

    /// Whether launches went on hot or not because that was what was measured.
    pub fn is_sustained(&self) -> bool {
        // Records of older programs say it of phones only.
        self.run.sustained_s.is_some() || self.machine.phone.as_ref().is_some_and(|phone| phone.sustained)
    }

    /// The cell of that key.
    pub fn cell(&self, key: &CellKey) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.key == *key)
    }

    /// Puts a cell in the place of the one with the same key, or at the end.
    pub fn put_cell(&mut self, cell: Cell) {
        match self.cells.iter_mut().find(|old| old.key == cell.key) {
            Some(old) => *old = cell,
            None => self.cells.push(cell),
        }
    }

    /// A cell's noise levels; in older records the run's, where it has as many steps.
    pub fn sigmas<'a>(&'a self, cell: &'a Cell) -> &'a [f64] {
        let run = &self.run.sigmas;
        match cell.sigmas.as_slice() {
            [] if run.len() == cell.key.steps as usize + 1 => run,
            own => own,
        }
    }

    /// The model entry that a cell ran: same model, size and text length.
    pub fn model(&self, key: &CellKey) -> Option<&ModelEntry> {
        self.models.iter().find(|entry| entry.is_of(key))
    }
}

/// What was asked, and by which program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Unique name of the run, also the default name of its directory: `20261123T161500Z-5f3a`.
    pub id: String,
    /// When it began, RFC 3339 in UTC.
    pub created: String,
    /// When it ended; `None` while it runs and after an interruption.
    #[serde(default)]
    pub finished: Option<String>,
    /// How often it was resumed.
    #[serde(default)]
    pub resumed: u32,
    /// Version of ditbench.
    pub tool_version: String,
    /// The source revision that the program was built from.
    #[serde(default)]
    pub git: Reading<Git>,
    /// How the program was built.
    #[serde(default)]
    pub build: Build,
    /// The command line as given, program first.
    #[serde(default)]
    pub command_line: Vec<String>,
    /// The machine that was asked for, as the plan names it: `local`, `adb:SERIAL`. `None` where none was named, and in older
    /// records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The plan after defaults were filled in.
    #[serde(default)]
    pub plan: serde_json::Value,
    /// The prompt of every image.
    pub prompt: String,
    /// Seed of the noise.
    pub seed: u64,
    /// Seed of the weights, where those of some model are random.
    #[serde(default)]
    pub weights_seed: Option<u64>,
    /// Denoiser steps of each image; 0 where cells differ (their keys say how many).
    pub steps: u32,
    /// Rule by which a step updates the latent, as in a cell's key; empty where cells differ or have none.
    #[serde(default)]
    pub sampler: String,
    /// Noise levels, `steps + 1` of them, 1 to 0; empty where cells differ ([`crate::Cell::sigmas`]).
    #[serde(default)]
    pub sigmas: Vec<f64>,
    /// Seconds for which each launch went on, hot or not, where that is what was measured.
    #[serde(default)]
    pub sustained_s: Option<f64>,
    /// Whether sensors were read while workers were at work, and not only before and after; `None` in older records.
    #[serde(default)]
    pub telemetry: Option<bool>,
}

/// A source revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit, 40 hex digits.
    pub revision: String,
    /// Whether the tree had changes that no commit holds.
    pub dirty: bool,
}

/// How the program was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// `rustc --version`.
    #[serde(default)]
    pub rustc: String,
    /// Target triple.
    #[serde(default)]
    pub target: String,
    /// `release`, `debug`.
    #[serde(default)]
    pub profile: String,
    /// Compiler flags beyond the profile's: `-C target-cpu=native`.
    #[serde(default)]
    pub flags: String,
    /// CPU features that the compiler was allowed to use everywhere.
    #[serde(default)]
    pub target_features: Vec<String>,
}

/// What cells of one size were fed: made once, by the host, and shared by every backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// [`CellKey::name`], empty in records of older programs.
    #[serde(default)]
    pub model: String,
    /// Denoiser steps, 0 in records of older programs.
    #[serde(default)]
    pub steps: u32,
    /// Sampler as in a cell's key, empty where there is none and in records of older programs.
    #[serde(default)]
    pub sampler: String,
    /// Image height in pixels.
    pub height: u32,
    /// Image width in pixels.
    pub width: u32,
    /// Images made at once.
    pub batch: u32,
    /// Text tokens that the denoiser attends to; `None` where the model reads no text.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::reading::not_zero")]
    pub text_tokens: Option<u32>,
    /// SHA-256 of the noise as little-endian f32.
    pub noise_sha256: String,
    /// SHA-256 of the token ids as little-endian i64.
    #[serde(default)]
    pub tokens_sha256: String,
    /// SHA-256 over everything that a session is fed.
    #[serde(default)]
    pub inputs_sha256: String,
}
