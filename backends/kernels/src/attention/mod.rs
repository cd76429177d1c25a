//! Attention: softmax(scale·q·kᵀ)·v per query head. Here it is cut into tasks; `task` computes one.

mod task;

use self::task::{QUERIES, Task, Width, scratch, width};
use crate::error::{check, check_len};
use crate::simd::dispatch;
use crate::tile::{Shared, spread, with_scratch};
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
/// A NaN in k reaches only the queries that see its key. In v, a NaN or an infinity may also reach queries that do not: a causal query
/// gives keys shortly after it a probability of 2⁻¹²⁶, which is nothing to an ordinary number but not to those.
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
    // Queries come in runs that see one range of keys: a block, or all tokens. A task is a piece of a run.
    let run = match pattern {
        Pattern::Blockwise { blocks, .. } => queries / blocks,
        _ => queries,
    };
    // SAFETY: `isa` was checked.
    let sizes = unsafe { dispatch(isa, Width) };
    let runs = queries / run;
    let width = width(sizes, run * group, batch * kv_heads * runs);
    let pieces = (run * group).div_ceil(width);
    let target = Shared::new(out);
    let work = 2 * batch * queries * keys / if run == queries { 1 } else { runs } * heads * head_dim;
    spread(batch * kv_heads * runs * pieces, work, |task| {
        let (at, piece) = (task / pieces, task % pieces);
        let (at, run_index) = (at / runs, at % runs);
        let (b, kv_head) = (at / kv_heads, at % kv_heads);
        let first = piece * width;
        let columns = width.min(run * group - first);
        let token = |c: usize| run_index * run + (first + c) / group;
        let range = match pattern {
            Pattern::Full => 0..keys,
            Pattern::Causal => 0..token(columns - 1) + 1,
            Pattern::Blockwise { blocks, radius } => {
                run_index.saturating_sub(radius) * run
                    ..run_index.saturating_add(radius).saturating_add(1).min(blocks) * run
            }
        };
        // Offsets of the queries, the same in q and out.
        let mut offsets = [0; QUERIES];
        // Keys that each query sees.
        let mut limits = [usize::MAX; QUERIES];
        for c in 0..columns {
            let head = kv_head * group + (first + c) % group;
            offsets[c] = ((b * queries + token(c)) * heads + head) * head_dim;
            if pattern == Pattern::Causal {
                limits[c] = token(c) + 1;
            }
        }
        let kv = b * keys * kv_heads * head_dim + kv_head * head_dim;
        with_scratch(scratch(head_dim), |scratch| {
            let task = Task {
                q,
                k: &k[kv..],
                v: &v[kv..],
                stride: kv_heads * head_dim,
                head_dim,
                scale,
                range,
                offsets: &offsets[..columns],
                limits: &limits,
                out: target,
                scratch,
            };
            // SAFETY: `isa` was checked; tasks write the outputs of disjoint (token, head) pairs.
            unsafe { dispatch(isa, task) };
        });
    });
    Ok(())
}
