//! Element by element.

use ditbench_graph::Activation;
use rayon::prelude::*;

use crate::Array;

/// f(a, b) with NumPy's broadcasting: axes are aligned at the end, an axis of extent 1 is repeated.
pub(super) fn broadcast(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let rank = a.shape.len().max(b.shape.len());
    let extent = |x: &Array, axis: usize| (axis + x.shape.len()).checked_sub(rank).map_or(1, |i| x.shape[i]);
    let shape: Vec<usize> = (0..rank).map(|axis| extent(a, axis).max(extent(b, axis))).collect();
    let (a_strides, b_strides) = (strides_in(a, rank), strides_in(b, rank));
    let mut y = Array::zeros(&shape);
    let mut index = vec![0; rank];
    for value in &mut y.data {
        let at = |strides: &[usize]| index.iter().zip(strides).map(|(i, s)| i * s).sum::<usize>();
        *value = f(a.data[at(&a_strides)], b.data[at(&b_strides)]);
        for axis in (0..rank).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    y
}

/// Elements to step over per step along each axis of a rank-`rank` result; 0 along an axis that is repeated.
fn strides_in(x: &Array, rank: usize) -> Vec<usize> {
    let mut strides = vec![0; rank];
    let mut stride = 1;
    for (axis, &extent) in x.shape.iter().enumerate().rev() {
        if extent > 1 {
            strides[rank - x.shape.len() + axis] = stride;
        }
        stride *= extent;
    }
    strides
}

/// x·(1 + scale) + shift, with x `[B, T, D]`, shift and scale `[B, 1, D]`.
pub(super) fn modulate(x: &Array, shift: &Array, scale: &Array) -> Array {
    let scaled = broadcast(x, scale, |x, scale| x * (1.0 + scale));
    broadcast(&scaled, shift, |x, shift| x + shift)
}

/// x + gate·y, with x and y `[B, T, D]`, gate `[B, 1, D]`.
pub(super) fn gated_add(x: &Array, y: &Array, gate: &Array) -> Array {
    let gated = broadcast(y, gate, |y, gate| gate * y);
    broadcast(x, &gated, |x, gated| x + gated)
}

/// a + w·(b − a), with a and b of one shape to which w broadcasts.
pub(super) fn lerp(a: &Array, b: &Array, w: &Array) -> Array {
    let difference = broadcast(b, a, |b, a| b - a);
    let part = broadcast(&difference, w, |difference, w| w * difference);
    broadcast(a, &part, |a, part| a + part)
}

/// Each element through the function. From `libm`, so that every machine gives the same values.
pub(super) fn activation(x: &Array, activation: Activation) -> Array {
    use std::f64::consts::{FRAC_2_PI, SQRT_2};
    let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
    let f = |x: f64| match activation {
        Activation::GeluTanh => 0.5 * x * (1.0 + libm::tanh(FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x))),
        Activation::GeluErf => 0.5 * x * (1.0 + libm::erf(x / SQRT_2)),
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Silu => x * sigmoid(x),
        // Not `max`, which would turn NaN into 0.
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => libm::tanh(x),
    };
    Array { shape: x.shape.clone(), data: x.data.par_iter().map(|&v| f(v)).collect() }
}
