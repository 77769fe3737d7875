//! A stream of Python as a table that can be read once.

#![expect(clippy::disallowed_types, reason = "taken when the stream is read, once")]

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::RecordBatchReader;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion_landfall::{Error, ErrorKind};
use futures::stream;
use pyo3::prelude::*;

/// Batches that are read before the database takes them.
const AHEAD: usize = 2;

/// A reader of the Arrow C stream interface.
pub(crate) type Reader = Box<dyn RecordBatchReader + Send>;

/// The threads that read a stream of Python.
static READING: AtomicUsize = AtomicUsize::new(0);

/// How long the end of the interpreter waits for them.
const LONGEST: Duration = Duration::from_secs(2);

/// Counts a thread that reads.
struct Reading;

impl Reading {
    fn begin() -> Self {
        READING.fetch_add(1, AcqRel);
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.fetch_sub(1, AcqRel);
    }
}

/// Waits until no thread reads a stream of Python, at most two seconds. It is called when the interpreter ends: afterwards a
/// thread that takes the GIL ends the process with an error. A write that failed does not wait for its stream, which may be
/// silent.
#[pyfunction]
pub(crate) fn wait_for_readers(py: Python<'_>) {
    py.detach(|| {
        let until = Instant::now() + LONGEST;
        while READING.load(Acquire) > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    });
}

/// The only partition of the table.
pub(crate) struct OneTime {
    reader: Mutex<Option<Reader>>,
    schema: SchemaRef,
}

impl OneTime {
    pub(crate) fn new(reader: Reader) -> Self {
        let schema = reader.schema();
        Self { reader: Mutex::new(Some(reader)), schema }
    }
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTime").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for OneTime {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Reads the stream on a thread of its own, because a stream of Python takes the GIL and can block. It is read only as
    /// fast as it is consumed.
    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(reader) = reader else {
            let error = Error::new(
                ErrorKind::Input,
                "the stream has already been read, and can be read only once: pass a new stream, or a table such as a \
                 pyarrow.Table",
            );
            let failed = stream::once(async { Err(error.into()) });
            return Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), failed));
        };
        let batch_rows = context.session_config().batch_size();
        let mut batches = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), AHEAD);
        let sender = batches.tx();
        let reading = Reading::begin();
        batches.spawn_blocking(move || {
            // Dropped last: releasing the stream takes the GIL, too.
            let _reading = reading;
            let mut reader = reader;
            for batch in &mut reader {
                let batch = batch.map_err(DataFusionError::from)?;
                for first in (0..batch.num_rows()).step_by(batch_rows) {
                    let slice = batch.slice(first, batch_rows.min(batch.num_rows() - first));
                    // Nobody reads any more.
                    if sender.blocking_send(Ok(slice)).is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        batches.build()
    }
}
