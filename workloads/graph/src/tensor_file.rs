//! Tensors in a safetensors file, by name: how inputs, latents and what engines are handed lie on disk.
//!
//! Contract: f32 and i64, little-endian, nothing else; a file that is cut off or holds another type is an error in words.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::tensor::{DType, Tensor, TensorData};

/// A tensor's elements, little-endian.
pub fn bytes(tensor: &Tensor) -> Vec<u8> {
    match tensor.data() {
        TensorData::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        TensorData::I64(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// Writes tensors to a file.
///
/// # Errors
/// The file cannot be written.
pub fn save(path: &Path, tensors: &[(String, &Tensor)], metadata: HashMap<String, String>) -> Result<(), String> {
    let stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = if tensor.dtype() == DType::F32 { Dtype::F32 } else { Dtype::I64 };
            (name.clone(), dtype, tensor.shape().to_vec(), bytes(tensor))
        })
        .collect();
    let views = stored
        .iter()
        .map(|(name, dtype, shape, data)| Ok((name.clone(), TensorView::new(*dtype, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(|error| error.to_string())?;
    crate::weights::save::save(path, views, metadata, |error| error.to_string(), |_| Ok(()))
}

/// Reads the tensors of a file.
///
/// # Errors
/// What is wrong with it.
pub fn load(data: &[u8]) -> Result<HashMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(data).map_err(|error| error.to_string())?;
    file.iter()
        .map(|(name, view)| {
            let shape = view.shape().to_vec();
            let tensor = match view.dtype() {
                Dtype::F32 => Tensor::f32(shape, elements(view.data(), f32::from_le_bytes)),
                Dtype::I64 => Tensor::i64(shape, elements(view.data(), i64::from_le_bytes)),
                other => return Err(format!("tensor \"{name}\" is of type {other:?}")),
            };
            Ok((name.to_owned(), tensor.map_err(|error| error.to_string())?))
        })
        .collect()
}

fn elements<T, const N: usize>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|chunk| from(std::array::from_fn(|i| chunk[i]))).collect()
}
