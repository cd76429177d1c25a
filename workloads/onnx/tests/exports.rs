//! Real exports, as the ecosystem's tools wrote them: what is read of them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ditbench_onnx::DType;
use ditbench_onnx::axes::{InputSize, by_name, fix};
use ditbench_onnx::folder::Kind;
use ditbench_onnx::model::{Dim, Fault, Model, Port, prepare};
use ditbench_onnx::npz;
use ditbench_onnx::pipeline::{Pipeline, Request};
use proptest::prelude::*;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A graph whose weights were taken out.
fn graph(name: &str) -> Vec<u8> {
    let file = std::fs::read(data("graphs").join(format!("{name}.onnx.gz"))).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&file[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Name, nodes, weights, bits of a weight, label, bytes by type.
type Case = (&'static str, usize, u64, f64, &'static str, Vec<(DType, u64)>);

/// Figures by onnx 1.23.2 in Python, which follows the same weights from the same operators.
#[test]
fn every_exporters_precision_is_read_from_its_operators() {
    let f32_bytes = |bytes: u64| (DType::F32, bytes);
    let i64_bytes = |bytes: u64| (DType::I64, bytes);
    let cases: [Case; 8] = [
        ("q4-unet", 1269, 248_832, 21.86, "f32+q4", vec![f32_bytes(659_152), (DType::U8, 45_056), i64_bytes(2608)]),
        (
            "int8qdq-vae",
            746,
            100_656,
            8.0,
            "int8",
            vec![f32_bytes(5380), (DType::U8, 455), (DType::I8, 101_207), (DType::I32, 3256), i64_bytes(584)],
        ),
        (
            "int8dyn-clip",
            349,
            35_296,
            20.859,
            "f32+int8",
            vec![f32_bytes(76_252), (DType::I8, 16_396), i64_bytes(1296)],
        ),
        ("q8-clip", 305, 35_296, 20.859, "f32+q8", vec![f32_bytes(78_252), (DType::U8, 16_384), i64_bytes(1296)]),
        ("q4qdq-clip", 317, 35_296, 19.003, "f32+int4", vec![f32_bytes(78_252), (DType::I4, 8192), i64_bytes(1296)]),
        ("fp16-t5", 280, 18_432, 16.0, "f16", vec![(DType::F16, 37_052), i64_bytes(536)]),
        ("fused-vae", 157, 100_656, 32.0, "f32", vec![f32_bytes(407_984), i64_bytes(256)]),
        ("dynamo-clip", 79, 32_832, 32.0, "f32", vec![f32_bytes(189_132), (DType::I32, 4), i64_bytes(144)]),
    ];
    for (name, nodes, weights, bits, label, stored) in cases {
        let model = Model::parse(&graph(name)).unwrap();
        let found = model.precision.bits_per_weight().unwrap();
        assert!((found - bits).abs() < 0.01, "{name}: {found} bits");
        assert_eq!((model.nodes(), model.precision.weights()), (nodes, weights), "{name}");
        assert_eq!(model.precision.label().as_deref(), Some(label), "{name}");
        assert_eq!(model.stored, stored.into_iter().collect::<BTreeMap<_, _>>(), "{name}");
    }
}

#[test]
fn shares_say_how_weights_are_stored() {
    let shares = |name: &str| {
        let model = Model::parse(&graph(name)).unwrap();
        let line = |share: &ditbench_onnx::model::Share| format!("{} {}", share.bytes, share.storage);
        model.precision.shares().iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(shares("q4-unet"), ["634880 f32", "45056 4-bit (MatMulNBits, groups of 32, accuracy level unset)"]);
    assert_eq!(shares("int8qdq-vae"), ["100656 int8 (QDQ)"]);
    assert_eq!(shares("int8dyn-clip"), ["75648 f32", "16384 int8 (integer products, activations rounded)"]);
    assert_eq!(shares("q8-clip"), ["75648 f32", "16384 8-bit (MatMulNBits, groups of 32, accuracy level unset)"]);
    assert_eq!(shares("q4qdq-clip"), ["75648 f32", "8192 int4 (QDQ)"]);
}

#[test]
fn operators_of_other_sets_stand_out() {
    let model = Model::parse(&graph("fused-vae")).unwrap();
    let foreign = |(operator, count): (&ditbench_onnx::model::Operator, &usize)| {
        (!operator.domain.is_empty()).then(|| format!("{count} {operator}"))
    };
    let foreign: Vec<String> = model.operators.iter().filter_map(foreign).collect();
    assert_eq!(foreign, ["8 com.microsoft:GroupNorm", "17 com.microsoft:NhwcConv", "5 com.microsoft:SkipGroupNorm"]);
    assert_eq!(model.opsets, BTreeMap::from([(String::new(), 18), ("com.microsoft".to_owned(), 1)]));
}

#[test]
fn weights_in_a_file_of_their_own_are_missed() {
    let model = Model::parse(&graph("dynamo-clip")).unwrap();
    let [file] = &model.data[..] else { panic!("{:?}", model.data) };
    assert_eq!((file.location.as_str(), file.tensors, file.needed), ("model.onnx.data", 16, 188_616));
    let nowhere = tempfile::tempdir().unwrap();
    let fault = model.check_data(nowhere.path()).unwrap_err();
    assert!(matches!(fault, Fault::Data { needed: 188_616, .. }), "{fault}");
}

#[test]
fn a_single_graph_takes_its_sizes_from_the_user_and_its_names() {
    let model = Model::open(&data("tagger/model.onnx")).unwrap();
    let ports: Vec<String> = model.inputs.iter().chain(&model.outputs).map(Port::to_string).collect();
    assert_eq!(ports, ["ids [batch, words] i32", "mask [batch, words] bool", "tags [batch, words, 5] f32"]);
    let implied = |port: &Port, axis: usize| match &port.dims.as_ref()?[axis] {
        Dim::Named(name) => by_name(name),
        _ => None,
    };
    let error = fix("model.onnx", &model.inputs, &[], &implied).unwrap_err().to_string();
    assert!(error.contains("input ids [batch, words] i32, axis 1 (words)"), "{error}");
    let given: InputSize = "ids=1x12:i32".parse().unwrap();
    let fixed = fix("model.onnx", &model.inputs, &[given], &implied).unwrap();
    let bundle = npz::read(&data("tagger/io.npz")).unwrap();
    for input in &fixed {
        let value = &bundle[&input.name];
        assert_eq!((value.shape(), value.dtype()), (&input.shape[..], input.dtype));
    }
    assert_eq!((bundle["tags"].shape(), bundle["tags"].dtype()), (&[1, 12, 5][..], DType::F32));
    let bytes = std::fs::read(data("tagger/model.onnx")).unwrap();
    let prepared = Model::parse(&prepare(&bytes, &fixed).unwrap()).unwrap();
    let ports: Vec<String> = prepared.inputs.iter().chain(&prepared.outputs).map(Port::to_string).collect();
    assert_eq!(ports, ["ids [1, 12] i32", "mask [1, 12] bool", "tags f32"]);
    assert_eq!(prepared.stored, model.stored);
}

#[test]
fn a_whole_pipeline_is_read_and_planned() {
    let pipeline = Pipeline::open(&data("pixart"), &BTreeMap::new()).unwrap();
    assert_eq!((pipeline.folder.kind, pipeline.folder.scheduler.class()), (Kind::Pixart, "DDIMScheduler"));
    for model in pipeline.models.values() {
        assert_eq!((model.producer.as_str(), model.precision.label().as_deref()), ("pytorch 2.15.0", Some("f32")));
    }
    let plan = pipeline.plan(&Request { steps: 4, size: None, text_tokens: None, guidance: None }).unwrap();
    // 300 tokens are the pipeline's default; this tokenizer makes 64.
    assert_eq!(plan.text_tokens().collect::<Vec<_>>(), [("text_encoder", 64)]);
    assert_eq!(plan.noise_shape(), [1, 4, 16, 16]);
    assert_eq!(plan.schedule.timesteps, [751.0, 501.0, 251.0, 1.0]);
    let sizes: Vec<String> = plan
        .components()
        .flat_map(|component| component.inputs.iter().map(|input| format!("{} {:?}", input.name, input.shape)))
        .collect();
    assert_eq!(
        sizes,
        [
            "input_ids [1, 64]",
            "attention_mask [1, 64]",
            "hidden_states [1, 4, 16, 16]",
            "encoder_hidden_states [1, 64, 32]",
            "timestep [1]",
            "encoder_attention_mask [1, 64]",
            "latent_sample [1, 4, 16, 16]",
        ]
    );
    let error = pipeline.plan(&Request { steps: 4, size: Some((33, 32)), text_tokens: None, guidance: None });
    assert!(error.unwrap_err().to_string().contains("multiples of 4"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_real_graph_with_changed_bytes_is_read_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = graph("fp16-t5");
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Model::parse(&bytes);
        let _ = prepare(&bytes, &[]);
        bytes.truncate(cut.index(bytes.len()));
        let _ = Model::parse(&bytes);
    }
}
