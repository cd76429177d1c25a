//! The order of work: which nodes run together, and which values can be freed afterwards.

use ditbench_graph::Graph;
use ditbench_graph::fused::Geglu;
use ditbench_graph::{Activation, Op};

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

/// The steps of a graph. With `fuse`, a node whose only reader can be computed along with it is joined to it:
/// layer norm with modulation, linear with GELU (tanh), convolution with ReLU, group norm with SiLU. So are the four nodes of a gated unit.
pub fn steps(graph: &Graph, fuse: bool) -> Vec<Step> {
    let readers = graph.readers();
    let made_by = producers(graph);
    let mut steps = Vec::new();
    let mut joined = vec![false; graph.nodes.len()];
    for head in 0..graph.nodes.len() {
        if joined[head] {
            continue;
        }
        if let Some(unit) = Some(head).filter(|_| fuse).and_then(|head| Geglu::at(graph, head)) {
            let nodes = vec![unit.gate, unit.gelu, unit.product];
            nodes.iter().for_each(|node| joined[*node] = true);
            steps.push(Step { head, joined: nodes, named: unit.gelu, free: Vec::new() });
            continue;
        }
        let output = graph.nodes[head].output;
        let tail = (head + 1..graph.nodes.len())
            .take_while(|_| fuse && readers[output.0] == 1)
            .find(|&index| graph.nodes[index].inputs.contains(&output))
            .filter(|&tail| {
                let others = graph.nodes[tail].inputs.iter().filter(|&&input| input != output);
                fits(graph, head, tail)
                    && others.copied().all(|input| made_by[input.0].is_none_or(|maker| maker < head))
            });
        if let Some(tail) = tail {
            joined[tail] = true;
        }
        steps.push(Step { head, joined: tail.into_iter().collect(), named: head, free: Vec::new() });
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

/// For each value, the node that makes it; `None` for an input.
fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut made_by = vec![None; graph.values.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        made_by[node.output.0] = Some(index);
    }
    made_by
}

/// Whether a kernel computes both nodes at once.
fn fits(graph: &Graph, head: usize, tail: usize) -> bool {
    let (head, tail) = (&graph.nodes[head], &graph.nodes[tail]);
    match (&head.op, &tail.op) {
        (Op::LayerNorm { weight: None, bias: None, .. }, Op::Modulate) => tail.inputs[0] == head.output,
        (Op::Linear { .. }, Op::Activation(Activation::GeluTanh)) => true,
        (Op::Conv2d { .. }, Op::Activation(Activation::Relu)) => true,
        (Op::GroupNorm { .. }, Op::Activation(Activation::Silu)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use ditbench_graph::{DType, GraphBuilder};

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
