//! Convolution against plain f64 loops, on every instruction set of this machine.

mod common;

use common::{assert_near, values};
use ditbench_kernels::Isa;
use ditbench_kernels::conv::{ConvSpec, PackedConv, conv2d};
use proptest::prelude::*;

fn spec(i: usize, o: usize, kernel: [usize; 2], stride: usize, padding: usize, groups: usize) -> ConvSpec {
    ConvSpec { in_channels: i, out_channels: o, kernel, stride, padding, groups }
}

fn truth(x: &[f32], [h, w]: [usize; 2], weight: &[f32], bias: &[f32], s: ConvSpec, relu: bool, n: usize) -> Vec<f64> {
    let [oh, ow] = s.output(h, w);
    let (icg, ocg) = (s.in_channels / s.groups, s.out_channels / s.groups);
    let mut y = Vec::new();
    for b in 0..n {
        for o in 0..s.out_channels {
            for at in 0..oh * ow {
                let mut sum = f64::from(bias[o]);
                for i in 0..icg {
                    for u in 0..s.kernel[0] {
                        for v in 0..s.kernel[1] {
                            let row = (at / ow * s.stride + u) as isize - s.padding as isize;
                            let col = (at % ow * s.stride + v) as isize - s.padding as isize;
                            if row >= 0 && col >= 0 && row < h as isize && col < w as isize {
                                let channel = b * s.in_channels + o / ocg * icg + i;
                                sum += f64::from(x[(channel * h + row as usize) * w + col as usize])
                                    * f64::from(weight[((o * icg + i) * s.kernel[0] + u) * s.kernel[1] + v]);
                            }
                        }
                    }
                }
                y.push(if relu { sum.max(0.0) } else { sum });
            }
        }
    }
    y
}

fn check(image: [usize; 2], s: ConvSpec, batch: usize, relu: bool) {
    let [oh, ow] = s.output(image[0], image[1]);
    let x = values(batch * s.in_channels * image[0] * image[1], 1);
    let weight = values(s.out_channels * s.in_channels / s.groups * s.kernel[0] * s.kernel[1], 2);
    let bias = values(s.out_channels, 3);
    let packed = PackedConv::pack(&weight, s).unwrap();
    let zero = vec![0.0; s.out_channels];
    for isa in Isa::available() {
        let mut y = vec![f32::NAN; batch * s.out_channels * oh * ow];
        conv2d(isa, &x, image, &packed, Some(&bias), relu, &mut y).unwrap();
        let what = format!("{isa} {image:?} {s:?} batch {batch} relu {relu}");
        assert_near(&y, &truth(&x, image, &weight, &bias, s, relu, batch), 1e-6, &what);
        y.fill(f32::NAN);
        conv2d(isa, &x, image, &packed, None, relu, &mut y).unwrap();
        assert_near(&y, &truth(&x, image, &weight, &zero, s, relu, batch), 1e-6, &format!("no bias, {what}"));
    }
}

#[test]
fn three_by_three_with_every_tail() {
    for (h, w) in [(1, 1), (3, 5), (7, 16), (9, 47), (20, 100), (5, 193)] {
        check([h, w], spec(3, 13, [3, 3], 1, 1, 1), 2, w % 2 == 0);
    }
    for o in [1, 2, 3, 4, 7, 8, 9, 64] {
        check([4, 33], spec(5, o, [3, 3], 1, 1, 1), 1, true);
    }
}

#[test]
fn patches_groups_and_odd_kernels() {
    check([16, 16], spec(4, 24, [2, 2], 2, 0, 1), 2, false);
    check([16, 24], spec(12, 12, [2, 2], 2, 0, 12), 2, false);
    check([10, 11], spec(6, 9, [3, 2], 1, 1, 3), 1, false);
    check([21, 13], spec(4, 6, [5, 3], 3, 2, 2), 2, true);
    check([8, 8], spec(20, 17, [1, 1], 1, 0, 1), 1, false);
    // More padding than kernel: whole windows outside the image.
    check([2, 3], spec(2, 3, [2, 2], 1, 4, 1), 1, false);
    check([2, 3], spec(2, 3, [2, 2], 2, 4, 1), 1, false);
}

#[test]
fn blocks_of_rows_and_columns_meet() {
    // Deep enough that a block is one row; wide enough for three blocks of columns.
    check([5, 200], spec(150, 4, [3, 3], 1, 1, 1), 1, false);
    check([40, 30], spec(2, 4, [3, 3], 1, 1, 1), 1, false);
}

#[test]
fn more_operands_than_are_multiplied_at_a_time() {
    // Several blocks of whole windows, the last one shorter; widths below a vector, odd ones, and rows that panels cross.
    for (h, w) in [(1, 1), (6, 2), (5, 7), (4, 17), (3, 70)] {
        check([h, w], spec(61, 10, [3, 3], 1, 1, 1), 1, w % 2 == 0);
        check([h, w], spec(61, 5, [3, 3], 2, 1, 1), 1, w % 2 == 1);
        check([h, w], spec(150, 14, [3, 3], 1, 1, 2), 1, false);
        // With stride 2, 1 × 1 is a dense convolution too.
        check([h, w], spec(800, 14, [1, 1], 2, 0, 1), 1, false);
    }
    // Windows that alone are more: blocks begin inside one.
    check([32, 40], spec(3, 5, [20, 20], 20, 0, 1), 1, false);
    check([25, 24], spec(2, 3, [20, 20], 1, 1, 1), 1, true);
}

#[test]
fn channels_and_pixels_of_several_tasks_meet() {
    // More channels than a task has, whose last tile is partly empty.
    check([3, 5], spec(29, 301, [3, 3], 1, 1, 1), 1, true);
    check([2, 3], spec(520, 1060, [1, 1], 1, 0, 2), 2, false);
    // Several blocks of rows and of columns.
    check([37, 150], spec(3, 4, [3, 3], 1, 1, 1), 2, true);
    check([66, 131], spec(3, 4, [3, 3], 2, 1, 1), 1, true);
    check([1, 2000], spec(2, 3, [1, 3], 1, 1, 1), 1, false);
}

#[test]
fn each_channel_alone() {
    // Strips at both edges, one strip that is both, strips between them, more bands than one, and every tail.
    for (h, w) in [(1, 1), (2, 3), (9, 15), (16, 32), (33, 33), (70, 97), (130, 128)] {
        for (kernel, padding) in [(3, 1), (5, 2), (7, 3), (3, 0), (5, 4)] {
            if h + 2 * padding >= kernel && w + 2 * padding >= kernel {
                check([h, w], spec(5, 5, [kernel, kernel], 1, padding, 5), 2, w % 2 == 0);
            }
        }
        for (kernel, stride) in [([3, 3], 2), ([5, 5], 2), ([3, 3], 3), ([2, 4], 1), ([1, 1], 1), ([4, 3], 2)] {
            check([h, w], spec(3, 3, kernel, stride, 2, 3), 2, w % 2 == 1);
        }
    }
    // More padding than kernel: whole windows outside the image.
    check([3, 40], spec(2, 2, [3, 3], 1, 5, 2), 1, false);
    check([3, 40], spec(2, 2, [3, 3], 2, 5, 2), 1, false);
}

#[test]
fn single_pixels() {
    for (h, w) in [(1, 1), (3, 5), (4, 12), (7, 23), (20, 40)] {
        for (i, o) in [(1, 1), (3, 8), (33, 13), (200, 7)] {
            check([h, w], spec(i, o, [1, 1], 1, 0, 1), 2, w % 2 == 0);
        }
    }
    // Wide enough for a block of one panel.
    check([5, 20], spec(1500, 9, [1, 1], 1, 0, 1), 1, false);
    // In groups, with padding, or in steps it is none.
    check([8, 9], spec(6, 4, [1, 1], 1, 0, 2), 1, false);
    check([8, 9], spec(6, 4, [1, 1], 1, 1, 1), 1, false);
    check([8, 9], spec(6, 4, [1, 1], 2, 0, 1), 1, false);
}

#[test]
fn wrong_shapes_are_errors() {
    assert!(PackedConv::pack(&[0.0; 36], spec(4, 3, [3, 3], 1, 1, 2)).is_err());
    assert!(PackedConv::pack(&[0.0; 35], spec(2, 2, [3, 3], 1, 1, 1)).is_err());
    assert!(PackedConv::pack(&[], spec(2, 2, [3, 3], 0, 1, 1)).is_err());
    let packed = PackedConv::pack(&[0.0; 36], spec(2, 2, [3, 3], 1, 0, 1)).unwrap();
    assert!(conv2d(Isa::Scalar, &[0.0; 8], [2, 2], &packed, None, false, &mut [0.0; 2]).is_err());
    assert!(conv2d(Isa::Scalar, &[0.0; 18], [3, 3], &packed, None, false, &mut [0.0; 3]).is_err());
    assert!(conv2d(Isa::Scalar, &[0.0; 18], [3, 3], &packed, Some(&[0.0]), false, &mut [0.0; 2]).is_err());
    assert!(conv2d(Isa::Scalar, &[0.0; 18], [3, 3], &packed, None, false, &mut [0.0; 2]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_shape(
        h in 4usize..20, w in 4usize..60, icg in 1usize..6, ocg in 1usize..12, groups in 1usize..4,
        kh in 1usize..5, kw in 1usize..5, stride in 1usize..4, padding in 0usize..4, relu: bool,
    ) {
        check([h, w], spec(icg * groups, ocg * groups, [kh, kw], stride, padding, groups), 1, relu);
    }

    #[test]
    fn any_window_stride_padding_and_group(
        h in 1usize..24, w in 1usize..80, icg in 1usize..12, ocg in 1usize..30, groups in 1usize..4,
        half in 0usize..4, stride in 1usize..3, padding in 0usize..3, relu: bool,
    ) {
        let kernel = 2 * half + 1;
        prop_assume!(h + 2 * padding >= kernel && w + 2 * padding >= kernel);
        check([h, w], spec(icg * groups, ocg * groups, [kernel, kernel], stride, padding, groups), 1, relu);
    }

    #[test]
    fn any_depthwise_shape(
        h in 4usize..20, w in 4usize..80, channels in 1usize..5,
        kh in 1usize..8, square: bool, kw in 1usize..6, stride in 1usize..4, padding in 2usize..5, relu: bool,
    ) {
        let kernel = if square { [kh, kh] } else { [kh, kw] };
        check([h, w], spec(channels, channels, kernel, stride, padding, channels), 2, relu);
    }

    #[test]
    fn any_pointwise_shape(h in 1usize..20, w in 1usize..30, i in 1usize..40, o in 1usize..20, relu: bool) {
        check([h, w], spec(i, o, [1, 1], 1, 0, 1), 2, relu);
    }
}

#[test]
fn of_no_image_nothing_is_made() {
    for s in [spec(4, 4, [1, 1], 1, 0, 1), spec(4, 4, [3, 3], 1, 1, 4), spec(4, 4, [3, 3], 1, 1, 1)] {
        check([4, 4], s, 0, false);
    }
}
