//! The language of models: a function from a config to nodes in execution order.
//!
//! Contract: nodes are listed in an order in which they can run; every value has a static shape of rank ≤ 5 (NPUs refuse
//! more); weights are named, never inlined; each node carries a scope name such as `up.3.assa.local`, which is the name
//! under which every backend reports its time. The operations are at the level at which kernels are written.

mod builder;
pub mod cost;
pub mod fused;
pub mod hash;
mod infer;
pub mod onnx;
mod op;
pub mod rope;
pub mod tensor;
pub mod tensor_file;
pub mod weights;

use serde::{Deserialize, Serialize};

pub use builder::{ConvShape, GraphBuilder, GraphError};
pub use op::{Activation, AttentionPattern, Op};

pub use tensor::{DType, Tensor, TensorData};

/// The highest rank that a value may have: NPU compilers refuse more.
pub const MAX_RANK: usize = 5;

/// Index of a value in [`Graph::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueId(pub usize);

/// Index of a weight in [`Graph::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeightId(pub usize);

/// What flows along an edge: its static shape and element type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Extent of each axis, outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

/// A value with a name, at the boundary of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The name by which callers and exported files know it.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// How a weight is initialised when no checkpoint gives it. Chosen so that activations stay bounded at every size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with this standard deviation, mean 0.
    Normal(f32),
    /// Normal around a mean.
    NormalAround {
        /// The mean.
        mean: f32,
        /// The standard deviation.
        std: f32,
    },
    /// A convolution `[O, I/groups, kh, kw]` that averages its window and keeps each channel:
    /// 1/(kh·kw) where the output channel (within its group) equals the input channel, else 0.
    Average,
    /// A convolution `[4c, 4c, 1, 1]` that undoes one level of the Haar wavelet, c images side by side: from the bands LL, LH, HL, HH of each
    /// to its pixels (0, 0), (0, 1), (1, 0), (1, 1) of every square of four.
    Haar,
}

/// What a weight is for: decides which precision a scheme may give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightRole {
    /// Matrix `[N, K]` of a linear layer inside a transformer block or resampler: the bulk, quantized by the schemes.
    Linear,
    /// Matrix `[N, K]` of a layer that does not bear quantization well (patch-in, final, time, adaLN, text projection): kept in 16 bits or more.
    SensitiveLinear,
    /// Convolution kernel `[O, I/groups, kh, kw]`.
    Conv,
    /// Row per token id `[V, D]`.
    Embedding,
    /// Bias, norm, table, gate: small.
    Small,
}

/// A named weight that the graph wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightSpec {
    /// Name in the safetensors file, for instance `down.0.attn.q.weight`.
    pub name: String,
    /// Extent of each axis. Linear: `[N, K]`. Convolution: `[O, I/groups, kh, kw]`.
    pub shape: Vec<usize>,
    /// Initialisation when no checkpoint gives it.
    pub init: Init,
    /// What it is for.
    pub role: WeightRole,
}

impl WeightSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One operation, its inputs and its one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique name: scope, then what the node does: `down.0.attn.q`. Profiles of every backend land on it.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Values that it reads, in the operation's order.
    pub inputs: Vec<ValueId>,
    /// The value that it makes.
    pub output: ValueId,
}

/// A model: named inputs and outputs, nodes in execution order, named weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Name of the component: `text_encoder`, `denoiser`, `decoder`.
    pub name: String,
    /// What a caller gives, in order.
    pub inputs: Vec<Port>,
    /// What a caller gets, in order.
    pub outputs: Vec<Port>,
    /// All values.
    pub values: Vec<Value>,
    /// All weights that the nodes name.
    pub weights: Vec<WeightSpec>,
    /// Nodes, in an order in which they can run.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// The value behind an id of this graph.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// The shape behind an id of this graph.
    pub fn shape(&self, id: ValueId) -> &[usize] {
        &self.values[id.0].shape
    }

    /// The weight behind an id of this graph.
    pub fn weight(&self, id: WeightId) -> &WeightSpec {
        &self.weights[id.0]
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.weights.iter().map(WeightSpec::len).sum()
    }

    /// For each value, the index of the last node that reads it; `None` for one that is never read or is an output
    /// of the graph and so must be kept.
    pub fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                last[input.0] = Some(index);
            }
        }
        for port in &self.outputs {
            last[port.value.0] = None;
        }
        last
    }

    /// How many nodes read each value, an output of the graph counting as one more reader.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.values.len()];
        for id in self.nodes.iter().flat_map(|node| &node.inputs) {
            readers[id.0] += 1;
        }
        for port in &self.outputs {
            readers[port.value.0] += 1;
        }
        readers
    }

    /// SHA-256 of the graph's canonical JSON, in hex: two records with the same hash ran the same model.
    pub fn sha256(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        hash::sha256(&json)
    }
}
