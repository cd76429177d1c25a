//! From the bytes of a file to a [`Model`].

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message;

use super::error::Fault;
use super::external::{self, DataFile};
use super::fields::{Broken, Field, fields};
use super::message::{self, field};
use super::node::{Held, Node, invalid};
use super::precision::Precision;
use super::{Dim, Model, Operator, Port};
use crate::DType;

/// Graphs within graphs: branches and loops. Exporters make three at most.
const DEPTH: usize = 16;
/// What one decoded string or number costs besides its bytes, roughly.
const OVERHEAD: usize = 48;

/// Reads one file; counts what it keeps.
pub(crate) struct Parser {
    left: usize,
    nodes: Vec<Node>,
    tensors: HashMap<String, Held>,
    operators: BTreeMap<Operator, usize>,
    stored: BTreeMap<DType, u64>,
    data: BTreeMap<String, DataFile>,
}

impl Parser {
    /// `memory` is the most that may be kept, in bytes.
    pub(crate) fn new(memory: usize) -> Self {
        Self {
            left: memory,
            nodes: Vec::new(),
            tensors: HashMap::new(),
            operators: BTreeMap::new(),
            stored: BTreeMap::new(),
            data: BTreeMap::new(),
        }
    }

    pub(crate) fn model(mut self, bytes: &[u8]) -> Result<Model, Fault> {
        let head: message::Head = self.decode(bytes, &[1, 2, 3, 8], "the file")?;
        let mut graphs = Vec::new();
        for part in walk(bytes, "the file") {
            let part = part?;
            match part.number {
                field::MODEL_GRAPH => graphs.push(part.payload),
                field::MODEL_FUNCTION => self.function(part.payload)?,
                _ => (),
            }
        }
        let graph = match graphs[..] {
            [graph] => graph,
            [] => return Err(Fault::NoGraph),
            _ => return Err(invalid("the file", "it holds several graphs")),
        };
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for part in walk(graph, "the graph") {
            let part = part?;
            match part.number {
                field::GRAPH_INPUT => inputs.push(self.port(part.payload, "an input")?),
                field::GRAPH_OUTPUT => outputs.push(self.port(part.payload, "an output")?),
                _ => (),
            }
        }
        let given = self.graph(graph, 0)?;
        inputs.retain(|port| !given.contains(&port.name));
        if outputs.is_empty() {
            return Err(invalid("the graph", "it has no output"));
        }
        let mut opsets = BTreeMap::new();
        for opset in head.opset_import {
            opsets.insert(own(opset.domain), opset.version);
        }
        let producer = format!("{} {}", head.producer_name, head.producer_version).trim().to_owned();
        Ok(Model {
            ir_version: head.ir_version,
            producer,
            opsets,
            inputs,
            outputs,
            precision: Precision::of(&self.nodes, &self.tensors)?,
            operators: self.operators,
            stored: self.stored,
            data: self.data.into_values().collect(),
            bytes: bytes.len() as u64,
        })
    }

    /// Takes in a graph's nodes and weights; gives the names of its initializers.
    fn graph(&mut self, graph: &[u8], depth: usize) -> Result<HashSet<String>, Fault> {
        if depth > DEPTH {
            return Err(Fault::Limit(format!("its graphs are nested more than {DEPTH} deep")));
        }
        let mut given = HashSet::new();
        for part in walk(graph, "a graph") {
            let part = part?;
            match part.number {
                field::GRAPH_NODE => self.node(part.payload, depth)?,
                field::GRAPH_INITIALIZER => {
                    let name = self.tensor(part.payload, None)?;
                    given.insert(name);
                }
                field::GRAPH_SPARSE_INITIALIZER => {
                    for tensor in walk(part.payload, "a sparse tensor") {
                        let tensor = tensor?;
                        if matches!(tensor.number, field::SPARSE_VALUES | field::SPARSE_INDICES) {
                            self.tensor(tensor.payload, None)?;
                        }
                    }
                }
                _ => (),
            }
        }
        Ok(given)
    }

    fn function(&mut self, function: &[u8]) -> Result<(), Fault> {
        walk(function, "a function").try_for_each(|part| match part? {
            Field { number: field::FUNCTION_NODE, payload, .. } => self.node(payload, 0),
            _ => Ok(()),
        })
    }

    fn node(&mut self, bytes: &[u8], depth: usize) -> Result<(), Fault> {
        let node: message::Node = self.decode(bytes, &[1, 2, 4, 7], "a node")?;
        let operator = Operator { domain: own(node.domain), name: node.op_type };
        let mut numbers = Vec::new();
        for part in walk(bytes, "a node") {
            let part = part?;
            if part.number != field::NODE_ATTRIBUTE {
                continue;
            }
            let attribute: message::Attribute = self.decode(part.payload, &[1, 3], "an attribute")?;
            for held in walk(part.payload, "an attribute") {
                let held = held?;
                match held.number {
                    // A Constant's tensor goes by the name of the node's output. Others' hold a number to fill with.
                    field::ATTRIBUTE_TENSOR if operator.name == "Constant" => {
                        self.tensor(held.payload, node.output.first())?;
                    }
                    field::ATTRIBUTE_GRAPH | field::ATTRIBUTE_GRAPHS => {
                        self.graph(held.payload, depth + 1)?;
                    }
                    _ => (),
                }
            }
            if let Some(value) = attribute.i {
                numbers.push((attribute.name, value));
            }
        }
        *self.operators.entry(operator.clone()).or_default() += 1;
        self.nodes.push(Node { operator, inputs: node.input, outputs: node.output, numbers });
        Ok(())
    }

    /// Takes in a tensor's type, size and place; gives its name.
    fn tensor(&mut self, bytes: &[u8], name: Option<&String>) -> Result<String, Fault> {
        let mut tensor: message::Tensor = self.decode(bytes, &[1, 2, 8, 13, 14], "a tensor")?;
        if let Some(name) = name {
            tensor.name.clone_from(name);
        }
        let fail = |why: String| invalid(&format!("tensor \"{}\"", tensor.name), &why);
        let dtype = DType::from_code(tensor.data_type);
        let elements = tensor.dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(u64::try_from(dim).ok()?));
        let elements = elements.ok_or_else(|| fail(format!("its shape is {:?}", tensor.dims)))?;
        let needed = match dtype.bits() {
            Some(_) => Some(
                dtype
                    .bytes(elements)
                    .ok_or_else(|| fail(format!("{elements} elements are more than any file holds")))?,
            ),
            None => None,
        };
        if tensor.data_location == 1 {
            external::add(&mut self.data, &tensor, needed)?;
        } else {
            let raw = walk(bytes, "a tensor").filter_map(Result::ok).filter(|part| part.number == field::TENSOR_RAW);
            let raw = raw.last().map_or(0, |part| part.payload.len() as u64);
            // Without raw bytes the elements are in lists of numbers, which are not read.
            if let Some(needed) = needed.filter(|&needed| raw != 0 && raw != needed) {
                return Err(fail(format!("it has {raw} bytes of data, but its shape needs {needed}")));
            }
        }
        *self.stored.entry(dtype).or_default() = self
            .stored
            .get(&dtype)
            .copied()
            .unwrap_or_default()
            .checked_add(needed.unwrap_or_default())
            .ok_or_else(|| fail("its weights are more than any disk holds".to_owned()))?;
        self.tensors.insert(tensor.name.clone(), Held { dtype, elements });
        Ok(tensor.name)
    }

    fn port(&mut self, bytes: &[u8], what: &'static str) -> Result<Port, Fault> {
        // An axis of two bytes becomes forty.
        self.charge(bytes.len().saturating_mul(24))?;
        let info: message::ValueInfo = self.decode(bytes, &[field::VALUE_NAME, field::VALUE_TYPE], what)?;
        let tensor = info.r#type.and_then(|value| value.tensor_type);
        let place = || format!("{what} \"{}\"", info.name);
        let shape = tensor.as_ref().and_then(|tensor| tensor.shape.as_ref());
        let dims = shape.map(|shape| shape.dim.iter().map(dimension).collect::<Result<Vec<_>, _>>());
        let dims = dims.transpose().map_err(|why| invalid(&place(), &why))?;
        Ok(Port { dtype: tensor.map(|tensor| DType::from_code(tensor.elem_type)), dims, name: info.name })
    }

    /// Decodes the fields of a message that are named, and charges for them.
    fn decode<M: Message + Default>(&mut self, bytes: &[u8], wanted: &[u32], what: &'static str) -> Result<M, Fault> {
        let mut kept = Vec::new();
        for part in walk(bytes, what) {
            let part = part?;
            if wanted.contains(&part.number) {
                // A byte of packed numbers becomes eight.
                self.charge(part.whole.len().saturating_mul(8).saturating_add(OVERHEAD))?;
                kept.extend_from_slice(part.whole);
            }
        }
        M::decode(&kept[..]).map_err(|error| invalid(what, &error.to_string()))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| {
            Fault::Limit("its names, shapes and nodes alone are larger than those of any model".to_owned())
        })?;
        Ok(())
    }
}

fn dimension(dim: &message::Dimension) -> Result<Dim, String> {
    match (dim.dim_value, dim.dim_param.as_deref()) {
        (_, Some(name)) if !name.is_empty() => Ok(Dim::Named(name.to_owned())),
        // Some exporters write 0 or -1 for an axis that is free.
        (Some(0 | -1) | None, _) => Ok(Dim::Open),
        (Some(extent), _) => {
            usize::try_from(extent).map(Dim::Fixed).map_err(|_| format!("an axis has {extent} elements"))
        }
    }
}

/// ONNX's own operator set has two names.
fn own(domain: String) -> String {
    if domain == "ai.onnx" { String::new() } else { domain }
}

/// [`fields`], a broken one as a fault in `place`.
pub(crate) fn walk<'a>(bytes: &'a [u8], place: &'static str) -> impl Iterator<Item = Result<Field<'a>, Fault>> {
    fields(bytes).map(move |part| part.map_err(|Broken| Fault::Broken(place)))
}
