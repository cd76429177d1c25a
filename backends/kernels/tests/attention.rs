//! Attention against plain f64 loops, on every instruction set of this machine.

mod common;

use common::{assert_near, values};
use ditbench_kernels::Isa;
use ditbench_kernels::attention::{AttentionShape, Pattern, attention};
use proptest::prelude::*;

fn truth(q: &[f32], k: &[f32], v: &[f32], s: AttentionShape, pattern: Pattern, scale: f32) -> Vec<f64> {
    let mut out = vec![0.0; q.len()];
    for b in 0..s.batch {
        for t in 0..s.queries {
            for h in 0..s.heads {
                let row = ((b * s.queries + t) * s.heads + h) * s.head_dim;
                let at = |key: usize| ((b * s.keys + key) * s.kv_heads + h / (s.heads / s.kv_heads)) * s.head_dim;
                let sees = |key: usize| match pattern {
                    Pattern::Full => true,
                    Pattern::Causal => key <= t,
                    Pattern::Blockwise { blocks, radius } => {
                        let size = s.queries / blocks;
                        (key / size).abs_diff(t / size) <= radius
                    }
                };
                let seen: Vec<usize> = (0..s.keys).filter(|key| sees(*key)).collect();
                let dot = |key: usize| -> f64 {
                    (0..s.head_dim).map(|d| f64::from(q[row + d]) * f64::from(k[at(key) + d])).sum()
                };
                let scores: Vec<f64> = seen.iter().map(|key| dot(*key) * f64::from(scale)).collect();
                let max = scores.iter().fold(f64::MIN, |a, b| a.max(*b));
                let p: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
                let sum: f64 = p.iter().sum();
                for (key, p) in seen.iter().zip(&p) {
                    for d in 0..s.head_dim {
                        out[row + d] += p / sum * f64::from(v[at(*key) + d]);
                    }
                }
            }
        }
    }
    out
}

fn check(shape: AttentionShape, pattern: Pattern, scale: f32) {
    let q = values(shape.batch * shape.queries * shape.heads * shape.head_dim, 1);
    let k = values(shape.batch * shape.keys * shape.kv_heads * shape.head_dim, 2);
    let v = values(k.len(), 3);
    let truth = truth(&q, &k, &v, shape, pattern, scale);
    for isa in Isa::available() {
        let mut out = vec![f32::NAN; q.len()];
        attention(isa, &q, &k, &v, shape, pattern, scale, &mut out).unwrap();
        assert_near(&out, &truth, 1e-6, &format!("{isa} {shape:?} {pattern:?}"));
    }
}

fn shape(batch: usize, queries: usize, keys: usize, heads: usize, kv_heads: usize, head_dim: usize) -> AttentionShape {
    AttentionShape { batch, queries, keys, heads, kv_heads, head_dim }
}

#[test]
fn every_pattern_and_tail() {
    for hd in [1, 7, 32, 64] {
        check(shape(2, 50, 70, 2, 1, hd), Pattern::Full, 0.3);
        check(shape(1, 1, 130, 3, 3, hd), Pattern::Full, 0.3);
        check(shape(1, 77, 77, 2, 2, hd), Pattern::Causal, 0.3);
        check(shape(2, 60, 60, 4, 2, hd), Pattern::Blockwise { blocks: 5, radius: 1 }, 0.3);
    }
}

#[test]
fn long_causal_tiles_and_wide_groups() {
    check(shape(1, 150, 200, 6, 1, 16), Pattern::Causal, 0.2);
    check(shape(1, 64, 64, 12, 1, 8), Pattern::Blockwise { blocks: 16, radius: 2 }, 0.2);
}

#[test]
fn tasks_of_several_groups_whose_first_queries_see_no_key_of_the_last_tile() {
    for kv_heads in [1, 2] {
        check(shape(1, 200, 200, 2, kv_heads, 12), Pattern::Causal, 0.3);
        check(shape(1, 130, 260, 2, kv_heads, 12), Pattern::Causal, 0.3);
        check(shape(1, 130, 130, 2, kv_heads, 65), Pattern::Full, 0.3);
    }
}

#[test]
fn blockwise_with_all_blocks_near_is_full() {
    let s = shape(1, 48, 48, 2, 1, 8);
    let (q, k, v) = (values(48 * 16, 1), values(48 * 8, 2), values(48 * 8, 3));
    let mut out = [vec![0.0; q.len()], vec![0.0; q.len()]];
    attention(Isa::best(), &q, &k, &v, s, Pattern::Full, 1.0, &mut out[0]).unwrap();
    let near = Pattern::Blockwise { blocks: 1, radius: usize::MAX };
    attention(Isa::best(), &q, &k, &v, s, near, 1.0, &mut out[1]).unwrap();
    assert_eq!(out[0], out[1]);
}

#[test]
fn steep_softmax_stays_finite_and_right() {
    // Scores of thousands: a softmax without the running maximum overflows.
    check(shape(1, 20, 150, 1, 1, 16), Pattern::Full, 800.0);
    check(shape(1, 20, 150, 1, 1, 16), Pattern::Full, -800.0);
}

#[test]
fn a_nan_in_a_key_reaches_only_the_queries_that_see_it() {
    // Within a tile of keys, and in one that some tasks skip.
    for (tokens, bad) in [(64, 40), (200, 40), (200, 140)] {
        let (s, len) = (shape(1, tokens, tokens, 1, 1, 8), tokens * 8);
        let (q, mut k, v) = (values(len, 1), values(len, 2), values(len, 3));
        k[bad * 8] = f32::NAN;
        for isa in Isa::available() {
            let mut out = vec![0.0; len];
            attention(isa, &q, &k, &v, s, Pattern::Causal, 1.0, &mut out).unwrap();
            let (before, after) = out.split_at(bad * 8);
            assert!(before.iter().all(|o| o.is_finite()) && after.iter().all(|o| o.is_nan()), "{isa} {tokens} {bad}");
        }
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let run = |s: AttentionShape, p, q: usize, kv: usize| {
        attention(Isa::Scalar, &vec![0.0; q], &vec![0.0; kv], &vec![0.0; kv], s, p, 1.0, &mut vec![0.0; q])
    };
    assert!(run(shape(1, 4, 4, 3, 2, 8), Pattern::Full, 96, 64).is_err());
    assert!(run(shape(1, 4, 4, 2, 2, 8), Pattern::Full, 64, 63).is_err());
    assert!(run(shape(1, 4, 3, 1, 1, 8), Pattern::Causal, 32, 24).is_err());
    assert!(run(shape(1, 4, 4, 1, 1, 8), Pattern::Blockwise { blocks: 3, radius: 1 }, 32, 32).is_err());
    assert!(run(shape(1, 4, 0, 1, 1, 8), Pattern::Full, 32, 0).is_err());
    assert!(run(shape(0, 4, 4, 1, 1, 8), Pattern::Full, 0, 0).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_shape(
        batch in 1usize..3,
        blocks in 1usize..6,
        size in 1usize..30,
        kv_heads in 1usize..3,
        group in 1usize..4,
        head_dim in 1usize..40,
        radius in 0usize..3,
        kind in 0..3,
    ) {
        let tokens = blocks * size;
        let pattern = [Pattern::Full, Pattern::Causal, Pattern::Blockwise { blocks, radius }][kind as usize];
        check(shape(batch, tokens, tokens, kv_heads * group, kv_heads, head_dim), pattern, 0.4);
    }
}
