//! Linears and convolutions.

use super::super::OnnxError;
use super::super::dialect::{GeluForm, LinearForm, QuantizedLinear};
use super::super::nbits::NBits;
use super::super::proto::Attribute;
use super::super::writer::{MICROSOFT, Writer, moves_elements};
use super::{part, reshape};
use crate::weights::{Format, GROUP};
use crate::{Activation, Node, Op, WeightId};

/// What is added after the product.
enum Bias {
    None,
    Here(WeightId),
    /// By the one node that reads the result.
    Later(WeightId),
}

pub(super) fn linear(
    w: &mut Writer<'_>,
    node: &Node,
    weight: WeightId,
    bias: Option<WeightId>,
) -> Result<String, OnnxError> {
    let form = match w.format(weight)? {
        Format::Q4 => w.dialect.q4,
        Format::Q8 => w.dialect.q8,
        _ => QuantizedLinear::Unpacked,
    };
    if form == QuantizedLinear::DitLinear {
        return super::ditbench::dit_linear(w, node, weight, bias);
    }
    let bias = match bias {
        None => Bias::None,
        Some(bias) if takes_bias(w, node) => Bias::Later(bias),
        Some(bias) => Bias::Here(bias),
    };
    if let Bias::Later(bias) = bias {
        w.pending_bias.insert(node.output, bias);
    }
    let here = if let Bias::Here(bias) = bias { Some(bias) } else { None };
    match form {
        QuantizedLinear::MatMulNBits { accuracy_level } => nbits(w, node, weight, here, accuracy_level),
        QuantizedLinear::Unpacked if w.dialect.linear == LinearForm::Gemm => gemm(w, node, weight, here),
        QuantizedLinear::Unpacked | QuantizedLinear::DitLinear => {
            let (x, matrix) = (w.value(node.inputs[0])?, w.weight_transposed(weight)?);
            with_bias(w, node, here, |w, name| w.op(name, "MatMul", &[&x, &matrix], &[]))
        }
    }
}

/// Whether the node's only reader adds the bias itself.
fn takes_bias(w: &Writer<'_>, node: &Node) -> bool {
    w.dialect.gelu == GeluForm::FastGelu
        && w.sole_reader(node.output)
            .is_some_and(|(_, reader)| matches!(reader.op, Op::Activation(Activation::GeluTanh)))
}

/// A product, and an addition after it where there is a bias; whichever is last carries the node's name.
fn with_bias(
    w: &mut Writer<'_>,
    node: &Node,
    bias: Option<WeightId>,
    product: impl FnOnce(&mut Writer<'_>, &str) -> String,
) -> Result<String, OnnxError> {
    let Some(bias) = bias else { return Ok(product(w, &node.name)) };
    let y = product(w, &part(&node.name, "product"));
    let bias = w.weight(bias)?;
    Ok(w.op(&node.name, "Add", &[&y, &bias], &[]))
}

fn nbits(
    w: &mut Writer<'_>,
    node: &Node,
    weight: WeightId,
    bias: Option<WeightId>,
    accuracy_level: i64,
) -> Result<String, OnnxError> {
    let tensor = w.tensor(weight)?;
    let (n, k) = (tensor.shape[0], tensor.shape[1]);
    let Some(NBits { bits, integers, scales }) = NBits::of(&tensor.data) else {
        return Err(OnnxError::Graph {
            graph: w.graph.name.clone(),
            why: format!("weight {} is not stored in groups", w.graph.weight(weight).name),
        });
    };
    let name = w.graph.weight(weight).name.clone();
    let integers = w.bytes(&format!("{name}/q{bits}"), &[n, k / GROUP, GROUP * bits / 8], || integers)?;
    let scales = w.table(&format!("{name}/scales"), &[n * k / GROUP], || scales)?;
    let mut x = w.value(node.inputs[0])?;
    let folds = w.producer(node.inputs[0]).is_none_or(|producer| moves_elements(&producer.op));
    if w.dialect.nbits_barrier && folds {
        let low = w.scalar(-3e38);
        x = w.op(&part(&node.name, "barrier"), "Max", &[&x, &low], &[]);
    }
    let attributes = [
        ("K", Attribute::Int(k as i64)),
        ("N", Attribute::Int(n as i64)),
        ("bits", Attribute::Int(bits as i64)),
        ("block_size", Attribute::Int(GROUP as i64)),
        ("accuracy_level", Attribute::Int(accuracy_level)),
    ];
    w.has_eight_bits |= bits == 8;
    let op = (MICROSOFT, "MatMulNBits");
    let shape = w.graph.shape(node.output);
    if let (Some(bias), true) = (bias, w.dialect.nbits_bias) {
        let bias = w.weight(bias)?;
        return Ok(w.op_in(&node.name, op, &[&x, &integers, &scales, "", "", &bias], &attributes, shape));
    }
    with_bias(w, node, bias, |w, name| w.op_in(name, op, &[&x, &integers, &scales], &attributes, shape))
}

fn gemm(w: &mut Writer<'_>, node: &Node, weight: WeightId, bias: Option<WeightId>) -> Result<String, OnnxError> {
    let (mut x, matrix) = (w.value(node.inputs[0])?, w.weight_transposed(weight)?);
    let (input, output) = (w.graph.shape(node.inputs[0]), w.graph.shape(node.output));
    let k = input.last().copied().unwrap_or(1);
    let rows = input.iter().product::<usize>() / k;
    let fold = input.len() != 2;
    if fold {
        x = reshape(w, &part(&node.name, "rows"), &x, &[rows, k]);
    }
    let name = if fold { part(&node.name, "product") } else { node.name.clone() };
    let y = match bias {
        Some(bias) => {
            let bias = w.weight(bias)?;
            w.op(&name, "Gemm", &[&x, &matrix, &bias], &[])
        }
        None => w.op(&name, "Gemm", &[&x, &matrix], &[]),
    };
    Ok(if fold { reshape(w, &node.name, &y, output) } else { y })
}

pub(super) fn conv2d(
    w: &mut Writer<'_>,
    node: &Node,
    (weight, bias): (WeightId, Option<WeightId>),
    (stride, padding, groups): (usize, usize, usize),
) -> Result<String, OnnxError> {
    let kernel: Vec<i64> = w.graph.weight(weight).shape[2..].iter().map(|&v| v as i64).collect();
    let mut inputs = vec![w.value(node.inputs[0])?, w.weight(weight)?];
    if let Some(bias) = bias {
        inputs.push(w.weight(bias)?);
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(vec![stride as i64; 2])),
        ("pads", Attribute::Ints(vec![padding as i64; 4])),
        ("group", Attribute::Int(groups as i64)),
    ];
    Ok(w.op(&node.name, "Conv", &inputs, &attributes))
}
