//! Many tests at once: the false discovery rate.

/// Benjamini and Hochberg's adjusted p-values (1995), in the order given: reject where q ≤ α, and of all rejections no more
/// than a share α is false on average, for independent tests and for those that tend to agree. If nothing has changed
/// anywhere, the chance of even one rejection is at most α.
///
/// A p that is no number counts as 1.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let p: Vec<f64> = p.iter().map(|p| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }).collect();
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
    let mut q = vec![1.0; p.len()];
    let mut least: f64 = 1.0;
    // From the largest p down, so that q never falls as p rises.
    for (place, &test) in order.iter().enumerate() {
        least = least.min(p[test] * (p.len() as f64 / (p.len() - place) as f64));
        q[test] = least;
    }
    q
}
