//! CSV: the table; a run's samples are [`ditbench_record::csv`]'s.
//!
//! Contract: one header line, RFC 4180 quoting, decimal points, empty where there is no value; a text is one line without
//! control characters. Columns are only ever added at the end.

use std::io::{self, Write};

use ditbench_record::csv::{KEY_COLUMNS, key_values};
use ditbench_record::{Bounded, Reading};

use crate::judged::JudgedRow;
use crate::table::Table;
use crate::text::one_line;

/// The columns of a row whose pictures were judged.
fn judged_values(row: &JudgedRow) -> Vec<String> {
    let figure = |figure: Option<&Bounded>| -> [String; 3] {
        figure.map(|f| [f.value, f.low, f.high].map(|v| v.to_string())).unwrap_or_default()
    };
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let fidelity = row.fidelity.value();
    let figures = [Some(&row.retrieval_at_1), Some(&row.retrieval_at_5), row.kernel_distance_x1000.value()];
    let mut values: Vec<String> = figures.into_iter().flat_map(figure).collect();
    values.extend([
        number(row.psnr_to_data_db),
        number(fidelity.and_then(|f| f.psnr_db)),
        number(fidelity.and_then(|f| f.ssim)),
        number(fidelity.and_then(|f| f.latent_relative_l2)),
        fidelity.map(|f| f.identical.to_string()).unwrap_or_default(),
    ]);
    values
}

/// The table, one line for each cell, then the paper's rows for the models that are in it, with `published` as their run
/// and status. Seconds, bytes, 10⁹ FLOPs a second.
///
/// # Errors
/// Whatever `out` fails with.
pub fn write_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let columns = [
        "status",
        "reason",
        "numerics",
        "p50_s",
        "low_s",
        "high_s",
        "interval",
        "launches",
        "images",
        "p90_s",
        "p99_s",
        "first_image_s",
        "compile_s",
        "text_encoder_s",
        "step_s",
        "decoder_s",
        "peak_bytes",
        "weights_disk_bytes",
        "weights_resident_bytes",
        "gflops",
        "peak_share",
        "reference",
        "latent_relative_l2",
        "image_relative_l2",
        "psnr_db",
        "ssim",
        "ssimulacra2",
        "cautions",
        "placement_share",
        "retrieval_at_1",
        "retrieval_at_1_low",
        "retrieval_at_1_high",
        "retrieval_at_5",
        "retrieval_at_5_low",
        "retrieval_at_5_high",
        "kernel_distance_x1000",
        "kernel_distance_x1000_low",
        "kernel_distance_x1000_high",
        "psnr_to_data_db",
        "prompts_psnr_db",
        "prompts_ssim",
        "prompts_latent_relative_l2",
        "prompts_identical",
        "cpus",
        "machine",
        "conditions",
    ];
    writer.write_record(["run"].iter().chain(&KEY_COLUMNS).chain(&columns))?;
    for row in &table.rows {
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let whole = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        let estimate = row.image_s.value();
        let cautions: Vec<String> = row.cautions.iter().map(crate::caution::Caution::short).collect();
        let values = [
            row.status.name().to_owned(),
            row.reason.as_deref().map(one_line).unwrap_or_default(),
            row.numerics.value().map(|name| one_line(name)).unwrap_or_default(),
            number(row.p50_s()),
            number(estimate.and_then(|e| e.low)),
            number(estimate.and_then(|e| e.high)),
            estimate.map(|e| one_line(&e.interval)).unwrap_or_default(),
            whole(estimate.map(|e| e.launches as u64)),
            whole(estimate.map(|e| e.images as u64)),
            number(row.p90_s.value().copied()),
            number(row.p99_s.value().copied()),
            number(row.first_image_s),
            number(row.compile_s),
            number(row.text_encoder_s),
            number(row.step_s()),
            number(row.decoder_s),
            whole(row.peak_bytes),
            whole(row.weights_disk_bytes),
            whole(row.weights_resident_bytes),
            number(row.gflops),
            number(row.peak_share),
            match &row.reference {
                Reading::Ok(reference) => one_line(reference),
                Reading::Denied { why } | Reading::Absent { why } => one_line(&format!("none: {why}")),
            },
            number(row.latent_relative_l2),
            number(row.image_relative_l2),
            number(row.psnr_db),
            number(row.ssim),
            number(row.ssimulacra2),
            one_line(&cautions.join("; ")),
            number(row.placement_share),
        ];
        let judged = row.judged.as_ref().map_or_else(|| vec![String::new(); 14], judged_values);
        let more = [&row.key.cpus, &row.machine, &row.conditions].map(|words| one_line(words));
        let run = std::iter::once(one_line(&row.run));
        writer.write_record(run.chain(key_values(&row.key)).chain(values).chain(judged).chain(more))?;
    }
    for paper in table.published.iter().filter(|paper| table.rows.iter().any(|row| row.key.model == paper.model)) {
        // By name, because most columns stay empty.
        let value = |column: &str| match column {
            "run" | "status" => "published".to_owned(),
            "reason" => format!("other hardware: {}", paper.source),
            "model" => paper.model.to_owned(),
            "height" | "width" => paper.size.to_string(),
            "backend" => paper.runtime.to_owned(),
            "device" | "machine" => paper.hardware.to_owned(),
            "precision" => paper.precision.unwrap_or_default().to_owned(),
            "steps" => paper.steps.to_string(),
            "p50_s" => paper.image_s.to_string(),
            "step_s" => paper.step_s.to_string(),
            "decoder_s" => paper.decoder_s.to_string(),
            _ => String::new(),
        };
        writer.write_record(["run"].iter().chain(&KEY_COLUMNS).chain(&columns).map(|column| value(column)))?;
    }
    writer.flush()
}
