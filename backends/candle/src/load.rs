//! Weights as the operations want them, made once.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{Device, Tensor};
use ditbench_backend_api::BackendError;
use ditbench_graph::Graph;
use ditbench_graph::weights::{Q4_GROUP_BYTES, Q8_GROUP_BYTES, WeightData, WeightTensor, Weights};
use ditbench_graph::{Op, WeightId, rope};
use ditbench_kernels::conv::{ConvSpec, PackedConv};
use ditbench_kernels::linear::{Matrix, PackedF16, PackedF32, PackedQ4, PackedQ8, Products};

use crate::{NAME, Way};

/// What a node needs besides its inputs.
pub enum Loaded {
    /// Nothing.
    Nothing,
    /// ditbench's kernels: a packed matrix and a bias.
    Linear(Matrix, Option<Vec<f32>>),
    /// candle: a matrix `[N, K]` and a bias `[N]`.
    StockLinear(Tensor, Option<Tensor>),
    /// candle: a quantized matrix and a bias `[N]`.
    StockQuantized(QMatMul, Option<Tensor>),
    /// ditbench's kernels: a packed convolution and a bias.
    Conv(PackedConv, Option<Vec<f32>>),
    /// candle: a kernel `[O, I/groups, kh, kw]` and a bias `[1, O, 1, 1]`.
    StockConv(Tensor, Option<Tensor>),
    /// Weight and bias of a norm, for ditbench's kernels.
    Norm(Option<Vec<f32>>, Option<Vec<f32>>),
    /// Weight and bias of a norm, for candle: ones and zeros where the graph has none.
    StockNorm(Tensor, Tensor),
    /// An embedding `[V, D]`, a parameter, or the weight of a root-mean-square norm.
    Table(Tensor),
    /// Cosines and sines `[T, hd/2]`.
    Angles(Vec<f32>, Vec<f32>),
    /// The same for candle.
    StockAngles(Tensor, Tensor),
    /// What is added to the scores of a causal attention, `[T, T]`.
    Mask(Tensor),
}

impl Loaded {
    /// Bytes of weights that it holds. What candle packs anew at its first product, for its own kernels, it does not tell.
    pub fn weight_bytes(&self) -> u64 {
        let floats = |values: &Option<Vec<f32>>| values.as_ref().map_or(0, |values| size_of_val(values.as_slice()));
        let tensor = |tensor: &Tensor| tensor.elem_count() * tensor.dtype().size_in_bytes();
        let bytes = match self {
            Self::Nothing | Self::Angles(..) | Self::StockAngles(..) | Self::Mask(_) => 0,
            Self::Linear(matrix, bias) => matrix.bytes() + floats(bias),
            Self::Conv(kernel, bias) => kernel.bytes() + floats(bias),
            Self::Norm(weight, bias) => floats(weight) + floats(bias),
            Self::StockLinear(matrix, bias) | Self::StockConv(matrix, bias) => {
                tensor(matrix) + bias.as_ref().map_or(0, tensor)
            }
            Self::StockQuantized(matrix, bias) => {
                let matrix = match matrix {
                    QMatMul::QTensor(matrix) => matrix.storage_size_in_bytes(),
                    QMatMul::Tensor(matrix) | QMatMul::TensorF16(matrix) => tensor(matrix),
                };
                matrix + bias.as_ref().map_or(0, tensor)
            }
            Self::StockNorm(weight, bias) => tensor(weight) + tensor(bias),
            Self::Table(table) => tensor(table),
        };
        bytes as u64
    }
}

/// In which precision a graph computes.
#[derive(Default)]
pub struct Ledger {
    /// Some weight is packed in few bits.
    pub packed: bool,
    /// Some linear rounds its activations to 8 bits.
    pub int8: bool,
    /// Some linear computes in f16.
    pub f16: bool,
}

/// Loads what node `index` needs, to the device.
pub fn load(
    graph: &Graph,
    index: usize,
    weights: &Weights,
    way: Way,
    device: &Device,
    ledger: &mut Ledger,
) -> Result<Loaded, BackendError> {
    let node = &graph.nodes[index];
    let tuned = matches!(way, Way::Tuned { .. });
    let get = |id: WeightId| weights.tensor(graph, id);
    let values = |id: Option<WeightId>| -> Result<Option<Vec<f32>>, BackendError> {
        id.map(|id| Ok(get(id)?.to_f32().into_owned())).transpose()
    };
    let failed = |error: &dyn std::fmt::Display| BackendError::runtime(NAME, format!("loading {}", node.name), error);
    let tensor = |id: WeightId| -> Result<Tensor, BackendError> {
        let weight = get(id)?;
        Tensor::from_slice(&weight.to_f32(), weight.shape.as_slice(), device).map_err(|error| failed(&error))
    };
    Ok(match &node.op {
        Op::Linear { weight, bias } => {
            let matrix = get(*weight)?;
            if let Way::Tuned(products) = way {
                let packed = pack(&matrix, products, ledger).map_err(|error| failed(&error))?;
                Loaded::Linear(packed, values(*bias)?)
            } else {
                let bias = bias.map(tensor).transpose()?;
                match quantized(&matrix, way, device, ledger).map_err(|error| failed(&error))? {
                    Some(matrix) => Loaded::StockQuantized(matrix, bias),
                    None => Loaded::StockLinear(tensor(*weight)?, bias),
                }
            }
        }
        Op::Conv2d { weight, bias, stride, padding, groups } => {
            let kernel = get(*weight)?;
            if tuned {
                let [o, i, kh, kw] = kernel.shape[..] else { return Err(failed(&"a kernel without four axes")) };
                let spec = ConvSpec {
                    in_channels: i * groups,
                    out_channels: o,
                    kernel: [kh, kw],
                    stride: *stride,
                    padding: *padding,
                    groups: *groups,
                };
                Loaded::Conv(PackedConv::pack(&kernel.to_f32(), spec).map_err(|error| failed(&error))?, values(*bias)?)
            } else {
                let bias = bias.map(tensor).transpose()?;
                let bias = bias.map(|bias| bias.reshape((1, (), 1, 1))).transpose().map_err(|error| failed(&error))?;
                Loaded::StockConv(tensor(*weight)?, bias)
            }
        }
        Op::GroupNorm { weight, bias, .. } if tuned => Loaded::Norm(values(Some(*weight))?, values(Some(*bias))?),
        Op::GroupNorm { weight, bias, .. } => Loaded::StockNorm(tensor(*weight)?, tensor(*bias)?),
        Op::RmsNorm { weight, .. } if tuned => Loaded::Norm(values(Some(*weight))?, None),
        Op::RmsNorm { weight, .. } => Loaded::Table(tensor(*weight)?),
        Op::LayerNorm { weight, bias, .. } if tuned => Loaded::Norm(values(*weight)?, values(*bias)?),
        Op::LayerNorm { weight, bias, .. } => {
            let width = graph.shape(node.output).last().copied().unwrap_or(1);
            let or = |id: Option<WeightId>, value: f32| match id {
                Some(id) => tensor(id),
                None => Tensor::full(value, width, device).map_err(|error| failed(&error)),
            };
            Loaded::StockNorm(or(*weight, 1.0)?, or(*bias, 0.0)?)
        }
        Op::Embedding { weight } | Op::Parameter { weight } => Loaded::Table(tensor(*weight)?),
        Op::Rope { rows, cols, theta } => {
            let half = graph.shape(node.inputs[0])[3] / 2;
            let (cos, sin) = rope::tables(*rows, *cols, 2 * half, *theta);
            if tuned {
                Loaded::Angles(cos, sin)
            } else {
                let table = |values| Tensor::from_vec(values, (rows * cols, half), device);
                Loaded::StockAngles(table(cos).map_err(|e| failed(&e))?, table(sin).map_err(|e| failed(&e))?)
            }
        }
        Op::Attention { pattern: ditbench_graph::AttentionPattern::Causal, .. } if !tuned => {
            let tokens = graph.shape(node.inputs[0])[1];
            let mask =
                (0..tokens * tokens).map(|i| if i % tokens > i / tokens { f32::NEG_INFINITY } else { 0.0 }).collect();
            Loaded::Mask(Tensor::from_vec(mask, (tokens, tokens), device).map_err(|error| failed(&error))?)
        }
        _ => Loaded::Nothing,
    })
}

/// A linear's matrix for ditbench's kernels.
fn pack(
    matrix: &WeightTensor,
    products: Products,
    ledger: &mut Ledger,
) -> Result<Matrix, ditbench_kernels::KernelError> {
    let (n, k) = (matrix.shape[0], matrix.shape[1]);
    let few_bits = matches!(matrix.data, WeightData::Q4(_) | WeightData::Q8(_));
    ledger.packed |= few_bits;
    ledger.int8 |= few_bits && products == Products::Int8;
    ledger.f16 |= matches!(products, Products::F16(_)) && (few_bits || matches!(matrix.data, WeightData::F16(_)));
    Ok(match (&matrix.data, products) {
        (WeightData::Q4(groups), _) => Matrix::Q4(PackedQ4::pack(groups, n, k)?, products),
        (WeightData::Q8(groups), _) => Matrix::Q8(PackedQ8::pack(groups, n, k)?, products),
        (WeightData::F16(values), Products::F16(isa)) => Matrix::F16(PackedF16::pack(values, n, k)?, isa),
        _ => Matrix::F32(PackedF32::pack(&matrix.to_f32(), n, k)?),
    })
}

/// A linear's matrix for candle's quantized product, if it is in few bits.
fn quantized(
    matrix: &WeightTensor,
    way: Way,
    device: &Device,
    ledger: &mut Ledger,
) -> candle_core::Result<Option<QMatMul>> {
    let (bytes, dtype) = match &matrix.data {
        WeightData::Q4(groups) if way == (Way::Stock { widen: true }) => (widen(groups).into(), GgmlDType::Q8_0),
        WeightData::Q4(groups) => (groups.as_ref().into(), GgmlDType::Q4_0),
        WeightData::Q8(groups) => (groups.as_ref().into(), GgmlDType::Q8_0),
        _ => return Ok(None),
    };
    ledger.packed = true;
    // candle's kernels for Metal unpack weights to f16; those for the processor and for CUDA round activations to 8 bits.
    ledger.int8 = !device.is_metal();
    ledger.f16 = device.is_metal();
    let storage = QStorage::from_data(bytes, device, dtype)?;
    let tensor = QTensor::new(storage, (matrix.shape[0], matrix.shape[1]))?;
    QMatMul::from_arc(Arc::new(tensor)).map(Some)
}

/// 4-bit groups as 8-bit ones of the same values: q − 8 in a byte, the same scale.
fn widen(groups: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(groups.len() / Q4_GROUP_BYTES * Q8_GROUP_BYTES);
    for group in groups.chunks_exact(Q4_GROUP_BYTES) {
        let signed = |nibble: u8| nibble.wrapping_sub(8);
        out.extend_from_slice(&group[..2]);
        out.extend(group[2..].iter().map(|byte| signed(byte & 15)));
        out.extend(group[2..].iter().map(|byte| signed(byte >> 4)));
    }
    out
}

#[cfg(test)]
mod tests {
    use ditbench_graph::weights::quantize;

    use super::*;

    #[test]
    fn widening_changes_no_value() {
        let values: Vec<f32> = (0..128).map(|i| ((i * 37) % 101) as f32 * 0.1 - 5.0).collect();
        let four = quantize::q4(&values, 64).unwrap();
        let eight = widen(&four);
        let unpack = |data| WeightTensor { shape: vec![2, 64], data }.to_f32().into_owned();
        assert_eq!(unpack(WeightData::Q4(four.into())), unpack(WeightData::Q8(eight.into())));
    }
}
