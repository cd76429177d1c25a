//! What the kernel tests share: seeded values and the distance from f64.
#![allow(dead_code)]

use ditbench_kernels::Isa;
use ditbench_kernels::linear::GROUP;
use half::f16;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The instruction sets of this machine that compute in f16, and the scalar code that computes the same bits.
pub fn computing_f16() -> Vec<Isa> {
    Isa::available().into_iter().filter(|isa| *isa == Isa::Scalar || isa.computes_f16()).collect()
}

/// Values in −1..1.
pub fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Bytes.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut out);
    out
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// ‖found − truth‖ / ‖truth‖, and ‖found‖ where the truth is 0.
pub fn distance(found: &[f32], truth: &[f64]) -> f64 {
    distance_or(found, truth, 0.0)
}

/// The same, relative to `least` where ‖truth‖ is less.
fn distance_or(found: &[f32], truth: &[f64], least: f64) -> f64 {
    assert_eq!(found.len(), truth.len());
    let error = norm(found.iter().zip(truth).map(|(a, b)| f64::from(*a) - b));
    let size = norm(truth.iter().copied()).max(least);
    if size > 0.0 { error / size } else { error }
}

/// Asserts a distance of at most `tolerance`; NaN fails.
pub fn assert_near(found: &[f32], truth: &[f64], tolerance: f64, what: &str) {
    assert_near_or(found, truth, 0.0, tolerance, what);
}

/// The same, relative to `least` where ‖truth‖ is less.
pub fn assert_near_or(found: &[f32], truth: &[f64], least: f64, tolerance: f64, what: &str) {
    let d = distance_or(found, truth, least);
    assert!(d <= tolerance, "{what}: relative L2 distance {d:.3e} from f64, at most {tolerance:.0e} wanted");
}

/// f64 GELU, tanh form.
pub fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}

/// Random ggml blocks with scales of ordinary size, and the values they stand for.
pub fn q4(n: usize, k: usize, seed: u64) -> (Vec<u8>, Vec<f64>) {
    blocks(n, k, 16, seed, |b, i| f64::from(if i < 16 { b[i] & 15 } else { b[i - 16] >> 4 }) - 8.0)
}

/// The same in 8 bits.
pub fn q8(n: usize, k: usize, seed: u64) -> (Vec<u8>, Vec<f64>) {
    blocks(n, k, 32, seed, |b, i| f64::from(b[i] as i8))
}

fn blocks(n: usize, k: usize, size: usize, seed: u64, value: impl Fn(&[u8], usize) -> f64) -> (Vec<u8>, Vec<f64>) {
    let count = n * k / GROUP;
    let raw = bytes(count * size, seed);
    let scales = values(count, seed + 1);
    let (mut out, mut w) = (Vec::new(), Vec::new());
    for (b, s) in raw.chunks(size).zip(scales) {
        let d = f16::from_f32(s / size as f32);
        out.extend(d.to_le_bytes());
        out.extend(b);
        w.extend((0..GROUP).map(|i| value(b, i) * d.to_f64()));
    }
    (out, w)
}

/// A linear in f64.
pub fn truth(x: &[f64], w: &[f64], bias: Option<&[f32]>, gelu: bool, m: usize, n: usize, k: usize) -> Vec<f64> {
    let mut y = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            let s: f64 = (0..k).map(|t| x[i * k + t] * w[j * k + t]).sum();
            let s = s + bias.map_or(0.0, |b| f64::from(b[j]));
            y.push(if gelu { gelu_tanh(s) } else { s });
        }
    }
    y
}

/// In f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}
