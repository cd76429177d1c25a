//! Do two builds compute the same? Their latents and images, held against each other cell by cell.
//!
//! Contract: only what both runs kept is compared; the noise, tokens and weights are the same, or the verdict refuses the records.
//! It needs no reference, so it sees a wrong result where the plan has none, and in the reference cell itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_record::{Cell, Run, Status};
use ditbench_reports::quality::{QualityError, step_divergence};
use ditbench_reports::verdict::Apart;
use ditbench_workloads::trace::{load_image, load_latents};

/// How far head's results are from base's, by cell id: of the cells that ended well in both and of which both kept latents.
pub fn apart(base: (&Path, &Run), head: (&Path, &Run)) -> BTreeMap<String, Apart> {
    let mut found = BTreeMap::new();
    for ours in head.1.cells.iter().filter(|cell| cell.status == Status::Ok) {
        let Some(theirs) = base.1.cell(&ours.key).filter(|cell| cell.status == Status::Ok) else { continue };
        if let Some(apart) = of_cell((base.0, theirs), (head.0, ours)) {
            found.insert(ours.key.id(), apart);
        }
    }
    found
}

/// `None` where a side kept no latents, or base's are what is unusable: that is not head's fault.
fn of_cell(base: (&Path, &Cell), head: (&Path, &Cell)) -> Option<Apart> {
    let kept = |(dir, cell): (&Path, &Cell)| load_latents(&file(dir, cell)).ok().filter(|steps| !steps.is_empty());
    let (theirs, ours) = (kept(base)?, kept(head)?);
    if theirs.len() != ours.len() {
        return Some(Apart::Unusable(format!("{} steps against base's {}", ours.len(), theirs.len())));
    }
    let mut latents = Vec::new();
    for ((ours, theirs), step) in ours.iter().zip(&theirs).zip(0..) {
        match step_divergence(step, ours, theirs) {
            Ok(divergence) => latents.push(divergence.relative_l2),
            Err(error) => return unusable(&error, &format!("latent after step {}", step + 1)),
        }
    }
    // The decoder's own numbers: in a picture, what is not a number is black.
    let pixels = |(dir, cell): (&Path, &Cell)| load_image(&file(dir, cell)).ok();
    let image = match pixels(head).zip(pixels(base)).map(|(ours, theirs)| step_divergence(0, &ours, &theirs)) {
        None => None,
        Some(Ok(divergence)) => Some(divergence.relative_l2),
        Some(Err(error)) => return unusable(&error, "image"),
    };
    Some(Apart::By { latents, image })
}

fn unusable(error: &QualityError, what: &str) -> Option<Apart> {
    let of_base = match error {
        QualityError::NotFinite { whose, .. } | QualityError::Zero { whose } => *whose != "our",
        QualityError::Shape { .. } => false,
    };
    (!of_base).then(|| Apart::Unusable(format!("{what}: {error}")))
}

/// Where a run keeps the latents and the decoder's output of a cell.
fn file(dir: &Path, cell: &Cell) -> PathBuf {
    dir.join(format!("latents/{}.safetensors", cell.key.id()))
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
        of_cell((base.path(), &cell), (head.path(), &cell))
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
        for (last, image) in [([f32::NAN, 4.0], [0.5, 0.25]), ([0.0, 0.0], [0.5, 0.25]), ([3.0, 4.0], [f32::NAN, 0.25])]
        {
            assert!(matches!(held(last, image, [3.0, 4.0]), Some(Apart::Unusable(_))), "{last:?} {image:?}");
        }
        assert_eq!(held([3.0, 4.0], [0.5, 0.25], [f32::NAN, 4.0]), None);
        let nowhere = Cell::default();
        assert_eq!(of_cell((Path::new("/nowhere"), &nowhere), (Path::new("/nowhere"), &nowhere)), None);
    }
}
