//! Rows of a table by token id.

use crate::Array;

/// Token ids `[B, T]` → `[B, T, D]`: the rows of W `[V, D]`. An id outside 0..V is an error.
pub(super) fn embedding(ids: &Array, table: &Array) -> Result<Array, String> {
    let width = table.last();
    let vocabulary = table.data.len() / width;
    let mut data = Vec::with_capacity(ids.data.len() * width);
    for (position, &id) in ids.data.iter().enumerate() {
        if !(0.0..vocabulary as f64).contains(&id) {
            return Err(format!("token {position} has id {id}, outside 0..{vocabulary}"));
        }
        data.extend_from_slice(&table.data[id as usize * width..][..width]);
    }
    Ok(Array { shape: [&ids.shape[..], &[width]].concat(), data })
}
