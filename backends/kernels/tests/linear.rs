//! The linears against plain f64 loops, on every instruction set of this machine.

mod common;

use common::{assert_near, assert_near_or, q4, q8, truth, values, wide};
use ditbench_kernels::linear::*;
use ditbench_kernels::{Isa, KernelError};
use half::f16;
use proptest::prelude::*;

/// x as the int8 kernels see it.
fn rounded(x: &[f32]) -> Vec<f64> {
    x.chunks(GROUP)
        .flat_map(|g| {
            let max = g.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let inverse = if max > 0.0 { 127.0 / max } else { 0.0 };
            g.iter().map(move |v| f64::from((v * inverse).round_ties_even()) * f64::from(max) / 127.0)
        })
        .collect()
}

/// All five linears at one size.
fn check(m: usize, n: usize, k: usize, with_bias: bool, epilogue: Epilogue) {
    let seed = (m * 31 + n * 7 + k) as u64;
    let x = values(m * k, seed);
    let b = values(n, seed + 2);
    let bias = with_bias.then_some(b.as_slice());
    let gelu = epilogue == Epilogue::GeluTanh;
    // Where the terms of a few outputs happen to cancel, what is right is no measure of the error: a sum of random terms of this
    // size is.
    let near = |y: &[f32], x: &[f64], w: &[f64], tolerance: f64, words: &str| {
        let size = |x: &[f64]| x.iter().map(|x| x.abs()).collect::<Vec<_>>();
        let terms = truth(&size(x), &size(w), None, false, m, n, k);
        let usual = terms.iter().map(|t| t * t).sum::<f64>().sqrt() / (k as f64).sqrt();
        assert_near_or(y, &truth(x, w, bias, gelu, m, n, k), usual, tolerance, words);
    };
    let (rounded, x64) = (rounded(&x), wide(&x));
    for isa in Isa::available() {
        let mut y = vec![f32::NAN; m * n];
        let name = |kernel: &str| format!("{kernel} {isa} m {m} n {n} k {k} bias {with_bias} {epilogue:?}");
        let w = values(n * k, seed + 3);
        linear_f32(isa, &x, &PackedF32::pack(&w, n, k).unwrap(), bias, epilogue, &mut y).unwrap();
        near(&y, &x64, &wide(&w), 1e-6, &name("f32"));
        if !k.is_multiple_of(GROUP) {
            continue;
        }
        let (b4, w4) = q4(n, k, seed + 4);
        let p4 = PackedQ4::pack(&b4, n, k).unwrap();
        y.fill(f32::NAN);
        linear_q4_f32(isa, &x, &p4, bias, epilogue, &mut y).unwrap();
        near(&y, &x64, &w4, 2e-6, &name("q4_f32"));
        y.fill(f32::NAN);
        linear_q4_int8(isa, &x, &p4, bias, epilogue, &mut y).unwrap();
        near(&y, &rounded, &w4, 2e-6, &name("q4_int8, rounded x"));
        near(&y, &x64, &w4, 2e-2, &name("q4_int8"));
        let (b8, w8) = q8(n, k, seed + 5);
        let p8 = PackedQ8::pack(&b8, n, k).unwrap();
        y.fill(f32::NAN);
        linear_q8_f32(isa, &x, &p8, bias, epilogue, &mut y).unwrap();
        near(&y, &x64, &w8, 2e-6, &name("q8_f32"));
        y.fill(f32::NAN);
        linear_q8_int8(isa, &x, &p8, bias, epilogue, &mut y).unwrap();
        near(&y, &rounded, &w8, 2e-6, &name("q8_int8, rounded x"));
    }
}

#[test]
fn one_output_whose_terms_cancel() {
    // Found by `any_shape`: GELU of a number near 0.
    check(1, 1, 128, false, Epilogue::GeluTanh);
}

#[test]
fn tails_of_rows_columns_and_depth() {
    for m in [1, 2, 3, 5, 7, 11, 13, 25] {
        check(m, 40, 64, true, Epilogue::None);
    }
    for n in [1, 7, 15, 16, 17, 31, 33, 64, 100] {
        check(5, n, 96, n % 2 == 0, Epilogue::GeluTanh);
    }
    for k in [1, 31, 33, 32, 512, 544, 1056] {
        check(3, 20, k, false, Epilogue::None);
        // Six rows, the tile of AVX2, are packed by overlapping fours.
        check(7, 20, k, false, Epilogue::None);
    }
}

#[test]
fn several_tasks_of_rows_and_columns() {
    check(200, 300, 64, true, Epilogue::GeluTanh);
    check(77, 130, 544, true, Epilogue::None);
    // More of K than a task packs at once.
    check(13, 70, 1120, true, Epilogue::GeluTanh);
}

#[test]
fn extreme_8_bit_values_do_not_saturate() {
    let (n, k) = (16, 64);
    for q in [-128i8, 127] {
        for sign in [1.0f32, -1.0] {
            let block: Vec<u8> =
                f16::from_f32(1.0).to_le_bytes().into_iter().chain(std::iter::repeat_n(q as u8, 32)).collect();
            let w = PackedQ8::pack(&block.repeat(n * k / 32), n, k).unwrap();
            for isa in Isa::available() {
                let mut y = vec![0.0; n];
                linear_q8_int8(isa, &vec![sign; k], &w, None, Epilogue::None, &mut y).unwrap();
                assert_near(&y, &[f64::from(sign) * f64::from(q) * 64.0; 16], 1e-6, isa.name());
            }
        }
    }
}

#[test]
fn zeros_denormals_and_empty_inputs() {
    let (b, _) = q4(16, 32, 1);
    let w = PackedQ4::pack(&b, 16, 32).unwrap();
    for isa in Isa::available() {
        // The last is an ordinary number, but 127 over it is none.
        for x in [0.0, 1e-44, 1e-37] {
            let mut y = [f32::NAN; 16];
            linear_q4_int8(isa, &[x; 32], &w, None, Epilogue::None, &mut y).unwrap();
            assert!(y.iter().all(|y| y.abs() < 1e-40), "{isa} {x} {y:?}");
        }
        linear_q4_int8(isa, &[], &w, None, Epilogue::None, &mut []).unwrap();
        linear_q4_f32(isa, &[], &w, None, Epilogue::None, &mut []).unwrap();
    }
}

#[test]
fn a_sum_of_nothing_is_the_bias() {
    let (m, n, bias) = (3, 20, values(20, 2));
    let all = [
        Matrix::F32(PackedF32::pack(&[], n, 0).unwrap()),
        Matrix::F16(PackedF16::pack(&[], n, 0).unwrap(), Isa::Scalar),
        Matrix::Q4(PackedQ4::pack(&[], n, 0).unwrap(), Products::F32),
        Matrix::Q4(PackedQ4::pack(&[], n, 0).unwrap(), Products::Int8),
        Matrix::Q8(PackedQ8::pack(&[], n, 0).unwrap(), Products::F32),
        Matrix::Q8(PackedQ8::pack(&[], n, 0).unwrap(), Products::Int8),
    ];
    for isa in Isa::available() {
        for (at, matrix) in all.iter().enumerate() {
            let mut y = vec![f32::NAN; m * n];
            matrix.apply(isa, &[], Some(&bias), Epilogue::None, &mut y).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(y.chunks(n).all(|row| row == bias), "{isa} {at} {y:?}");
        }
    }
}

#[test]
fn a_nan_or_infinity_is_not_lost_in_the_rounding() {
    let w = PackedQ4::pack(&q4(16, 64, 1).0, 16, 64).unwrap();
    for isa in Isa::available() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = vec![1.0; 128];
            x[70] = bad;
            let mut y = [0.0; 32];
            linear_q4_int8(isa, &x, &w, None, Epilogue::None, &mut y).unwrap();
            assert!(y[..16].iter().all(|y| y.is_finite()) && y[16..].iter().all(|y| !y.is_finite()), "{isa} {y:?}");
        }
    }
}

#[test]
fn packed_weights_take_the_bits_they_promise() {
    let (n, k) = (64, 1024);
    assert_eq!(PackedQ4::pack(&q4(n, k, 1).0, n, k).unwrap().bytes() * 8, n * k * 9 / 2);
    assert_eq!(PackedQ8::pack(&q8(n, k, 1).0, n, k).unwrap().bytes() * 8, n * k * 17 / 2);
}

#[test]
fn wrong_lengths_are_errors() {
    let w = PackedF32::pack(&values(6, 1), 2, 3).unwrap();
    let found = linear_f32(Isa::Scalar, &[0.0; 6], &w, None, Epilogue::None, &mut [0.0; 3]);
    assert_eq!(found, Err(KernelError::Length { kernel: "linear_f32", argument: "y", expected: 4, found: 3 }));
    assert!(linear_f32(Isa::Scalar, &[0.0; 5], &w, None, Epilogue::None, &mut [0.0; 4]).is_err());
    assert!(linear_f32(Isa::Scalar, &[0.0; 6], &w, Some(&[0.0; 3]), Epilogue::None, &mut [0.0; 4]).is_err());
    assert!(PackedQ4::pack(&[0; 18], 1, 31).is_err());
    assert!(PackedQ4::pack(&[0; 17], 1, 32).is_err());
    #[cfg(target_arch = "x86_64")]
    assert_eq!(
        linear_f32(Isa::Neon, &[0.0; 6], &w, None, Epilogue::None, &mut [0.0; 4]),
        Err(KernelError::Isa { isa: Isa::Neon })
    );
}

#[test]
fn a_matrix_is_multiplied_as_it_says() {
    let (m, n, k) = (5, 20, 64);
    let (isa, f16s) = (Isa::best(), Isa::Scalar);
    let (x, bias, w) = (values(m * k, 1), values(n, 2), values(n * k, 3));
    let (bias, e) = (Some(&bias[..]), Epilogue::GeluTanh);
    let halves: Vec<f16> = w.iter().map(|w| f16::from_f32(*w)).collect();
    let (f32, half) = (PackedF32::pack(&w, n, k).unwrap(), PackedF16::pack(&halves, n, k).unwrap());
    let (q4, q8) = (q4(n, k, 4).0, q8(n, k, 5).0);
    let (q4, q8) = (PackedQ4::pack(&q4, n, k).unwrap(), PackedQ8::pack(&q8, n, k).unwrap());
    type Linear<'a> = &'a dyn Fn(&mut [f32]) -> Result<(), KernelError>;
    let q4_as = |products| Matrix::Q4(q4.clone(), products);
    let q8_as = |products| Matrix::Q8(q8.clone(), products);
    let all: [(Matrix, usize, Linear<'_>); 8] = [
        (Matrix::F32(f32.clone()), f32.bytes(), &|y| linear_f32(isa, &x, &f32, bias, e, y)),
        (Matrix::F16(half.clone(), f16s), half.bytes(), &|y| linear_f16(f16s, &x, &half, bias, e, y)),
        (q4_as(Products::F32), q4.bytes(), &|y| linear_q4_f32(isa, &x, &q4, bias, e, y)),
        (q4_as(Products::Int8), q4.bytes(), &|y| linear_q4_int8(isa, &x, &q4, bias, e, y)),
        (q4_as(Products::F16(f16s)), q4.bytes(), &|y| linear_q4_f16(f16s, &x, &q4, bias, e, y)),
        (q8_as(Products::F32), q8.bytes(), &|y| linear_q8_f32(isa, &x, &q8, bias, e, y)),
        (q8_as(Products::Int8), q8.bytes(), &|y| linear_q8_int8(isa, &x, &q8, bias, e, y)),
        (q8_as(Products::F16(f16s)), q8.bytes(), &|y| linear_q8_f16(f16s, &x, &q8, bias, e, y)),
    ];
    for (at, (matrix, bytes, linear)) in all.into_iter().enumerate() {
        let (mut found, mut wanted) = (vec![f32::NAN; m * n], vec![f32::NAN; m * n]);
        matrix.apply(isa, &x, bias, e, &mut found).unwrap();
        linear(&mut wanted).unwrap();
        assert!(found == wanted, "{at}");
        assert_eq!((matrix.n(), matrix.bytes()), (n, bytes), "{at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_shape(m in 1usize..40, n in 1usize..70, groups in 1usize..5, gelu: bool, bias: bool) {
        check(m, n, groups * 32, bias, if gelu { Epilogue::GeluTanh } else { Epilogue::None });
    }
}
