//! Moving elements: reshapes, transposes, joins, cuts, and several outputs.

use ditbench_graph::{Activation, GraphBuilder, Op};

use super::{Cases, input};

pub(super) fn add(all: &mut Cases) {
    all.add("reshape.merge_and_split", |b| {
        let x = input(b, "x", &[2, 6, 5]);
        let y = b.reshape("reshape", x, &[4, 3, 5, 1]);
        b.node("scale", Op::Scale { factor: 2.0 }, &[y])
    });
    let perms: [(&str, &[usize], &[usize]); 9] = [
        ("matrix", &[5, 7], &[1, 0]),
        ("last_two", &[2, 3, 5], &[0, 2, 1]),
        ("heads", &[2, 5, 3, 4], &[0, 2, 1, 3]),
        ("to_channels_first", &[2, 3, 4, 5], &[0, 3, 1, 2]),
        ("to_channels_last", &[2, 5, 3, 4], &[0, 2, 3, 1]),
        ("cycle", &[3, 4, 5], &[2, 0, 1]),
        ("reverse", &[2, 3, 4, 5], &[3, 2, 1, 0]),
        ("rank_five", &[2, 3, 2, 4, 3], &[0, 2, 4, 1, 3]),
        ("identity", &[2, 3, 4], &[0, 1, 2]),
    ];
    for (name, shape, perm) in perms {
        all.add(&format!("transpose.{name}"), |b| {
            let x = input(b, "x", shape);
            let y = b.transpose("transpose", x, perm);
            b.node("scale", Op::Scale { factor: 2.0 }, &[y])
        });
    }
    all.add("transpose.reshape_transpose", |b| {
        let x = input(b, "x", &[2, 3, 4, 6]);
        let y = b.transpose("first", x, &[0, 2, 3, 1]);
        let y = b.reshape("middle", y, &[4, 2, 6, 3]);
        let y = b.transpose("second", y, &[0, 2, 1, 3]);
        b.reshape("last", y, &[2, 12, 6])
    });
    joins_and_cuts(all);
    let mut b = GraphBuilder::new("outputs_two");
    let x = input(&mut b, "x", &[2, 5, 8]);
    let early = b.activation("early", x, Activation::Silu);
    let late = b.linear("late", early, 4);
    b.output("late", late);
    b.output("early", early);
    all.push("outputs.one_read_again", b.finish().unwrap_or_else(|error| panic!("{error}")));
}

fn joins_and_cuts(all: &mut Cases) {
    for (name, axis, other) in
        [("first_axis", 0, [3, 3, 4]), ("middle_axis", 1, [2, 5, 4]), ("last_axis", 2, [2, 3, 7])]
    {
        all.add(&format!("concat.{name}"), |b| {
            let (a, c) = (input(b, "a", &[2, 3, 4]), input(b, "b", &other));
            b.node("concat", Op::Concat { axis }, &[a, c])
        });
    }
    all.add("concat.three", |b| {
        let inputs = [input(b, "a", &[2, 1, 4]), input(b, "b", &[2, 3, 4]), input(b, "c", &[2, 2, 4])];
        b.node("concat", Op::Concat { axis: 1 }, &inputs)
    });
    all.add("concat.itself", |b| {
        let x = input(b, "x", &[2, 3, 4]);
        b.node("concat", Op::Concat { axis: 2 }, &[x, x])
    });
    for (name, axis, start, end) in [("first_axis", 0, 1, 2), ("middle_axis", 1, 2, 5), ("last_axis", 2, 0, 3)] {
        all.add(&format!("slice.{name}"), |b| {
            let x = input(b, "x", &[3, 6, 4]);
            b.slice("slice", x, axis, start, end)
        });
    }
    all.add("slice.cut_and_join", |b| {
        let x = input(b, "x", &[2, 6, 4]);
        let rows: Vec<_> = (0..6).map(|i| b.slice(&format!("row{i}"), x, 1, i, i + 1)).collect();
        b.node("concat", Op::Concat { axis: 1 }, &[rows[5], rows[0], rows[3]])
    });
}
