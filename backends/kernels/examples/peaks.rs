//! Prints this machine's ceilings. `cargo run --release -p ditbench-kernels --example peaks`

use std::time::Duration;

use ditbench_kernels::{Isa, peak};

fn main() -> Result<(), ditbench_kernels::KernelError> {
    let budget = Duration::from_millis(300);
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, all] {
        for isa in Isa::available() {
            let (f, i) = (peak::measure_f32(isa, threads, budget)?, peak::measure_int8(isa, threads, budget)?);
            println!("{threads} th {isa:12} {:8.1} {}  {:8.1} {}", f.value, f.unit, i.value, i.unit);
        }
        let (t, r) = (peak::measure_triad(threads, budget)?, peak::measure_read(threads, budget)?);
        println!("{threads} th triad {:.1} {}, read {:.1} {}", t.value, t.unit, r.value, r.unit);
    }
    Ok(())
}
