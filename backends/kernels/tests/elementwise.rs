//! Element-wise kernels and normalisation against plain f64 loops, on every instruction set of this machine.

mod common;

use common::{assert_near, gelu_tanh, values};
use ditbench_kernels::elementwise as e;
use ditbench_kernels::{Isa, KernelError};
use proptest::prelude::*;

type Unary = fn(Isa, &[f32], &mut [f32]) -> Result<(), KernelError>;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A kernel's name, the kernel, the function.
type Case = (&'static str, Unary, fn(f64) -> f64);

fn unary() -> Vec<Case> {
    vec![
        ("gelu_tanh", e::gelu_tanh, gelu_tanh),
        ("gelu_erf", e::gelu_erf, |x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))),
        ("quick_gelu", e::quick_gelu, |x| x * sigmoid(1.702 * x)),
        ("silu", e::silu, |x| x * sigmoid(x)),
        ("relu", e::relu, |x| x.max(0.0)),
        ("relu6", e::relu6, |x| x.clamp(0.0, 6.0)),
        ("sigmoid", e::sigmoid, sigmoid),
        ("tanh", e::tanh, f64::tanh),
    ]
}

#[test]
fn activations_over_their_range() {
    for (name, kernel, truth) in unary() {
        for range in [1e-3f32, 1.0, 8.0, 100.0] {
            for len in [17, 31, 20_001] {
                let x: Vec<f32> = values(len, 7).iter().map(|v| v * range).collect();
                let t: Vec<f64> = x.iter().map(|v| truth(f64::from(*v))).collect();
                for isa in Isa::available() {
                    let mut y = vec![f32::NAN; len];
                    kernel(isa, &x, &mut y).unwrap();
                    assert_near(&y, &t, 3e-7, &format!("{name} {isa} range {range} len {len}"));
                }
            }
        }
    }
}

#[test]
fn activations_far_out_and_special() {
    for isa in Isa::available() {
        for (name, kernel, truth) in unary() {
            let x = [0.0f32, -0.0, 1e30, -1e30, 3e-39, 50.0, -50.0];
            let mut y = [f32::NAN; 7];
            kernel(isa, &x, &mut y).unwrap();
            for (x, y) in x.iter().zip(y) {
                // The f64 truth may itself overflow on the way: compare the limits.
                let t = truth(f64::from(*x));
                if t.is_finite() {
                    assert!((f64::from(y) - t).abs() <= 1e-6 * t.abs().max(1e-30), "{name} {isa} {x}: {y} not {t}");
                }
            }
        }
    }
}

#[test]
fn tanh_and_sigmoid_are_right_value_by_value() {
    let x: Vec<f32> = (-4000..=4000).map(|i| i as f32 / 400.0).collect();
    for isa in Isa::available() {
        for (kernel, truth) in [(e::tanh as Unary, f64::tanh as fn(f64) -> f64), (e::sigmoid, sigmoid)] {
            let mut y = vec![0.0; x.len()];
            kernel(isa, &x, &mut y).unwrap();
            for (x, y) in x.iter().zip(y) {
                let t = truth(f64::from(*x));
                assert!((f64::from(y) - t).abs() <= 4.0 * f64::from(f32::EPSILON) * t.abs(), "{isa} {x}: {y} not {t}");
            }
        }
    }
}

#[test]
fn a_nan_stays_a_nan() {
    for isa in Isa::available() {
        for (name, kernel, _) in unary() {
            let mut y = [0.0; 3];
            kernel(isa, &[1.0, f32::NAN, 2.0], &mut y).unwrap();
            assert!(y[1].is_nan() && y[0].is_finite() && y[2].is_finite(), "{name} {isa} {y:?}");
        }
    }
}

fn normalised(x: &[f32], dim: usize, eps: f64) -> Vec<f64> {
    x.chunks(dim)
        .flat_map(|x| {
            let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / dim as f64;
            let var = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / dim as f64;
            x.iter().map(move |v| (f64::from(*v) - mean) / (var + eps).sqrt()).collect::<Vec<_>>()
        })
        .collect()
}

fn check_norm(batch: usize, tokens: usize, dim: usize) {
    let len = batch * tokens * dim;
    // A mean far from 0: the variance must be taken of what is left.
    let x: Vec<f32> = values(len, 1).iter().map(|v| v + 10.0).collect();
    let (w, b) = (values(dim, 2), values(dim, 3));
    let (shift, scale) = (values(batch * dim, 4), values(batch * dim, 5));
    let hat = normalised(&x, dim, f64::from(1e-5f32));
    let at = |i: usize| i / (tokens * dim) * dim + i % dim;
    let truth = |f: &dyn Fn(usize, f64) -> f64| hat.iter().enumerate().map(|(i, v)| f(i, *v)).collect::<Vec<_>>();
    // The mean of 10 costs digits of the input, not of the kernel: a rounding of 10·2⁻²⁴, of which each row makes as much more as it is
    // narrower than 1. Rows of two numbers can be very narrow.
    let narrow = |row: &[f32]| {
        let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / dim as f64;
        1.0 / (row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / dim as f64 + 1e-5)
    };
    let limit = 2.5e-6 * (x.chunks(dim).map(narrow).sum::<f64>() * dim as f64 / len as f64).sqrt();
    for isa in Isa::available() {
        let mut y = vec![f32::NAN; len];
        let what = |name: &str| format!("{name} {isa} [{batch}, {tokens}, {dim}]");
        e::layer_norm(isa, &x, dim, None, None, 1e-5, &mut y).unwrap();
        assert_near(&y, &hat, limit, &what("layer_norm"));
        e::layer_norm(isa, &x, dim, Some(&w), Some(&b), 1e-5, &mut y).unwrap();
        let t = truth(&|i, v| v * f64::from(w[i % dim]) + f64::from(b[i % dim]));
        assert_near(&y, &t, limit, &what("layer_norm, affine"));
        e::layer_norm_modulate(isa, &x, tokens, dim, &shift, &scale, 1e-5, &mut y).unwrap();
        let t = truth(&|i, v| v * (1.0 + f64::from(scale[at(i)])) + f64::from(shift[at(i)]));
        assert_near(&y, &t, limit, &what("layer_norm_modulate"));
        e::modulate(isa, &x, tokens, dim, &shift, &scale, &mut y).unwrap();
        let t = truth(&|i, _| f64::from(x[i]) * (1.0 + f64::from(scale[at(i)])) + f64::from(shift[at(i)]));
        assert_near(&y, &t, 1e-6, &what("modulate"));
        let other = values(len, 6);
        e::gated_add(isa, &x, &other, &scale, tokens, dim, &mut y).unwrap();
        let t = truth(&|i, _| f64::from(x[i]) + f64::from(scale[at(i)]) * f64::from(other[i]));
        assert_near(&y, &t, 1e-6, &what("gated_add"));
        e::add(isa, &x, &other, &mut y).unwrap();
        let t = truth(&|i, _| f64::from(x[i]) + f64::from(other[i]));
        assert_near(&y, &t, 1e-6, &what("add"));
        e::mul(isa, &x, &other, &mut y).unwrap();
        let t = truth(&|i, _| f64::from(x[i]) * f64::from(other[i]));
        assert_near(&y, &t, 1e-6, &what("mul"));
        let gate = values(batch * tokens, 8);
        e::lerp(isa, &x, &other, &gate, dim, &mut y).unwrap();
        let t = truth(&|i, _| {
            let (a, b) = (f64::from(x[i]), f64::from(other[i]));
            a + f64::from(gate[i / dim]) * (b - a)
        });
        assert_near(&y, &t, 1e-6, &what("lerp"));
        e::add_rows(isa, &x, &gate, dim, &mut y).unwrap();
        assert_near(&y, &truth(&|i, _| f64::from(x[i]) + f64::from(gate[i / dim])), 1e-6, &what("add_rows"));
        e::mul_rows(isa, &x, &gate, dim, &mut y).unwrap();
        assert_near(&y, &truth(&|i, _| f64::from(x[i]) * f64::from(gate[i / dim])), 1e-6, &what("mul_rows"));
        let turned: Vec<f32> =
            (0..len).map(|i| x[i / dim / tokens * tokens * dim + i % tokens * dim + i / tokens % dim]).collect();
        e::transpose(isa, &x, tokens, dim, &mut y).unwrap();
        assert_eq!(y, turned, "{}", what("transpose"));
    }
}

#[test]
fn norms_and_blends_over_tails() {
    for dim in [1, 3, 16, 31, 64, 65, 768] {
        check_norm(2, 13, dim);
    }
    check_norm(3, 700, 33);
}

fn check_rope(batch: usize, tokens: usize, heads: usize, hd: usize) {
    let x = values(batch * tokens * heads * hd, 1);
    let half = hd / 2;
    let angles: Vec<f32> = values(tokens * half, 2).iter().map(|v| v * 9.0).collect();
    let cos: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
    let sin: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
    let mut truth = vec![0.0; x.len()];
    for row in 0..batch * tokens * heads {
        for i in 0..half {
            let (c, s) =
                (f64::from(cos[row / heads % tokens * half + i]), f64::from(sin[row / heads % tokens * half + i]));
            let (a, b) = (f64::from(x[row * hd + i]), f64::from(x[row * hd + i + half]));
            truth[row * hd + i] = a * c - b * s;
            truth[row * hd + i + half] = b * c + a * s;
        }
    }
    for isa in Isa::available() {
        let mut y = vec![f32::NAN; x.len()];
        e::rope(isa, &x, tokens, heads, hd, &cos, &sin, &mut y).unwrap();
        assert_near(&y, &truth, 1e-6, &format!("rope {isa} [{batch}, {tokens}, {heads}, {hd}]"));
    }
}

#[test]
fn upsampling_repeats_each_pixel_four_times() {
    for (planes, h, w) in [(1, 1, 1), (3, 2, 5), (2, 70, 133)] {
        let x = values(planes * h * w, 1);
        let mut y = vec![f32::NAN; 4 * x.len()];
        e::upsample_nearest2x(Isa::best(), &x, [h, w], &mut y).unwrap();
        for (i, y) in y.iter().enumerate() {
            let (p, r, c) = (i / (4 * h * w), i / (2 * w) % (2 * h), i % (2 * w));
            assert_eq!(*y, x[(p * h + r / 2) * w + c / 2]);
        }
    }
}

#[test]
fn pooling_is_the_mean_of_four_pixels() {
    for (planes, h, w) in [(1, 1, 1), (3, 2, 5), (2, 35, 67)] {
        let x = values(4 * planes * h * w, 1);
        let mut y = vec![f32::NAN; planes * h * w];
        e::average_pool2x(Isa::best(), &x, [h, w], &mut y).unwrap();
        let truth: Vec<f64> = (0..y.len())
            .map(|i| {
                let (row, c) = (2 * (i / w), i % w);
                let at = |dr: usize, dc: usize| f64::from(x[(row + dr) * 2 * w + 2 * c + dc]);
                (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0
            })
            .collect();
        assert_near(&y, &truth, 1e-6, &format!("average pool [{planes}, {h}, {w}]"));
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let isa = Isa::Scalar;
    assert!(e::silu(isa, &[0.0; 3], &mut [0.0; 4]).is_err());
    assert!(e::layer_norm(isa, &[0.0; 4], 3, None, None, 1e-5, &mut [0.0; 4]).is_err());
    assert!(e::layer_norm(isa, &[0.0; 4], 2, Some(&[0.0; 3]), None, 1e-5, &mut [0.0; 4]).is_err());
    assert!(e::rope(isa, &[0.0; 6], 2, 1, 3, &[0.0; 2], &[0.0; 2], &mut [0.0; 6]).is_err());
    assert!(e::gated_add(isa, &[0.0; 8], &[0.0; 8], &[0.0; 3], 2, 2, &mut [0.0; 8]).is_err());
    assert!(e::lerp(isa, &[0.0; 8], &[0.0; 8], &[0.0; 3], 2, &mut [0.0; 8]).is_err());
    assert!(e::mul(isa, &[0.0; 8], &[0.0; 7], &mut [0.0; 8]).is_err());
    assert!(e::add_rows(isa, &[0.0; 8], &[0.0; 3], 2, &mut [0.0; 8]).is_err());
    assert!(e::mul_rows(isa, &[0.0; 8], &[0.0; 4], 3, &mut [0.0; 8]).is_err());
    assert!(e::transpose(isa, &[0.0; 8], 3, 2, &mut [0.0; 8]).is_err());
    assert!(e::transpose(isa, &[0.0; 8], 4, 2, &mut [0.0; 7]).is_err());
    assert!(e::upsample_nearest2x(isa, &[0.0; 5], [2, 2], &mut [0.0; 20]).is_err());
    assert!(e::average_pool2x(isa, &[0.0; 20], [2, 2], &mut [0.0; 5]).is_err());
    assert!(e::average_pool2x(isa, &[0.0; 12], [2, 2], &mut [0.0; 4]).is_err());
}

fn check_geglu(rows: usize, dim: usize) {
    let x: Vec<f32> = values(rows * 2 * dim, 9).iter().map(|v| v * 1.5).collect();
    let truth: Vec<f64> = x
        .chunks(2 * dim)
        .flat_map(|row| row[..dim].iter().zip(&row[dim..]))
        .map(|(value, gate)| {
            let gate = f64::from(*gate);
            f64::from(*value) * 0.5 * gate * (1.0 + libm::erf(gate / 2f64.sqrt()))
        })
        .collect();
    for isa in Isa::available() {
        let mut y = vec![f32::NAN; rows * dim];
        e::geglu(isa, &x, dim, &mut y).unwrap();
        assert_near(&y, &truth, 1e-6, &format!("geglu {isa} {rows} x {dim}"));
    }
}

#[test]
fn gated_units() {
    for (rows, dim) in [(1, 1), (3, 17), (5, 64), (2, 9000), (700, 48)] {
        check_geglu(rows, dim);
    }
    let isa = Isa::best();
    assert!(e::geglu(isa, &[0.0; 12], 3, &mut [0.0; 5]).is_err());
    assert!(e::geglu(isa, &[0.0; 6], 3, &mut [0.0; 6]).is_err());
    assert!(e::geglu(isa, &[], 0, &mut []).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn gated_units_of_any_shape(rows in 1usize..30, dim in 1usize..100) {
        check_geglu(rows, dim);
    }

    #[test]
    fn norms_of_any_shape(batch in 1usize..4, tokens in 1usize..20, dim in 2usize..100) {
        check_norm(batch, tokens, dim);
    }

    #[test]
    fn rope_of_any_shape(batch in 1usize..3, tokens in 1usize..20, heads in 1usize..5, half in 1usize..40) {
        check_rope(batch, tokens, heads, 2 * half);
    }
}

#[test]
fn group_and_root_mean_square_norms() {
    for (batch, groups, of_group, pixels) in [(1, 1, 3, 35), (2, 4, 2, 9), (1, 8, 1, 1), (2, 32, 8, 64)] {
        let channels = groups * of_group;
        let x: Vec<f32> =
            values(batch * channels * pixels, 3).iter().enumerate().map(|(i, v)| v * 3.0 + (i % 5) as f32).collect();
        let (weight, bias) = (values(channels, 4), values(channels, 5));
        let mut group = Vec::new();
        for (i, part) in x.chunks(of_group * pixels).enumerate() {
            let len = part.len() as f64;
            let mean = part.iter().map(|v| f64::from(*v)).sum::<f64>() / len;
            let variance = part.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / len;
            group.extend(part.iter().enumerate().map(|(j, v)| {
                let channel = i % groups * of_group + j / pixels;
                (f64::from(*v) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[channel])
                    + f64::from(bias[channel])
            }));
        }
        let group_silu: Vec<f64> = group.iter().map(|v| v * sigmoid(*v)).collect();
        // The same numbers as rows of `channels`.
        let mut root = Vec::new();
        for row in x.chunks(channels) {
            let square = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / channels as f64;
            root.extend(row.iter().zip(&weight).map(|(v, w)| f64::from(*v) / (square + 1e-5).sqrt() * f64::from(*w)));
        }
        for isa in Isa::available() {
            let what = format!("{isa} {batch} {groups} {of_group} {pixels}");
            let mut y = vec![f32::NAN; x.len()];
            e::group_norm(isa, &x, pixels, groups, &weight, &bias, 1e-5, false, &mut y).unwrap();
            assert_near(&y, &group, 2e-6, &format!("group norm {what}"));
            e::group_norm(isa, &x, pixels, groups, &weight, &bias, 1e-5, true, &mut y).unwrap();
            assert_near(&y, &group_silu, 2e-6, &format!("group norm and SiLU {what}"));
            e::rms_norm(isa, &x, channels, &weight, 1e-5, &mut y).unwrap();
            assert_near(&y, &root, 2e-6, &format!("rms norm {what}"));
        }
    }
    let isa = Isa::best();
    let mut y = [0.0; 6];
    assert!(
        e::group_norm(isa, &[0.0; 6], 2, 2, &[1.0; 3], &[0.0; 3], 1e-5, false, &mut y).is_err(),
        "2 groups of 3 channels"
    );
    assert!(e::rms_norm(isa, &[0.0; 6], 4, &[1.0; 4], 1e-5, &mut y).is_err());
}
