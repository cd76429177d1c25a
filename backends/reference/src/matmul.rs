//! Matrix products in f64 over strided views, and their split over threads by rows, which leaves every sum in the same
//! order whatever the number of threads.

use rayon::prelude::*;

/// A matrix inside a slice: element (i, j) is `data[i·row_stride + j·col_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f64],
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills its slice.
    pub fn row_major(data: &'a [f64], rows: usize, cols: usize) -> Self {
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// Rows `from..from + count`.
    fn rows(self, from: usize, count: usize) -> Self {
        Self { data: &self.data[from * self.row_stride..], rows: count, ..self }
    }

    /// Whether every element lies inside the slice.
    fn is_inside(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride < self.data.len()
    }
}

/// c = a·b, with c row-major and filling its slice.
pub(crate) fn multiply_into(a: Matrix<'_>, b: Matrix<'_>, c: &mut [f64]) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert!(a.is_inside() && b.is_inside() && b.rows == k && c.len() == m * n, "matrix shapes disagree");
    // SAFETY: the assertion above puts every element that the product reads or writes inside `a`, `b` and `c`; `c` is
    // borrowed mutably and so overlaps neither. Strides are below the slices' lengths, so they fit isize.
    unsafe {
        matrixmultiply::dgemm(
            m,
            k,
            n,
            1.0,
            a.data.as_ptr(),
            a.row_stride as isize,
            a.col_stride as isize,
            b.data.as_ptr(),
            b.row_stride as isize,
            b.col_stride as isize,
            0.0,
            c.as_mut_ptr(),
            n as isize,
            1,
        );
    }
}

/// a·b, row-major, on the calling thread.
pub(crate) fn multiply(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f64> {
    let mut c = vec![0.0; a.rows * b.cols];
    multiply_into(a, b, &mut c);
    c
}

/// a·b, row-major, rows shared out over the current thread pool.
pub(crate) fn multiply_parallel(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f64> {
    // Each call packs all of b once more, so pieces of rows are kept large.
    const LEAST_ROWS: usize = 64;
    let mut c = vec![0.0; a.rows * b.cols];
    let rows = a.rows.div_ceil(rayon::current_num_threads()).max(LEAST_ROWS);
    if c.is_empty() || a.rows <= rows {
        multiply_into(a, b, &mut c);
    } else {
        c.par_chunks_mut(rows * b.cols).enumerate().for_each(|(piece, c)| {
            multiply_into(a.rows(piece * rows, c.len() / b.cols), b, c);
        });
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(len: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 37 % 101) as f64 - 50.0) / 16.0).collect()
    }

    #[test]
    fn products_are_those_of_the_definition_for_any_split() {
        let (m, k, n) = (193, 35, 17);
        let (a, b) = (sequence(m * k), sequence(n * k));
        let (a, b) = (Matrix::row_major(&a, m, k), Matrix::row_major(&b, n, k).transposed());
        let whole = multiply(a, b);
        for (i, found) in whole.iter().enumerate() {
            let wanted: f64 = (0..k).map(|x| a.data[i / n * k + x] * b.data[i % n * k + x]).sum();
            assert!((found - wanted).abs() < 1e-10, "element {i}: {found}, wanted {wanted}");
        }
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| multiply_parallel(a, b)), whole);
        }
    }

    #[test]
    #[should_panic(expected = "matrix shapes disagree")]
    fn a_matrix_that_sticks_out_is_refused() {
        let data = [0.0; 5];
        multiply(Matrix::row_major(&data, 2, 3), Matrix::row_major(&data, 3, 1));
    }
}
