//! Attention: softmax(scale·q·kᵀ)·v per query head.
//!
//! Tiled with a running maximum and sum (Dao et al., "FlashAttention", 2022), so that scores never leave the cache.
//! Vector lanes are queries: a task takes up to three vectors of (token, head) pairs that share a key/value head and
//! walks over the keys in tiles. Scores, maxima, sums and outputs then need no operation across lanes, and keys and
//! values are read where they lie: scores broadcast k\[key\]\[d\], outputs broadcast v\[key\]\[d\]. The neighbours of a
//! block are a contiguous run of keys; nothing is gathered.

use crate::error::{check, check_len};
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::tile::{Shared, accumulate, heights, spread, with_height, with_scratch};
use crate::{Isa, KernelError};

/// Keys of a tile.
const KEYS: usize = 64;

/// Most queries of a task: three vectors of the widest instruction set.
const QUERIES: usize = 48;

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
/// A NaN in k reaches only the queries that see its key. In v, a NaN or an infinity also reaches queries that do not: a causal query gives keys
/// after it a probability of 0, and 0 times either is NaN.
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
    let (lanes, most) = unsafe { dispatch(isa, Width) };
    // Pieces of a run are of equal width, so that the last one is not much narrower and slower than the others.
    let pieces = (run * group).div_ceil(most);
    let width = (run * group).div_ceil(pieces).next_multiple_of(lanes);
    let pieces = (run * group).div_ceil(width);
    let runs = queries / run;
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
        with_scratch((2 * head_dim + KEYS) * QUERIES, |scratch| {
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

/// Queries of a vector, and of a task at most.
struct Width;

impl Kernel for Width {
    type Output = (usize, usize);
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> (usize, usize) {
        (S::W, S::TV * S::W)
    }
}

struct Task<'a> {
    q: &'a [f32],
    /// From this batch row and head on; one key every `stride`.
    k: &'a [f32],
    v: &'a [f32],
    stride: usize,
    head_dim: usize,
    scale: f32,
    range: std::ops::Range<usize>,
    offsets: &'a [usize],
    limits: &'a [usize; QUERIES],
    out: Shared,
    scratch: &'a mut [f32],
}

impl Kernel for Task<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe {
            match self.offsets.len().div_ceil(S::W) {
                1 => self.go::<S, 1>(),
                3 if S::TV == 3 => self.go::<S, 3>(),
                _ => self.go::<S, 2>(),
            }
        }
    }
}

impl Task<'_> {
    /// SAFETY: as [`Kernel::run`]; there are at most NV·W queries.
    #[inline(always)]
    unsafe fn go<S: Simd, const NV: usize>(self) {
        let (hd, width) = (self.head_dim, NV * S::W);
        let (queries, rest) = self.scratch.split_at_mut(hd * width);
        let (sums, scores) = rest.split_at_mut(hd * width);
        let (queries, sums, scores) = (queries.as_mut_ptr(), sums.as_mut_ptr(), scores.as_mut_ptr());
        // SAFETY: rows of scratch are `width` wide; keys of the range are inside k and v.
        unsafe {
            self.gather::<S>(width, queries);
            for at in (0..hd * width).step_by(S::W) {
                S::store(sums.add(at), S::splat(0.0));
            }
            let mut max = [S::splat(f32::MIN); NV];
            let mut total = [S::splat(0.0); NV];
            let fewest = self.limits.iter().copied().min().unwrap_or(usize::MAX);
            for first in self.range.clone().step_by(KEYS) {
                let count = KEYS.min(self.range.end - first);
                let mut new = max;
                for (key, h) in heights(count, S::TR) {
                    let k = self.k.as_ptr().add((first + key) * self.stride);
                    let (to, new) = (scores.add(key * width), &mut new);
                    with_height!(h, S::TR, S, score_tile, NV; hd, k, self.stride, queries, to, new);
                }
                if first + count > fewest {
                    new = max;
                    for key in 0..count {
                        for (c, limit) in self.limits[..width].iter().enumerate() {
                            if first + key >= *limit {
                                *scores.add(key * width + c) = f32::MIN;
                            }
                        }
                        for (v, new) in new.iter_mut().enumerate() {
                            *new = S::max(*new, S::load(scores.add(key * width + v * S::W)));
                        }
                    }
                }
                let mut shrink = [S::splat(1.0); NV];
                for v in 0..NV {
                    shrink[v] = math::exp2::<S>(S::sub(max[v], new[v]));
                    total[v] = S::mul(total[v], shrink[v]);
                }
                max = new;
                for key in 0..count {
                    for v in 0..NV {
                        let at = scores.add(key * width + v * S::W);
                        let p = math::exp2::<S>(S::sub(S::load(at), max[v]));
                        S::store(at, p);
                        total[v] = S::add(total[v], p);
                    }
                }
                let v = self.v.as_ptr().add(first * self.stride);
                for (d, h) in heights(hd, S::TR) {
                    let (v, to) = (v.add(d), sums.add(d * width));
                    with_height!(h, S::TR, S, value_tile, NV; count, v, self.stride, scores, &shrink, to);
                }
            }
            for (v, total) in total.into_iter().enumerate() {
                let inverse = S::div(S::splat(1.0), total);
                for d in 0..hd {
                    let at = sums.add(d * width + v * S::W);
                    S::store(at, S::mul(S::load(at), inverse));
                }
            }
            self.scatter::<S>(width, sums);
        }
    }

    /// Queries to `[d][query]`, times the scale and log2(e): the softmax is taken in powers of two. Queries that do not exist
    /// are 0.
    ///
    /// # Safety
    /// As [`Kernel::run`]; `to` is writable for hd rows of `width`, a multiple of W and at least the number of queries.
    #[inline(always)]
    unsafe fn gather<S: Simd>(&self, width: usize, to: *mut f32) {
        let hd = self.head_dim;
        let whole = hd - hd % 4;
        // SAFETY: the caller's.
        unsafe {
            let fours = self.offsets.chunks_exact(4);
            let single = fours.remainder();
            for (c, at) in fours.enumerate() {
                let to = to.add(4 * c);
                let q: [*const f32; 4] = std::array::from_fn(|i| self.q.as_ptr().add(at[i]));
                for d in (0..whole).step_by(4) {
                    S::transpose4(q.map(|q| q.add(d)), [0, 1, 2, 3].map(|i| to.add((d + i) * width)));
                }
                for d in whole..hd {
                    q.iter().enumerate().for_each(|(i, q)| *to.add(d * width + i) = *q.add(d));
                }
            }
            for c in self.offsets.len() - single.len()..width {
                for d in 0..hd {
                    *to.add(d * width + c) = self.offsets.get(c).map_or(0.0, |at| self.q[at + d]);
                }
            }
            let factor = S::splat(self.scale * std::f32::consts::LOG2_E);
            for at in (0..hd * width).step_by(S::W) {
                S::store(to.add(at), S::mul(S::load(to.add(at)), factor));
            }
        }
    }

    /// Outputs from `[d][query]` to their places.
    ///
    /// # Safety
    /// As [`Kernel::run`]; `from` has hd rows of `width`, at least the number of queries.
    #[inline(always)]
    unsafe fn scatter<S: Simd>(&self, width: usize, from: *const f32) {
        let hd = self.head_dim;
        let whole = hd - hd % 4;
        // SAFETY: the caller's; offsets are inside `out`.
        unsafe {
            let fours = self.offsets.chunks_exact(4);
            let single = fours.remainder();
            for (c, at) in fours.enumerate() {
                let from = from.add(4 * c);
                let out: [*mut f32; 4] = std::array::from_fn(|i| self.out.ptr().add(at[i]));
                for d in (0..whole).step_by(4) {
                    S::transpose4([0, 1, 2, 3].map(|i| from.add((d + i) * width)), out.map(|out| out.add(d)));
                }
                for d in whole..hd {
                    out.iter().enumerate().for_each(|(i, out)| *out.add(d) = *from.add(d * width + i));
                }
            }
            for (c, at) in self.offsets.iter().enumerate().skip(self.offsets.len() - single.len()) {
                for d in 0..hd {
                    *self.out.ptr().add(at + d) = *from.add(d * width + c);
                }
            }
        }
    }
}

/// Scores of H keys: to\[key\]\[query\] = Σ over d of k\[key\]\[d\]·q\[d\]\[query\].
///
/// # Safety
/// k holds H rows of hd at a stride, q hd rows and `to` H rows of NV·W in rows of as much.
#[inline(always)]
unsafe fn score_tile<S: Simd, const H: usize, const NV: usize>(
    hd: usize,
    k: *const f32,
    stride: usize,
    q: *const f32,
    to: *mut f32,
    max: &mut [S::V; NV],
) {
    let width = NV * S::W;
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[S::splat(0.0); NV]; H];
        let at = |d: usize, r: usize| k.wrapping_add(r * stride + d);
        accumulate::<S, H, NV>(&mut acc, hd, at, |d| q.wrapping_add(d * width));
        for (r, acc) in acc.into_iter().enumerate() {
            for (v, acc) in acc.into_iter().enumerate() {
                S::store(to.add(r * width + v * S::W), acc);
                max[v] = S::max(max[v], acc);
            }
        }
    }
}

/// Adds `count` keys to H channels of the outputs: to\[d\]\[query\] = to·shrink + Σ over keys of v\[key\]\[d\]·p\[key\]\[query\].
///
/// # Safety
/// v holds `count` rows of H at a stride, p `count` rows and `to` H rows of NV·W at a stride of width; `shrink` holds
/// NV vectors.
#[inline(always)]
unsafe fn value_tile<S: Simd, const H: usize, const NV: usize>(
    count: usize,
    v: *const f32,
    stride: usize,
    p: *const f32,
    shrink: &[S::V; NV],
    to: *mut f32,
) {
    let width = NV * S::W;
    // SAFETY: the caller's.
    unsafe {
        let mut acc = [[S::splat(0.0); NV]; H];
        for (r, acc) in acc.iter_mut().enumerate() {
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = S::mul(S::load(to.add(r * width + v * S::W)), shrink[v]);
            }
        }
        let at = |key: usize, r: usize| v.wrapping_add(key * stride + r);
        accumulate::<S, H, NV>(&mut acc, count, at, |key| p.wrapping_add(key * width));
        for (r, acc) in acc.into_iter().enumerate() {
            for (v, acc) in acc.into_iter().enumerate() {
                S::store(to.add(r * width + v * S::W), acc);
            }
        }
    }
}
