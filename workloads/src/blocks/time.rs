//! Sinusoids of a timestep.

/// Sinusoids of a timestep, `[width]`: cosines first, then sines, of t·10000^(−i/(width/2)) (the order of DiT and PixArt), in
/// f64 and rounded once.
pub(crate) fn sinusoids(t: f64, width: usize) -> Vec<f32> {
    let half = width / 2;
    let angles: Vec<f64> = (0..half).map(|i| t * libm::pow(1e4, -(i as f64) / half as f64)).collect();
    angles.iter().map(|&a| libm::cos(a)).chain(angles.iter().map(|&a| libm::sin(a))).map(|v| v as f32).collect()
}
