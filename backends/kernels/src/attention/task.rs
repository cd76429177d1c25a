//! A task of attention: some queries against all keys that they see.
//!
//! Tiled with a running maximum and sum (Dao et al., "FlashAttention", 2022), so that scores never leave the cache.
//! Vector lanes are queries: a task takes some groups of up to four vectors of (token, head) pairs that share a key/value
//! head, and walks over the keys in tiles, with each tile over the groups. Scores, maxima, sums and outputs then need no
//! operation across lanes: scores broadcast k\[key\]\[d\], outputs broadcast v\[key\]\[d\]. Keys are read where they lie; so are
//! values, but where other heads lie between them a tile of them is copied first. The neighbours of a block are a contiguous
//! run of keys; nothing is gathered.

use std::ops::Range;

use crate::simd::{Kernel, Simd, math};
use crate::tile::{LINE, Shared, accumulate, heights, with_height};

/// Keys of a tile.
const KEYS: usize = 64;

/// Most groups of a task. A tile of values is copied once for all of them, and while one is multiplied the next one's queries arrive.
const GROUPS: usize = 4;

/// Most queries of a group: four vectors of the widest instruction set.
const GROUP: usize = 64;

/// Most queries of a task.
pub(super) const QUERIES: usize = GROUPS * GROUP;

/// Floats of scratch that a task takes.
pub(super) fn scratch(head_dim: usize) -> usize {
    (2 * head_dim + 2) * QUERIES + KEYS * GROUP + KEYS * head_dim
}

/// Queries of a vector, and of a group at most.
pub(super) struct Width;

impl Kernel for Width {
    type Output = [usize; 2];
    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> [usize; 2] {
        const { assert!(S::TV * S::W <= GROUP) };
        [S::W, S::TV * S::W]
    }
}

/// Tasks to have at least, so that many threads are busy. Not a multiple of the threads there are: the last bit of a causal query's output may
/// change with the queries that share its task, and no result should depend on the threads.
const TASKS: usize = 64;

/// How many queries tasks take at most, of `run` in a row that see one range of keys, where there are `runs` such: no more groups than leave
/// [`TASKS`], and tasks of equal width, so that the last one is not much narrower and slower than the others.
pub(super) fn width([lanes, group]: [usize; 2], run: usize, runs: usize) -> usize {
    let enough = TASKS.div_ceil(runs).min(run.div_ceil(group));
    let pieces = run.div_ceil(GROUPS * group).max(enough);
    run.div_ceil(pieces).next_multiple_of(lanes)
}

/// Keys and values are those of one head of one batch row.
pub(super) struct Task<'a> {
    pub(super) q: &'a [f32],
    /// From this batch row and head on; one key every `stride`.
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) stride: usize,
    pub(super) head_dim: usize,
    pub(super) scale: f32,
    pub(super) range: Range<usize>,
    pub(super) offsets: &'a [usize],
    pub(super) limits: &'a [usize; QUERIES],
    pub(super) out: Shared,
    pub(super) scratch: &'a mut [f32],
}

/// Queries of a task that are multiplied together.
struct Group<'a> {
    /// At most a full register tile's.
    offsets: &'a [usize],
    /// Of as many queries as vectors hold: those that do not exist see everything.
    limits: &'a [usize],
    /// `[d][query]`, as wide as the vectors.
    queries: *mut f32,
    /// The outputs so far, in the same layout.
    sums: *mut f32,
    /// The maximum of each query's scores, and the sum of its probabilities.
    state: [*mut f32; 2],
}

impl Kernel for Task<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let hd = self.head_dim;
        // Groups of equal width, as far as vectors go.
        let vectors = self.offsets.len().div_ceil(S::W);
        let full = vectors.div_ceil(vectors.div_ceil(S::TV)) * S::W;
        let (queries, rest) = self.scratch.split_at_mut(hd * QUERIES);
        let (sums, rest) = rest.split_at_mut(hd * QUERIES);
        let (max, rest) = rest.split_at_mut(QUERIES);
        let (total, rest) = rest.split_at_mut(QUERIES);
        let (scores, values) = rest.split_at_mut(KEYS * GROUP);
        // Of the queries that there are: a narrow task has no time for the rest.
        sums[..hd * self.offsets.len().next_multiple_of(S::W)].fill(0.0);
        max.fill(f32::MIN);
        total.fill(0.0);
        let (queries, sums, state) = (queries.as_mut_ptr(), sums.as_mut_ptr(), [max.as_mut_ptr(), total.as_mut_ptr()]);
        let (scores, values) = (scores.as_mut_ptr(), values.as_mut_ptr());
        let group = |at: usize| {
            let offsets = &self.offsets[at..self.offsets.len().min(at + full)];
            let width = offsets.len().next_multiple_of(S::W);
            Group {
                offsets,
                limits: &self.limits[at..at + width],
                queries: queries.wrapping_add(hd * at),
                sums: sums.wrapping_add(hd * at),
                state: state.map(|state| state.wrapping_add(at)),
            }
        };
        // SAFETY: scratch has QUERIES columns, which is at least as many as there are queries in whole vectors, because
        // every W divides it; keys of the range are inside k and v.
        unsafe {
            self.ahead::<S>(0, full);
            for first in self.range.clone().step_by(KEYS) {
                let keys = first..self.range.end.min(first + KEYS);
                let v = self.values::<S>(keys.clone(), values);
                for at in (0..self.offsets.len()).step_by(full) {
                    let group = group(at);
                    if keys.start == self.range.start {
                        self.ahead::<S>(at + full, full);
                        self.gather::<S>(&group);
                    }
                    match group.offsets.len().div_ceil(S::W) {
                        1 => self.attend::<S, 1>(&group, keys.clone(), v, scores),
                        3 if S::TV >= 3 => self.attend::<S, 3>(&group, keys.clone(), v, scores),
                        4 if S::TV >= 4 => self.attend::<S, 4>(&group, keys.clone(), v, scores),
                        _ => self.attend::<S, 2>(&group, keys.clone(), v, scores),
                    }
                    if keys.end == self.range.end {
                        self.scatter::<S>(&group);
                    }
                }
            }
        }
    }
}

impl Task<'_> {
    /// Asks for the queries of the group from `at` on and for the places of its outputs, all at once and while another group is
    /// multiplied: each is some pages from the next, and one by one they would be waited for.
    #[inline(always)]
    fn ahead<S: Simd>(&self, at: usize, full: usize) {
        for at in self.offsets.iter().skip(at).take(full) {
            for d in (0..self.head_dim).step_by(LINE / size_of::<f32>()) {
                S::prefetch(self.q.as_ptr().wrapping_add(at + d).cast());
                S::prefetch(self.out.ptr().wrapping_add(at + d).cast());
            }
        }
    }

    /// Adds a tile of keys to the outputs of a group.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the group has NV vectors of queries, `v` the values of the keys at a stride of hd, `scores` room for
    /// KEYS rows of NV vectors.
    #[inline(always)]
    unsafe fn attend<S: Simd, const NV: usize>(
        &self,
        group: &Group<'_>,
        keys: Range<usize>,
        v: *const f32,
        scores: *mut f32,
    ) {
        let (hd, width, count) = (self.head_dim, NV * S::W, keys.len());
        let seen = |fold: fn(usize, usize) -> usize| {
            group.limits[..group.offsets.len()].iter().copied().reduce(fold).unwrap_or(usize::MAX)
        };
        if keys.start >= seen(usize::max) {
            return;
        }
        // SAFETY: the caller's.
        unsafe {
            let [max, total] =
                group.state.map(|state| -> [S::V; NV] { std::array::from_fn(|v| S::load(state.add(v * S::W))) });
            let mut new = max;
            for (key, h) in heights(count, rows::<S>(NV)) {
                let k = self.k.as_ptr().add((keys.start + key) * self.stride);
                let (to, new) = (scores.add(key * width), &mut new);
                with_height!(h, rows::<S>(NV), S, score_tile, NV; hd, k, self.stride, group.queries, to, new);
            }
            if keys.end > seen(usize::min) {
                new = max;
                for key in 0..count {
                    for (c, limit) in group.limits.iter().enumerate() {
                        if keys.start + key >= *limit {
                            *scores.add(key * width + c) = f32::MIN;
                        }
                    }
                    for (v, new) in new.iter_mut().enumerate() {
                        *new = S::max(*new, S::load(scores.add(key * width + v * S::W)));
                    }
                }
            }
            let mut shrink = [S::splat(1.0); NV];
            let mut sum = total;
            for v in 0..NV {
                shrink[v] = math::exp2::<S>(S::sub(max[v], new[v]));
                sum[v] = S::mul(total[v], shrink[v]);
            }
            for key in 0..count {
                for v in 0..NV {
                    let at = scores.add(key * width + v * S::W);
                    let p = math::exp2::<S>(S::sub(S::load(at), new[v]));
                    S::store(at, p);
                    sum[v] = S::add(sum[v], p);
                }
            }
            for v in 0..NV {
                S::store(group.state[0].add(v * S::W), new[v]);
                S::store(group.state[1].add(v * S::W), sum[v]);
            }
            for (d, h) in heights(hd, rows::<S>(NV)) {
                let (v, to) = (v.add(d), group.sums.add(d * width));
                with_height!(h, rows::<S>(NV), S, value_tile, NV; count, v, hd, scores, &shrink, to);
            }
        }
    }

    /// Values of the keys, `[key][d]`. They are read once for every few channels, and where other heads lie between them, a
    /// tile of them is in as many pages as it has keys and in few of the sets of a first-level cache: copied, it stays there.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the keys are inside v, `to` is writable for as many rows of hd.
    #[inline(always)]
    unsafe fn values<S: Simd>(&self, keys: Range<usize>, to: *mut f32) -> *const f32 {
        let hd = self.head_dim;
        let from = self.v.as_ptr().wrapping_add(keys.start * self.stride);
        if self.stride == hd {
            return from;
        }
        // The next tile, while this one is multiplied.
        for key in keys.end..self.range.end.min(keys.end + KEYS) {
            for d in (0..hd).step_by(LINE / size_of::<f32>()) {
                S::prefetch(self.k.as_ptr().wrapping_add(key * self.stride + d).cast());
                S::prefetch(self.v.as_ptr().wrapping_add(key * self.stride + d).cast());
            }
        }
        let whole = hd - hd % S::W;
        for key in 0..keys.len() {
            // SAFETY: the caller's.
            unsafe {
                let (from, to) = (from.add(key * self.stride), to.add(key * hd));
                for d in (0..whole).step_by(S::W) {
                    S::store(to.add(d), S::load(from.add(d)));
                }
                for d in whole..hd {
                    *to.add(d) = *from.add(d);
                }
            }
        }
        to
    }

    /// Queries to `[d][query]`, times the scale and log2(e): the softmax is taken in powers of two. Queries that do not exist
    /// are 0.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the group's queries are writable for hd rows of its vectors.
    #[inline(always)]
    unsafe fn gather<S: Simd>(&self, group: &Group<'_>) {
        let (hd, width, to) = (self.head_dim, group.limits.len(), group.queries);
        let whole = hd - hd % 4;
        // SAFETY: the caller's.
        unsafe {
            let fours = group.offsets.chunks_exact(4);
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
            for c in group.offsets.len() - single.len()..width {
                for d in 0..hd {
                    *to.add(d * width + c) = group.offsets.get(c).map_or(0.0, |at| self.q[at + d]);
                }
            }
            let factor = S::splat(self.scale * std::f32::consts::LOG2_E);
            for at in (0..hd * width).step_by(S::W) {
                S::store(to.add(at), S::mul(S::load(to.add(at)), factor));
            }
        }
    }

    /// Outputs from `[d][query]` to their places, over the sums of the probabilities.
    ///
    /// # Safety
    /// As [`Kernel::run`]; the group's sums are hd rows of its vectors.
    #[inline(always)]
    unsafe fn scatter<S: Simd>(&self, group: &Group<'_>) {
        let (hd, width, from) = (self.head_dim, group.limits.len(), group.sums);
        let whole = hd - hd % 4;
        // SAFETY: the caller's; offsets are inside `out`.
        unsafe {
            for v in (0..width).step_by(S::W) {
                let inverse = S::div(S::splat(1.0), S::load(group.state[1].add(v)));
                for d in 0..hd {
                    let at = from.add(d * width + v);
                    S::store(at, S::mul(S::load(at), inverse));
                }
            }
            let from = from.cast_const();
            let fours = group.offsets.chunks_exact(4);
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
            for (c, at) in group.offsets.iter().enumerate().skip(group.offsets.len() - single.len()) {
                for d in 0..hd {
                    *self.out.ptr().add(at + d) = *from.add(d * width + c);
                }
            }
        }
    }
}

/// Rows of a register tile of `nv` vectors: as many as fill the registers that a full tile does. With 16 registers, 12 rows of one vector
/// are more than the compiler can do without keeping sums in memory.
#[inline(always)]
fn rows<S: Simd>(nv: usize) -> usize {
    (S::TV * S::TR / nv).min(S::MR.max(8))
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
        accumulate::<S, H, NV>(&mut acc, hd, at, |d, v| q.wrapping_add(d * width + v * S::W));
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
        accumulate::<S, H, NV>(&mut acc, count, at, |key, v| p.wrapping_add(key * width + v * S::W));
        for (r, acc) in acc.into_iter().enumerate() {
            for (v, acc) in acc.into_iter().enumerate() {
                S::store(to.add(r * width + v * S::W), acc);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_even_fit_the_scratch_and_are_enough() {
        for sizes in [[16, 64], [8, 16], [4, 12]] {
            for (run, runs) in [(1, 1), (64, 192), (80, 3), (256, 12), (1024, 12), (4096, 12)] {
                let width = width(sizes, run, runs);
                let words = format!("{run} queries, {runs} runs, {sizes:?}: {width}");
                assert!(width.is_multiple_of(sizes[0]) && width <= GROUPS * sizes[1] && width <= QUERIES, "{words}");
                let tasks = run.div_ceil(width);
                assert!(tasks * runs >= TASKS || width <= sizes[1], "{words}");
                assert!(tasks * width < run + tasks * sizes[0], "{words}");
            }
        }
    }
}
