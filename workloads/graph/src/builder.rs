//! Building a graph: each method adds a node and gives its value; the first mistake is kept and told by `finish`.

use std::collections::HashSet;

use super::{
    Activation, AttentionPattern, DType, Graph, Init, Node, Op, Port, Value, ValueId, WeightId, WeightRole, WeightSpec,
    infer::output_shape,
};

/// Why a graph could not be built: a mistake in a config or in a model file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A node's inputs do not fit it.
    #[error("graph {graph}, node {node}: {why}")]
    Node {
        /// Name of the graph.
        graph: String,
        /// Name of the node.
        node: String,
        /// What does not fit, with the shapes.
        why: String,
    },
    /// A config that no graph can have.
    #[error("{0}")]
    Config(String),
}

/// The shape of a square convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Rows and columns of the window.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Rows and columns of zeros added on each side.
    pub padding: usize,
    /// Independent groups of channels.
    pub groups: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Builds a [`Graph`] node by node. Names are prefixed by the current scope.
///
/// After a mistake the builder goes on with a placeholder value, so that model code needs no error handling of its
/// own; [`GraphBuilder::finish`] returns the first one.
pub struct GraphBuilder {
    graph: Graph,
    scope: Vec<String>,
    names: HashSet<String>,
    error: Option<GraphError>,
}

impl GraphBuilder {
    /// An empty graph of this name.
    pub fn new(name: impl Into<String>) -> Self {
        let graph = Graph {
            name: name.into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
            nodes: Vec::new(),
        };
        Self { graph, scope: Vec::new(), names: HashSet::new(), error: None }
    }

    /// Runs `build` with `name` appended to the scope.
    pub fn scope<T>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(name.into());
        let result = build(self);
        self.scope.pop();
        result
    }

    /// The shape of a value made so far.
    pub fn shape(&self, value: ValueId) -> &[usize] {
        self.graph.shape(value)
    }

    fn name(&self, leaf: &str) -> String {
        self.scope.iter().map(String::as_str).chain([leaf]).collect::<Vec<_>>().join(".")
    }

    fn value(&mut self, shape: Vec<usize>, dtype: DType) -> ValueId {
        self.graph.values.push(Value { shape, dtype });
        ValueId(self.graph.values.len() - 1)
    }

    fn fail(&mut self, node: String, why: String) {
        if self.error.is_none() {
            self.error = Some(GraphError::Node { graph: self.graph.name.clone(), node, why });
        }
    }

    /// An input of the graph.
    pub fn input(&mut self, name: &str, shape: &[usize], dtype: DType) -> ValueId {
        let value = self.value(shape.to_vec(), dtype);
        self.graph.inputs.push(Port { name: name.to_owned(), value });
        value
    }

    /// Makes a value an output of the graph.
    pub fn output(&mut self, name: &str, value: ValueId) {
        self.graph.outputs.push(Port { name: name.to_owned(), value });
    }

    /// A weight named after the scope; asking for the same name again gives the same weight.
    pub fn weight(&mut self, leaf: &str, shape: &[usize], init: Init, role: WeightRole) -> WeightId {
        let name = self.name(leaf);
        if let Some(index) = self.graph.weights.iter().position(|spec| spec.name == name) {
            if self.graph.weights[index].shape != shape {
                self.fail(
                    name,
                    format!("one weight with two shapes, {:?} and {shape:?}", self.graph.weights[index].shape),
                );
            }
            return WeightId(index);
        }
        self.graph.weights.push(WeightSpec { name, shape: shape.to_vec(), init, role });
        WeightId(self.graph.weights.len() - 1)
    }

    /// Adds a node called `leaf` in the current scope and gives its output.
    pub fn node(&mut self, leaf: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        let name = self.name(leaf);
        if !self.names.insert(name.clone()) {
            self.fail(name.clone(), "two nodes of one name".to_owned());
        }
        let shapes: Vec<&[usize]> = inputs.iter().map(|&id| self.graph.shape(id)).collect();
        let shape = output_shape(&op, &shapes, &self.graph.weights);
        let dtype = match op {
            Op::Embedding { .. } | Op::Parameter { .. } => DType::F32,
            _ => inputs.first().map_or(DType::F32, |&id| self.graph.value(id).dtype),
        };
        let shape = shape.unwrap_or_else(|why| {
            self.fail(name.clone(), why);
            vec![1]
        });
        let output = self.value(shape, dtype);
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec(), output });
        output
    }

    /// A linear layer `[.., K] → [.., out]` with bias, of the given role; its weight is initialised with standard deviation gain/√K.
    pub fn linear_as(&mut self, leaf: &str, x: ValueId, out: usize, role: WeightRole, gain: f32) -> ValueId {
        let k = self.shape(x).last().copied().unwrap_or(1);
        let (weight, bias) = self.scope(leaf, |b| {
            let weight = b.weight("weight", &[out, k], Init::Normal(gain / (k as f32).sqrt()), role);
            (weight, b.weight("bias", &[out], Init::Normal(0.02), WeightRole::Small))
        });
        self.node(leaf, Op::Linear { weight, bias: Some(bias) }, &[x])
    }

    /// A linear layer `[.., K] → [.., out]` with bias, in the bulk that schemes quantize.
    pub fn linear(&mut self, leaf: &str, x: ValueId, out: usize) -> ValueId {
        self.linear_as(leaf, x, out, WeightRole::Linear, 1.0)
    }

    /// A 3×3 convolution with bias that keeps the size, `[B, I, h, w] → [B, out, h, w]`; its weight is initialised with
    /// standard deviation gain·√(2/fan-in) (He's for ReLU at gain 1).
    pub fn conv3x3(&mut self, leaf: &str, x: ValueId, out: usize, gain: f32) -> ValueId {
        let channels = self.shape(x).get(1).copied().unwrap_or(1);
        let kernel = 3;
        let std = gain * (2.0 / (channels * kernel * kernel) as f32).sqrt();
        let (weight, bias) = self.scope(leaf, |b| {
            let weight = b.weight("weight", &[out, channels, kernel, kernel], Init::Normal(std), WeightRole::Conv);
            (weight, b.weight("bias", &[out], Init::Normal(0.02), WeightRole::Small))
        });
        self.node(leaf, Op::Conv2d { weight, bias: Some(bias), stride: 1, padding: 1, groups: 1 }, &[x])
    }

    /// A linear layer `[.., K] → [.., out]` without bias, in the bulk that schemes quantize.
    pub fn linear_plain(&mut self, leaf: &str, x: ValueId, out: usize) -> ValueId {
        let k = self.shape(x).last().copied().unwrap_or(1);
        let init = Init::Normal(1.0 / (k as f32).sqrt());
        let weight = self.scope(leaf, |b| b.weight("weight", &[out, k], init, WeightRole::Linear));
        self.node(leaf, Op::Linear { weight, bias: None }, &[x])
    }

    /// A square convolution `[B, I, h, w] → [B, out, h', w']`; its weight is initialised with standard deviation gain/√fan-in.
    pub fn conv(&mut self, leaf: &str, x: ValueId, out: usize, shape: ConvShape, gain: f32) -> ValueId {
        let ConvShape { kernel, stride, padding, groups, bias } = shape;
        let inputs = self.shape(x).get(1).copied().unwrap_or(1) / groups.max(1);
        let std = gain / ((inputs * kernel * kernel) as f32).sqrt();
        let (weight, bias) = self.scope(leaf, |b| {
            let weight = b.weight("weight", &[out, inputs, kernel, kernel], Init::Normal(std), WeightRole::Conv);
            (weight, bias.then(|| b.weight("bias", &[out], Init::Normal(0.02), WeightRole::Small)))
        });
        self.node(leaf, Op::Conv2d { weight, bias, stride, padding, groups }, &[x])
    }

    /// A layer norm over the last axis without weights.
    pub fn norm(&mut self, leaf: &str, x: ValueId, eps: f32) -> ValueId {
        self.node(leaf, Op::LayerNorm { eps, weight: None, bias: None }, &[x])
    }

    /// A layer norm over the last axis with weight and bias.
    pub fn affine_norm(&mut self, leaf: &str, x: ValueId, eps: f32) -> ValueId {
        let width = self.shape(x).last().copied().unwrap_or(1);
        let (weight, bias) = self.scope(leaf, |b| {
            let weight = b.weight("weight", &[width], Init::NormalAround { mean: 1.0, std: 0.05 }, WeightRole::Small);
            (weight, b.weight("bias", &[width], Init::Normal(0.02), WeightRole::Small))
        });
        self.node(leaf, Op::LayerNorm { eps, weight: Some(weight), bias: Some(bias) }, &[x])
    }

    /// A group norm of an image, with weight and bias.
    pub fn group_norm(&mut self, leaf: &str, x: ValueId, groups: usize, eps: f32) -> ValueId {
        let channels = self.shape(x).get(1).copied().unwrap_or(1);
        let (weight, bias) = self.scope(leaf, |b| {
            let weight =
                b.weight("weight", &[channels], Init::NormalAround { mean: 1.0, std: 0.05 }, WeightRole::Small);
            (weight, b.weight("bias", &[channels], Init::Normal(0.02), WeightRole::Small))
        });
        self.node(leaf, Op::GroupNorm { groups, eps, weight, bias }, &[x])
    }

    /// A root-mean-square norm over the last axis, with weight.
    pub fn rms_norm(&mut self, leaf: &str, x: ValueId, eps: f32) -> ValueId {
        let width = self.shape(x).last().copied().unwrap_or(1);
        let init = Init::NormalAround { mean: 1.0, std: 0.05 };
        let weight = self.scope(leaf, |b| b.weight("weight", &[width], init, WeightRole::Small));
        self.node(leaf, Op::RmsNorm { eps, weight }, &[x])
    }

    /// Attention with the usual scale 1/√hd.
    pub fn attention(&mut self, leaf: &str, q: ValueId, k: ValueId, v: ValueId, pattern: AttentionPattern) -> ValueId {
        let head = self.shape(q).last().copied().unwrap_or(1);
        self.node(leaf, Op::Attention { pattern, scale: 1.0 / (head as f32).sqrt() }, &[q, k, v])
    }

    /// An element-wise function.
    pub fn activation(&mut self, leaf: &str, x: ValueId, activation: Activation) -> ValueId {
        self.node(leaf, Op::Activation(activation), &[x])
    }

    /// The same elements in another shape.
    pub fn reshape(&mut self, leaf: &str, x: ValueId, shape: &[usize]) -> ValueId {
        self.node(leaf, Op::Reshape { shape: shape.to_vec() }, &[x])
    }

    /// Axes in another order.
    pub fn transpose(&mut self, leaf: &str, x: ValueId, perm: &[usize]) -> ValueId {
        self.node(leaf, Op::Transpose { perm: perm.to_vec() }, &[x])
    }

    /// Elements start..end along an axis.
    pub fn slice(&mut self, leaf: &str, x: ValueId, axis: usize, start: usize, end: usize) -> ValueId {
        self.node(leaf, Op::Slice { axis, start, end }, &[x])
    }

    /// The graph, if every node fitted.
    ///
    /// # Errors
    /// The first node whose inputs did not fit it, with the shapes.
    pub fn finish(self) -> Result<Graph, GraphError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.graph),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mistake_is_told_by_node_and_shape() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 4, 8], DType::F32);
        let y = b.scope("mlp", |b| b.reshape("heads", x, &[1, 4, 3, 2]));
        b.output("y", y);
        let error = b.finish().unwrap_err().to_string();
        assert_eq!(error, "graph toy, node mlp.heads: cannot see [1, 4, 8] as [1, 4, 3, 2]");
    }

    #[test]
    fn names_carry_their_scope_and_are_unique() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 4, 8], DType::F32);
        let y = b.scope("mlp", |b| b.linear("up", x, 16));
        assert_eq!(b.shape(y), [1, 4, 16]);
        b.scope("mlp", |b| b.linear("up", x, 16));
        assert!(b.finish().unwrap_err().to_string().contains("two nodes of one name"));
    }
}
