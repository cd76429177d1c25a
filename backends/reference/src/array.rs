//! A dense row-major array of f64: every value inside the reference. Token ids are held as whole numbers, which f64
//! keeps exactly below 2^53.

use ditbench_graph::tensor::{Tensor, TensorData, TensorError};

/// A dense row-major array of f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extent of each axis, outermost first.
    pub shape: Vec<usize>,
    /// The elements, row-major; as many as the product of `shape`.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of this shape, all zero.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    /// f32 values, widened exactly.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Self {
        Self { shape: shape.to_vec(), data: values.iter().map(|&v| f64::from(v)).collect() }
    }

    /// A tensor of the boundary, widened.
    pub fn from_tensor(tensor: &Tensor) -> Self {
        match tensor.data() {
            TensorData::F32(values) => Self::from_f32(tensor.shape(), values),
            TensorData::I64(values) => {
                Self { shape: tensor.shape().to_vec(), data: values.iter().map(|&v| v as f64).collect() }
            }
        }
    }

    /// Rounded to f32, once.
    ///
    /// # Errors
    /// [`TensorError::Length`] if shape and data disagree.
    pub fn to_tensor(&self) -> Result<Tensor, TensorError> {
        Tensor::f32(self.shape.clone(), self.data.iter().map(|&v| v as f32).collect())
    }

    /// Extent of the last axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The extents as four numbers; missing leading axes count as 1.
    pub(crate) fn four(&self) -> [usize; 4] {
        let mut four = [1; 4];
        for (to, &from) in four.iter_mut().rev().zip(self.shape.iter().rev()) {
            *to = from;
        }
        four
    }

    /// Each element through `f`.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|&v| f(v)).collect() }
    }
}
