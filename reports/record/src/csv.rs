//! Every sample of a run, as CSV.
//!
//! Contract: one header line, RFC 4180 quoting, decimal points, empty where there is no value; a text is one line without
//! control characters. Columns are only ever added at the end.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::key::is_alone;
use crate::{Cell, CellKey, Role, Run, SAMPLER, Sample, TEXT_TOKENS, one_line};

/// The columns that name a cell: what every workload has, and what the first one had.
pub const KEY_COLUMNS: [&str; 13] = [
    "model",
    "height",
    "width",
    "backend",
    "variant",
    "device",
    "precision",
    "threads",
    "batch",
    "steps",
    "text_tokens",
    "memory_mode",
    "sampler",
];

/// A column that names a cell too, and that stands behind all others where some cell has a value in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MoreColumn<'a> {
    /// Threads that are kept busy beside it.
    Company,
    /// An axis that only some workloads have.
    Own(&'a str),
}

impl MoreColumn<'_> {
    /// Its name: `company`, `own_width`.
    pub fn name(self) -> String {
        match self {
            Self::Company => "company".to_owned(),
            Self::Own(axis) => format!("own_{}", one_line(axis)),
        }
    }

    /// The value of a cell in it; nothing where it has none.
    pub fn of(self, key: &CellKey) -> String {
        match self {
            Self::Company => key.company.to_string(),
            Self::Own(axis) => own_value(key, axis),
        }
    }
}

/// The columns beyond [`KEY_COLUMNS`] in which some of these cells have a value.
pub fn more_columns<'a>(keys: impl Iterator<Item = &'a CellKey> + Clone) -> Vec<MoreColumn<'a>> {
    let company = keys.clone().any(|key| !is_alone(&key.company)).then_some(MoreColumn::Company);
    let axes: BTreeSet<&str> = keys.flat_map(|key| key.own.keys()).map(String::as_str).collect();
    let others = axes.into_iter().filter(|axis| ![TEXT_TOKENS, SAMPLER].contains(axis));
    company.into_iter().chain(others.map(MoreColumn::Own)).collect()
}

fn own_value(key: &CellKey, axis: &str) -> String {
    key.own(axis).map(one_line).unwrap_or_default()
}

/// The values of [`KEY_COLUMNS`].
pub fn key_values(key: &CellKey) -> [String; 13] {
    [
        one_line(&key.name()),
        key.height.to_string(),
        key.width.to_string(),
        one_line(&key.backend),
        one_line(&key.variant),
        one_line(&key.device),
        one_line(&key.precision),
        key.threads.to_string(),
        key.batch.to_string(),
        key.steps.to_string(),
        own_value(key, TEXT_TOKENS),
        one_line(&key.memory),
        own_value(key, SAMPLER),
    ]
}

/// The seconds of an image in the stages of a role, one after another; nothing where the cell has none.
fn of_role(cell: &Cell, sample: &Sample, role: Role) -> String {
    separated(&sample.by_role(&cell.stages, role))
}

fn separated(seconds: &[f64]) -> String {
    seconds.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// The stages of a run that have no column of their role alone: several of one role, and those of none.
fn shared_columns(run: &Run) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for cell in &run.cells {
        let alone = |role| role != Role::Other && cell.stages.iter().filter(|stage| stage.role == role).count() == 1;
        for stage in cell.stages.iter().filter(|stage| !alone(stage.role)) {
            if !found.contains(&stage.id.as_str()) {
                found.push(&stage.id);
            }
        }
    }
    found
}

/// Every image of every launch, one line each. Denoiser steps share a column, separated by spaces, so that runs of
/// different step counts have the same columns. Where a cell has several stages of a role, each has a column of its own at the
/// end besides; so has what else names some cell ([`more_columns`]).
///
/// # Errors
/// Whatever `out` fails with.
pub fn write_samples(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let columns = [
        "launch",
        "order",
        "pid",
        "image",
        "timed",
        "total_s",
        "text_encoder_s",
        "steps_s",
        "decoder_s",
        "harness_s",
        "steady",
        "removed",
        "cpus",
    ];
    let shared = shared_columns(run);
    let more = more_columns(run.cells.iter().map(|cell| &cell.key));
    let own = shared.iter().map(|stage| format!("{}_s", one_line(stage)));
    let own = own.chain(more.iter().map(|column| column.name()));
    let names = ["run"].iter().chain(&KEY_COLUMNS).chain(&columns).map(|name| (*name).to_owned());
    writer.write_record(names.chain(own))?;
    for cell in &run.cells {
        for launch in &cell.launches {
            let timed: Vec<u32> = launch.timed().iter().map(|sample| sample.image).collect();
            for sample in &launch.samples {
                writer.write_field(one_line(&run.run.id))?;
                for value in key_values(&cell.key) {
                    writer.write_field(value)?;
                }
                let own = shared.iter().map(|stage| separated(sample.of(stage)));
                let own = own.chain(more.iter().map(|column| column.of(&cell.key)));
                let values = [
                    launch.index.to_string(),
                    launch.order.to_string(),
                    launch.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                    sample.image.to_string(),
                    timed.contains(&sample.image).to_string(),
                    sample.total_s.to_string(),
                    of_role(cell, sample, Role::Encoder),
                    of_role(cell, sample, Role::Denoiser),
                    of_role(cell, sample, Role::Decoder),
                    sample.harness_s.to_string(),
                    launch.steady.state.name().to_owned(),
                    sample.removed.as_deref().map(one_line).unwrap_or_default(),
                    one_line(&cell.key.cpus),
                ];
                writer.write_record(values.into_iter().chain(own))?;
            }
        }
    }
    writer.flush()
}
