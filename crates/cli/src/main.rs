//! The `landfall` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(landfall::main(std::env::args_os()))
}
