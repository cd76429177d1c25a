//! After all cells: each one's pictures against those of its reference, and its figures against those of cells that differ
//! from it in one thing.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ditbench_judge::FEATURES;
use ditbench_record::store::RunStore;
use ditbench_record::{Cell as Row, CellKey, Difference, Judged, PromptFidelity, Reading};
use ditbench_reports::image;
use ditbench_reports::quality::features::Features;
use ditbench_reports::quality::retrieval::retrieval_difference;
use ditbench_reports::quality::{psnr, ssim, step_divergence};
use ditbench_workloads::trace::load_latents;

use super::score::{Data, bounded, distance};
use super::series::{LATENTS, picture_name};
use crate::run::fidelity::reference;
use crate::run::progress::Progress;

/// A cell's features, kept beside its pictures: 1280 little-endian f32 for each name.
pub const FEATURES_FILE: &str = "features.f32";

/// Compares all judged cells.
///
/// # Errors
/// The record cannot be written.
pub fn all(store: &mut RunStore, data: &Data, progress: &Progress) -> Result<()> {
    let dir = store.dir().to_owned();
    let run = store.run().clone();
    let rows: Vec<Row> = run.cells.iter().filter(|row| row.judged.is_some()).cloned().collect();
    let mut compared = rows.clone();
    for row in &mut compared {
        progress.now(format!("comparing the pictures of {}", row.key));
        let differences = differences(&dir, row, &rows, data);
        let reference = reference(&rows, &row.key);
        row.is_reference = reference.is_some_and(|other| other.key == row.key);
        let fidelity = match reference {
            None => Reading::absent("no f32 cell of this workload succeeded, so there is nothing to compare with"),
            Some(other) if other.key == row.key => {
                Reading::absent("this is the reference that the others are compared with")
            }
            Some(other) => {
                fidelity(&dir, row, other).map_or_else(|why| Reading::absent(format!("{why:#}")), Reading::Ok)
            }
        };
        if let Some(judged) = &mut row.judged {
            (judged.fidelity, judged.differences) = (fidelity, differences);
        }
    }
    store.update(|run| compared.into_iter().for_each(|row| run.put_cell(row)))?;
    Ok(())
}

fn folder<'a>(dir: &Path, row: &'a Row) -> Result<(std::path::PathBuf, &'a Judged)> {
    let judged = row.judged.as_ref().context("it was not judged")?;
    let pictures = judged.pictures.as_deref().context("it kept no pictures")?;
    Ok((dir.join(pictures), judged))
}

fn fidelity(dir: &Path, row: &Row, other: &Row) -> Result<PromptFidelity> {
    let ((ours, _), (theirs, _)) = (folder(dir, row)?, folder(dir, other)?);
    let (our_latents, their_latents) = (load_latents(&ours.join(LATENTS))?, load_latents(&theirs.join(LATENTS))?);
    if our_latents.len() != their_latents.len() {
        bail!("{} pictures, but {} of {}", our_latents.len(), their_latents.len(), other.key);
    }
    let mut found = PromptFidelity { reference: other.key.id(), ..PromptFidelity::default() };
    for (index, (a, b)) in our_latents.iter().zip(&their_latents).enumerate() {
        found.latent_relative_l2.push(step_divergence(0, a, b)?.relative_l2);
        let open = |folder: &Path| -> Result<_> {
            let path = folder.join(picture_name(index));
            Ok(image::open(&path).with_context(|| format!("cannot read {}", path.display()))?.into_rgb8())
        };
        let (a, b) = (open(&ours)?, open(&theirs)?);
        found.psnr_db.push(psnr(&a, &b)?);
        found.ssim.push(ssim(&a, &b).context("the pictures are too small for SSIM")?);
    }
    Ok(found)
}

/// This cell less those that differ from it in one thing.
fn differences(dir: &Path, row: &Row, rows: &[Row], data: &Data) -> Vec<Difference> {
    let others = others(&row.key, rows);
    others.into_iter().filter_map(|(other, in_what)| difference(dir, row, other, in_what, data)).collect()
}

/// The axis of the share of the full width, which has no value at full width.
const WIDTH: &str = "width";

/// The f32 cell, the cell of full width, the cell of the most steps: each the same in all else.
fn others<'a>(key: &CellKey, rows: &'a [Row]) -> Vec<(&'a Row, &'static str)> {
    // All of the key but the four in which cells may differ: a new axis must not be left out.
    let place = |k: &CellKey| {
        let mut place = CellKey { precision: String::new(), variant: String::new(), steps: 0, ..k.clone() };
        place.own.remove(WIDTH);
        place
    };
    let width = key.own(WIDTH);
    let find = |width: Option<&str>, precision: &str, steps: u32| {
        rows.iter().find(|row| {
            let other = &row.key;
            // Another precision is run in another way; what else differs must not.
            let way = other.precision != key.precision || other.variant == key.variant;
            (other.own(WIDTH), other.precision.as_str(), other.steps) == (width, precision, steps)
                && place(other) == place(key)
                && way
        })
    };
    let most = rows.iter().filter(|row| place(&row.key) == place(key)).map(|row| row.key.steps).max();
    let candidates = [
        (find(width, "f32", key.steps), "precision"),
        (width.and_then(|_| find(None, &key.precision, key.steps)), "width"),
        (most.and_then(|steps| find(width, &key.precision, steps)), "steps"),
    ];
    let other = |(row, what): (Option<&'a Row>, &'static str)| Some((row.filter(|row| row.key != *key)?, what));
    candidates.into_iter().filter_map(other).collect()
}

fn difference(dir: &Path, row: &Row, other: &Row, in_what: &str, data: &Data) -> Option<Difference> {
    let ((our_folder, ours), (their_folder, theirs)) = (folder(dir, row).ok()?, folder(dir, other).ok()?);
    let share =
        |k| retrieval_difference(&ours.nearer, &theirs.nearer, k).map(|(value, interval)| bounded(value, interval));
    let kernel = |folder: &Path| -> Result<_> {
        distance(&read_features(folder)?, data).context("one of the two has no kernel distance")
    };
    let kernel = kernel(&our_folder)
        .and_then(|ours| ours.less(&kernel(&their_folder)?).context("the two kernel distances cannot be subtracted"));
    Some(Difference {
        from: other.key.id(),
        in_what: in_what.to_owned(),
        retrieval_at_1: share(1)?,
        retrieval_at_5: share(5)?,
        kernel_distance_x1000: match kernel {
            Ok((value, interval)) => Reading::Ok(bounded(value, interval)),
            Err(why) => Reading::absent(format!("{why:#}")),
        },
    })
}

/// Keeps a cell's features.
///
/// # Errors
/// The file cannot be written.
pub fn write_features(folder: &Path, features: &Features) -> Result<()> {
    let path = folder.join(FEATURES_FILE);
    let bytes: Vec<u8> = features.values().iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn read_features(folder: &Path) -> Result<Features> {
    let path = folder.join(FEATURES_FILE);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (whole, rest) = bytes.as_chunks();
    let values = whole.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let features = Features::new(FEATURES, values).filter(|_| rest.is_empty());
    features.with_context(|| format!("{} is damaged or truncated", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, precision: &str, variant: &str, steps: u32) -> Row {
        let key = CellKey {
            model: model.to_owned(),
            backend: "candle".to_owned(),
            variant: variant.to_owned(),
            precision: precision.to_owned(),
            steps,
            ..CellKey::default()
        };
        Row { key, judged: Some(Judged::default()), ..Row::default() }
    }

    fn narrow(row: Row) -> Row {
        Row { key: row.key.with(WIDTH, 0.5), ..row }
    }

    #[test]
    fn a_cell_is_held_against_those_that_differ_in_one_thing() {
        let rows = [
            row("nano", "f32", "tuned", 4),
            row("nano", "f32", "stock", 4),
            row("nano", "q4", "tuned-int8", 4),
            row("nano", "f32", "tuned", 28),
            narrow(row("nano", "f32", "tuned", 4)),
            narrow(row("nano", "q4", "tuned-int8", 28)),
        ];
        let found = |index: usize| -> Vec<(String, &str)> {
            let key = &rows[index].key;
            others(key, &rows).into_iter().map(|(row, what)| (row.key.id(), what)).collect()
        };
        assert_eq!(found(0), [(rows[3].key.id(), "steps")]);
        assert_eq!(found(2), [(rows[0].key.id(), "precision")]);
        assert_eq!(found(3), []);
        assert_eq!(found(4), [(rows[0].key.id(), "width")]);
        assert_eq!(found(5), [], "neither f32 nor full width nor fewer steps of it were run");
    }

    #[test]
    fn cells_that_differ_in_anything_else_are_not_held_against_each_other() {
        let q4 = row("nano", "q4", "tuned-int8", 4);
        let other = |change: fn(&mut CellKey)| {
            let mut f32 = row("nano", "f32", "tuned", 4);
            change(&mut f32.key);
            others(&q4.key, &[f32, q4.clone()]).len()
        };
        assert_eq!(other(|_| ()), 1);
        for change in [
            (|key| *key = key.clone().with("text_tokens", 272)) as fn(&mut CellKey),
            |key| key.width = 128,
            |key| key.batch = 2,
            |key| key.memory = "small".to_owned(),
            |key| key.device = "cuda".to_owned(),
        ] {
            assert_eq!(other(change), 0);
        }
    }
}
