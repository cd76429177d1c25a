//! Weights prepared for a real model: nano, made, quantized, kept and found again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ditbench_graph::weights::init::init_tensor;
use ditbench_graph::weights::prepare::{Sensitivity, Source, prepare, prepare_by};
use ditbench_graph::weights::scheme::{MIXED_BITS, is_quantizable};
use ditbench_graph::weights::{Format, Scheme, Weights, format_of};
use ditbench_graph::{WeightId, WeightSpec};
use ditbench_workloads::snapgenpp::{ImageSize, Model, Variant};

/// All weights of a model, each name once.
fn specs(model: &Model) -> BTreeMap<String, WeightSpec> {
    model.graphs().iter().flat_map(|graph| &graph.weights).map(|spec| (spec.name.clone(), spec.clone())).collect()
}

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
    let id = WeightId(0);
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
            let tensor = weights.tensor(&model.denoiser, WeightId(index)).unwrap();
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
    assert!(q4.origin.contains(&own.sha256) && q4.unread.is_empty());
    let other = Model::build(&Variant::Tiny.config(ImageSize { height: 256, width: 256 })).unwrap();
    let error = prepare(&other, &source, Scheme::F32, cache.path(), |_| {}).unwrap_err().to_string();
    assert!(
        error.contains("do not belong to this model") && error.contains("wants shape") && error.contains("more"),
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
