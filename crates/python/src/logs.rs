//! Log records, on their way to Python's `logging`.

use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;
use datafusion_landfall::sql::without_passwords;
use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

/// Records that wait for a thread of Python. When it is full, the oldest are lost.
const MOST: usize = 1_000;

/// A worker of the runtime never takes the GIL: it leaves records here, and the thread that waits for it delivers them.
static WAITING: LazyLock<ArrayQueue<(Level, String)>> = LazyLock::new(|| ArrayQueue::new(MOST));

struct Queue;

impl Log for Queue {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("datafusion_landfall") && metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            drop(WAITING.force_push((record.level(), without_passwords(&record.args().to_string()))));
        }
    }

    fn flush(&self) {}
}

/// Sends the library's records to the queue.
pub(crate) fn install() {
    // It is set once for a process. The program has a logger of its own.
    if log::set_logger(&Queue).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Gives the records to Python's logger `landfall`.
pub(crate) fn deliver(py: Python<'_>) {
    while let Some((level, text)) = WAITING.pop() {
        let method = match level {
            Level::Error => "error",
            Level::Warn => "warning",
            _ => "info",
        };
        let logger = py.import("logging").and_then(|logging| logging.call_method1("getLogger", ("landfall",)));
        // A handler that fails must not make a write fail that succeeded.
        if let Err(error) = logger.and_then(|logger| logger.call_method1(method, ("%s", text))) {
            error.write_unraisable(py, None);
        }
    }
}
