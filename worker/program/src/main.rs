//! The program for phones: the worker and the agent without the host's command line, reports and stores.

use std::process::ExitCode;

use ditbench_worker::output;

fn main() -> ExitCode {
    ditbench_worker::probe::build::tell(ditbench_worker::told_by_build_script!());
    // SAFETY: no other thread runs yet.
    unsafe { ditbench_worker::registry::set_environment() };
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == "agent" => ditbench_worker::agent::main(rest),
        Some((first, rest)) if first == ditbench_worker::company::COMMAND => ditbench_worker::company::main(rest),
        Some((first, [])) if first == "worker" => ditbench_worker::worker::main(),
        Some((first, [])) if first == "--version" => {
            output::show(&format!("ditbench-worker {}\n", env!("CARGO_PKG_VERSION")));
            output::exit(ExitCode::SUCCESS)
        }
        _ => {
            output::tell(
                "error: this is ditbench for a phone: `ditbench run --on adb` on a computer sends and starts it",
            );
            ExitCode::from(2)
        }
    }
}
