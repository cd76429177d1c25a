//! ditbench: what the words of the command line ask for, and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ditbench::cli::main()
}
