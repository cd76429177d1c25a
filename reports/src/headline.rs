//! The headline: in plain words, which cell is fastest at which quality, which is smallest, what failed.

use std::collections::BTreeMap;

use crate::estimate::Spread;
use crate::metric::Metric;
use crate::record::Status;
use crate::table::{Row, Table, groups};
use crate::{company, judged, text};

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
    let mut points: Vec<Point> = Vec::new();
    for (about, rows) in groups(table) {
        // A run that judged pictures timed nothing: there is no fastest of it.
        let timed = rows.iter().copied().filter(|row| row.judged.is_none());
        let timed: Vec<&Row> = timed.filter(|row| !of_judged_run(table, row)).collect();
        if !timed.is_empty() {
            let shows_speed = timed.iter().all(|row| row.shows_speed());
            let says = if shows_speed { of_workload(&timed) } else { of_unreal(&timed) };
            points.push(Point { says, about });
        }
    }
    points.extend(company::sentences(table).into_iter().map(|(about, says)| Point { about, says }));
    points.extend(of_pictures(table));
    let failed: Vec<&Row> = table.rows.iter().filter(|row| !row.has_figures()).collect();
    let broken = table.rows.iter().filter(|row| row.has_figures() && row.status != Status::Ok).count();
    if broken > 0 {
        let says = format!(
            "In {broken} of {} cells a later launch failed; their figures come from the launches that succeeded.",
            table.rows.len()
        );
        points.push(Point { about: String::new(), says });
    }
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

/// Whether the row, perhaps a failed one, is of a run that judged pictures.
fn of_judged_run(table: &Table, row: &Row) -> bool {
    table.rows.iter().any(|other| other.run == row.run && other.judged.is_some())
}

/// The cells whose pictures show best what was asked for, and those that do so worst.
fn of_pictures(table: &Table) -> Option<Point> {
    let mut judged: Vec<(&Row, f64)> =
        table.rows.iter().filter_map(|row| Some((row, row.judged.as_ref()?.retrieval_at_1.value))).collect();
    judged.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (best, worst) = (judged.first()?, judged.last()?);
    let said = |(row, found): &(&Row, f64)| {
        format!("{} ({} {}) at {found:.3}", judged::what(&row.key), row.key.backend, row.key.variant)
    };
    let says = if best.1 == worst.1 {
        format!("retrieval@1 is the same for all cells: {:.3}.", best.1)
    } else {
        format!("retrieval@1 is best for {} and worst for {}.", said(best), said(worst))
    };
    Some(Point { about: "Pictures judged".to_owned(), says })
}

/// Of a simulator, or of a driver in software: where nodes ran and what came out.
fn of_unreal(rows: &[&Row]) -> String {
    let whole = |row: &&&Row| row.value(Metric::PLACEMENT) == Some(1.0);
    let good: Vec<&&Row> = rows.iter().filter(|row| row.has_figures()).collect();
    let placed = good.iter().copied().filter(whole).count();
    let nature = rows.iter().find_map(|row| row.device.as_ref()).map_or("", |device| device.nature.as_str());
    let what = if nature == "simulator" { "a simulator" } else { "a driver in software" };
    let mut says = format!(
        "This is {what}, which shows where nodes run and what comes out, and no speed. In {placed} of {} cells every node ran on the device.",
        rows.len()
    );
    let distances = good.iter().filter_map(|row| row.value(Metric::LATENT));
    if let Some(farthest) = distances.reduce(f64::max) {
        says += &format!(" Latents are off by up to {} against the reference.", Metric::LATENT.show(farthest));
    }
    says
}

/// Of sustained cells, which were measured from a cool machine to a settled one, apart from others: a settled time and that of a
/// short launch are not of the same thing. Rows are sorted by rank.
fn of_workload(rows: &[&Row]) -> String {
    let (settled, short): (Vec<&Row>, Vec<&Row>) = rows.iter().copied().partition(|row| row.is_sustained());
    if settled.is_empty() || !short.iter().any(|row| row.best_s().is_some()) {
        return of_alike(rows);
    }
    format!("{} In short launches: {}", of_alike(&settled), of_alike(&short))
}

/// Fastest; fastest with the reference's result; smallest.
fn of_alike(rows: &[&Row]) -> String {
    let (wrong, rows): (Vec<&Row>, Vec<&Row>) = rows.iter().copied().partition(|row| row.is_wrong());
    let says = of_right(&rows);
    if wrong.is_empty() {
        return says;
    }
    let labels: Vec<String> = wrong.iter().map(|row| row.label()).collect();
    let says = if rows.is_empty() { String::new() } else { format!("{says} ") };
    format!("{says}Left out, because the result is wrong: {}.", text::list(&labels))
}

/// Of those whose results are right, as far as is known.
fn of_right(rows: &[&Row]) -> String {
    let good = || rows.iter().copied().filter(|row| row.has_figures());
    let mut timed: Vec<&Row> = good().filter(|row| row.p50_s().is_some()).collect();
    let steady = !timed.is_empty();
    if !steady {
        timed = good().filter(|row| row.first_image_s().is_some()).collect();
    }
    let Some(fastest) = timed.first().copied() else {
        return "no cell gave a time.".into();
    };
    let time = |row: &Row| {
        let what = match row.value(Metric::AT_FIRST).filter(|_| row.is_sustained()) {
            Some(first) => format!("an image when settled ({} at first)", text::seconds(first)),
            None if steady => "an image".to_owned(),
            None => "for its first image".to_owned(),
        };
        format!("{} {what}", row.best_s().map(text::seconds).unwrap_or_default())
    };
    let mut sentences = Vec::new();
    if !steady {
        sentences
            .push("Only first images were made, with cold caches; more images would give steady times.".to_owned());
    }
    sentences.push(match timed.get(1) {
        None => format!("{} takes {}{}.", fastest.label(), time(fastest), quality(fastest)),
        Some(next) => {
            let doubt = match interval(fastest).zip(interval(next)) {
                Some((a, b)) if a.1 < b.0 => String::new(),
                Some(_) => format!("; {} may be as fast, at {}: their intervals overlap", next.label(), time(next)),
                None => format!(
                    "; {} is next, at {}, with too few launches to be sure of the order",
                    next.label(),
                    time(next)
                ),
            };
            format!("{} is the fastest, {}{}{doubt}.", fastest.label(), time(fastest), quality(fastest))
        }
    });
    if fastest.is_sustained() {
        sentences.extend(on_the_way(fastest));
    }
    let same = |row: &Row| row.is_reference() || row.value(Metric::LATENT).is_some_and(|distance| distance <= SAME);
    if let Some(row) = timed.iter().find(|row| same(row)).filter(|_| timed.len() > 1 && !same(fastest)) {
        let ratio = row.best_s().zip(fastest.best_s()).map(|(a, b)| text::significant(a / b, 3)).unwrap_or_default();
        sentences.push(format!(
            "Among the cells that reproduce the reference's result (latent within {}), the fastest is {}: {}, {ratio} \
             times as long.",
            text::scientific(SAME),
            row.label(),
            time(row)
        ));
    }
    let weighed = timed.iter().filter_map(|row| Some((row, row.value(Metric::PEAK)?)));
    let smallest = weighed.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row);
    if let Some(row) = smallest.filter(|_| timed.len() > 1) {
        let peak = row.shown(Metric::PEAK).unwrap_or_default();
        let time = if row.key == fastest.key { String::new() } else { format!(", {}", time(row)) };
        sentences.push(format!("{} needs the least memory: {peak} at its peak{time}.", row.label()));
    }
    sentences.join(" ")
}

/// What a sustained cell took, and what held it back on the way.
fn on_the_way(row: &Row) -> Vec<String> {
    let energy = row.shown(Metric::ENERGY).map(|energy| {
        let of = row.beside(Metric::ENERGY).map(|words| format!(" ({words})")).unwrap_or_default();
        format!("It takes {energy} an image{of}.")
    });
    let held = match row.held_back.value() {
        None => "Whether anything held it back is not known.".to_owned(),
        Some(causes) if causes.is_empty() => "Nothing held it back.".to_owned(),
        Some(causes) => {
            let after = row.shown(Metric::FIRST_CAP).map(|time| format!(" after {time}")).unwrap_or_default();
            format!("It was held back{after}: {}.", text::list(causes))
        }
    };
    energy.into_iter().chain([held]).collect()
}

/// The interval over launches: a range of few launches, or the images of one, say nothing of the order. That of whole sustained
/// launches is none of their settled part.
fn interval(row: &Row) -> Option<(f64, f64)> {
    let estimate = row.image_s.value().filter(|_| !row.is_sustained())?;
    estimate.low.zip(estimate.high).filter(|_| estimate.spread == Spread::OfLaunches)
}

/// `, with an image that …`: how near to the reference, in words.
fn quality(row: &Row) -> String {
    if row.is_reference() {
        return ", and it is the reference for quality".into();
    }
    let latent = row.shown(Metric::LATENT).map(|distance| format!("latent off by {distance}"));
    let score = row.shown(Metric::SSIMULACRA2).map(|score| format!("SSIMULACRA2 {score}"));
    match (latent, score) {
        (None, None) => ", quality not measured".into(),
        (latent, score) => {
            let known: Vec<String> = latent.into_iter().chain(score).collect();
            format!(" ({} against the reference)", known.join(", "))
        }
    }
}
