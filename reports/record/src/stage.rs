//! The stages of a cell: which there are, what each is for, and how long each took for an image.
//!
//! Contract: what a model has not is not there: no stage of that role, and never a time of zero. Ids are the workload's;
//! columns and numbers go by role, whatever the workload.

use serde::{Deserialize, Serialize};

use super::{Cell, Sample};

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

impl Sample {
    /// Seconds of a stage, one entry for each step; none if it did not run.
    pub fn of(&self, stage: &str) -> &[f64] {
        self.stages.iter().find(|known| known.stage == stage).map_or(&[], |known| &known.seconds)
    }

    /// Seconds of all stages together.
    pub fn in_stages_s(&self) -> f64 {
        self.stages.iter().flat_map(|stage| &stage.seconds).sum()
    }

    /// Seconds of everything that these stages have of a role, in their order, step by step.
    pub fn by_role(&self, stages: &[CellStage], role: Role) -> Vec<f64> {
        let of_role = stages.iter().filter(|stage| stage.role == role);
        of_role.flat_map(|stage| self.of(&stage.id)).copied().collect()
    }
}

impl Cell {
    /// What a stage is for; `None` for one that the cell does not name.
    pub fn role_of(&self, stage: &str) -> Option<Role> {
        self.stages.iter().find(|known| known.id == stage).map(|known| known.role)
    }

    /// Passes of a stage in one image.
    pub fn passes_of(&self, stage: &str) -> f64 {
        self.stages.iter().find(|known| known.id == stage).map_or(1.0, |known| f64::from(known.passes))
    }

    /// Whether it has a stage of that role.
    pub fn has_role(&self, role: Role) -> bool {
        self.stages.iter().any(|stage| stage.role == role)
    }

    /// Seconds of an image in the stages of a role; `None` if none of them ran.
    pub fn seconds(&self, sample: &Sample, role: Role) -> Option<f64> {
        let seconds = sample.by_role(&self.stages, role);
        (!seconds.is_empty()).then(|| seconds.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(id: &str, role: Role, passes: u32) -> CellStage {
        CellStage { id: id.into(), role, passes }
    }

    #[test]
    fn stages_of_one_role_come_together_and_what_is_not_there_is_not_zero() {
        let cell = Cell {
            stages: vec![
                stage("denoiser_64", Role::Denoiser, 4),
                stage("denoiser_256", Role::Denoiser, 2),
                stage("decoder", Role::Decoder, 1),
            ],
            ..Cell::default()
        };
        let took = |stage: &str, seconds: &[f64]| StageSeconds { stage: stage.into(), seconds: seconds.to_vec() };
        let sample = Sample {
            stages: vec![
                took("denoiser_64", &[1.0, 2.0]),
                took("denoiser_256", &[4.0]),
                took("decoder", &[8.0]),
                took("of_nobody", &[16.0]),
            ],
            ..Sample::default()
        };
        assert_eq!(sample.by_role(&cell.stages, Role::Denoiser), [1.0, 2.0, 4.0]);
        assert_eq!(
            (cell.seconds(&sample, Role::Denoiser), cell.seconds(&sample, Role::Decoder)),
            (Some(7.0), Some(8.0))
        );
        assert_eq!((cell.seconds(&sample, Role::Encoder), cell.has_role(Role::Encoder)), (None, false));
        assert_eq!((cell.passes_of("denoiser_64"), cell.role_of("denoiser_256")), (4.0, Some(Role::Denoiser)));
        assert_eq!((sample.in_stages_s(), cell.role_of("of_nobody")), (31.0, None));
    }
}
