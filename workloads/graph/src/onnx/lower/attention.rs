//! Attention, within rank 5.
//!
//! The query heads that share one key/value head are folded into its rows (`[B, K, (H/K)·Tq, hd]`), so that keys and
//! values are never repeated. Block-local attention needs no mask: blocks that have all their neighbours see windows of
//! one size and go together, the few at either end go one by one. Scores are made chunk by chunk to bound memory and to
//! stay in cache.

use std::ops::Range;

use super::super::OnnxError;
use super::super::dialect::AttentionForm;
use super::super::proto::Attribute;
use super::super::writer::{MICROSOFT, Writer};
use super::{concat, part, reshape, slice, transpose};
use crate::{AttentionPattern, Node};

/// Added to scores that must not count: e^ of it is 0 in f32, and it is far from overflow.
const MASKED: f32 = -1e30;
/// The same for 16-bit floats, which end at 65504.
const MASKED_16: f32 = -3e4;

/// Sizes of one attention.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    width: usize,
}

impl Sizes {
    /// Query heads of one key/value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

pub(super) fn attention(
    w: &mut Writer<'_>,
    node: &Node,
    pattern: AttentionPattern,
    scale: f32,
) -> Result<String, OnnxError> {
    let shapes = (w.graph.shape(node.inputs[0]), w.graph.shape(node.inputs[1]));
    let (&[batch, queries, heads, width], &[_, keys, kv_heads, _]) = shapes else {
        let why = format!("node {}: attention wants four axes", node.name);
        return Err(OnnxError::Graph { graph: w.graph.name.clone(), why });
    };
    let s = Sizes { batch, queries, keys, heads, kv_heads, width };
    let [q, k, v] = [w.value(node.inputs[0])?, w.value(node.inputs[1])?, w.value(node.inputs[2])?];
    let form = w.dialect.attention;
    let local = match pattern {
        AttentionPattern::Blockwise { blocks, radius } if radius + 1 < blocks => Some((blocks, radius)),
        _ => None,
    };
    let causal = pattern == AttentionPattern::Causal && queries > 1;
    match (form, local) {
        (AttentionForm::MultiHead, None) if !causal => Ok(multi_head_full(w, &node.name, s, [&q, &k, &v], scale)),
        (AttentionForm::MultiHead, Some(blocks)) => Ok(multi_head_local(w, &node.name, s, blocks, [&q, &k, &v], scale)),
        (form, local) => {
            let max_scores = if let AttentionForm::Products { max_scores } = form { max_scores } else { 1 << 22 };
            // The factor goes on the smaller of the two operands.
            let (q, k) = if queries * heads <= keys * kv_heads {
                (scaled(w, &node.name, q, scale), k)
            } else {
                (q, scaled(w, &node.name, k, scale))
            };
            match local {
                Some(blocks) => Ok(products_local(w, &node.name, s, blocks, [&q, &k, &v], max_scores)),
                None => products_full(w, &node.name, s, causal, [&q, &k, &v], max_scores),
            }
        }
    }
}

fn scaled(w: &mut Writer<'_>, name: &str, x: String, scale: f32) -> String {
    if scale == 1.0 {
        return x;
    }
    let factor = w.scalar(scale);
    w.op(&part(name, "scale"), "Mul", &[&x, &factor], &[])
}

fn softmax(w: &mut Writer<'_>, name: &str, x: &str) -> String {
    w.op(name, "Softmax", &[x], &[("axis", Attribute::Int(-1))])
}

/// Cuts 0..extent into equal pieces such that `each` scores an element stay within `max`.
fn chunks(extent: usize, each: usize, max: usize) -> Vec<Range<usize>> {
    let most = (max / each.max(1)).clamp(1, extent.max(1));
    let size = extent.div_ceil(extent.div_ceil(most));
    (0..extent).step_by(size.max(1)).map(|start| start..(start + size).min(extent)).collect()
}

fn products_full(
    w: &mut Writer<'_>,
    name: &str,
    s: Sizes,
    causal: bool,
    [q, k, v]: [&str; 3],
    max_scores: usize,
) -> Result<String, OnnxError> {
    let Sizes { batch, queries, keys, heads, kv_heads, width } = s;
    let q = transpose(w, &part(name, "q"), q, &[0, 2, 1, 3]);
    let k = transpose(w, &part(name, "k"), k, &[0, 2, 3, 1]);
    let v = transpose(w, &part(name, "v"), v, &[0, 2, 1, 3]);
    let rows = s.group() * queries;
    let q = if s.group() > 1 { reshape(w, &part(name, "q_rows"), &q, &[batch, kv_heads, rows, width]) } else { q };
    let pieces =
        if causal { std::iter::once(0..rows).collect() } else { chunks(rows, batch * kv_heads * keys, max_scores) };
    let mut outputs = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let at = |what: &str| part(name, &format!("{what}{i}"));
        let q = if pieces.len() > 1 { slice(w, &at("q_chunk"), &q, 2, piece.clone()) } else { q.clone() };
        let mut scores = w.op(&at("scores"), "MatMul", &[&q, &k], &[]);
        if causal {
            let masked = if w.dialect.half { MASKED_16 } else { MASKED };
            let mask = w.table(&format!("const/causal[{queries}]"), &[queries, queries], || {
                (0..queries * queries).map(|i| if i % queries > i / queries { masked } else { 0.0 }).collect()
            })?;
            scores = reshape(w, &at("by_head"), &scores, &[batch, heads, queries, queries]);
            scores = w.op(&at("masked"), "Add", &[&scores, &mask], &[]);
        }
        let mut weights = softmax(w, &at("softmax"), &scores);
        if causal {
            weights = reshape(w, &at("by_kv_head"), &weights, &[batch, kv_heads, rows, keys]);
        }
        outputs.push(w.op(&at("values"), "MatMul", &[&weights, &v], &[]));
    }
    let y = if outputs.len() > 1 { concat(w, &part(name, "chunks"), &outputs, 2) } else { outputs.remove(0) };
    let y = if s.group() > 1 { reshape(w, &part(name, "heads"), &y, &[batch, heads, queries, width]) } else { y };
    Ok(transpose(w, name, &y, &[0, 2, 1, 3]))
}

/// The blocks that are computed together and, for each, the first block and the number of blocks that it sees: those
/// with all neighbours in runs of at most `most`, the others alone.
fn runs(blocks: usize, radius: usize, most: usize) -> Vec<(Range<usize>, usize, usize)> {
    let alone = |b: usize| {
        let first = b.saturating_sub(radius);
        (b..b + 1, first, (b + radius + 1).min(blocks) - first)
    };
    if blocks <= 2 * radius {
        return (0..blocks).map(alone).collect();
    }
    let inner = radius..blocks - radius;
    let window = 2 * radius + 1;
    let together = chunks(inner.len(), 1, most).into_iter().map(|run| {
        let run = run.start + radius..run.end + radius;
        (run.clone(), run.start - radius, window)
    });
    (0..radius).map(alone).chain(together).chain((blocks - radius..blocks).map(alone)).collect()
}

/// The keys of a run's windows: blocks shifted against each other, side by side. `x` has the blocks on axis 1, what is
/// in a block on `axis`.
fn windows(
    w: &mut Writer<'_>,
    name: &str,
    x: &str,
    axis: usize,
    (run, first, seen): &(Range<usize>, usize, usize),
) -> String {
    let shifted: Vec<String> =
        (0..*seen).map(|d| slice(w, &format!("{name}_{d}"), x, 1, first + d..first + d + run.len())).collect();
    if shifted.len() == 1 { shifted[0].clone() } else { concat(w, name, &shifted, axis) }
}

fn products_local(
    w: &mut Writer<'_>,
    name: &str,
    s: Sizes,
    (blocks, radius): (usize, usize),
    [q, k, v]: [&str; 3],
    max_scores: usize,
) -> String {
    let Sizes { batch, queries, heads, kv_heads, width, .. } = s;
    let size = queries / blocks;
    let rows = s.group() * size;
    // Blocks on axis 1, then key/value heads: q [B, n, K, (H/K)·size, hd], k [B, n, K, hd, size], v [B, n, K, size, hd].
    let mut by_block = |leaf: &str, x: &str, count: usize, perm: &[usize], shape: [usize; 2]| {
        let x = reshape(w, &part(name, &format!("{leaf}_blocks")), x, &[batch * blocks, size, count, width]);
        let x = transpose(w, &part(name, leaf), &x, perm);
        reshape(w, &part(name, &format!("{leaf}_heads")), &x, &[batch, blocks, kv_heads, shape[0], shape[1]])
    };
    let q = by_block("q", q, heads, &[0, 2, 1, 3], [rows, width]);
    let k = by_block("k", k, kv_heads, &[0, 2, 3, 1], [width, size]);
    let v = by_block("v", v, kv_heads, &[0, 2, 1, 3], [size, width]);
    let window = (2 * radius + 1).min(blocks) * size;
    let most = max_scores / (batch * kv_heads * rows * window);
    let mut outputs = Vec::new();
    for (i, run) in runs(blocks, radius, most).iter().enumerate() {
        let at = |what: &str| part(name, &format!("{what}{i}"));
        let q = slice(w, &at("q_run"), &q, 1, run.0.clone());
        let k = windows(w, &at("k_window"), &k, 4, run);
        let v = windows(w, &at("v_window"), &v, 3, run);
        let scores = w.op(&at("scores"), "MatMul", &[&q, &k], &[]);
        let weights = softmax(w, &at("softmax"), &scores);
        outputs.push(w.op(&at("values"), "MatMul", &[&weights, &v], &[]));
    }
    let y = concat(w, &part(name, "runs"), &outputs, 1);
    let y = reshape(w, &part(name, "heads"), &y, &[batch * blocks, heads, size, width]);
    let y = transpose(w, &part(name, "tokens"), &y, &[0, 2, 1, 3]);
    reshape(w, name, &y, &[batch, queries, heads, width])
}

/// `[.., T, H, hd]` with the leading axes as one → `[.., (H/K)·T, K·hd]`, so that K heads remain.
fn fold_heads(w: &mut Writer<'_>, name: &str, x: &str, lead: usize, tokens: usize, s: Sizes) -> String {
    let group = s.group();
    let folded = [lead, group * tokens, s.kv_heads * s.width];
    if group == 1 {
        return reshape(w, &part(name, "q_joined"), x, &folded);
    }
    let x = reshape(w, &part(name, "q_groups"), x, &[lead, tokens, s.kv_heads, group, s.width]);
    let x = transpose(w, &part(name, "q_turned"), &x, &[0, 3, 1, 2, 4]);
    reshape(w, &part(name, "q_joined"), &x, &folded)
}

/// The way back, to `[B, Tq, H, hd]`.
fn unfold_heads(w: &mut Writer<'_>, name: &str, x: &str, lead: usize, tokens: usize, s: Sizes) -> String {
    let group = s.group();
    let mut x = x.to_owned();
    if group > 1 {
        x = reshape(w, &part(name, "groups"), &x, &[lead, group, tokens, s.kv_heads, s.width]);
        x = transpose(w, &part(name, "turned"), &x, &[0, 2, 3, 1, 4]);
    }
    reshape(w, name, &x, &[s.batch, s.queries, s.heads, s.width])
}

/// `rows` queries for each of `lead` sequences; gives `[lead, rows, K·hd]`.
fn multi_head(
    w: &mut Writer<'_>,
    name: &str,
    [q, k, v]: [&str; 3],
    (lead, rows): (usize, usize),
    s: Sizes,
    scale: f32,
) -> String {
    let attributes = [("num_heads", Attribute::Int(s.kv_heads as i64)), ("scale", Attribute::Float(scale))];
    w.op_in(name, (MICROSOFT, "MultiHeadAttention"), &[q, k, v], &attributes, &[lead, rows, s.kv_heads * s.width])
}

fn multi_head_full(w: &mut Writer<'_>, name: &str, s: Sizes, [q, k, v]: [&str; 3], scale: f32) -> String {
    let Sizes { batch, queries, keys, kv_heads, width, .. } = s;
    let q = fold_heads(w, name, q, batch, queries, s);
    let k = reshape(w, &part(name, "k_joined"), k, &[batch, keys, kv_heads * width]);
    let v = reshape(w, &part(name, "v_joined"), v, &[batch, keys, kv_heads * width]);
    let y = multi_head(w, &part(name, "attend"), [&q, &k, &v], (batch, s.group() * queries), s, scale);
    unfold_heads(w, name, &y, batch, queries, s)
}

fn multi_head_local(
    w: &mut Writer<'_>,
    name: &str,
    s: Sizes,
    (blocks, radius): (usize, usize),
    [q, k, v]: [&str; 3],
    scale: f32,
) -> String {
    let Sizes { batch, queries, kv_heads, width, .. } = s;
    let size = queries / blocks;
    let (rows, joined) = (s.group() * size, kv_heads * width);
    let q = fold_heads(w, name, q, batch * blocks, size, s);
    let q = reshape(w, &part(name, "q_by_block"), &q, &[batch, blocks, rows, joined]);
    let k = reshape(w, &part(name, "k_by_block"), k, &[batch, blocks, size, joined]);
    let v = reshape(w, &part(name, "v_by_block"), v, &[batch, blocks, size, joined]);
    let mut outputs = Vec::new();
    for (i, run) in runs(blocks, radius, usize::MAX).iter().enumerate() {
        let at = |what: &str| part(name, &format!("{what}{i}"));
        let (lead, keys) = (batch * run.0.len(), run.2 * size);
        let q = slice(w, &at("q_run"), &q, 1, run.0.clone());
        let q = reshape(w, &at("q_batch"), &q, &[lead, rows, joined]);
        let k = windows(w, &at("k_window"), &k, 2, run);
        let k = reshape(w, &at("k_batch"), &k, &[lead, keys, joined]);
        let v = windows(w, &at("v_window"), &v, 2, run);
        let v = reshape(w, &at("v_batch"), &v, &[lead, keys, joined]);
        let y = multi_head(w, &at("attend"), [&q, &k, &v], (lead, rows), s, scale);
        outputs.push(reshape(w, &at("run"), &y, &[batch, run.0.len(), rows, joined]));
    }
    let y = concat(w, &part(name, "runs"), &outputs, 1);
    unfold_heads(w, name, &y, batch * blocks, size, s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_each_block_once_with_the_patterns_keys() {
        for (blocks, radius, most) in [(16, 1, 5), (5, 1, 99), (7, 2, 1), (3, 1, 2), (4, 2, 3), (5, 0, 2)] {
            let pattern = AttentionPattern::Blockwise { blocks, radius };
            let mut next = 0;
            for (run, first, seen) in runs(blocks, radius, most) {
                assert_eq!(run.start, next);
                for (i, block) in run.clone().enumerate() {
                    assert_eq!(pattern.keys_of(block, blocks, blocks), first + i..first + i + seen);
                }
                next = run.end;
            }
            assert_eq!(next, blocks);
        }
    }

    #[test]
    fn chunks_cover_everything_within_the_bound() {
        assert_eq!(chunks(10, 4, 16), [0..4, 4..8, 8..10]);
        assert_eq!(chunks(10, 4, 1), (0..10).map(|i| i..i + 1).collect::<Vec<_>>());
        assert_eq!(chunks(3, 1, 100), std::iter::once(0..3).collect::<Vec<_>>());
    }
}
