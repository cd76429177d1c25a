//! Seeded inputs and weights for small graphs.

use std::collections::BTreeMap;

use ditbench_graph::weights::{
    Format, GROUP, Q4_GROUP_BYTES, Q8_GROUP_BYTES, Scheme, WeightData, WeightTensor, Weights,
};
use ditbench_graph::{DType, Init, WeightRole, WeightSpec};
use ditbench_graph::{Graph, Tensor};
use half::f16;

/// SplitMix64: a stream of well-mixed numbers from any seed.
struct Stream(u64);

impl Stream {
    /// A stream for one name under a seed.
    fn named(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0, up to 1.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }
}

/// Inputs for a graph: standard normal floats; token ids below the rows of the embedding that reads them, its first
/// and last row among them.
pub fn inputs(graph: &Graph, seed: u64) -> Vec<Tensor> {
    graph
        .inputs
        .iter()
        .map(|port| {
            let value = graph.value(port.value);
            let len: usize = value.shape.iter().product();
            let mut stream = Stream::named(seed, &format!("input {}", port.name));
            let tensor = match value.dtype {
                DType::F32 => Tensor::f32(value.shape.clone(), (0..len).map(|_| stream.normal()).collect()),
                DType::I64 => {
                    let rows = graph.weights.iter().find(|w| w.role == WeightRole::Embedding).map_or(1, |w| w.shape[0]);
                    let mut ids: Vec<i64> = (0..len).map(|_| (stream.next() % rows as u64) as i64).collect();
                    ids[0] = 0;
                    ids[len - 1] = rows as i64 - 1;
                    Tensor::i64(value.shape.clone(), ids)
                }
            };
            tensor.expect("as many elements as the shape says, by construction")
        })
        .collect()
}

/// Weights for a graph in a scheme: each initialised as the graph says, from the seed and its name.
pub fn weights(graph: &Graph, scheme: Scheme, seed: u64) -> Weights {
    let store: BTreeMap<String, WeightTensor<'static>> = graph
        .weights
        .iter()
        .map(|spec| {
            let values = initial(spec, seed);
            let data = store_as(format_of(spec, scheme), values);
            (spec.name.clone(), WeightTensor { shape: spec.shape.clone(), data })
        })
        .collect();
    Weights::new(store)
}

fn initial(spec: &WeightSpec, seed: u64) -> Vec<f32> {
    let mut stream = Stream::named(seed, &spec.name);
    let mut normal = |mean: f32, std: f32| (0..spec.len()).map(|_| mean + std * stream.normal()).collect();
    match spec.init {
        Init::Zeros => vec![0.0; spec.len()],
        Init::Ones => vec![1.0; spec.len()],
        Init::Normal(std) => normal(0.0, std),
        Init::NormalAround { mean, std } => normal(mean, std),
        Init::Haar => {
            // A 4 × 4 Hadamard matrix over 2, once for each image along the diagonal.
            let o = spec.shape[0];
            let odd = |at: usize, bit: usize| at >> bit & 1 == 1;
            let sign = |pixel: usize, band: usize| {
                let turns = usize::from(odd(pixel, 0) && odd(band, 0)) + usize::from(odd(pixel, 1) && odd(band, 1));
                if turns == 1 { -0.5 } else { 0.5 }
            };
            (0..spec.len()).map(|at| if at / o / 4 == at % o / 4 { sign(at / o, at % o) } else { 0.0 }).collect()
        }
        Init::Average => {
            let [o, i, window] = [spec.shape[0], spec.shape[1], spec.shape[2] * spec.shape[3]];
            (0..spec.len())
                .map(|at| if at / window / i % o % i == at / window % i { 1.0 / window as f32 } else { 0.0 })
                .collect()
        }
    }
}

fn format_of(spec: &WeightSpec, scheme: Scheme) -> Format {
    let quantized = spec.role == WeightRole::Linear && spec.shape[1].is_multiple_of(GROUP);
    match scheme {
        Scheme::F16 => Format::F16,
        Scheme::Q4 if quantized => Format::Q4,
        Scheme::Q8 if quantized => Format::Q8,
        Scheme::Mixed if quantized => {
            if spec.name.len().is_multiple_of(2) {
                Format::Q4
            } else {
                Format::Q8
            }
        }
        Scheme::Palette4 if matches!(spec.role, WeightRole::Linear | WeightRole::Conv) => Format::Palette4,
        _ => Format::F32,
    }
}

fn store_as(format: Format, values: Vec<f32>) -> WeightData<'static> {
    match format {
        Format::F32 => WeightData::F32(values.into()),
        Format::F16 => WeightData::F16(values.into_iter().map(f16::from_f32).collect()),
        Format::Q4 => WeightData::Q4(values.chunks_exact(GROUP).flat_map(q4_group).collect()),
        Format::Q8 => WeightData::Q8(values.chunks_exact(GROUP).flat_map(q8_group).collect()),
        Format::Palette4 => palette4(&values),
    }
}

fn largest(group: &[f32]) -> f32 {
    group.iter().fold(0.0, |most, v| v.abs().max(most))
}

fn q4_group(group: &[f32]) -> [u8; Q4_GROUP_BYTES] {
    // So that all sixteen codes occur, 0 and 15 too; the largest positive values are clipped.
    let scale = f16::from_f32(largest(group) / 8.0);
    let q = |v: f32| if scale.to_f32() > 0.0 { (v / scale.to_f32() + 8.0).round().clamp(0.0, 15.0) as u8 } else { 8 };
    let mut bytes = [0; Q4_GROUP_BYTES];
    bytes[..2].copy_from_slice(&scale.to_le_bytes());
    for i in 0..GROUP / 2 {
        bytes[2 + i] = q(group[i]) | q(group[i + GROUP / 2]) << 4;
    }
    bytes
}

fn q8_group(group: &[f32]) -> [u8; Q8_GROUP_BYTES] {
    let scale = f16::from_f32(largest(group) / 127.0);
    let q = |v: f32| if scale.to_f32() > 0.0 { (v / scale.to_f32()).round().clamp(-127.0, 127.0) as i8 } else { 0 };
    let mut bytes = [0; Q8_GROUP_BYTES];
    bytes[..2].copy_from_slice(&scale.to_le_bytes());
    for (byte, &v) in bytes[2..].iter_mut().zip(group) {
        *byte = q(v) as u8;
    }
    bytes
}

fn palette4(values: &[f32]) -> WeightData<'static> {
    let most = largest(values);
    let centroids: [f32; 16] = std::array::from_fn(|i| most * (2.0 * i as f32 / 15.0 - 1.0));
    let index = |v: f32| if most > 0.0 { ((v / most + 1.0) * 7.5).round().clamp(0.0, 15.0) as u8 } else { 0 };
    let pair = |pair: &[f32]| index(pair[0]) | pair.get(1).map_or(0, |&v| index(v)) << 4;
    WeightData::Palette4 { centroids, indices: values.chunks(2).map(pair).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn quantized_weights_use_every_code_and_stay_near_the_initial_ones() {
        let case = cases().into_iter().find(|case| case.name == "linear.large").unwrap();
        let id = ditbench_graph::WeightId(0);
        let initial = weights(&case.graph, Scheme::F32, 1);
        let initial = initial.tensor(&case.graph, id).unwrap().to_f32().into_owned();
        for (scheme, most) in [(Scheme::Q4, 0.12), (Scheme::Q8, 0.01), (Scheme::F16, 1e-3), (Scheme::Palette4, 0.2)] {
            let stored = weights(&case.graph, scheme, 1);
            let tensor = stored.tensor(&case.graph, id).unwrap();
            if let WeightData::Q4(bytes) = &tensor.data {
                let codes = bytes.chunks_exact(Q4_GROUP_BYTES).flat_map(|g| &g[2..]).flat_map(|b| [b & 15, b >> 4]);
                assert_eq!(codes.collect::<std::collections::BTreeSet<u8>>().len(), 16);
            }
            let wanted: Vec<f64> = initial.iter().map(|&v| v.into()).collect();
            let off = crate::Difference::between(&tensor.to_f32(), &wanted).relative_l2;
            assert!((1e-5..most).contains(&off), "{scheme:?}: {off}");
        }
    }
}
