//! After all launches: how far each cell's latents and image are from those of the reference cell of its workload.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, bail};
use ditbench_record::store::{RunStore, latents_of};
use ditbench_record::{Cell as Row, CellKey, ModelEntry, Quality, Reading};
use ditbench_reports::image::{self, RgbImage};
use ditbench_reports::quality::{compare_images, step_divergence};
use ditbench_workloads::trace::{load_kept, load_latents};

use super::own::{self, Expected};

/// Compares every good cell with the reference of its workload, or with what a user's file says should come out, and puts the
/// result into the record.
///
/// # Errors
/// The record cannot be written.
pub fn compare(store: &mut RunStore, cells: &[CellKey], expected: &HashMap<CellKey, Expected>) -> Result<()> {
    let dir = store.dir().to_owned();
    let run = store.run().clone();
    let rows = &run.cells;
    let mut compared = Vec::new();
    for key in cells {
        let Some(mut row) = rows.iter().find(|row| row.key == *key).cloned() else { continue };
        if !row.has_result() {
            continue;
        }
        if let Some(expected) = expected.get(key) {
            row.quality = against(&dir, &row, expected).unwrap_or_else(|why| Reading::absent(format!("{why:#}")));
            compared.push(row);
            continue;
        }
        // Parts that are put together do not bring the user's file.
        if own::was_expected(&row) {
            continue;
        }
        let is_own = run.model(key).is_some_and(ModelEntry::is_own);
        let reference = if is_own { own::reference(&run, key) } else { reference(rows, key) };
        row.is_reference = reference.is_some_and(|reference| reference.key == row.key);
        row.quality = match reference {
            None if is_own => Reading::absent(own::no_reference(&run, key)),
            None => Reading::absent("no f32 cell of this workload ended well, so there is nothing to compare with"),
            Some(reference) if reference.key == row.key => {
                Reading::absent("this is the reference that the others are held against")
            }
            Some(reference) => quality(&dir, &row, reference).unwrap_or_else(|why| Reading::absent(format!("{why:#}"))),
        };
        compared.push(row);
    }
    store.update(|run| compared.into_iter().for_each(|row| run.put_cell(row)))?;
    Ok(())
}

/// The cell that others of the workload are held against: the 64-bit interpreter in f32 weights, else the first f32 cell, of the
/// processor first. Another device is none unless it computes in 32 bits.
pub(super) fn reference<'a>(rows: &'a [Row], key: &CellKey) -> Option<&'a Row> {
    let same = |row: &&Row| {
        let other = &row.key;
        row.has_result()
            && other.precision == "f32"
            && (&other.model, other.height, other.width, other.steps, other.batch, &other.own)
                == (&key.model, key.height, key.width, key.steps, key.batch, &key.own)
    };
    let on_processor = |row: &Row| row.key.device == "cpu";
    let exact = |row: &&Row| on_processor(row) || row.numerics.value().is_some_and(|numerics| numerics == "f32");
    rows.iter().filter(same).filter(exact).min_by_key(|row| (!row.is_in_64_bits(), !on_processor(row)))
}

/// Against a user's file.
fn against(dir: &Path, row: &Row, expected: &Expected) -> Result<Reading<Quality>> {
    let path = latents_of(dir, &row.key);
    let ours = load_kept(&path)?.ok_or_else(|| anyhow::anyhow!("{} is gone", path.display()))?;
    let rerun_equal_bytes = rerun(row);
    Ok(Reading::Ok(Quality { rerun_equal_bytes, ..own::against(expected, row, &ours)? }))
}

fn quality(dir: &Path, row: &Row, reference: &Row) -> Result<Reading<Quality>> {
    let latents = |row: &Row| load_latents(&latents_of(dir, &row.key));
    let (ours, theirs) = (latents(row)?, latents(reference)?);
    if ours.len() != theirs.len() {
        bail!("latents of {} steps, but {} in the reference", ours.len(), theirs.len());
    }
    let steps = ours.iter().zip(&theirs).zip(0..).map(|((ours, theirs), step)| step_divergence(step, ours, theirs));
    Ok(Reading::Ok(Quality {
        reference: reference.key.id(),
        latents: steps.collect::<Result<_, _>>()?,
        image: match (picture(dir, row), picture(dir, reference)) {
            (Ok(ours), Ok(theirs)) => Reading::Ok(compare_images(&ours, &theirs)?),
            (Err(why), _) | (_, Err(why)) => Reading::absent(format!("{why:#}")),
        },
        rerun_equal_bytes: rerun(row),
    }))
}

fn picture(dir: &Path, row: &Row) -> Result<RgbImage> {
    let name = row.image.as_deref().ok_or_else(|| anyhow::anyhow!("{} saved no image", row.key))?;
    Ok(image::open(dir.join(name))?.into_rgb8())
}

/// Whether all images of each launch had the bytes of its first.
fn rerun(row: &Row) -> Reading<bool> {
    let mut launches = row.good_launches().filter(|launch| launch.samples.len() > 1).peekable();
    if launches.peek().is_none() {
        return Reading::absent("only one image: there was no second to compare with");
    }
    // One launch that differs is enough; that all are alike must be known of all.
    let mut known = true;
    for launch in launches {
        match launch.same_bytes {
            Some(false) => return Reading::Ok(false),
            Some(true) => {}
            None => known = false,
        }
    }
    Reading::or_absent(known.then_some(true), "an older program made some of the launches and did not record it")
}

#[cfg(test)]
mod tests {
    use ditbench_record::{Launch, Sample, Status};

    use super::*;

    #[test]
    fn a_cell_repeats_itself_only_if_that_is_known_of_every_launch() {
        let launch = |images: u32, same_bytes| Launch {
            status: Status::Ok,
            samples: (0..images).map(|image| Sample { image, ..Sample::default() }).collect(),
            same_bytes,
            ..Launch::default()
        };
        let of = |launches: &[Launch]| rerun(&Row { launches: launches.to_vec(), ..Row::default() });
        assert_eq!(of(&[launch(3, Some(true)), launch(3, Some(true))]), Reading::Ok(true));
        assert_eq!(of(&[launch(3, None), launch(3, Some(false))]), Reading::Ok(false));
        assert!(of(&[launch(3, Some(true)), launch(3, None)]).why().is_some_and(|why| why.contains("older program")));
        assert!(of(&[launch(1, None)]).why().is_some_and(|why| why.contains("one image")));
    }
}
