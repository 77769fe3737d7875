//! The program `landfall`, which the package installs.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the program with its name and its arguments, and returns its exit status.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| landfall::main(arguments))
}
