//! Angles of the 2-D axial rotary position embedding.

/// Cosines and sines, each `[rows·cols, head_dim/2]` row-major, computed in f64 and rounded once.
///
/// Pair i of a head is the elements (i, i + head_dim/2). The first head_dim/4 pairs turn by the token's row, the others
/// by its column; pair j within an axis turns by position·theta^(−j/(head_dim/4)) (RoFormer, arXiv 2104.09864, applied per axis).
pub fn tables(rows: usize, cols: usize, head_dim: usize, theta: f32) -> (Vec<f32>, Vec<f32>) {
    let per_axis = head_dim / 4;
    let frequencies: Vec<f64> =
        (0..per_axis).map(|j| libm::pow(f64::from(theta), -(j as f64) / per_axis as f64)).collect();
    let mut cos = Vec::with_capacity(rows * cols * head_dim / 2);
    let mut sin = Vec::with_capacity(cos.capacity());
    for row in 0..rows {
        for col in 0..cols {
            for position in [row, col] {
                for frequency in &frequencies {
                    let angle = position as f64 * frequency;
                    cos.push(libm::cos(angle) as f32);
                    sin.push(libm::sin(angle) as f32);
                }
            }
        }
    }
    (cos, sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_does_not_turn_and_axes_are_apart() {
        let (cos, sin) = tables(2, 3, 8, 1e4);
        assert_eq!(cos.len(), 2 * 3 * 4);
        assert_eq!(&cos[..4], [1.0; 4]);
        assert_eq!(&sin[..4], [0.0; 4]);
        // Token (row 0, column 1): the row pairs stay, the column pairs turn by 1 and by 1/100.
        assert_eq!(&cos[4..6], [1.0, 1.0]);
        assert!((f64::from(sin[6]) - 1f64.sin()).abs() < 1e-7);
        assert!((f64::from(sin[7]) - 0.01f64.sin()).abs() < 1e-7);
    }
}
