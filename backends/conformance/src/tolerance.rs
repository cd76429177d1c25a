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
//!   0.5 to 0.9 % of its result, and by 1 % at most. One block has nine products in sequence: √9 · 1 % = the 3 % of
//!   [`Numerics::tolerance`]. Hence √n · 1 % for a graph whose longest chain has n > 9 products. Made on purpose in
//!   the reference (`tests/bounds.rs`), such rounding uses 20 to 45 % of these bounds, for blocks as for denoisers.
//!
//! Two things narrow or widen every bound: a graph none of whose weights is stored in few bits has nothing that
//! weight-only or 8-bit paths could round, so it is held to f32's bound; and results cross the boundary as f32, so
//! no bound is below 2⁻²⁴.

use ditbench_backend_api::Numerics;
use ditbench_graph::Graph;
use ditbench_graph::weights::{Format, Weights};
use ditbench_graph::{Op, WeightId};

/// Products in sequence in one transformer block: key, its compression, attention, output; query, attention, output of
/// the cross-attention; up and down of the FFN.
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

#[cfg(test)]
mod tests {
    use ditbench_graph::weights::Scheme;

    use super::*;
    use crate::{Case, cases, weights};

    fn case(name: &str) -> Case {
        cases().into_iter().find(|case| case.name == name).unwrap()
    }

    fn bound(numerics: Numerics, name: &str, scheme: Scheme) -> f64 {
        let case = case(name);
        allowed(numerics, &case.graph, &weights(&case.graph, scheme, 1))
    }

    #[test]
    fn a_block_is_nine_products_deep_and_a_denoiser_widens_only_8_bit_bounds() {
        assert_eq!(depth(&case("component.block.assa.batch_1").graph) as f64, BLOCK_DEPTH);
        let denoiser = "component.denoiser.plain";
        assert_eq!(bound(Numerics::F32, denoiser, Scheme::F32), 1e-5);
        assert_eq!(bound(Numerics::WeightOnly, denoiser, Scheme::Q4), 1e-4);
        let eight_bit = bound(Numerics::Int8Activations, denoiser, Scheme::Q4);
        assert!((0.06..0.09).contains(&eight_bit), "{eight_bit}");
    }

    #[test]
    fn what_has_nothing_to_round_is_held_to_f32() {
        assert_eq!(bound(Numerics::Int8Activations, "linear.plain", Scheme::Q4), 3e-2);
        assert_eq!(bound(Numerics::Int8Activations, "linear.no_whole_groups", Scheme::Q4), 1e-5);
        assert_eq!(bound(Numerics::WeightOnly, "attention.full", Scheme::Q4), 1e-5);
        assert_eq!(bound(Numerics::F64, "linear.plain", Scheme::F32), F32_ROUNDOFF);
    }
}
