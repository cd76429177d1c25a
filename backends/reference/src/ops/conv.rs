//! Cross-correlation of images, with zero padding, stride and groups.

use rayon::prelude::*;

use crate::Array;
use crate::matmul::{Matrix, multiply};

/// y[b, o, r, c] = bias[o] + Σ over i, u, v of w[o, i, u, v]·x[b, first(o) + i, r·stride + u − padding, c·stride + v − padding],
/// where first(o) is the first input channel of o's group and x is 0 outside the image.
///
/// Each group is a matrix product: its kernels `[O/groups, I/groups·kh·kw]` times the windows under them.
pub(super) fn conv2d(
    x: &Array,
    weight: &Array,
    bias: Option<&Array>,
    stride: usize,
    padding: usize,
    groups: usize,
) -> Array {
    let ([batch, channels, h, w], [outputs, depth, kh, kw]) = (x.four(), weight.four());
    let (oh, ow) = ((h + 2 * padding - kh) / stride + 1, (w + 2 * padding - kw) / stride + 1);
    let per_group = outputs / groups;
    let window = depth * kh * kw;
    let mut y = Array::zeros(&[batch, outputs, oh, ow]);
    // Some rows at a time, so that windows stay small and threads have work.
    let strip = (4096 / ow).clamp(1, oh);
    for (b, group) in (0..batch).flat_map(|b| (0..groups).map(move |group| (b, group))) {
        let image = &x.data[(b * channels + group * depth) * h * w..][..depth * h * w];
        let kernels =
            Matrix::row_major(&weight.data[group * per_group * window..][..per_group * window], per_group, window);
        let first = b * outputs + group * per_group;
        let strips: Vec<usize> = (0..oh).step_by(strip).collect();
        let products: Vec<Vec<f64>> = strips
            .par_iter()
            .map(|&top| {
                let rows = strip.min(oh - top);
                let mut windows = Vec::with_capacity(window * rows * ow);
                for (i, u, v) in offsets(depth, kh, kw) {
                    for (r, c) in (top..top + rows).flat_map(|r| (0..ow).map(move |c| (r, c))) {
                        let (row, col) = (r * stride + u, c * stride + v);
                        let inside = (padding..padding + h).contains(&row) && (padding..padding + w).contains(&col);
                        windows.push(if inside { image[(i * h + row - padding) * w + col - padding] } else { 0.0 });
                    }
                }
                multiply(kernels, Matrix::row_major(&windows, window, rows * ow))
            })
            .collect();
        for (top, product) in strips.into_iter().zip(products) {
            let pixels = product.len() / per_group;
            for (o, values) in product.chunks_exact(pixels).enumerate() {
                y.data[((first + o) * oh + top) * ow..][..pixels].copy_from_slice(values);
            }
        }
    }
    if let Some(bias) = bias {
        for (plane, values) in y.data.chunks_exact_mut(oh * ow).enumerate() {
            values.iter_mut().for_each(|value| *value += bias.data[plane % outputs]);
        }
    }
    y
}

/// All (channel, row, column) of a kernel, in the order of its elements.
fn offsets(depth: usize, kh: usize, kw: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..depth).flat_map(move |i| (0..kh).flat_map(move |u| (0..kw).map(move |v| (i, u, v))))
}
