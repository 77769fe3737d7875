//! How tables are read.

use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use futures::stream;
use tokio::sync::mpsc;

use crate::backend::{BatchStream, Column, Query, QueryDialect};
use crate::error::Result;

/// Reads the tables of a database.
pub trait Scan: Debug + Send + Sync {
    /// Starts a query and streams its rows. Reading starts with this call, not with the first poll.
    fn query(&self, query: Query) -> Result<BatchStream>;

    /// The spelling of conditions, constants and orders; `None` if the database supports none. Queries then have only a
    /// projection and a limit.
    fn dialect(&self) -> Option<&dyn QueryDialect> {
        None
    }

    /// The description of a column that is read as another type; `None` if the database cannot do this, and values must
    /// be converted after reading.
    fn read_as(&self, column: &Column, wanted: &DataType) -> Option<Column> {
        (column.data_type == *wanted).then(|| column.clone())
    }
}

/// Sends batches to the consumer of a scan. The channel closes when the consumer stops reading.
pub type Batches = mpsc::Sender<Result<RecordBatch>>;

/// Reads a table in a separate task, a few batches ahead of the consumer. The task should end when the sender is closed.
pub fn read_ahead<F>(table: String, read: impl FnOnce(Batches) -> F + Send + 'static) -> BatchStream
where
    F: Future<Output = Result<()>> + Send,
{
    const BATCHES: usize = 2;
    let (sender, receiver) = mpsc::channel(BATCHES);
    tokio::spawn(async move {
        if let Err(error) = read(sender.clone()).await {
            // Sending fails only if the consumer no longer waits.
            let _ = sender.send(Err(error.with_context(format!("reading table {table}")))).await;
        }
    });
    Box::pin(stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}
