//! Exported files as other readers see them: read by tract's own parser of ONNX, which knows nothing of our graphs.

use std::collections::HashMap;

use ditbench_conformance::weights;
use ditbench_graph::onnx::{self, Dialect, QuantizedLinear};
use ditbench_graph::weights::Scheme;
use ditbench_workloads::ImageSize;
use ditbench_workloads::snapgenpp::{Model, Variant};
use tract_onnx::pb::{ValueInfoProto, tensor_shape_proto, type_proto};
use tract_onnx::prelude::Framework;

/// Name and extents of a value whose type and shape are given in full.
fn shape(info: &ValueInfoProto) -> Option<(String, Vec<i64>)> {
    let Some(type_proto::Value::TensorType(tensor)) = &info.r#type.as_ref()?.value else { return None };
    let extents = tensor.shape.as_ref()?.dim.iter().map(|dim| match &dim.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(extent)) => Some(*extent),
        _ => None,
    });
    Some((info.name.clone(), extents.collect::<Option<Vec<i64>>>()?))
}

/// Inference of shapes goes from node to node, and stops at an operator that a reader does not know: what it makes must be told.
#[test]
fn whatever_an_operator_outside_of_the_standard_makes_has_its_shape_in_the_file() {
    let model = Model::build(&Variant::Nano.config(ImageSize { height: 64, width: 64 })).unwrap();
    let mut others = 0;
    // All that a dialect may choose, one after the other.
    let nbits = QuantizedLinear::MatMulNBits { accuracy_level: 1 };
    let microsoft =
        Dialect { q4: nbits, q8: nbits, nbits_bias: true, quick_gelu: true, rotary: true, ..Dialect::standard() };
    for (name, dialect) in [
        ("standard", Dialect::standard()),
        ("microsoft", microsoft.clone()),
        ("kernel", Dialect { q4: QuantizedLinear::DitLinear, q8: QuantizedLinear::DitLinear, ..microsoft.clone() }),
        ("tuned", ditbench_tract::dialect::tuned()),
        ("multi_head", Dialect { attention: onnx::AttentionForm::MultiHead, ..microsoft.clone() }),
        ("fast_gelu", Dialect { gelu: onnx::GeluForm::FastGelu, ..microsoft }),
    ] {
        for graph in model.graphs() {
            let folder = tempfile::tempdir().unwrap();
            let weights = weights(graph, Scheme::Q4, 7);
            let exported = onnx::write(graph, &weights, &dialect, folder.path()).unwrap();
            let proto = tract_onnx::onnx().proto_model_for_path(&exported.model).unwrap().graph.unwrap();
            let told: HashMap<String, Vec<i64>> =
                proto.value_info.iter().chain(&proto.output).map(|info| shape(info).expect("a whole shape")).collect();
            assert_eq!(told.len(), proto.value_info.len() + proto.output.len(), "{name}: each name once");
            for node in proto.node.iter().filter(|node| !node.domain.is_empty()) {
                others += 1;
                for output in &node.output {
                    assert!(told.contains_key(output), "{name}, {}: nothing is told of {output}", graph.name);
                }
            }
            // What the graph itself says of its values.
            let constants: Vec<&String> = proto.initializer.iter().map(|tensor| &tensor.name).collect();
            for node in &graph.nodes {
                let Some(found) = told.get(&format!("{}:0", node.name)) else { continue };
                let wanted: Vec<i64> = graph.shape(node.output).iter().map(|&extent| extent as i64).collect();
                assert_eq!(*found, wanted, "{name}, {}", node.name);
                assert!(!constants.contains(&&node.name));
            }
        }
    }
    assert!(others > 100, "{others} nodes were looked at");
}
