//! What the first pass of each stage took beyond a steady pass of the same stage: where a runtime puts compiling of shaders and
//! kernels off until then, that is what it takes, with cold caches on top.
//!
//! Contract: a stage's first pass in a launch's first image, less the median of the same pass over its timed images. It is a difference
//! of two measured times: where there is nothing to compile it is near zero, and may be below it. What a runtime compiles while it loads
//! is no part of it.

use serde::Serialize;

use crate::record::{Cell, Launch, Reading};
use crate::stats;

/// One stage's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstPass {
    /// The stage's id.
    pub stage: String,
    /// Seconds beyond a steady pass.
    pub over_steady_s: f64,
}

/// Of one launch, in the order in which its stages first ran.
pub fn of_launch(launch: &Launch) -> Reading<Vec<FirstPass>> {
    let Some(first) = launch.first().filter(|image| image.removed.is_none()) else {
        return Reading::absent("the launch's first image is not recorded");
    };
    let timed = launch.timed();
    let of_stage = |stage: &crate::record::StageSeconds| {
        let steady: Vec<f64> = timed.iter().filter_map(|image| image.of(&stage.stage).first().copied()).collect();
        let over_steady_s = stage.seconds.first()? - stats::median(&steady)?;
        Some(FirstPass { stage: stage.stage.clone(), over_steady_s })
    };
    let stages: Option<Vec<FirstPass>> = first.stages.iter().map(of_stage).collect();
    Reading::or_absent(
        stages.filter(|stages| !stages.is_empty()),
        "no later image to hold the first against; allow more --images or a larger --budget",
    )
}

/// Of one launch, all stages together.
pub fn together(launch: &Launch) -> Reading<f64> {
    of_launch(launch).map(|stages| stages.iter().map(|stage| stage.over_steady_s).sum())
}

/// Of a cell: by stage, the median over its launches. Empty where no launch has any.
pub fn of_cell(cell: &Cell) -> Vec<FirstPass> {
    let launches: Vec<Vec<FirstPass>> =
        cell.good_launches().filter_map(|launch| of_launch(launch).value().cloned()).collect();
    let stages = launches.first().into_iter().flatten().map(|stage| stage.stage.clone());
    let of_stage = |stage: String| {
        let found = launches.iter().flatten().filter(|one| one.stage == stage);
        let over_steady_s = stats::median(&found.map(|one| one.over_steady_s).collect::<Vec<_>>())?;
        Some(FirstPass { stage, over_steady_s })
    };
    stages.filter_map(of_stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Sample, StageSeconds, Status};

    /// A launch whose denoiser takes two passes.
    fn launch(images: &[[f64; 3]]) -> Launch {
        let image = |(image, [encoder, first, second]): (u32, &[f64; 3])| {
            let stage = |stage: &str, seconds: &[f64]| StageSeconds { stage: stage.into(), seconds: seconds.to_vec() };
            let stages = vec![stage("encoder", &[*encoder]), stage("denoiser", &[*first, *second])];
            Sample { image, total_s: encoder + first + second, stages, ..Sample::default() }
        };
        Launch { status: Status::Ok, samples: (0..).zip(images).map(image).collect(), ..Launch::default() }
    }

    #[test]
    fn a_first_pass_is_held_against_the_same_pass_of_later_images() {
        // The second pass of the first image is slow as well, and is not counted: nothing is compiled then.
        let one = launch(&[[0.5, 9.0, 4.0], [0.1, 2.0, 1.0], [0.3, 1.0, 1.0], [0.2, 3.0, 1.0]]);
        let stages = of_launch(&one);
        let found: Vec<(&str, f64)> =
            stages.value().unwrap().iter().map(|one| (one.stage.as_str(), one.over_steady_s)).collect();
        assert_eq!(found, [("encoder", 0.3), ("denoiser", 7.0)]);
        assert!((together(&one).value().unwrap() - 7.3).abs() < 1e-12);
        let other = launch(&[[0.2, 2.0, 1.0], [0.3, 1.0, 1.0]]);
        let cell = Cell { status: Status::Ok, launches: vec![one, other], ..Cell::default() };
        let seconds: Vec<f64> = of_cell(&cell).iter().map(|one| one.over_steady_s).collect();
        assert!((seconds[0] - 0.1).abs() < 1e-12 && (seconds[1] - 4.0).abs() < 1e-12, "{seconds:?}");
    }

    #[test]
    fn where_there_is_one_image_nothing_is_known() {
        let why = together(&launch(&[[0.5, 9.0, 4.0]]));
        assert!(why.why().unwrap().contains("--images"), "{why:?}");
        assert!(together(&launch(&[])).why().unwrap().contains("not recorded"));
        assert!(of_cell(&Cell::default()).is_empty());
    }
}
