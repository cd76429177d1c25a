//! Weights made ready for a run: initialised or read, quantized by a scheme, kept in a cache that is addressed by content.
//!
//! Contract: one tensor is in f32 at a time, so that a model of which only the 4-bit form fits can be made. The same
//! source and scheme give the same file, byte for byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use half::f16;
use sha2::{Digest, Sha256};

use super::file::{Lazy, WeightFile, write};
use super::init::init_tensor;
use super::scheme::{Choice, MIXED_BITS, choose, format_of, is_quantizable};
use super::{Format, Scheme, WeightStore, Weights, WeightsError, quantize};
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
    /// Whether the file was found rather than made.
    pub cached: bool,
}

/// Prepares the weights of a model under a scheme, in `cache`. `progress` is told the share done, 0..1.
///
/// # Errors
/// A checkpoint that does not fit the model or holds what cannot be quantized; a cache that cannot be written.
pub fn prepare(
    model: &Model,
    source: &Source,
    scheme: Scheme,
    cache: &Path,
    mut progress: impl FnMut(f64),
) -> Result<Prepared, WeightsError> {
    let specs = specs(model);
    let checkpoint = match source {
        Source::Seed(_) => None,
        Source::File(path) => {
            let weights = Weights::open(path)?;
            weights.check(&model.graphs(), path)?;
            Some((WeightFile::open(path)?, sha256_of(path)?))
        }
    };
    let origin = match source {
        Source::Seed(seed) => format!("random, seed {seed}"),
        Source::File(path) => {
            let hash = checkpoint.as_ref().map_or("", |(_, hash)| hash.as_str());
            format!("{}, SHA-256 {hash}", path.file_name().unwrap_or_default().to_string_lossy())
        }
    };
    let key = key(&specs, &origin, scheme);
    let folder = cache.join("weights");
    let path = folder.join(format!("{}-{}-{}.safetensors", model.config.name, scheme.name(), &key[..16]));
    let cached = path.is_file();
    if !cached {
        std::fs::create_dir_all(&folder).map_err(|error| WeightsError::File {
            path: folder.clone(),
            why: format!("cannot make the folder: {error}; choose another with --cache"),
        })?;
        let store = checkpoint.as_ref().map(|(file, _)| file);
        make(&path, &specs, store, source, scheme, &origin, &mut progress)?;
    }
    let file = WeightFile::open(&path)?;
    let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    Ok(Prepared { sha256: stored_hash(&path)?, bytes, origin, choice: file.header().choice.clone(), cached, path })
}

/// All weights of a model, each name once.
fn specs(model: &Model) -> BTreeMap<String, WeightSpec> {
    model.graphs().iter().flat_map(|graph| &graph.weights).map(|spec| (spec.name.clone(), spec.clone())).collect()
}

/// What decides the file's bytes, hashed.
fn key(specs: &BTreeMap<String, WeightSpec>, origin: &str, scheme: Scheme) -> String {
    let specs = serde_json::to_vec(specs).unwrap_or_default();
    let hash = Sha256::new()
        .chain_update(VERSION.to_le_bytes())
        .chain_update(specs)
        .chain_update(origin)
        .chain_update(scheme.name());
    hex(&hash.finalize())
}

fn make(
    path: &Path,
    specs: &BTreeMap<String, WeightSpec>,
    store: Option<&WeightFile>,
    source: &Source,
    scheme: Scheme,
    origin: &str,
    progress: &mut impl FnMut(f64),
) -> Result<(), WeightsError> {
    let values = |spec: &WeightSpec| -> Vec<f32> {
        match (store, source) {
            // `check` has found every tensor there.
            (Some(file), _) => file.get(&spec.name).map(|tensor| tensor.to_f32().into_owned()).unwrap_or_default(),
            (None, Source::Seed(seed)) => init_tensor(spec, *seed),
            (None, Source::File(_)) => Vec::new(),
        }
    };
    let choice = (scheme == Scheme::Mixed).then(|| by_weight_error(specs, &values));
    let formats: BTreeMap<&str, Format> = specs
        .values()
        .map(|spec| {
            let eight = choice.as_ref().is_some_and(|choice| choice.eight_bit.contains(&spec.name));
            (spec.name.as_str(), if eight { Format::Q8 } else { format_of(scheme, spec) })
        })
        .collect();
    for spec in specs.values().filter(|_| store.is_some()) {
        // A checkpoint may hold anything: what cannot be stored is told before half a file is written.
        pack(spec, formats[spec.name.as_str()], &values(spec)).map_err(|why| WeightsError::File {
            path: path.to_owned(),
            why: format!("tensor \"{}\": {why}", spec.name),
        })?;
    }
    let total: usize = specs.values().map(WeightSpec::len).sum();
    let done = std::cell::Cell::new(0usize);
    let progress = std::cell::RefCell::new(progress);
    let tensors = specs
        .iter()
        .map(|(name, spec)| {
            let format = formats[name.as_str()];
            let (values, done, progress) = (&values, &done, &progress);
            let make = move || {
                // Initialised values are finite, and a checkpoint's have been tried: packing cannot fail here.
                let bytes = pack(spec, format, &values(spec)).unwrap_or_default();
                done.set(done.get() + spec.len());
                (progress.borrow_mut())(done.get() as f64 / total.max(1) as f64);
                bytes
            };
            (name.clone(), Lazy { shape: spec.shape.clone(), format, make: Box::new(make) })
        })
        .collect();
    write(path, &tensors, choice, origin)
}

/// The mixed scheme's choice where no layer has been measured by itself: by the squared error that 4 bits make in the weights.
fn by_weight_error(specs: &BTreeMap<String, WeightSpec>, values: &impl Fn(&WeightSpec) -> Vec<f32>) -> Choice {
    let errors = specs
        .values()
        .filter(|spec| is_quantizable(spec))
        .map(|spec| {
            let exact = values(spec);
            let mean = exact.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / exact.len().max(1) as f64;
            let error = quantize::q4(&exact, spec.shape[1]).map_or(0.0, |groups| {
                let back =
                    super::WeightTensor { shape: spec.shape.clone(), data: super::WeightData::Q4(groups.into()) };
                exact.iter().zip(back.to_f32().iter()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            });
            (spec.name.clone(), if mean > 0.0 { error / mean } else { 0.0 })
        })
        .collect();
    choose(&specs.values().collect::<Vec<_>>(), &errors, MIXED_BITS, "relative squared error of the 4-bit weights")
}

/// A weight's bytes as stored.
fn pack(spec: &WeightSpec, format: Format, values: &[f32]) -> Result<Vec<u8>, quantize::QuantizeError> {
    let k = spec.shape.last().copied().unwrap_or(1);
    Ok(match format {
        Format::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Format::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        Format::Q4 => quantize::q4(values, k)?,
        Format::Q8 => quantize::q8(values, k)?,
        Format::Palette4 => {
            let (centroids, indices) = quantize::palette4(values)?;
            centroids.iter().flat_map(|c| c.to_le_bytes()).chain(indices).collect()
        }
    })
}

/// The hash of a file of ours: kept beside it, because hashing a gigabyte takes longer than a run of nano.
fn stored_hash(path: &Path) -> Result<String, WeightsError> {
    let beside = path.with_extension("sha256");
    let length = std::fs::metadata(path).map_or(0, |meta| meta.len());
    if let Ok(text) = std::fs::read_to_string(&beside)
        && let Some((hash, size)) = text.trim().split_once(' ')
        && hash.len() == 64
        && size.parse() == Ok(length)
    {
        return Ok(hash.to_owned());
    }
    let hash = sha256_of(path)?;
    // Best effort: without it the next run hashes again.
    let _ = std::fs::write(&beside, format!("{hash} {length}\n"));
    Ok(hash)
}

/// SHA-256 of a file, in hex.
fn sha256_of(path: &Path) -> Result<String, WeightsError> {
    let fail =
        |error: std::io::Error| WeightsError::File { path: path.to_owned(), why: format!("cannot read: {error}") };
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(fail)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
        for scheme in [Scheme::Q4, Scheme::Mixed, Scheme::Q8, Scheme::F16, Scheme::F32] {
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

    #[test]
    fn a_read_only_cache_is_one_clear_line() {
        let cache = tempfile::tempdir().unwrap();
        std::fs::write(cache.path().join("weights"), b"a file where a folder should be").unwrap();
        let error = prepare(&model(), &Source::Seed(7), Scheme::F32, cache.path(), |_| {}).unwrap_err().to_string();
        assert!(error.contains("--cache"), "{error}");
    }
}
