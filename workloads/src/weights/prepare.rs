//! Weights made ready for a run: initialised or read, quantized by a scheme, kept in a cache that is addressed by content.
//!
//! Contract: one tensor is in f32 at a time, so that a model of which only the 4-bit form fits can be made. The same
//! source and scheme give the same file, byte for byte. Processes that want the same file make it once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::cache::{hex, is_whole, lock, stored_hash, sweep};
use super::file::{Lazy, WeightFile, write};
use super::init::init_tensor;
use super::scheme::{Choice, MIXED_BITS, choose, format_of, is_quantizable, left_whole};
use super::state::State;
use super::{Format, Scheme, Weights, WeightsError, quantize};
use crate::graph::WeightSpec;
use crate::models::Model;

/// Raised whenever the bytes that a scheme gives change.
const VERSION: u32 = 1;

/// Where the numbers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Seeded initialisation.
    Seed(u64),
    /// A safetensors file in f32, f16 or bf16.
    File(PathBuf),
}

/// Weights on disk, ready to be mapped.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Where the numbers come from, in words.
    pub origin: String,
    /// Which weights the mixed scheme gave 8 bits.
    pub choice: Option<Choice>,
    /// Weights of the bulk that stay in 32 bits under a few-bit scheme, because their rows cannot be cut into groups.
    pub unquantized: Vec<String>,
    /// Whether the file was found rather than made.
    pub cached: bool,
}

/// By what [`Scheme::Mixed`] chooses the weights that get 8 bits.
#[derive(Clone, Copy, Debug)]
pub enum Sensitivity<'a> {
    /// The relative squared error that 4 bits make in the weights themselves: a stand-in that needs no backend.
    ///
    /// A weak one where weights are initialised, because all are then alike: on nano (6 weight seeds, 2 noises each) the
    /// latent's squared error after a step was 0.76 to 1.13 times that of `q4`, and with [`Sensitivity::Measured`],
    /// measured on another noise and prompt, 0.22 to 0.46 times.
    WeightError,
    /// For every weight that the scheme quantizes, the error that it causes when it alone is in 4 bits (the paper: the
    /// squared error of the output); the caller measures it.
    Measured {
        /// By weight, in any unit that is the same for all.
        errors: &'a BTreeMap<String, f64>,
        /// What was measured, in words: kept with the choice.
        how: &'a str,
    },
}

/// Prepares the weights of a model under a scheme, in `cache`. `progress` is told the share done, 0..1.
///
/// # Errors
/// A checkpoint that does not fit the model, holds what cannot be quantized or changes meanwhile; a cache that cannot be written.
pub fn prepare(
    model: &Model,
    source: &Source,
    scheme: Scheme,
    cache: &Path,
    progress: impl FnMut(f64),
) -> Result<Prepared, WeightsError> {
    prepare_by(model, source, scheme, Sensitivity::WeightError, cache, progress)
}

/// As [`prepare`]; [`Scheme::Mixed`] chooses by `sensitivity`, which the other schemes do not read.
///
/// # Errors
/// As [`prepare`]; a weight whose sensitivity is not given.
pub fn prepare_by(
    model: &Model,
    source: &Source,
    scheme: Scheme,
    sensitivity: Sensitivity<'_>,
    cache: &Path,
    mut progress: impl FnMut(f64),
) -> Result<Prepared, WeightsError> {
    let specs = specs(model);
    let checkpoint = match source {
        Source::Seed(_) => None,
        Source::File(path) => Some(Checkpoint::open(path, model)?),
    };
    let origin = match source {
        Source::Seed(seed) => format!("random, seed {seed}"),
        Source::File(path) => {
            let hash = checkpoint.as_ref().map_or("", |checkpoint| checkpoint.sha256.as_str());
            format!("{}, SHA-256 {hash}", path.file_name().unwrap_or_default().to_string_lossy())
        }
    };
    let key = key(&specs, &origin, scheme, sensitivity);
    let folder = cache.join("weights");
    let path = folder.join(format!("{}-{}-{}.safetensors", model.config.name, scheme.name(), &key[..16]));
    let mut cached = is_whole(&path);
    if !cached {
        std::fs::create_dir_all(&folder).map_err(|error| WeightsError::File {
            path: folder.clone(),
            why: format!("cannot make the folder: {error}; choose another with --cache"),
        })?;
        let _lock = lock(&folder)?;
        // Another process may have made it while this one waited.
        cached = is_whole(&path);
        if !cached {
            sweep(&folder);
            make(&path, &specs, checkpoint.as_ref(), source, scheme, sensitivity, &origin, &mut progress)?;
        }
    }
    let file = WeightFile::open(&path)?;
    let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let unquantized = left_whole(scheme, specs.values());
    let choice = file.header().choice.clone();
    Ok(Prepared { sha256: stored_hash(&path)?, bytes, origin, choice, unquantized, cached, path })
}

/// A checkpoint, and what it was when it was opened.
struct Checkpoint {
    path: PathBuf,
    weights: Weights,
    sha256: String,
    state: State,
}

impl Checkpoint {
    fn open(path: &Path, model: &Model) -> Result<Self, WeightsError> {
        let file = WeightFile::open(path)?;
        let state = file.state();
        // Of the bytes from which the numbers will come: by now the path may lead to others.
        let sha256 = file.sha256();
        let weights = Weights::fitted(file, path, model)?;
        Ok(Self { path: path.to_owned(), weights, sha256, state })
    }
}

/// All weights of a model, each name once.
fn specs(model: &Model) -> BTreeMap<String, WeightSpec> {
    model.graphs().iter().flat_map(|graph| &graph.weights).map(|spec| (spec.name.clone(), spec.clone())).collect()
}

/// What decides the file's bytes, hashed.
fn key(specs: &BTreeMap<String, WeightSpec>, origin: &str, scheme: Scheme, sensitivity: Sensitivity<'_>) -> String {
    let specs = serde_json::to_vec(specs).unwrap_or_default();
    let errors = match sensitivity {
        Sensitivity::Measured { errors, .. } if scheme == Scheme::Mixed => {
            serde_json::to_vec(errors).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let hash = Sha256::new()
        .chain_update(VERSION.to_le_bytes())
        .chain_update(specs)
        .chain_update(origin)
        .chain_update(scheme.name())
        .chain_update(errors);
    hex(&hash.finalize())
}

#[expect(clippy::too_many_arguments, reason = "private: what `prepare_by` was asked, and what it found out")]
fn make(
    path: &Path,
    specs: &BTreeMap<String, WeightSpec>,
    checkpoint: Option<&Checkpoint>,
    source: &Source,
    scheme: Scheme,
    sensitivity: Sensitivity<'_>,
    origin: &str,
    progress: &mut impl FnMut(f64),
) -> Result<(), WeightsError> {
    let values = |spec: &WeightSpec| -> Vec<f32> {
        match (checkpoint, source) {
            // `check` has found every tensor there.
            (Some(Checkpoint { weights, .. }), _) => {
                weights.store.get(&spec.name).map(|tensor| tensor.to_f32().into_owned()).unwrap_or_default()
            }
            (None, Source::Seed(seed)) => init_tensor(spec, *seed),
            (None, Source::File(_)) => Vec::new(),
        }
    };
    let fail = |why: String| WeightsError::File { path: path.to_owned(), why };
    if checkpoint.is_some() {
        // A checkpoint may hold anything: what cannot be stored is told before anything is written.
        for spec in specs.values() {
            let (k, format) = (spec.shape.last().copied().unwrap_or(1), format_of(scheme, spec));
            quantize::check_storable(&values(spec), k, format)
                .map_err(|why| fail(format!("tensor \"{}\": {why}", spec.name)))?;
        }
    }
    let choice = match (scheme, sensitivity) {
        (Scheme::Mixed, Sensitivity::WeightError) => {
            Some((weight_errors(specs, &values), "relative squared error of the 4-bit weights"))
        }
        (Scheme::Mixed, Sensitivity::Measured { errors, how }) => Some((errors.clone(), how)),
        _ => None,
    };
    let choice = choice
        .map(|(errors, measured)| choose(&specs.values().collect::<Vec<_>>(), &errors, MIXED_BITS, measured))
        .transpose()
        .map_err(|error| fail(error.to_string()))?;
    let formats: BTreeMap<&str, Format> = specs
        .values()
        .map(|spec| {
            let eight = choice.as_ref().is_some_and(|choice| choice.eight_bit.contains(&spec.name));
            (spec.name.as_str(), if eight { Format::Q8 } else { format_of(scheme, spec) })
        })
        .collect();
    let total: usize = specs.values().map(WeightSpec::len).sum();
    let done = std::cell::Cell::new(0usize);
    let progress = std::cell::RefCell::new(progress);
    let tensors = specs
        .iter()
        .map(|(name, spec)| {
            let format = formats[name.as_str()];
            let (values, done, progress) = (&values, &done, &progress);
            let make = move || {
                let bytes = pack(spec, format, &values(spec)).map_err(|why| why.to_string())?;
                done.set(done.get() + spec.len());
                (progress.borrow_mut())(done.get() as f64 / total.max(1) as f64);
                Ok(bytes)
            };
            (name.clone(), Lazy { shape: spec.shape.clone(), format, make: Box::new(make) })
        })
        .collect();
    if let Some(choice) = &choice {
        // For people and other tools; what counts is in the file's own header.
        let text = serde_json::to_vec_pretty(choice).map_err(|error| fail(error.to_string()))?;
        std::fs::write(choice_path(path), text).map_err(|error| fail(error.to_string()))?;
    }
    // The hash in the file's name and origin must be that of the numbers in it.
    write(path, &tensors, choice, origin, || checkpoint.map_or(Ok(()), |it| it.state.check(&it.path)))
}

/// Where the choice of the mixed scheme lies, as JSON: beside its weights.
pub fn choice_path(weights: &Path) -> PathBuf {
    weights.with_extension("choice.json")
}

/// For each quantizable weight, the squared error that 4 bits make in it, over its mean square.
fn weight_errors(
    specs: &BTreeMap<String, WeightSpec>,
    values: &impl Fn(&WeightSpec) -> Vec<f32>,
) -> BTreeMap<String, f64> {
    specs
        .values()
        .filter(|spec| is_quantizable(spec))
        .map(|spec| {
            let exact = values(spec);
            let mean = exact.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / exact.len().max(1) as f64;
            // What cannot be quantized is refused when it is packed; no number stands for it here.
            let error = quantize::q4(&exact, spec.shape[1]).map_or(f64::NAN, |groups| {
                let back =
                    super::WeightTensor { shape: spec.shape.clone(), data: super::WeightData::Q4(groups.into()) };
                exact.iter().zip(back.to_f32().iter()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            });
            (spec.name.clone(), if mean == 0.0 { 0.0 } else { error / mean })
        })
        .collect()
}

/// A weight's bytes as stored.
fn pack(spec: &WeightSpec, format: Format, values: &[f32]) -> Result<Vec<u8>, quantize::QuantizeError> {
    let k = spec.shape.last().copied().unwrap_or(1);
    Ok(match format {
        Format::F32 => {
            quantize::check_storable(values, k, format)?;
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        Format::F16 => quantize::f16(values)?,
        Format::Q4 => quantize::q4(values, k)?,
        Format::Q8 => quantize::q8(values, k)?,
        Format::Palette4 => {
            let (centroids, indices) = quantize::palette4(values)?;
            centroids.iter().flat_map(|c| c.to_le_bytes()).chain(indices).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{ImageSize, Variant};

    fn model() -> Model {
        Model::build(&Variant::Nano.config(ImageSize { height: 64, width: 64 })).unwrap()
    }

    #[test]
    fn a_prepared_file_is_found_again_and_holds_what_was_initialised() {
        let cache = tempfile::tempdir().unwrap();
        let model = model();
        let first = prepare(&model, &Source::Seed(7), Scheme::F32, cache.path(), |_| {}).unwrap();
        let again = prepare(&model, &Source::Seed(7), Scheme::F32, cache.path(), |_| {}).unwrap();
        assert!(!first.cached && again.cached && first.sha256 == again.sha256);
        let weights = Weights::open(&first.path).unwrap();
        weights.check(&model.graphs(), &first.path).unwrap();
        let id = crate::graph::WeightId(0);
        let tensor = weights.tensor(&model.denoiser, id).unwrap();
        assert_eq!(tensor.to_f32().as_ref(), init_tensor(model.denoiser.weight(id), 7));
        let other = prepare(&model, &Source::Seed(8), Scheme::F32, cache.path(), |_| {}).unwrap();
        assert_ne!(other.sha256, first.sha256);
    }

    #[test]
    fn weights_do_not_depend_on_the_image() {
        let cache = tempfile::tempdir().unwrap();
        let wide = Model::build(&Variant::Nano.config(ImageSize { height: 64, width: 128 })).unwrap();
        let a = prepare(&model(), &Source::Seed(7), Scheme::Q4, cache.path(), |_| {}).unwrap();
        let b = prepare(&wide, &Source::Seed(7), Scheme::Q4, cache.path(), |_| {}).unwrap();
        assert_eq!(a.path, b.path);
    }

    #[test]
    fn every_scheme_gives_what_it_says() {
        let cache = tempfile::tempdir().unwrap();
        let model = model();
        let mut sizes = Vec::new();
        for scheme in [Scheme::Palette4, Scheme::Q4, Scheme::Mixed, Scheme::Q8, Scheme::F16, Scheme::F32] {
            let mut seen = 0.0;
            let prepared = prepare(&model, &Source::Seed(7), scheme, cache.path(), |share| seen = share).unwrap();
            assert!((seen - 1.0).abs() < 1e-9, "progress ends at 1");
            let weights = Weights::open(&prepared.path).unwrap();
            for (index, spec) in model.denoiser.weights.iter().enumerate() {
                let tensor = weights.tensor(&model.denoiser, crate::graph::WeightId(index)).unwrap();
                match scheme {
                    Scheme::Mixed => {
                        assert!(!is_quantizable(spec) || matches!(tensor.format(), Format::Q4 | Format::Q8))
                    }
                    _ => assert_eq!(tensor.format(), format_of(scheme, spec), "{}", spec.name),
                }
            }
            if scheme == Scheme::Mixed {
                let choice = prepared.choice.unwrap();
                assert!(choice.average_bits <= MIXED_BITS && choice.average_bits > 4.2 && !choice.eight_bit.is_empty());
            }
            sizes.push(prepared.bytes);
        }
        assert!(sizes.is_sorted(), "more bits, more bytes: {sizes:?}");
    }

    #[test]
    fn a_checkpoint_is_checked_and_quantized() {
        let cache = tempfile::tempdir().unwrap();
        let model = model();
        let own = prepare(&model, &Source::Seed(3), Scheme::F16, cache.path(), |_| {}).unwrap();
        let source = Source::File(own.path.clone());
        let q4 = prepare(&model, &source, Scheme::Q4, cache.path(), |_| {}).unwrap();
        assert!(q4.origin.contains(&own.sha256));
        let other = Model::build(&Variant::Tiny.config(ImageSize { height: 256, width: 256 })).unwrap();
        let error = prepare(&other, &source, Scheme::F32, cache.path(), |_| {}).unwrap_err().to_string();
        assert!(
            error.contains("not this model's") && error.contains("wants shape") && error.contains("more"),
            "{error}"
        );
        assert!(!error.contains('\n'));
    }

    /// A file with the numbers of nano, but for one.
    fn checkpoint_with(model: &Model, folder: &Path, name: &str, value: f32) -> PathBuf {
        let specs = specs(model);
        let stored: Vec<(String, Vec<usize>, Vec<u8>)> = specs
            .values()
            .map(|spec| {
                let mut values = init_tensor(spec, 1);
                if spec.name == name {
                    values[5] = value;
                }
                (spec.name.clone(), spec.shape.clone(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let views = stored.iter().map(|(name, shape, bytes)| {
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
        });
        let path = folder.join("torch.safetensors");
        safetensors::serialize_to_file(views, None, &path).unwrap();
        path
    }

    #[test]
    fn a_value_that_cannot_be_stored_is_told_by_its_tensor_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let model = model();
        let name = model.denoiser.weights.iter().find(|spec| is_quantizable(spec)).unwrap().name.clone();
        for (value, schemes) in [
            (f32::NAN, [Scheme::F32, Scheme::F16, Scheme::Q4, Scheme::Q8, Scheme::Mixed, Scheme::Palette4].as_slice()),
            (1e6, &[Scheme::F16, Scheme::Q4, Scheme::Mixed]),
        ] {
            let source = Source::File(checkpoint_with(&model, folder.path(), &name, value));
            for &scheme in schemes {
                let error = prepare(&model, &source, scheme, folder.path(), |_| {}).unwrap_err().to_string();
                assert!(error.contains(&name) && error.contains("element 5 is"), "{scheme:?} {error}");
            }
        }
        let made: Vec<_> = std::fs::read_dir(folder.path().join("weights")).unwrap().flatten().collect();
        assert!(made.len() == 1 && made[0].file_name() == ".lock", "{made:?}");
    }

    #[test]
    fn a_checkpoint_that_changes_while_it_is_read_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let model = model();
        let path = checkpoint_with(&model, folder.path(), "", 0.0);
        let copy = folder.path().join("copy");
        let source = Source::File(path.clone());
        std::fs::copy(&path, &copy).unwrap();
        let written_to = || {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        };
        // The same bytes, but who knows.
        let replaced = || std::fs::rename(&copy, &path).unwrap();
        for change in [&written_to as &dyn Fn(), &replaced] {
            let mut change = Some(change);
            let progress = |_| change.take().into_iter().for_each(|change| change());
            let error = prepare(&model, &source, Scheme::F16, folder.path(), progress).unwrap_err().to_string();
            assert!(error.contains("torch.safetensors: the checkpoint changed while it was read"), "{error}");
            let made: Vec<_> = std::fs::read_dir(folder.path().join("weights")).unwrap().flatten().collect();
            assert!(made.len() == 1 && made[0].file_name() == ".lock", "{made:?}");
        }
        assert!(!prepare(&model, &source, Scheme::F16, folder.path(), |_| {}).unwrap().cached);
    }

    #[test]
    fn who_comes_together_makes_it_once() {
        let cache = tempfile::tempdir().unwrap();
        let (model, barrier) = (model(), std::sync::Barrier::new(3));
        let made = std::thread::scope(|scope| {
            let one = || {
                barrier.wait();
                prepare(&model, &Source::Seed(7), Scheme::Q4, cache.path(), |_| {}).unwrap()
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(made.iter().filter(|prepared| !prepared.cached).count(), 1);
        assert!(made.iter().all(|prepared| prepared.sha256 == made[0].sha256));
    }

    #[test]
    fn a_damaged_file_in_the_cache_is_made_again_and_what_was_left_is_swept() {
        let cache = tempfile::tempdir().unwrap();
        let model = model();
        let first = prepare(&model, &Source::Seed(7), Scheme::Q4, cache.path(), |_| {}).unwrap();
        let whole = std::fs::read(&first.path).unwrap();
        std::fs::write(&first.path, &whole[..whole.len() - 1]).unwrap();
        let left = first.path.with_file_name(".tmpAbC123");
        std::fs::write(&left, b"half").unwrap();
        let again = prepare(&model, &Source::Seed(7), Scheme::Q4, cache.path(), |_| {}).unwrap();
        assert!(!again.cached && again.sha256 == first.sha256 && !left.exists());
        // A flipped bit leaves the file whole; its hash is of what is there, not of what was.
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        std::fs::write(&first.path, flipped).unwrap();
        let changed = prepare(&model, &Source::Seed(7), Scheme::Q4, cache.path(), |_| {}).unwrap();
        assert_ne!(changed.sha256, first.sha256);
    }

    #[test]
    fn measured_sensitivities_decide_and_must_be_complete() {
        let cache = tempfile::tempdir().unwrap();
        let model = model();
        let specs = specs(&model);
        let quantizable: Vec<&WeightSpec> = specs.values().filter(|spec| is_quantizable(spec)).collect();
        let worst = quantizable.iter().min_by_key(|spec| spec.len()).unwrap();
        let mut errors: BTreeMap<String, f64> = quantizable.iter().map(|spec| (spec.name.clone(), 1e-6)).collect();
        errors.insert(worst.name.clone(), 1.0);
        let run = |errors: &BTreeMap<String, f64>| {
            let sensitivity = Sensitivity::Measured { errors, how: "a test" };
            prepare_by(&model, &Source::Seed(7), Scheme::Mixed, sensitivity, cache.path(), |_| {})
        };
        let measured = run(&errors).unwrap();
        assert!(measured.choice.unwrap().eight_bit.contains(&worst.name));
        let stand_in = prepare(&model, &Source::Seed(7), Scheme::Mixed, cache.path(), |_| {}).unwrap();
        assert_ne!(stand_in.path, measured.path, "another choice is another file");
        errors.remove(&worst.name);
        assert!(run(&errors).unwrap_err().to_string().contains(&worst.name));
    }

    #[test]
    fn a_read_only_cache_is_one_clear_line() {
        let cache = tempfile::tempdir().unwrap();
        std::fs::write(cache.path().join("weights"), b"a file where a folder should be").unwrap();
        let error = prepare(&model(), &Source::Seed(7), Scheme::F32, cache.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains("--cache"), "{error}");
    }
}
