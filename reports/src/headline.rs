//! The headline: in plain words, which cell is fastest at which quality, which is smallest, what failed.

use std::collections::BTreeMap;

use crate::record::Status;
use crate::table::{Row, Table, workload};
use crate::text;

/// Latents nearer than this to the reference's (relative L2) count as the same result: f32 rounding over four steps.
pub const SAME: f64 = 1e-3;

/// A sentence each: about each workload in turn, then about what failed.
pub fn of_table(table: &Table) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in &table.rows {
        groups.entry(workload(&row.key)).or_default().push(row);
    }
    let mut sentences: Vec<String> = groups.iter().flat_map(|(name, rows)| of_workload(name, rows)).collect();
    let failed: Vec<&Row> = table.rows.iter().filter(|row| row.status != Status::Ok).collect();
    if !failed.is_empty() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &failed {
            *counts.entry(row.status.name()).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        sentences.push(format!(
            "{} of {} cells gave no result ({}); each is a row below with its reason.",
            failed.len(),
            table.rows.len(),
            text::list(&counts)
        ));
    }
    sentences
}

fn of_workload(name: &str, rows: &[&Row]) -> Vec<String> {
    let mut timed: Vec<&&Row> = rows.iter().filter(|row| row.status == Status::Ok && row.p50_s().is_some()).collect();
    timed.sort_by(|a, b| a.p50_s().unwrap_or(f64::INFINITY).total_cmp(&b.p50_s().unwrap_or(f64::INFINITY)));
    let Some(fastest) = timed.first() else {
        return vec![format!("{name}: no cell has a steady time.")];
    };
    let time = |row: &Row| row.p50_s().map(text::seconds).unwrap_or_default();
    let mut sentences = Vec::new();
    if timed.len() == 1 {
        sentences.push(format!("{name}: {} takes {} an image{}.", fastest.label(), time(fastest), quality(fastest)));
    } else {
        let next = timed[1];
        let overlap = interval(fastest).zip(interval(next)).is_none_or(|(a, b)| a.1 >= b.0);
        sentences.push(if overlap {
            format!(
                "{name}: {} and {} are the fastest, at {} and {} an image; their intervals do not separate them{}.",
                fastest.label(),
                next.label(),
                time(fastest),
                time(next),
                quality(fastest)
            )
        } else {
            format!("{name}: {} is the fastest, {} an image{}.", fastest.label(), time(fastest), quality(fastest))
        });
    }
    let same = |row: &Row| row.is_reference() || row.latent_relative_l2.is_some_and(|distance| distance <= SAME);
    if let Some(row) = timed.iter().find(|row| same(row)).filter(|_| timed.len() > 1 && !same(fastest)) {
        let ratio = row.p50_s().zip(fastest.p50_s()).map(|(a, b)| text::significant(a / b, 3)).unwrap_or_default();
        sentences.push(format!(
            "With the reference's result (latent within {}), the fastest is {}: {} an image, {ratio} times as long.",
            text::scientific(SAME),
            row.label(),
            time(row)
        ));
    }
    let smallest = timed.iter().filter(|row| row.peak_bytes.is_some()).min_by_key(|row| row.peak_bytes);
    if let Some(row) = smallest.filter(|_| timed.len() > 1) {
        let peak = row.peak_bytes.map(text::bytes).unwrap_or_default();
        sentences.push(if row.key == fastest.key {
            format!("It is also the smallest in memory: {peak} at its peak.")
        } else {
            format!("The smallest in memory is {}: {peak} at its peak, {} an image.", row.label(), time(row))
        });
    }
    sentences
}

fn interval(row: &Row) -> Option<(f64, f64)> {
    let estimate = row.image_s.value()?;
    estimate.low.zip(estimate.high)
}

/// `, with an image that …`: how near to the reference, in words.
fn quality(row: &Row) -> String {
    if row.is_reference() {
        return ", and it is the reference for quality".into();
    }
    let latent = row.latent_relative_l2.map(|distance| format!("latent off by {}", text::scientific(distance)));
    let score = row.ssimulacra2.map(|score| format!("SSIMULACRA2 {}", text::significant(score, 3)));
    match (latent, score) {
        (None, None) => ", its quality not measured".into(),
        (latent, score) => {
            let known: Vec<String> = latent.into_iter().chain(score).collect();
            format!(" ({} against the reference)", known.join(", "))
        }
    }
}
