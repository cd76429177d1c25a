//! Element-wise operations, norms, rotary embedding, upsampling, pooling.

use super::super::OnnxError;
use super::super::dialect::GeluForm;
use super::super::proto::{Attribute, ElementType};
use super::super::writer::{MICROSOFT, Writer};
use super::{concat, part, reshape};
use crate::{Activation, Node, Op, WeightId, rope};

pub(super) fn lower(w: &mut Writer<'_>, node: &Node) -> Result<String, OnnxError> {
    let name = node.name.as_str();
    let inputs = node.inputs.iter().map(|&id| w.value(id)).collect::<Result<Vec<_>, _>>()?;
    let x = inputs.first().map_or("", String::as_str);
    Ok(match &node.op {
        Op::LayerNorm { eps, weight, bias } => return layer_norm(w, node, x, *eps, *weight, *bias),
        Op::GroupNorm { groups, eps, weight, bias } => {
            return group_norm(w, node, x, *groups, *eps, (*weight, *bias));
        }
        Op::RmsNorm { eps, weight } => {
            let axis = w.graph.shape(node.output).len() - 1;
            let (weight, eps, axes) = (w.weight(*weight)?, w.scalar_f32(*eps), w.ints(&[axis]));
            // In 32 bits whatever the rest is in: the square of 256 is beyond 16-bit floats.
            let wide = if w.dialect.half { w.cast(&part(name, "wide"), x, ElementType::F32) } else { x.to_owned() };
            let square = w.op(&part(name, "square"), "Mul", &[&wide, &wide], &[]);
            let mean = w.op(&part(name, "mean"), "ReduceMean", &[&square, &axes], &[("keepdims", Attribute::Int(1))]);
            let mean = w.op(&part(name, "eps"), "Add", &[&mean, &eps], &[]);
            let root = w.op(&part(name, "root"), "Sqrt", &[&mean], &[]);
            let mut y = w.op(&part(name, "divide"), "Div", &[&wide, &root], &[]);
            if w.dialect.half {
                y = w.cast(&part(name, "narrow"), &y, ElementType::F16);
            }
            w.op(name, "Mul", &[&y, &weight], &[])
        }
        Op::Modulate => {
            let one = w.scalar(1.0);
            let factor = w.op(&part(name, "one_plus"), "Add", &[&inputs[2], &one], &[]);
            let y = w.op(&part(name, "scale"), "Mul", &[x, &factor], &[]);
            w.op(name, "Add", &[&y, &inputs[1]], &[])
        }
        Op::GatedAdd => {
            let y = w.op(&part(name, "gate"), "Mul", &[&inputs[1], &inputs[2]], &[]);
            w.op(name, "Add", &[x, &y], &[])
        }
        Op::Lerp => {
            let y = w.op(&part(name, "difference"), "Sub", &[&inputs[1], x], &[]);
            let y = w.op(&part(name, "share"), "Mul", &[&y, &inputs[2]], &[]);
            w.op(name, "Add", &[x, &y], &[])
        }
        Op::Add => w.op(name, "Add", &[x, &inputs[1]], &[]),
        Op::Mul => w.op(name, "Mul", &[x, &inputs[1]], &[]),
        Op::Scale { factor } => {
            let factor = w.scalar(*factor);
            w.op(name, "Mul", &[x, &factor], &[])
        }
        Op::Activation(activation) => return activate(w, node, x, *activation),
        Op::Rope { rows, cols, theta } => return rotate(w, node, x, (*rows, *cols), *theta),
        Op::Upsample2x => {
            let scales = w.table_f32("const/upsample2x", &[4], &[1.0, 1.0, 2.0, 2.0])?;
            let text = |v: &str| Attribute::Text(v.to_owned());
            let attributes = [
                ("mode", text("nearest")),
                ("coordinate_transformation_mode", text("asymmetric")),
                ("nearest_mode", text("floor")),
            ];
            w.op(name, "Resize", &[x, "", &scales], &attributes)
        }
        Op::AveragePool2x => {
            let two = || Attribute::Ints(vec![2, 2]);
            w.op(name, "AveragePool", &[x], &[("kernel_shape", two()), ("strides", two())])
        }
        other => {
            return Err(OnnxError::Graph {
                graph: w.graph.name.clone(),
                why: format!("node {name}: {} has no ONNX form", other.kind()),
            });
        }
    })
}

fn layer_norm(
    w: &mut Writer<'_>,
    node: &Node,
    x: &str,
    eps: f32,
    weight: Option<WeightId>,
    bias: Option<WeightId>,
) -> Result<String, OnnxError> {
    let width = w.graph.shape(node.output).last().copied().unwrap_or(1);
    let weight = match weight {
        Some(weight) => w.weight(weight)?,
        None => w.table(&format!("const/ones[{width}]"), &[width], || vec![1.0; width])?,
    };
    let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(eps))];
    Ok(match bias {
        Some(bias) => {
            let bias = w.weight(bias)?;
            w.op(&node.name, "LayerNormalization", &[x, &weight, &bias], &attributes)
        }
        None => w.op(&node.name, "LayerNormalization", &[x, &weight], &attributes),
    })
}

/// An instance norm of each group as one channel, then each channel's own weight and bias: the standard GroupNormalization has one
/// scale for a group before opset 21.
fn group_norm(
    w: &mut Writer<'_>,
    node: &Node,
    x: &str,
    groups: usize,
    eps: f32,
    (weight, bias): (WeightId, WeightId),
) -> Result<String, OnnxError> {
    let name = node.name.as_str();
    let shape = w.graph.shape(node.output).to_vec();
    let (batch, channels) = (shape[0], shape[1]);
    let ones = w.table(&format!("const/ones[{groups}]"), &[groups], || vec![1.0; groups])?;
    let zeros = w.table(&format!("const/zeros[{groups}]"), &[groups], || vec![0.0; groups])?;
    let all: usize = shape.iter().product();
    let y = reshape(w, &part(name, "groups"), x, &[batch, groups, all / (batch * groups)]);
    let epsilon = [("epsilon", Attribute::Float(eps))];
    let y = w.op(&part(name, "normal"), "InstanceNormalization", &[&y, &ones, &zeros], &epsilon);
    let y = reshape(w, &part(name, "channels"), &y, &shape);
    let (weight, bias) = (w.weight(weight)?, w.weight(bias)?);
    let weight = reshape(w, &part(name, "weight"), &weight, &[channels, 1, 1]);
    let bias = reshape(w, &part(name, "bias"), &bias, &[channels, 1, 1]);
    let y = w.op(&part(name, "scale"), "Mul", &[&y, &weight], &[]);
    Ok(w.op(name, "Add", &[&y, &bias], &[]))
}

fn activate(w: &mut Writer<'_>, node: &Node, x: &str, activation: Activation) -> Result<String, OnnxError> {
    let name = node.name.as_str();
    let shape = w.graph.shape(node.output);
    let times_sigmoid = |w: &mut Writer<'_>, alpha: f32| {
        if w.dialect.quick_gelu {
            return w.op_in(name, (MICROSOFT, "QuickGelu"), &[x], &[("alpha", Attribute::Float(alpha))], shape);
        }
        let scaled = if alpha == 1.0 {
            x.to_owned()
        } else {
            let alpha = w.scalar(alpha);
            w.op(&part(name, "scale"), "Mul", &[x, &alpha], &[])
        };
        let sigmoid = w.op(&part(name, "sigmoid"), "Sigmoid", &[&scaled], &[]);
        w.op(name, "Mul", &[x, &sigmoid], &[])
    };
    Ok(match activation {
        Activation::GeluTanh if w.dialect.gelu == GeluForm::FastGelu => {
            let bias = w.pending_bias.remove(&node.inputs[0]).map(|bias| w.weight(bias)).transpose()?;
            let inputs: Vec<&str> = [Some(x), bias.as_deref()].into_iter().flatten().collect();
            w.op_in(name, (MICROSOFT, "FastGelu"), &inputs, &[], shape)
        }
        Activation::GeluTanh => w.op(name, "Gelu", &[x], &[("approximate", Attribute::Text("tanh".to_owned()))]),
        Activation::GeluErf => w.op(name, "Gelu", &[x], &[]),
        Activation::QuickGelu => times_sigmoid(w, 1.702),
        Activation::Silu => times_sigmoid(w, 1.0),
        Activation::Relu => w.op(name, "Relu", &[x], &[]),
        Activation::Relu6 => {
            let (low, high) = (w.scalar(0.0), w.scalar(6.0));
            w.op(name, "Clip", &[x, &low, &high], &[])
        }
        Activation::Sigmoid => w.op(name, "Sigmoid", &[x], &[]),
        Activation::Tanh => w.op(name, "Tanh", &[x], &[]),
    })
}

/// Pairs (i, i + hd/2) turned by tables `[T, hd/2]`.
fn rotate(
    w: &mut Writer<'_>,
    node: &Node,
    x: &str,
    (rows, cols): (usize, usize),
    theta: f32,
) -> Result<String, OnnxError> {
    let name = node.name.as_str();
    let &[batch, tokens, heads, width] = w.graph.shape(node.output) else {
        return Err(OnnxError::Graph { graph: w.graph.name.clone(), why: format!("node {name} wants four axes") });
    };
    let half = width / 2;
    let table = format!("rope/{rows}x{cols}x{width}x{theta}");
    if w.dialect.rotary {
        let cos = w.table(&format!("{table}/cos2"), &[tokens, half], || rope::tables(rows, cols, width, theta).0)?;
        let sin = w.table(&format!("{table}/sin2"), &[tokens, half], || rope::tables(rows, cols, width, theta).1)?;
        let first = w.ints(&[0]);
        let joined = [batch, tokens, heads * width];
        let x = reshape(w, &part(name, "joined"), x, &joined);
        let op = (MICROSOFT, "RotaryEmbedding");
        let y = w.op_in(&part(name, "rotary"), op, &[&x, &first, &cos, &sin], &[], &joined);
        return Ok(reshape(w, name, &y, &[batch, tokens, heads, width]));
    }
    // Whole heads at once: x·[cos, cos] + swap(x)·[−sin, sin].
    let shape = [tokens, 1, width];
    let cos = w.table(&format!("{table}/cos"), &shape, || {
        rope::tables(rows, cols, width, theta).0.chunks(half).flat_map(|c| [c, c].concat()).collect()
    })?;
    let sin = w.table(&format!("{table}/sin"), &shape, || {
        let turned = |s: &[f32]| s.iter().map(|v| -v).chain(s.iter().copied()).collect::<Vec<_>>();
        rope::tables(rows, cols, width, theta).1.chunks(half).flat_map(turned).collect()
    })?;
    let axis = ("axis", Attribute::Int(3));
    let halves = w.op_many(&part(name, "halves"), "Split", &[x], 2, &[axis, ("num_outputs", Attribute::Int(2))]);
    let swapped = concat(w, &part(name, "swap"), &[halves[1].clone(), halves[0].clone()], 3);
    let a = w.op(&part(name, "cos"), "Mul", &[x, &cos], &[]);
    let b = w.op(&part(name, "sin"), "Mul", &[&swapped, &sin], &[]);
    Ok(w.op(name, "Add", &[&a, &b], &[]))
}
