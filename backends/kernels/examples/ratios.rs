//! Prints the rate of each linear beside that of the `gemm` crate, measured in turns in this one process.
//! `cargo run --release -p ditbench-kernels --example ratios`

use std::time::Instant;

use ditbench_kernels::Isa;
use ditbench_kernels::linear::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for isa in Isa::available() {
        for (m, k, n) in [(1024, 768, 3072), (1024, 1024, 4096), (64, 768, 3072), (1, 1024, 4096)] {
            let values = |len: usize| (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect::<Vec<_>>();
            let (x, w) = (values(m * k), values(n * k));
            let blocks = |bytes: usize| {
                (0..n * k / 32)
                    .flat_map(|i| [0, 0x20].into_iter().chain((0..bytes).map(move |b| (b * 31 + i) as u8)))
                    .collect::<Vec<u8>>()
            };
            let (f32, q4, q8) =
                (PackedF32::pack(&w, n, k)?, PackedQ4::pack(&blocks(16), n, k)?, PackedQ8::pack(&blocks(32), n, k)?);
            let mut y = vec![0.0; m * n];
            let mut best = [f64::INFINITY; 6];
            let e = Epilogue::None;
            for _ in 0..if m == 1 { 60 } else { 8 } {
                for (i, best) in best.iter_mut().enumerate() {
                    let start = Instant::now();
                    match i {
                        // SAFETY: the pointers are of slices of the sizes given.
                        0 => unsafe {
                            gemm::gemm(
                                m,
                                n,
                                k,
                                y.as_mut_ptr(),
                                1,
                                n as isize,
                                false,
                                x.as_ptr(),
                                1,
                                k as isize,
                                w.as_ptr(),
                                k as isize,
                                1,
                                0.0,
                                1.0,
                                false,
                                false,
                                false,
                                gemm::Parallelism::Rayon(0),
                            );
                        },
                        1 => linear_f32(isa, &x, &f32, None, e, &mut y)?,
                        2 => linear_q4_f32(isa, &x, &q4, None, e, &mut y)?,
                        3 => linear_q8_f32(isa, &x, &q8, None, e, &mut y)?,
                        4 => linear_q4_int8(isa, &x, &q4, None, e, &mut y)?,
                        _ => linear_q8_int8(isa, &x, &q8, None, e, &mut y)?,
                    }
                    *best = best.min(start.elapsed().as_secs_f64());
                }
            }
            let rate = |s: f64| 2.0 * (m * k * n) as f64 / s / 1e9;
            print!("{:12} M{m:5} K{k:5} N{n:5}  gemm {:6.1} GFLOP/s |", isa.name(), rate(best[0]));
            for (name, t) in ["f32", "q4_f32", "q8_f32", "q4_int8", "q8_int8"].iter().zip(&best[1..]) {
                print!(" {name} {:6.1} ({:.2}x)", rate(*t), best[0] / t);
            }
            println!();
        }
    }
    Ok(())
}
