//! The order of work: which nodes run together, and which values can be freed afterwards.

use std::collections::{BTreeMap, BTreeSet};

use ditbench_graph::Graph;
use ditbench_graph::fused::{self, Geglu};

/// Nodes that run as one, and what can be freed after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The first node.
    pub head: usize,
    /// The nodes that are computed along with it, in order: the last one's output is the step's.
    pub joined: Vec<usize>,
    /// The node under whose name the step's time is told.
    pub named: usize,
    /// Values (by index) that nothing reads afterwards.
    pub free: Vec<usize>,
}

impl Step {
    /// The node whose output is the step's.
    pub fn last(&self) -> usize {
        self.joined.last().copied().unwrap_or(self.head)
    }
}

/// The steps of a graph. With `fuse`, nodes that a kernel computes at once ([`fused`]) are one step, where the last of them stands.
pub fn steps(graph: &Graph, fuse: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    // Steps by their last node, and the nodes before it.
    let (mut ends, mut inside) = (BTreeMap::new(), BTreeSet::new());
    for index in 0..graph.nodes.len() {
        let step = |joined, named| Step { head: index, joined, named, free: Vec::new() };
        if let Some(unit) = Some(index).filter(|_| fuse).and_then(|index| Geglu::at(graph, index)) {
            inside.extend([unit.gate, unit.gelu]);
            ends.insert(unit.product, step(vec![unit.gate, unit.gelu, unit.product], unit.gelu));
        } else if let Some(tail) = Some(index).filter(|_| fuse).and_then(|index| fused::tail(graph, index)) {
            ends.insert(tail, step(vec![tail], index));
        } else if !inside.contains(&index) {
            steps.push(ends.remove(&index).unwrap_or_else(|| step(Vec::new(), index)));
        }
    }
    let kept: Vec<usize> = graph.outputs.iter().map(|port| port.value.0).collect();
    let mut last = vec![None; graph.values.len()];
    for (index, step) in steps.iter().enumerate() {
        for &node in std::iter::once(&step.head).chain(&step.joined) {
            // What nobody reads is freed at once.
            last[graph.nodes[node].output.0] = Some(index);
            for input in &graph.nodes[node].inputs {
                last[input.0] = Some(index);
            }
        }
    }
    for (value, step) in last.into_iter().enumerate() {
        if let Some(step) = step.filter(|_| !kept.contains(&value)) {
            steps[step].free.push(value);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use ditbench_graph::{Activation, DType, GraphBuilder, Op};

    use super::*;

    fn graph() -> Graph {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 4, 8], DType::F32);
        let h = b.linear("up", x, 16);
        let h = b.activation("gelu", h, Activation::GeluTanh);
        let y = b.linear("down", h, 8);
        let y = b.node("add", Op::Add, &[x, y]);
        b.output("y", y);
        b.finish().unwrap()
    }

    #[test]
    fn values_are_freed_after_their_last_use_and_outputs_kept() {
        let graph = graph();
        for fuse in [false, true] {
            let steps = steps(&graph, fuse);
            assert_eq!(steps.len(), if fuse { 3 } else { 4 });
            let mut freed: Vec<usize> = steps.iter().flat_map(|step| step.free.clone()).collect();
            freed.sort_unstable();
            // Everything but the output, each once; x (value 0) only by the last step, which reads it.
            assert_eq!(freed, [0, 1, 2, 3]);
            assert!(steps.last().unwrap().free.contains(&0));
        }
    }

    #[test]
    fn a_gated_unit_is_one_step_under_the_name_of_its_gelu() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 4, 8], DType::F32);
        let value = b.slice("value", x, 2, 0, 4);
        let gate = b.slice("gate", x, 2, 4, 8);
        let gate = b.activation("gelu", gate, Activation::GeluErf);
        let y = b.node("gated", Op::Mul, &[value, gate]);
        b.output("y", y);
        let graph = b.finish().unwrap();
        assert_eq!(steps(&graph, true), [Step { head: 0, joined: vec![1, 2, 3], named: 2, free: vec![0, 1, 2, 3] }]);
        assert_eq!(steps(&graph, false).len(), 4, "the runtime's own operations are not joined");
    }

    #[test]
    fn a_norm_waits_for_what_its_modulation_reads() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 4, 8], DType::F32);
        let rows = b.input("rows", &[1, 2, 8], DType::F32);
        let h = b.norm("norm", x, 1e-6);
        let (shift, scale) = (b.slice("shift", rows, 1, 0, 1), b.slice("scale", rows, 1, 1, 2));
        let y = b.node("modulate", Op::Modulate, &[h, shift, scale]);
        b.output("y", y);
        let steps = steps(&b.finish().unwrap(), true);
        let found: Vec<(usize, &[usize])> = steps.iter().map(|step| (step.head, &step.joined[..])).collect();
        assert_eq!(found, [(1, &[][..]), (2, &[]), (0, &[3])]);
    }

    #[test]
    fn a_value_with_two_readers_is_not_fused_away() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 4, 8], DType::F32);
        let h = b.linear("up", x, 8);
        let g = b.activation("gelu", h, Activation::GeluTanh);
        let y = b.node("add", Op::Add, &[h, g]);
        b.output("y", y);
        assert!(steps(&b.finish().unwrap(), true).iter().all(|step| step.joined.is_empty()));
    }
}
