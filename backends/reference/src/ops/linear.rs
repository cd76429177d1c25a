//! `[.., K] → [.., N]`: x·Wᵀ + b.

use crate::Array;
use crate::matmul::{Matrix, multiply_parallel};

/// x·Wᵀ + b with W `[N, K]`, b `[N]`.
pub(super) fn linear(x: &Array, weight: &Array, bias: Option<&Array>) -> Array {
    let (n, k) = (weight.shape[0], weight.shape[1]);
    let rows = x.data.len() / k;
    let mut data =
        multiply_parallel(Matrix::row_major(&x.data, rows, k), Matrix::row_major(&weight.data, n, k).transposed());
    if let Some(bias) = bias {
        for row in data.chunks_exact_mut(n) {
            row.iter_mut().zip(&bias.data).for_each(|(y, b)| *y += b);
        }
    }
    Array { shape: [&x.shape[..x.shape.len() - 1], &[n]].concat(), data }
}
