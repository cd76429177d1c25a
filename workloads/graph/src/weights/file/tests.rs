//! Files of weights: written, read, damaged.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::weights::quantize;

fn sample(folder: &Path) -> PathBuf {
    let path = folder.join("w.safetensors");
    let values: Vec<f32> = (0..64).map(|i| i as f32 - 31.5).collect();
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let lazy = |shape: &[usize], format, data: Vec<u8>| Lazy {
        shape: shape.to_vec(),
        format,
        make: Box::new(move || Ok(data.clone())),
    };
    let tensors = BTreeMap::from([
        ("plain".to_owned(), lazy(&[2, 32], Format::F32, bytes(&values))),
        ("four".to_owned(), lazy(&[2, 32], Format::Q4, quantize::q4(&values, 32).unwrap())),
        ("eight".to_owned(), lazy(&[2, 32], Format::Q8, quantize::q8(&values, 32).unwrap())),
    ]);
    write(&path, &tensors, None, "a test", || Ok(())).unwrap();
    path
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = WeightFile::open(&sample(folder.path())).unwrap();
    assert_eq!(file.names(), ["eight", "four", "plain"]);
    assert_eq!(file.header().origin, "a test");
    assert_eq!(file.get("plain").unwrap().to_f32()[63], 31.5);
    let four = file.get("four").unwrap();
    assert_eq!((four.format(), four.shape.as_slice()), (Format::Q4, &[2, 32][..]));
    assert!((four.to_f32()[0] + 31.5).abs() < 0.1);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

/// Kilobytes of a mapped file in this process's memory.
#[cfg(target_os = "linux")]
fn resident_kb(path: &Path) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let of_file = maps.lines().skip_while(|line| !line.ends_with(path.to_str().unwrap()));
    let line = of_file.into_iter().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_released_is_not_resident_and_is_read_again_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("w.safetensors");
    let numbers = |name: f32| -> Vec<f32> { (0..1 << 20).map(|i| i as f32 + name).collect() };
    let lazy = |name: f32| Lazy {
        shape: vec![1 << 20],
        format: Format::F32,
        make: Box::new(move || Ok(numbers(name).iter().flat_map(|v| v.to_le_bytes()).collect())),
    };
    let tensors = BTreeMap::from([("a".to_owned(), lazy(0.0)), ("b".to_owned(), lazy(0.5))]);
    write(&path, &tensors, None, "a test", || Ok(())).unwrap();
    let file = WeightFile::open(&path).unwrap();
    let read = |name, expected: Vec<f32>| assert!(*file.get(name).unwrap().to_f32() == *expected);
    read("a", numbers(0.0));
    read("b", numbers(0.5));
    assert!(resident_kb(&path) >= 8192);
    file.release("b");
    file.release("there is no such tensor");
    let left = resident_kb(&path);
    assert!((4096 - 64..4096 + 64).contains(&left), "{left} kB: \"a\" alone, but for a page that both share");
    read("b", numbers(0.5));
}

#[test]
fn the_hash_is_of_what_was_mapped_and_another_file_in_its_place_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let hash = |path: &Path| hex(&Sha256::digest(std::fs::read(path).unwrap()));
    let file = WeightFile::open(&path).unwrap();
    let first = hash(&path);
    assert_eq!(file.sha256(), first);
    file.state().check(&path).unwrap();
    let other = folder.path().join("other");
    write(&other, &BTreeMap::new(), None, "another", || Ok(())).unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(file.sha256() == first && hash(&path) != first);
    let error = file.state().check(&path).unwrap_err().to_string();
    assert!(error.contains("w.safetensors: the checkpoint changed while it was read"), "{error}");
}

#[test]
fn a_truncated_file_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(folder.path());
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = WeightFile::open(&path).err().unwrap().to_string();
        assert!(error.contains("w.safetensors") && !error.contains('\n'), "{cut}: {error}");
    }
}

#[test]
fn a_tensor_that_cannot_be_made_leaves_nothing() {
    for (made, told) in [(Err("is NaN".to_owned()), "\"a\": is NaN"), (Ok(vec![0; 7]), "has 7 bytes, not 8")] {
        let folder = tempfile::tempdir().unwrap();
        let lazy = |made: Result<Vec<u8>, String>| Lazy {
            shape: vec![2],
            format: Format::F32,
            make: Box::new(move || made.clone()),
        };
        let tensors = BTreeMap::from([("a".to_owned(), lazy(made)), ("b".to_owned(), lazy(Ok(vec![1; 8])))]);
        let error = write(&folder.path().join("w"), &tensors, None, "", || Ok(())).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn every_fault_is_listed_and_files_of_training_programs_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torch.safetensors");
    let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(Dtype::BF16, vec![2], &half).unwrap();
    safetensors::serialize_to_file([("toy.bias", view)], None, &path).unwrap();
    let weights = Weights::open(&path).unwrap();
    let mut b = crate::GraphBuilder::new("toy");
    let x = b.input("x", &[1, 4], crate::DType::F32);
    let y = b.linear("toy", x, 2);
    b.linear("other", y, 3);
    let graph = b.finish().unwrap();
    let bias = graph.weights.iter().position(|spec| spec.name == "toy.bias").unwrap();
    assert_eq!(*weights.tensor(&graph, crate::WeightId(bias)).unwrap().to_f32(), [1.5, -2.0]);
    let faults: Vec<String> = weights.faults(&[&graph]).iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].contains("toy.weight") && faults[0].contains("[2, 4]"), "{faults:?}");
}

#[test]
fn an_integer_tensor_refuses_nothing_unless_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torch.safetensors");
    let (ids, bias) = ([0; 16], [0; 8]);
    let view =
        |dtype, shape: &[usize], data| safetensors::tensor::TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let views = [
        ("text_model.embeddings.position_ids", view(Dtype::I64, &[1, 2], &ids[..])),
        ("toy.bias", view(Dtype::F32, &[2], &bias[..])),
        ("toy.weight", view(Dtype::I32, &[2, 1], &bias[..])),
    ];
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let weights = Weights::open(&path).unwrap();
    assert_eq!(weights.names(), ["toy.bias"]);
    let mut b = crate::GraphBuilder::new("toy");
    let x = b.input("x", &[1, 1], crate::DType::F32);
    b.linear("toy", x, 2);
    let graph = b.finish().unwrap();
    let faults: Vec<String> = weights.faults(&[&graph]).iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("toy.weight") && faults[0].contains("of type I32"), "{faults:?}");
}

#[test]
fn a_full_disk_leaves_nothing() {
    let error = write(Path::new("/dev/full/w"), &BTreeMap::new(), None, "", || Ok(())).unwrap_err().to_string();
    assert!(error.contains("cannot write the weights"), "{error}");
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(position in 0usize..600, byte: u8, cut in 0usize..2000) {
        let folder = tempfile::tempdir().unwrap();
        let path = sample(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        let position = position % bytes.len();
        bytes[position] = byte;
        bytes.truncate(bytes.len().saturating_sub(cut % 50));
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(file) = WeightFile::open(&path) {
            for name in file.names() {
                let tensor = file.get(&name).unwrap();
                prop_assert_eq!(tensor.to_f32().len(), tensor.len());
            }
        }
    }
}
