//! A dense row-major tensor in host memory: what goes into a session and what comes out.

use serde::{Deserialize, Serialize};

/// Element types that cross the boundary of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit signed integer: token ids.
    I64,
}

/// The elements of a [`Tensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit signed integers: token ids.
    I64(Vec<i64>),
}

/// The number of elements does not fit the shape, or the element type is another one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// Data and shape disagree.
    #[error("a tensor of shape {shape:?} has {wanted} elements, but {found} were given")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// Product of the shape.
        wanted: usize,
        /// Number of elements given.
        found: usize,
    },
    /// Something that was to make one tensor made another, or none.
    #[error("{maker} was to give one tensor of {wanted:?}, but gave {found:?}")]
    Output {
        /// What made it: a stage of the pipeline.
        maker: &'static str,
        /// The shape wanted.
        wanted: Vec<usize>,
        /// The shapes of what it gave.
        found: Vec<Vec<usize>>,
    },
    /// The element type is not the one asked for.
    #[error("expected a tensor of {wanted:?}, found {found:?}")]
    DType {
        /// The element type asked for.
        wanted: DType,
        /// The element type there is.
        found: DType,
    },
}

/// A dense row-major tensor in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    /// A tensor of floats.
    ///
    /// # Errors
    /// [`TensorError::Length`] if `data` has not as many elements as `shape` says.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, TensorError> {
        Self::checked(shape.into(), data.len(), TensorData::F32(data))
    }

    /// A tensor of integers.
    ///
    /// # Errors
    /// [`TensorError::Length`] if `data` has not as many elements as `shape` says.
    pub fn i64(shape: impl Into<Vec<usize>>, data: Vec<i64>) -> Result<Self, TensorError> {
        Self::checked(shape.into(), data.len(), TensorData::I64(data))
    }

    /// A tensor of floats, all zero.
    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let len = shape.iter().product();
        Self { shape, data: TensorData::F32(vec![0.0; len]) }
    }

    fn checked(shape: Vec<usize>, found: usize, data: TensorData) -> Result<Self, TensorError> {
        let wanted = shape.iter().product();
        if wanted != found {
            return Err(TensorError::Length { shape, wanted, found });
        }
        Ok(Self { shape, data })
    }

    /// The extent of each axis, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            TensorData::F32(_) => DType::F32,
            TensorData::I64(_) => DType::I64,
        }
    }

    /// The elements as floats.
    ///
    /// # Errors
    /// [`TensorError::DType`] if this is a tensor of integers.
    pub fn as_f32(&self) -> Result<&[f32], TensorError> {
        match &self.data {
            TensorData::F32(v) => Ok(v),
            TensorData::I64(_) => Err(TensorError::DType { wanted: DType::F32, found: DType::I64 }),
        }
    }

    /// The elements as integers.
    ///
    /// # Errors
    /// [`TensorError::DType`] if this is a tensor of floats.
    pub fn as_i64(&self) -> Result<&[i64], TensorError> {
        match &self.data {
            TensorData::I64(v) => Ok(v),
            TensorData::F32(_) => Err(TensorError::DType { wanted: DType::I64, found: DType::F32 }),
        }
    }

    /// The elements as floats, given up by the tensor.
    ///
    /// # Errors
    /// [`TensorError::DType`] if this is a tensor of integers.
    pub fn into_f32(self) -> Result<Vec<f32>, TensorError> {
        match self.data {
            TensorData::F32(v) => Ok(v),
            TensorData::I64(_) => Err(TensorError::DType { wanted: DType::F32, found: DType::I64 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_length_is_refused_with_both_counts() {
        let error = Tensor::f32([2, 3], vec![0.0; 5]).unwrap_err();
        assert_eq!(error.to_string(), "a tensor of shape [2, 3] has 6 elements, but 5 were given");
    }

    #[test]
    fn the_element_type_is_checked() {
        assert!(Tensor::i64([1], vec![1]).unwrap().as_f32().is_err());
        assert_eq!(Tensor::zeros([2]).as_f32().unwrap(), [0.0, 0.0]);
    }
}
