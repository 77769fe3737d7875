//! The program `landfall` with its feature `ballista`, which the tests run.

use std::process::ExitCode;

fn main() -> ExitCode {
    landfall::main(std::env::args_os()).into()
}
