//! The linears in f16: how far from f64 blocks of 32 allow, and that nothing overflows. On the instruction sets of this machine that
//! compute in f16, and in the scalar code that computes the same bits.

mod common;

use common::{assert_near, computing_f16, q4, q8, truth, values, wide};
use ditbench_kernels::linear::*;
use ditbench_kernels::{Isa, KernelError};
use half::f16;
use proptest::prelude::*;

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|v| f16::from_f32(*v)).collect()
}

/// A linear with its weight.
type Run<'a> = Box<dyn Fn(Isa, &[f32], Option<&[f32]>, Epilogue, &mut [f32]) -> Result<(), KernelError> + Sync + 'a>;

/// The linears that take this K, with W as they see it.
fn linears(n: usize, k: usize, seed: u64) -> Vec<(&'static str, Run<'static>, Vec<f64>)> {
    let w = halves(&values(n * k, seed));
    let packed = PackedF16::pack(&w, n, k).unwrap();
    let run: Run<'_> = Box::new(move |isa, x, b, e, y| linear_f16(isa, x, &packed, b, e, y));
    let mut all = vec![("f16", run, w.iter().map(|w| w.to_f64()).collect())];
    if k.is_multiple_of(GROUP) {
        let ((b4, w4), (b8, w8)) = (q4(n, k, seed + 1), q8(n, k, seed + 2));
        let (p4, p8) = (PackedQ4::pack(&b4, n, k).unwrap(), PackedQ8::pack(&b8, n, k).unwrap());
        all.push(("q4", Box::new(move |isa, x, b, e, y| linear_q4_f16(isa, x, &p4, b, e, y)), w4));
        all.push(("q8", Box::new(move |isa, x, b, e, y| linear_q8_f16(isa, x, &p8, b, e, y)), w8));
    }
    all
}

/// What each output may be off by. In a block of 32 x is rounded once and the sum 32 times, each time by 2⁻¹¹ at most; the sums of
/// blocks are added in f32. Numbers below 2⁻²⁷ of the row's largest may be lost.
fn allowed(x: &[f32], w: &[f64], m: usize, n: usize, k: usize) -> Vec<f64> {
    let of_block = (1.0 + 2f64.powi(-11)).powi(33) - 1.0;
    let size = |x: &[f64]| x.iter().map(|x| x.abs()).collect::<Vec<_>>();
    let (x, w) = (size(&wide(x)), size(w));
    let terms = truth(&x, &w, None, false, m, n, k);
    let mut out = Vec::with_capacity(m * n);
    for i in 0..m {
        let most = x[i * k..][..k].iter().fold(0.0f64, |a, b| a.max(*b));
        for j in 0..n {
            let weights = &w[j * k..][..k];
            let lost = 2f64.powi(-26) * (weights.iter().sum::<f64>() + weights.iter().fold(0.0f64, |a, b| a.max(*b)));
            out.push((of_block + 1e-6) * terms[i * n + j] + most * lost);
        }
    }
    out
}

/// Asserts that each is no further from what is right; NaN fails.
fn assert_within(y: &[f32], right: &[f64], allowed: &[f64], words: &str) {
    for ((y, right), allowed) in y.iter().zip(right).zip(allowed) {
        let error = (f64::from(*y) - right).abs();
        // The slope of GELU is 1.13 at most, and f32 has its own rounding.
        let most = 1.13 * allowed + 1e-6 * right.abs();
        assert!(error <= most, "{words}: {error:.1e} from {right}, at most {most:.1e} wanted");
    }
}

fn check(m: usize, n: usize, k: usize, with_bias: bool, epilogue: Epilogue) {
    let seed = (m * 31 + n * 7 + k) as u64;
    let (x, b) = (values(m * k, seed), values(n, seed + 2));
    let bias = with_bias.then_some(b.as_slice());
    for (name, run, w) in linears(n, k, seed + 3) {
        let right = truth(&wide(&x), &w, bias, epilogue == Epilogue::GeluTanh, m, n, k);
        let allowed = allowed(&x, &w, m, n, k);
        for isa in computing_f16() {
            let words = format!("{name} {isa} m {m} n {n} k {k} bias {with_bias} {epilogue:?}");
            let mut y = vec![f32::NAN; m * n];
            run(isa, &x, bias, epilogue, &mut y).unwrap();
            assert_within(&y, &right, &allowed, &words);
            // As far as random errors lead: about √(32/6)·2⁻¹¹.
            if m * n * k > 1000 {
                assert_near(&y, &right, 2e-3, &words);
            }
        }
    }
}

#[test]
fn tails_of_rows_columns_and_depth() {
    for m in [1, 2, 3, 5, 7, 8, 11, 12, 13, 25] {
        check(m, 40, 64, true, Epilogue::None);
    }
    for n in [1, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33] {
        check(5, n, 96, n % 2 == 0, Epilogue::GeluTanh);
    }
    for k in [1, 2, 31, 32, 33, 511, 512, 513, 544] {
        check(5, 20, k, false, Epilogue::None);
    }
}

#[test]
fn several_tasks_of_rows_and_columns() {
    check(200, 60, 64, true, Epilogue::GeluTanh);
    check(27, 130, 544, true, Epilogue::None);
}

#[test]
fn long_sums_do_not_stand_still() {
    // In f16 alone, 2048 + 1 is 2048.
    let (n, k) = (3, 8192);
    let packed = PackedF16::pack(&vec![f16::ONE; n * k], n, k).unwrap();
    for isa in computing_f16() {
        let mut y = [0.0; 3];
        linear_f16(isa, &vec![1.0; k], &packed, None, Epilogue::None, &mut y).unwrap();
        assert_eq!(y, [k as f32; 3], "{isa}");
    }
}

#[test]
fn nothing_overflows_that_is_finite_in_f32() {
    let (n, k) = (16, 64);
    let packed = PackedF16::pack(&vec![f16::MAX; n * k], n, k).unwrap();
    let block: Vec<u8> = f16::MAX.to_le_bytes().into_iter().chain(std::iter::repeat_n(-128i8 as u8, 32)).collect();
    let packed8 = PackedQ8::pack(&block.repeat(n * k / 32), n, k).unwrap();
    for isa in computing_f16() {
        // Ones of a sign are rounded the same way each time, so that the error is that of the worst case.
        for x in [1.0, 65504.0, 7.999e4, -1e29] {
            let (row, mut y) = (vec![x; k], vec![0.0; n]);
            let right = |w: f64| vec![f64::from(x) * w * k as f64; n];
            linear_f16(isa, &row, &packed, None, Epilogue::None, &mut y).unwrap();
            assert_near(&y, &right(65504.0), 2e-2, &format!("f16 {isa} {x}"));
            linear_q8_f16(isa, &row, &packed8, None, Epilogue::None, &mut y).unwrap();
            assert_near(&y, &right(-128.0 * 65504.0), 2e-2, &format!("q8 {isa} {x}"));
        }
    }
}

#[test]
fn each_row_and_each_column_has_the_precision_of_its_own_size() {
    let (m, n, k) = (14, 20, 80);
    // Beyond f16's range on both sides; and of 16 bits, down to the least numbers.
    let sized = |len: usize, seed: u64, size: &dyn Fn(usize) -> f32| {
        values(len * k, seed).iter().enumerate().map(|(i, v)| v * size(i / k)).collect::<Vec<f32>>()
    };
    let x = sized(m, 1, &|row| 10f32.powi(5 * row as i32 - 35));
    let w = halves(&sized(n, 2, &|column| 2f32.powi(15 - 2 * column as i32)));
    let packed = PackedF16::pack(&w, n, k).unwrap();
    let w: Vec<f64> = w.iter().map(|w| w.to_f64()).collect();
    let (right, allowed) = (truth(&wide(&x), &w, None, false, m, n, k), allowed(&x, &w, m, n, k));
    for isa in computing_f16() {
        let mut y = vec![f32::NAN; m * n];
        linear_f16(isa, &x, &packed, None, Epilogue::None, &mut y).unwrap();
        assert_within(&y, &right, &allowed, isa.name());
    }
}

#[test]
fn a_nan_or_infinity_is_not_lost_in_the_rounding() {
    for (name, run, _) in linears(16, 64, 1) {
        for isa in computing_f16() {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [64, 127] {
                    let mut x = vec![1.0; 192];
                    x[at] = bad;
                    let mut y = [0.0; 48];
                    run(isa, &x, None, Epilogue::None, &mut y).unwrap();
                    let finite = |row: usize| y[16 * row..][..16].iter().filter(|y| y.is_finite()).count();
                    assert_eq!([finite(0), finite(1), finite(2)], [16, 0, 16], "{name} {isa} {y:?}");
                }
            }
        }
    }
    let mut w = vec![f16::ONE; 32];
    w[3] = f16::INFINITY;
    let packed = PackedF16::pack(&w, 2, 16).unwrap();
    for isa in computing_f16() {
        let mut y = [0.0; 2];
        linear_f16(isa, &[2.0; 16], &packed, None, Epilogue::None, &mut y).unwrap();
        assert_eq!(y, [f32::INFINITY, 32.0], "{isa}");
    }
}

#[test]
fn zeros_denormals_and_empty_inputs() {
    for (name, run, w) in linears(16, 32, 1) {
        for isa in computing_f16() {
            for x in [0.0, -0.0, 1e-44, 1e-39, -1e-38] {
                let (row, mut y) = ([x; 32], [f32::NAN; 16]);
                run(isa, &row, None, Epilogue::None, &mut y).unwrap();
                let right = truth(&wide(&row), &w, None, false, 1, 16, 32);
                // Products and results this small are rounded to steps of the least denormal.
                let least = if x == 0.0 { 0.0 } else { 4.0 * 2f64.powi(-149) };
                let allowed: Vec<f64> = allowed(&row, &w, 1, 16, 32).iter().map(|allowed| allowed + least).collect();
                assert_within(&y, &right, &allowed, &format!("{name} {isa} {x:e}"));
            }
            run(isa, &[], None, Epilogue::None, &mut []).unwrap();
        }
    }
    let nothing = PackedF16::pack(&[], 2, 0).unwrap();
    let mut y = [f32::NAN; 2];
    linear_f16(Isa::Scalar, &[], &nothing, Some(&[1.0, 2.0]), Epilogue::None, &mut y).unwrap();
    assert_eq!(y, [1.0, 2.0]);
}

#[test]
fn packed_weights_take_the_bits_they_promise() {
    let (n, k) = (64, 1024);
    assert_eq!(PackedF16::pack(&vec![f16::ONE; n * k], n, k).unwrap().bytes() * 8, n * k * 17);
}

#[test]
fn instructions_without_f16_arithmetic_are_refused() {
    let packed = PackedF16::pack(&[f16::ONE; 6], 2, 3).unwrap();
    for isa in [Isa::Avx2, Isa::Avx512, Isa::Avx512Fp16, Isa::Neon, Isa::NeonDotprod, Isa::NeonFp16] {
        let found = linear_f16(isa, &[0.0; 6], &packed, None, Epilogue::None, &mut [0.0; 4]);
        let wanted = match (isa.is_available(), isa.computes_f16()) {
            (false, _) => Err(KernelError::Isa { isa }),
            (true, false) => Err(KernelError::NoF16 { isa }),
            (true, true) => Ok(()),
        };
        assert_eq!(found, wanted, "{isa}");
    }
    assert!(PackedF16::pack(&[f16::ONE; 5], 2, 3).is_err());
    let found = linear_f16(Isa::Scalar, &[0.0; 6], &packed, None, Epilogue::None, &mut [0.0; 3]);
    assert_eq!(found, Err(KernelError::Length { kernel: "linear_f16", argument: "y", expected: 4, found: 3 }));
}

/// So that what is found in scalar code, on any machine, is true of the instructions.
#[test]
fn the_instructions_compute_the_bits_of_the_scalar_code() {
    for (m, n, k) in [(1, 16, 32), (27, 37, 544), (12, 8, 1), (8, 5, 33)] {
        let x: Vec<f32> = values(m * k, 1).iter().enumerate().map(|(i, v)| v * 10f32.powi(i as i32 % 9 - 4)).collect();
        for (name, run, _) in linears(n, k, 2) {
            let bits = |isa| {
                let mut y = vec![0.0; m * n];
                run(isa, &x, None, Epilogue::None, &mut y).unwrap();
                y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
            };
            for isa in computing_f16() {
                assert!(bits(isa) == bits(Isa::Scalar), "{name} {isa} {m} {n} {k}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_shape(m in 1usize..30, n in 1usize..40, k in 1usize..130, gelu: bool, bias: bool) {
        check(m, n, k, bias, if gelu { Epilogue::GeluTanh } else { Epilogue::None });
    }
}
