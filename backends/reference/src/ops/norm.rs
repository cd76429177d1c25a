//! Layer normalisation.

use crate::Array;

/// Over the last axis: (x − mean)/√(variance + eps), variance divided by D, then ·weight + bias where given.
pub(super) fn layer_norm(x: &Array, eps: f64, weight: Option<&Array>, bias: Option<&Array>) -> Array {
    let width = x.last();
    let mut y = x.clone();
    for row in y.data.chunks_exact_mut(width) {
        let mean = row.iter().sum::<f64>() / width as f64;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / width as f64;
        let deviation = (variance + eps).sqrt();
        for (i, v) in row.iter_mut().enumerate() {
            let normal = (*v - mean) / deviation;
            *v = normal * weight.map_or(1.0, |w| w.data[i]) + bias.map_or(0.0, |b| b.data[i]);
        }
    }
    y
}
