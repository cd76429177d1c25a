//! The stages of a cell: which there are, what each is for, and how long each took for an image.
//!
//! Contract: what a model has not is not there: no stage of that role, and never a time of zero. Ids are the workload's;
//! columns and numbers go by role, whatever the workload.

use serde::{Deserialize, Serialize};

/// What a stage is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Before the steps: text to embeddings.
    Encoder,
    /// Runs in every step.
    Denoiser,
    /// After the steps: latent to image.
    Decoder,
    /// Anything else, such as a single graph of a user's own.
    Other,
}

impl Role {
    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "text encoder",
            Self::Denoiser => "denoiser",
            Self::Decoder => "decoder",
            Self::Other => "other stage",
        }
    }
}

/// One stage of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CellStage {
    /// Its name in samples, counts and placement: `text_encoder`, `denoiser`, `denoiser_256`.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// Passes that one image takes.
    pub passes: u32,
}

/// How long a stage took for one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageSeconds {
    /// Its id.
    pub stage: String,
    /// Seconds, one entry for each step; for a stage that is no part of the steps, one in all.
    pub seconds: Vec<f64>,
}
