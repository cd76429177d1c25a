//! What is asked of a worker: pictures of all prompts, each with its own noise, the same for every cell.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ditbench_record::SeriesInputs;
use ditbench_workloads::snapgenpp::prompts::Prompts;
use sha2::{Digest, Sha256};

use crate::run::prepare::inputs_name;
use crate::run::resolve::Resolved;
use ditbench_protocol::{Series, SeriesPicture};

/// The inputs of a workload's prompts, on disk.
#[derive(Clone, Debug)]
pub struct SeriesFiles {
    /// One a prompt, names first.
    pub inputs: Vec<PathBuf>,
    /// What they hold.
    pub about: SeriesInputs,
}

/// Writes the inputs of all prompts below the run's directory, each workload's in a folder of its own. Prompt i has the noise of seed + i: the same for each cell
/// whose latents have the same shape, whatever its width, steps or precision.
///
/// # Errors
/// A prompt that cannot be tokenized, a folder that cannot be written.
pub fn write(cell: &Resolved, prompts: &Prompts, seed: u64, run: &Path) -> Result<SeriesFiles> {
    let folder = std::path::absolute(run.join("inputs").join(inputs_name(&cell.key)))
        .context("cannot resolve the run's directory")?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (mut noise, mut all) = (Sha256::new(), Sha256::new());
    let mut inputs = Vec::new();
    for (index, prompt) in (0u64..).zip(prompts.names.iter().chain(&prompts.compositions)) {
        let seed = seed.wrapping_add(index);
        let made = cell.pipeline.drive.inputs(prompt, seed)?;
        noise.update(made.noise_sha256());
        all.update(made.sha256());
        let path = folder.join(format!("{index:04}.safetensors"));
        made.save(&path)?;
        inputs.push(path);
    }
    let about = SeriesInputs {
        workload: format!(
            "{} {}×{}{}, {} steps{}",
            cell.key.name(),
            cell.key.width,
            cell.key.height,
            cell.key.text_tokens().map(|tokens| format!(", {tokens} text tokens")).unwrap_or_default(),
            cell.key.steps,
            cell.key.sampler().map(|sampler| format!(", {sampler}")).unwrap_or_default()
        ),
        noise_sha256: hex(noise),
        inputs_sha256: hex(all),
    };
    Ok(SeriesFiles { inputs, about })
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The order to a worker: pictures of these inputs into `folder`.
///
/// # Errors
/// A folder that cannot be made.
pub fn order(files: &SeriesFiles, folder: &Path) -> Result<Series> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = std::path::absolute(folder).context("cannot resolve the run's directory")?;
    let picture = |(index, inputs): (usize, &PathBuf)| SeriesPicture {
        inputs: inputs.clone(),
        image: folder.join(picture_name(index)),
    };
    Ok(Series { pictures: files.inputs.iter().enumerate().map(picture).collect(), latents: folder.join(LATENTS) })
}

/// The last latents of all pictures, in their folder.
pub const LATENTS: &str = "latents.safetensors";

/// A picture's file in its folder.
pub fn picture_name(index: usize) -> String {
    format!("{index:04}.png")
}

#[cfg(test)]
mod tests {
    use ditbench_workloads::Inputs;
    use ditbench_workloads::snapgenpp::prompts;

    use super::*;
    use crate::plan::PlanFile;

    #[test]
    fn each_workload_has_inputs_of_its_own() {
        let plan = "[[group]]\nmodel = 'nano'\nbackend = 'reference'\nprecision = 'f32'\ntext-tokens = [77, 333]\nsize = [64, 128]\n";
        let cells = PlanFile::parse(plan, "a plan").unwrap().cells(1).unwrap();
        let cells: Vec<Resolved> = cells.into_iter().map(Resolved::of).collect();
        let mut prompts = prompts::nano().unwrap();
        prompts.names.truncate(2);
        prompts.compositions.clear();
        let run = tempfile::tempdir().unwrap();
        let written: Vec<SeriesFiles> =
            cells.iter().map(|cell| write(cell, &prompts, 7, run.path()).unwrap()).collect();
        assert_eq!(written.len(), 4);
        for (cell, files) in cells.iter().zip(&written) {
            let alone = cell.pipeline.drive.inputs(&prompts.names[0], 7).unwrap();
            let read = Inputs::load(&files.inputs[0]).unwrap();
            for (name, tensor) in &alone.tensors {
                assert_eq!(read.tensor(name), Some(tensor), "{}: {name}", files.about.workload);
            }
            assert_eq!(read.tensors.len(), alone.tensors.len(), "{}", files.about.workload);
            assert_eq!(written.iter().filter(|other| other.about.workload == files.about.workload).count(), 1);
        }
    }
}
