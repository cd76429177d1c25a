//! Softmax attention with grouped key/value heads.

use std::ops::Range;

use ditbench_graph::AttentionPattern;
use rayon::prelude::*;

use crate::Array;
use crate::matmul::{Matrix, multiply, multiply_into};

/// Queries that are computed together, at most: bounds the memory of their scores.
const MOST_QUERIES: usize = 128;

/// (q `[B, Tq, H, hd]`, k `[B, Tk, K, hd]`, v `[B, Tk, K, hd]`) → `[B, Tq, H, hd]`: softmax(scale·q·kᵀ)·v per query head
/// over the keys that the pattern gives each query; query head i reads key/value head i / (H/K).
pub(super) fn attention(q: &Array, k: &Array, v: &Array, pattern: AttentionPattern, scale: f64) -> Array {
    let ([batch, queries, heads, width], [_, keys, kv_heads, _]) = (q.four(), k.four());
    let runs = runs_of_same_keys(pattern, queries, keys);
    let mut tasks = Vec::new();
    for (b, head) in (0..batch).flat_map(|b| (0..heads).map(move |head| (b, head))) {
        tasks.extend(runs.iter().map(|run| (b, head, run)));
    }
    let results: Vec<Vec<f64>> = tasks
        .par_iter()
        .map(|&(b, head, (run, seen))| {
            let kv_head = head / (heads / kv_heads);
            let q = head_rows(q, b, head, run.clone());
            let k = head_rows(k, b, kv_head, seen.clone());
            let v = head_rows(v, b, kv_head, seen.clone());
            let mut scores = multiply(q, k.transposed());
            for row in scores.chunks_exact_mut(seen.len()) {
                row.iter_mut().for_each(|score| *score *= scale);
                softmax(row);
            }
            let mut out = vec![0.0; run.len() * width];
            multiply_into(Matrix::row_major(&scores, run.len(), seen.len()), v, &mut out);
            out
        })
        .collect();
    let mut y = Array::zeros(&q.shape);
    for ((b, head, (run, _)), rows) in tasks.into_iter().zip(results) {
        for (query, row) in run.clone().zip(rows.chunks_exact(width)) {
            y.data[((b * queries + query) * heads + head) * width..][..width].copy_from_slice(row);
        }
    }
    y
}

/// Rows `tokens` of one head of `[B, T, H, hd]`, as a matrix `[tokens, hd]`.
fn head_rows(x: &Array, b: usize, head: usize, tokens: Range<usize>) -> Matrix<'_> {
    let [_, all, heads, width] = x.four();
    let data = &x.data[((b * all + tokens.start) * heads + head) * width..];
    Matrix { data, rows: tokens.len(), cols: width, row_stride: heads * width, col_stride: 1 }
}

/// Queries cut into runs that attend to the same keys, with those keys.
fn runs_of_same_keys(pattern: AttentionPattern, queries: usize, keys: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let mut runs: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for query in 0..queries {
        let seen = pattern.keys_of(query, queries, keys);
        match runs.last_mut() {
            Some((run, same)) if *same == seen && run.len() < MOST_QUERIES => run.end = query + 1,
            _ => runs.push((query..query + 1, seen)),
        }
    }
    runs
}

/// e^x / Σ e^x, with the largest x taken off first so that nothing overflows.
fn softmax(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|x| *x = libm::exp(*x - largest));
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
}
