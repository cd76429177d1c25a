//! Noise levels of flow matching, and sinusoids of a timestep.

/// Sinusoids of a timestep, `[width]`: cosines first, then sines, of t·10000^(−i/(width/2)) (the order of DiT and PixArt), in
/// f64 and rounded once.
pub(crate) fn sinusoids(t: f64, width: usize) -> Vec<f32> {
    let half = width / 2;
    let angles: Vec<f64> = (0..half).map(|i| t * libm::pow(1e4, -(i as f64) / half as f64)).collect();
    angles.iter().map(|&a| libm::cos(a)).chain(angles.iter().map(|&a| libm::sin(a))).map(|v| v as f32).collect()
}

/// The timestep that the denoiser sees at noise level σ: 1000·σ.
pub const TIMESTEPS: f64 = 1000.0;

/// Noise levels of `steps` steps, `steps + 1` of them from 1 to 0: linear, then shifted by σ = s·t/(1 + (s − 1)·t), s
/// being `shift`.
pub fn sigmas(steps: usize, shift: f64) -> Vec<f64> {
    (0..=steps)
        .map(|i| {
            let t = (steps - i) as f64 / steps.max(1) as f64;
            shift * t / (1.0 + (shift - 1.0) * t)
        })
        .collect()
}
