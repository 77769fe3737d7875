//! The `landfall` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    landfall::main(std::env::args_os())
}
