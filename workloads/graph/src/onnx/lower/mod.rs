//! From the graph's operations to ONNX's: one function a family.

mod attention;
mod ditbench;
mod linear;
mod pointwise;

use self::ditbench::Own;
use super::OnnxError;
use super::proto::Attribute;
use super::writer::Writer;
use crate::{Node, Op};

/// Writes every node, in order.
pub(super) fn lower(w: &mut Writer<'_>) -> Result<(), OnnxError> {
    let graph = w.graph;
    w.cast_inputs();
    for (index, node) in graph.nodes.iter().enumerate() {
        if w.absorbed.contains(&index) {
            continue;
        }
        let own = if w.dialect.ditbench { ditbench::lower(w, node)? } else { Own::No };
        let output = match own {
            Own::Made(output) => output,
            Own::Absorbed => continue,
            Own::No => lower_node(w, node)?,
        };
        w.made(node, output);
    }
    Ok(())
}

fn lower_node(w: &mut Writer<'_>, node: &Node) -> Result<String, OnnxError> {
    let name = node.name.as_str();
    match &node.op {
        Op::Linear { weight, bias } => linear::linear(w, node, *weight, *bias),
        Op::Conv2d { weight, bias, stride, padding, groups } => {
            linear::conv2d(w, node, (*weight, *bias), (*stride, *padding, *groups))
        }
        Op::Embedding { weight } => {
            let (table, ids) = (w.weight(*weight)?, w.value(node.inputs[0])?);
            Ok(w.op(name, "Gather", &[&table, &ids], &[("axis", Attribute::Int(0))]))
        }
        Op::Parameter { weight } => w.weight(*weight),
        Op::Attention { pattern, scale } => attention::attention(w, node, *pattern, *scale),
        Op::Reshape { shape } => {
            let x = w.value(node.inputs[0])?;
            Ok(reshape(w, name, &x, shape))
        }
        Op::Transpose { perm } => {
            let x = w.value(node.inputs[0])?;
            Ok(transpose(w, name, &x, perm))
        }
        Op::Concat { axis } => {
            let inputs = node.inputs.iter().map(|&id| w.value(id)).collect::<Result<Vec<_>, _>>()?;
            Ok(concat(w, name, &inputs, *axis))
        }
        Op::Slice { axis, start, end } => {
            let x = w.value(node.inputs[0])?;
            Ok(slice(w, name, &x, *axis, *start..*end))
        }
        _ => pointwise::lower(w, node),
    }
}

/// The name of a node before the last one.
fn part(name: &str, suffix: &str) -> String {
    format!("{name}/{suffix}")
}

fn reshape(w: &mut Writer<'_>, name: &str, x: &str, shape: &[usize]) -> String {
    let shape = w.ints(shape);
    w.op(name, "Reshape", &[x, &shape], &[])
}

fn transpose(w: &mut Writer<'_>, name: &str, x: &str, perm: &[usize]) -> String {
    let perm = perm.iter().map(|&axis| axis as i64).collect();
    w.op(name, "Transpose", &[x], &[("perm", Attribute::Ints(perm))])
}

fn slice(w: &mut Writer<'_>, name: &str, x: &str, axis: usize, range: std::ops::Range<usize>) -> String {
    let [start, end, axis] = [range.start, range.end, axis].map(|v| w.ints(&[v]));
    w.op(name, "Slice", &[x, &start, &end, &axis], &[])
}

fn concat(w: &mut Writer<'_>, name: &str, inputs: &[String], axis: usize) -> String {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    w.op(name, "Concat", &inputs, &[("axis", Attribute::Int(axis as i64))])
}
