//! Which node goes wrong first: the graph is cut so that intermediate values become outputs.

use std::fmt;

use ditbench_backend_api::{Backend, CompileOptions};
use ditbench_graph::Graph;
use ditbench_graph::weights::Weights;
use ditbench_graph::{Node, Op, Port};
use ditbench_reference::{Array, ReferenceSession};

use crate::{Case, Difference, allowed};

/// Where a backend leaves the reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// The node's name.
    pub node: String,
    /// The kind of operation.
    pub op: &'static str,
    /// How far its output is from the reference.
    pub difference: Difference,
    /// Whether the fault shows only where the values before the node stay inside the runtime, as a wrong fusion does.
    pub fused: bool,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, op, difference, fused } = self;
        write!(f, "first diverging node: {node} ({op}), relative L2 {:.1e}", difference.relative_l2)?;
        if *fused { f.write_str(", only when fused with what is before it") } else { Ok(()) }
    }
}

/// The first node, in execution order, whose output is further from the reference than allowed.
///
/// First every intermediate value is made an output of the graph. A runtime may then fuse less, and a fault of fusion
/// vanishes; so if no node stands out, the graph is cut in two, and only what the first part hands to the second is
/// looked at. `None` if the backend cannot run the cut graphs, or none of them is wrong.
pub fn first_divergence(
    backend: &dyn Backend,
    case: &Case,
    weights: &Weights,
    options: &CompileOptions,
) -> Option<Divergence> {
    let mut truth = vec![None; case.graph.nodes.len()];
    ReferenceSession::new(&case.graph, weights, options.threads)
        .ok()?
        .run_traced(&case.inputs, &mut |step| truth[step.index] = Some(step.output.clone()))
        .ok()?;
    let truth: Vec<Array> = truth.into_iter().collect::<Option<_>>()?;
    let nodes = observable(&case.graph);
    let compare = |nodes: &[usize]| compare(backend, case, weights, options, nodes, &truth);
    let told = |&(index, difference): &(usize, Difference), fused| {
        let Node { name, op, .. } = &case.graph.nodes[index];
        Divergence { node: name.clone(), op: op.kind(), difference, fused }
    };
    let (bound, differences) = compare(&nodes)?;
    if let Some(wrong) = differences.iter().find(|(_, difference)| !difference.is_within(bound)) {
        return Some(told(wrong, false));
    }
    // The shortest beginning of the graph that is wrong, by bisection: what a beginning hands to the rest is wrong as
    // soon as the faulty node is in it.
    let wrong_within = |last: usize| {
        let (bound, differences) = compare(&handed_on(&case.graph, last))?;
        differences.into_iter().rfind(|(_, difference)| !difference.is_within(bound))
    };
    let (mut right, mut wrong) = (0, nodes.len() - 1);
    let mut found = wrong_within(nodes[wrong])?;
    while right < wrong {
        let middle = (right + wrong) / 2;
        match wrong_within(nodes[middle]) {
            Some(earlier) => (wrong, found) = (middle, earlier),
            None => right = middle + 1,
        }
    }
    Some(told(&found, true))
}

/// Nodes up to `last` whose output is read by a later node or is an output of the graph.
fn handed_on(graph: &Graph, last: usize) -> Vec<usize> {
    let (before, after) = graph.nodes.split_at(last + 1);
    let is_read = |node: &Node| {
        after.iter().any(|later| later.inputs.contains(&node.output))
            || graph.outputs.iter().any(|port| port.value == node.output)
    };
    let computes = |node: &Node| !matches!(node.op, Op::Parameter { .. });
    (0..before.len()).filter(|&i| computes(&before[i]) && is_read(&before[i])).collect()
}

/// Nodes whose output can be one of a graph: computed, and not merely a weight or the same bytes in another shape.
fn observable(graph: &Graph) -> Vec<usize> {
    let is_output = |node: &Node| graph.outputs.iter().any(|port| port.value == node.output);
    let computes = |node: &Node| !matches!(node.op, Op::Parameter { .. } | Op::Reshape { .. });
    (0..graph.nodes.len()).filter(|&i| computes(&graph.nodes[i]) || is_output(&graph.nodes[i])).collect()
}

/// Runs the graph up to the last of `nodes` with the outputs of `nodes` as its own; gives the bound and each distance.
fn compare(
    backend: &dyn Backend,
    case: &Case,
    weights: &Weights,
    options: &CompileOptions,
    nodes: &[usize],
    truth: &[Array],
) -> Option<(f64, Vec<(usize, Difference)>)> {
    let cut = cut_after(&case.graph, nodes)?;
    let mut session = backend.compile(&cut, weights, options).ok()?;
    let bound = allowed(session.numerics(), &cut, weights);
    let results = session.run(&case.inputs).ok()?;
    let differences = nodes.iter().zip(&results).map(|(&index, result)| {
        let found = result.as_f32().unwrap_or(&[]);
        (index, Difference::between(found, &truth[index].data))
    });
    Some((bound, differences.collect()))
}

/// The graph up to the last of `nodes`, whose outputs become its own; nodes that lead to none of them are left out.
fn cut_after(graph: &Graph, nodes: &[usize]) -> Option<Graph> {
    let mut cut = graph.clone();
    let last = *nodes.last()?;
    let mut wanted: Vec<usize> = nodes.iter().map(|&index| graph.nodes[index].output.0).collect();
    let mut kept: Vec<Node> = Vec::new();
    for node in graph.nodes[..=last].iter().rev() {
        if wanted.contains(&node.output.0) {
            wanted.extend(node.inputs.iter().map(|id| id.0));
            kept.push(node.clone());
        }
    }
    kept.reverse();
    cut.nodes = kept;
    cut.outputs = nodes
        .iter()
        .map(|&index| Port { name: format!("out.{}", graph.nodes[index].name), value: graph.nodes[index].output })
        .collect();
    Some(cut)
}
