//! The papers' ladders and families of models as ratios: here, and as the paper has them on its own hardware.
//!
//! Contract: rungs are held against each other where everything but the rung is the same, on one machine. Times are of one pass of the
//! denoiser. A ratio carries over from machine to machine better than seconds do, and no further: the paper's is of other hardware, and of
//! the size that stands beside it. A user's own model is on no ladder, whatever it is called.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gather::{Measured, Timed};
use super::papers::{FAMILIES, Family, LADDERS, PaperLadder, PaperStep};
use super::ratio::{Ratio, ratio};
use crate::published::Published;
use crate::record::{CellKey, ModelEntry, Role, Stage};
use crate::stats::median;
use crate::table;

/// Rungs beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ladder {
    /// `SnapGen's ladder`.
    pub title: String,
    /// The machine.
    pub machine: String,
    /// What they share: `snapgen-imagenet, 256×256, …`, and what runs them.
    pub setting: String,
    /// Where the paper's ratios are from.
    pub source: Option<String>,
    /// The rungs measured here, the first the one that others are held against.
    pub rungs: Vec<Rung>,
}

/// A rung.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// Its name.
    pub rung: String,
    /// Seconds of one pass of the denoiser: the median over launches.
    pub seconds: f64,
    /// As a ratio to the first rung; `None` for the first.
    pub to_first: Option<Ratio>,
    /// The rung that it is a step from; `None` for the first.
    pub against: Option<String>,
    /// Its time as a ratio to that rung's.
    pub time: Option<Ratio>,
    /// Its parameters, likewise.
    pub parameters: Option<f64>,
    /// Its operations, likewise.
    pub operations: Option<f64>,
    /// What the paper has for the same step, on each hardware.
    pub paper: Vec<PaperRatio>,
}

/// What a paper has for a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaperRatio {
    /// What was timed on.
    pub hardware: String,
    /// Height and width of the images in pixels: at another size the ratio is another.
    pub size: u32,
    /// Ratio of times; `None` where the paper does not say, as with what follows.
    pub time: Option<f64>,
    /// Ratio of parameters.
    pub parameters: Option<f64>,
    /// Ratio of operations.
    pub operations: Option<f64>,
}

impl PaperRatio {
    /// What was timed on, and at which size: `iPhone 15 Pro, 1024×1024`.
    pub fn setting(&self) -> String {
        format!("{}, {size}×{size}", self.hardware, size = self.size)
    }
}

/// A measured rung.
struct Here<'a> {
    name: String,
    cell: &'a Measured<'a>,
    seconds: Vec<f64>,
    stage: Option<&'a Stage>,
    entry: Option<&'a ModelEntry>,
}

impl<'a> Here<'a> {
    fn of(name: &str, cell: &'a Measured<'a>) -> Option<Self> {
        let id = &cell.cell.stages.iter().find(|stage| stage.role == Role::Denoiser)?.id;
        let seconds = cell.seconds(&Timed::Stage(id.clone()));
        let entry = cell.run.model(&cell.cell.key);
        let stage = entry.and_then(|model| model.stage(id));
        (!seconds.is_empty()).then(|| Self { name: name.to_owned(), cell, seconds, stage, entry })
    }

    fn counted(&self, base: &Self, of: fn(&Stage) -> u64) -> Option<f64> {
        let (own, other) = (of(self.stage?), of(base.stage?));
        (other > 0).then(|| own as f64 / other as f64)
    }

    fn rung(&self, first: &Self, base: Option<&Self>, paper: Vec<PaperRatio>) -> Option<Rung> {
        Some(Rung {
            rung: self.name.clone(),
            seconds: median(&self.seconds)?,
            to_first: base.and_then(|_| ratio(&first.seconds, &self.seconds)),
            against: base.map(|base| base.name.clone()),
            time: base.and_then(|base| ratio(&base.seconds, &self.seconds)),
            parameters: base.and_then(|base| self.counted(base, |stage| stage.parameters)),
            operations: base.and_then(|base| self.counted(base, |stage| stage.flops)),
            paper,
        })
    }
}

/// What rungs of a ladder share, and the place of a cell's own; `None` for a cell that is on none of them.
fn on_ladder(ladder: &PaperLadder, key: &CellKey) -> Option<(CellKey, usize)> {
    let mut shared = key.clone();
    let own = shared.own.remove(ladder.axis);
    // A model without a value is the last rung.
    let name = own.as_deref().or(ladder.rungs.last().copied())?;
    Some((shared, ladder.rungs.iter().position(|rung| *rung == name)?))
}

/// The same of a family: its models as the paper has them, of no other rung, width or layout.
fn in_family(family: &Family, key: &CellKey) -> Option<(CellKey, usize)> {
    let place = family.models.iter().position(|model| key.model == *model && key.name() == *model)?;
    Some((key.without_model(), place))
}

/// Every ladder and family that a cell is a rung of: its title, what its rungs share, and the place of the cell's own.
pub(super) fn settings(key: &CellKey) -> Vec<(&'static str, CellKey, usize)> {
    let on = |ladder: &PaperLadder| on_ladder(ladder, key).map(|(shared, place)| (ladder.title, shared, place));
    let of = |family: &Family| in_family(family, key).map(|(shared, place)| (family.title, shared, place));
    LADDERS.iter().filter_map(on).chain(FAMILIES.iter().filter_map(of)).collect()
}

/// The ladders among the cells of one machine.
pub(super) fn of(machine: &str, cells: &[&Measured], published: &[Published]) -> Vec<Ladder> {
    let mut found = Vec::new();
    for ladder in &LADDERS {
        for (shared, rungs) in measured(cells, ladder.rungs, |key| on_ladder(ladder, key)) {
            let rung = |(place, here): (usize, &Here)| {
                let own =
                    ladder.base_of(&here.name).and_then(|name| rungs[..place].iter().find(|other| other.name == name));
                let base = own.or_else(|| rungs.get(place.checked_sub(1)?));
                here.rung(&rungs[0], base, base.map(|base| steps(ladder, &here.name, &base.name)).unwrap_or_default())
            };
            found.push(Ladder {
                title: ladder.title.to_owned(),
                machine: machine.to_owned(),
                setting: setting(&rungs[0], &shared),
                source: Some(ladder.source.to_owned()),
                rungs: rungs.iter().enumerate().filter_map(rung).collect(),
            });
        }
    }
    for family in &FAMILIES {
        for (shared, rungs) in measured(cells, family.models, |key| in_family(family, key)) {
            let first = &rungs[0];
            let rung = |here: &Here| {
                let base = (here.name != first.name).then_some(first);
                here.rung(first, base, base.map(|base| in_print(here, base, published)).unwrap_or_default())
            };
            let known = rungs.iter().filter_map(|here| here.entry?.paper.as_ref());
            let source = known.map(|paper| paper.source.split(": ").next().unwrap_or_default().to_owned()).next();
            found.push(Ladder {
                title: family.title.to_owned(),
                machine: machine.to_owned(),
                setting: setting(first, &shared),
                source,
                rungs: rungs.iter().filter_map(rung).collect(),
            });
        }
    }
    found
}

/// The measured rungs in their order, for each setting that has several.
fn measured<'a>(
    cells: &[&'a Measured<'a>],
    names: &[&str],
    place: impl Fn(&CellKey) -> Option<(CellKey, usize)>,
) -> Vec<(CellKey, Vec<Here<'a>>)> {
    let mut settings: BTreeMap<CellKey, Vec<(usize, Here)>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| !cell.is_own()) {
        let Some((shared, place)) = place(&cell.cell.key) else { continue };
        settings.entry(shared).or_default().extend(Here::of(names[place], cell).map(|here| (place, here)));
    }
    settings.retain(|_, rungs| rungs.len() > 1);
    let in_order = |(shared, mut rungs): (CellKey, Vec<(usize, Here<'a>)>)| {
        rungs.sort_by_key(|(place, _)| *place);
        (shared, rungs.into_iter().map(|(_, here)| here).collect())
    };
    settings.into_iter().map(in_order).collect()
}

fn steps(ladder: &PaperLadder, rung: &str, against: &str) -> Vec<PaperRatio> {
    let printed = |of: fn(&PaperStep) -> Option<f64>| ladder.printed(rung, against, of);
    vec![PaperRatio {
        hardware: ladder.hardware.to_owned(),
        size: ladder.size,
        time: printed(|step| step.time),
        parameters: printed(|step| step.parameters),
        operations: printed(|step| step.operations),
    }]
}

/// What papers have for two models, on each hardware that both were timed on.
fn in_print(here: &Here, base: &Here, published: &[Published]) -> Vec<PaperRatio> {
    let counted = |of: fn(&ModelEntry) -> Option<u64>| {
        let (own, other) = (of(here.entry?)?, of(base.entry?)?);
        (other > 0).then(|| own as f64 / other as f64)
    };
    let parameters = counted(|model| model.paper.as_ref()?.parameters);
    let operations = counted(|model| model.paper.as_ref()?.macs);
    let row = |(own, other): (&Published, &Published)| PaperRatio {
        hardware: own.hardware.clone(),
        size: own.size,
        time: Some(own.step_s / other.step_s),
        parameters,
        operations,
    };
    let alike = |own: &Published, other: &Published| {
        (&own.source, &own.hardware, own.size) == (&other.source, &other.hardware, other.size)
    };
    let rows = published.iter().filter(|row| row.model == here.name);
    rows.filter_map(|own| {
        let other = published.iter().find(|other| other.model == base.name && alike(own, other))?;
        Some(row((own, other)))
    })
    .collect()
}

/// What the rungs share.
fn setting(first: &Here, shared: &CellKey) -> String {
    let (workload, label) = table::setting(first.cell.run, shared);
    format!("{workload} · {label}")
}
