//! One image outside a run: the same preparation and the same worker, without a record.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::prepare::{self, Prepared};
use super::progress::Progress;
use super::resolve::resolve;
use super::weights::WeightsChoice;
use crate::environment::Common;
use crate::host::ThisMachine;
use crate::plan::Cell;
use ditbench_protocol::{Event, LaunchSpec, Outputs, StopRule};
use ditbench_worker::process::{Cause, local};

/// What to make.
pub struct Request<'a> {
    /// On what.
    pub cell: Cell,
    /// The prompt.
    pub prompt: &'a str,
    /// Seed of the noise and of initialised weights.
    pub seed: u64,
    /// Which weights.
    pub weights: &'a WeightsChoice,
    /// Where to write the image.
    pub output: &'a Path,
}

/// Makes it.
///
/// # Errors
/// Whatever keeps the cell from running, in one line.
pub fn make(
    request: &Request,
    common: &Common,
    progress: &Progress,
    deadline: Instant,
    mut on_event: impl FnMut(&Event),
) -> Result<()> {
    let mut host = ThisMachine::default();
    let resolved = resolve(vec![request.cell.clone()], &mut host, common, &|message| progress.now(message))?;
    let Some(cell) = resolved.first() else { bail!("nothing to make") };
    prepare::refuse_weights(cell, request.weights)?;
    if let Some((_, why)) = &cell.refusal {
        bail!("{why}");
    }
    let cache = crate::paths::cache(common.cache.as_ref())?;
    let scratch = cache.join(format!("generate-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let result = (|| {
        let weights = prepare::weights_of(cell, request.weights, request.seed, &cache, progress)?;
        if let Some(what) = prepare::unread(&weights.unread) {
            progress.line(&format!("{}: not used by the model: {what}", request.weights));
        }
        let inputs = cell.pipeline.drive.inputs(request.prompt, request.seed)?;
        let inputs = prepare::save_inputs(cell, &inputs, &scratch)?;
        let prepared = Prepared {
            weights: weights.path,
            weights_sha256: weights.sha256,
            notes: Vec::new(),
            inputs,
            cache: cache.clone(),
        };
        let spec = spec(cell, &prepared, request.output, &scratch);
        progress.now(format!("{}: making the image", cell.cell.key()));
        let log = scratch.join("worker.log");
        let found = host.environment_of(&spec.backend);
        let exit = local::launch(&spec, &found, &log, None, deadline, |event| on_event(&event))?;
        match exit.cause {
            Cause::Finished => Ok(()),
            cause => bail!("{}", super::collect::status(&cause).1.unwrap_or_default()),
        }
    })();
    let _ = std::fs::remove_dir_all(&scratch);
    result
}

fn spec(cell: &super::Resolved, prepared: &Prepared, output: &Path, scratch: &Path) -> LaunchSpec {
    let stop = StopRule { images: 1, seconds: f64::MAX, relative_half_width: 0.0, least: 1 };
    let outputs = Outputs { image: output.to_path_buf(), latents: scratch.join("latents.safetensors") };
    LaunchSpec { outputs: Some(outputs), ..prepared.spec(cell, stop) }
}
