//! Checkpoints that the program carries.
//!
//! Contract: a published checkpoint is a file like a user's own, written to the cache when it is first wanted, so that it
//! is loaded, checked, cut and quantized by the same path.

use std::path::{Path, PathBuf};

use ditbench_graph::weights::WeightsError;
use ditbench_graph::weights::cache::lock;

/// Nano's super-network: `models/nano/nano.safetensors`, see the model card beside it. The program for phones, which is sent what
/// it reads, goes without.
const NANO: Option<&[u8]> = {
    #[cfg(feature = "checkpoint")]
    let carried: Option<&[u8]> = Some(include_bytes!("../../models/nano/nano.safetensors"));
    #[cfg(not(feature = "checkpoint"))]
    let carried: Option<&[u8]> = None;
    carried
};

/// What is said of a published checkpoint in records and tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The variant that it fits: `nano`.
    pub model: &'static str,
    /// SHA-256 of the file, in hex.
    pub sha256: &'static str,
    /// Widths of the nets in it as shares of the widest.
    pub widths: &'static [f64],
    bytes: Option<&'static [u8]>,
}

/// Nano's checkpoint.
pub fn nano() -> Published {
    let sha256 = include_str!("../../models/nano/nano.safetensors.sha256");
    Published {
        model: "nano",
        sha256: sha256.split_once(' ').map_or(sha256, |(hash, _)| hash),
        widths: &[1.0, 0.5, 0.375],
        bytes: NANO,
    }
}

impl Published {
    /// The checkpoint as a file in `cache`: found there whole, or written.
    ///
    /// # Errors
    /// A cache that cannot be written; a build that carries no checkpoints.
    pub fn file(&self, cache: &Path) -> Result<PathBuf, WeightsError> {
        let folder = cache.join("weights");
        let short = self.sha256.get(..16).unwrap_or(self.sha256);
        let path = folder.join(format!("published-{}-{short}.safetensors", self.model));
        let Some(bytes) = self.bytes else {
            let why = "this build carries no checkpoints: build it with the feature `checkpoint`".to_owned();
            return Err(WeightsError::File { path, why });
        };
        let is_whole = || std::fs::read(&path).is_ok_and(|found| found == bytes);
        if is_whole() {
            return Ok(path);
        }
        let fail = |error: std::io::Error| WeightsError::File {
            path: path.clone(),
            why: format!("cannot write the published weights: {error}; choose another folder with --cache"),
        };
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let _lock = lock(&folder)?;
        if !is_whole() {
            let temporary = folder.join(format!(".published-{}.part", self.model));
            std::fs::write(&temporary, bytes).map_err(fail)?;
            std::fs::rename(&temporary, &path).map_err(fail)?;
        }
        Ok(path)
    }
}

#[cfg(all(test, feature = "checkpoint"))]
mod tests {
    use ditbench_graph::hash;
    use ditbench_graph::weights::Weights;

    use super::*;
    use crate::snapgenpp::{ImageSize, Model, Variant};

    #[test]
    fn the_carried_checkpoint_is_what_its_hash_says_and_fits_nano_at_every_width() {
        let cache = tempfile::tempdir().unwrap();
        let published = nano();
        assert_eq!(NANO.map(hash::sha256).as_deref(), Some(published.sha256));
        let path = published.file(cache.path()).unwrap();
        let config = Variant::Nano.config(ImageSize { height: 64, width: 64 });
        for &share in published.widths {
            let model = Model::build(&config.narrowed(share).unwrap()).unwrap();
            Weights::open_for(&path, &model).unwrap();
        }
        // A damaged copy is written anew.
        std::fs::write(&path, b"cut off").unwrap();
        assert_eq!(published.file(cache.path()).unwrap(), path);
        assert_eq!(std::fs::read(&path).ok().as_deref(), NANO);
    }
}
