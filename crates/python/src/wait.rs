//! Waiting for the runtime, from a thread of Python.

use std::future::Future;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::errors::{Failure, InternalError};
use crate::logs;
use crate::process::Process;
use crate::statement::{Asked, Watch};

/// How often signals and progress are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Runs a future to its end, without the GIL. Meanwhile it delivers log records, reports progress, and handles signals: what
/// a signal handler raises (KeyboardInterrupt after Ctrl-C) asks the statement to roll back, and is raised when it has. A
/// second one is raised at once.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    process: &'static Process,
    watch: &Watch,
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> PyResult<T> {
    let (sender, mut receiver) = oneshot::channel();
    // The caller that does not wait any more has dropped its receiver.
    let task = process.runtime.spawn(async move { drop(sender.send(future.await)) });
    let mut raised: Option<PyErr> = None;
    let ended = loop {
        let ended = py.detach(|| process.runtime.block_on(async { timeout(POLL, &mut receiver).await }));
        logs::deliver(py);
        if let Ok(ended) = ended {
            break ended;
        }
        let signal = py.check_signals().and_then(|()| if raised.is_none() { watch.report(py) } else { Ok(()) });
        match (signal, watch.ask()) {
            (Ok(()), Asked::ToAbort) => {
                task.abort();
                return Err(Failure::stopped().into_exception(py));
            }
            (Ok(()), _) => {}
            (Err(error), _) if raised.is_none() && watch.is_writing() => {
                watch.stop();
                raised = Some(error);
            }
            (Err(error), _) => {
                task.abort();
                return Err(error);
            }
        }
    };
    match (ended, raised) {
        (Ok(Ok(value)), None) => Ok(value),
        (Ok(Err(failure)), None) => Err(failure.into_exception(py)),
        (Ok(Ok(_)), Some(raised)) => Err(noted(py, raised, "the commit had already begun, so the rows are written")),
        (Ok(Err(failure)), Some(raised)) if failure.is_interrupted() => Err(noted(py, raised, &failure.text())),
        (Ok(Err(failure)), Some(raised)) => {
            raised.set_cause(py, Some(failure.into_exception(py)));
            Err(raised)
        }
        // Its sender is gone.
        (Err(_), _) => Err(InternalError::new_err("the statement ended without a result: this is a bug in Landfall")),
    }
}

/// Adds what became of the rows to an exception, where this Python has notes.
fn noted(py: Python<'_>, raised: PyErr, note: &str) -> PyErr {
    // Python 3.10 has none.
    let _ = raised.value(py).call_method1("add_note", (note,));
    raised
}
