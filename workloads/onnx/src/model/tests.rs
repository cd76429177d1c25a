//! Small models written field by field, and every way in which one can be broken.

use proptest::prelude::*;

use super::message::{self, field};
use super::*;
use crate::axes::{FixedInput, Origin};
use prost::Message;

/// A field that holds bytes, text or a message.
pub(crate) fn bytes(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encode_length_delimiter((number as usize) << 3 | 2, &mut field).unwrap();
    prost::encode_length_delimiter(payload.len(), &mut field).unwrap();
    field.extend_from_slice(payload);
    field
}

/// A field that holds a number.
pub(crate) fn number(number: u32, value: u32) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encode_length_delimiter((number as usize) << 3, &mut field).unwrap();
    prost::encode_length_delimiter(value as usize, &mut field).unwrap();
    field
}

pub(crate) fn info(name: &str, dtype: DType, dims: &[&str]) -> Vec<u8> {
    let dim = |word: &&str| match word.parse::<i64>() {
        Ok(extent) => message::Dimension { dim_value: Some(extent), dim_param: None },
        Err(_) => message::Dimension { dim_value: None, dim_param: Some((*word).to_owned()) },
    };
    let shape = Some(message::Shape { dim: dims.iter().map(dim).collect() });
    let tensor = message::TensorType { elem_type: dtype.code(), shape };
    message::ValueInfo { name: name.to_owned(), r#type: Some(message::Type { tensor_type: Some(tensor) }) }
        .encode_to_vec()
}

pub(crate) fn node(operator: &str, inputs: &[&str], output: &str, numbers: &[(&str, i64)]) -> Vec<u8> {
    let (domain, name) = operator.split_once(':').unwrap_or(("", operator));
    let node = message::Node {
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        op_type: name.to_owned(),
        domain: domain.to_owned(),
    };
    let attributes = numbers.iter().flat_map(|&(name, value)| {
        let attribute = message::Attribute { name: name.to_owned(), i: Some(value) };
        bytes(field::NODE_ATTRIBUTE, &attribute.encode_to_vec())
    });
    node.encode_to_vec().into_iter().chain(attributes).collect()
}

/// A tensor with zeros for elements, inline.
fn tensor(name: &str, dtype: DType, dims: &[i64]) -> Vec<u8> {
    let size = dtype.bytes(dims.iter().product::<i64>() as u64).unwrap() as usize;
    let head =
        message::Tensor { dims: dims.to_vec(), data_type: dtype.code(), name: name.to_owned(), ..Default::default() };
    [head.encode_to_vec(), bytes(field::TENSOR_RAW, &vec![0; size])].concat()
}

fn outside(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> Vec<u8> {
    let entry = |&(key, value): &(&str, &str)| message::Entry { key: key.to_owned(), value: value.to_owned() };
    message::Tensor {
        dims: dims.to_vec(),
        data_type: DType::F32.code(),
        name: name.to_owned(),
        external_data: entries.iter().map(entry).collect(),
        data_location: 1,
    }
    .encode_to_vec()
}

/// A model of a graph's fields.
pub(crate) fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    let opset = |domain: &str, version| message::Opset { domain: domain.to_owned(), version };
    let head = message::Head {
        ir_version: 8,
        producer_name: "pytorch".to_owned(),
        producer_version: "2.15.0".to_owned(),
        opset_import: vec![opset("ai.onnx", 18), opset("com.microsoft", 1)],
    };
    [head.encode_to_vec(), bytes(field::MODEL_GRAPH, &graph.concat())].concat()
}

/// x [batch, 64] f32 times w [64, 8], plus a bias.
fn linear(weight: Vec<u8>) -> Vec<u8> {
    model(&[
        bytes(field::GRAPH_NODE, &node("MatMul", &["x", "w"], "y", &[])),
        bytes(field::GRAPH_NODE, &node("Add", &["y", "b"], "z", &[])),
        bytes(field::GRAPH_INITIALIZER, &weight),
        bytes(field::GRAPH_INITIALIZER, &tensor("b", DType::F32, &[8])),
        bytes(field::GRAPH_INPUT, &info("x", DType::F32, &["batch", "64"])),
        bytes(field::GRAPH_INPUT, &info("w", DType::F32, &["64", "8"])),
        bytes(field::GRAPH_OUTPUT, &info("z", DType::F32, &["batch", "8"])),
        bytes(field::GRAPH_VALUE_INFO, &info("y", DType::F32, &["batch", "8"])),
    ])
}

fn of_f32() -> Vec<u8> {
    linear(tensor("w", DType::F32, &[64, 8]))
}

#[test]
fn a_models_interface_is_read() {
    let file = of_f32();
    let model = Model::parse(&file).unwrap();
    assert_eq!((model.ir_version, model.producer.as_str(), model.bytes), (8, "pytorch 2.15.0", file.len() as u64));
    assert_eq!(model.opsets, BTreeMap::from([(String::new(), 18), ("com.microsoft".to_owned(), 1)]));
    // "w" is an input with a default, as old exporters write it.
    assert_eq!(model.inputs.iter().map(Port::to_string).collect::<Vec<_>>(), ["x [batch, 64] f32"]);
    assert_eq!(model.outputs[0].dims, Some(vec![Dim::Named("batch".to_owned()), Dim::Fixed(8)]));
    assert_eq!(model.stored, BTreeMap::from([(DType::F32, 4 * (64 * 8 + 8))]));
    let operators: Vec<String> = model.operators.iter().map(|(name, count)| format!("{count} {name}")).collect();
    assert_eq!(operators, ["1 Add", "1 MatMul"]);
    assert_eq!((model.nodes(), model.data.len()), (2, 0));
    assert_eq!((model.precision.label().as_deref(), model.precision.bits_per_weight()), (Some("f32"), Some(32.0)));
}

#[test]
fn branches_loops_functions_and_constants_count() {
    let branch = [
        bytes(field::GRAPH_NODE, &node("com.microsoft:FastGelu", &["a"], "b", &[])),
        bytes(field::GRAPH_INITIALIZER, &tensor("inner", DType::F16, &[100])),
    ]
    .concat();
    let holds = |number: u32, payload: &[u8]| bytes(field::NODE_ATTRIBUTE, &bytes(number, payload));
    let choice = [node("If", &["c"], "d", &[]), holds(field::ATTRIBUTE_GRAPH, &branch)].concat();
    let constant =
        [node("Constant", &[], "k", &[]), holds(field::ATTRIBUTE_TENSOR, &tensor("", DType::F16, &[64]))].concat();
    let function = bytes(field::FUNCTION_NODE, &node("Relu", &["a"], "b", &[]));
    let mut file = model(&[
        bytes(field::GRAPH_NODE, &choice),
        bytes(field::GRAPH_NODE, &constant),
        bytes(field::GRAPH_NODE, &node("MatMul", &["x", "k"], "z", &[])),
        bytes(field::GRAPH_OUTPUT, &info("z", DType::F32, &[])),
    ]);
    file.extend(bytes(field::MODEL_FUNCTION, &function));
    let model = Model::parse(&file).unwrap();
    let names: Vec<String> = model.operators.keys().map(Operator::to_string).collect();
    assert_eq!(names, ["Constant", "If", "MatMul", "Relu", "com.microsoft:FastGelu"]);
    assert_eq!(model.stored, BTreeMap::from([(DType::F16, 200 + 128)]));
    assert_eq!(model.precision.label().as_deref(), Some("f16"), "the product reads the constant");
}

#[test]
fn precision_is_traced_from_the_operators_that_read_weights() {
    let of = |nodes: &[Vec<u8>], tensors: &[Vec<u8>]| {
        let mut graph: Vec<Vec<u8>> = nodes.iter().map(|node| bytes(field::GRAPH_NODE, node)).collect();
        graph.extend(tensors.iter().map(|tensor| bytes(field::GRAPH_INITIALIZER, tensor)));
        graph.push(bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &[])));
        let precision = Model::parse(&model(&graph)).unwrap().precision;
        let shares: Vec<String> = precision.shares().iter().map(|share| share.storage.to_string()).collect();
        (precision.label().unwrap_or_default(), shares.join(", "), precision.weights())
    };
    let product = || node("MatMul", &["x", "w"], "y", &[]);
    // QDQ: integers, made floats again, transposed.
    let qdq = [node("DequantizeLinear", &["q", "s"], "f", &[]), node("Transpose", &["f"], "w", &[]), product()];
    assert_eq!(of(&qdq, &[tensor("q", DType::I8, &[64, 8])]), ("int8".into(), "int8 (QDQ)".into(), 512));
    assert_eq!(of(&qdq, &[tensor("q", DType::U4, &[64, 8])]), ("int4".into(), "uint4 (QDQ)".into(), 512));
    let integer = [node("MatMulInteger", &["x", "w"], "y", &[])];
    let words = "uint8 (integer products, activations rounded)";
    assert_eq!(of(&integer, &[tensor("w", DType::U8, &[64, 8])]), ("int8".into(), words.into(), 512));
    // A weight that two products read counts once; biases and indices do not count.
    let twice = [product(), node("Gemm", &["x", "w", "b"], "z", &[]), node("Gather", &["w", "i"], "g", &[])];
    let tensors = [tensor("w", DType::F16, &[64, 8]), tensor("b", DType::F16, &[8]), tensor("i", DType::I64, &[500])];
    assert_eq!(of(&twice, &tensors), ("f16".into(), "f16".into(), 512));
    // Groups of four bits for most weights, and more than 5 % of the bytes as f32.
    let numbers = [("N", 64), ("K", 512), ("bits", 4), ("block_size", 32), ("accuracy_level", 4)];
    let groups = node("com.microsoft:MatMulNBits", &["x", "q", "s"], "y", &numbers);
    let mixed = [groups, node("Conv", &["x", "w"], "c", &[])];
    let tensors =
        [tensor("q", DType::U8, &[64, 16, 16]), tensor("s", DType::F32, &[1024]), tensor("w", DType::F32, &[64, 8])];
    let words = "4-bit (MatMulNBits, groups of 32, accuracy level 4), f32";
    assert_eq!(of(&mixed, &tensors), ("q4+f32".into(), words.into(), 64 * 512 + 512));
    assert_eq!(of(&[node("Relu", &["x"], "y", &[])], &[]), (String::new(), String::new(), 0));
    // Values that lead in a circle end.
    let circle =
        [node("Cast", &["b"], "a", &[]), node("Cast", &["a"], "b", &[]), node("MatMul", &["a", "b"], "y", &[])];
    assert_eq!(of(&circle, &[]).2, 0);
}

#[test]
fn a_quantized_product_with_impossible_sizes_is_refused() {
    for numbers in [
        &[("N", -1), ("K", 5), ("block_size", 32)][..],
        &[("N", i64::MAX), ("K", i64::MAX), ("block_size", 32)],
        &[("N", 8), ("K", 8), ("block_size", 32), ("bits", 300)],
        &[("N", 8), ("K", 8)],
        &[("K", 8), ("block_size", 32)],
    ] {
        let graph = [
            bytes(field::GRAPH_NODE, &node("com.microsoft:MatMulNBits", &["x", "q"], "y", numbers)),
            bytes(field::GRAPH_INITIALIZER, &tensor("q", DType::U8, &[64])),
            bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &[])),
        ];
        let message = Model::parse(&model(&graph)).unwrap_err().to_string();
        assert!(message.contains("a MatMulNBits node: its attribute"), "{message}");
    }
}

#[test]
fn data_files_are_found_and_looked_at() {
    let file = model(&[
        bytes(field::GRAPH_INITIALIZER, &outside("a", &[4], &[("location", "m.data"), ("offset", "4096")])),
        bytes(field::GRAPH_INITIALIZER, &outside("b", &[2], &[("location", "m.data"), ("length", "8")])),
        bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &[])),
    ]);
    let model = Model::parse(&file).unwrap();
    assert_eq!(model.data, [DataFile { location: "m.data".to_owned(), tensors: 2, needed: 4112 }]);
    assert_eq!(model.stored, BTreeMap::from([(DType::F32, 24)]));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("m.data");
    let fault = |wanted: &str| {
        let message = model.check_data(folder.path()).unwrap_err().to_string();
        assert!(message.contains("4112 bytes") && message.contains(wanted), "{message}");
    };
    fault("is not there");
    std::fs::write(&data, vec![0; 100]).unwrap();
    fault("only 100");
    std::fs::write(&data, "version https://git-lfs.github.com/spec/v1\nsize 4112").unwrap();
    fault("git lfs pull");
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    fault("not a file");
    std::fs::remove_dir(&data).unwrap();
    std::fs::write(&data, vec![0; 4112]).unwrap();
    model.check_data(folder.path()).unwrap();
}

#[test]
fn weights_outside_the_folder_and_impossible_ones_are_refused() {
    let with = |tensor: Vec<u8>| {
        let graph = [bytes(field::GRAPH_INITIALIZER, &tensor), bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &[]))];
        Model::parse(&model(&graph)).unwrap_err().to_string()
    };
    for location in ["/etc/passwd", "../weights", "a/../../b", "C:\\weights", "..\\b"] {
        let message = with(outside("w", &[1], &[("location", location)]));
        assert!(message.contains("Only a file in the model's own folder"), "{location}: {message}");
    }
    let head = |dims: &[i64], raw: usize| {
        let head = message::Tensor { dims: dims.to_vec(), data_type: 1, name: "w".to_owned(), ..Default::default() };
        [head.encode_to_vec(), bytes(field::TENSOR_RAW, &vec![0; raw])].concat()
    };
    for (tensor, why) in [
        (outside("w", &[1], &[]), "which is not said"),
        (outside("w", &[1], &[("location", "d"), ("offset", "x")]), "its offset is \"x\""),
        (outside("w", &[1], &[("location", "d"), ("length", "5")]), "5 bytes of data, but its shape needs 4"),
        (outside("w", &[2], &[("location", "d"), ("offset", "18446744073709551615")]), "beyond any file"),
        (head(&[-1], 4), "its shape is [-1]"),
        (head(&[i64::MAX, 3], 4), "its shape is"),
        (head(&[i64::MAX], 4), "more than any file holds"),
        (head(&[3], 4), "4 bytes of data, but its shape needs 12"),
    ] {
        let message = with(tensor);
        assert!(message.contains(why) && message.contains("\"w\""), "{message}");
    }
}

#[test]
fn what_is_no_model_is_called_by_its_name() {
    let safetensors = [&8u64.to_le_bytes()[..], b"{\"a\":{}}"].concat();
    for (file, why) in [
        (&b""[..], "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
        (&safetensors, "a safetensors file"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"GGUF....", "a GGUF file"),
        (b"<!DOCTYPE html>", "a text file"),
        (b"\xff\xff\xff\xff\xff", "breaks off in the file"),
        (&number(1, 8), "holds no graph"),
    ] {
        let message = Model::parse(file).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    }
    let twice = [of_f32(), of_f32()].concat();
    assert!(Model::parse(&twice).unwrap_err().to_string().contains("several graphs"));
    let none = model(&[bytes(field::GRAPH_INPUT, &info("x", DType::F32, &[]))]);
    assert!(Model::parse(&none).unwrap_err().to_string().contains("no output"));
}

#[test]
fn a_file_is_named_in_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let message = || Model::open(&path).unwrap_err().to_string();
    assert!(message().contains("model.onnx: cannot be read"), "{}", message());
    std::fs::write(&path, "").unwrap();
    assert!(message().contains("model.onnx: is empty"), "{}", message());
    std::fs::write(&path, &of_f32()[..300]).unwrap();
    assert!(message().contains("breaks off in the file. Copy or export it again"), "{}", message());
    std::fs::write(&path, of_f32()).unwrap();
    assert_eq!(Model::open(&path).unwrap(), Model::parse(&of_f32()).unwrap());
    assert!(Model::open(folder.path()).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn graphs_nested_without_end_and_names_without_end_are_refused() {
    let mut graph = Vec::new();
    for _ in 0..100 {
        let holds = bytes(field::NODE_ATTRIBUTE, &bytes(field::ATTRIBUTE_GRAPH, &graph));
        graph = bytes(field::GRAPH_NODE, &[node("If", &[], "y", &[]), holds].concat());
    }
    let deep = model(&[graph, bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &[]))]);
    assert!(Model::parse(&deep).unwrap_err().to_string().contains("nested more than 16 deep"));
    // Two bytes a node, and each would take a hundred in memory.
    let many = model(&[vec![bytes(field::GRAPH_NODE, &bytes(1, b"")); 1000].concat()]);
    let fault = parse::Parser::new(10_000).model(&many).unwrap_err();
    assert!(matches!(fault, Fault::Limit(_)), "{fault}");
    let axes = message::Shape { dim: vec![message::Dimension::default(); 1000] };
    let tensor = message::TensorType { elem_type: 1, shape: Some(axes) };
    let port = message::ValueInfo { name: String::new(), r#type: Some(message::Type { tensor_type: Some(tensor) }) };
    let wide = model(&[bytes(field::GRAPH_OUTPUT, &port.encode_to_vec())]);
    assert!(matches!(parse::Parser::new(10_000).model(&wide), Err(Fault::Limit(_))));
}

#[test]
fn free_axes_of_all_kinds_are_open_and_negative_ones_refused() {
    let port = |dims: &[&str]| {
        Model::parse(&model(&[bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, dims))]))
            .map(|mut model| model.outputs.remove(0))
    };
    assert_eq!(port(&["0", "-1", "2*s48", "5"]).unwrap().to_string(), "y [?, ?, 2*s48, 5] f32");
    assert!(port(&["-7"]).unwrap_err().to_string().contains("output \"y\": an axis has -7 elements"));
    let untyped = message::ValueInfo { name: "y".to_owned(), r#type: None }.encode_to_vec();
    let model = Model::parse(&model(&[bytes(field::GRAPH_OUTPUT, &untyped)])).unwrap();
    assert_eq!(model.outputs[0].to_string(), "y (not a tensor)");
}

#[test]
fn sizes_are_written_into_a_file_and_nothing_else_changes() {
    let file = of_f32();
    let input = |name: &str| FixedInput {
        name: name.to_owned(),
        dtype: DType::F32,
        shape: vec![3, 64],
        origins: vec![Origin::Given, Origin::File],
    };
    let prepared = prepare(&file, &[input("x")]).unwrap();
    let (before, after) = (Model::parse(&file).unwrap(), Model::parse(&prepared).unwrap());
    assert_eq!(after.inputs[0].to_string(), "x [3, 64] f32");
    assert_eq!(after.outputs[0].to_string(), "z f32", "an output's shape is the runtime's to find");
    let rest = |model: Model| Model { inputs: Vec::new(), outputs: Vec::new(), bytes: 0, ..model };
    assert_eq!(rest(after), rest(before));
    let without = |file: &[u8], number: u32| {
        let graph = fields::fields(file).map(Result::unwrap).find(|part| part.number == field::MODEL_GRAPH).unwrap();
        fields::fields(graph.payload).map(Result::unwrap).filter(|part| part.number == number).count()
    };
    assert_eq!((without(&file, field::GRAPH_VALUE_INFO), without(&prepared, field::GRAPH_VALUE_INFO)), (1, 0));
    assert!(prepare(&file, &[input("q")]).unwrap_err().to_string().contains("it has no input \"q\""));
    assert!(matches!(prepare(&number(1, 8), &[]), Err(Fault::NoGraph)));
}

#[test]
fn a_prepared_model_has_a_folder_of_its_own_with_its_weights() {
    let file = model(&[
        bytes(field::GRAPH_NODE, &node("MatMul", &["x", "w"], "y", &[])),
        bytes(field::GRAPH_INITIALIZER, &outside("w", &[2], &[("location", "parts/w.data")])),
        bytes(field::GRAPH_INPUT, &info("x", DType::F32, &["batch", "2"])),
        bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &["batch"])),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let (path, own) = (folder.path().join("model.onnx"), folder.path().join("cache"));
    std::fs::write(&path, &file).unwrap();
    let x = FixedInput {
        name: "x".to_owned(),
        dtype: DType::F32,
        shape: vec![1, 2],
        origins: vec![Origin::Implied, Origin::File],
    };
    let inputs = [x];
    let message = prepare_into(&path, &inputs, &own).unwrap_err().to_string();
    assert!(message.contains("needs 8 bytes of weights"), "{message}");
    std::fs::create_dir(folder.path().join("parts")).unwrap();
    std::fs::write(folder.path().join("parts/w.data"), [1; 8]).unwrap();
    // Twice: what an earlier time left is made anew.
    for weights in [[1; 8], [2; 8]] {
        std::fs::remove_file(folder.path().join("parts/w.data")).unwrap();
        std::fs::write(folder.path().join("parts/w.data"), weights).unwrap();
        let prepared = prepare_into(&path, &inputs, &own).unwrap();
        assert_eq!(prepared, Prepared { model: own.join("model.onnx"), copied: 0 });
        assert_eq!(std::fs::read(own.join("parts/w.data")).unwrap(), weights);
        let read = Model::open(&prepared.model).unwrap();
        assert_eq!(read.inputs[0].to_string(), "x [1, 2] f32");
        read.check_data(&own).unwrap();
    }
    assert_eq!(std::fs::read_dir(&own).unwrap().count(), 2, "nothing unfinished is left");
    for own in [folder.path().to_owned(), folder.path().join("cache/..")] {
        let message = prepare_into(&path, &inputs, &own).unwrap_err().to_string();
        assert!(message.contains("model.onnx: would be overwritten"), "{message}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), file);
    std::fs::write(folder.path().join("a-file"), "").unwrap();
    let message = prepare_into(&path, &inputs, &folder.path().join("a-file")).unwrap_err().to_string();
    assert!(message.contains("a-file: cannot be written"), "{message}");
}

#[cfg(unix)]
#[test]
fn links_of_a_hubs_cache_are_followed() {
    let file = model(&[
        bytes(field::GRAPH_INITIALIZER, &outside("w", &[2], &[("location", "w.data")])),
        bytes(field::GRAPH_OUTPUT, &info("y", DType::F32, &[])),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let (blobs, shown) = (folder.path().join("blobs"), folder.path().join("shown"));
    std::fs::create_dir(&blobs).unwrap();
    std::fs::create_dir(&shown).unwrap();
    std::fs::write(blobs.join("1"), &file).unwrap();
    std::fs::write(blobs.join("2"), [7; 8]).unwrap();
    std::os::unix::fs::symlink("../blobs/1", shown.join("model.onnx")).unwrap();
    std::os::unix::fs::symlink("../blobs/2", shown.join("w.data")).unwrap();
    let own = folder.path().join("cache");
    let prepared = prepare_into(&shown.join("model.onnx"), &[], &own).unwrap();
    assert_eq!((prepared.model, prepared.copied), (own.join("model.onnx"), 0));
    assert!(std::fs::symlink_metadata(own.join("w.data")).unwrap().is_file());
    assert_eq!(std::fs::read(own.join("w.data")).unwrap(), [7; 8]);
    let message = prepare_into(&shown.join("model.onnx"), &[], &shown).unwrap_err().to_string();
    assert!(message.contains("would be overwritten"), "{message}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(file in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Model::parse(&file);
        let _ = prepare(&file, &[]);
    }

    #[test]
    fn a_model_with_changed_bytes_is_read_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut file = of_f32();
        // Most of it is the weight's zeros: aim at the rest.
        let interesting = file.len() - 64 * 8 * 4;
        for (index, byte) in changes {
            let at = index.index(interesting);
            let at = if at < 120 { at } else { file.len() - (interesting - at) };
            file[at] = byte;
        }
        let _ = Model::parse(&file);
        let _ = prepare(&file, &[]);
        file.truncate(cut.index(file.len()));
        let _ = Model::parse(&file);
    }
}
