//! Seeded initialisation: the same bytes on every machine, in whatever order tensors are made.
//!
//! Each tensor has a stream of its own, keyed by seed and name (ChaCha8). Normals are made by Box–Muller through the
//! `libm` crate, whose functions are the same code everywhere, in f64, and rounded once.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{Init, WeightSpec};

/// Elements that one stream makes before the next chunk's begins: chunks are made in parallel.
const CHUNK: usize = 1 << 16;

/// The values of one weight, row-major.
pub fn init_tensor(spec: &WeightSpec, seed: u64) -> Vec<f32> {
    match spec.init {
        Init::Zeros => vec![0.0; spec.len()],
        Init::Ones => vec![1.0; spec.len()],
        Init::Normal(std) => normal(&spec.name, seed, spec.len(), 0.0, std),
        Init::NormalAround { mean, std } => normal(&spec.name, seed, spec.len(), mean, std),
        Init::Average => average(&spec.shape),
        Init::Haar => haar(&spec.shape),
    }
}

/// `len` normals of the stream that belongs to a name and a seed.
pub fn normal(name: &str, seed: u64, len: usize, mean: f32, std: f32) -> Vec<f32> {
    let mut values = vec![0.0; len];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let mut rng = stream(name, seed, chunk as u64);
        for pair in values.chunks_mut(2) {
            let both = box_muller(&mut rng);
            for (value, z) in pair.iter_mut().zip(both) {
                *value = (f64::from(mean) + f64::from(std) * z) as f32;
            }
        }
    });
    values
}

/// The generator of one chunk of one named stream.
fn stream(name: &str, seed: u64, chunk: u64) -> ChaCha8Rng {
    let key =
        Sha256::new_with_prefix(b"ditbench stream 1").chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let mut rng = ChaCha8Rng::from_seed(key.into());
    rng.set_stream(chunk);
    rng
}

/// Two independent standard normals (Box and Muller 1958).
fn box_muller(rng: &mut ChaCha8Rng) -> [f64; 2] {
    const SCALE: f64 = 1.0 / (1u64 << 53) as f64;
    // In (0, 1]: the logarithm is finite.
    let u = ((rng.next_u64() >> 11) + 1) as f64 * SCALE;
    let v = (rng.next_u64() >> 11) as f64 * SCALE;
    let radius = libm::sqrt(-2.0 * libm::log(u));
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * v);
    [radius * cos, radius * sin]
}

/// `[O, I/groups, kh, kw]`: 1/(kh·kw) where the output channel, within its group, is the input channel.
fn average(shape: &[usize]) -> Vec<f32> {
    let (inputs, window) = (shape.get(1).copied().unwrap_or(1), shape.iter().skip(2).product::<usize>());
    let channels = shape.first().copied().unwrap_or(0);
    (0..channels)
        .flat_map(|o| {
            (0..inputs * window).map(move |i| if i / window == o % inputs { 1.0 / window as f32 } else { 0.0 })
        })
        .collect()
}

/// Signs of the bands LL, LH, HL, HH in each pixel of a square.
const HAAR: [[f32; 4]; 4] =
    [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]];

/// `[4c, 4c, 1, 1]`: half the signs, image by image.
fn haar(shape: &[usize]) -> Vec<f32> {
    let (outputs, inputs) = (shape.first().copied().unwrap_or(0), shape.get(1).copied().unwrap_or(0));
    let value = |o: usize, i: usize| if o / 4 == i / 4 { 0.5 * HAAR[o % 4][i % 4] } else { 0.0 };
    (0..outputs).flat_map(|o| (0..inputs).map(move |i| value(o, i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WeightRole;

    fn spec(name: &str, shape: &[usize], init: Init) -> WeightSpec {
        WeightSpec { name: name.to_owned(), shape: shape.to_vec(), init, role: WeightRole::Linear }
    }

    #[test]
    fn normals_have_their_moments_and_streams_are_apart() {
        let values = init_tensor(&spec("a", &[300, 1000], Init::NormalAround { mean: 1.0, std: 0.5 }), 7);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let var = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((mean - 1.0).abs() < 0.005 && (var.sqrt() - 0.5).abs() < 0.005, "{mean} {var}");
        assert_eq!(values, init_tensor(&spec("a", &[300, 1000], Init::NormalAround { mean: 1.0, std: 0.5 }), 7));
        assert_ne!(values[0], init_tensor(&spec("b", &[1], Init::NormalAround { mean: 1.0, std: 0.5 }), 7)[0]);
        assert_ne!(values[0], init_tensor(&spec("a", &[1], Init::NormalAround { mean: 1.0, std: 0.5 }), 8)[0]);
    }

    #[test]
    fn the_bytes_are_known() {
        let bytes: Vec<u8> = normal("known", 1, 100_000, 0.0, 1.0).iter().flat_map(|v| v.to_le_bytes()).collect();
        let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, "cf3a71d94c9a7b4aeb46447351d837e98cdad88506b9195415ca55c10b3daf9b");
    }

    #[test]
    fn an_average_keeps_each_channel() {
        let values = init_tensor(&spec("w", &[4, 2, 2, 2], Init::Average), 0);
        assert_eq!(values[..8], [0.25, 0.25, 0.25, 0.25, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(values[8..16], [0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.25, 0.25]);
    }
    #[test]
    fn haar_synthesis_undoes_the_analysis_and_keeps_the_energy() {
        let synthesis = init_tensor(&spec("w", &[12, 12, 1, 1], Init::Haar), 0);
        // Its transpose is the analysis: averages and differences of rows and columns.
        for (a, b) in (0..12).flat_map(|a| (0..12).map(move |b| (a, b))) {
            let product: f32 = (0..12).map(|i| synthesis[12 * a + i] * synthesis[12 * b + i]).sum();
            assert_eq!(product, if a == b { 1.0 } else { 0.0 }, "{a} {b}");
        }
        // PyWavelets, idwt2 with "haar" of LL = 1, LH = 2, HL = 3, HH = 4, where LH is its vertical and HL its horizontal detail.
        let pixels: Vec<f32> =
            synthesis[..48].chunks(12).map(|row| row[0] + 2.0 * row[1] + 3.0 * row[2] + 4.0 * row[3]).collect();
        assert_eq!(pixels, [5.0, -1.0, -2.0, 0.0]);
    }
}
