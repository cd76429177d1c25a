//! Convolutions, upsampling and pooling.

use ditbench_graph::{Activation, Init, Op, WeightRole};

use super::{Cases, input};

struct Conv {
    name: &'static str,
    input: [usize; 4],
    outputs: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
    groups: usize,
    bias: bool,
}

pub(super) fn add(all: &mut Cases) {
    let plain = Conv {
        name: "3x3",
        input: [1, 5, 7, 9],
        outputs: 6,
        kernel: [3, 3],
        stride: 1,
        padding: 1,
        groups: 1,
        bias: true,
    };
    let cases = [
        Conv { name: "3x3.batch_two", input: [2, 4, 6, 5], ..plain },
        Conv { name: "3x3.unpadded", padding: 0, ..plain },
        Conv { name: "3x3.strided", stride: 2, input: [1, 4, 8, 7], ..plain },
        Conv { name: "3x3.grouped", groups: 2, input: [2, 6, 5, 7], outputs: 8, ..plain },
        Conv { name: "3x3.one_pixel", input: [1, 8, 1, 1], outputs: 3, ..plain },
        Conv { name: "3x3.sixteen_channels", input: [1, 16, 12, 20], outputs: 32, ..plain },
        Conv { name: "3x3.to_rgb", input: [1, 32, 9, 11], outputs: 3, ..plain },
        Conv { name: "1x1", kernel: [1, 1], padding: 0, ..plain },
        Conv { name: "5x5", kernel: [5, 5], padding: 2, input: [1, 3, 9, 6], ..plain },
        Conv { name: "2x3.padded", kernel: [2, 3], padding: 1, bias: false, ..plain },
        // How ASSA compresses keys and values: per head (dense inside a head), then per channel.
        Conv {
            name: "2x2.per_head",
            kernel: [2, 2],
            stride: 2,
            padding: 0,
            groups: 3,
            input: [2, 24, 6, 10],
            outputs: 24,
            bias: false,
        },
        Conv {
            name: "2x2.depthwise",
            kernel: [2, 2],
            stride: 2,
            padding: 0,
            groups: 12,
            input: [2, 12, 6, 4],
            outputs: 12,
            bias: false,
        },
        Conv { name: "3x3.depthwise", groups: 5, outputs: 10, ..plain },
        Conv { name: "3x3.each_channel", groups: 5, outputs: 5, input: [2, 5, 7, 9], ..plain },
        // Wide enough that most of a row is far from both edges, high enough for several bands of rows.
        Conv { name: "3x3.each_channel.large", groups: 3, outputs: 3, input: [1, 3, 70, 133], bias: false, ..plain },
        Conv { name: "3x3.each_channel.strided", groups: 4, outputs: 4, stride: 2, input: [1, 4, 15, 40], ..plain },
        Conv {
            name: "5x5.each_channel",
            kernel: [5, 5],
            padding: 2,
            groups: 4,
            outputs: 4,
            input: [1, 4, 9, 38],
            ..plain
        },
        Conv { name: "1x1.deep", kernel: [1, 1], padding: 0, input: [2, 130, 9, 13], outputs: 20, ..plain },
        // The last row and column are read by no window.
        Conv { name: "2x2.left_over", kernel: [2, 2], stride: 2, padding: 0, input: [1, 3, 7, 5], ..plain },
        // How the judge's network halves an image: a 5×5 window, padded on one side more, is a 6×6 one with a row of zeros.
        Conv {
            name: "6x6.depthwise",
            kernel: [6, 6],
            stride: 2,
            padding: 2,
            groups: 8,
            input: [1, 8, 10, 6],
            outputs: 8,
            ..plain
        },
        plain,
    ];
    for Conv { name, input: shape, outputs, kernel, stride, padding, groups, bias } in cases {
        all.add(&format!("conv2d.{name}"), |b| {
            let x = input(b, "x", &shape);
            let kernel = [outputs, shape[1] / groups, kernel[0], kernel[1]];
            let std = 1.0 / (kernel[1..].iter().product::<usize>() as f32).sqrt();
            let weight = b.weight("weight", &kernel, Init::Normal(std), WeightRole::Conv);
            let bias = bias.then(|| b.weight("bias", &[outputs], Init::Normal(0.5), WeightRole::Small));
            b.node("conv", Op::Conv2d { weight, bias, stride, padding, groups }, &[x])
        });
    }
    all.add("conv2d.residual", |b| {
        let x = input(b, "x", &[1, 8, 6, 7]);
        let y = b.conv3x3("conv0", x, 8, 1.0);
        let y = b.activation("relu", y, Activation::Relu);
        let y = b.conv3x3("conv1", y, 8, 1.0);
        let y = b.node("add", Op::Add, &[x, y]);
        b.activation("relu_out", y, Activation::Relu)
    });
    all.add("conv2d.inverted_residual", |b| {
        let x = input(b, "x", &[1, 8, 7, 7]);
        let y = b.conv3x3("expand", x, 24, 3.0);
        let y = b.activation("relu6", y, Activation::Relu6);
        let y = b.conv3x3("project", y, 8, 1.0);
        b.node("add", Op::Add, &[x, y])
    });
    all.add("upsample.odd", |b| {
        let x = input(b, "x", &[2, 3, 5, 3]);
        b.node("upsample", Op::Upsample2x, &[x])
    });
    for (name, shape) in [("plain", [2, 3, 6, 10]), ("one_square", [1, 5, 2, 2]), ("wide", [1, 4, 4, 34])] {
        all.add(&format!("average_pool.{name}"), |b| {
            let x = input(b, "x", &shape);
            b.node("pool", Op::AveragePool2x, &[x])
        });
    }
    all.add("upsample.twice_then_conv", |b| {
        let x = input(b, "x", &[1, 4, 3, 2]);
        let y = b.node("first", Op::Upsample2x, &[x]);
        let y = b.node("second", Op::Upsample2x, &[y]);
        b.conv3x3("conv", y, 5, 1.0)
    });
}
