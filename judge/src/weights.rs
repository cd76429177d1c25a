//! The judge's numbers: from PyTorch's file to the graph's weights.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::network::{STAGES, stored_kernel};
use super::pth::{self, PthTensor};
use super::{FILE_SHA256, JudgeError};
use ditbench_graph::Graph;
use ditbench_graph::weights::{WeightData, WeightTensor, Weights};

/// Added to the variance in the batch norms.
const EPS: f32 = 1e-3;

/// Reads the judge's file, holds it against its hash, and gives the weights of [`super::network::graph`].
///
/// # Errors
/// A file that cannot be read, or is another one than this program's judge.
pub fn load(path: &Path) -> Result<Weights, JudgeError> {
    let fail = |why: String| JudgeError::File { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let found = ditbench_graph::hash::sha256(&bytes);
    if found != FILE_SHA256 {
        return Err(fail(format!(
            "it has SHA-256 {found} instead of {FILE_SHA256}: it is not the network that judged the data, so its \
             figures could not be compared"
        )));
    }
    let tensors = pth::read(&bytes).map_err(&fail)?;
    let graph = super::network::graph()?;
    let weights = fold(&tensors).map_err(&fail)?;
    let store: BTreeMap<String, WeightTensor<'static>> = weights.into_iter().collect();
    let weights = Weights::new(store);
    check(&graph, &weights)?;
    Ok(weights)
}

/// Every weight of the graph is there in its shape.
fn check(graph: &Graph, weights: &Weights) -> Result<(), JudgeError> {
    for index in 0..graph.weights.len() {
        weights.tensor(graph, ditbench_graph::WeightId(index))?;
    }
    Ok(())
}

/// Names and numbers as the graph wants them: each batch norm folded into the convolution before it.
fn fold(tensors: &BTreeMap<String, PthTensor>) -> Result<Vec<(String, WeightTensor<'static>)>, String> {
    let mut made = Vec::new();
    let mut conv = |name: &str, theirs: &str, norm: &str, stride: usize| -> Result<(), String> {
        let (weight, bias) = folded(tensors, theirs, norm, stride)?;
        made.extend([(format!("{name}.weight"), weight), (format!("{name}.bias"), bias)]);
        Ok(())
    };
    conv("stem", "_conv_stem", "_bn0", 2)?;
    let mut number = 0;
    for stage in &STAGES {
        for repeat in 0..stage.repeat {
            let (ours, theirs) = (format!("blocks.{number}"), format!("_blocks.{number}"));
            let stride = if repeat == 0 { stage.stride } else { 1 };
            if stage.expand > 1 {
                conv(&format!("{ours}.expand"), &format!("{theirs}._expand_conv"), &format!("{theirs}._bn0"), 1)?;
            }
            conv(
                &format!("{ours}.depthwise"),
                &format!("{theirs}._depthwise_conv"),
                &format!("{theirs}._bn1"),
                stride,
            )?;
            conv(&format!("{ours}.project"), &format!("{theirs}._project_conv"), &format!("{theirs}._bn2"), 1)?;
            number += 1;
        }
    }
    conv("head", "_conv_head", "_bn1", 1)?;
    let pixels = 49;
    made.push(("pool".to_owned(), tensor(vec![1, pixels], vec![1.0 / pixels as f32; pixels])));
    for part in ["weight", "bias"] {
        let found = get(tensors, &format!("_fc.{part}"))?;
        made.push((format!("classes.{part}"), tensor(found.shape.clone(), found.data.clone())));
    }
    Ok(made)
}

/// conv then norm: (w·x − mean)·γ/√(variance + ε) + β = (w·s)·x + (β − mean·s), s = γ/√(variance + ε).
fn folded(
    tensors: &BTreeMap<String, PthTensor>,
    conv: &str,
    norm: &str,
    stride: usize,
) -> Result<(WeightTensor<'static>, WeightTensor<'static>), String> {
    let weight = get(tensors, &format!("{conv}.weight"))?;
    let of_norm = |part: &str| get(tensors, &format!("{norm}.{part}")).map(|found| &found.data);
    let (gamma, beta) = (of_norm("weight")?, of_norm("bias")?);
    let (mean, variance) = (of_norm("running_mean")?, of_norm("running_var")?);
    let [channels, inputs, kernel, _] = weight.shape[..] else { return Err(format!("{conv} is not a convolution")) };
    if [gamma, beta, mean, variance].iter().any(|part| part.len() != channels) {
        return Err(format!("{norm} does not fit {conv}"));
    }
    let side = stored_kernel(kernel, stride);
    let front = side - kernel;
    let mut data = vec![0.0; channels * inputs * side * side];
    let mut bias = Vec::with_capacity(channels);
    for (channel, planes) in weight.data.chunks_exact(inputs * kernel * kernel).enumerate() {
        let scale = f64::from(gamma[channel]) / f64::from(variance[channel] + EPS).sqrt();
        bias.push((f64::from(beta[channel]) - f64::from(mean[channel]) * scale) as f32);
        for (input, plane) in planes.chunks_exact(kernel * kernel).enumerate() {
            for (at, value) in plane.iter().enumerate() {
                let (row, column) = (at / kernel + front, at % kernel + front);
                data[((channel * inputs + input) * side + row) * side + column] = (f64::from(*value) * scale) as f32;
            }
        }
    }
    Ok((tensor(vec![channels, inputs, side, side], data), tensor(vec![channels], bias)))
}

fn get<'a>(tensors: &'a BTreeMap<String, PthTensor>, name: &str) -> Result<&'a PthTensor, String> {
    tensors.get(name).ok_or_else(|| format!("it has no tensor \"{name}\""))
}

fn tensor(shape: Vec<usize>, data: Vec<f32>) -> WeightTensor<'static> {
    WeightTensor { shape, data: WeightData::F32(Cow::Owned(data)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_is_folded_and_a_halving_window_gets_its_zeros_in_front() {
        let of = |shape: &[usize], data: &[f32]| PthTensor { shape: shape.to_vec(), data: data.to_vec() };
        let tensors = BTreeMap::from([
            ("c.weight".to_owned(), of(&[2, 1, 1, 1], &[3.0, 5.0])),
            ("n.weight".to_owned(), of(&[2], &[2.0, 1.0])),
            ("n.bias".to_owned(), of(&[2], &[10.0, 20.0])),
            ("n.running_mean".to_owned(), of(&[2], &[1.0, 0.0])),
            ("n.running_var".to_owned(), of(&[2], &[4.0 - EPS, 1.0 - EPS])),
        ]);
        let (weight, bias) = folded(&tensors, "c", "n", 1).unwrap();
        assert_eq!((weight.shape, &weight.data), (vec![2, 1, 1, 1], &WeightData::F32(vec![3.0, 5.0].into())));
        assert_eq!(bias.data, WeightData::F32(vec![9.0, 20.0].into()));
        let (weight, _) = folded(&tensors, "c", "n", 2).unwrap();
        assert_eq!(weight.shape, [2, 1, 2, 2]);
        assert_eq!(weight.data, WeightData::F32(vec![0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 5.0].into()));
    }
}
