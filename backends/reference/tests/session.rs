//! What a session shows and refuses.

use std::collections::BTreeMap;

use ditbench_backend_api::{BackendError, Session};
use ditbench_graph::weights::{Q4_GROUP_BYTES, WeightData, WeightTensor, Weights};
use ditbench_graph::{Activation, DType, GraphBuilder, Init, Op, WeightRole};
use ditbench_graph::{Graph, Tensor};
use ditbench_reference::ReferenceSession;

/// tokens → rows of a table → relu.
fn graph() -> Graph {
    let mut b = GraphBuilder::new("toy");
    let ids = b.input("tokens", &[1, 2], DType::I64);
    let weight = b.weight("table", &[3, 2], Init::Zeros, WeightRole::Embedding);
    let rows = b.node("embed", Op::Embedding { weight }, &[ids]);
    let y = b.activation("relu", rows, Activation::Relu);
    b.output("y", y);
    b.finish().unwrap()
}

fn store(name: &str, shape: &[usize], data: WeightData<'static>) -> Weights {
    Weights::new(BTreeMap::from([(name.to_owned(), WeightTensor { shape: shape.to_vec(), data })]))
}

fn session() -> ReferenceSession {
    let table = WeightData::F32(vec![1.0, -2.0, 3.0, 4.0, -5.0, 0.1].into());
    ReferenceSession::new(&graph(), &store("table", &[3, 2], table), 1).unwrap()
}

fn ids(ids: [i64; 2]) -> Vec<Tensor> {
    vec![Tensor::i64([1, 2], ids.to_vec()).unwrap()]
}

#[test]
fn results_are_f32_widened_exactly() {
    let outputs = session().run_f64(&ids([2, 0])).unwrap();
    assert_eq!(outputs[0].data, [0.0, f64::from(0.1f32), 1.0, 0.0]);
}

#[test]
fn a_token_outside_the_table_is_told_by_node_position_and_range() {
    for wrong in [3, -1] {
        let error = session().run(&ids([0, wrong])).unwrap_err().to_string();
        assert_eq!(error, format!("reference, node embed: token 1 has id {wrong}, outside 0..3"));
    }
}

#[test]
fn every_step_is_shown_and_what_it_made_may_be_changed() {
    let mut names = Vec::new();
    let outputs = session().run_traced(&ids([0, 1]), &mut |step| {
        names.push(step.node.name.clone());
        if step.index == 0 {
            assert_eq!(step.inputs[0].data, [0.0, 1.0]);
            step.output.data[1] = 7.0;
        }
    });
    assert_eq!(names, ["embed", "relu"]);
    assert_eq!(outputs.unwrap()[0].data, [1.0, 7.0, 3.0, 4.0]);
}

#[test]
fn a_profile_has_each_node_once_in_order() {
    let profile = session().profile(&ids([0, 1])).unwrap();
    let nodes: Vec<_> = profile.nodes.iter().map(|n| (n.scope.as_deref(), n.op.as_str())).collect();
    assert_eq!(nodes, [(Some("embed"), "Embedding"), (Some("relu"), "Relu")]);
    assert!(profile.nodes.windows(2).all(|pair| pair[0].start_s <= pair[1].start_s));
    assert!(profile.nodes.iter().map(|node| node.duration_s).sum::<f64>() <= profile.total_s);
}

#[test]
fn missing_and_misshapen_weights_and_no_threads_are_refused() {
    let table = || WeightData::F32(vec![0.0; 6].into());
    let error = |weights: &Weights, threads| ReferenceSession::new(&graph(), weights, threads).err().unwrap();
    assert!(matches!(error(&store("other", &[3, 2], table()), 1), BackendError::Weights(_)));
    assert!(matches!(error(&store("table", &[2, 3], table()), 1), BackendError::Weights(_)));
    assert!(matches!(error(&store("table", &[3, 2], table()), 0), BackendError::Unsupported { .. }));
}

/// One 4-bit group by hand: scale 0.5 (f16 0x3800), element i holds i % 16 − 8 halves.
#[test]
fn a_linear_reads_four_bit_groups_by_halves() {
    let mut b = GraphBuilder::new("toy");
    let x = b.input("x", &[1, 32], DType::F32);
    let weight = b.weight("w", &[1, 32], Init::Zeros, WeightRole::Linear);
    let y = b.node("linear", Op::Linear { weight, bias: None }, &[x]);
    b.output("y", y);
    let mut group = [0u8; Q4_GROUP_BYTES];
    group[1] = 0x38;
    (0..16u8).for_each(|i| group[2 + usize::from(i)] = i | (i << 4));
    let weights = store("w", &[1, 32], WeightData::Q4(group.to_vec().into()));
    let session = ReferenceSession::new(&b.finish().unwrap(), &weights, 1).unwrap();
    for (hot, wanted) in [(0, -4.0), (9, 0.5), (16, -4.0), (31, 3.5)] {
        let mut x = vec![0.0; 32];
        x[hot] = 1.0;
        assert_eq!(session.run_f64(&[Tensor::f32([1, 32], x).unwrap()]).unwrap()[0].data, [wanted], "element {hot}");
    }
}
