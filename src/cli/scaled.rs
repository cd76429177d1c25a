//! What a run that was made for `scale` says, whenever it ends; and how that is said of any records.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ditbench_record::store;
use ditbench_reports::scale::{self, Place, Scale, axis, faces};

use super::format::{Faces, Format};

/// Says what a run shows, and writes it beside its record; nothing where it was not made for that.
///
/// # Errors
/// The record cannot be read, a file cannot be written, nothing that was measured can be followed.
pub fn answer(dir: &Path, format: Format) -> Result<()> {
    let found = store::read(dir)?.run;
    let asked = found.run.plan.get("scale").cloned().unwrap_or_default();
    let asked: Option<Vec<String>> = serde_json::from_value(asked).context("the plan in the record cannot be read")?;
    let Some(asked) = asked else { return Ok(()) };
    let predict: Result<Vec<Place>, String> = asked.iter().map(|place| axis::read(place)).collect();
    say(&scale::of_runs(&[&found], &predict.map_err(anyhow::Error::msg)?), format, Some(dir))
}

/// Writes it where it is to be kept, and prints it.
///
/// # Errors
/// A file cannot be written; nothing can be followed.
pub fn say(scale: &Scale, format: Format, dir: Option<&Path>) -> Result<()> {
    let faces = Faces {
        text: format!("\n{}", faces::text::of_scale(scale)),
        markdown: faces::markdown::of_scale(scale),
        json: faces::json(scale),
    };
    if let Some(dir) = dir {
        faces.write(dir, "scale")?;
    }
    faces.print(format);
    if !scale.is_empty() {
        return Ok(());
    }
    if !scale.left_out.is_empty() {
        bail!("nothing to follow: too few cells are left; the others were left out for the reasons above");
    }
    bail!(
        "nothing to follow: no two measured cells of one machine differ in size, threads, steps or text tokens alone, and no two rungs of a \
         ladder were measured"
    );
}
