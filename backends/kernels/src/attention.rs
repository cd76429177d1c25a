//! Attention: softmax(scale·q·kᵀ)·v per query head.

use rayon::prelude::*;

use crate::error::{check, check_len};
use crate::{Isa, KernelError};

/// Which keys a query attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Every key.
    Full,
    /// Keys at the query's position and before it.
    Causal,
    /// Tokens are cut into `blocks` contiguous blocks of equal size; block b attends to blocks b−radius ..= b+radius,
    /// truncated at the ends. Queries and keys are the same tokens.
    Blockwise {
        /// Number of blocks; divides the number of tokens.
        blocks: usize,
        /// How many neighbour blocks on each side.
        radius: usize,
    },
}

/// The sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionShape {
    /// B.
    pub batch: usize,
    /// Tq: query tokens.
    pub queries: usize,
    /// Tk: key and value tokens.
    pub keys: usize,
    /// H: query heads.
    pub heads: usize,
    /// K: key and value heads; divides H. Query head h reads key/value head h / (H/K).
    pub kv_heads: usize,
    /// hd: channels of a head.
    pub head_dim: usize,
}

/// softmax(scale·q·kᵀ)·v. q and out `[B, Tq, H, hd]`, k and v `[B, Tk, K, hd]`.
///
/// # Errors
/// If a length does not fit; if K does not divide H; for [`Pattern::Causal`], if there are more queries than keys; for
/// [`Pattern::Blockwise`], if Tq ≠ Tk or `blocks` does not divide them; or if this machine lacks `isa`.
#[allow(clippy::too_many_arguments)]
pub fn attention(
    isa: Isa,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    shape: AttentionShape,
    pattern: Pattern,
    scale: f32,
    out: &mut [f32],
) -> Result<(), KernelError> {
    const NAME: &str = "attention";
    isa.require()?;
    let AttentionShape { batch, queries, keys, heads, kv_heads, head_dim } = shape;
    check_len(NAME, "q", q.len(), batch * queries * heads * head_dim)?;
    check_len(NAME, "k", k.len(), batch * keys * kv_heads * head_dim)?;
    check_len(NAME, "v", v.len(), batch * keys * kv_heads * head_dim)?;
    check_len(NAME, "out", out.len(), q.len())?;
    check(NAME, kv_heads > 0 && heads % kv_heads == 0, || {
        format!("{kv_heads} key/value heads do not divide {heads} query heads")
    })?;
    check(NAME, keys > 0 || queries == 0, || "there are no keys".into())?;
    match pattern {
        Pattern::Full => {}
        Pattern::Causal => check(NAME, queries <= keys, || {
            format!("causal attention of {queries} queries to {keys} keys: a query needs the key at its own position")
        })?,
        Pattern::Blockwise { blocks, .. } => {
            check(NAME, queries == keys && blocks > 0 && queries % blocks == 0, || {
                format!(
                    "block-local attention needs queries = keys and a multiple of {blocks} blocks, got {queries} and {keys}"
                )
            })?;
        }
    }
    if out.is_empty() {
        return Ok(());
    }
    let group = heads / kv_heads;
    out.par_chunks_mut(head_dim).enumerate().for_each(|(row, o)| {
        let h = row % heads;
        let t = row / heads % queries;
        let b = row / heads / queries;
        let range = match pattern {
            Pattern::Full => 0..keys,
            Pattern::Causal => 0..t + 1,
            Pattern::Blockwise { blocks, radius } => {
                let size = queries / blocks;
                let at = t / size;
                at.saturating_sub(radius) * size..(at + radius + 1).min(blocks) * size
            }
        };
        let qr = &q[row * head_dim..][..head_dim];
        let at = |s: usize| ((b * keys + s) * kv_heads + h / group) * head_dim;
        let mut p: Vec<f32> = range
            .clone()
            .map(|s| qr.iter().zip(&k[at(s)..][..head_dim]).map(|(a, b)| a * b).sum::<f32>() * scale)
            .collect();
        let max = p.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        p.iter_mut().for_each(|s| *s = (*s - max).exp());
        let sum: f32 = p.iter().sum();
        o.fill(0.0);
        for (s, w) in range.zip(&p) {
            for (o, v) in o.iter_mut().zip(&v[at(s)..][..head_dim]) {
                *o += w / sum * v;
            }
        }
    });
    Ok(())
}
