//! The cases: every operation in the forms that models use and at odd sizes, then components of the models.

mod attention;
mod cascaded;
mod components;
mod cut;
mod edgedit;
mod elasticdit;
mod image;
mod linear;
mod pointwise;
mod shape;
mod snapgen;

use ditbench_graph::{DType, GraphBuilder, Init, ValueId};
use ditbench_graph::{Graph, Tensor};

use crate::inputs;

/// A graph with inputs. Weights follow from the graph, a scheme and the seed: see [`crate::weights`].
#[derive(Clone, Debug)]
pub struct Case {
    /// Unique; what it is about, from the general to the particular: `attention.blockwise.grouped_heads`.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// One tensor for each input of the graph.
    pub inputs: Vec<Tensor>,
    /// What inputs and weights were, or will be, made from.
    pub seed: u64,
}

impl Case {
    /// A case with seeded inputs. Convolutions that models initialise as averages get normal weights instead: an
    /// average would hide exchanged channels and turned kernels.
    pub fn new(name: impl Into<String>, mut graph: Graph, seed: u64) -> Self {
        for spec in graph.weights.iter_mut().filter(|spec| spec.init == Init::Average) {
            let fan_in: usize = spec.shape[1..].iter().product();
            spec.init = Init::Normal(1.0 / (fan_in as f32).sqrt());
        }
        let inputs = inputs(&graph, seed);
        Self { name: name.into(), graph, inputs, seed }
    }
}

/// All cases. Their order is fixed.
///
/// # Panics
/// If a case's graph does not build, which is a fault of the case.
pub fn cases() -> Vec<Case> {
    let mut all = Cases::default();
    linear::add(&mut all);
    image::add(&mut all);
    pointwise::add(&mut all);
    attention::add(&mut all);
    shape::add(&mut all);
    components::add(&mut all);
    edgedit::add(&mut all);
    snapgen::add(&mut all);
    elasticdit::add(&mut all);
    cascaded::add(&mut all);
    all.0
}

/// Cases being gathered.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    /// Adds a case whose graph has what `build` gives as its one output, `y`.
    fn add(&mut self, name: &str, build: impl FnOnce(&mut GraphBuilder) -> ValueId) {
        let mut b = GraphBuilder::new(name);
        let y = build(&mut b);
        b.output("y", y);
        let graph = b.finish().unwrap_or_else(|error| panic!("case {name}: {error}"));
        self.push(name, graph);
    }

    /// Adds a graph, under a name of the case's own.
    fn push(&mut self, name: &str, graph: Graph) {
        self.0.push(Case::new(name, Graph { name: name.replace('.', "_"), ..graph }, 1));
    }

    /// The last case, to change its inputs.
    fn last(&mut self) -> &mut Case {
        self.0.last_mut().expect("called after a case was added")
    }
}

/// A floating-point input.
fn input(b: &mut GraphBuilder, name: &str, shape: &[usize]) -> ValueId {
    b.input(name, shape, DType::F32)
}

/// Floats of the last case's first input, changed one by one by (index, value).
fn edit(case: &mut Case, f: impl Fn(usize, f32) -> f32) {
    let tensor = &case.inputs[0];
    let values = tensor.as_f32().expect("cases that are edited have floating-point inputs");
    let values = values.iter().enumerate().map(|(i, &v)| f(i, v)).collect();
    case.inputs[0] = Tensor::f32(tensor.shape(), values).expect("as many elements as before");
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn names_are_unique_and_every_kind_of_operation_is_there() {
        let all = cases();
        let names: HashSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        let kinds: BTreeSet<&str> = all.iter().flat_map(|case| &case.graph.nodes).map(|node| node.op.kind()).collect();
        let wanted = "Add Attention AveragePool Concat Conv2d Embedding GatedAdd Gelu GroupNorm LayerNorm Lerp Linear Modulate Mul Parameter \
                      Relu Relu6 Reshape RmsNorm Rope Scale Sigmoid Silu Slice Tanh Transpose Upsample";
        assert_eq!(kinds, wanted.split(' ').collect());
    }

    #[test]
    fn cases_stay_small() {
        for case in cases() {
            let macs = ditbench_graph::cost::total(&case.graph).macs;
            assert!(macs < 60_000_000, "{}: {macs} multiply-accumulates", case.name);
        }
    }
}
