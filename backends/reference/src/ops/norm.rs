//! Normalisations.

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

/// `[B, C, h, w]`: over each of `groups` groups of neighbouring channels as [`layer_norm`] without weights, then ·weight + bias of each channel.
pub(super) fn group_norm(x: &Array, groups: usize, eps: f64, weight: &Array, bias: &Array) -> Array {
    let (batch, channels) = (x.shape[0], x.shape[1]);
    let whole: usize = x.shape.iter().product();
    let rows = Array { shape: vec![batch * groups, whole / (batch * groups)], data: x.data.clone() };
    let mut y = layer_norm(&rows, eps, None, None);
    for (i, plane) in y.data.chunks_exact_mut(whole / (batch * channels)).enumerate() {
        let channel = i % channels;
        plane.iter_mut().for_each(|v| *v = *v * weight.data[channel] + bias.data[channel]);
    }
    Array { shape: x.shape.clone(), data: y.data }
}

/// Over the last axis: x/√(mean of x² + eps)·weight.
pub(super) fn rms_norm(x: &Array, eps: f64, weight: &Array) -> Array {
    let width = x.last();
    let mut y = x.clone();
    for row in y.data.chunks_exact_mut(width) {
        let root = (row.iter().map(|v| v * v).sum::<f64>() / width as f64 + eps).sqrt();
        row.iter_mut().zip(&weight.data).for_each(|(v, w)| *v = *v / root * w);
    }
    y
}
