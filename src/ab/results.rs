//! Do two builds compute the same? Their latents and images, held against each other cell by cell.
//!
//! Contract: only what both runs kept is compared, and what is there and cannot be read is an error, never taken for what was
//! not kept; the noise, tokens and weights are the same, or the verdict refuses the records. It needs no reference, so it sees a
//! wrong result where the plan has none, and in the reference cell itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ditbench_record::store::latents_of;
use ditbench_record::{Cell, Run, Status};
use ditbench_reports::quality::{QualityError, Whose, step_divergence};
use ditbench_reports::verdict::Apart;
use ditbench_workloads::trace::load_kept;

/// What each side keeps: its folder, its record.
pub type Side<'a> = (&'a Path, &'a Run);

/// How far head's results are from base's, by cell id, of the cells that ended well in both; or which side kept none.
///
/// # Errors
/// Results that are there and cannot be read: what they hold might be wrong, so there is no verdict without them.
pub fn apart(base: Side, head: Side) -> Result<BTreeMap<String, Apart>> {
    let mut found = BTreeMap::new();
    for ours in head.1.cells.iter().filter(|cell| cell.status == Status::Ok) {
        let Some(theirs) = base.1.cell(&ours.key).filter(|cell| cell.status == Status::Ok) else { continue };
        if let Some(apart) = of_cell((base.0, theirs), (head.0, ours))? {
            found.insert(ours.key.id(), apart);
        }
    }
    Ok(found)
}

/// `None` where base's are what is unusable: that is not head's fault.
fn of_cell(base: (&Path, &Cell), head: (&Path, &Cell)) -> Result<Option<Apart>> {
    let kept = |side: &str, (dir, cell): (&Path, &Cell)| {
        load_kept(&file(dir, cell)).with_context(|| {
            format!(
                "{side}'s results for {} cannot be compared, so there is no verdict. Make the file readable or run the \
                 cell again; without the file, speed alone is judged",
                cell.key.id()
            )
        })
    };
    let (theirs, ours) = match (kept("base", base)?, kept("head", head)?) {
        (Some(theirs), Some(ours)) => (theirs, ours),
        (None, _) => return Ok(Some(none_kept("base", base))),
        (_, None) => return Ok(Some(none_kept("head", head))),
    };
    let (base_image, head_image) = (theirs.image, ours.image);
    let (theirs, ours) = (theirs.latents, ours.latents);
    if theirs.len() != ours.len() {
        return Ok(Some(Apart::Unusable(format!("{} steps against base's {}", ours.len(), theirs.len()))));
    }
    let mut latents = Vec::new();
    for ((ours, theirs), step) in ours.iter().zip(&theirs).zip(0..) {
        match step_divergence(step, ours, theirs) {
            Ok(divergence) => latents.push(divergence.relative_l2),
            Err(error) => return Ok(unusable(&error, &format!("latent after step {}", step + 1))),
        }
    }
    // The decoder's own numbers: in a picture, what is not a number is black.
    let image = match base_image.zip(head_image).map(|(theirs, ours)| step_divergence(0, &ours, &theirs)) {
        None => None,
        Some(Ok(divergence)) => Some(divergence.relative_l2),
        Some(Err(error)) => return Ok(unusable(&error, "image")),
    };
    Ok(Some(Apart::By { latents, image }))
}

fn none_kept(side: &str, (dir, cell): (&Path, &Cell)) -> Apart {
    Apart::NotKept(format!("{side} kept no latents: there is no {}", file(dir, cell).display()))
}

fn unusable(error: &QualityError, what: &str) -> Option<Apart> {
    let of_base = match error {
        QualityError::NotFinite { whose, .. } => *whose == Whose::References,
        QualityError::Zero => true,
        QualityError::Shape { .. } => false,
    };
    (!of_base).then(|| Apart::Unusable(format!("{what}: {error}")))
}

/// Where a run keeps the latents and the decoder's output of a cell.
fn file(dir: &Path, cell: &Cell) -> PathBuf {
    latents_of(dir, &cell.key)
}

#[cfg(test)]
mod tests {
    use ditbench_record::CellKey;
    use ditbench_workloads::Trace;

    use super::*;

    /// Holds a head with this last latent and this image against a base whose latents are (1, 2) and (3, 4), whose image (0.5, 0.25).
    fn held(last: [f32; 2], image: [f32; 2], base_last: [f32; 2]) -> Option<Apart> {
        let cell = Cell { key: CellKey::default(), status: Status::Ok, ..Cell::default() };
        let folder = |last: [f32; 2], image: [f32; 2]| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("latents")).unwrap();
            let trace =
                Trace { latents: vec![vec![1.0, 2.0], last.to_vec()], image: image.to_vec(), ..Trace::default() };
            trace.save_latents(&file(dir.path(), &cell)).unwrap();
            dir
        };
        let (base, head) = (folder(base_last, [0.5, 0.25]), folder(last, image));
        of_cell((base.path(), &cell), (head.path(), &cell)).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_numbers() {
        let same = held([3.0, 4.0], [0.5, 0.25], [3.0, 4.0]);
        assert_eq!(same, Some(Apart::By { latents: vec![0.0, 0.0], image: Some(0.0) }));
        let Some(Apart::By { latents, .. }) = held([3.0, 5.0], [0.5, 0.25], [3.0, 4.0]) else { panic!() };
        assert!(latents[0] == 0.0 && (latents[1] - 0.2).abs() < 1e-9, "{latents:?}");
    }

    #[test]
    fn what_is_no_number_is_heads_fault_only_if_it_is_heads() {
        for (last, image) in [([f32::NAN, 4.0], [0.5, 0.25]), ([3.0, 4.0], [f32::NAN, 0.25])] {
            assert!(matches!(held(last, image, [3.0, 4.0]), Some(Apart::Unusable(_))), "{last:?} {image:?}");
        }
        assert_eq!(held([3.0, 4.0], [0.5, 0.25], [f32::NAN, 4.0]), None);
        // Nothing but zeros is as far as its base is long.
        let zeros = held([0.0, 0.0], [0.5, 0.25], [3.0, 4.0]);
        assert_eq!(zeros, Some(Apart::By { latents: vec![0.0, 1.0], image: Some(0.0) }));
        assert_eq!(held([3.0, 4.0], [0.5, 0.25], [0.0, 0.0]), None);
    }

    #[test]
    fn results_that_were_not_kept_are_no_results_that_cannot_be_read() {
        let (kept, none) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cell = Cell { status: Status::Ok, ..Cell::default() };
        std::fs::create_dir(kept.path().join("latents")).unwrap();
        let trace = Trace { latents: vec![vec![1.0, 2.0]], image: vec![0.5], ..Trace::default() };
        let path = file(kept.path(), &cell);
        trace.save_latents(&path).unwrap();
        let held = |base: &Path, head: &Path| of_cell((base, &cell), (head, &cell));
        let Ok(Some(Apart::NotKept(why))) = held(kept.path(), none.path()) else { panic!() };
        assert!(why.starts_with("head kept no latents") && why.contains(".safetensors"), "{why}");
        let Ok(Some(Apart::NotKept(why))) = held(none.path(), kept.path()) else { panic!() };
        assert!(why.starts_with("base kept no latents"), "{why}");
        let whole = std::fs::read(&path).unwrap();
        // Of no safetensors at all, of half of one, and of one without latents.
        std::fs::create_dir(none.path().join("latents")).unwrap();
        let head = file(none.path(), &cell);
        for damaged in [&b"x"[..], &whole[..whole.len() / 2], b"\x02\0\0\0\0\0\0\0{}"] {
            std::fs::write(&head, damaged).unwrap();
            let error = format!("{:#}", held(kept.path(), none.path()).unwrap_err());
            assert!(error.starts_with("head's results") && error.contains(&head.display().to_string()), "{error}");
        }
        std::fs::remove_file(&head).unwrap();
        // A folder can no more be read than a file without permission, by root neither.
        std::fs::create_dir(&head).unwrap();
        assert!(held(kept.path(), none.path()).is_err());
    }
}
