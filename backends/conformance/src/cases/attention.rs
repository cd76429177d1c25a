//! Attention: every pattern, with as many key/value heads as query heads, fewer, and one.

use ditbench_graph::{AttentionPattern, Op};

use super::{Cases, edit, input};

struct Shape {
    name: &'static str,
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    width: usize,
    pattern: AttentionPattern,
}

pub(super) fn add(all: &mut Cases) {
    use AttentionPattern::{Blockwise, Causal, Full};
    let full = Shape { name: "full", batch: 1, queries: 9, keys: 9, heads: 4, kv_heads: 4, width: 16, pattern: Full };
    let causal = Shape { name: "causal", queries: 11, keys: 11, pattern: Causal, ..full };
    let local = Shape {
        name: "blockwise",
        queries: 35,
        keys: 35,
        kv_heads: 2,
        pattern: Blockwise { blocks: 5, radius: 1 },
        ..full
    };
    let shapes = [
        Shape { name: "full.grouped_heads", kv_heads: 2, ..full },
        Shape { name: "full.grouped_heads.batch_two", batch: 2, heads: 6, kv_heads: 2, ..full },
        Shape { name: "full.one_kv_head", kv_heads: 1, batch: 2, ..full },
        Shape { name: "full.fewer_keys", queries: 24, keys: 6, kv_heads: 2, ..full },
        Shape { name: "full.more_keys", queries: 5, keys: 77, heads: 3, kv_heads: 3, batch: 2, ..full },
        Shape { name: "full.one_key", keys: 1, ..full },
        Shape { name: "full.one_query", queries: 1, keys: 20, ..full },
        Shape { name: "full.narrow", width: 4, ..full },
        Shape { name: "full.odd_width", width: 20, kv_heads: 2, ..full },
        Shape { name: "full.wide_heads", width: 64, queries: 70, keys: 130, heads: 2, kv_heads: 1, ..full },
        full,
        Shape { name: "causal.batch_two", batch: 2, queries: 16, keys: 16, ..causal },
        Shape { name: "causal.grouped_heads", kv_heads: 2, ..causal },
        Shape { name: "causal.one_token", queries: 1, keys: 1, ..causal },
        Shape { name: "causal.77", queries: 77, keys: 77, heads: 2, kv_heads: 2, ..causal },
        causal,
        Shape { name: "blockwise.batch_two", batch: 2, ..local },
        Shape { name: "blockwise.grouped_heads", heads: 6, kv_heads: 2, batch: 2, ..local },
        Shape { name: "blockwise.one_kv_head", kv_heads: 1, ..local },
        Shape { name: "blockwise.one_block", pattern: Blockwise { blocks: 1, radius: 1 }, ..local },
        Shape {
            name: "blockwise.two_blocks",
            queries: 8,
            keys: 8,
            pattern: Blockwise { blocks: 2, radius: 1 },
            ..local
        },
        Shape {
            name: "blockwise.three_blocks",
            queries: 9,
            keys: 9,
            pattern: Blockwise { blocks: 3, radius: 1 },
            ..local
        },
        Shape { name: "blockwise.alone", pattern: Blockwise { blocks: 5, radius: 0 }, ..local },
        Shape {
            name: "blockwise.radius_two",
            queries: 42,
            keys: 42,
            pattern: Blockwise { blocks: 7, radius: 2 },
            ..local
        },
        Shape { name: "blockwise.radius_beyond_ends", pattern: Blockwise { blocks: 5, radius: 9 }, ..local },
        Shape { name: "blockwise.one_token_blocks", pattern: Blockwise { blocks: 35, radius: 1 }, ..local },
        Shape {
            name: "blockwise.sixteen",
            queries: 128,
            keys: 128,
            width: 64,
            heads: 2,
            kv_heads: 1,
            pattern: Blockwise { blocks: 16, radius: 1 },
            ..local
        },
        local,
    ];
    for Shape { name, batch, queries, keys, heads, kv_heads, width, pattern } in shapes {
        all.add(&format!("attention.{name}"), |b| {
            let q = input(b, "q", &[batch, queries, heads, width]);
            let k = input(b, "k", &[batch, keys, kv_heads, width]);
            let v = input(b, "v", &[batch, keys, kv_heads, width]);
            b.attention("attend", q, k, v, pattern)
        });
    }
    // Scores of some hundreds: e^score overflows unless the largest is taken off first.
    for (name, pattern) in [("full", Full), ("causal", Causal), ("blockwise", Blockwise { blocks: 4, radius: 1 })] {
        all.add(&format!("attention.{name}.large_scores"), |b| {
            let q = input(b, "q", &[1, 12, 2, 16]);
            let k = input(b, "k", &[1, 12, 2, 16]);
            let v = input(b, "v", &[1, 12, 2, 16]);
            b.node("attend", Op::Attention { pattern, scale: 1.0 }, &[q, k, v])
        });
        edit(all.last(), |_, v| 32.0 * v);
    }
}
