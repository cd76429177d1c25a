//! The numbers of launches and cells.
//!
//! Contract: the launch is the sample. What is timed in images gives one number for each launch, the median over its timed
//! images; a cell's number is the median of its launches'. A verdict judges the launches' numbers and a table shows the
//! cell's, so both say the same. What is not there is absent with its reason, and never zero.

use serde::Serialize;
use serde::ser::SerializeMap;

use super::taken::{Figure, Taken};
use super::{ALL, Metric};
use crate::estimate::{self, NO_LAUNCH, NO_STEADY_IMAGE};
use crate::pictures::JudgedRow;
use crate::record::{Cell, Counted, Judged, Launch, Reading, Role, Run, Sample};
use crate::stats::{self, median};
use crate::withheld;

/// The number of one of the launches of a run's cell; `None` if it has none, or the number is not of launches.
pub fn of_launch(metric: Metric, run: &Run, cell: &Cell, launch: &Launch) -> Option<f64> {
    let of_images =
        |of: &dyn Fn(&Sample) -> Option<f64>| median(&launch.timed().into_iter().filter_map(of).collect::<Vec<_>>());
    match metric.definition().taken {
        Taken::Launch(of) => of(launch).value().copied(),
        Taken::Sustained(of) => of(run, launch).value().copied(),
        Taken::LaunchOf(of) => of(cell, launch).value().copied(),
        Taken::Image(of) => of_images(&|image| Some(of(image))),
        Taken::Stage(role) => of_images(&|image| cell.seconds(image, role)),
        Taken::Steps(role) => {
            let images: Vec<Vec<f64>> =
                launch.timed().into_iter().map(|image| image.by_role(&cell.stages, role)).collect();
            match metric.of_step() {
                Some(step) => stats::step_of(&images, step as usize),
                None => median(&stats::steps_of(&images)),
            }
        }
        Taken::Cell(_) | Taken::Counted(_) | Taken::Run(_) | Taken::Pictures(_) | Taken::Benchmark => None,
    }
}

/// The cell's number that takes no run to know; `None` if it has none, or the number is of launches.
pub fn of_cell(metric: Metric, cell: &Cell) -> Option<f64> {
    match metric.definition().taken {
        Taken::Cell(of) => of(cell).value().map(|figure| figure.value),
        Taken::Counted(of) => counted(of, cell).value().map(|figure| figure.value),
        Taken::Pictures(of) => of(&JudgedRow::of(cell.judged.as_ref()?)).value().map(|figure| figure.value),
        Taken::Launch(_)
        | Taken::LaunchOf(_)
        | Taken::Image(_)
        | Taken::Stage(_)
        | Taken::Steps(_)
        | Taken::Sustained(_)
        | Taken::Run(_)
        | Taken::Benchmark => None,
    }
}

/// The cell's number, whatever it is taken from.
pub fn of(metric: Metric, run: &Run, cell: &Cell) -> Reading<Figure> {
    figure(metric, run, cell)
}

fn figure(metric: Metric, run: &Run, cell: &Cell) -> Reading<Figure> {
    if let Some(why) = withheld::why(metric, cell) {
        return Reading::absent(why);
    }
    match metric.definition().taken {
        Taken::Image(of) => estimate::of(cell.good_launches(), |image| Some(of(image))).map(|estimate| estimate.into()),
        Taken::Stage(role) | Taken::Steps(role) if lacks(cell, role) => {
            Reading::absent(format!("this model has no {}", role.name()))
        }
        Taken::Stage(role) => {
            estimate::of(cell.good_launches(), |image| cell.seconds(image, role)).map(|estimate| estimate.into())
        }
        Taken::Launch(of) => over_launches(metric, run, cell, |launch| of(launch).why().map(str::to_owned)),
        Taken::Sustained(of) => over_launches(metric, run, cell, |launch| of(run, launch).why().map(str::to_owned)),
        Taken::LaunchOf(of) => over_launches(metric, run, cell, |launch| of(cell, launch).why().map(str::to_owned)),
        Taken::Steps(_) => over_launches(metric, run, cell, |_| Some(NO_STEADY_IMAGE.to_owned())),
        Taken::Counted(of) => counted(of, cell),
        Taken::Cell(of) => of(cell),
        Taken::Run(of) => of(run, cell),
        Taken::Pictures(of) => match &cell.judged {
            Some(judged) => of(&JudgedRow::of(judged)),
            None => Reading::absent("no pictures of many prompts were judged (`run --quality full`)"),
        },
        Taken::Benchmark => Reading::absent("criterion's benchmarks have it, cells do not"),
    }
}

fn counted(of: fn(&Cell, &Counted) -> Reading<Figure>, cell: &Cell) -> Reading<Figure> {
    match &cell.counted {
        Some(counted) => counted.and_then(|counted| of(cell, counted)),
        None => Reading::absent("nothing was counted in a simulator (`ab --count`)"),
    }
}

/// Whether it is known what stages a cell has, and none is of that role.
fn lacks(cell: &Cell, role: Role) -> bool {
    !cell.stages.is_empty() && !cell.has_role(role)
}

/// The median over launches; the first launch's reason where none has it.
fn over_launches(metric: Metric, run: &Run, cell: &Cell, why: impl Fn(&Launch) -> Option<String>) -> Reading<Figure> {
    let values: Vec<f64> = cell.good_launches().filter_map(|launch| of_launch(metric, run, cell, launch)).collect();
    match median(&values) {
        Some(value) => Reading::Ok(value.into()),
        None => Reading::absent(cell.good_launches().next().and_then(why).unwrap_or_else(|| NO_LAUNCH.to_owned())),
    }
}

/// Every number of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures(Vec<Reading<Figure>>);

impl Figures {
    /// Takes them.
    pub fn of(run: &Run, cell: &Cell) -> Self {
        Self(Metric::all().map(|metric| figure(metric, run, cell)).collect())
    }

    /// Those of pictures that no cell made: of the data, of random weights.
    pub fn of_pictures(judged: &Judged) -> Self {
        let cell = Cell { judged: Some(judged.clone()), ..Cell::default() };
        Self::of(&Run::default(), &cell)
    }

    /// One of them.
    pub fn get(&self, metric: Metric) -> &Reading<Figure> {
        &self.0[metric.place()]
    }

    /// Its value; of identical pictures a PSNR is infinite.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.get(metric).value().map(|figure| figure.value)
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self(vec![Reading::default(); ALL.len()])
    }
}

/// By name, each a reading. What is not finite (the PSNR of identical pictures) is `null`.
impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for metric in Metric::all() {
            map.serialize_entry(metric.definition().name, self.get(metric))?;
        }
        map.end()
    }
}
