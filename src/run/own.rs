//! A run's part that is peculiar to models which users bring: their files in the record, what they are held against.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ditbench_graph::hash;
use ditbench_graph::weights::prepare::Prepared as PreparedWeights;
use ditbench_onnx::{Value, arrays};
use ditbench_record::{Cell as Row, CellKey, ModelEntry, Quality, Reading, Run, StepDivergence};
use ditbench_reports::quality::{compare_images, step_divergence};
use ditbench_worker::registry::USUAL_OF_FILES;
use ditbench_workloads::trace::Kept;
use ditbench_workloads::{ImageSize, Pipeline, Source, image, own};

use super::progress::Progress;
use super::resolve::Resolved;

/// What stands in the place of prepared weights: the user's files as they are, known by the hash of their content.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn weights(pipeline: &Pipeline, progress: &Progress) -> Result<PreparedWeights> {
    let mut all = String::new();
    let mut bytes = 0;
    let root = own::path_of(&pipeline.choice).unwrap_or(Path::new(""));
    for (file, place) in own::files(pipeline) {
        progress.now(format!("{}: reading {}", pipeline.name, place.display()));
        let content = hash::file(&file).with_context(|| format!("reading {}", file.display()))?;
        bytes += file.metadata().map_or(0, |about| about.len());
        all.push_str(&format!("{} {content}\n", place.display()));
    }
    Ok(PreparedWeights {
        path: root.to_owned(),
        sha256: hash::sha256(all.as_bytes()),
        bytes,
        origin: "the user's own files; the hash is over those of all of them".to_owned(),
        choice: None,
        unquantized: Vec::new(),
        unread: Vec::new(),
        cached: true,
    })
}

/// Why weights cannot be chosen for a user's model.
pub(super) fn refuse_weights(pipeline: &Pipeline) -> Result<()> {
    bail!("{} is your own model, and its files hold its weights: leave --weights out", pipeline.name)
}

/// What should come out of a cell, as a user's file says it.
pub struct Expected {
    file: PathBuf,
    /// Names of a single graph's outputs, in the order of its results; none for a pipeline.
    outputs: Vec<String>,
}

/// Whether a row was held against a user's file, and not against another cell.
pub(super) fn was_expected(row: &Row) -> bool {
    row.quality.value().is_some_and(|quality| quality.reference.starts_with(Quality::EXPECTED))
}

/// What should come out, by cell, where users named files.
pub(super) fn expected(cells: &[Resolved]) -> HashMap<CellKey, Expected> {
    let outputs = |cell: &Resolved| match cell.pipeline.stages.first().map(|stage| &stage.source) {
        Some(Source::Onnx(file)) if own::is_single(&cell.cell.choice) => {
            file.model.outputs.iter().map(|port| port.name.clone()).collect()
        }
        _ => Vec::new(),
    };
    let of = |cell: &Resolved| {
        let file = own::expected_of(&cell.cell.choice)?.to_owned();
        Some((cell.key.clone(), Expected { file, outputs: outputs(cell) }))
    };
    cells.iter().filter_map(of).collect()
}

/// How near a cell's results are to what a user's file says should come out. Only what the file has is compared.
///
/// # Errors
/// A file that cannot be read, or has nothing in common with the results.
pub(super) fn against(expected: &Expected, row: &Row, ours: &Kept) -> Result<Quality> {
    let Expected { file, outputs } = expected;
    let wanted = arrays::read(file)?;
    let names: Vec<String> = match &outputs[..] {
        [] => (0..ours.latents.len()).map(|step| format!("latent.{step:04}")).collect(),
        outputs => outputs.to_vec(),
    };
    let mut latents: Vec<StepDivergence> = Vec::new();
    for ((ours, name), step) in ours.latents.iter().zip(&names).zip(0..) {
        let Some(wanted) = wanted.get(name) else { continue };
        let wanted = floats(wanted);
        if wanted.len() != ours.len() {
            bail!("{}: \"{name}\" has {} numbers, and the result {}", file.display(), wanted.len(), ours.len());
        }
        latents.push(step_divergence(step, ours, &wanted)?);
    }
    let size = ImageSize { height: row.key.height as usize, width: row.key.width as usize };
    let picture = match (wanted.get("image"), &ours.image) {
        (Some(wanted), Some(ours)) if outputs.is_empty() => {
            let wanted = floats(wanted);
            if wanted.len() != ours.len() {
                bail!("{}: \"image\" has {} numbers, and the picture {}", file.display(), wanted.len(), ours.len());
            }
            Reading::Ok(compare_images(&image::to_rgb(ours, size), &image::to_rgb(&wanted, size))?)
        }
        _ if !outputs.is_empty() => Reading::absent("a single graph makes no picture"),
        _ => Reading::absent("the expected results have no \"image\""),
    };
    if latents.is_empty() && picture.value().is_none() {
        let there: Vec<&str> = wanted.keys().map(String::as_str).collect();
        bail!("{}: has none of {}; it has {}", file.display(), names.join(", "), there.join(", "));
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let rerun_equal_bytes = Reading::default();
    Ok(Quality { reference: format!("{}{name}", Quality::EXPECTED), latents, image: picture, rerun_equal_bytes })
}

fn floats(value: &Value) -> Vec<f32> {
    value.to_f64().into_iter().map(|number| number as f32).collect()
}

/// Whether two models of a user's are exports of one: the same class, configs and scheduler.
fn are_of_one(a: &ModelEntry, b: &ModelEntry) -> bool {
    let architecture = |entry: &ModelEntry| entry.config.get("architecture").cloned();
    architecture(a).is_some() && architecture(a) == architecture(b)
}

/// Whether ONNX's own definition decides every result of a model's files: nothing is rounded as a runtime sees fit.
fn is_defined(entry: &ModelEntry) -> bool {
    entry.config.get("defined").and_then(serde_json::Value::as_bool) == Some(true)
}

/// The cell that another one of a user's model is held against: f32 files of the same model, ONNX Runtime without optimisations
/// first; else, where the files leave nothing to the runtime, that way of running the same files.
pub(super) fn reference<'a>(run: &'a Run, key: &CellKey) -> Option<&'a Row> {
    let entry = run.model(key)?;
    let same_image = |other: &CellKey| {
        (other.height, other.width, other.steps, other.batch, &other.own)
            == (key.height, key.width, key.steps, key.batch, &key.own)
    };
    let rows = || run.cells.iter().filter(|row| row.has_result() && same_image(&row.key));
    // The usual way first: the registry lists it so.
    let place = |row: &Row| {
        let is =
            |(name, way): &(&str, Option<&str>)| row.key.backend == *name && way.is_none_or(|w| row.key.variant == w);
        USUAL_OF_FILES.iter().position(is).unwrap_or(USUAL_OF_FILES.len())
    };
    let full = rows()
        .filter(|row| row.key.precision == "f32")
        .filter(|row| row.key.model == key.model || run.model(&row.key).is_some_and(|other| are_of_one(entry, other)));
    let full = full.min_by_key(|row| (row.key.model != key.model, place(row)));
    full.or_else(|| {
        let defined = is_defined(entry);
        rows()
            .filter(|row| defined && row.key.model == key.model && row.key.precision == key.precision)
            .find(|row| place(row) == 0)
    })
}

/// Why there is nothing to hold a cell of a user's model against, and what to add.
pub(super) fn no_reference(run: &Run, key: &CellKey) -> String {
    let precision = &key.precision;
    match run.model(key) {
        Some(entry) if is_defined(entry) => format!(
            "nothing to compare with: give --expect FILE, run ort:plain beside it, or name the f32 export too (--model {}=…,f32=…)",
            key.model
        ),
        _ => format!(
            "nothing to compare with: these {precision} files round as each runtime sees fit, so no way of running them is a reference. Name the f32 export beside them (--model {}=…,f32=…), or give --expect FILE",
            key.model
        ),
    }
}
