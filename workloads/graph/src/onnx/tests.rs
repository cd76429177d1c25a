//! What is in the files, without a runtime.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::f16;

use super::nbits::NBits;
use super::*;
use crate::weights::{WeightData, WeightTensor};
use crate::{DType, GraphBuilder};

/// One linear `[1, 2, 32] → [1, 2, 3]` with 4-bit weights that count up.
fn toy() -> (Graph, Weights) {
    let mut b = GraphBuilder::new("toy");
    let x = b.input("x", &[1, 2, 32], DType::F32);
    let y = b.linear("project", x, 3);
    b.output("y", y);
    let graph = b.finish().unwrap();
    let mut store = BTreeMap::new();
    let mut groups = Vec::new();
    for row in 0..3u8 {
        groups.extend(f16::from_f32(0.5 + f32::from(row)).to_le_bytes());
        // Element i holds i mod 16.
        groups.extend((0..16u8).map(|i| i | i << 4));
    }
    let weight = WeightTensor { shape: vec![3, 32], data: WeightData::Q4(Cow::Owned(groups)) };
    let bias = WeightTensor { shape: vec![3], data: WeightData::F32(Cow::Owned(vec![1.0, 2.0, 3.0])) };
    store.insert("project.weight".to_owned(), weight);
    store.insert("project.bias".to_owned(), bias);
    (graph, Weights::new(store))
}

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ditbench-onnx-{name}-{}", unique()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn nibbles_are_put_in_order_and_signs_shifted() {
    let (graph, weights) = toy();
    let tensor = weights.tensor(&graph, crate::WeightId(0)).unwrap();
    let packed = NBits::of(&tensor.data).unwrap();
    let row: Vec<u8> = [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe].repeat(2);
    assert_eq!(packed.integers, row.repeat(3));
    assert_eq!(packed.scales, [0.5, 1.5, 2.5]);

    let mut group = f16::from_f32(0.25).to_le_bytes().to_vec();
    group.extend([0u8, 127, 0x80, 0xff].repeat(8));
    let packed = NBits::of(&WeightData::Q8(Cow::Owned(group))).unwrap();
    assert_eq!(packed.integers[..4], [128, 255, 0, 127]);
}

#[test]
fn weights_begin_at_page_boundaries_and_what_is_unpacked_is_told() {
    let (graph, weights) = toy();
    let dir = folder("pages");
    let packed = write(&graph, &weights, &Dialect::standard(), &dir).unwrap();
    // The 48 bytes of integers are external, scales and bias are small enough to stand inside.
    assert_eq!(std::fs::metadata(&packed.data).unwrap().len(), 48);
    assert_eq!((packed.nodes, packed.unpacked.len()), (3, 0));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "only the two files are left");

    let dialect = Dialect { q4: QuantizedLinear::Unpacked, ..Dialect::standard() };
    let unpacked = write(&graph, &weights, &dialect, &dir).unwrap();
    assert_eq!(unpacked.unpacked, [Unpacked { name: "project.weight".to_owned(), stored: Format::Q4 }]);
    let bytes = std::fs::read(&unpacked.data).unwrap();
    // [K, N]: column by column of [N, K]. Element (n, k) is (k mod 16 − 8)·scale(n).
    let first: Vec<f32> = bytes.chunks_exact(4).take(6).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(first, [-4.0, -12.0, -20.0, -3.5, -10.5, -17.5]);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_file_of_16_bit_floats_has_them_inside_and_32_bits_at_its_border() {
    let (graph, weights) = toy();
    let dir = folder("half");
    let dialect = Dialect { q4: QuantizedLinear::Unpacked, half: true, ..Dialect::standard() };
    let half = write(&graph, &weights, &dialect, &dir).unwrap();
    // Cast, MatMul, Add, Cast.
    assert_eq!((half.nodes, half.outputs.as_slice()), (4, &["y".to_owned()][..]));
    let bytes = std::fs::read(&half.data).unwrap();
    assert_eq!(bytes.len(), 3 * 32 * 2);
    let first: Vec<f32> =
        bytes.chunks_exact(2).take(3).map(|b| f16::from_le_bytes(b.try_into().unwrap()).to_f32()).collect();
    assert_eq!(first, [-4.0, -12.0, -20.0]);
    let model = std::fs::read(&half.model).unwrap();
    let casts = model.windows(4).filter(|bytes| bytes == b"Cast").count();
    assert_eq!(casts, 2);
    // What is stored in 16 bits is written as it is; what 32-bit files are called, they are called whatever this can be.
    assert!(serde_json::to_value(Dialect::standard()).unwrap().get("half").is_none());
    assert!(half.unpacked.iter().all(|unpacked| unpacked.stored == Format::Q4));
    assert_eq!(super::data::to_f16(1e30), f16::MAX);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn sixteen_bits_are_refused_beside_nodes_of_ours_which_know_32() {
    let (graph, weights) = toy();
    let dir = folder("contradiction");
    let half = Dialect { q4: QuantizedLinear::Unpacked, half: true, ..Dialect::standard() };
    for dialect in [Dialect { ditbench: true, ..half.clone() }, Dialect { q4: QuantizedLinear::DitLinear, ..half }] {
        let error = write(&graph, &weights, &dialect, &dir).unwrap_err();
        assert!(error.to_string().contains("32-bit floats"), "{error}");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_missing_weight_leaves_nothing_behind() {
    let (graph, _) = toy();
    let dir = folder("missing");
    let error = write(&graph, &Weights::new(BTreeMap::new()), &Dialect::standard(), &dir).unwrap_err();
    assert!(error.to_string().contains("project.weight"), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn files_are_found_again_unless_something_changed() {
    let (graph, weights) = toy();
    let cache = folder("cache");
    let first = write_cached(&graph, &weights, &Dialect::standard(), &cache).unwrap();
    assert!(!first.found && first.exported.model.is_file());
    let again = write_cached(&graph, &weights, &Dialect::standard(), &cache).unwrap();
    assert!(again.found);
    assert_eq!(again.exported, first.exported);
    assert!(
        !write_cached(&graph, &weights, &Dialect { rotary: true, ..Dialect::standard() }, &cache).unwrap().found,
        "another dialect"
    );
    let mut store = BTreeMap::new();
    for (name, tensor) in ["project.weight", "project.bias"].into_iter().zip([0, 1]) {
        let mut tensor = weights.tensor(&graph, crate::WeightId(tensor)).unwrap();
        if let WeightData::F32(values) = &mut tensor.data {
            values.to_mut()[0] += 1.0;
        }
        let data = match tensor.data {
            WeightData::F32(v) => WeightData::F32(Cow::Owned(v.into_owned())),
            WeightData::Q4(v) => WeightData::Q4(Cow::Owned(v.into_owned())),
            _ => unreachable!("the toy has no others"),
        };
        store.insert(name.to_owned(), WeightTensor { shape: tensor.shape, data });
    }
    assert!(!write_cached(&graph, &Weights::new(store), &Dialect::standard(), &cache).unwrap().found, "other weights");
    std::fs::remove_dir_all(cache).unwrap();
}

#[test]
fn an_incomplete_folder_is_replaced() {
    let (graph, weights) = toy();
    let cache = folder("incomplete");
    let make = || write_cached(&graph, &weights, &Dialect::standard(), &cache).unwrap();
    let whole = make().exported;
    let spoil: [fn(&Exported); 4] = [
        |exported| std::fs::remove_file(exported.model.with_file_name("export.json")).unwrap(),
        |exported| std::fs::remove_file(&exported.data).unwrap(),
        |exported| std::fs::File::options().write(true).open(&exported.data).unwrap().set_len(7).unwrap(),
        |exported| std::fs::write(&exported.model, b"").unwrap(),
    ];
    for (index, spoil) in spoil.into_iter().enumerate() {
        spoil(&whole);
        let again = make();
        assert!(!again.found && again.exported == whole, "{index}");
        assert!(make().found, "{index}");
        let bytes = [&whole.model, &whole.data].map(|path| std::fs::metadata(path).unwrap().len());
        assert_eq!(bytes.iter().sum::<u64>(), whole.bytes);
    }
    let left = std::fs::read_dir(&cache).unwrap().flatten().filter(|entry| entry.file_name() != ".onnx.lock");
    assert_eq!(left.count(), 1, "what was put aside is gone");
    std::fs::remove_dir_all(cache).unwrap();
}

#[test]
fn only_parts_that_nobody_writes_any_more_are_swept() {
    let (graph, weights) = toy();
    let cache = folder("sweep");
    // No system gives a process this number.
    let gone = u32::MAX;
    let part = |name: &str, hours: u64| {
        let dir = cache.join(name);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("model.onnx.data.0-0.part"), b"half").unwrap();
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(3600 * hours);
        for path in [dir.join("model.onnx.data.0-0.part"), dir.clone()] {
            std::fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
        dir
    };
    let dead = part(&format!("onnx-toy-00.{gone}-0.part"), 2);
    let kept = [
        part(&format!("onnx-toy-01.{gone}-0.part"), 0),
        part(&format!("onnx-toy-02.{}-99.part", std::process::id()), 2),
        part("onnx-toy-03", 2),
        part("another.part", 2),
    ];
    write_cached(&graph, &weights, &Dialect::standard(), &cache).unwrap();
    assert!(!dead.exists());
    assert!(kept.iter().all(|dir| dir.is_dir()), "{kept:?}");
    std::fs::remove_dir_all(cache).unwrap();
}

#[test]
fn processes_that_race_for_a_key_all_get_whole_files() {
    let (graph, weights) = toy();
    let cache = folder("race");
    let all: Vec<Cached> = std::thread::scope(|scope| {
        let one = || scope.spawn(|| write_cached(&graph, &weights, &Dialect::standard(), &cache).unwrap());
        let threads: Vec<_> = (0..8).map(|_| one()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|cached| cached.exported == all[0].exported));
    assert!(all.iter().any(|cached| !cached.found));
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1, "losers clean up");
    std::fs::remove_dir_all(cache).unwrap();
}
