//! A file being written: nodes and small constants in memory, weights streamed to the file beside it.
//!
//! Contract: every name is given once. Every value of the graph, and whatever an operator outside of ONNX's standard makes, has its
//! shape in the file: no reader can infer it. A lowering's last node carries the graph node's own name, the nodes before it
//! that name, `/` and a suffix, so that a profile maps back by cutting at the first `/`.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::tensor::DType;
use crate::weights::{Format, WeightTensor, Weights};
use crate::{Graph, Node, Op, ValueId, WeightId};

use super::data::{DataFile, to_f16};
use super::proto::{self, Attribute, Bytes, ElementType, Message};
use super::{Dialect, OnnxError, Unpacked};

/// Constants below this many bytes stand in the graph's own file.
const INLINE: usize = 1024;

/// ONNX's standard domain.
pub(super) const STANDARD: &str = "";
/// Operators of ONNX Runtime; tract reads `MatMulNBits` of it.
pub(super) const MICROSOFT: &str = "com.microsoft";
/// Operators of our kernels.
pub(super) const DITBENCH: &str = "ditbench";

/// The state of an export.
pub(super) struct Writer<'a> {
    pub(super) graph: &'a Graph,
    pub(super) weights: &'a Weights,
    pub(super) dialect: &'a Dialect,
    data: DataFile,
    data_name: &'a str,
    nodes: Vec<Message>,
    initializers: Vec<Message>,
    /// Names of constants made so far.
    constants: HashSet<String>,
    /// The ONNX name of each value of the graph that has been made.
    pub(super) values: Vec<Option<String>>,
    /// The ONNX name of each output of the graph, in order.
    pub(super) output_names: Vec<String>,
    /// For nodes that make an output of the graph: its name.
    outputs: HashMap<&'a str, String>,
    /// Index of the node that makes each value.
    producers: Vec<Option<usize>>,
    readers: Vec<usize>,
    /// Nodes that another one has taken in.
    pub(super) absorbed: HashSet<usize>,
    /// For a value, the one that a node taken in would have made of it: both have one name.
    same: HashMap<ValueId, ValueId>,
    /// Biases that are still to be added to a value, by the node that reads it.
    pub(super) pending_bias: HashMap<ValueId, WeightId>,
    pub(super) unpacked: BTreeMap<String, Unpacked>,
    /// Shapes to tell, by name.
    shapes: BTreeMap<String, (ElementType, Vec<usize>)>,
    /// Whether a node takes 8-bit weights as they are.
    pub(super) has_eight_bits: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        weights: &'a Weights,
        dialect: &'a Dialect,
        data: DataFile,
        data_name: &'a str,
    ) -> Self {
        let mut values = vec![None; graph.values.len()];
        for port in &graph.inputs {
            values[port.value.0] = Some(port.name.clone());
        }
        // In a file of 16-bit floats every float output is cast last of all.
        let is_direct = |value: ValueId| !(dialect.half && graph.value(value).dtype == DType::F32);
        let mut producers = vec![None; graph.values.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            producers[node.output.0] = Some(index);
        }
        // ONNX has one space of names for inputs and outputs, the graph has two.
        let taken = |name: &str| graph.inputs.iter().any(|port| port.name == name);
        let output_names: Vec<String> = graph
            .outputs
            .iter()
            .map(|port| if taken(&port.name) { format!("{}_out", port.name) } else { port.name.clone() })
            .collect();
        let direct = graph.outputs.iter().zip(&output_names).rev().filter(|(port, _)| is_direct(port.value));
        let outputs = direct.filter_map(|(port, name)| {
            let node: usize = producers[port.value.0]?;
            Some((graph.nodes[node].name.as_str(), name.clone()))
        });
        let (outputs, readers) = (outputs.collect(), graph.readers());
        Self {
            graph,
            weights,
            dialect,
            data,
            data_name,
            nodes: Vec::new(),
            initializers: Vec::new(),
            constants: HashSet::new(),
            values,
            output_names,
            outputs,
            producers,
            readers,
            absorbed: HashSet::new(),
            same: HashMap::new(),
            pending_bias: HashMap::new(),
            unpacked: BTreeMap::new(),
            shapes: BTreeMap::new(),
            has_eight_bits: false,
        }
    }

    /// The type of floats inside the graph.
    pub(super) fn float(&self) -> ElementType {
        if self.dialect.half { ElementType::F16 } else { ElementType::F32 }
    }

    /// That of a value inside the graph.
    fn inside(&self, dtype: DType) -> ElementType {
        match dtype {
            DType::F32 => self.float(),
            DType::I64 => ElementType::I64,
        }
    }

    /// Casts every float input to the type of floats inside. Before any node.
    pub(super) fn cast_inputs(&mut self) {
        if !self.dialect.half {
            return;
        }
        let graph = self.graph;
        for port in &graph.inputs {
            let value = graph.value(port.value);
            if value.dtype == DType::F32 {
                let inside = self.cast(&format!("inputs/{}", port.name), &port.name, ElementType::F16);
                self.tell_shape(&inside, ElementType::F16, &value.shape);
                self.values[port.value.0] = Some(inside);
            }
        }
    }

    /// Appends a cast and gives the name of its output.
    pub(super) fn cast(&mut self, name: &str, x: &str, to: ElementType) -> String {
        self.op(name, "Cast", &[x], &[("to", Attribute::Int(to as i64))])
    }

    /// Enters a node's output.
    pub(super) fn made(&mut self, node: &Node, output: String) {
        let value = self.graph.value(node.output);
        self.tell_shape(&output, self.inside(value.dtype), &value.shape);
        if let Some(same) = self.same.get(&node.output) {
            self.values[same.0] = Some(output.clone());
        }
        self.values[node.output.0] = Some(output);
    }

    /// Notes a shape for the file, unless it stands there anyway: a constant's, an input's, an output's.
    fn tell_shape(&mut self, name: &str, element: ElementType, shape: &[usize]) {
        let is_port =
            || self.output_names.iter().chain(self.graph.inputs.iter().map(|port| &port.name)).any(|port| port == name);
        if !self.constants.contains(name) && !is_port() {
            self.shapes.insert(name.to_owned(), (element, shape.to_vec()));
        }
    }

    /// Says that `node` also computes what `reader` does with its output.
    pub(super) fn stands_for(&mut self, node: &Node, reader: &Node) {
        self.same.insert(node.output, reader.output);
    }

    /// The index of the node that makes a value.
    pub(super) fn maker(&self, value: ValueId) -> Option<usize> {
        self.producers[value.0]
    }

    /// The node that makes a value.
    pub(super) fn producer(&self, value: ValueId) -> Option<&'a Node> {
        self.maker(value).map(|index| &self.graph.nodes[index])
    }

    /// The one node that reads a value, and its index, if there is just one and the value is no output of the graph.
    pub(super) fn sole_reader(&self, value: ValueId) -> Option<(usize, &'a Node)> {
        if self.readers[value.0] != 1 {
            return None;
        }
        self.graph.nodes.iter().enumerate().find(|(_, node)| node.inputs.contains(&value))
    }

    /// The ONNX name of a value that is already made.
    pub(super) fn value(&self, id: ValueId) -> Result<String, OnnxError> {
        self.values[id.0].clone().ok_or_else(|| OnnxError::Graph {
            graph: self.graph.name.clone(),
            why: format!("value {} is read before a node makes it", id.0),
        })
    }

    /// Appends a node of the standard domain and gives the name of its output.
    pub(super) fn op(&mut self, name: &str, op: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        let output = self.output_name(name);
        self.op_to(name, (STANDARD, op), inputs, std::slice::from_ref(&output), attributes);
        output
    }

    /// Appends a node of another domain, which makes floats of this shape, and gives the name of its output.
    pub(super) fn op_in(
        &mut self,
        name: &str,
        op: (&str, &str),
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
        shape: &[usize],
    ) -> String {
        let output = self.output_name(name);
        self.op_to(name, op, inputs, std::slice::from_ref(&output), attributes);
        self.tell_shape(&output, self.float(), shape);
        output
    }

    /// Appends a node with outputs `name:0`, `name:1`, … and gives their names.
    pub(super) fn op_many(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: &[(&str, Attribute)],
    ) -> Vec<String> {
        let outputs: Vec<String> = (0..outputs).map(|i| format!("{name}:{i}")).collect();
        self.op_to(name, (STANDARD, op), inputs, &outputs, attributes);
        outputs
    }

    fn op_to(
        &mut self,
        name: &str,
        op: (&str, &str),
        inputs: &[&str],
        outputs: &[String],
        attributes: &[(&str, Attribute)],
    ) {
        let inputs: Vec<String> = inputs.iter().map(|&input| input.to_owned()).collect();
        self.nodes.push(proto::node(name, op, &inputs, outputs, attributes));
    }

    fn output_name(&self, node: &str) -> String {
        self.outputs.get(node).cloned().unwrap_or_else(|| format!("{node}:0"))
    }

    /// A list of integers: shapes, axes.
    pub(super) fn ints(&mut self, values: &[usize]) -> String {
        let text: Vec<String> = values.iter().map(usize::to_string).collect();
        let name = format!("const/i64[{}]", text.join(","));
        if self.constants.insert(name.clone()) {
            let raw: Vec<u8> = values.iter().flat_map(|&v| (v as i64).to_le_bytes()).collect();
            self.initializers.push(proto::tensor(&name, ElementType::I64, &[values.len()], &Bytes::Inline(&raw)));
        }
        name
    }

    /// A number of the type of floats inside, of shape `[]`.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        if !self.dialect.half {
            return self.scalar_f32(value);
        }
        let name = format!("const/f16({value:e})");
        if self.constants.insert(name.clone()) {
            let raw = to_f16(value).to_le_bytes();
            self.initializers.push(proto::tensor(&name, ElementType::F16, &[], &Bytes::Inline(&raw)));
        }
        name
    }

    /// A number in 32 bits whatever floats are inside.
    pub(super) fn scalar_f32(&mut self, value: f32) -> String {
        let name = format!("const/f32({value:e})");
        if self.constants.insert(name.clone()) {
            let raw = value.to_le_bytes();
            self.initializers.push(proto::tensor(&name, ElementType::F32, &[], &Bytes::Inline(&raw)));
        }
        name
    }

    /// A table of floats, made by `make` if there is none of that name yet.
    pub(super) fn table(
        &mut self,
        name: &str,
        shape: &[usize],
        make: impl FnOnce() -> Vec<f32>,
    ) -> Result<String, OnnxError> {
        if self.constants.insert(name.to_owned()) {
            self.store(name, self.float(), shape, &make())?;
        }
        Ok(name.to_owned())
    }

    /// A table in 32 bits whatever floats are inside, where an operator wants it so.
    pub(super) fn table_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<String, OnnxError> {
        if self.constants.insert(name.to_owned()) {
            self.store(name, ElementType::F32, shape, values)?;
        }
        Ok(name.to_owned())
    }

    /// A tensor as the graph wants it.
    pub(super) fn tensor(&self, id: WeightId) -> Result<WeightTensor<'a>, OnnxError> {
        Ok(self.weights.tensor(self.graph, id)?)
    }

    /// How a weight is stored.
    pub(super) fn format(&self, id: WeightId) -> Result<Format, OnnxError> {
        Ok(self.tensor(id)?.format())
    }

    /// A weight unpacked to floats, in its own layout.
    pub(super) fn weight(&mut self, id: WeightId) -> Result<String, OnnxError> {
        let name = self.graph.weight(id).name.clone();
        if self.constants.insert(name.clone()) {
            let tensor = self.tensor(id)?;
            self.note_unpacked(&name, tensor.format());
            self.store(&name, self.float(), &tensor.shape, &tensor.to_f32())?;
        }
        Ok(name)
    }

    /// The matrix `[N, K]` of a linear in floats, stored as `[K, N]`.
    pub(super) fn weight_transposed(&mut self, id: WeightId) -> Result<String, OnnxError> {
        let name = format!("{}/transposed", self.graph.weight(id).name);
        if self.constants.insert(name.clone()) {
            let tensor = self.tensor(id)?;
            self.note_unpacked(&self.graph.weight(id).name, tensor.format());
            let (n, k) = (tensor.shape[0], tensor.shape[1]);
            let values = tensor.to_f32();
            let mut row = vec![0.0; n];
            let offset = self.data.begin().map_err(OnnxError::data)?;
            for i in 0..k {
                for (value, source) in row.iter_mut().zip(values.chunks_exact(k)) {
                    *value = source[i];
                }
                self.push(self.float(), &row)?;
            }
            self.stored(&name, self.float(), &[k, n], offset);
        }
        Ok(name)
    }

    /// Bytes as a constant of 8-bit integers, made by `make` if there is none of that name yet.
    pub(super) fn bytes(
        &mut self,
        name: &str,
        shape: &[usize],
        make: impl FnOnce() -> Vec<u8>,
    ) -> Result<String, OnnxError> {
        if self.constants.insert(name.to_owned()) {
            let offset = self.data.begin().map_err(OnnxError::data)?;
            self.data.push(&make()).map_err(OnnxError::data)?;
            self.stored(name, ElementType::U8, shape, offset);
        }
        Ok(name.to_owned())
    }

    fn note_unpacked(&mut self, name: &str, stored: Format) {
        let as_it_is = stored == Format::F32 || (stored == Format::F16 && self.dialect.half);
        if !as_it_is {
            self.unpacked.insert(name.to_owned(), Unpacked { name: name.to_owned(), stored });
        }
    }

    fn store(&mut self, name: &str, float: ElementType, shape: &[usize], values: &[f32]) -> Result<(), OnnxError> {
        if size_of_val(values) < INLINE {
            let raw: Vec<u8> = match float {
                ElementType::F16 => values.iter().flat_map(|v| to_f16(*v).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            };
            self.initializers.push(proto::tensor(name, float, shape, &Bytes::Inline(&raw)));
            return Ok(());
        }
        let offset = self.data.begin().map_err(OnnxError::data)?;
        self.push(float, values)?;
        self.stored(name, float, shape, offset);
        Ok(())
    }

    /// Appends floats of the tensor begun, in that type.
    fn push(&mut self, float: ElementType, values: &[f32]) -> Result<(), OnnxError> {
        match float {
            ElementType::F16 => self.data.push_f16(values),
            _ => self.data.push_f32(values),
        }
        .map_err(OnnxError::data)
    }

    /// Enters a tensor that has been streamed since `offset`.
    fn stored(&mut self, name: &str, element: ElementType, shape: &[usize], offset: u64) {
        let length = self.data.position() - offset;
        let bytes = Bytes::External { file: self.data_name, offset, length };
        self.initializers.push(proto::tensor(name, element, shape, &bytes));
    }

    /// Ends the weights' file; gives the model's bytes, the number of nodes and the bytes of weights.
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, usize, u64), OnnxError> {
        for (port, output) in self.graph.outputs.iter().zip(self.output_names.clone()) {
            let made = self.value(port.value)?;
            if made != output {
                let name = format!("outputs/{output}");
                let is_cast = self.dialect.half && self.graph.value(port.value).dtype == DType::F32;
                let to = [("to", Attribute::Int(ElementType::F32 as i64))];
                let (op, attributes) = if is_cast { ("Cast", &to[..]) } else { ("Identity", &[][..]) };
                self.op_to(&name, (STANDARD, op), &[&made], &[output], attributes);
            }
        }
        let ports = self.graph.inputs.iter().map(|port| &port.name).chain(&self.output_names);
        if let Some(name) = ports.into_iter().find(|&name| self.constants.contains(name)) {
            return Err(OnnxError::Graph {
                graph: self.graph.name.clone(),
                why: format!("\"{name}\" is the name of a weight and of an input or output: rename one"),
            });
        }
        let mut graph = Message::default();
        for node in &self.nodes {
            graph.message(1, node);
        }
        graph.text(2, &self.graph.name);
        for initializer in &self.initializers {
            graph.message(5, initializer);
        }
        let inputs: Vec<&String> = self.graph.inputs.iter().map(|port| &port.name).collect();
        let outputs: Vec<&String> = self.output_names.iter().collect();
        for (field, ports, names) in [(11, &self.graph.inputs, inputs), (12, &self.graph.outputs, outputs)] {
            for (port, name) in ports.iter().zip(names) {
                let value = self.graph.value(port.value);
                graph.message(field, &proto::value_info(name, element(value.dtype), &value.shape));
            }
        }
        for (name, (element, shape)) in &self.shapes {
            graph.message(13, &proto::value_info(name, *element, shape));
        }
        let mut model = Message::default();
        model.int(1, super::IR_VERSION);
        for (domain, version) in [(STANDARD, super::OPSET), (MICROSOFT, 1), (DITBENCH, 1)] {
            if domain != DITBENCH || self.dialect.has_own_nodes() {
                model.message(8, &proto::opset(domain, version));
            }
        }
        model.text(2, "ditbench").text(3, env!("CARGO_PKG_VERSION")).message(7, &graph);
        for (key, value) in
            [("producer", "ditbench"), ("graph", &self.graph.name), ("graph_sha256", &self.graph.sha256())]
        {
            model.message(14, &proto::entry(key, value));
        }
        let nodes = self.nodes.len();
        Ok((model.into_bytes(), nodes, self.data.finish().map_err(OnnxError::data)?))
    }
}

fn element(dtype: DType) -> ElementType {
    match dtype {
        DType::F32 => ElementType::F32,
        DType::I64 => ElementType::I64,
    }
}

/// Whether the operation only changes where elements are, so that a runtime may fold it into what reads it.
pub(super) fn moves_elements(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } | Op::Concat { .. } | Op::Attention { .. }
    )
}
