//! Weights made ready for a run: initialised or read, quantized by a scheme, kept in a cache that is addressed by content.
//!
//! Contract: one tensor is in f32 at a time, so that a model of which only the 4-bit form fits can be made. The same
//! source and scheme give the same file, byte for byte. Processes that want the same file make it once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::cache::{is_whole, lock, stored_hash, sweep};
use super::file::{Lazy, WeightFile, write};
use super::init::init_tensor;
use super::scheme::{BitChoice, MIXED_BITS, choose, format_of, is_quantizable, left_whole};
use super::state::State;
use super::{Format, Net, Scheme, Weights, WeightsError, quantize};
use crate::WeightSpec;
use crate::hash::hex;

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
    pub choice: Option<BitChoice>,
    /// Weights of the bulk that stay in 32 bits under a few-bit scheme, because their rows cannot be cut into groups.
    pub unquantized: Vec<String>,
    /// Tensors of the checkpoint that the model does not read, each with its type.
    pub unread: Vec<String>,
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

/// Prepares the weights of a net under a scheme, in `cache`. `progress` is told the share done, 0..1.
///
/// # Errors
/// A checkpoint that does not fit the model, holds what cannot be quantized or changes meanwhile; a cache that cannot be written.
pub fn prepare(
    net: &dyn Net,
    source: &Source,
    scheme: Scheme,
    cache: &Path,
    progress: impl FnMut(f64),
) -> Result<Prepared, WeightsError> {
    prepare_by(net, source, scheme, Sensitivity::WeightError, cache, progress)
}

/// As [`prepare`]; [`Scheme::Mixed`] chooses by `sensitivity`, which the other schemes do not read.
///
/// # Errors
/// As [`prepare`]; a weight whose sensitivity is not given.
pub fn prepare_by(
    net: &dyn Net,
    source: &Source,
    scheme: Scheme,
    sensitivity: Sensitivity<'_>,
    cache: &Path,
    mut progress: impl FnMut(f64),
) -> Result<Prepared, WeightsError> {
    let specs = specs(net);
    let checkpoint = match source {
        Source::Seed(_) => None,
        Source::File(path) => Some(Checkpoint::open(path, net)?),
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
    let path = folder.join(format!("{}-{}-{}.safetensors", net.family(), scheme.name(), &key[..16]));
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
    let unquantized = left_whole(scheme, specs.values());
    let (bytes, choice) = (file.bytes(), file.header().choice.clone());
    let unread = checkpoint.map_or_else(Vec::new, |checkpoint| checkpoint.unread);
    Ok(Prepared { sha256: stored_hash(&path)?, bytes, origin, choice, unquantized, unread, cached, path })
}

/// A checkpoint, and what it was when it was opened.
struct Checkpoint {
    path: PathBuf,
    weights: Weights,
    sha256: String,
    state: State,
    unread: Vec<String>,
}

impl Checkpoint {
    fn open(path: &Path, net: &dyn Net) -> Result<Self, WeightsError> {
        let file = WeightFile::open(path)?;
        let state = file.state();
        // Of the bytes from which the numbers will come: by now the path may lead to others.
        let (sha256, unread) = (file.sha256(), file.unread_by(net));
        let weights = net.fit(file, path)?;
        Ok(Self { path: path.to_owned(), weights, sha256, state, unread })
    }
}

/// All weights of a model, each name once.
fn specs(net: &dyn Net) -> BTreeMap<String, WeightSpec> {
    net.graphs().into_iter().flat_map(|graph| &graph.weights).map(|spec| (spec.name.clone(), spec.clone())).collect()
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
