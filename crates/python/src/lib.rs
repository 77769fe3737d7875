//! The compiled part of the Python package `landfall`. `python/landfall` is what users import.

mod capsule;
mod errors;
mod gil;
mod host;
mod logs;
mod outcome;
mod process;
mod program;
mod result;
mod session;
mod source;
mod statement;
mod stream;
mod transactions;
mod wait;
mod write;

use pyo3::prelude::*;

#[pymodule]
fn _landfall(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    errors::add_to(module)?;
    module.add_class::<capsule::Catalog>()?;
    module.add_class::<capsule::Table>()?;
    module.add_class::<capsule::TableFactory>()?;
    module.add_class::<outcome::WriteResult>()?;
    module.add_class::<result::QueryResult>()?;
    module.add_class::<session::Session>()?;
    module.add_class::<statement::Stop>()?;
    module.add_class::<transactions::Status>()?;
    module.add_class::<transactions::Job>()?;
    module.add_class::<transactions::Branch>()?;
    let wait_for_readers = wrap_pyfunction!(stream::wait_for_readers, module)?;
    module.py().import("atexit")?.call_method1("register", (wait_for_readers,))?;
    module.add_function(wrap_pyfunction!(program::main, module)?)?;
    module.add_function(wrap_pyfunction!(write::write, module)?)?;
    module.add_function(wrap_pyfunction!(transactions::status, module)?)?;
    module.add_function(wrap_pyfunction!(transactions::recover, module)?)
}
