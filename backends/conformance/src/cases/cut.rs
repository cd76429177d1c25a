//! Parts of a model, cut out of its graph.

use ditbench_graph::Graph;
use ditbench_graph::{Op, Port, ValueId, WeightId};

/// The nodes whose names begin with one of `prefixes`, as a graph of their own. Values that they read and do not make
/// become its inputs; values that others read, or that are outputs of the whole, become its outputs.
pub(super) fn cut(graph: &Graph, prefixes: &[&str]) -> Graph {
    let inside = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let (nodes, others): (Vec<_>, Vec<_>) = graph.nodes.iter().cloned().partition(|node| inside(&node.name));
    let made = |id: &ValueId| nodes.iter().any(|node| node.output == *id);
    let read_outside = |id: &ValueId| {
        others.iter().any(|node| node.inputs.contains(id)) || graph.outputs.iter().any(|p| p.value == *id)
    };
    let mut part = Graph { name: prefixes.join("_").replace('.', "_"), ..graph.clone() };
    part.inputs.clear();
    part.outputs.clear();
    part.weights.clear();
    for id in nodes.iter().flat_map(|node| &node.inputs).filter(|id| !made(id)) {
        if !part.inputs.iter().any(|port| port.value == *id) {
            part.inputs.push(Port { name: format!("in{}", part.inputs.len()), value: *id });
        }
    }
    for id in nodes.iter().map(|node| node.output).filter(read_outside) {
        part.outputs.push(Port { name: format!("out{}", part.outputs.len()), value: id });
    }
    part.nodes = nodes;
    let mut renumber = |id: &mut WeightId| {
        let spec = graph.weight(*id);
        let found = part.weights.iter().position(|other| other.name == spec.name);
        *id = WeightId(found.unwrap_or_else(|| {
            part.weights.push(spec.clone());
            part.weights.len() - 1
        }));
    };
    for node in &mut part.nodes {
        match &mut node.op {
            Op::Linear { weight, bias } | Op::Conv2d { weight, bias, .. } => {
                renumber(weight);
                bias.iter_mut().for_each(&mut renumber);
            }
            Op::LayerNorm { weight, bias, .. } => {
                weight.iter_mut().chain(bias).for_each(&mut renumber);
            }
            Op::GroupNorm { weight, bias, .. } => [weight, bias].into_iter().for_each(&mut renumber),
            Op::Embedding { weight } | Op::Parameter { weight } | Op::RmsNorm { weight, .. } => renumber(weight),
            _ => {}
        }
    }
    part
}
