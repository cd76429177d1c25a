//! The same elements elsewhere.

use crate::Array;

/// Output axis i is input axis perm[i].
pub(super) fn transpose(x: &Array, perm: &[usize]) -> Array {
    let rank = perm.len();
    let mut strides = vec![1; rank];
    for axis in (1..rank).rev() {
        strides[axis - 1] = strides[axis] * x.shape[axis];
    }
    let shape: Vec<usize> = perm.iter().map(|&axis| x.shape[axis]).collect();
    let steps: Vec<usize> = perm.iter().map(|&axis| strides[axis]).collect();
    let mut y = Array::zeros(&shape);
    let mut index = vec![0; rank];
    for value in &mut y.data {
        *value = x.data[index.iter().zip(&steps).map(|(i, s)| i * s).sum::<usize>()];
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

/// Inputs joined along an axis.
pub(super) fn concat(inputs: &[&Array], axis: usize) -> Array {
    let mut shape = inputs[0].shape.clone();
    shape[axis] = inputs.iter().map(|x| x.shape[axis]).sum();
    let outer: usize = shape[..axis].iter().product();
    let mut data = Vec::with_capacity(shape.iter().product());
    for i in 0..outer {
        for x in inputs {
            let piece = x.data.len() / outer;
            data.extend_from_slice(&x.data[i * piece..][..piece]);
        }
    }
    Array { shape, data }
}

/// Elements start..end along an axis.
pub(super) fn slice(x: &Array, axis: usize, start: usize, end: usize) -> Array {
    let mut shape = x.shape.clone();
    shape[axis] = end - start;
    let inner: usize = x.shape[axis + 1..].iter().product();
    let data = x
        .data
        .chunks_exact(x.shape[axis] * inner)
        .flat_map(|piece| &piece[start * inner..end * inner])
        .copied()
        .collect();
    Array { shape, data }
}

/// `[B, C, h, w] → [B, C, 2h, 2w]`: y[b, c, r, s] = x[b, c, r/2, s/2].
pub(super) fn upsample2x(x: &Array) -> Array {
    let [batch, channels, h, w] = x.four();
    let mut data = Vec::with_capacity(4 * x.data.len());
    for plane in x.data.chunks_exact(h * w) {
        for r in 0..2 * h {
            data.extend((0..2 * w).map(|s| plane[r / 2 * w + s / 2]));
        }
    }
    Array { shape: vec![batch, channels, 2 * h, 2 * w], data }
}
