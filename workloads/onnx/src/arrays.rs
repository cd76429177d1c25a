//! Named arrays of a user's own, in whichever of three formats the file is: `.npz`, `.npy`, `.safetensors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::npz::{self, NpzError};
use crate::{Data, Value};

/// A file of arrays that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArraysError {
    /// numpy's formats.
    #[error(transparent)]
    Npz(#[from] NpzError),
    /// safetensors.
    #[error("{}: {why}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads all arrays of a file by name.
///
/// # Errors
/// [`ArraysError`] says which array of which file, and why.
pub fn read(path: &Path) -> Result<BTreeMap<String, Value>, ArraysError> {
    if path.extension().is_none_or(|extension| extension != "safetensors") {
        return Ok(npz::read(path)?);
    }
    let fail = |why: String| ArraysError::Safetensors { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|error| fail(format!("is not a whole safetensors file: {error}")))?;
    let value = |(name, view): (String, TensorView<'_>)| {
        let data =
            data(&view).ok_or_else(|| fail(format!("array \"{name}\" is {:?}, which no model reads", view.dtype())))?;
        let value = Value::new(view.shape(), data).map_err(|error| fail(format!("array \"{name}\": {error}")))?;
        Ok((name, value))
    };
    file.tensors().into_iter().map(value).collect()
}

fn data(view: &TensorView<'_>) -> Option<Data> {
    macro_rules! elements {
        ($($dtype:ident $rust:ty;)*) => {
            match view.dtype() {
                $(Dtype::$dtype => {
                    let (chunks, _) = view.data().as_chunks::<{ size_of::<$rust>() }>();
                    Data::from(chunks.iter().map(|chunk| <$rust>::from_le_bytes(*chunk)).collect::<Vec<$rust>>())
                })*
                Dtype::BOOL => Data::from(view.data().iter().map(|&byte| byte != 0).collect::<Vec<bool>>()),
                _ => return None,
            }
        };
    }
    Some(elements! {
        F32 f32;
        F64 f64;
        F16 f16;
        BF16 bf16;
        I64 i64;
        I32 i32;
        I16 i16;
        I8 i8;
        U64 u64;
        U32 u32;
        U16 u16;
        U8 u8;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_ending_says_how_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("io.safetensors");
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let ids: Vec<u8> = 7i32.to_le_bytes().to_vec();
        let views = [
            ("x", TensorView::new(Dtype::F32, vec![1, 2], &floats).unwrap()),
            ("ids", TensorView::new(Dtype::I32, vec![], &ids).unwrap()),
            ("mask", TensorView::new(Dtype::BOOL, vec![1], &[1]).unwrap()),
        ];
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let values = read(&path).unwrap();
        assert_eq!(values["x"], Value::new([1, 2], vec![1.5f32, -2.0]).unwrap());
        assert_eq!(values["ids"], Value::new([], vec![7i32]).unwrap());
        assert_eq!(values["mask"], Value::new([1], vec![true]).unwrap());
        std::fs::write(&path, "text").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("io.safetensors: is not a whole safetensors file"));
        let other = folder.path().join("io.pt");
        std::fs::write(&other, "text").unwrap();
        assert!(read(&other).unwrap_err().to_string().contains("not an .npz"));
    }
}
