//! Enlarging an image between stages: bilinear, as `interpolate` of PyTorch does it with corners that are not aligned.

/// Planes of `from` = \[rows, columns\] as planes of `to`, each pixel between the four whose centres are around its own.
pub(crate) fn bilinear(x: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let [rows, cols] = [0, 1].map(|axis| neighbours(from[axis], to[axis]));
    let mut y = Vec::with_capacity(x.len() / (from[0] * from[1]).max(1) * to[0] * to[1]);
    for plane in x.chunks_exact((from[0] * from[1]).max(1)) {
        for &(r0, r1, down) in &rows {
            let row = |r: usize| &plane[r * from[1]..][..from[1]];
            for &(c0, c1, right) in &cols {
                let along = |row: &[f32]| f64::from(row[c0]) * (1.0 - right) + f64::from(row[c1]) * right;
                y.push((along(row(r0)) * (1.0 - down) + along(row(r1)) * down) as f32);
            }
        }
    }
    y
}

/// For each of `to` places, the two of `from` that it lies between, and how far it is from the first towards the second.
fn neighbours(from: usize, to: usize) -> Vec<(usize, usize, f64)> {
    let place = |i: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let first = at.floor();
        (first as usize, (first as usize + 1).min(from - 1), at - first)
    };
    (0..to).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are by scripts/golden_ddim.py.
    #[test]
    fn pixels_lie_between_the_four_around_them() {
        let squares: Vec<f32> = (0..6).map(|i| (i * i) as f32).collect();
        let wanted = [
            [0.0, 0.25, 0.75, 1.75, 3.25, 4.0],
            [2.25, 2.875, 4.125, 5.875, 8.125, 9.25],
            [6.75, 8.125, 10.875, 14.125, 17.875, 19.75],
            [9.0, 10.75, 14.25, 18.25, 22.75, 25.0],
        ];
        assert_eq!(bilinear(&squares, [2, 3], [4, 6]), wanted.concat());
        let row = [1.0, 1.0, 1.25, 1.75, 2.25, 2.75, 3.0, 3.0];
        // Two planes, the second the first's negative.
        let wanted = [row, row, row.map(|v| -v), row.map(|v| -v)].concat();
        assert_eq!(bilinear(&[1.0, 3.0, -1.0, -3.0], [1, 2], [2, 8]), wanted);
    }
}
