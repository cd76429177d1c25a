//! What several nodes compute together and one kernel can compute at once, found in a graph.

use super::{Activation, Graph, Op, ValueId};

/// A gated unit: value·GELU(gate), value and gate the halves of x's last axis, GELU in its erf form. Indices of the nodes; nothing
/// else reads what the first three make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geglu {
    /// Cuts out the first half of x. It comes before the others.
    pub value: usize,
    /// Cuts out the second half of x.
    pub gate: usize,
    /// GELU of the gate.
    pub gelu: usize,
    /// The product; its output is the unit's.
    pub product: usize,
}

impl Geglu {
    /// The unit whose first node has this index, if there is one.
    pub fn at(graph: &Graph, value: usize) -> Option<Self> {
        let node = &graph.nodes[value];
        let x = *node.inputs.first()?;
        let (&width, axis) = (graph.shape(x).last()?, graph.shape(x).len() - 1);
        let half = |start: usize| Op::Slice { axis, start, end: start + width / 2 };
        if width % 2 != 0 || node.op != half(0) {
            return None;
        }
        let product = sole_reader(graph, node.output)?;
        if graph.nodes[product].op != Op::Mul {
            return None;
        }
        let gated = graph.nodes[product].inputs.iter().find(|input| **input != node.output)?;
        let gelu = producer(graph, *gated)?;
        let gate = producer(graph, *graph.nodes[gelu].inputs.first()?)?;
        let fits = graph.nodes[gelu].op == Op::Activation(Activation::GeluErf)
            && graph.nodes[gate].op == half(width / 2)
            && graph.nodes[gate].inputs == [x]
            && sole_reader(graph, graph.nodes[gate].output) == Some(gelu)
            && sole_reader(graph, graph.nodes[gelu].output) == Some(product)
            && value < gate;
        fits.then_some(Self { value, gate, gelu, product })
    }
}

/// The node that a kernel computes along with this one, if there is one: the only reader of what this one makes.
///
/// Layer norm with modulation, linear with GELU (tanh), convolution with ReLU, group norm with SiLU.
pub fn tail(graph: &Graph, head: usize) -> Option<usize> {
    let head = &graph.nodes[head];
    let follows = |tail: &Op| {
        matches!(
            (&head.op, tail),
            (Op::LayerNorm { weight: None, bias: None, .. }, Op::Modulate)
                | (Op::Linear { .. }, Op::Activation(Activation::GeluTanh))
                | (Op::Conv2d { .. }, Op::Activation(Activation::Relu))
                | (Op::GroupNorm { .. }, Op::Activation(Activation::Silu))
        )
    };
    // First what is quick to tell: of most nodes no reader is looked for.
    if !matches!(head.op, Op::LayerNorm { .. } | Op::Linear { .. } | Op::Conv2d { .. } | Op::GroupNorm { .. }) {
        return None;
    }
    sole_reader(graph, head.output).filter(|&index| {
        let tail = &graph.nodes[index];
        follows(&tail.op) && tail.inputs[0] == head.output
    })
}

/// The node that makes a value.
fn producer(graph: &Graph, value: ValueId) -> Option<usize> {
    graph.nodes.iter().position(|node| node.output == value)
}

/// The one node that reads a value, once, if the value is no output of the graph.
fn sole_reader(graph: &Graph, value: ValueId) -> Option<usize> {
    let reads = |node: &super::Node| node.inputs.iter().filter(|input| **input == value).count();
    let mut readers = graph.nodes.iter().enumerate().filter(|(_, node)| reads(node) > 0);
    let (index, node) = readers.next()?;
    let alone = readers.next().is_none() && reads(node) == 1;
    (alone && graph.outputs.iter().all(|port| port.value != value)).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, GraphBuilder};

    #[test]
    fn a_tail_is_the_only_reader_and_of_the_right_kind() {
        let build = |op: Op, also: bool| {
            let mut b = GraphBuilder::new("tail");
            let x = b.input("x", &[1, 3, 8], DType::F32);
            let rows = b.input("rows", &[1, 1, 8], DType::F32);
            let h = b.norm("norm", x, 1e-6);
            let inputs = match op {
                Op::Modulate => vec![h, rows, rows],
                Op::GatedAdd => vec![x, h, rows],
                _ => vec![h],
            };
            let y = b.node("next", op, &inputs);
            b.output("y", y);
            if also {
                b.output("also", h);
            }
            b.finish().unwrap()
        };
        assert_eq!(tail(&build(Op::Modulate, false), 0), Some(1));
        assert_eq!(tail(&build(Op::Modulate, true), 0), None, "the norm is read elsewhere");
        assert_eq!(tail(&build(Op::GatedAdd, false), 0), None);
        assert_eq!(tail(&build(Op::Activation(Activation::Silu), false), 0), None);
        assert_eq!(tail(&build(Op::Modulate, false), 1), None);
    }

    /// The index of the first cut is 0.
    fn unit(activation: Activation, cuts: [(usize, usize); 2], also: Option<&str>) -> Graph {
        ordered(activation, cuts, also, false)
    }

    fn ordered(activation: Activation, cuts: [(usize, usize); 2], also: Option<&str>, gelu_first: bool) -> Graph {
        let mut b = GraphBuilder::new("unit");
        let x = b.input("x", &[1, 3, 8], DType::F32);
        let value = b.slice("value", x, 2, cuts[0].0, cuts[0].1);
        let gate = b.slice("gate", x, 2, cuts[1].0, cuts[1].1);
        let gelu = b.activation("gelu", gate, activation);
        let factors = if gelu_first { [gelu, value] } else { [value, gelu] };
        let product = b.node("gated", Op::Mul, &factors);
        b.output("y", product);
        match also {
            Some("value") => b.output("also", value),
            Some("gate") => b.output("also", gate),
            Some(_) => b.output("also", gelu),
            None => {}
        }
        b.finish().unwrap()
    }

    #[test]
    fn a_unit_is_found_and_nothing_that_only_looks_like_one() {
        let halves = [(0, 4), (4, 8)];
        let found = Geglu { value: 0, gate: 1, gelu: 2, product: 3 };
        let graph = unit(Activation::GeluErf, halves, None);
        assert_eq!(Geglu::at(&graph, 0), Some(found));
        assert!((1..4).all(|index| Geglu::at(&graph, index).is_none()));
        assert_eq!(Geglu::at(&ordered(Activation::GeluErf, halves, None, true), 0), Some(found), "factors exchanged");
        assert_eq!(Geglu::at(&unit(Activation::GeluTanh, halves, None), 0), None, "another function");
        assert_eq!(Geglu::at(&unit(Activation::GeluErf, [(0, 4), (0, 4)], None), 0), None, "one half twice");
        assert_eq!(Geglu::at(&unit(Activation::GeluErf, [(4, 8), (0, 4)], None), 0), None, "the halves exchanged");
        for also in ["value", "gate", "gelu"] {
            assert_eq!(Geglu::at(&unit(Activation::GeluErf, halves, Some(also)), 0), None, "{also} is read elsewhere");
        }
    }
}
