//! The headline: in plain words, which cell is fastest at which quality, which is smallest, what failed.

use std::collections::BTreeMap;

use crate::record::Status;
use crate::table::{Row, Table, groups};
use crate::text;

/// Latents nearer than this to the reference's (relative L2) count as the same result: f32 rounding over four steps.
pub const SAME: f64 = 1e-3;

/// What there is to say about one workload, or about failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The workload; empty for what concerns all.
    pub about: String,
    /// Sentences.
    pub says: String,
}

/// A point for each workload in the order of the table, then one about what failed.
pub fn of_table(table: &Table) -> Vec<Point> {
    let mut points: Vec<Point> =
        groups(table).into_iter().map(|(about, rows)| Point { says: of_workload(&rows), about }).collect();
    let failed: Vec<&Row> = table.rows.iter().filter(|row| row.status != Status::Ok).collect();
    if !failed.is_empty() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in &failed {
            *counts.entry(row.status.name()).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
        let says = format!(
            "{} of {} cells gave no result ({}); each is a row below with its reason.",
            failed.len(),
            table.rows.len(),
            text::list(&counts)
        );
        points.push(Point { about: String::new(), says });
    }
    points
}

/// Fastest; fastest with the reference's result; smallest. Rows are sorted by time.
fn of_workload(rows: &[&Row]) -> String {
    let timed: Vec<&&Row> = rows.iter().filter(|row| row.status == Status::Ok && row.p50_s().is_some()).collect();
    let Some(fastest) = timed.first() else {
        return "no cell has a time beyond its first image.".into();
    };
    let time = |row: &Row| row.p50_s().map(text::seconds).unwrap_or_default();
    let mut sentences = Vec::new();
    match timed.get(1) {
        None => sentences.push(format!("{} takes {} an image{}.", fastest.label(), time(fastest), quality(fastest))),
        // Without an interval nothing separates two cells.
        Some(next) if interval(fastest).zip(interval(next)).is_none_or(|(a, b)| a.1 >= b.0) => sentences.push(format!(
            "{} and {} are the fastest, at {} and {} an image; their intervals do not separate them{}.",
            fastest.label(),
            next.label(),
            time(fastest),
            time(next),
            quality(fastest)
        )),
        Some(_) => sentences.push(format!(
            "{} is the fastest, {} an image{}.",
            fastest.label(),
            time(fastest),
            quality(fastest)
        )),
    }
    let same = |row: &Row| row.is_reference() || row.latent_relative_l2.is_some_and(|distance| distance <= SAME);
    if let Some(row) = timed.iter().find(|row| same(row)).filter(|_| timed.len() > 1 && !same(fastest)) {
        let ratio = row.p50_s().zip(fastest.p50_s()).map(|(a, b)| text::significant(a / b, 3)).unwrap_or_default();
        sentences.push(format!(
            "With the reference's own result (latent within {}), the fastest is {}: {} an image, {ratio} times as long.",
            text::scientific(SAME),
            row.label(),
            time(row)
        ));
    }
    let smallest = timed.iter().filter(|row| row.peak_bytes.is_some()).min_by_key(|row| row.peak_bytes);
    if let Some(row) = smallest.filter(|_| timed.len() > 1) {
        let peak = row.peak_bytes.map(text::bytes).unwrap_or_default();
        let time = if row.key == fastest.key { String::new() } else { format!(", {} an image", time(row)) };
        sentences.push(format!("The smallest in memory is {}: {peak} at its peak{time}.", row.label()));
    }
    sentences.join(" ")
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
