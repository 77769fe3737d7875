//! The GIL in a function that C calls.
//!
//! pyo3 counts, for each thread, the calls from Python that it is in, and believes that the thread holds the GIL while the
//! count is not 0. C code in between can have released the GIL: `pyarrow.table(result)` does, when it reads the stream of a
//! result. If a function of Rust is below it on the stack, pyo3 is wrong, and would release what the thread does not hold,
//! which ends the process.

use pyo3::ffi::{PyGILState_Ensure, PyGILState_Release, PyGILState_STATE};
use pyo3::prelude::*;

/// The GIL, until it is dropped.
struct Held(PyGILState_STATE);

impl Drop for Held {
    #[expect(unsafe_code, reason = "the only way to take the GIL against the belief of pyo3")]
    fn drop(&mut self) {
        // SAFETY: the state comes from `PyGILState_Ensure` on this thread, as the value is not sent to another, and states are
        // released in the reverse order, as it lives on the stack.
        unsafe { PyGILState_Release(self.0) };
    }
}

/// Takes the GIL, whether this thread holds it or not, and runs a function with it.
#[expect(unsafe_code, reason = "the only way to take the GIL against the belief of pyo3")]
pub(crate) fn with_gil<T>(function: impl FnOnce(Python<'_>) -> T) -> T {
    // SAFETY: the interpreter is initialized, as Python made the object whose function C calls. It can be called with and
    // without the GIL, on every thread.
    let held = Held(unsafe { PyGILState_Ensure() });
    let done = Python::attach(function);
    drop(held);
    done
}
