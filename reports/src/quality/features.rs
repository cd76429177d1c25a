//! Features of pictures, as a network that judges them gives them: a row of numbers for each picture.

/// Rows of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    width: usize,
    data: Vec<f32>,
}

impl Features {
    /// Rows of `width` numbers; `None` if `data` is not whole rows, or a number is not finite.
    pub fn new(width: usize, data: Vec<f32>) -> Option<Self> {
        let whole = width > 0 && data.len().is_multiple_of(width);
        (whole && data.iter().all(|value| value.is_finite())).then_some(Self { width, data })
    }

    /// Pictures.
    pub fn len(&self) -> usize {
        self.data.len() / self.width.max(1)
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Numbers of a picture.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.data
    }

    /// The first `count` pictures, or all of them.
    pub fn first(&self, count: usize) -> Self {
        let end = (count * self.width).min(self.data.len());
        Self { width: self.width, data: self.data[..end].to_vec() }
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.width.max(1))
    }

    /// The mean row, in f64.
    pub(super) fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= self.len().max(1) as f64);
        mean
    }
}

/// a·b in f64.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
