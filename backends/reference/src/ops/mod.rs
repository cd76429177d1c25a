//! The operations, one function each. Shapes were checked when the graph was built.

mod attention;
mod conv;
mod embedding;
mod linear;
mod norm;
mod pointwise;
mod pool;
mod rope;
mod shape;

use ditbench_backend_api::BackendError;
use ditbench_graph::{Node, Op, WeightId};

use crate::{Array, NAME};

/// The output of a node, from its inputs and a function that gives its weights.
pub(crate) fn evaluate(
    node: &Node,
    x: &[&Array],
    weight: &dyn Fn(WeightId) -> Result<Array, BackendError>,
) -> Result<Array, BackendError> {
    let optional = |id: &Option<WeightId>| id.map(weight).transpose();
    Ok(match &node.op {
        Op::Linear { weight: w, bias } => linear::linear(x[0], &weight(*w)?, optional(bias)?.as_ref()),
        Op::Conv2d { weight: w, bias, stride, padding, groups } => {
            conv::conv2d(x[0], &weight(*w)?, optional(bias)?.as_ref(), *stride, *padding, *groups)
        }
        Op::Embedding { weight: w } => embedding::embedding(x[0], &weight(*w)?)
            .map_err(|why| BackendError::runtime(NAME, format!("node {}", node.name), why))?,
        Op::Parameter { weight: w } => weight(*w)?,
        Op::LayerNorm { eps, weight: w, bias } => {
            norm::layer_norm(x[0], (*eps).into(), optional(w)?.as_ref(), optional(bias)?.as_ref())
        }
        Op::GroupNorm { groups, eps, weight: w, bias } => {
            norm::group_norm(x[0], *groups, (*eps).into(), &weight(*w)?, &weight(*bias)?)
        }
        Op::RmsNorm { eps, weight: w } => norm::rms_norm(x[0], (*eps).into(), &weight(*w)?),
        Op::Modulate => pointwise::modulate(x[0], x[1], x[2]),
        Op::GatedAdd => pointwise::gated_add(x[0], x[1], x[2]),
        Op::Lerp => pointwise::lerp(x[0], x[1], x[2]),
        Op::Add => pointwise::broadcast(x[0], x[1], |a, b| a + b),
        Op::Mul => pointwise::broadcast(x[0], x[1], |a, b| a * b),
        Op::Scale { factor } => {
            let factor = f64::from(*factor);
            x[0].map(|v| factor * v)
        }
        Op::Activation(activation) => pointwise::activation(x[0], *activation),
        Op::Rope { rows, cols, theta } => rope::rope(x[0], *rows, *cols, *theta),
        Op::Attention { pattern, scale } => attention::attention(x[0], x[1], x[2], *pattern, (*scale).into()),
        Op::Reshape { shape } => Array { shape: shape.clone(), data: x[0].data.clone() },
        Op::Transpose { perm } => shape::transpose(x[0], perm),
        Op::Concat { axis } => shape::concat(x, *axis),
        Op::Slice { axis, start, end } => shape::slice(x[0], *axis, *start, *end),
        Op::Upsample2x => shape::upsample2x(x[0]),
        Op::AveragePool2x => pool::average_pool2x(x[0]),
    })
}
