//! How a number is taken: from an image, a launch, a cell, a run; and what is found.

use serde::Serialize;

use crate::estimate::Estimate;
use crate::pictures::JudgedRow;
use crate::record::{Bounded, Cell, Counted, Launch, Reading, Role, Run, Sample};

/// How a number is taken, and so what its samples are.
#[derive(Clone, Copy)]
pub enum Taken {
    /// A number of each launch.
    Launch(fn(&Launch) -> Reading<f64>),
    /// A number of each launch, for which the cell's stages are needed.
    LaunchOf(fn(&Cell, &Launch) -> Reading<f64>),
    /// A number of each timed image; a launch has the median of its images'.
    Image(fn(&Sample) -> f64),
    /// The seconds of each timed image in all stages of a role; a launch has the median of its images'.
    Stage(Role),
    /// A number of each step of each timed image in the stages of a role. A launch has for each step the median over its images,
    /// and for all steps together the median of those.
    Steps(Role),
    /// A number of each launch of a sustained run: whether it is one, the run says.
    Sustained(fn(&Run, &Launch) -> Reading<f64>),
    /// One number of the cell.
    Cell(fn(&Cell) -> Reading<Figure>),
    /// One number of the image that was counted in a simulator, where one was.
    Counted(fn(&Cell, &Counted) -> Reading<Figure>),
    /// One number of the cell, for which the run's models and peaks are needed.
    Run(fn(&Run, &Cell) -> Reading<Figure>),
    /// One number of the pictures of many prompts.
    Pictures(fn(&JudgedRow) -> Reading<Figure>),
    /// The time of an iteration of a criterion benchmark: not of a cell.
    Benchmark,
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Launch(_) => "Launch",
            Self::LaunchOf(_) => "LaunchOf",
            Self::Image(_) => "Image",
            Self::Stage(_) => "Stage",
            Self::Steps(_) => "Steps",
            Self::Sustained(_) => "Sustained",
            Self::Cell(_) => "Cell",
            Self::Counted(_) => "Counted",
            Self::Run(_) => "Run",
            Self::Pictures(_) => "Pictures",
            Self::Benchmark => "Benchmark",
        })
    }
}

/// A value, and the interval in which it lies where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Lower end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

impl From<f64> for Figure {
    fn from(value: f64) -> Self {
        Self { value, low: None, high: None }
    }
}

impl From<Bounded> for Figure {
    fn from(Bounded { value, low, high }: Bounded) -> Self {
        Self { value, low: Some(low), high: Some(high) }
    }
}

impl From<&Estimate> for Figure {
    fn from(estimate: &Estimate) -> Self {
        Self { value: estimate.p50, low: estimate.low, high: estimate.high }
    }
}
