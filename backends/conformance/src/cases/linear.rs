//! Linears: sizes around the edges of tiles, groups along K, and the neighbours that runtimes like to fuse them with.

use ditbench_graph::{Activation, AttentionPattern, GraphBuilder, Init, Op, ValueId, WeightRole};

use super::{Cases, edit, input};

pub(super) fn add(all: &mut Cases) {
    // (name, shape of the input, N)
    let sizes: [(&str, &[usize], usize); 12] = [
        ("plain", &[1, 5, 64], 48),
        ("one_row", &[1, 1, 256], 64),
        ("rank_two", &[3, 64], 96),
        ("rank_four", &[2, 3, 5, 32], 16),
        ("batch_two", &[2, 37, 96], 80),
        ("one_group", &[1, 9, 32], 33),
        ("few_outputs", &[2, 19, 64], 3),
        ("one_output", &[1, 6, 96], 1),
        ("odd_groups", &[1, 17, 224], 130),
        ("no_whole_groups", &[2, 7, 50], 20),
        ("large", &[1, 131, 1024], 136),
        ("wide", &[1, 66, 256], 1030),
    ];
    for (name, shape, n) in sizes {
        all.add(&format!("linear.{name}"), |b| {
            let x = input(b, "x", shape);
            b.linear("project", x, n)
        });
    }
    // The graph of `linear.plain` once more with other weights: files kept by the graph alone would be found again.
    let mut again = all.0[0].clone();
    again.name = "linear.plain_other_weights".to_owned();
    again.seed = 2;
    all.0.push(again);
    all.add("linear.no_bias", |b| {
        let x = input(b, "x", &[1, 21, 64]);
        without_bias(b, "project", x, 40)
    });
    all.add("linear.sensitive", |b| {
        let x = input(b, "x", &[2, 5, 64]);
        b.linear_as("project", x, 24, WeightRole::SensitiveLinear, 1.0)
    });
    // Activations rounded group by group must survive a group, and a row, of zeros.
    all.add("linear.zero_groups", |b| {
        let x = input(b, "x", &[1, 6, 128]);
        b.linear("project", x, 16)
    });
    edit(all.last(), |i, v| if i < 128 || i % 128 / 32 == 2 { 0.0 } else { v });
    all.add("linear.rows_of_many_sizes", |b| {
        let x = input(b, "x", &[1, 12, 64]);
        let y = b.linear("project", x, 32);
        b.norm("norm", y, 1e-6)
    });
    edit(all.last(), |i, v| v * [1e-3, 1.0, 300.0][i / 64 % 3]);
    all.add("linear.two_of_one_input", |b| {
        let x = input(b, "x", &[2, 11, 64]);
        let (p, q) = (b.linear("p", x, 32), b.linear("q", x, 32));
        b.node("product", Op::Mul, &[p, q])
    });
    all.add("linear.one_weight_twice", |b| {
        let x = input(b, "x", &[1, 10, 64]);
        let weight = b.weight("shared.weight", &[64, 64], Init::Normal(0.125), WeightRole::Linear);
        let y = b.node("first", Op::Linear { weight, bias: None }, &[x]);
        b.node("second", Op::Linear { weight, bias: None }, &[y])
    });
    all.add("linear.mlp", |b| {
        let x = input(b, "x", &[2, 13, 64]);
        let h = b.linear("up", x, 192);
        let h = b.activation("gelu", h, Activation::GeluTanh);
        b.linear("down", h, 64)
    });
    all.add("linear.gated", |b| {
        let (x, gate) = (input(b, "x", &[2, 9, 64]), input(b, "gate", &[2, 1, 32]));
        let y = b.linear("project", x, 32);
        b.node("gated", Op::Mul, &[y, gate])
    });
    head_merges(all);
}

/// Heads joined right before a projection: a runtime that folds the joining into the product must also fold the groups
/// of a quantized weight (tract 0.23.9 does not: wrong, without an error, for batches above 1).
fn head_merges(all: &mut Cases) {
    for batch in [1, 2] {
        all.add(&format!("linear.after_joined_heads.batch_{batch}"), |b| {
            let x = input(b, "x", &[batch, 9, 4, 16]);
            let y = b.reshape("join_heads", x, &[batch, 9, 64]);
            b.linear("out", y, 48)
        });
        all.add(&format!("linear.after_transposed_heads.batch_{batch}"), |b| {
            let x = input(b, "x", &[batch, 4, 9, 16]);
            let y = b.transpose("tokens_first", x, &[0, 2, 1, 3]);
            let y = b.reshape("join_heads", y, &[batch, 9, 64]);
            b.linear("out", y, 48)
        });
        all.add(&format!("linear.after_full_attention.batch_{batch}"), |b| {
            let (q, k) = (input(b, "q", &[batch, 12, 4, 16]), input(b, "k", &[batch, 7, 2, 16]));
            let y = b.attention("attend", q, k, k, AttentionPattern::Full);
            let y = b.reshape("join_heads", y, &[batch, 12, 64]);
            b.linear("out", y, 48)
        });
        all.add(&format!("linear.after_local_attention.batch_{batch}"), |b| {
            let (q, k) = (input(b, "q", &[batch, 24, 4, 16]), input(b, "k", &[batch, 24, 2, 16]));
            let y = b.attention("attend", q, k, k, AttentionPattern::Blockwise { blocks: 4, radius: 1 });
            let y = b.reshape("join_heads", y, &[batch, 24, 64]);
            b.linear("out", y, 64)
        });
    }
    all.add("linear.before_split_heads", |b| {
        let x = input(b, "x", &[2, 9, 64]);
        let y = b.linear("q", x, 64);
        let y = b.reshape("heads", y, &[2, 9, 4, 16]);
        b.transpose("heads_first", y, &[0, 2, 1, 3])
    });
    all.add("linear.after_windows", |b| {
        let x = input(b, "x", &[2, 24, 32]);
        let y = b.reshape("pairs", x, &[2 * 2, 2, 3, 64]);
        let y = b.transpose("gather", y, &[0, 2, 1, 3]);
        let y = b.reshape("quads", y, &[2, 6, 128]);
        b.linear("project", y, 32)
    });
}

fn without_bias(b: &mut GraphBuilder, leaf: &str, x: ValueId, n: usize) -> ValueId {
    let k = b.shape(x).last().copied().unwrap_or(1);
    let weight = b.weight("weight", &[n, k], Init::Normal(1.0 / (k as f32).sqrt()), WeightRole::Linear);
    b.node(leaf, Op::Linear { weight, bias: None }, &[x])
}
