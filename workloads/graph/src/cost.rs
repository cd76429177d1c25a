//! What a graph costs, counted from its nodes: multiply-accumulates, bytes, parameters, peak activations.
//!
//! Contract: counts follow the definitions of the operations, not of any runtime. One multiply-accumulate (MAC) is two FLOPs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AttentionPattern, DType, Graph, Node, Op};

/// The cost of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Multiply-accumulates of linears, convolutions and attention; zero for everything else.
    pub macs: u64,
    /// Floating-point operations: 2 per MAC, plus about one per element and elementary step of the other operations.
    pub flops: u64,
    /// Bytes of activations read and written, in f32, each tensor once.
    pub activation_bytes: u64,
    /// Elements of the weights that the node reads.
    pub weight_elements: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.macs += other.macs;
        self.flops += other.flops;
        self.activation_bytes += other.activation_bytes;
        self.weight_elements += other.weight_elements;
    }
}

/// The cost of one node of `graph`.
pub fn node_cost(graph: &Graph, node: &Node) -> Cost {
    let output = graph.shape(node.output);
    let elements: u64 = product(output);
    let macs = match &node.op {
        Op::Linear { weight, .. } => elements * graph.weight(*weight).shape[1] as u64,
        Op::Conv2d { weight, .. } => elements * product(&graph.weight(*weight).shape[1..]),
        Op::Attention { pattern, .. } => {
            let (q, k) = (graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
            // q·kᵀ and then the weighted sum of v.
            2 * q[0] as u64 * pattern.pairs(q[1], k[1]) as u64 * (q[2] * q[3]) as u64
        }
        _ => 0,
    };
    let other = match &node.op {
        Op::LayerNorm { .. } | Op::GroupNorm { .. } => 7 * elements,
        Op::RmsNorm { .. } | Op::AveragePool2x => 4 * elements,
        Op::Activation(_) => 8 * elements,
        Op::Modulate | Op::GatedAdd | Op::Lerp => 2 * elements,
        Op::Rope { .. } => 3 * elements,
        Op::Add | Op::Mul | Op::Scale { .. } => elements,
        Op::Attention { pattern, .. } => {
            let (q, k) = (graph.shape(node.inputs[0]), graph.shape(node.inputs[1]));
            // The softmax: maximum, subtraction, exponential, sum, division for each pair and head.
            5 * (q[0] * q[2]) as u64 * pattern.pairs(q[1], k[1]) as u64
        }
        _ => 0,
    };
    let moves = !matches!(node.op, Op::Reshape { .. } | Op::Parameter { .. });
    let bytes = |shape: &[usize], dtype| product(shape) * if dtype == DType::I64 { 8 } else { 4 };
    let read: u64 = node.inputs.iter().map(|&id| bytes(graph.shape(id), graph.value(id).dtype)).sum();
    Cost {
        macs,
        flops: 2 * macs + other,
        activation_bytes: if moves { read + bytes(output, DType::F32) } else { 0 },
        weight_elements: node.op.weights().iter().map(|&id| graph.weight(id).len() as u64).sum(),
    }
}

/// The cost of the whole graph.
pub fn total(graph: &Graph) -> Cost {
    sum(graph.nodes.iter().map(|node| node_cost(graph, node)))
}

/// Costs added up by a key of the node: the stage, the kind of operation, …
pub fn by<K: Ord>(graph: &Graph, key: impl Fn(&Node) -> K) -> BTreeMap<K, Cost> {
    let mut costs = BTreeMap::new();
    for node in &graph.nodes {
        *costs.entry(key(node)).or_insert_with(Cost::default) += node_cost(graph, node);
    }
    costs
}

/// What a node's work is, as far as it grows with the size of an image in a way of its own.
pub fn work(node: &Node) -> &'static str {
    let is_in = |scope: &str| node.name.split('.').any(|part| part == scope);
    match &node.op {
        Op::Linear { .. } => "linear",
        Op::Conv2d { .. } => "convolution",
        Op::Attention { pattern: AttentionPattern::Blockwise { .. }, .. } => "blockwise attention",
        // Text tokens are as many at every size.
        Op::Attention { .. } if is_in("cross") => "cross-attention",
        // ASSA's other branch: every query, a quarter of the keys.
        Op::Attention { .. } if is_in("assa") => "pooled attention",
        Op::Attention { .. } => "dense attention",
        _ => "other",
    }
}

/// The most bytes of activations alive at once when each value is freed after its last use and nothing is done in
/// place, in f32; reshapes share their input's memory.
pub fn peak_activation_bytes(graph: &Graph) -> u64 {
    let last = graph.last_uses();
    let size = |id: super::ValueId| product(graph.shape(id)) * if graph.value(id).dtype == DType::I64 { 8 } else { 4 };
    // The value whose memory each value really is.
    let mut owner: Vec<usize> = (0..graph.values.len()).collect();
    let mut users = vec![0usize; graph.values.len()];
    let mut is_weight = vec![false; graph.values.len()];
    let mut live: u64 = graph.inputs.iter().map(|port| size(port.value)).sum();
    for port in &graph.inputs {
        users[port.value.0] = 1;
    }
    let mut peak = live;
    for (index, node) in graph.nodes.iter().enumerate() {
        if matches!(node.op, Op::Reshape { .. }) {
            owner[node.output.0] = owner[node.inputs[0].0];
        } else if matches!(node.op, Op::Parameter { .. }) {
            is_weight[node.output.0] = true;
        } else {
            live += size(node.output);
        }
        users[owner[node.output.0]] += 1;
        peak = peak.max(live);
        let mut dead: Vec<usize> = node.inputs.iter().map(|id| id.0).filter(|&id| last[id] == Some(index)).collect();
        dead.dedup();
        for value in dead {
            let memory = owner[value];
            users[memory] -= 1;
            if users[memory] == 0 && !is_weight[memory] {
                live -= size(super::ValueId(memory));
            }
        }
    }
    peak
}

fn sum(costs: impl Iterator<Item = Cost>) -> Cost {
    costs.fold(Cost::default(), |mut total, cost| {
        total += cost;
        total
    })
}

fn product(shape: &[usize]) -> u64 {
    shape.iter().map(|&extent| extent as u64).product()
}

#[cfg(test)]
mod tests {
    use super::super::{Activation, AttentionPattern, GraphBuilder};
    use super::*;

    #[test]
    fn macs_follow_the_definitions() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 6, 2, 4], DType::F32);
        let y = b.linear("project", x, 8);
        let y = b.reshape("as_image", y, &[1, 6, 4, 4]);
        let z = b.conv3x3("conv", y, 3, 1.0);
        let q = b.reshape("tokens", z, &[1, 12, 1, 4]);
        let out = b.attention("attend", q, q, q, AttentionPattern::Full);
        b.output("y", out);
        let graph = b.finish().unwrap();
        let macs: Vec<u64> = graph.nodes.iter().map(|node| node_cost(&graph, node).macs).collect();
        assert_eq!(macs, [12 * 8 * 4, 0, 48 * 6 * 9, 0, 2 * 144 * 4]);
    }

    #[test]
    fn the_peak_counts_what_is_alive_together() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 10], DType::F32);
        let a = b.activation("a", x, Activation::Relu);
        let r = b.reshape("r", a, &[10, 1]);
        let c = b.activation("c", r, Activation::Relu);
        b.output("c", c);
        let graph = b.finish().unwrap();
        // x and a, then a and c: never three at once.
        assert_eq!(peak_activation_bytes(&graph), 80);
    }
}
