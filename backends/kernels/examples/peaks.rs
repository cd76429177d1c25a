//! Prints this machine's ceilings. `cargo run --release -p ditbench-kernels --example peaks`

use std::time::Duration;

use ditbench_kernels::peak::Grouped;
use ditbench_kernels::{Isa, peak};

fn main() -> Result<(), ditbench_kernels::KernelError> {
    let budget = Duration::from_millis(300);
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, all] {
        for isa in Isa::available() {
            let (f, i) = (peak::measure_f32(isa, threads, budget)?, peak::measure_int8(isa, threads, budget)?);
            let grouped = |format| peak::measure_grouped(isa, format, threads, budget);
            let (q4, q8) = (grouped(Grouped::Q4)?, grouped(Grouped::Q8)?);
            println!(
                "{threads} th {isa:12} f32 {:8.1} {}  int8 alone {:8.1}, in groups: q4 {:8.1}, q8 {:8.1} {}",
                f.value, f.unit, i.value, q4.value, q8.value, i.unit
            );
            let (t, r) = (peak::measure_triad(isa, threads, budget)?, peak::measure_read(isa, threads, budget)?);
            println!("{threads} th {isa:12} triad {:.1} {}, read {:.1} {}", t.value, t.unit, r.value, r.unit);
        }
    }
    Ok(())
}
