//! `ditbench merge`: the parts of a plan that was spread over machines, as one run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ditbench_record::CellKey;
use ditbench_record::store::{self, RunStore};
use ditbench_reports::advice::Question;
use ditbench_reports::merge::merge as merged;
use ditbench_reports::verdict::Difference;

use crate::run::{compare_images, new_id, report};

/// Arguments of `ditbench merge`.
#[derive(Debug, clap::Args)]
pub struct MergeArgs {
    /// The runs of all shards
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Directory for the merged run [default: runs/ID]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Differences between the runs to allow; the record names them: schema, machine, workload, build,
    /// conditions
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    allow: Vec<Difference>,
}

/// Merges, compares the images of all parts with one reference, and reports.
///
/// # Errors
/// Runs that are not parts of one; a directory that holds a run already.
pub fn merge(args: &MergeArgs) -> Result<()> {
    let parts = args.runs.iter().map(|path| store::read(path)).collect::<Result<Vec<_>, _>>()?;
    let id = new_id();
    let runs: Vec<_> = parts.iter().map(|part| &part.run).collect();
    let run = merged(&runs, &id, &args.allow.iter().copied().collect())?;
    let dir = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&id));
    let keys: Vec<CellKey> = run.cells.iter().map(|cell| cell.key.clone()).collect();
    let mut store = RunStore::create(&dir, run)?;
    for key in &keys {
        let part = parts.iter().find(|part| part.run.cell(key).is_some_and(|cell| cell.image.is_some()));
        let Some(part) = part else { continue };
        let files: [fn(&str) -> String; 3] =
            [|id| format!("{id}.png"), |id| format!("latents/{id}.safetensors"), |id| format!("traces/{id}.json")];
        for file in files {
            // Under the name that the record has: an older program's stays.
            let found = store::kept(&part.dir, key, file);
            let name = found.strip_prefix(&part.dir).unwrap_or(&found).to_owned();
            copy(&found, &dir.join(name))?;
        }
    }
    compare_images(&mut store, &keys, &HashMap::new())?;
    let page = report(&store, &Question::default())?;
    if store.run().run.finished.is_none() {
        bail!(
            "{}: merged, but a part is not finished: continue it (`ditbench run --resume`), then merge again",
            page.display()
        );
    }
    crate::text::show(&format!("{}\n", page.display()));
    Ok(())
}

/// What a part lacks (a trace, say) is not there to copy.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_file() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
