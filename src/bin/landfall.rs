//! The `landfall` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    datafusion_landfall::cli::main()
}
