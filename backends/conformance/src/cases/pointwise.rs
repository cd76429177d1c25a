//! Element-wise operations, norms, tables and rotations.

use ditbench_graph::{Activation, DType, Init, Op, WeightRole};

use super::{Cases, edit, input};

pub(super) fn add(all: &mut Cases) {
    broadcasts(all);
    activations(all);
    norms(all);
    other_norms(all);
    gated_units(all);
    modulations(all);
    tables(all);
}

/// Every form in which the models add or multiply, and the rest of NumPy's.
fn broadcasts(all: &mut Cases) {
    let forms: [(&str, &[usize], &[usize]); 9] = [
        ("same", &[2, 7, 9], &[2, 7, 9]),
        ("over_batch", &[2, 6, 16], &[1, 6, 16]),
        ("over_batch_left", &[1, 6, 16], &[2, 6, 16]),
        ("over_tokens", &[2, 1, 16], &[2, 5, 16]),
        ("both", &[2, 1, 16], &[1, 2, 16]),
        ("last_axis", &[2, 3, 5, 1], &[2, 3, 5, 8]),
        ("channels", &[2, 6, 5, 7], &[2, 6, 1, 1]),
        ("lower_rank", &[2, 3, 5], &[5]),
        ("rank_five", &[2, 3, 1, 2, 5], &[3, 4, 1, 1]),
    ];
    for (name, a, c) in forms {
        for (kind, op) in [("add", Op::Add), ("mul", Op::Mul)] {
            all.add(&format!("{kind}.{name}"), |b| {
                let (a, c) = (input(b, "a", a), input(b, "b", c));
                b.node(kind, op, &[a, c])
            });
        }
    }
    all.add("add.itself", |b| {
        let x = input(b, "x", &[2, 5]);
        b.node("double", Op::Add, &[x, x])
    });
    for (name, factor) in [("third", 1.0 / 3.0), ("negative", -2.5), ("zero", 0.0)] {
        all.add(&format!("scale.{name}"), |b| {
            let x = input(b, "x", &[1, 5, 7]);
            b.node("scale", Op::Scale { factor }, &[x])
        });
    }
}

fn activations(all: &mut Cases) {
    let kinds = [
        ("gelu_tanh", Activation::GeluTanh),
        ("gelu_erf", Activation::GeluErf),
        ("quick_gelu", Activation::QuickGelu),
        ("silu", Activation::Silu),
        ("relu", Activation::Relu),
        ("relu6", Activation::Relu6),
        ("sigmoid", Activation::Sigmoid),
        ("tanh", Activation::Tanh),
    ];
    for (name, kind) in kinds {
        all.add(&format!("activation.{name}"), |b| {
            let x = input(b, "x", &[2, 17, 19]);
            b.activation("activation", x, kind)
        });
        edit(all.last(), |_, v| 2.5 * v);
        // Where approximations and overflowing exponentials show: near 0, far left, and one value far right, which
        // alone does not outweigh the others.
        all.add(&format!("activation.{name}.far"), |b| {
            let x = input(b, "x", &[1, 64]);
            b.activation("activation", x, kind)
        });
        edit(all.last(), |i, v| if i == 63 { 40.0 } else { [1e-3 * v, v, 3.0 * v, -100.0 * v.abs()][i % 4] });
    }
}

fn norms(all: &mut Cases) {
    all.add("layer_norm.plain", |b| {
        let x = input(b, "x", &[2, 5, 64]);
        b.norm("norm", x, 1e-6)
    });
    all.add("layer_norm.affine", |b| {
        let x = input(b, "x", &[2, 5, 33]);
        b.affine_norm("norm", x, 1e-5)
    });
    edit(all.last(), |i, v| 3.0 * v + (i % 5) as f32);
    all.add("layer_norm.per_head", |b| {
        let x = input(b, "x", &[2, 5, 3, 16]);
        b.affine_norm("norm", x, 1e-6)
    });
    all.add("layer_norm.weight_only", |b| {
        let x = input(b, "x", &[3, 20]);
        let weight = b.weight("weight", &[20], Init::NormalAround { mean: 1.0, std: 0.3 }, WeightRole::Small);
        b.node("norm", Op::LayerNorm { eps: 1e-6, weight: Some(weight), bias: None }, &[x])
    });
    // The variance is 1e-8, far below eps: one that is left out or added elsewhere shows.
    all.add("layer_norm.small_values", |b| {
        let x = input(b, "x", &[1, 4, 32]);
        b.norm("norm", x, 1e-6)
    });
    edit(all.last(), |_, v| 1e-4 * v);
    // Rows of one value: variance 0.
    all.add("layer_norm.constant_rows", |b| {
        let x = input(b, "x", &[1, 4, 32]);
        b.affine_norm("norm", x, 1e-6)
    });
    edit(all.last(), |i, v| if i / 32 % 2 == 0 { 0.5 } else { v });
}

fn other_norms(all: &mut Cases) {
    for (name, shape, groups) in [
        ("plain", [1, 12, 5, 7], 4),
        ("batch_two", [2, 6, 3, 4], 3),
        ("one_group", [1, 5, 4, 4], 1),
        ("each_channel", [2, 8, 3, 3], 8),
    ] {
        all.add(&format!("group_norm.{name}"), |b| {
            let x = input(b, "x", &shape);
            b.group_norm("norm", x, groups, 1e-5)
        });
        // Groups and channels of different means and sizes: what is mixed up shows.
        edit(all.last(), |i, v| (1.0 + (i % 7) as f32) * v + (i / 40) as f32);
    }
    all.add("group_norm.small_values", |b| {
        let x = input(b, "x", &[1, 8, 4, 4]);
        b.group_norm("norm", x, 2, 1e-6)
    });
    edit(all.last(), |_, v| 1e-4 * v);
    all.add("group_norm.silu", |b| {
        let x = input(b, "x", &[1, 32, 6, 6]);
        let h = b.group_norm("norm", x, 32, 1e-5);
        b.activation("silu", h, Activation::Silu)
    });
    all.add("rms_norm.tokens", |b| {
        let x = input(b, "x", &[2, 5, 33]);
        b.rms_norm("norm", x, 1e-5)
    });
    // A mean that a layer norm would take away.
    edit(all.last(), |i, v| 3.0 * v + (i % 5) as f32);
    all.add("rms_norm.per_head", |b| {
        let x = input(b, "x", &[2, 5, 3, 16]);
        b.rms_norm("norm", x, 1e-5)
    });
    all.add("rms_norm.small_values", |b| {
        let x = input(b, "x", &[1, 4, 32]);
        b.rms_norm("norm", x, 1e-6)
    });
    edit(all.last(), |_, v| 1e-4 * v);
}

/// What a linear's gated unit is written as, in either order of its product; and what only looks like one: the halves exchanged, and a gate
/// or its GELU that others read too.
fn gated_units(all: &mut Cases) {
    #[derive(PartialEq)]
    enum As {
        Unit,
        GeluFirst,
        Exchanged,
        GateReadAgain,
        GeluReadAgain,
    }
    for (name, shape, is) in [
        ("plain", [2, 5, 34], As::Unit),
        ("long_rows", [1, 3, 2000], As::Unit),
        ("gelu_first", [1, 5, 34], As::GeluFirst),
        ("exchanged", [1, 5, 34], As::Exchanged),
        ("gate_read_again", [1, 5, 34], As::GateReadAgain),
        ("gelu_read_again", [1, 5, 34], As::GeluReadAgain),
    ] {
        all.add(&format!("gated_unit.{name}"), |b| {
            let (x, half) = (input(b, "x", &shape), shape[2] / 2);
            let first = b.slice("first", x, 2, 0, half);
            let second = b.slice("second", x, 2, half, 2 * half);
            let (value, gate) = if is == As::Exchanged { (second, first) } else { (first, second) };
            let gelu = b.activation("gelu", gate, Activation::GeluErf);
            let factors = if is == As::GeluFirst { [gelu, value] } else { [value, gelu] };
            let y = b.node("gated", Op::Mul, &factors);
            match is {
                As::GateReadAgain => b.node("add", Op::Add, &[y, gate]),
                As::GeluReadAgain => b.node("add", Op::Add, &[y, gelu]),
                _ => y,
            }
        });
        edit(all.last(), |_, v| 3.0 * v);
    }
}

fn modulations(all: &mut Cases) {
    for batch in [1, 2] {
        all.add(&format!("modulate.batch_{batch}"), |b| {
            let x = input(b, "x", &[batch, 5, 24]);
            let (shift, scale) = (input(b, "shift", &[batch, 1, 24]), input(b, "scale", &[batch, 1, 24]));
            b.node("modulate", Op::Modulate, &[x, shift, scale])
        });
        all.add(&format!("gated_add.batch_{batch}"), |b| {
            let (x, y) = (input(b, "x", &[batch, 5, 24]), input(b, "y", &[batch, 5, 24]));
            let gate = input(b, "gate", &[batch, 1, 24]);
            b.node("add", Op::GatedAdd, &[x, y, gate])
        });
    }
    all.add("modulate.after_norm", |b| {
        let x = input(b, "x", &[2, 5, 24]);
        let rows = input(b, "rows", &[2, 6, 24]);
        let h = b.norm("norm", x, 1e-6);
        let (shift, scale) = (b.slice("shift", rows, 1, 0, 1), b.slice("scale", rows, 1, 1, 2));
        b.node("modulate", Op::Modulate, &[h, shift, scale])
    });
    let weights: [(&str, &[usize]); 3] =
        [("per_head", &[2, 6, 3, 1]), ("one_weight", &[1]), ("per_element", &[2, 6, 3, 8])];
    for (name, shape) in weights {
        all.add(&format!("lerp.{name}"), |b| {
            let (a, c) = (input(b, "a", &[2, 6, 3, 8]), input(b, "b", &[2, 6, 3, 8]));
            let w = input(b, "w", shape);
            b.node("lerp", Op::Lerp, &[a, c, w])
        });
    }
}

fn tables(all: &mut Cases) {
    for batch in [1, 2] {
        all.add(&format!("embedding.batch_{batch}"), |b| {
            let ids = b.input("tokens", &[batch, 9], DType::I64);
            let weight = b.weight("table", &[37, 24], Init::Normal(0.5), WeightRole::Embedding);
            b.node("embed", Op::Embedding { weight }, &[ids])
        });
    }
    all.add("parameter.added", |b| {
        let x = input(b, "x", &[2, 6, 8]);
        let weight = b.weight("table", &[1, 6, 8], Init::Normal(1.0), WeightRole::Small);
        let table = b.node("table", Op::Parameter { weight }, &[]);
        b.node("add", Op::Add, &[x, table])
    });
    all.add("parameter.lerp_weight", |b| {
        let (a, c) = (input(b, "a", &[1, 6, 8]), input(b, "b", &[1, 6, 8]));
        let weight = b.weight("lerp", &[1], Init::NormalAround { mean: 0.5, std: 0.2 }, WeightRole::Small);
        let w = b.node("weight", Op::Parameter { weight }, &[]);
        b.node("join", Op::Lerp, &[a, c, w])
    });
    let grids =
        [("square", 3, 3, 8), ("wide", 2, 5, 16), ("tall", 7, 3, 4), ("one_row", 1, 6, 12), ("large", 8, 16, 64)];
    for (name, rows, cols, width) in grids {
        all.add(&format!("rope.{name}"), |b| {
            let x = input(b, "x", &[2, rows * cols, 3, width]);
            b.node("rope", Op::Rope { rows, cols, theta: 1e4 }, &[x])
        });
    }
    all.add("rope.other_base", |b| {
        let x = input(b, "x", &[1, 30, 1, 16]);
        b.node("rope", Op::Rope { rows: 5, cols: 6, theta: 100.0 }, &[x])
    });
}
