//! Prints the share of the roof that each convolution and each norm reaches at SnapGen's shapes, the roof measured between the
//! repetitions of each: the f32 peak for arithmetic, the triad for what is bound by memory.
//! `cargo run --release -p ditbench-kernels --example roofs`, or those whose name has a word: `-- pointwise`

use std::time::{Duration, Instant};

use ditbench_kernels::conv::{ConvSpec, PackedConv, conv2d};
use ditbench_kernels::elementwise::{geglu, group_norm, rms_norm};
use ditbench_kernels::{Isa, KernelError, peak};

/// What bounds a kernel, and how much of it a call needs.
#[derive(Clone, Copy)]
enum Roof {
    /// FLOPs.
    Peak(usize),
    /// Bytes read and written once.
    Triad(usize),
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect()
}

fn main() -> Result<(), KernelError> {
    let asked = std::env::args().nth(1).unwrap_or_default();
    let (isa, threads) = (Isa::best(), std::thread::available_parallelism().map_or(1, usize::from));
    println!("{isa}, {threads} threads; median of 12");
    let print = |name: &str, roof: Roof, mut run: Box<dyn FnMut() -> Result<(), KernelError>>| {
        if !name.contains(&asked) {
            return Ok(());
        }
        let mut found = Vec::new();
        for i in 0..13 {
            let begun = Instant::now();
            run()?;
            let took = begun.elapsed().as_secs_f64();
            let budget = Duration::from_millis(20);
            let (rate, share) = match roof {
                Roof::Peak(flops) => {
                    let rate = flops as f64 / took * 1e-9;
                    (rate, rate / peak::measure_f32(isa, threads, budget)?.value)
                }
                Roof::Triad(bytes) => {
                    let rate = bytes as f64 / took * 1e-9;
                    (rate, rate / peak::measure_triad(isa, threads, budget)?.value)
                }
            };
            // The first one finds pages to be made.
            if i > 0 {
                found.push((share, rate, took));
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (share, rate, took) = found[found.len() / 2];
        let (unit, of) = match roof {
            Roof::Peak(_) => ("GFLOP/s", "peak"),
            Roof::Triad(_) => ("GB/s", "triad"),
        };
        println!("{name:44} {:9.3} ms {rate:8.1} {unit:7} {:5.1} % of the {of}", took * 1e3, share * 100.0);
        Ok::<(), KernelError>(())
    };
    let convs = [
        ("depthwise 3x3", 512, 512, 3, 512, 128),
        ("depthwise 3x3", 1024, 1024, 3, 1024, 64),
        ("depthwise 3x3", 1792, 1792, 3, 1792, 32),
        ("depthwise 3x3", 64, 64, 3, 64, 1024),
        ("pointwise", 512, 256, 1, 1, 128),
        ("pointwise", 1024, 512, 1, 1, 64),
        ("pointwise", 1792, 896, 1, 1, 32),
        ("pointwise", 896, 1792, 1, 1, 16),
        ("pointwise", 64, 64, 1, 1, 1024),
        ("dense 3x3", 64, 64, 3, 1, 256),
        ("dense 3x3", 256, 256, 3, 1, 64),
        ("dense 3x3", 896, 896, 3, 1, 16),
    ];
    for (name, i, o, kernel, groups, side) in convs {
        let spec =
            ConvSpec { in_channels: i, out_channels: o, kernel: [kernel; 2], stride: 1, padding: kernel / 2, groups };
        let weight = PackedConv::pack(&values(o * i / groups * kernel * kernel), spec)?;
        let (x, mut y) = (values(i * side * side), vec![0.0; o * side * side]);
        let roof = match groups {
            1 => Roof::Peak(2 * y.len() * i * kernel * kernel),
            _ => Roof::Triad(4 * (x.len() + y.len())),
        };
        let run = move || conv2d(isa, &x, [side; 2], &weight, None, false, &mut y);
        print(&format!("{name} {i}->{o} at {side}x{side}"), roof, Box::new(run))?;
    }
    for (channels, side) in [(512, 128), (1024, 64), (1792, 32)] {
        let (x, mut y, w) = (values(channels * side * side), vec![0.0; channels * side * side], values(channels));
        let (x2, mut y2, w2) = (x.clone(), y.clone(), w.clone());
        let roof = Roof::Triad(8 * x.len());
        let run = move || group_norm(isa, &x, side * side, 32, &w, &w, 1e-5, true, &mut y);
        print(&format!("group norm and SiLU {channels} at {side}x{side}"), roof, Box::new(run))?;
        let run = move || rms_norm(isa, &x2, channels, &w2, 1e-5, &mut y2);
        print(&format!("rms norm {}x{channels}", side * side), roof, Box::new(run))?;
    }
    for (tokens, dim) in [(16384, 768), (4096, 1536), (1024, 2688)] {
        let (x, mut y) = (values(tokens * 2 * dim), vec![0.0; tokens * dim]);
        let roof = Roof::Triad(12 * y.len());
        print(&format!("geglu {tokens}x{dim}"), roof, Box::new(move || geglu(isa, &x, dim, &mut y)))?;
    }
    Ok(())
}
