//! Bounds against errors made on purpose: a right backend of that precision stays below, and not by so much that the
//! bound would mean nothing.

mod faulty;

use ditbench_backend_api::Numerics;
use ditbench_conformance::{Outcome, Suite, assert_passed};
use ditbench_graph::Graph;
use ditbench_graph::Op;
use ditbench_graph::weights::{Format, Scheme, Weights};
use ditbench_reference::Step;
use faulty::Faulty;

/// Linears with quantized weights computed from activations rounded to 8 bits, one scale for each `group` elements.
fn eight_bit_activations(step: &mut Step<'_>, graph: &Graph, weights: &Weights, group: usize) {
    let Op::Linear { weight, .. } = step.node.op else { return };
    let weight = weights.tensor(graph, weight).unwrap();
    if weight.format() == Format::F32 {
        return;
    }
    let (n, k) = (weight.shape[0], weight.shape[1]);
    let matrix = weight.to_f32();
    for (x, y) in step.inputs[0].data.chunks_exact(k).zip(step.output.data.chunks_exact_mut(n)) {
        let errors: Vec<f64> = x.chunks(group.min(k)).flat_map(rounding_errors).collect();
        for (y, row) in y.iter_mut().zip(matrix.chunks_exact(k)) {
            *y += row.iter().zip(&errors).map(|(&w, e)| f64::from(w) * e).sum::<f64>();
        }
    }
}

/// What rounding to multiples of largest/127 adds to each element.
fn rounding_errors(group: &[f64]) -> Vec<f64> {
    let step = group.iter().fold(0.0, |most: f64, v| most.max(v.abs())) / 127.0;
    group.iter().map(|&v| if step > 0.0 { (v / step).round() * step - v } else { 0.0 }).collect()
}

fn nearest_to_its_bound(outcomes: &[Outcome], prefix: &str) -> f64 {
    let share = |outcome: &Outcome| Some(outcome.found?.relative_l2 / outcome.allowed?);
    outcomes.iter().filter(|outcome| outcome.case.starts_with(prefix)).filter_map(share).fold(0.0, f64::max)
}

#[test]
fn eight_bit_activations_stay_within_their_bound_and_come_near_it() {
    let cache = tempfile::tempdir().unwrap();
    for group in [32, usize::MAX] {
        let backend = Faulty::with_graph(Numerics::Int8Activations, move |step, graph, weights| {
            eight_bit_activations(step, graph, weights, group);
        });
        let mut outcomes = Suite::new(cache.path()).schemes(&[Scheme::Q4, Scheme::Q8]).run(&backend);
        outcomes.retain(|outcome| !outcome.case.starts_with("contract."));
        assert_passed(&outcomes);
        for prefix in ["linear.", "component.block.", "component.denoiser."] {
            let share = nearest_to_its_bound(&outcomes, prefix);
            println!("groups of {group}: {prefix} reaches {share:.2} of its bound");
            assert!(share > 0.1, "{prefix}: the bound is idle, {share:.2} of it is used");
        }
    }
}

/// Every computed element off by a few roundings at random: what a sound f32 backend does.
#[test]
fn rounding_to_f32_stays_far_below_its_bound_however_deep_the_graph() {
    let cache = tempfile::tempdir().unwrap();
    let backend = Faulty::new(|step| {
        if matches!(step.node.op, Op::Reshape { .. } | Op::Transpose { .. } | Op::Concat { .. } | Op::Slice { .. }) {
            return;
        }
        for (i, value) in step.output.data.iter_mut().enumerate() {
            // A multiplicative hash: the signs of different nodes are independent.
            let sign = if (i + 7919 * step.index).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 0 { 1.0 } else { -1.0 };
            *value = f64::from((*value * (1.0 + sign * 2.0 * f64::from(f32::EPSILON))) as f32);
        }
    });
    let mut outcomes = Suite::new(cache.path()).schemes(&[Scheme::F32]).run(&backend);
    outcomes.retain(|outcome| !outcome.case.starts_with("contract."));
    assert_passed(&outcomes);
    let share = nearest_to_its_bound(&outcomes, "component.");
    println!("f32: {share:.2} of the bound is used");
    assert!(share < 0.5, "f32: {share:.2} of the bound is used");
}
