//! The papers' ladders and families of models as ratios: here, and as the paper has them on its own hardware.
//!
//! Contract: rungs are held against each other where everything but the rung is the same, on one machine. Times are of one pass of the
//! denoiser. A ratio carries over from machine to machine better than seconds do, and no further: the paper's is of other hardware.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gather::{Measured, Timed};
use super::papers::{FAMILIES, LADDERS, PaperLadder, PaperStep};
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
    /// Ratio of times; `None` where the paper does not say, as with what follows.
    pub time: Option<f64>,
    /// Ratio of parameters.
    pub parameters: Option<f64>,
    /// Ratio of operations.
    pub operations: Option<f64>,
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

/// The ladders among the cells of one machine.
pub(super) fn of(machine: &str, cells: &[&Measured], published: &[Published]) -> Vec<Ladder> {
    let mut found: Vec<Ladder> = LADDERS.iter().flat_map(|ladder| on_axis(ladder, machine, cells)).collect();
    for family in &FAMILIES {
        let mut settings: BTreeMap<CellKey, Vec<Here>> = BTreeMap::new();
        for model in family.models {
            // As the paper has it: not another rung, width or layout.
            for cell in cells.iter().filter(|cell| cell.cell.key.model == *model && cell.cell.key.name() == *model) {
                settings.entry(cell.cell.key.without_model()).or_default().extend(Here::of(model, cell));
            }
        }
        found.extend(settings.into_values().filter(|rungs| rungs.len() > 1).map(|rungs| {
            let first = &rungs[0];
            let rung = |here: &Here| {
                let base = (here.name != first.name).then_some(first);
                here.rung(first, base, base.map(|base| in_print(here, base, published)).unwrap_or_default())
            };
            let known = rungs.iter().filter_map(|here| here.entry?.paper.as_ref());
            let source = known.map(|paper| paper.source.split(": ").next().unwrap_or_default().to_owned()).next();
            Ladder {
                title: family.title.to_owned(),
                machine: machine.to_owned(),
                setting: setting(first.cell, None),
                source,
                rungs: rungs.iter().filter_map(rung).collect(),
            }
        }));
    }
    found
}

/// The rungs of one ladder, for each setting that has several.
fn on_axis(ladder: &PaperLadder, machine: &str, cells: &[&Measured]) -> Vec<Ladder> {
    let mut settings: BTreeMap<CellKey, Vec<(usize, Here)>> = BTreeMap::new();
    for cell in cells {
        let mut rest = cell.cell.key.clone();
        let own = rest.own.remove(ladder.axis);
        let name = own.as_deref().or(ladder.rungs.last().copied()).unwrap_or_default();
        let Some(place) = ladder.rungs.iter().position(|rung| *rung == name) else { continue };
        settings.entry(rest).or_default().extend(Here::of(name, cell).map(|here| (place, here)));
    }
    // A model without a value is the last rung of a ladder only where another rung was measured.
    settings.retain(|_, rungs| rungs.len() > 1);
    let of = |mut rungs: Vec<(usize, Here)>| {
        rungs.sort_by_key(|(place, _)| *place);
        let rungs: Vec<Here> = rungs.into_iter().map(|(_, here)| here).collect();
        let rung = |(place, here): (usize, &Here)| {
            let own =
                ladder.base_of(&here.name).and_then(|name| rungs[..place].iter().find(|other| other.name == name));
            let base = own.or_else(|| rungs.get(place.checked_sub(1)?));
            here.rung(&rungs[0], base, base.map(|base| steps(ladder, &here.name, &base.name)).unwrap_or_default())
        };
        Ladder {
            title: ladder.title.to_owned(),
            machine: machine.to_owned(),
            setting: setting(rungs[0].cell, Some(ladder.axis)),
            source: Some(ladder.source.to_owned()),
            rungs: rungs.iter().enumerate().filter_map(rung).collect(),
        }
    };
    settings.into_values().map(of).collect()
}

fn steps(ladder: &PaperLadder, rung: &str, against: &str) -> Vec<PaperRatio> {
    let printed = |of: fn(&PaperStep) -> Option<f64>| ladder.printed(rung, against, of);
    vec![PaperRatio {
        hardware: ladder.hardware.to_owned(),
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
fn setting(cell: &Measured, axis: Option<&str>) -> String {
    let mut key = cell.cell.key.clone();
    let label = table::label(cell.run, &key);
    match axis {
        Some(axis) => drop(key.own.remove(axis)),
        None => {
            let words = table::workload(&key);
            let words = words.split_once(", ").map_or(words.as_str(), |(_, rest)| rest);
            return format!("{words} · {label}");
        }
    }
    format!("{} · {label}", table::workload(&key))
}
