//! Where the time of an image goes: median seconds by stage.
//!
//! Contract: a stage that a cell has not is not there. Each stage's median is its own, so their sum is near the median of whole
//! images and not equal to it.

use serde::Serialize;

use crate::record::{Cell, Role, Sample};
use crate::stats;

/// Median seconds by stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StageTimes {
    /// Stages in the order in which an image passes through them.
    pub stages: Vec<StageTime>,
    /// The rest's: sampler arithmetic, copies.
    pub rest_s: f64,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageTime {
    /// Its id.
    pub stage: String,
    /// What it is for.
    pub role: Role,
    /// Median seconds, one entry for each step; for a stage that is no part of the steps, one in all.
    pub seconds: Vec<f64>,
}

impl StageTimes {
    /// Over launches, of each of which these images count. `None` without images, or where no stage of them is known.
    pub fn of(cell: &Cell, launches: &[Vec<&Sample>]) -> Option<Self> {
        let stage = |stage: &crate::record::CellStage| {
            let seconds = over_launches(launches, |image| image.of(&stage.id).to_vec());
            (!seconds.is_empty()).then(|| StageTime { stage: stage.id.clone(), role: stage.role, seconds })
        };
        let stages: Vec<StageTime> = cell.stages.iter().filter_map(stage).collect();
        let rest_s = *over_launches(launches, |image| vec![image.harness_s.max(0.0)]).first()?;
        (!stages.is_empty()).then_some(Self { stages, rest_s })
    }

    /// All stages together.
    pub fn total_s(&self) -> f64 {
        self.stages.iter().flat_map(|stage| &stage.seconds).sum::<f64>() + self.rest_s
    }

    /// Seconds in the stages of a role, step by step.
    pub fn by_role(&self, role: Role) -> Vec<f64> {
        self.stages.iter().filter(|stage| stage.role == role).flat_map(|stage| stage.seconds.clone()).collect()
    }

    /// The same together; `None` if there is no such stage.
    pub fn seconds(&self, role: Role) -> Option<f64> {
        let seconds = self.by_role(role);
        (!seconds.is_empty()).then(|| seconds.iter().sum())
    }

    /// Whether stages share a role, so that columns by role do not tell them apart.
    pub fn share_a_role(&self) -> bool {
        let alike = |role| self.stages.iter().filter(|stage| stage.role == role).count() > 1;
        self.stages.iter().any(|stage| stage.role == Role::Other || alike(stage.role))
    }
}

/// The median over launches of the median over their images, step by step.
fn over_launches(launches: &[Vec<&Sample>], seconds: impl Fn(&Sample) -> Vec<f64>) -> Vec<f64> {
    let of_launch =
        |images: &Vec<&Sample>| stats::steps_of(&images.iter().map(|image| seconds(image)).collect::<Vec<_>>());
    let known: Vec<Vec<f64>> = launches.iter().map(of_launch).filter(|steps| !steps.is_empty()).collect();
    stats::steps_of(&known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CellStage, StageSeconds};

    #[test]
    fn medians_are_of_each_stage_and_stages_that_never_ran_are_not_there() {
        let image = |a: f64, b: f64| Sample {
            stages: vec![
                StageSeconds { stage: "a".into(), seconds: vec![a, 2.0 * a] },
                StageSeconds { stage: "b".into(), seconds: vec![b] },
            ],
            harness_s: 0.5,
            ..Sample::default()
        };
        let stage = |id: &str, role| CellStage { id: id.into(), role, passes: 1 };
        let cell = Cell {
            stages: vec![stage("a", Role::Denoiser), stage("b", Role::Denoiser), stage("never", Role::Decoder)],
            ..Cell::default()
        };
        let images = [image(1.0, 5.0), image(3.0, 4.0), image(2.0, 9.0)];
        let times = StageTimes::of(&cell, &[images.iter().collect(), vec![]]).unwrap();
        assert_eq!(times.by_role(Role::Denoiser), [2.0, 4.0, 5.0]);
        assert_eq!((times.seconds(Role::Denoiser), times.seconds(Role::Decoder)), (Some(11.0), None));
        assert_eq!((times.stages.len(), times.total_s(), times.share_a_role()), (2, 11.5, true));
        assert_eq!(StageTimes::of(&cell, &[vec![]]), None);
        assert_eq!(StageTimes::of(&Cell::default(), &[images.iter().collect()]), None);
    }
}
