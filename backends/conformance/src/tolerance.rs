//! How far from the reference a result may be. The one place where bounds are made.
//!
//! [`Numerics::tolerance`] is the bound for one operation or for a component of about one transformer block. What
//! follows for deeper graphs depends on what the bound is made of:
//!
//! * **F64, F32, weight-only, 16-bit floats**: the bound stands two orders of magnitude above the unit roundoff (f32:
//!   2⁻²⁴ ≈ 6e-8 against 1e-5; f16: 2⁻¹¹ ≈ 5e-4 against 1e-2). Rounding errors of different operations are independent
//!   and grow like the square root of their number, so that tens of blocks fit under it. It is not widened.
//! * **8-bit activations**: rounding to 8 bits is the error itself. In a group of 32 normal values the largest is about
//!   2.1 σ, in a row of thousands about 4 σ; a step of largest/127 has an error of step/√12, so each product is off by
//!   0.5 to 0.9 % of its result, and by 1 % at most. One block has about nine products in sequence: √9 · 1 % = the 3 %
//!   of [`Numerics::tolerance`]. Hence √n · 1 % for a graph whose longest chain has n > 9 products.
//!
//! Two things narrow or widen every bound: a graph none of whose weights is stored in few bits has nothing that
//! weight-only or 8-bit paths could round, so it is held to f32's bound; and results cross the boundary as f32, so
//! no bound is below 2⁻²⁴.

use ditbench_backend_api::Numerics;
use ditbench_workloads::Graph;
use ditbench_workloads::graph::{Op, WeightId};
use ditbench_workloads::weights::{Format, Weights};

/// Products in sequence in one transformer block: value, output; query, output of cross-attention; two of the FFN;
/// and three attentions' worth of further paths.
const BLOCK_DEPTH: f64 = 9.0;
/// The largest relative rounding error of an f32.
const F32_ROUNDOFF: f64 = 1.0 / (1u64 << 24) as f64;

/// The largest relative L2 distance from the reference that a session of this precision may have on this graph.
pub fn allowed(numerics: Numerics, graph: &Graph, weights: &Weights) -> f64 {
    let few_bits = (0..graph.weights.len()).any(|index| {
        weights
            .tensor(graph, WeightId(index))
            .is_ok_and(|tensor| matches!(tensor.format(), Format::Q4 | Format::Q8 | Format::Palette4))
    });
    let bound = match numerics {
        Numerics::WeightOnly | Numerics::Int8Activations if !few_bits => Numerics::F32.tolerance(),
        Numerics::Int8Activations => numerics.tolerance() * (depth(graph) as f64 / BLOCK_DEPTH).sqrt().max(1.0),
        _ => numerics.tolerance(),
    };
    bound.max(F32_ROUNDOFF)
}

/// The number of linears, convolutions and attentions on the longest path through a graph.
pub fn depth(graph: &Graph) -> usize {
    let mut depths = vec![0; graph.values.len()];
    for node in &graph.nodes {
        let before = node.inputs.iter().map(|id| depths[id.0]).max().unwrap_or(0);
        let multiplies = matches!(node.op, Op::Linear { .. } | Op::Conv2d { .. } | Op::Attention { .. });
        depths[node.output.0] = before + usize::from(multiplies);
    }
    depths.into_iter().max().unwrap_or(0)
}
