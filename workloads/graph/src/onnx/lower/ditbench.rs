//! Nodes of the domain `ditbench`: one for each call of our kernels, which may compute several of the graph's nodes at once. Weights of
//! linears with 4 or 8 bits are written as they are stored, all others in f32.
//!
//! Operators, with inputs and attributes (shapes as in [`Op`]'s docs). Their types begin with `Dit`, because readers that
//! look operators up without their domain must not take them for others.
//!
//! | type | inputs | attributes |
//! |---|---|---|
//! | `DitLinear` | x, weight, bias? | `format` f32, f16 (as bytes), q4, q8; `n`, `k`; `gelu` 1 to apply Gelu (tanh) to the result |
//! | `DitConv2d` | x, weight, bias? | `stride`, `padding`, `groups`; `relu` 1 to apply ReLU to the result |
//! | `DitLayerNorm` | x, weight?, bias? | `epsilon`, `weight` 1 and `bias` 1 where given |
//! | `DitLayerNormModulate` | x, shift, scale | `epsilon` |
//! | `DitGroupNorm` | x, weight, bias | `groups`, `epsilon`; `silu` 1 to apply SiLU to the result |
//! | `DitGeglu` | x `[.., 2D]` | |
//! | `DitRmsNorm` | x, weight | `epsilon` |
//! | `DitModulate`, `DitGatedAdd`, `DitLerp` | as the operation | |
//! | `DitRope` | x, cosines, sines `[T, hd/2]` | |
//! | `DitAttention` | q, k, v | `pattern` full, causal, blockwise; `blocks`, `radius`; `scale` |
//! | `DitActivation` | x | `function` |
//! | `DitUpsample2x`, `DitAveragePool2x` | x | |

use super::super::OnnxError;
use super::super::proto::Attribute;
use super::super::writer::{DITBENCH, Writer};
use crate::fused::{self, Geglu};
use crate::weights::{Format, WeightData};
use crate::{Activation, AttentionPattern, Node, Op, WeightId, rope};

/// What became of a node.
pub(super) enum Own {
    /// It has no operator of ours.
    No,
    /// Its output.
    Made(String),
    /// The node that reads it takes it in.
    Absorbed,
}

type Attributes = Vec<(&'static str, Attribute)>;

pub(super) fn lower(w: &mut Writer<'_>, node: &Node) -> Result<Own, OnnxError> {
    // These read values that may not be made yet, or never will: a norm is computed where its modulation stands, which has all it reads.
    if matches!(node.op, Op::LayerNorm { .. }) && tail(w, node).is_some() {
        return Ok(Own::Absorbed);
    }
    if matches!(node.op, Op::Modulate)
        && let Some(norm) = w.producer(node.inputs[0])
        && let Op::LayerNorm { eps, .. } = norm.op
        && tail(w, norm).is_some()
    {
        let inputs = [norm.inputs[0], node.inputs[1], node.inputs[2]];
        let inputs = inputs.iter().map(|&id| w.value(id)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Own::Made(emit(w, node, "DitLayerNormModulate", &inputs, &[("epsilon", Attribute::Float(eps))])));
    }
    if let Some(unit) = geglu(w, node) {
        let x = w.value(node.inputs[0])?;
        w.absorbed.extend([unit.gate, unit.gelu, unit.product]);
        w.stands_for(node, &w.graph.nodes[unit.product]);
        // Under the name of what takes the most of its time.
        let gelu = &w.graph.nodes[unit.gelu];
        return Ok(Own::Made(emit(w, gelu, "DitGeglu", &[x], &[])));
    }
    let mut inputs = node.inputs.iter().map(|&id| w.value(id)).collect::<Result<Vec<_>, _>>()?;
    let (op, attributes): (&str, Attributes) = match &node.op {
        Op::Linear { weight, bias } => {
            let attributes = linear(w, node, *weight, *bias, &mut inputs)?;
            ("DitLinear", attributes)
        }
        Op::Conv2d { weight, bias, stride, padding, groups } => {
            inputs.push(w.weight(*weight)?);
            if let Some(bias) = bias {
                inputs.push(w.weight(*bias)?);
            }
            let relu = take_in(w, node);
            let int = |v: &usize| Attribute::Int(*v as i64);
            let mut attributes = vec![("stride", int(stride)), ("padding", int(padding)), ("groups", int(groups))];
            attributes.push(("relu", Attribute::Int(relu.into())));
            ("DitConv2d", attributes)
        }
        Op::LayerNorm { eps, weight, bias } => {
            for id in [weight, bias].into_iter().flatten() {
                inputs.push(w.weight(*id)?);
            }
            let given = |id: &Option<WeightId>| Attribute::Int(id.is_some().into());
            let attributes =
                vec![("epsilon", Attribute::Float(*eps)), ("weight", given(weight)), ("bias", given(bias))];
            ("DitLayerNorm", attributes)
        }
        Op::GroupNorm { groups, eps, weight, bias } => {
            inputs.extend([w.weight(*weight)?, w.weight(*bias)?]);
            let silu = take_in(w, node);
            let (groups, silu) = (Attribute::Int(*groups as i64), Attribute::Int(silu.into()));
            let attributes = vec![("groups", groups), ("epsilon", Attribute::Float(*eps)), ("silu", silu)];
            ("DitGroupNorm", attributes)
        }
        Op::RmsNorm { eps, weight } => {
            inputs.push(w.weight(*weight)?);
            ("DitRmsNorm", vec![("epsilon", Attribute::Float(*eps))])
        }
        Op::Modulate => ("DitModulate", Vec::new()),
        Op::GatedAdd => ("DitGatedAdd", Vec::new()),
        // One factor for each row of the last axis is what the kernel does.
        Op::Lerp if one_a_row(w.graph.shape(node.inputs[0]), w.graph.shape(node.inputs[2])) => ("DitLerp", Vec::new()),
        Op::Rope { rows, cols, theta } => {
            let width = w.graph.shape(node.output)[3];
            let (shape, name) = ([rows * cols, width / 2], format!("rope/{rows}x{cols}x{width}x{theta}"));
            let tables = || rope::tables(*rows, *cols, width, *theta);
            inputs.push(w.table(&format!("{name}/cos2"), &shape, || tables().0)?);
            inputs.push(w.table(&format!("{name}/sin2"), &shape, || tables().1)?);
            ("DitRope", Vec::new())
        }
        Op::Attention { pattern, scale } => ("DitAttention", attention(*pattern, *scale)),
        Op::Activation(function) => {
            let function = match function {
                Activation::GeluTanh => "gelu_tanh",
                Activation::GeluErf => "gelu_erf",
                Activation::QuickGelu => "quick_gelu",
                Activation::Silu => "silu",
                Activation::Relu => "relu",
                Activation::Relu6 => "relu6",
                Activation::Sigmoid => "sigmoid",
                Activation::Tanh => "tanh",
            };
            ("DitActivation", vec![("function", Attribute::Text(function.to_owned()))])
        }
        Op::Upsample2x => ("DitUpsample2x", Vec::new()),
        Op::AveragePool2x => ("DitAveragePool2x", Vec::new()),
        _ => return Ok(Own::No),
    };
    Ok(Own::Made(emit(w, node, op, &inputs, &attributes)))
}

/// The gated unit that begins with this node.
fn geglu(w: &Writer<'_>, node: &Node) -> Option<Geglu> {
    if !matches!(node.op, Op::Slice { start: 0, .. }) {
        return None;
    }
    Geglu::at(w.graph, w.maker(node.output)?)
}

/// The node that is computed along with this one.
fn tail(w: &Writer<'_>, node: &Node) -> Option<usize> {
    fused::tail(w.graph, w.maker(node.output)?)
}

fn emit(w: &mut Writer<'_>, node: &Node, op: &str, inputs: &[String], attributes: &[(&str, Attribute)]) -> String {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    w.op_in(&node.name, (DITBENCH, op), &inputs, attributes, w.graph.shape(node.output))
}

/// Whether there is a node that is computed along with this one; it then counts as computed.
fn take_in(w: &mut Writer<'_>, node: &Node) -> bool {
    let Some(index) = tail(w, node) else { return false };
    w.absorbed.insert(index);
    w.stands_for(node, &w.graph.nodes[index]);
    true
}

/// `[.., D]` and `[.., 1]` with the same leading axes.
fn one_a_row(x: &[usize], factor: &[usize]) -> bool {
    x.len() == factor.len() && factor.last() == Some(&1) && x[..x.len() - 1] == factor[..factor.len() - 1]
}

/// A linear alone, in a file whose other nodes are a runtime's own.
pub(super) fn dit_linear(
    w: &mut Writer<'_>,
    node: &Node,
    weight: WeightId,
    bias: Option<WeightId>,
) -> Result<String, OnnxError> {
    let mut inputs = vec![w.value(node.inputs[0])?];
    let attributes = linear(w, node, weight, bias, &mut inputs)?;
    Ok(emit(w, node, "DitLinear", &inputs, &attributes))
}

fn linear(
    w: &mut Writer<'_>,
    node: &Node,
    weight: WeightId,
    bias: Option<WeightId>,
    inputs: &mut Vec<String>,
) -> Result<Attributes, OnnxError> {
    let tensor = w.tensor(weight)?;
    let name = &w.graph.weight(weight).name;
    let (format, matrix) = match (tensor.format(), tensor.data) {
        (Format::Q4, WeightData::Q4(groups)) => {
            ("q4", w.bytes(&format!("{name}/q4_groups"), &[groups.len()], || groups.into_owned())?)
        }
        (Format::Q8, WeightData::Q8(groups)) => {
            ("q8", w.bytes(&format!("{name}/q8_groups"), &[groups.len()], || groups.into_owned())?)
        }
        (Format::F16, WeightData::F16(values)) if w.dialect.ditbench_f16 => {
            let bytes = || values.iter().flat_map(|value| value.to_le_bytes()).collect();
            ("f16", w.bytes(&format!("{name}/f16_bytes"), &[2 * values.len()], bytes)?)
        }
        _ => ("f32", w.weight(weight)?),
    };
    inputs.push(matrix);
    if let Some(bias) = bias {
        inputs.push(w.weight(bias)?);
    }
    let gelu = take_in(w, node);
    Ok(vec![
        ("format", Attribute::Text(format.to_owned())),
        ("n", Attribute::Int(tensor.shape[0] as i64)),
        ("k", Attribute::Int(tensor.shape[1] as i64)),
        ("gelu", Attribute::Int(gelu.into())),
    ])
}

fn attention(pattern: AttentionPattern, scale: f32) -> Attributes {
    let (pattern, blocks, radius) = match pattern {
        AttentionPattern::Full => ("full", 1, 0),
        AttentionPattern::Causal => ("causal", 1, 0),
        AttentionPattern::Blockwise { blocks, radius } => ("blockwise", blocks, radius),
    };
    vec![
        ("pattern", Attribute::Text(pattern.to_owned())),
        ("blocks", Attribute::Int(blocks as i64)),
        ("radius", Attribute::Int(radius as i64)),
        ("scale", Attribute::Float(scale)),
    ]
}
