//! Which weights a model runs with: a checkpoint that the program carries, random numbers from a seed, or a user's file.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use ditbench_graph::weights::Weights;
use ditbench_graph::weights::prepare::Source;
use ditbench_workloads::models::{Model, ModelConfig, Variant};
use ditbench_workloads::published::{self, Published};
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
    pub fn are_random(&self, config: &ModelConfig) -> bool {
        match self {
            Self::File(_) => false,
            Self::Random => true,
            Self::Usual => carried(config).is_none(),
        }
    }

    /// Where the numbers of a model come from.
    ///
    /// # Errors
    /// A cache into which the carried checkpoint cannot be written.
    pub fn source(&self, config: &ModelConfig, seed: u64, cache: &Path) -> Result<Source> {
        Ok(match self {
            Self::File(path) => Source::File(path.clone()),
            Self::Random => Source::Seed(seed),
            Self::Usual => match carried(config) {
                Some(checkpoint) => Source::File(checkpoint.file(cache)?),
                None => Source::Seed(seed),
            },
        })
    }

    /// Looks a user's own file over before anything starts: that it is whole and has every tensor of the model in its shape.
    /// A file that a cell cannot use is a mistake of the command line, not a row of a record.
    ///
    /// # Errors
    /// Names the file and the first tensors that are missing or have another shape.
    pub fn check(&self, model: &Model) -> Result<()> {
        if let Self::File(path) = self {
            Weights::open_for(path, model)?;
        }
        Ok(())
    }

    /// Whether pictures are of something, rather than noise.
    pub fn is_trained(&self, config: &ModelConfig) -> bool {
        match self {
            Self::File(_) => true,
            Self::Random => false,
            Self::Usual => carried(config).is_some(),
        }
    }
}

/// The checkpoint that the program carries for a model: nano's, at the widths that it holds and at any image size.
fn carried(config: &ModelConfig) -> Option<Published> {
    let checkpoint = published::nano();
    let nano = Variant::Nano.config(config.image);
    let fits = |share: &f64| match *share {
        1.0 => nano == *config,
        share => nano.narrowed(share).is_ok_and(|narrower| narrower == *config),
    };
    checkpoint.widths.iter().any(fits).then_some(checkpoint)
}

#[cfg(test)]
mod tests {
    use ditbench_workloads::models::{ImageSize, Rung};

    use super::*;

    const SIZE: ImageSize = ImageSize { height: 64, width: 64 };

    #[test]
    fn nano_is_trained_at_its_three_widths_and_nothing_else_is() {
        let nano = Variant::Nano.config(SIZE);
        for share in [1.0, 0.5, 0.375] {
            let config = if share == 1.0 { nano.clone() } else { nano.narrowed(share).unwrap() };
            assert!(WeightsChoice::Usual.is_trained(&config), "{share}");
            assert!(!WeightsChoice::Random.is_trained(&config));
        }
        let mut dense = nano;
        Rung::PixartMqa.apply(&mut dense);
        let tiny = Variant::Tiny.config(ImageSize { height: 512, width: 512 });
        for config in [dense, tiny] {
            assert!(!WeightsChoice::Usual.is_trained(&config), "{}", config.name);
        }
    }
}
