//! What the kernel tests share: seeded values and the distance from f64.
#![allow(dead_code)]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

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

/// ‖found − truth‖ / ‖truth‖, and ‖found‖ where the truth is 0.
pub fn distance(found: &[f32], truth: &[f64]) -> f64 {
    assert_eq!(found.len(), truth.len());
    let error: f64 = found.iter().zip(truth).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let size: f64 = truth.iter().map(|b| b * b).sum();
    if size > 0.0 { (error / size).sqrt() } else { error.sqrt() }
}

/// Asserts a distance of at most `tolerance`; NaN fails.
pub fn assert_near(found: &[f32], truth: &[f64], tolerance: f64, what: &str) {
    let d = distance(found, truth);
    assert!(d <= tolerance, "{what}: relative L2 distance {d:.3e} from f64, at most {tolerance:.0e} wanted");
}

/// f64 GELU, tanh form.
pub fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
}
