//! Which weights a model runs with: a checkpoint that the program carries, random numbers from a seed, or a user's file.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use ditbench_graph::weights::Weights;
use ditbench_graph::weights::prepare::Source;
use ditbench_workloads::Pipeline;
use serde::{Deserialize, Serialize};

/// What was asked for with `--weights`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsChoice {
    /// The checkpoint that the program carries for the model; random numbers where there is none.
    #[default]
    Usual,
    /// Random numbers from the seed.
    Random,
    /// A user's own: a safetensors file.
    File(PathBuf),
}

impl FromStr for WeightsChoice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        // The plan is kept and resumed from other folders: a path is made whole at once.
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(if text == "random" { Self::Random } else { Self::File(whole(Path::new(text))) })
    }
}

impl fmt::Display for WeightsChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => f.write_str("usual"),
            Self::Random => f.write_str("random"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl WeightsChoice {
    /// Whether a model's weights are made from the seed.
    pub fn are_random(&self, pipeline: &Pipeline) -> bool {
        match self {
            Self::File(_) => false,
            Self::Random => true,
            Self::Usual => pipeline.drive.checkpoint().is_none() && pipeline.files_precision().is_none(),
        }
    }

    /// Where the numbers of a model come from.
    ///
    /// # Errors
    /// A cache into which the carried checkpoint cannot be written.
    pub fn source(&self, pipeline: &Pipeline, seed: u64, cache: &Path) -> Result<Source> {
        Ok(match self {
            Self::File(path) => Source::File(path.clone()),
            Self::Random => Source::Seed(seed),
            Self::Usual => match pipeline.drive.checkpoint() {
                Some(checkpoint) => Source::File(checkpoint.file(cache)?),
                None => Source::Seed(seed),
            },
        })
    }

    /// Looks a user's own file over before anything starts: that it is whole and has every tensor of the model in its shape.
    /// A file that a cell cannot use is a mistake of the command line, not a row of a record. Gives the tensors that the
    /// model does not read.
    ///
    /// # Errors
    /// Names the file and the first tensors that are missing or have another shape.
    pub fn check(&self, pipeline: &Pipeline) -> Result<Vec<String>> {
        match self {
            Self::File(path) => Ok(Weights::look_over(path, pipeline)?),
            Self::Random | Self::Usual => Ok(Vec::new()),
        }
    }

    /// Whether pictures are of something, rather than noise.
    pub fn is_trained(&self, pipeline: &Pipeline) -> bool {
        match self {
            Self::File(_) => true,
            Self::Random => false,
            // What is in a user's files is the user's to know.
            Self::Usual => pipeline.drive.checkpoint().is_some() || pipeline.files_precision().is_some(),
        }
    }
}
