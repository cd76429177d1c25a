//! SSIM by one pinned definition, because implementations differ in window, borders and colour.
//!
//! Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian window 11×11 with σ = 1.5, K₁ = 0.01, K₂ = 0.03, range 255, population
//! covariance, mean over the windows that lie wholly inside, on luma (ITU-R BT.601, not rounded). The same as scikit-image's
//! `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)`.

use image::RgbImage;

/// Window width in pixels; a picture smaller than this either way has no SSIM.
pub const WINDOW: u32 = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// Mean structural similarity, 1 for identical pictures. `None` if they differ in size or are smaller than [`WINDOW`].
pub fn ssim(ours: &RgbImage, reference: &RgbImage) -> Option<f64> {
    let (width, height) = ours.dimensions();
    if ours.dimensions() != reference.dimensions() || width.min(height) < WINDOW {
        return None;
    }
    let (width, height) = (width as usize, height as usize);
    let (a, b) = (luma(ours), luma(reference));
    let mean = |signal: &dyn Fn(usize) -> f64| blur(signal, width, height);
    let (mean_a, mean_b) = (mean(&|i| a[i]), mean(&|i| b[i]));
    let (mean_aa, mean_bb, mean_ab) = (mean(&|i| a[i] * a[i]), mean(&|i| b[i] * b[i]), mean(&|i| a[i] * b[i]));
    let similarity = (0..mean_a.len()).map(|i| {
        let (ma, mb) = (mean_a[i], mean_b[i]);
        let (var_a, var_b, covariance) = (mean_aa[i] - ma * ma, mean_bb[i] - mb * mb, mean_ab[i] - ma * mb);
        ((2.0 * ma * mb + C1) * (2.0 * covariance + C2)) / ((ma * ma + mb * mb + C1) * (var_a + var_b + C2))
    });
    Some(similarity.sum::<f64>() / mean_a.len() as f64)
}

fn luma(image: &RgbImage) -> Vec<f64> {
    image.pixels().map(|p| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2])).collect()
}

/// The Gaussian-weighted mean of every window that lies wholly inside: rows first, then columns.
fn blur(signal: &dyn Fn(usize) -> f64, width: usize, height: usize) -> Vec<f64> {
    let window = WINDOW as usize;
    let centre = (window / 2) as f64;
    let weights: Vec<f64> = (0..window).map(|i| (-(i as f64 - centre).powi(2) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let weights: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
    let (inner_width, inner_height) = (width + 1 - window, height + 1 - window);
    let mut rows = Vec::with_capacity(inner_width * height);
    for y in 0..height {
        for x in 0..inner_width {
            rows.push(weights.iter().enumerate().map(|(i, weight)| weight * signal(y * width + x + i)).sum::<f64>());
        }
    }
    let mut means = Vec::with_capacity(inner_width * inner_height);
    for y in 0..inner_height {
        for x in 0..inner_width {
            let column = |i: usize| rows[(y + i) * inner_width + x];
            means.push(weights.iter().enumerate().map(|(i, weight)| weight * column(i)).sum());
        }
    }
    means
}
