//! Every sample of a run, as CSV.
//!
//! Contract: one header line, RFC 4180 quoting, decimal points, empty where there is no value; a text is one line without
//! control characters. Columns are only ever added at the end.

use std::io::{self, Write};

use crate::{CellKey, Run, one_line};

/// The columns that name a cell.
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

/// The values of [`KEY_COLUMNS`].
pub fn key_values(key: &CellKey) -> [String; 13] {
    [
        one_line(&key.model),
        key.height.to_string(),
        key.width.to_string(),
        one_line(&key.backend),
        one_line(&key.variant),
        one_line(&key.device),
        one_line(&key.precision),
        key.threads.to_string(),
        key.batch.to_string(),
        key.steps.to_string(),
        key.text_tokens.to_string(),
        one_line(&key.memory),
        one_line(&key.sampler),
    ]
}

/// Every image of every launch, one line each. Denoiser steps share a column, separated by spaces, so that runs of
/// different step counts have the same columns.
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
    writer.write_record(["run"].iter().chain(&KEY_COLUMNS).chain(&columns))?;
    for cell in &run.cells {
        for launch in &cell.launches {
            let timed: Vec<u32> = launch.timed().iter().map(|sample| sample.image).collect();
            for sample in &launch.samples {
                writer.write_field(one_line(&run.run.id))?;
                for value in key_values(&cell.key) {
                    writer.write_field(value)?;
                }
                let steps: Vec<String> = sample.steps_s.iter().map(f64::to_string).collect();
                writer.write_record([
                    launch.index.to_string(),
                    launch.order.to_string(),
                    launch.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                    sample.image.to_string(),
                    timed.contains(&sample.image).to_string(),
                    sample.total_s.to_string(),
                    sample.text_encoder_s.to_string(),
                    steps.join(" "),
                    sample.decoder_s.to_string(),
                    sample.harness_s.to_string(),
                    launch.steady.state.name().to_owned(),
                    sample.removed.as_deref().map(one_line).unwrap_or_default(),
                    one_line(&cell.key.cpus),
                ])?;
            }
        }
    }
    writer.flush()
}
